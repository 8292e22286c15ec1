//go:build !linux

package guest

import (
	"errors"
	"fmt"
	"runtime"
)

var errUnsupported = fmt.Errorf("guest mode on %s: %w", runtime.GOOS, errors.ErrUnsupported)

// EarlyInit does nothing: no recorder is PID 1 here.
func EarlyInit() error { return nil }

// Setup returns an error that matches errors.ErrUnsupported.
func Setup() (Report, error) { return Report{}, errUnsupported }

// Reaper reaps nothing here.
type Reaper struct{}

// StartReaper returns an error that matches errors.ErrUnsupported.
func StartReaper() (*Reaper, error) { return nil, errUnsupported }

// Own calls start.
func (*Reaper) Own(start func() (pid int, err error)) error {
	_, err := start()
	return err
}

// Disown does nothing.
func (*Reaper) Disown(int) {}

// Reaped is 0.
func (*Reaper) Reaped() uint64 { return 0 }

// Stop returns 0.
func (*Reaper) Stop() uint64 { return 0 }
