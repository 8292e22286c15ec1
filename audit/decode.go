package audit

import (
	"bytes"
	"fmt"
	"unsafe"
)

// MalformedError is a record that does not have the form of one. It is
// counted as lost; the decoder goes on with the next.
type MalformedError struct{ Reason string }

func (e *MalformedError) Error() string { return "malformed record: " + e.Reason }

// Decoder turns the ring's records into events. It holds no more than one
// unfinished argv a process, for each stream the next sequence number, the
// paths of some folders, and the beginnings of DNS messages over TCP.
// It is for one goroutine.
type Decoder struct {
	pageKiB uint64
	next    []uint64 // by stream
	missing uint64
	pending map[ProcessID]*pendingExec
	streams map[streamKey]*dnsStream
	folders folders
	more    []Event // to be handed over before the record's own event

	// The record at hand.
	head WireHead
	segs [RecordSegments]segment

	// Of these there are many.
	opens    batch[Open]
	fileOps  batch[FileOp]
	fileIOs  batch[FileIO]
	mappings batch[Mapping]
	repeats  batch[Repeat]
}

// batch makes events many at a time. Each can be kept, and keeps the others of
// its batch.
type batch[T any] struct{ left []T }

func (b *batch[T]) next() *T {
	if len(b.left) == 0 {
		b.left = make([]T, 32)
	}
	next := &b.left[0]
	b.left = b.left[1:]
	return next
}

type pendingExec struct {
	exec *Exec
	argv []byte
	size int // of the whole
}

// NewDecoder returns a decoder for records from a kernel with that page size.
func NewDecoder(pageSize int) *Decoder {
	return &Decoder{
		pageKiB: uint64(pageSize) / 1024,
		pending: make(map[ProcessID]*pendingExec),
		streams: make(map[streamKey]*dnsStream),
		folders: make(folders),
	}
}

// Missing is the number of records that the sequence numbers show to be lost
// so far, up to the last record of each stream.
func (d *Decoder) Missing() uint64 { return d.missing }

// Next is the sequence number that the stream's next record should have.
func (d *Decoder) Next(stream uint16) uint64 {
	if int(stream) >= len(d.next) {
		return 0
	}
	return d.next[stream]
}

// Decode hands the events of one record to sink: none where more records are
// needed first, and two where the record closes the count of an earlier one.
// It does not keep record.
func (d *Decoder) Decode(record []byte, sink Sink) error {
	ev, err := d.decode(record)
	if err != nil {
		return err
	}
	if a := &d.head.Again; a.ID != 0 {
		r := d.repeats.next()
		r.ID, r.Count, r.Bytes, r.Latest, r.Last = RepeatID(a.ID), a.Count, a.Bytes, a.Last, true
		sink(r)
	}
	for _, e := range d.more {
		sink(e)
	}
	d.more = d.more[:0]
	if ev != nil {
		sink(ev)
	}
	return nil
}

func (d *Decoder) decode(record []byte) (Event, error) {
	h, segs := &d.head, &d.segs
	if len(record) < int(unsafe.Sizeof(*h)) {
		return nil, &MalformedError{fmt.Sprintf("%d bytes", len(record))}
	}
	*h = read[WireHead](record)
	if err := d.segments(record[unsafe.Sizeof(*h):]); err != nil {
		return nil, err
	}
	if err := d.sequence(h); err != nil {
		return nil, err
	}
	head := Header{
		Seq: h.Seq, CPU: h.Stream, Time: h.Time, TID: int32(h.TID),
		Process: ProcessID{PID: int32(h.PID), Start: h.Start},
	}
	if head.Process.PID < 0 || head.TID < 0 {
		return nil, &MalformedError{"a process number below 0"}
	}
	errno := -h.Err
	if errno < 0 {
		return nil, &MalformedError{"a result that is no error"}
	}

	switch h.Type {
	case RecordFork:
		b := body[WireFork](h)
		if int32(b.PID) < 0 {
			return nil, &MalformedError{"a child's number below 0"}
		}
		return &Fork{Header: head, Child: ProcessID{int32(b.PID), b.Start}, UID: b.UID, GID: b.GID}, nil
	case RecordExec:
		b := body[WireExec](h)
		if int32(b.ParentPID) < 0 {
			return nil, &MalformedError{"a parent's number below 0"}
		}
		return d.exec(head, b), nil
	case RecordArgv:
		return d.argv(head, body[WireArgv](h), segs[0]), nil
	case RecordExecFailed:
		argv, cut := splitArgv(segs[2].data)
		return &ExecFailed{
			Header: head, Errno: errno, Launch: body[WireFile](h).CallFlags != 0, Path: d.folders.target(segs[0], segs[1]), Argv: argv,
			Truncated: cut || segs[2].flags&(SegCut|SegUnreadable) != 0,
		}, nil
	case RecordExit:
		b := body[WireExit](h)
		return &Exit{
			Header: head, Status: b.Status, CPUTime: b.CPU, MaxRSS: b.MaxRSS * d.pageKiB,
			ReadBytes: b.ReadBytes, WriteBytes: b.WriteBytes,
		}, nil
	case RecordOpen:
		return d.open(head), nil
	case RecordFileOp:
		return d.fileOp(head)
	case RecordFileIO:
		return d.fileIO(head), nil
	case RecordMap:
		return d.mapping(head), nil
	case RecordConnect:
		d.dnsReset(body[WireNet](h).Sock)
		return connect(head, h, segs), nil
	case RecordConnectDone:
		b := body[WireNet](h)
		return &ConnectDone{Header: head, Socket: b.Sock, Result: result(errno), Errno: errno}, nil
	case RecordListen:
		return listen(head, h, segs)
	case RecordAccept:
		return accept(head, h, segs), nil
	case RecordDNS:
		d.dns(head, h, segs[0])
		return nil, nil
	case RecordAgain:
		return nil, nil
	}
	return nil, &MalformedError{fmt.Sprintf("type %d", h.Type)}
}

// Flush hands over the execs whose argv did not arrive whole, and DNS messages likewise.
func (d *Decoder) Flush(sink Sink) {
	for id, p := range d.pending {
		delete(d.pending, id)
		sink(p.finish())
	}
	d.dnsFlush(sink)
}

// sequence books the record's number. Numbers of a stream only rise.
func (d *Decoder) sequence(h *WireHead) error {
	if n := int(h.Stream); n >= len(d.next) {
		d.next = append(d.next, make([]uint64, n+1-len(d.next))...)
	}
	next := &d.next[h.Stream]
	if h.Seq < *next {
		return &MalformedError{fmt.Sprintf("sequence number %d of stream %d after %d", h.Seq, h.Stream, *next-1)}
	}
	d.missing += h.Seq - *next
	*next = h.Seq + 1
	return nil
}

// repeatID is the id that the kernel side gave the event; see event_send.
func repeatID(h *WireHead) RepeatID {
	return RepeatID(uint64(h.Stream)<<48|h.Seq) + 1
}

type segment struct {
	data  []byte
	flags uint16
	root  uint16
}

// segments finds the runs of bytes behind the head.
func (d *Decoder) segments(data []byte) error {
	for i, s := range d.head.Seg {
		if int(s.Len) > len(data) {
			return &MalformedError{fmt.Sprintf("segment %d has %d of %d bytes", i, len(data), s.Len)}
		}
		d.segs[i] = segment{data[:s.Len:s.Len], s.Flags, s.Root}
		data = data[s.Len:]
	}
	// What is left is padding: the ring rounds up to 8 bytes.
	return nil
}

func (d *Decoder) exec(head Header, b WireExec) Event {
	segs := &d.segs
	e := &Exec{
		Header: head, Parent: ProcessID{int32(b.ParentPID), b.ParentStart}, UID: b.UID, GID: b.GID,
		Exe: d.folders.path(segs[0]), WorkingDir: d.folders.path(segs[1]),
		Requested: string(segs[2].data), Interp: string(segs[3].data),
	}
	if b.ArgvLen == argvNotCaptured {
		e.NoArgv = true
		return e
	}
	p := &pendingExec{exec: e, size: min(int(b.ArgvLen), wireArgvMax)}
	e.Truncated = int(b.ArgvLen) > wireArgvMax
	p.add(segs[4])
	if len(p.argv) >= p.size || segs[4].flags != 0 {
		return p.finish()
	}
	if old := d.pending[head.Process]; old != nil {
		// The rest of its argv was lost; that is counted.
		d.more = append(d.more, old.finish())
	}
	d.pending[head.Process] = p
	return nil
}

func (d *Decoder) argv(head Header, b WireArgv, s segment) Event {
	p := d.pending[head.Process]
	if p == nil {
		// Its exec, or a part before this one, was lost; that is counted.
		return nil
	}
	if int(b.Offset) != len(p.argv) || len(s.data) == 0 {
		p.exec.Truncated = true
	} else {
		p.add(s)
	}
	if p.exec.Truncated || len(p.argv) >= p.size {
		delete(d.pending, head.Process)
		return p.finish()
	}
	return nil
}

func (p *pendingExec) add(s segment) {
	if s.flags&(SegCut|SegUnreadable) != 0 {
		p.exec.Truncated = true
	}
	p.argv = append(p.argv, s.data[:min(len(s.data), p.size-len(p.argv))]...)
}

func (p *pendingExec) finish() Event {
	var cut bool
	p.exec.Argv, cut = splitArgv(p.argv)
	if len(p.argv) < p.size {
		cut = true
	}
	p.exec.Truncated = p.exec.Truncated || cut
	return p.exec
}

// splitArgv splits strings that each end in a NUL; cut says that the last did not.
func splitArgv(b []byte) (argv []string, cut bool) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return append(argv, string(b)), true
		}
		argv = append(argv, string(b[:i]))
		b = b[i+1:]
	}
	return argv, false
}
