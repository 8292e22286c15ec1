// Package guest does the duties of a machine's first process, for a recorder
// that is one: in a microVM, or in a PID namespace.
//
// The order of calls is EarlyInit, first thing in main; Setup; StartReaper;
// the command's start through Reaper.Own; the command's end and
// Reaper.Disown; Reaper.Stop. Signals are forwarded by the runner, which does
// it wherever the command would not get them by itself.
//
// A recorder that is not PID 1 may do the same. It then mounts what is missing
// on the machine it runs on, and reaps as a subreaper: the orphans among the
// command's descendants are its children, and no others.
//
// Setup raises RLIMIT_MEMLOCK, which the command inherits.
package guest

import "fmt"

// Command is the subcommand that a microVM's kernel starts the recorder with.
const Command = "guest"

// Outcome is how a step of Setup ended.
type Outcome string

// The outcomes of a step.
const (
	Done    Outcome = "done"
	Already Outcome = "already" // there was nothing to do
	Failed  Outcome = "failed"
)

// Step is one duty of Setup.
type Step struct {
	Name    string // "mount proc on /proc", "raise memlock"
	Outcome Outcome
	Err     error // why it failed; else nil
}

func (s Step) String() string {
	if s.Err != nil {
		return fmt.Sprintf("%s: %s: %v", s.Name, s.Outcome, s.Err)
	}
	return fmt.Sprintf("%s: %s", s.Name, s.Outcome)
}

// Report is what Setup did, in the order in which it did it.
type Report struct {
	Init  bool // the recorder is PID 1
	Steps []Step
}

// Failures are the steps that failed.
func (r Report) Failures() []Step {
	var failed []Step
	for _, s := range r.Steps {
		if s.Outcome == Failed {
			failed = append(failed, s)
		}
	}
	return failed
}
