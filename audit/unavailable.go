package audit

import (
	"context"
	"runtime"
)

// Unavailable is the collector of a machine on which nothing can be recorded:
// its Attach fails.
type Unavailable struct{}

// UnavailableHere is why.
func UnavailableHere() error {
	return &UnavailableError{
		Reason: "recording is not available on " + runtime.GOOS + "/" + runtime.GOARCH,
		Hint:   "record on Linux on amd64 or arm64; a receipt can be read anywhere",
	}
}

func (Unavailable) Attach(context.Context, Sink) error    { return UnavailableHere() }
func (Unavailable) Launch(start func() error) error       { return start() }
func (Unavailable) Alive() ([]ProcessID, error)           { return nil, nil }
func (Unavailable) Stop(context.Context) (Summary, error) { return Summary{Mode: "none"}, nil }
