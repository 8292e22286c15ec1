// Package firecracker will run the command in a Firecracker microVM. So far
// it checks its configuration; Start returns a *backend.UnsupportedError, and
// uses neither KVM nor the firecracker binary.
package firecracker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"glasshouse/backend"
)

// Config is what a microVM boots from.
type Config struct {
	Kernel string // path of an uncompressed kernel image
	RootFS string // path of the image of the root filesystem
}

// ConfigError says which part of a Config cannot be used.
type ConfigError struct {
	Part string // "kernel" or "rootfs"
	Path string // as configured; may be ""
	Err  error
}

func (e *ConfigError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("firecracker %s: %v", e.Part, e.Err)
	}
	return fmt.Sprintf("firecracker %s %s: %v", e.Part, e.Path, e.Err)
}

func (e *ConfigError) Unwrap() error { return e.Err }

// Why a file cannot be used, apart from what the system says.
var (
	ErrNoPath     = errors.New("no path given")
	ErrDirectory  = errors.New("is a directory")
	ErrNotRegular = errors.New("is not a regular file")
	ErrEmptyFile  = errors.New("is empty")
)

// Backend is a microVM for one command.
type Backend struct {
	config Config

	mu               sync.Mutex
	prepared, closed bool
}

var _ backend.Backend = (*Backend)(nil)

// New returns a backend. Prepare checks the configuration.
func New(config Config) *Backend { return &Backend{config: config} }

// Metadata is firecracker, vm.
func (b *Backend) Metadata() backend.Metadata {
	return backend.Metadata{Backend: "firecracker", Isolation: "vm"}
}

// Prepare checks that kernel and root filesystem are files that can be read.
// Its error is a *ConfigError if not.
func (b *Backend) Prepare(ctx context.Context, cmd backend.Command) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.prepared || b.closed:
		return backend.ErrUsed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(cmd.Argv) == 0:
		return backend.ErrEmptyCommand
	}
	for _, image := range []struct{ part, path string }{
		{"kernel", b.config.Kernel},
		{"rootfs", b.config.RootFS},
	} {
		if err := checkImage(image.path); err != nil {
			return &ConfigError{Part: image.part, Path: image.path, Err: err}
		}
	}
	b.prepared = true
	return nil
}

// checkImage opens regular files alone: to open a fifo would block, and to
// open a device can do something.
func checkImage(path string) error {
	if path == "" {
		return ErrNoPath
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return reason(err)
	case info.IsDir():
		return ErrDirectory
	case !info.Mode().IsRegular():
		return ErrNotRegular
	case info.Size() == 0:
		return ErrEmptyFile
	}
	f, err := os.Open(path)
	if err != nil {
		return reason(err)
	}
	return f.Close()
}

// reason leaves out the path, which a ConfigError has already.
func reason(err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// Start returns a *backend.UnsupportedError.
func (b *Backend) Start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.prepared:
		return backend.ErrNotPrepared
	case b.closed:
		return backend.ErrUsed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &backend.UnsupportedError{Backend: "firecracker", Reason: "this version cannot start a microVM"}
}

// Wait returns backend.ErrNotStarted.
func (b *Backend) Wait(context.Context) (backend.Exit, error) {
	return backend.Exit{}, backend.ErrNotStarted
}

// Cleanup has nothing to release.
func (b *Backend) Cleanup(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}
