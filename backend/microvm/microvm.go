// Package microvm runs a command in a fresh virtual machine, in which glasshouse
// itself is the first process and records. It is a backend and a collector at
// once: the machine does the work of both, and tells of it over a channel (see
// package channel). What comes from there is what the guest says; what the host
// knows itself stands in Report.
package microvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"glasshouse/audit"
	"glasshouse/backend"
	"glasshouse/backend/microvm/channel"
	"glasshouse/backend/microvm/engine"
)

// limits are how long one side waits for the other.
type limits struct {
	boot     time.Duration // until the machine's recorder calls
	ready    time.Duration // until it is ready
	kill     time.Duration // for a run that was told to end, before its machine is ended
	powerOff time.Duration // for the machine to switch itself off
}

// An emulated machine on a busy host takes ten times what it takes on an idle
// one.
var patient = limits{boot: 2 * time.Minute, ready: 2 * time.Minute, kill: 10 * time.Second, powerOff: 5 * time.Second}

// Config is one machine and what is to be done in it.
type Config struct {
	Engine  engine.Engine
	Machine engine.Machine // but for Dir
	// Sums are the SHA-256 that the machine's files must have, in hex, by the
	// names of Part. A file without one is not checked.
	Sums map[string]string

	Workspace Workspace

	User          string // as for backend.LookupUser, in the guest; "" is root
	Hostname      string
	Version       string // of glasshouse
	Strict        bool
	WaitTree      bool
	KillSurvivors bool
	Observe       bool
	CaptureArgv   bool
	NoBrake       bool
	RingSize      int
}

// Backend runs one command in one machine.
type Backend struct {
	cfg    Config
	limits limits

	mu      sync.Mutex
	state   state
	dir     string
	vm      engine.VM
	conn    *channel.Conn
	control *channel.Messages
	counted *countedConn
	launch  time.Time
	booted  time.Duration // until the guest called
	hello   *channel.Hello
	ready   *channel.Ready
	pid     int
	waited  bool

	cmd     backend.Command
	streams streams
	events  *events
	folder  folder
	image   image

	started  chan struct{} // closed when started or failed is set
	exited   chan struct{}
	finished chan struct{} // closed when nothing more is to come: result, or lost
	start    *channel.Started
	exit     *channel.Exited
	result   *channel.Result
	lost     error // why there is no result

	ending sync.Once
}

type state int

const (
	fresh state = iota
	prepared
	running
	closed
)

var (
	_ backend.Backend = (*Backend)(nil)
	_ backend.Process = (*Backend)(nil)
	_ backend.Remote  = (*Backend)(nil)
)

// New returns a backend for one command. Nothing is booted yet.
func New(cfg Config) *Backend {
	b := &Backend{
		cfg: cfg, limits: patient, started: make(chan struct{}), exited: make(chan struct{}), finished: make(chan struct{}),
	}
	b.events = newEvents(b)
	return b
}

// Metadata is the engine's name, vm.
func (b *Backend) Metadata() backend.Metadata {
	return backend.Metadata{Backend: b.cfg.Engine.Name(), Isolation: "vm"}
}

// Collector tells what the machine's recorder records. It is that of this
// backend's run, and of no other.
func (b *Backend) Collector() audit.Collector { return b.events }

// Prepare boots the machine and has its recorder make everything ready but the
// command.
func (b *Backend) Prepare(ctx context.Context, cmd backend.Command) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != fresh {
		return backend.ErrUsed
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if len(cmd.Argv) == 0 {
		return backend.ErrEmptyCommand
	}
	b.cmd = cmd
	b.streams.terminal = terminalOf(cmd)
	b.streams.joined = b.streams.terminal == nil && backend.SameWriter(cmd.Stdout, cmd.Stderr)
	if err := b.boot(ctx); err != nil {
		b.end()
		return err
	}
	err := b.greet(ctx)
	if err == nil {
		err = b.image.check(b.cfg.Sums)
	}
	if err != nil {
		err = b.explain(ctx, err)
		b.end()
		return err
	}
	b.state = prepared
	go b.receive()
	return nil
}

// boot starts the machine and waits for its call.
func (b *Backend) boot(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "glasshouse-vm-")
	if err != nil {
		return err
	}
	b.dir = dir
	m := b.cfg.Machine
	m.Dir = dir
	b.image.hash(m)
	b.launch = time.Now()
	if b.vm, err = b.cfg.Engine.Boot(ctx, m); err != nil {
		return fmt.Errorf("boot the machine: %w", err)
	}
	c, err := b.vm.Accept(ctx)
	if err != nil {
		return b.explain(ctx, fmt.Errorf("wait for the machine: %w", err))
	}
	b.counted = &countedConn{ReadWriteCloser: c}
	b.conn, err = channel.Host(b.counted)
	return err
}

// greet brings the guest to where only the command is missing.
func (b *Backend) greet(ctx context.Context) error {
	// A guest that says nothing is ended, which ends every read from it.
	stop := b.within(ctx, b.limits.boot, "the machine's recorder has not called within %s")
	control, err := b.conn.Accept(channel.Control)
	if err == nil {
		b.control = channel.NewMessages(control)
		var m channel.ToHost
		if err = b.control.Receive(&m); err == nil {
			b.hello, err = expect(&m, m.Hello, "a greeting")
		}
	}
	if why := stop(); why != nil {
		return why
	}
	if err != nil {
		return err
	}
	b.booted = time.Since(b.launch)
	if err := b.hello.Check(audit.Layout(), b.cfg.Version); err != nil {
		return err
	}
	b.events.pageSize = b.hello.PageSize

	stop = b.within(ctx, b.limits.ready, "the machine's recorder was not ready within %s")
	b.ready, err = b.instruct()
	if why := stop(); why != nil {
		return why
	}
	return err
}

// instruct says what is to be run, takes the streams, and waits until the guest
// is ready.
func (b *Backend) instruct() (*channel.Ready, error) {
	if err := b.control.Send(&channel.ToGuest{Spec: b.spec()}); err != nil {
		return nil, err
	}
	if err := b.streams.accept(b.conn, b.cmd); err != nil {
		return nil, err
	}
	records, err := b.conn.Accept(channel.Records)
	if err != nil {
		return nil, err
	}
	b.events.stream = records
	if err := b.folder.send(b.conn, b.cfg.Workspace); err != nil {
		return nil, err
	}
	var m channel.ToHost
	if err := b.control.Receive(&m); err != nil {
		return nil, err
	}
	ready, err := expect(&m, m.Ready, "to be ready")
	if err == nil {
		err = b.folder.sent()
	} else {
		err = b.folder.cause(err)
	}
	if err != nil {
		return nil, err
	}
	return ready, ready.Check()
}

func (b *Backend) spec() *channel.Spec {
	c := &b.cfg
	s := &channel.Spec{
		Argv: toBytes(b.cmd.Argv), Dir: []byte(b.cmd.Dir), Env: toBytes(b.cmd.Env), User: c.User,
		Now: time.Now(), Hostname: c.Hostname, Stdin: b.cmd.Stdin != nil,
		Terminal: b.streams.terminal.spec(), Joined: b.streams.joined,
		Strict: c.Strict, WaitTree: c.WaitTree, KillSurvivors: c.KillSurvivors,
		Workspace: c.Workspace.Guest,
		Observe:   c.Observe, CaptureArgv: c.CaptureArgv, NoBrake: c.NoBrake, RingSize: c.RingSize,
	}
	return s
}

func toBytes(list []string) [][]byte {
	out := make([][]byte, len(list))
	for i, s := range list {
		out[i] = []byte(s)
	}
	return out
}

// expect is the part of a message that was to come. A guest that failed says why.
func expect[T any](m *channel.ToHost, part *T, what string) (*T, error) {
	switch {
	case m.Failed != nil:
		return nil, &failure{m.Failed.Reason}
	case part == nil:
		return nil, fmt.Errorf("the guest was to send %s, and sent something else", what)
	}
	return part, nil
}

// failure is an error that says everything: what the recorder in the guest said
// of a command that it could not run, as it would have said it here, or that
// there was nothing from it for too long.
type failure struct{ reason string }

func (f *failure) Error() string { return f.reason }

// within ends the machine if the returned function is not called in time, or ctx
// is done. That function says which.
func (b *Backend) within(ctx context.Context, limit time.Duration, format string) (stop func() error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &failure{fmt.Sprintf(format, limit)})
	after := context.AfterFunc(ctx, b.vm.Kill)
	return func() error {
		defer cancel()
		if after() {
			return nil
		}
		return context.Cause(ctx)
	}
}

// explain adds to an error what the machine's end, if it has ended, has to say.
func (b *Backend) explain(ctx context.Context, err error) error {
	if context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	var said *failure
	if errors.As(err, &said) || b.vm == nil {
		return err
	}
	// What ends a connection is mostly the machine's own end, right behind it.
	select {
	case <-b.vm.Done():
	case <-time.After(time.Second):
		return err
	}
	return b.vmEnd(err)
}

// vmEnd says how the machine ended, in the words of its kernel if it had some.
func (b *Backend) vmEnd(err error) error {
	text := "the virtual machine ended by itself"
	if how := b.vm.Err(); how != nil {
		text = fmt.Sprintf("the virtual machine's monitor ended: %v", how)
	}
	if last := lastWords(b.vm.Console()); last != "" {
		text += ": " + last
	}
	if err != nil && !errors.Is(err, io.EOF) {
		text += fmt.Sprintf(" (%v)", err)
	}
	return errors.New(text)
}

// lastWords is the line of a console that says why the machine ended: that of a
// panic if there is one, else the last.
func lastWords(console string) string {
	lines := strings.Split(strings.TrimSpace(console), "\n")
	for _, sign := range []string{"Kernel panic", "Out of memory", "glasshouse:"} {
		for _, line := range lines {
			if at := strings.Index(line, sign); at >= 0 {
				return strings.TrimSpace(line[at:])
			}
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// Start lets the command go.
func (b *Backend) Start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.state == fresh:
		return backend.ErrNotPrepared
	case b.state != prepared:
		return backend.ErrUsed
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	b.state = running
	b.events.read()
	b.streams.copy(b.cmd)
	b.folder.receive(b.cfg.Workspace)
	if err := b.streams.terminal.take(b.control); err != nil {
		return err
	}
	if err := b.control.Send(&channel.ToGuest{Start: &channel.Start{}}); err != nil {
		return b.explain(ctx, err)
	}
	select {
	case <-b.started:
	case <-b.finished:
	case <-ctx.Done():
		b.vm.Kill()
		return context.Cause(ctx)
	}
	if b.start == nil {
		return b.lost
	}
	b.pid = b.start.PID
	return nil
}

// receive takes what the guest says from Ready on, to the end.
func (b *Backend) receive() {
	defer close(b.finished)
	lost := func(err error) { b.lost = b.explain(context.Background(), err) }
	for {
		var m channel.ToHost
		if err := b.control.Receive(&m); err != nil {
			lost(err)
			return
		}
		switch {
		case m.Started != nil && b.start == nil && m.Started.PID > 0:
			b.start = m.Started
			close(b.started)
		case m.Exited != nil && b.start != nil && b.exit == nil:
			if err := m.Exited.Check(); err != nil {
				lost(err)
				return
			}
			b.exit = m.Exited
			close(b.exited)
		case m.Result != nil && b.exit != nil:
			if err := m.Result.Check(); err != nil {
				lost(err)
				return
			}
			b.result = m.Result
			return
		case m.Failed != nil:
			b.lost = &failure{m.Failed.Reason}
			return
		default:
			lost(errors.New("a message of the guest's that may not stand where it does"))
			return
		}
	}
}

// Wait returns when the command has ended and what it printed until then has
// been copied. A done ctx has the guest kill the run, and then its machine.
func (b *Backend) Wait(ctx context.Context) (backend.Exit, error) {
	if err := b.claim(); err != nil {
		return backend.Exit{}, err
	}
	defer b.streams.terminal.giveBack()
	exited := b.exited
	if b.cfg.WaitTree || b.cfg.KillSurvivors {
		exited = b.finished // the guest does both
	}
	var cause error
	select {
	case <-exited:
	case <-b.finished:
	case <-ctx.Done():
		cause = context.Cause(ctx)
		b.kill(cause)
	}
	switch {
	case b.exitSeen() != nil:
	case cause != nil: // its machine was ended, and it with that
		return backend.Exit{Code: 128 + 9, Signal: "SIGKILL"}, cause
	default:
		return backend.Exit{}, b.lost
	}
	e := b.exit
	b.streams.await(ctx, e.Stdout, e.Stderr)
	exit := backend.Exit{
		Code: e.Code, Signal: e.Signal, UserTime: e.User, SystemTime: e.System, MaxRSS: e.MaxRSS,
	}
	err := cause
	if err == nil && e.Error != "" {
		err = errors.New(e.Error)
	}
	return exit, errors.Join(err, b.streams.err())
}

// claim is for the one Wait.
func (b *Backend) claim() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.state != running || b.pid == 0:
		return backend.ErrNotStarted
	case b.waited:
		return backend.ErrUsed
	}
	b.waited = true
	return nil
}

// exitSeen is how the command ended, as far as is known now.
func (b *Backend) exitSeen() *channel.Exited {
	select {
	case <-b.exited:
		return b.exit
	default:
		return nil
	}
}

// kill has the run end, and then the machine.
func (b *Backend) kill(cause error) {
	go b.tell(channel.ToGuest{Kill: &channel.Kill{Reason: cause.Error()}})
	select {
	case <-b.finished:
		return
	case <-b.exited:
	case <-time.After(b.limits.kill):
		b.vm.Kill()
	}
	select {
	case <-b.finished:
	case <-time.After(b.limits.kill):
		b.vm.Kill()
		<-b.finished
	}
}

// tell sends what the guest may be gone for, or so stuck that it takes nothing.
func (b *Backend) tell(m channel.ToGuest) { _ = b.control.Send(&m) }

// PID is the number of the root process in the guest; 0 before it is there.
func (b *Backend) PID() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pid
}

// Signal has the guest deliver a signal to the root process.
func (b *Backend) Signal(sig int) error {
	if b.PID() == 0 {
		return backend.ErrNotStarted
	}
	return b.control.Send(&channel.ToGuest{Signal: sig})
}

// Machine is what the guest says of itself and of the command; nil before it is
// ready.
func (b *Backend) Machine() *backend.Machine {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ready == nil {
		return nil
	}
	return &backend.Machine{
		Kernel: b.hello.Kernel, Arch: b.hello.Arch, BootTime: b.ready.BootTime, PageSize: b.hello.PageSize, Recorder: 1,
		Exe: string(b.ready.Exe), WorkingDir: string(b.ready.WorkingDir),
		User: backend.User{UID: b.ready.UID, GID: b.ready.GID, Name: b.ready.User},
	}
}

// finish waits for the guest's account, and lets the guest go.
func (b *Backend) finish(ctx context.Context) {
	select {
	case <-b.finished:
	case <-ctx.Done():
		b.vm.Kill()
		<-b.finished
	}
	b.ending.Do(func() {
		if b.vm == nil || b.control == nil {
			return
		}
		b.streams.drain(b.finishedStreams(ctx))
		b.folder.received(b.finishedStreams(ctx), b.result)
		go b.tell(channel.ToGuest{Ack: &channel.Ack{}})
		select {
		case <-b.vm.Done():
		case <-time.After(b.limits.powerOff):
			b.vm.Kill()
		}
	})
}

// closedNow is a channel that is closed.
var closedNow = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (b *Backend) finishedStreams(ctx context.Context) <-chan struct{} {
	if b.result == nil {
		return closedNow
	}
	return ctx.Done()
}

// end ends the machine, whatever it is doing, and removes its folder. mu is held.
func (b *Backend) end() {
	b.state = closed
	b.streams.terminal.giveBack()
	if b.conn != nil {
		_ = b.conn.Close()
	}
	if b.vm != nil {
		b.vm.Kill()
		<-b.vm.Done()
	}
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}

// Cleanup ends the machine and removes what was made for it.
func (b *Backend) Cleanup(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == closed {
		return nil
	}
	if b.state == running && b.exitSeen() != nil {
		b.finish(ctx)
	}
	b.end()
	return b.afterwards()
}

// afterwards is what went wrong in the guest's run once the command had ended,
// such as the killing of what it left. What Wait has told is not told again.
func (b *Backend) afterwards() error {
	select {
	case <-b.finished:
	default:
		return nil // it was ended before it could tell
	}
	if b.result == nil || b.result.Error == "" || b.result.Error == b.exit.Error {
		return nil
	}
	return errors.New(b.result.Error)
}

// Report is what the host itself knows of the machine.
type Report struct {
	Engine         engine.Facts
	Boot           time.Duration // until its recorder called
	Sent, Received uint64        // bytes on the channel
	End            string        // how the VMM ended; "" is exit code 0
	Image          []Part
	Duties         []channel.Duty // as the guest says
	Workspace      *WorkspaceReport
}

// Report tells of a machine that has ended; nil if none was booted.
func (b *Backend) Report() *Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.vm == nil {
		return nil
	}
	r := &Report{Engine: b.vm.Facts(), Boot: b.booted}
	if b.image.group.Wait() == nil {
		r.Image = b.image.parts
	}
	if b.counted != nil {
		r.Sent, r.Received = b.counted.written.Load(), b.counted.read.Load()
	}
	select {
	case <-b.vm.Done():
		if err := b.vm.Err(); err != nil {
			r.End = err.Error()
		}
	default:
	}
	if b.result != nil {
		r.Duties = b.result.Duties
	}
	r.Workspace = b.folder.report
	return r
}

// countedConn counts what goes over the channel.
type countedConn struct {
	io.ReadWriteCloser
	read, written atomic.Uint64
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	c.read.Add(uint64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Write(p)
	c.written.Add(uint64(n))
	return n, err
}
