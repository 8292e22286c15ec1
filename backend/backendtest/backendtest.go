// Package backendtest is the contract of backend.Backend as tests. Every
// backend passes them.
package backendtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"glasshouse/backend"
)

// Capabilities tell which part of the contract a backend can be held to here.
type Capabilities struct {
	// Starts: Start succeeds. Without it Start must fail with
	// errors.ErrUnsupported. With it and without Commands, Wait must block
	// until its context is done.
	Starts bool

	// Commands: it really runs the programs of a POSIX system, with the
	// files of this machine.
	Commands bool

	// Orphans: KillTree finds processes that have left their parents.
	Orphans bool
}

// timeout is far above what any test needs: it turns a hang into a failure.
const timeout = 30 * time.Second

// Run tests the backends that make returns, one for each test.
func Run(t *testing.T, make func(t *testing.T) backend.Backend, caps Capabilities) {
	s := &suite{make: make}
	t.Run("Metadata", s.metadata)
	t.Run("Cleanup", s.cleanup)
	t.Run("Order", s.order)
	t.Run("Cancelled", s.cancelled)
	if !caps.Starts {
		t.Run("Unsupported", s.unsupported)
		return
	}
	t.Run("StartedOrder", s.startedOrder)
	t.Run("CancelledWait", s.cancelledWait)
	t.Run("CleanupOfRunning", s.cleanupOfRunning)
	if !caps.Commands {
		return
	}
	s.commands(t)
	s.streams(t)
	s.ends(t, caps)
}

type suite struct {
	make func(t *testing.T) backend.Backend
}

// idle is a command that does not end by itself in a test's time.
var idle = backend.Command{Argv: []string{"sleep", "300"}}

func (s *suite) new(t *testing.T) backend.Backend {
	t.Helper()
	b := s.make(t)
	t.Cleanup(func() {
		if err := b.Cleanup(context.Background()); err != nil {
			t.Errorf("cleanup: %v", err)
		}
	})
	return b
}

func (s *suite) started(t *testing.T, cmd backend.Command) backend.Backend {
	t.Helper()
	b := s.new(t)
	if err := b.Prepare(t.Context(), cmd); err != nil {
		t.Fatalf("prepare: %v", err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatalf("start: %v", err)
	}
	return b
}

// wait waits for a command that must end by itself.
func wait(t *testing.T, b backend.Backend) backend.Exit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	exit, err := b.Wait(ctx)
	if err != nil {
		t.Fatalf("wait: %+v, %v", exit, err)
	}
	return exit
}

func (s *suite) metadata(t *testing.T) {
	b := s.new(t)
	before := b.Metadata()
	if before.Backend == "" || before.Isolation == "" {
		t.Errorf("incomplete: %+v", before)
	}
	_ = b.Prepare(t.Context(), idle)
	if after := b.Metadata(); after != before {
		t.Errorf("changed from %+v to %+v", before, after)
	}
}

func (s *suite) cleanup(t *testing.T) {
	b := s.make(t)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		if err := b.Cleanup(done); err != nil {
			t.Errorf("without Prepare: %v", err)
		}
	}
	if err := b.Prepare(t.Context(), idle); err == nil {
		t.Error("Prepare after Cleanup succeeded")
	}
	if err := b.Start(t.Context()); err == nil {
		t.Error("Start after Cleanup succeeded")
	}

	b = s.make(t)
	_ = b.Prepare(t.Context(), idle)
	for range 2 {
		if err := b.Cleanup(done); err != nil {
			t.Errorf("after Prepare: %v", err)
		}
	}
	if err := b.Start(t.Context()); err == nil {
		t.Error("Start after Prepare and Cleanup succeeded")
	}
}

func (s *suite) order(t *testing.T) {
	b := s.new(t)
	if err := b.Prepare(t.Context(), backend.Command{}); !errors.Is(err, backend.ErrEmptyCommand) {
		t.Errorf("Prepare without a command: %v", err)
	}
	b = s.new(t)
	if err := b.Start(t.Context()); !errors.Is(err, backend.ErrNotPrepared) {
		t.Errorf("Start without Prepare: %v", err)
	}
	if _, err := b.Wait(t.Context()); !errors.Is(err, backend.ErrNotStarted) {
		t.Errorf("Wait without Start: %v", err)
	}
	if p, ok := b.(backend.Process); ok {
		if pid := p.PID(); pid != 0 {
			t.Errorf("PID without Start: %d", pid)
		}
		if err := p.Signal(15); !errors.Is(err, backend.ErrNotStarted) {
			t.Errorf("Signal without Start: %v", err)
		}
	}
	if k, ok := b.(backend.TreeKiller); ok {
		if err := k.KillTree(); !errors.Is(err, backend.ErrNotStarted) {
			t.Errorf("KillTree without Start: %v", err)
		}
	}
}

// cancelled: a context that is done before Start starts nothing.
func (s *suite) cancelled(t *testing.T) {
	cause := errors.New("the cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := s.new(t).Prepare(ctx, idle); !errors.Is(err, cause) {
		t.Errorf("Prepare: %v", err)
	}
	b := s.new(t)
	if err := b.Prepare(t.Context(), idle); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(ctx); !errors.Is(err, cause) {
		t.Errorf("Start: %v", err)
	}
	if _, err := b.Wait(t.Context()); !errors.Is(err, backend.ErrNotStarted) {
		t.Errorf("Wait: %v", err)
	}
}

func (s *suite) unsupported(t *testing.T) {
	b := s.new(t)
	if err := b.Prepare(t.Context(), idle); err != nil {
		t.Fatal(err)
	}
	if err := b.Prepare(t.Context(), idle); !errors.Is(err, backend.ErrUsed) {
		t.Errorf("second Prepare: %v", err)
	}
	if err := b.Start(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Start: %v", err)
	}
	if _, err := b.Wait(t.Context()); !errors.Is(err, backend.ErrNotStarted) {
		t.Errorf("Wait: %v", err)
	}
	if p, ok := b.(backend.Process); ok && p.PID() != 0 {
		t.Errorf("PID %d", p.PID())
	}
}

func (s *suite) startedOrder(t *testing.T) {
	b := s.started(t, idle)
	if err := b.Prepare(t.Context(), idle); !errors.Is(err, backend.ErrUsed) {
		t.Errorf("second Prepare: %v", err)
	}
	if err := b.Start(t.Context()); !errors.Is(err, backend.ErrUsed) {
		t.Errorf("second Start: %v", err)
	}
	if p, ok := b.(backend.Process); ok && p.PID() <= 0 {
		t.Errorf("PID %d", p.PID())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	if _, err := b.Wait(t.Context()); !errors.Is(err, backend.ErrUsed) {
		t.Errorf("second Wait: %v", err)
	}
}

// cancelledWait: the tree is killed, the exit is the real one, the error is
// the context's cause.
func (s *suite) cancelledWait(t *testing.T) {
	b := s.started(t, idle)
	cause := errors.New("the cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	begin := time.Now()
	exit, err := b.Wait(ctx)
	if !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause", err)
	}
	if exit.Code != 128+9 || exit.Signal != "SIGKILL" {
		t.Errorf("exit %+v", exit)
	}
	if took := time.Since(begin); took > timeout {
		t.Errorf("took %v", took)
	}
}

// cleanupOfRunning: Cleanup, even unasked for, returns.
func (s *suite) cleanupOfRunning(t *testing.T) {
	b := s.started(t, idle)
	done := make(chan error, 1)
	go func() { done <- b.Cleanup(t.Context()) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(timeout):
		t.Fatal("Cleanup hangs")
	}
}
