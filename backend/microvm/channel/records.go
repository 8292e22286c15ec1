package channel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"glasshouse/audit"
	"glasshouse/journal"
)

// The stream of records is made of frames: a kind (1 byte), the length of the
// payload (4 bytes, little-endian, at most frameLimit) and the payload.
const (
	// frameRecords holds records, each behind its length (4 bytes).
	frameRecords = 1
	// frameRepeats holds what was folded in the kernel: for each event that was
	// seen again its id, how often, how many bytes, and when last (8 bytes each).
	frameRepeats = 2

	frameHead   = 5
	frameLimit  = 1 << 20
	batchSize   = 256 << 10
	batchPause  = 20 * time.Millisecond
	repeatBytes = 32
)

// RecordWriter sends records. It is for several goroutines.
type RecordWriter struct {
	w io.WriteCloser

	mu    sync.Mutex
	batch []byte
	timer *time.Timer
	sent  uint64
	err   error
}

// NewRecordWriter writes to a stream of records.
func NewRecordWriter(w io.WriteCloser) *RecordWriter { return &RecordWriter{w: w} }

// Record sends a record within batchPause. It waits while the host takes none.
func (r *RecordWriter) Record(record []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(record)+4 > batchSize {
		r.fail(fmt.Errorf("a record of %d bytes is too large", len(record)))
		return
	}
	if len(r.batch)+4+len(record) > batchSize {
		r.flush()
	}
	if len(r.batch) == 0 {
		r.timer = time.AfterFunc(batchPause, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.flush()
		})
	}
	r.batch = binary.LittleEndian.AppendUint32(r.batch, uint32(len(record)))
	r.batch = append(r.batch, record...)
	r.sent++
}

// flush is called with mu held.
func (r *RecordWriter) flush() {
	if r.timer != nil {
		r.timer.Stop()
	}
	if len(r.batch) > 0 {
		r.frame(frameRecords, r.batch)
		r.batch = r.batch[:0]
	}
}

func (r *RecordWriter) frame(kind byte, payload []byte) {
	if r.err != nil {
		return
	}
	head := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	if _, err := r.w.Write(append(head, payload...)); err != nil {
		r.fail(err)
	}
}

func (r *RecordWriter) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Close sends what is left, the repeats behind it, and ends the stream. It tells
// how many records were sent.
func (r *RecordWriter) Close(repeats []audit.Repeat) (sent uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
	var b []byte
	for _, p := range repeats {
		if len(b)+repeatBytes > batchSize {
			r.frame(frameRepeats, b)
			b = b[:0]
		}
		for _, v := range []uint64{uint64(p.ID), p.Count, p.Bytes, p.Latest} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
	}
	if len(b) > 0 {
		r.frame(frameRepeats, b)
	}
	return r.sent, errors.Join(r.err, r.w.Close())
}

// ReadRecords reads a stream of records to its end, and calls record for each,
// whose bytes are valid until it returns, and repeat for each event that was
// seen again. Its error says where the stream is not what it should be; nil is
// an end behind a whole frame.
func ReadRecords(r io.Reader, record func([]byte), repeat func(*audit.Repeat)) error {
	var head [frameHead]byte
	buf := make([]byte, 0, batchSize)
	for {
		if _, err := io.ReadFull(r, head[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("the records end within a frame: %w", err)
		}
		n := binary.LittleEndian.Uint32(head[1:])
		if n > frameLimit {
			return fmt.Errorf("a frame of %d bytes among the records", n)
		}
		if int(n) > cap(buf) {
			buf = make([]byte, n)
		}
		buf = buf[:n]
		if _, err := io.ReadFull(r, buf); err != nil {
			return fmt.Errorf("the records end within a frame: %w", err)
		}
		var err error
		switch head[0] {
		case frameRecords:
			err = journal.Records(buf).Each(record)
		case frameRepeats:
			err = eachRepeat(buf, repeat)
		default:
			err = fmt.Errorf("a frame of kind %d among the records", head[0])
		}
		if err != nil {
			return err
		}
	}
}

func eachRepeat(b []byte, f func(*audit.Repeat)) error {
	if len(b)%repeatBytes != 0 {
		return fmt.Errorf("repeats of %d bytes", len(b))
	}
	for ; len(b) > 0; b = b[repeatBytes:] {
		v := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
		f(&audit.Repeat{ID: audit.RepeatID(v(0)), Count: v(1), Bytes: v(2), Latest: v(3)})
	}
	return nil
}
