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
	"os"
	"sync"
	"sync/atomic"
	"time"

	"glasshouse/audit"
	"glasshouse/backend"
	"glasshouse/backend/microvm/channel"
	"glasshouse/backend/microvm/engine"
	"glasshouse/backend/microvm/proxy"
)

// limits are how long one side waits for the other.
type limits struct {
	boot     time.Duration // until the machine's recorder calls
	ready    time.Duration // until it is ready
	kill     time.Duration // for a run that was told to end, before its machine is ended
	result   time.Duration // for the guest's account, once the command has ended
	powerOff time.Duration // for the machine to switch itself off
	silence  time.Duration // of a machine that answers nothing
}

// An emulated machine on a busy host takes ten times what it takes on an idle
// one, and a large workspace takes its time on the way back.
var patient = limits{boot: 2 * time.Minute, ready: 2 * time.Minute, kill: 10 * time.Second, result: 10 * time.Minute, powerOff: 5 * time.Second, silence: 2 * time.Minute}

// Config is one machine and what is to be done in it.
type Config struct {
	Engine  engine.Engine
	Machine engine.Machine // but for Dir
	// Sums are the SHA-256 that the machine's files must have, in hex, by the
	// names of Part. A file without one is not checked.
	Sums map[string]string

	Workspace Workspace

	// Proxy lets the command reach what its rules allow; nil is no network.
	Proxy *proxy.Proxy

	BootLimit time.Duration // until the machine's recorder calls; 0 is two minutes

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
	booted  time.Duration // from the VMM's start until the guest called
	hello   *channel.Hello
	ready   *channel.Ready
	pid     int
	waited  bool

	cmd     backend.Command
	streams streams
	events  *events
	folder  folder
	image   image
	proxied proxied

	started  chan struct{} // closed when started or failed is set
	exited   chan struct{}
	finished chan struct{} // closed when nothing more is to come: result, or lost
	start    *channel.Started
	exit     *channel.Exited
	result   *channel.Result
	lost     error // why there is no result

	silent  atomic.Pointer[failure] // why a machine that hung was ended
	hurried atomic.Pointer[failure] // why one that took too long for a signal was
	hurry   sync.Once
	ending  sync.Once
	settled chan struct{} // closed when the guest has nothing more to give

	leave     chan struct{} // closed when a reader that takes nothing is not to be waited for
	leaveOnce sync.Once
	ended     chan struct{} // closed when there is nothing to wait for any more
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
		leave: make(chan struct{}), ended: make(chan struct{}), settled: make(chan struct{}),
	}
	if cfg.BootLimit > 0 {
		b.limits.boot = cfg.BootLimit
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
	go b.watch()
	err := b.instruct(ctx)
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

// boot starts the machine and waits until its recorder has called and greeted.
// All of that has one limit: with some engines a machine that hangs calls, and
// says nothing, with others it does not call.
func (b *Backend) boot(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, b.limits.boot, &failure{
		fmt.Sprintf("the machine's recorder has not called within %s (--boot-timeout gives it longer)", b.limits.boot)})
	defer cancel()
	dir, err := os.MkdirTemp("", "glasshouse-vm-")
	if err != nil {
		return err
	}
	b.dir = dir
	m := b.cfg.Machine
	m.Dir = dir
	b.image.hash(m)
	if b.vm, err = b.cfg.Engine.Boot(ctx, m); err != nil {
		return b.explain(ctx, fmt.Errorf("boot the machine: %w", err))
	}
	c, err := b.vm.Accept(ctx)
	if err != nil {
		return b.explain(ctx, fmt.Errorf("wait for the machine: %w", err))
	}
	b.counted = &countedConn{ReadWriteCloser: c}
	if b.conn, err = channel.Host(b.counted); err != nil {
		return err
	}
	if err := b.greet(ctx); err != nil {
		return b.explain(ctx, err)
	}
	return nil
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
	b.proxied.serve(b.cfg.Proxy, b.conn)
	if err := b.streams.terminal.take(b.control); err != nil {
		return err
	}
	// An error does not say that the guest has not got it: it may have ended since, and
	// receive tells what came of it.
	if b.control.Send(&channel.ToGuest{Start: &channel.Start{}}) != nil {
		_ = b.conn.Close()
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
	go b.streams.leave(b.leave, b.ended)
	b.streams.await(ctx, e.Stdout, e.Stderr)
	var missing error
	if ctx.Err() == nil {
		missing = b.streams.missing(e.Stdout, e.Stderr)
	} else {
		// Who takes nothing by now is not waited for at the machine's end either.
		b.LeaveStreams()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*leaveTime)
		b.streams.await(grace, e.Stdout, e.Stderr)
		cancel()
	}
	exit := backend.Exit{
		Code: e.Code, Signal: e.Signal, UserTime: e.User, SystemTime: e.System, MaxRSS: e.MaxRSS,
	}
	err := cause
	if err == nil && e.Error != "" {
		err = errors.New(e.Error)
	}
	return exit, errors.Join(err, missing, b.streams.err())
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

// LeaveStreams makes Wait, from the command's end on, give up a reader of the
// output that takes nothing. The recorder in the guest is told of the signal that
// this is for, and does the same.
func (b *Backend) LeaveStreams() { b.leaveOnce.Do(func() { close(b.leave) }) }

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
