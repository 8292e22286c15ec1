// Package agent is the recorder as the first process of a machine: the backend
// that takes on the duties of one, and what it does inside of a microVM.
package agent

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

// Backend runs a command as a process backend does, and takes on the
// duties of a machine's first process around it. They stand between the
// backend and the runner because the collector needs what Setup mounts, and
// the reaper has to know which child is the command.
//
// Signals are forwarded by the runner, which does that for every backend that
// is a process; here they are counted.
type Backend struct {
	*process.Backend
	setup  func() (guest.Report, error)
	reaper *guest.Reaper

	mu        sync.Mutex
	duties    []receipt.Duty
	forwarded map[syscall.Signal]uint64
}

// New returns a backend for one command.
func New() *Backend {
	return &Backend{Backend: process.New(), setup: guest.Setup, forwarded: map[syscall.Signal]uint64{}}
}

func (b *Backend) Prepare(ctx context.Context, cmd backend.Command) error {
	report, err := b.setup()
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

func (b *Backend) Start(ctx context.Context) error {
	return b.reaper.Own(func() (int, error) {
		err := b.Backend.Start(ctx)
		return b.PID(), err
	})
}

func (b *Backend) Wait(ctx context.Context) (backend.Exit, error) {
	exit, err := b.Backend.Wait(ctx)
	b.reaper.Disown(b.PID())
	return exit, err
}

// Own and Disown keep the reaper from children that the runner starts.
func (b *Backend) Own(start func() (pid int, err error)) error { return b.reaper.Own(start) }

// Disown undoes Own.
func (b *Backend) Disown(pid int) { b.reaper.Disown(pid) }

func (b *Backend) Signal(sig int) error {
	err := b.Backend.Signal(sig)
	if err == nil {
		b.mu.Lock()
		b.forwarded[syscall.Signal(sig)]++
		b.mu.Unlock()
	}
	return err
}

func (b *Backend) Cleanup(ctx context.Context) error {
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

// Duties are those that were taken on so far, in their order.
func (b *Backend) Duties() []receipt.Duty { return b.duties }

// done notes a duty that is done as often as it falls due.
func (b *Backend) done(name string, count uint64) {
	outcome := guest.Done
	if count == 0 {
		outcome = guest.Already
	}
	b.duties = append(b.duties, receipt.Duty{Name: name, Outcome: string(outcome), Count: count})
}
