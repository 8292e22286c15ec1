//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package process

import (
	"context"
	"runtime"

	"glasshouse/backend"
)

// Backend has no implementation on this system: Prepare and Start return a
// *backend.UnsupportedError.
type Backend struct{}

// New returns a backend that cannot run anything.
func New() *Backend { return &Backend{} }

func unsupported() error {
	return &backend.UnsupportedError{Backend: "process", Reason: "not available on " + runtime.GOOS}
}

// Prepare returns a *backend.UnsupportedError.
func (b *Backend) Prepare(context.Context, backend.Command) error { return unsupported() }

// Start returns a *backend.UnsupportedError.
func (b *Backend) Start(context.Context) error { return unsupported() }

// Wait returns backend.ErrNotStarted.
func (b *Backend) Wait(context.Context) (backend.Exit, error) {
	return backend.Exit{}, backend.ErrNotStarted
}

// Cleanup does nothing.
func (b *Backend) Cleanup(context.Context) error { return nil }

// Metadata is process, none.
func (b *Backend) Metadata() backend.Metadata {
	return backend.Metadata{Backend: "process", Isolation: "none"}
}

// Executable is always "".
func (b *Backend) Executable() string { return "" }

// StreamsHeld is always false.
func (b *Backend) StreamsHeld() bool { return false }

// Drain does nothing.
func (b *Backend) Drain(context.Context) error { return nil }

// LeaveStreams does nothing.
func (b *Backend) LeaveStreams() {}

// PID is always 0.
func (b *Backend) PID() int { return 0 }

// Signal returns backend.ErrNotStarted.
func (b *Backend) Signal(int) error { return backend.ErrNotStarted }

// KillTree returns backend.ErrNotStarted.
func (b *Backend) KillTree() error { return backend.ErrNotStarted }

// Cgroup is always "".
func (b *Backend) Cgroup() string { return "" }

// CgroupError is always nil.
func (b *Backend) CgroupError() error { return nil }
