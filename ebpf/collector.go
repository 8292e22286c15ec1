//go:build linux && (amd64 || arm64)

package ebpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"glasshouse/audit"
	"glasshouse/internal/rights"
)

// Collector records with eBPF. See audit.Collector.
type Collector struct {
	opts   Options
	object object

	mu      sync.Mutex // guards what follows against Stop
	probes  *probes
	reader  *ringbuf.Reader
	done    chan struct{} // closed when the reading goroutine has ended
	summary *audit.Summary

	priority priority
	watch    *watch // nil without a brake
	pressure pressure

	// Owned by the reading goroutine until done is closed.
	decoder   *audit.Decoder
	sink      audit.Sink
	tap       func([]byte) // nil if nobody wants the records
	received  uint64
	malformed uint64
	readErr   error
}

// New returns a collector, and begins to read what Attach will load.
func New(opts Options) audit.Collector {
	return &Collector{opts: opts, object: read(opts)}
}

// TapRecords has tap called with each record of the ring. See audit.RawSource.
func (c *Collector) TapRecords(tap func(record []byte)) { c.tap = tap }

// Layout is that of all collectors.
func (c *Collector) Layout() string { return audit.Layout() }

// Attach loads the programs, attaches them and starts to read the ring.
// Nothing is recorded before Launch.
func (c *Collector) Attach(_ context.Context, sink audit.Sink) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.probes != nil || c.summary != nil {
		return errors.New("collector is already in use")
	}
	p, err := load(c.object)
	if err != nil {
		return explain(err)
	}
	if err := p.attach(); err != nil {
		p.close()
		return explain(err)
	}
	r, err := ringbuf.NewReader(p.Ring)
	if err != nil {
		p.close()
		return explain(fmt.Errorf("open ring buffer: %w", err))
	}
	if c.opts.DebugEvents != nil {
		sink = audit.Trace(sink, c.opts.DebugEvents)
	}
	c.probes, c.reader, c.sink = p, r, sink
	c.decoder = audit.NewDecoder(os.Getpagesize())
	c.done = make(chan struct{})
	c.pressure.marks(r.BufferSize())
	c.priority.allowed = c.opts.Priority
	go c.read()
	return nil
}

// Throttle has the run held up by the brake whenever the ring fills.
func (c *Collector) Throttle(b audit.Brake) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.probes == nil {
		return errors.New("collector is not attached")
	}
	if c.watch != nil {
		return errors.New("collector has a brake already")
	}
	r := c.reader
	watch, err := startWatch(c.probes.Ring.FD(), func() { c.pressure.look(r.AvailableBytes, c.waiting) })
	if err != nil {
		return err
	}
	c.watch = watch
	c.pressure.use(b)
	return nil
}

// Launch calls start on a locked OS thread whose children are recorded from
// their first exec on.
func (c *Collector) Launch(start func() error) error {
	c.mu.Lock()
	p := c.probes
	c.mu.Unlock()
	if p == nil {
		return errors.New("collector is not attached")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.LauncherTid.Set(uint32(unix.Gettid())); err != nil {
		return fmt.Errorf("mark the launching thread: %w", err)
	}
	err := c.priority.lowered(start)
	if clearErr := p.LauncherTid.Set(uint32(0)); clearErr != nil {
		err = errors.Join(err, fmt.Errorf("unmark the launching thread: %w", clearErr))
	}
	return err
}

// Hooks tells, between Attach and Stop, what is attached.
func (c *Collector) Hooks() []audit.Hook {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.probes == nil {
		return nil
	}
	return slices.Clone(c.probes.hooks)
}

// Alive returns the recorded processes that have not exited.
func (c *Collector) Alive() ([]audit.ProcessID, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.probes == nil {
		return nil, nil
	}
	return c.probes.alive()
}

// Sample tells what was counted so far. See audit.Sampler.
func (c *Collector) Sample() (audit.Summary, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.probes == nil {
		return audit.Summary{}, errors.New("collector is not attached")
	}
	totals, err := c.probes.totals()
	if err != nil {
		return audit.Summary{}, err
	}
	s := totals.sums()
	s.Syscalls, err = c.probes.callCounts()
	return s, err
}

// readPause bounds how old an event can get in the ring. The kernel side wakes
// the reader only when a quarter of the ring is in use.
const readPause = 50 * time.Millisecond

func (c *Collector) read() {
	defer close(c.done)
	defer c.pressure.end()
	var rec ringbuf.Record
	for {
		c.reader.SetDeadline(time.Now().Add(readPause))
		err := c.reader.ReadInto(&rec)
		switch {
		case err == nil:
			c.waiting(rec.Remaining)
			c.take(rec.RawSample)
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.waiting(c.reader.AvailableBytes())
			c.priority.relax()
		case errors.Is(err, ringbuf.ErrFlushed), errors.Is(err, ringbuf.ErrClosed):
			return // by finishReading
		default:
			c.readErr = err
			return
		}
	}
}

// waiting does what must be done about the bytes that wait in the ring.
func (c *Collector) waiting(n int) {
	if n >= c.pressure.wake {
		c.priority.raise()
	}
	c.pressure.at(n)
}

func (c *Collector) take(record []byte) {
	if c.tap != nil {
		c.tap(record)
	}
	if err := c.decoder.Decode(record, c.sink); err != nil {
		c.malformed++
		return
	}
	c.received++
}

// Stop detaches, reads the ring to its end and returns the books. What it
// could not find out stands in Summary.Doubts, and makes the error.
func (c *Collector) Stop(ctx context.Context) (audit.Summary, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.summary != nil {
		return *c.summary, nil
	}
	if c.probes == nil {
		c.summary = &audit.Summary{Mode: "none"}
		return *c.summary, nil
	}
	p := c.probes
	var errs []error
	note := func(err error) { errs = append(errs, err) }

	misses, err := p.recursionMisses()
	note(err)
	note(p.detach())
	totals, err := p.settle()
	note(err)
	if c.watch != nil {
		note(c.watch.end()) // before the ring is unmapped
	}
	note(c.finishReading(ctx))
	note(p.eachFold(func(r *audit.Repeat) { c.sink(r) }))

	s := totals.summary(c.decoder)
	s.Hooks = p.hooks
	s.Syscalls, err = p.callCounts()
	note(err)
	uring, err := p.uringGaps(s.Syscalls)
	s.Gaps = append(s.Gaps, uring...)
	note(err)
	s.Alive, err = p.alive()
	note(err)
	s.Received = c.received
	c.pressure.report(&s)
	if c.malformed > 0 {
		s.Lost["malformed"] = c.malformed
		s.Missing += c.malformed
	}
	if misses > 0 {
		s.Emitted += misses
		s.Missing += misses
		s.Lost["recursion"] = misses
	}
	p.close()
	c.probes = nil
	c.priority.end()
	for _, err := range errs {
		if err != nil {
			s.Doubts = append(s.Doubts, err.Error())
		}
	}
	c.summary = &s
	return s, errors.Join(errs...)
}

// finishReading has the ring read to its end and ends the reading goroutine:
// what that owned is ours from then on. A done ctx ends it where it is.
func (c *Collector) finishReading(ctx context.Context) error {
	err := c.reader.Flush()
	if err == nil {
		select {
		case <-c.done:
		case <-ctx.Done():
			err = fmt.Errorf("read the ring to its end: %w", context.Cause(ctx))
		}
	}
	closeErr := c.reader.Close() // also ends a read that was not flushed
	<-c.done
	c.decoder.Flush(c.sink)
	return errors.Join(err, c.readErr, closeErr)
}

// Trial loads and attaches the programs as a run would, and detaches them.
func Trial(_ context.Context, opts Options) ([]audit.Hook, error) {
	p, err := load(read(opts))
	if err != nil {
		return nil, explain(err)
	}
	defer p.close()
	if err := p.attach(); err != nil {
		return p.hooks, explain(err)
	}
	return p.hooks, p.detach()
}

// explain makes an error of loading into one that says why recording is not
// possible, and what would help.
func explain(err error) error {
	var have *audit.UnavailableError
	if errors.As(err, &have) {
		return err
	}
	out := &audit.UnavailableError{Err: err, Reason: "the probes could not be loaded", Hint: "run glasshouse doctor"}
	var refused *ebpf.VerifierError
	switch {
	case errors.As(err, &refused):
		// Also an EACCES or EPERM, but no right would help.
		out.Reason = "the kernel's verifier refused a probe"
		out.Hint = "please report this with the kernel's version"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		out.Reason = "no permission to load eBPF programs"
		if own := rights.Own(); !own.Capable {
			out.Hint = own.Remedy()
			// All that the kernel said. The library adds a guess that is wrong here, and
			// the name of what came first, which differs from run to run.
			out.Err = unix.EPERM
		}
	case errors.Is(err, os.ErrNotExist) && errors.As(err, new(*os.PathError)):
		out.Reason = "a file that the probes need is missing" // where /sys is not mounted
		out.Hint = "mount -t sysfs sysfs /sys; Linux 5.8 with BTF is the least"
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, os.ErrNotExist):
		out.Reason = "the kernel lacks something that the probes need"
		out.Hint = "run glasshouse doctor; Linux 5.8 with BTF is the least"
	}
	return out
}
