//go:build !linux || !(amd64 || arm64)

package ebpf

import (
	"context"
	"runtime"

	"glasshouse/audit"
)

// New returns a collector whose Attach fails: there is no eBPF here.
func New(Options) audit.Collector { return unavailable{} }

// Trial fails: there is no eBPF here.
func Trial(context.Context, Options) ([]audit.Hook, error) { return nil, errUnavailable() }

// HaveRingBuf fails: there is no eBPF here.
func HaveRingBuf() error { return errUnavailable() }

type unavailable struct{}

func errUnavailable() error {
	return &audit.UnavailableError{
		Reason: "recording is not available on " + runtime.GOOS + "/" + runtime.GOARCH,
		Hint:   "record on Linux on amd64 or arm64; a receipt can be read anywhere",
	}
}

func (unavailable) Attach(context.Context, audit.Sink) error { return errUnavailable() }
func (unavailable) Launch(start func() error) error          { return start() }
func (unavailable) Alive() ([]audit.ProcessID, error)        { return nil, nil }
func (unavailable) Stop(context.Context) (audit.Summary, error) {
	return audit.Summary{Mode: "none"}, nil
}
