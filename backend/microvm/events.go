package microvm

import (
	"context"
	"errors"
	"fmt"
	"io"

	"glasshouse/audit"
	"glasshouse/backend/microvm/channel"
)

// events is the collector: it decodes on the host what the guest's collector
// recorded, and compares what came with what was said to come.
type events struct {
	b        *Backend
	sink     audit.Sink
	tap      func([]byte)
	stream   io.Reader
	pageSize int

	reading bool
	done    chan struct{}

	// Owned by the reading goroutine until done is closed.
	decoder   *audit.Decoder
	frames    uint64 // records that came
	received  uint64
	malformed uint64
	err       error
}

var (
	_ audit.Collector = (*events)(nil)
	_ audit.RawSource = (*events)(nil)
)

func newEvents(b *Backend) *events {
	return &events{b: b, sink: func(audit.Event) {}, done: make(chan struct{})}
}

// Attach says where events are to go. What may prevent the guest from recording
// it has found out by then, in the backend's Prepare.
func (e *events) Attach(_ context.Context, sink audit.Sink) error {
	if ready := e.b.ready; ready != nil && ready.Mode == "none" {
		return &audit.UnavailableError{Reason: "in the virtual machine: " + ready.Reason}
	}
	e.sink = sink
	return nil
}

// TapRecords has tap called with each record. See audit.RawSource.
func (e *events) TapRecords(tap func(record []byte)) { e.tap = tap }

// Layout is that of all collectors.
func (e *events) Layout() string { return audit.Layout() }

// Launch calls start. Which thread that is matters in the guest alone.
func (e *events) Launch(start func() error) error { return start() }

// Alive knows of no process on this host: those of the guest are the guest's to
// kill.
func (e *events) Alive() ([]audit.ProcessID, error) { return nil, nil }

// read begins to take records.
func (e *events) read() {
	e.reading = true
	e.decoder = audit.NewDecoder(e.pageSize)
	go func() {
		defer close(e.done)
		e.err = channel.ReadRecords(e.stream, e.record, func(r *audit.Repeat) { e.sink(r) })
		// Whatever is wrong with it, the guest must not be held up by what
		// nobody takes.
		_, _ = io.Copy(io.Discard, e.stream)
	}()
}

func (e *events) record(record []byte) {
	e.frames++
	if e.tap != nil {
		e.tap(record)
	}
	if err := e.decoder.Decode(record, e.sink); err != nil {
		e.malformed++
		return
	}
	e.received++
}

// Stop waits for the guest's account and compares it with what came.
func (e *events) Stop(ctx context.Context) (audit.Summary, error) {
	if !e.reading {
		return audit.Summary{Mode: "none"}, nil
	}
	e.b.finish(ctx)
	<-e.done // the machine has ended, or closed the stream
	e.decoder.Flush(e.sink)
	s := e.summary()
	var errs []error
	for _, doubt := range s.Doubts {
		errs = append(errs, errors.New(doubt))
	}
	return s, errors.Join(errs...)
}

func (e *events) summary() audit.Summary {
	s := audit.Summary{Mode: "ebpf", Lost: map[string]uint64{}}
	result := e.b.result
	doubt := func(format string, args ...any) { s.Doubts = append(s.Doubts, fmt.Sprintf(format, args...)) }
	if result != nil {
		s = result.Summary
		if e.frames != result.Records {
			doubt("the guest says that it sent %d records, and %d came", result.Records, e.frames)
		}
		if s.Mode != "ebpf" {
			doubt("the guest says that it observed by %q", s.Mode)
			s.Mode = "ebpf"
		}
	} else {
		s.Missing = e.decoder.Missing()
		s.Emitted = e.received + s.Missing + e.malformed
		doubt("the recording was not closed by the guest: %v", e.b.lost)
		if s.Missing > 0 {
			s.Lost["unknown"] = s.Missing
		}
	}
	if s.Lost == nil {
		s.Lost = map[string]uint64{}
	}
	s.Received = e.received
	// Holes in the numbers that the guest did not own up to.
	if n := e.decoder.Missing(); n > s.Missing {
		doubt("numbers of %d events are missing, and the guest says %d", n, s.Missing)
	}
	if e.malformed > 0 {
		s.Lost["malformed"] += e.malformed
		s.Missing += e.malformed
	}
	if e.err != nil {
		doubt("%v", e.err)
	}
	return s
}
