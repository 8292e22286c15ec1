// Package fake is a backend for tests of who uses one. It runs nothing: it
// does what its fields say and remembers what it was asked for.
package fake

import (
	"context"
	"slices"
	"sync"

	"glasshouse/backend"
)

// Backend is a scripted backend. Set the fields before its first use.
type Backend struct {
	Meta   backend.Metadata // the zero value is fake, none
	RootID int              // what PID returns after Start
	Exit   backend.Exit     // what Wait returns

	// What the methods return, after they are recorded. With StartErr there
	// is no command to wait for.
	PrepareErr, StartErr, WaitErr, CleanupErr, SignalErr, KillErr error

	// Written to the command's streams during Start; an error of a writer
	// becomes Start's.
	Stdout, Stderr []byte

	// Block keeps Wait from returning before KillTree or the end of its
	// context. Started and Waiting are called, if set, from within Start and
	// once Wait blocks.
	Block            bool
	Started, Waiting func()

	mu                        sync.Mutex
	calls                     []string
	signals                   []int
	command                   backend.Command
	prepared, started, waited bool
	closed                    bool
	killed                    chan struct{}
}

var (
	_ backend.Backend    = (*Backend)(nil)
	_ backend.Process    = (*Backend)(nil)
	_ backend.TreeKiller = (*Backend)(nil)
)

// Calls are the names of the methods called so far, in order: Prepare, Start,
// Wait, Cleanup, Signal and KillTree.
func (b *Backend) Calls() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.calls)
}

// Signals are those that Signal was called with, in order.
func (b *Backend) Signals() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.signals)
}

// Command is what Prepare was given.
func (b *Backend) Command() backend.Command {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.command
}

// call records a call and returns with the lock held.
func (b *Backend) call(name string) {
	b.mu.Lock()
	b.calls = append(b.calls, name)
	if b.killed == nil {
		b.killed = make(chan struct{})
	}
}

// Prepare remembers the command.
func (b *Backend) Prepare(ctx context.Context, cmd backend.Command) error {
	b.call("Prepare")
	defer b.mu.Unlock()
	switch {
	case b.prepared || b.closed:
		return backend.ErrUsed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(cmd.Argv) == 0:
		return backend.ErrEmptyCommand
	case b.PrepareErr != nil:
		return b.PrepareErr
	}
	b.prepared, b.command = true, cmd
	return nil
}

// Start writes the scripted output.
func (b *Backend) Start(ctx context.Context) error {
	b.call("Start")
	defer b.mu.Unlock()
	switch {
	case !b.prepared:
		return backend.ErrNotPrepared
	case b.started || b.closed:
		return backend.ErrUsed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case b.StartErr != nil:
		return b.StartErr
	}
	if b.Started != nil {
		b.Started()
	}
	if w := b.command.Stdout; w != nil && len(b.Stdout) > 0 {
		if _, err := w.Write(b.Stdout); err != nil {
			return err
		}
	}
	if w := b.command.Stderr; w != nil && len(b.Stderr) > 0 {
		if _, err := w.Write(b.Stderr); err != nil {
			return err
		}
	}
	b.started = true
	return nil
}

// Wait returns Exit and WaitErr. A blocked command that was killed has ended
// by SIGKILL, whatever Exit says; ctx's cause goes before WaitErr.
func (b *Backend) Wait(ctx context.Context) (backend.Exit, error) {
	b.call("Wait")
	if !b.started {
		b.mu.Unlock()
		return backend.Exit{}, backend.ErrNotStarted
	}
	if b.waited {
		b.mu.Unlock()
		return backend.Exit{}, backend.ErrUsed
	}
	b.waited = true
	killed := b.killed
	b.mu.Unlock()

	if !b.Block {
		return b.Exit, b.WaitErr
	}
	if b.Waiting != nil {
		b.Waiting()
	}
	exit := backend.Exit{Code: 128 + 9, Signal: "SIGKILL"}
	select {
	case <-ctx.Done():
		return exit, context.Cause(ctx)
	case <-killed:
		return exit, b.WaitErr
	}
}

// Cleanup returns CleanupErr, the first time.
func (b *Backend) Cleanup(context.Context) error {
	b.call("Cleanup")
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	return b.CleanupErr
}

// Metadata is Meta.
func (b *Backend) Metadata() backend.Metadata {
	if b.Meta == (backend.Metadata{}) {
		return backend.Metadata{Backend: "fake", Isolation: "none"}
	}
	return b.Meta
}

// PID is RootID once the command has been started.
func (b *Backend) PID() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.started {
		return 0
	}
	return b.RootID
}

// Signal remembers the signal.
func (b *Backend) Signal(sig int) error {
	b.call("Signal")
	defer b.mu.Unlock()
	if !b.started {
		return backend.ErrNotStarted
	}
	b.signals = append(b.signals, sig)
	return b.SignalErr
}

// KillTree ends a Wait that blocks.
func (b *Backend) KillTree() error {
	b.call("KillTree")
	defer b.mu.Unlock()
	if !b.started {
		return backend.ErrNotStarted
	}
	select {
	case <-b.killed:
	default:
		close(b.killed)
	}
	return b.KillErr
}
