//go:build linux && (amd64 || arm64)

package ptrace

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"glasshouse/audit"
	"glasshouse/internal/procfs"
	"glasshouse/receipt"
)

// Collector records with ptrace. See audit.Collector.
type Collector struct {
	opts   Options
	filter []bpf.RawInstruction

	mu      sync.Mutex // guards what follows against Stop
	tracer  *remote
	summary *audit.Summary
	stopped int // the command's number, within Launch

	run        sync.Mutex // guards what follows; held for moments, by the reading goroutine too
	standby    *remote    // takes the tracer's place if that is killed; nil if there is none yet
	alive      map[audit.ProcessID]bool
	noNewPrivs bool
	launched   bool
	ended      bool

	answers chan error
	books   chan audit.Summary
	samples chan audit.Summary
	done    chan struct{} // closed when the reading goroutine has ended

	// Owned by the reading goroutine until done is closed.
	decoder   *audit.Decoder
	sink      audit.Sink
	tap       func([]byte)
	received  uint64
	malformed uint64
	readErr   error
}

// New returns a collector.
func New(opts Options) audit.Collector { return &Collector{opts: opts} }

// Mode is how receipts name this collector.
func (c *Collector) Mode() string { return "ptrace" }

// StopsAtExec is true: see audit.ExecStopper.
func (c *Collector) StopsAtExec() bool { return true }

// Stopped says which process that is.
func (c *Collector) Stopped(pid int) { c.stopped = pid }

// TapRecords has tap called with each record. See audit.RawSource.
func (c *Collector) TapRecords(tap func(record []byte)) { c.tap = tap }

// Layout is audit's own.
func (c *Collector) Layout() string { return audit.Layout() }

// Attach starts the tracer, which finds out whether it may trace.
func (c *Collector) Attach(ctx context.Context, sink audit.Sink) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tracer != nil || c.summary != nil {
		return errors.New("collector is already in use")
	}
	var err error
	if c.filter, err = assemble(c.opts.DenyIOURing); err != nil {
		return unavailable(err)
	}
	if err := procIsOurs(); err != nil {
		return unavailable(err)
	}
	if c.opts.DebugEvents != nil {
		sink = audit.Trace(sink, c.opts.DebugEvents)
	}
	c.sink = func(ev audit.Event) {
		c.live(ev)
		sink(ev)
	}
	if c.tracer, err = spawn(c.wishes()); err != nil {
		return unavailable(err)
	}
	c.alive = map[audit.ProcessID]bool{}
	c.decoder = audit.NewDecoder(os.Getpagesize())
	c.answers, c.done = make(chan error, 1), make(chan struct{})
	c.books, c.samples = make(chan audit.Summary, 1), make(chan audit.Summary, 1)
	go c.read(c.tracer.records)
	if err := c.answer(ctx); err != nil {
		c.discard()
		return unavailable(err)
	}
	return nil
}

// discard ends a tracer that has nobody to trace.
func (c *Collector) discard() {
	_ = c.tracer.orders.Close()
	_ = c.tracer.proc.Kill()
	<-c.done
	_, _ = c.tracer.proc.Wait()
	c.tracer = nil
}

func (c *Collector) wishes() wishes {
	return wishes{KillOnDeath: c.opts.KillOnDeath, NoArgv: !c.opts.CaptureArgv}
}

// answer waits for the tracer's.
func (c *Collector) answer(ctx context.Context) error {
	select {
	case err := <-c.answers:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the tracer: %w", context.Cause(ctx))
	case <-c.done:
		return fmt.Errorf("the tracer ended: %w", errors.Join(c.readErr, io.ErrUnexpectedEOF))
	}
}

func (c *Collector) read(r *os.File) {
	defer close(c.done)
	defer r.Close()
	in := bufio.NewReaderSize(r, 256<<10)
	var buf []byte
	for {
		kind, data, err := readFrame(in, &buf)
		if err != nil {
			c.succeed()
			if err != io.EOF {
				c.readErr = err
			}
			return
		}
		switch kind {
		case frameRecord:
			c.take(data)
		case frameAnswer:
			c.answers <- answered(data)
		case frameBooks, frameSample:
			var sum audit.Summary
			if err := json.Unmarshal(data, &sum); err != nil {
				c.readErr = fmt.Errorf("the tracer's books: %w", err)
				return
			}
			if kind == frameBooks {
				c.books <- sum
				return // the last that it sends
			}
			select {
			case c.samples <- sum:
			default: // nobody waits for it any more
			}
		default:
			c.readErr = fmt.Errorf("a frame of kind %q", kind)
			return
		}
	}
}

// answered is the error that an answer says; nil if it says none.
func answered(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	f := &failure{}
	if err := json.Unmarshal(data, f); err != nil {
		return fmt.Errorf("the tracer's answer: %w", err)
	}
	return f
}

// prepare starts who takes the tracer's place if that is killed.
func (c *Collector) prepare() {
	r, err := spawn(c.wishes())
	if err != nil {
		return // then there is none
	}
	c.run.Lock()
	defer c.run.Unlock()
	if c.ended || c.standby != nil {
		r.end()
		return
	}
	c.standby = r
}

// succeed has the run go on without its tracer, if that was killed.
func (c *Collector) succeed() {
	c.run.Lock()
	defer c.run.Unlock()
	if c.standby == nil {
		return
	}
	o := order{}
	for id := range c.alive {
		o.Adopt = append(o.Adopt, int(id.PID))
	}
	_ = c.standby.order(o) // if that is gone as well, nobody can help
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

// live keeps the set of processes that have not exited.
func (c *Collector) live(ev audit.Event) {
	switch e := ev.(type) {
	case *audit.Fork:
		c.run.Lock()
		c.alive[e.Child] = true
		c.run.Unlock()
	case *audit.Exit:
		c.run.Lock()
		delete(c.alive, e.Process)
		c.run.Unlock()
	}
}

// Launch calls start, which leaves the command stopped behind its exec, and
// hands it to the tracer with the filter installed.
func (c *Collector) Launch(start func() error) error {
	c.mu.Lock()
	attached := c.tracer != nil
	c.mu.Unlock()
	if !attached {
		return errors.New("collector is not attached")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := start(); err != nil {
		return err
	}
	h, died, err := awaitExec(c.stopped)
	if err != nil {
		return err
	}
	if died != 0 {
		return c.hand(order{Dead: h.pid, Signal: int(died)})
	}
	noNewPrivs, err := h.install(c.filter)
	if err == nil {
		// Where Yama lets ancestors alone trace, the tracer is none. Elsewhere the
		// kernel does not know this option.
		_, _ = h.call("prctl", unix.PR_SET_PTRACER, uint64(c.tracer.proc.Pid), 0, 0, 0)
	}
	if releaseErr := h.release(); releaseErr != nil || err != nil {
		_ = unix.Kill(h.pid, unix.SIGKILL) // with the filter it cannot run alone
		return errors.Join(err, releaseErr)
	}
	c.run.Lock()
	c.noNewPrivs, c.launched = noNewPrivs, true
	c.run.Unlock()
	if err := c.hand(order{Seize: h.pid}); err != nil {
		_ = unix.Kill(h.pid, unix.SIGKILL)
		return err
	}
	if !c.opts.KillOnDeath {
		go c.prepare()
	}
	return nil
}

// hand tells the tracer of the command, and waits for what it says.
func (c *Collector) hand(o order) error {
	own, err := procfs.ReadStat(os.Getpid())
	if err != nil {
		return err
	}
	const tick = 10_000_000 // ns
	o.ParentPID, o.ParentStart = os.Getpid(), own.Start*tick
	if err := c.tracer.order(o); err != nil {
		return err
	}
	return c.answer(context.Background()) // it has the command, which the run ends if it has to
}

// Hooks tells what is attached: one filter.
func (c *Collector) Hooks() []audit.Hook {
	return []audit.Hook{{Name: "ptrace", Attached: true}, {Name: "seccomp", Attached: true}}
}

// Alive returns the recorded processes that have not exited.
func (c *Collector) Alive() ([]audit.ProcessID, error) {
	c.run.Lock()
	defer c.run.Unlock()
	ids := make([]audit.ProcessID, 0, len(c.alive))
	for id := range c.alive {
		ids = append(ids, id)
	}
	return ids, nil
}

// Sample tells what was counted so far. See audit.Sampler.
func (c *Collector) Sample() (audit.Summary, error) {
	c.mu.Lock()
	tracer := c.tracer
	c.mu.Unlock()
	if tracer == nil {
		return audit.Summary{}, errors.New("collector is not attached")
	}
	if err := tracer.order(order{Sample: true}); err != nil {
		return audit.Summary{}, err
	}
	select {
	case s := <-c.samples:
		s.Gaps = append(s.Gaps, c.Gaps()...)
		return s, nil
	case <-c.done:
		return audit.Summary{}, errors.New("the tracer has ended")
	}
}

// Stop takes what is still on its way and returns the books. The tracer stays
// for those that outlive the run, which could not go on without it.
func (c *Collector) Stop(ctx context.Context) (audit.Summary, error) {
	c.mu.Lock()
	done := c.summary
	tracer := c.tracer
	c.mu.Unlock()
	if done != nil {
		return *done, nil
	}
	if tracer == nil {
		c.summary = &audit.Summary{Mode: "none"}
		return *c.summary, nil
	}
	s := audit.Summary{Mode: "ptrace", Lost: map[string]uint64{}}
	var errs []error
	stopErr := tracer.order(order{Stop: true})
	select {
	case s = <-c.books:
	case <-c.done:
		select {
		case s = <-c.books:
		default:
			errs = append(errs, fmt.Errorf("the tracer ended early, and nothing was recorded from then on: %w", errors.Join(c.readErr, stopErr)))
		}
	case <-ctx.Done():
		errs = append(errs, fmt.Errorf("wait for the tracer: %w", context.Cause(ctx)))
	}
	_ = tracer.orders.Close()
	if len(errs) > 0 {
		_ = tracer.proc.Kill()
	}
	<-c.done
	alive, _ := c.Alive() // it has no error
	if len(alive) == 0 || len(errs) > 0 {
		_ = tracer.proc.Kill() // nobody needs it, or nobody knows what it does
		_, _ = tracer.proc.Wait()
	} else {
		go tracer.proc.Wait() // it ends with the last of them
	}
	c.decoder.Flush(c.sink)
	s.Received, s.Missing = c.received, c.decoder.Missing()+c.malformed
	if c.malformed > 0 {
		s.Lost["malformed"] = c.malformed
	}
	c.run.Lock()
	c.ended = true
	if c.standby != nil {
		c.standby.end()
	}
	c.run.Unlock()
	s.Hooks = c.Hooks()
	s.Alive = alive
	s.Gaps = append(s.Gaps, c.Gaps()...)
	if len(errs) > 0 {
		s.Emitted = max(s.Emitted, s.Received)
	}
	for _, err := range errs {
		s.Doubts = append(s.Doubts, err.Error())
	}
	c.mu.Lock()
	c.summary = &s
	c.mu.Unlock()
	return s, errors.Join(errs...)
}

// Gaps are those of every run that is recorded in this way.
func (c *Collector) Gaps() []audit.Gap {
	c.run.Lock()
	defer c.run.Unlock()
	if !c.launched {
		return nil
	}
	traced := "processes could not trace one another"
	if c.noNewPrivs || !mayTraceAll() {
		traced += ", nor gain rights by a setuid program"
	}
	gaps := []audit.Gap{
		{Kind: receipt.GapPtrace, Count: 1, Detail: traced},
		{Kind: receipt.GapSyscalls, Count: 1, Detail: "only calls at which the filter stops are counted: those of files, processes and network"},
	}
	if c.noNewPrivs {
		gaps = append(gaps, audit.Gap{Kind: receipt.GapPtrace, Count: 1, Detail: "no_new_privs was set, which the filter needs without root's rights"})
	}
	return gaps
}

// mayTraceAll tells whether the kernel lets a traced process gain rights: its
// tracer could have them anyhow.
func mayTraceAll() bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&head, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_PTRACE) != 0
}

// procIsOurs tells whether /proc shows the processes as this one numbers them.
func procIsOurs() error {
	var fs unix.Statfs_t
	if err := unix.Statfs("/proc", &fs); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	if fs.Type != unix.PROC_SUPER_MAGIC {
		return errForeignProc
	}
	self, err := os.Readlink("/proc/self")
	if err == nil && self != strconv.Itoa(os.Getpid()) {
		err = errForeignProc
	}
	return err
}

var errForeignProc = errors.New("/proc is not that of this PID namespace")

// Trial finds out whether processes can be traced, as a run would.
func Trial() error {
	c := &Collector{}
	if err := c.Attach(context.Background(), func(audit.Event) {}); err != nil {
		return err
	}
	_, err := c.Stop(context.Background())
	return err
}

// unavailable says why nothing can be traced here, and what would help.
func unavailable(err error) error {
	out := &audit.UnavailableError{Err: err, Reason: "processes cannot be traced"}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		out.Hint = "let the container trace (--cap-add SYS_PTRACE), or see kernel.yama.ptrace_scope"
	case errors.Is(err, unix.ENOENT):
		out.Hint = "mount /proc: what a process does is read there"
	case errors.Is(err, unix.EAGAIN):
		out.Hint = "allow more processes (ulimit -u, or the container's limit): the tracer is one"
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		out.Hint = "use a kernel with seccomp filters (CONFIG_SECCOMP_FILTER), 5.3 or newer"
	}
	if errors.Is(err, errForeignProc) {
		out.Hint = "mount a /proc of this namespace's own, as unshare --mount-proc does"
	}
	return out
}
