package backend

import (
	"errors"
	"fmt"
)

// Errors of a backend that is used out of order.
var (
	ErrNotPrepared  = errors.New("the backend has not been prepared")
	ErrNotStarted   = errors.New("the command has not been started")
	ErrUsed         = errors.New("the backend has been used already")
	ErrEmptyCommand = errors.New("the command is empty")
)

// UnsupportedError says that a backend cannot run commands here.
// It matches errors.ErrUnsupported.
type UnsupportedError struct {
	Backend string // as in Metadata
	Reason  string // one lowercase line
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s backend: %s", e.Backend, e.Reason)
}

func (e *UnsupportedError) Unwrap() error { return errors.ErrUnsupported }
