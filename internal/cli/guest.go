package cli

import (
	"context"
	"fmt"
	"sync"
	"syscall"

	"glasshouse/backend"
	"glasshouse/backend/process"
	"glasshouse/guest"
	"glasshouse/receipt"
)

// guestBackend runs a command as a process backend does, and takes on the
// duties of a machine's first process around it. They stand between the
// backend and the runner because the collector needs what Setup mounts, and
// the reaper has to know which child is the command.
//
// Signals are forwarded by the runner, which does that for every backend that
// is a process; here they are counted.
type guestBackend struct {
	*process.Backend
	reaper *guest.Reaper

	mu        sync.Mutex
	duties    []receipt.Duty
	forwarded map[syscall.Signal]uint64
}

func newGuestBackend() *guestBackend {
	return &guestBackend{Backend: process.New(), forwarded: map[syscall.Signal]uint64{}}
}

func (b *guestBackend) Prepare(ctx context.Context, cmd backend.Command) error {
	report, err := guest.Setup()
	for _, step := range report.Steps {
		d := receipt.Duty{Name: step.Name, Outcome: string(step.Outcome)}
		if step.Outcome == guest.Done {
			d.Count = 1
		}
		if step.Err != nil {
			text := step.Err.Error()
			d.Error = &text
		}
		b.duties = append(b.duties, d)
	}
	if err != nil {
		return fmt.Errorf("guest mode: %w", err)
	}
	if b.reaper, err = guest.StartReaper(); err != nil {
		return fmt.Errorf("guest mode: %w", err)
	}
	return b.Backend.Prepare(ctx, cmd)
}

func (b *guestBackend) Start(ctx context.Context) error {
	return b.reaper.Own(func() (int, error) {
		err := b.Backend.Start(ctx)
		return b.PID(), err
	})
}

func (b *guestBackend) Wait(ctx context.Context) (backend.Exit, error) {
	exit, err := b.Backend.Wait(ctx)
	b.reaper.Disown(b.PID())
	return exit, err
}

// Own and Disown keep the reaper from children that the runner starts.
func (b *guestBackend) Own(start func() (pid int, err error)) error { return b.reaper.Own(start) }

// Disown: see Own.
func (b *guestBackend) Disown(pid int) { b.reaper.Disown(pid) }

func (b *guestBackend) Signal(sig int) error {
	err := b.Backend.Signal(sig)
	if err == nil {
		b.mu.Lock()
		b.forwarded[syscall.Signal(sig)]++
		b.mu.Unlock()
	}
	return err
}

func (b *guestBackend) Cleanup(ctx context.Context) error {
	err := b.Backend.Cleanup(ctx)
	if b.reaper == nil {
		return err
	}
	b.done("reap orphans", b.reaper.Stop())
	b.reaper = nil
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done("forward SIGTERM", b.forwarded[syscall.SIGTERM])
	b.done("forward SIGINT", b.forwarded[syscall.SIGINT])
	return err
}

// done notes a duty that is done as often as it falls due.
func (b *guestBackend) done(name string, count uint64) {
	outcome := guest.Done
	if count == 0 {
		outcome = guest.Already
	}
	b.duties = append(b.duties, receipt.Duty{Name: name, Outcome: string(outcome), Count: count})
}
