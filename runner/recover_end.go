package runner

import (
	"errors"
	"fmt"

	"glasshouse/audit"
	"glasshouse/receipt"
)

// end fills in how the command ended, as far as the journal tells, and the
// times. Where that is not known the exit code is failureCode, as in a run,
// and the error says so.
func (rc *recovery) end(rec *receipt.Receipt) {
	started := rc.open.At
	pid := 0
	if s := rc.started; s != nil {
		started, pid = s.At, s.PID
	}
	root := rc.root(rec.ProcessTree, pid)
	if pid == 0 && root != nil {
		pid = int(root.PID)
	}
	rec.Timestamp = receipt.At(started)
	rc.pid = pid
	rec.Timing.StartedAt = rec.Timestamp
	ended := rc.contents.Last

	out := receipt.Outcome{ExitCode: failureCode}
	var errs []error
	fail := func(text string) {
		if text != "" {
			errs = append(errs, errors.New(text))
		}
	}
	switch {
	case rc.exited != nil:
		ended = rc.exited.At
		if code := rc.exited.Code; code >= 0 && code <= 255 {
			out.ExitCode = code
		} else {
			fail(fmt.Sprintf("the journal has %d for the command's exit code, which no command can have", code))
		}
		if s := rc.exited.Signal; s != "" {
			out.Signal = &s
		}
		fail(rc.exited.Error)
	case rc.started != nil && rc.started.PID == 0:
		fail(rc.started.Error)
	case !rc.maybeRan():
		fail("the recorder was gone before it started the command")
	case root != nil && rc.status(root) != notEnded:
		ended = root.EndedAt.Time
		out.Signal = root.Signal
		if status := rc.status(root); root.ExitCode != nil {
			out.ExitCode = *root.ExitCode
		} else {
			out.ExitCode = 128 + int(status&0x7f)
		}
	case rc.started == nil && root == nil:
		fail("whether the command was started is not known: the recorder was gone at that moment")
	default:
		fail("how the command ended is not known: the recorder was gone before")
	}
	if len(errs) > 0 {
		text := joined(errs).Error()
		out.Error = &text
	}
	rec.Outcome = out
	if ended.Before(started) {
		ended = started
	}
	rec.Timing.EndedAt = receipt.At(ended)
	rec.Timing.DurationMS = ended.Sub(started).Milliseconds()
	rec.Timing.CPUTimeMS = rec.Resources.CPUTimeMS
}

// root is the process that was asked for: the one that the recorder forked,
// by its number if that was written down, and that ran something.
func (rc *recovery) root(tree []receipt.Process, pid int) *receipt.Process {
	for i := range tree {
		p := &tree[i]
		if int(p.PPID) == rc.parent() && (int(p.PID) == pid || pid == 0 && len(p.Execs) > 0) {
			return p
		}
	}
	return nil
}

// status is how a child of the recorder ended, as wait(2) would have told.
func (rc *recovery) status(p *receipt.Process) int32 {
	status, ok := rc.exits[audit.ProcessID{PID: p.PID, Start: p.StartTime}]
	if !ok || status&0x7f == notEnded || p.EndedAt == nil {
		return notEnded
	}
	return status
}
