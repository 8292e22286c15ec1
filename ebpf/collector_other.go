//go:build !linux || !(amd64 || arm64)

package ebpf

import (
	"context"

	"glasshouse/audit"
)

// New returns a collector whose Attach fails: there is no eBPF here.
func New(Options) audit.Collector { return audit.Unavailable{} }

// Trial fails: there is no eBPF here.
func Trial(context.Context, Options) ([]audit.Hook, error) { return nil, audit.UnavailableHere() }

// HaveRingBuf fails: there is no eBPF here.
func HaveRingBuf() error { return audit.UnavailableHere() }
