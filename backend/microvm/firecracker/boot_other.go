//go:build !linux

package firecracker

import (
	"context"
	"errors"

	"glasshouse/backend/microvm/engine"
)

// Boot returns an *Error that matches errors.ErrUnsupported.
func (Engine) Boot(context.Context, engine.Machine) (engine.VM, error) {
	return nil, &Error{Reason: "it runs on Linux alone", Err: errors.ErrUnsupported}
}
