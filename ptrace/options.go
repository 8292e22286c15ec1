package ptrace

import "io"

// Options are those of a Collector.
type Options struct {
	// CaptureArgv records the arguments of programs.
	CaptureArgv bool
	// KillOnDeath has the kernel end the command if the recorder or the tracer
	// is killed; else it goes on unrecorded.
	KillOnDeath bool
	// DenyIOURing tells programs that the kernel has no io_uring, whose
	// operations cannot be seen from here.
	DenyIOURing bool
	// DebugEvents gets each event as text; nil: nobody does.
	DebugEvents io.Writer
}
