//go:build !linux || !(amd64 || arm64)

package ptrace

import "glasshouse/audit"

// New returns a collector whose Attach fails: there is no such tracing here.
func New(Options) audit.Collector { return audit.Unavailable{} }

// Trial fails: there is no such tracing here.
func Trial() error { return audit.UnavailableHere() }
