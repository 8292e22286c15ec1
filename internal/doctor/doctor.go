// Package doctor finds out whether glasshouse can observe commands on this
// machine, and if not, what would have to change.
//
// The verdict is that of two trials: the real programs are loaded and attached,
// and a process is traced. The other checks explain the first.
package doctor

import (
	"context"
	"io/fs"

	"glasshouse/audit"
	"glasshouse/backend/microvm/firecracker"
	"glasshouse/internal/rights"
)

// Status is how a check came out.
type Status string

// OK is as it should be; Warn takes something away; Fail prevents observing in one
// of the ways, eBPF or ptrace.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
)

// Check is one line of the diagnosis.
type Check struct {
	Name   string `json:"check"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	Needed string `json:"needed"`
	Remedy string `json:"remedy"` // "" if there is nothing to remedy
}

// Machine is what the checks look at.
type Machine struct {
	OS      string // as runtime.GOOS
	Release string // as uname -r
	Root    fs.FS  // the root folder

	Rights rights.Linux

	// Capable tells of a capability by its number, as in CAP_BPF.
	Capable func(capability int) (bool, error)
	// Writable asks the kernel whether this process may write to a path.
	Writable func(path string) error
	// RingBuf makes a ring buffer, and lets go of it.
	RingBuf func() error
	// Trial loads and attaches the real programs, and detaches them.
	Trial func(context.Context) ([]audit.Hook, error)
	// Trace traces a process as a run would.
	Trace func() error
	// BootsGuest tells whether KVM has booted a guest, if that is known.
	BootsGuest func() (works, known bool)
	// Firecracker finds Firecracker, and its jailer, and opens /dev/kvm.
	Firecracker func(context.Context) (firecracker.Installation, error)
}

// Diagnosis is the outcome.
type Diagnosis struct {
	Checks []Check
	// Mode is how commands are observed here: ebpf, ptrace, or none.
	Mode string
}

// Diagnose makes all checks.
func Diagnose(ctx context.Context, m Machine) Diagnosis {
	if m.OS != "linux" {
		return Diagnosis{Mode: "none", Checks: []Check{{
			Name: "system", Status: Fail, Found: m.OS, Needed: "linux",
			Remedy: "record on Linux; receipts can be read here",
		}}}
	}
	trial, programs := m.trial(ctx)
	trace, tracing := m.trace()
	mode := "none"
	switch {
	case programs:
		mode = "ebpf"
	case tracing:
		mode = "ptrace"
	}
	return Diagnosis{
		Mode: mode,
		Checks: []Check{
			m.kernel(),
			m.btf(),
			m.ringBuffer(),
			m.tracefs(),
			m.capabilities(),
			m.lockdown(),
			m.perfEventParanoid(),
			m.cgroup(),
			m.kvm(),
			m.firecracker(ctx),
			m.wsl(),
			trial,
			trace,
		},
	}
}
