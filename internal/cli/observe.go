package cli

import (
	"glasshouse/audit"
	"glasshouse/ebpf"
	"glasshouse/ptrace"
)

// The ways to observe, as --observe names them.
const (
	observeAuto   = "auto"
	observeEBPF   = "ebpf"
	observePtrace = "ptrace"
	observeNone   = "none"
)

// collectors are those that a run may watch with, the best first.
func (f *runFlags) collectors(env settings, d *diagnostics) []audit.Collector {
	var some []audit.Collector
	if f.observe == observeAuto || f.observe == observeEBPF {
		some = append(some, ebpf.New(ebpf.Options{
			CaptureArgv: env.captureArgv,
			ObjectDir:   env.objectDir,
			DebugEvents: d.events(),
			RingSize:    int(f.ringSize),
			Priority:    true,
		}))
	}
	// Ptrace sees less, and a strict run wants all, unless it asked for that.
	if f.observe == observeAuto && !f.strict || f.observe == observePtrace {
		some = append(some, ptrace.New(ptrace.Options{
			CaptureArgv: env.captureArgv,
			KillOnDeath: f.onDeath == "kill",
			DenyIOURing: f.denyIOURing,
			DebugEvents: d.events(),
		}))
	}
	return some
}
