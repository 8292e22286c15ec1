//go:build !linux

package runner

import (
	"glasshouse/audit"
	"glasshouse/receipt"
)

// leftovers is what is left of a run on the machine.
type leftovers struct {
	known   []audit.ProcessID
	unknown []receipt.Survivor
	fate    string
	notes   []string
}

// leftovers has nothing to look at: journals are written on Linux.
func (rc *recovery) leftovers() leftovers {
	return leftovers{fate: "what became of the run's processes cannot be told on another machine"}
}
