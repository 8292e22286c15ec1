package runner

import (
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"glasshouse/audit"
	"glasshouse/receipt"
)

// receipt is what the run leaves.
func (r *run) receipt() *receipt.Receipt {
	rec := r.draft()
	finish(rec, r.spec.Redact, r.started, r.pid)
	return rec
}

// finish takes the secrets out of a receipt, as long as its strings are the
// kernel's bytes, and brings it into its form. The identity of the run comes
// last: a hash over arguments with secrets would let guesses be tried.
func finish(rec *receipt.Receipt, redact func(*receipt.Receipt), started time.Time, pid int) {
	if redact != nil {
		redact(rec)
	}
	rec.ExecutionID = receipt.ExecutionID(started, pid, rec.Command.Argv)
	rec.Normalize()
}

// draft writes down what the run knows by itself and lets the aggregator fill
// in what was observed.
func (r *run) draft() *receipt.Receipt {
	meta := r.spec.Backend.Metadata()
	rec := &receipt.Receipt{
		ReceiptVersion: receipt.Version,
		Timestamp:      receipt.At(r.started),
		Command:        r.command(),
		Outcome:        receipt.Outcome{ExitCode: r.exit.Code},
		Timing: receipt.Timing{
			StartedAt: receipt.At(r.started),
			EndedAt:   receipt.At(r.ended),
		},
		Execution: receipt.Execution{
			Backend:    meta.Backend,
			Isolation:  meta.Isolation,
			Provenance: r.spec.Provenance,
		},
		Environment: receipt.Environment{
			Runtime:           audit.Runtime(r.spec.Argv),
			OS:                runtime.GOOS,
			Arch:              runtime.GOARCH,
			Sandbox:           receipt.Sandbox{Network: "enabled"},
			Kernel:            kernelRelease(),
			GlasshouseVersion: r.spec.Version,
		},
		ExitCode: r.exit.Code,
	}
	if m := r.machine; m != nil {
		rec.Environment.Kernel, rec.Environment.Arch = m.Kernel, m.Arch
	}
	if rec.Execution.Provenance == "" {
		rec.Execution.Provenance = "host"
	}
	if r.exit.Signal != "" {
		rec.Outcome.Signal = &r.exit.Signal
	}
	if err := r.err(); err != nil {
		text := err.Error()
		rec.Outcome.Error = &text
	}
	// The monotonic clock, which a step of the wall clock leaves alone.
	rec.Timing.DurationMS = r.ended.Sub(r.started).Milliseconds()
	rec.DurationMS = rec.Timing.DurationMS
	rec.Artifacts.StdoutHash, rec.Artifacts.StdoutBytes = r.stdout.sums()
	rec.Artifacts.StderrHash, rec.Artifacts.StderrBytes = r.stderr.sums()
	r.observation(rec)
	return rec
}

// command is what was asked for, as it was resolved.
func (r *run) command() receipt.Command {
	cmd := receipt.Command{
		Argv:       slices.Clone(r.spec.Argv), // a receipt has its own: it is put into text form
		WorkingDir: workingDir(r.spec.Dir),
	}
	if m := r.machine; m != nil {
		cmd.Exe, cmd.WorkingDir = m.Exe, m.WorkingDir
		cmd.UID, cmd.GID, cmd.User = m.User.UID, m.User.GID, m.User.Name
		return cmd
	}
	if e, ok := r.spec.Backend.(interface{ Executable() string }); ok {
		cmd.Exe = e.Executable()
	}
	if u := r.spec.User; u != nil {
		cmd.UID, cmd.GID, cmd.User = u.UID, u.GID, u.Name
		return cmd
	}
	// Effective, as execve will use them. Elsewhere than on Unix these are -1.
	cmd.UID, cmd.GID = uint32(max(os.Geteuid(), 0)), uint32(max(os.Getegid(), 0))
	if u, err := user.LookupId(strconv.FormatUint(uint64(cmd.UID), 10)); err == nil {
		cmd.User = u.Username
	}
	return cmd
}

// workingDir is dir as an absolute path; "" if the recorder's own folder is
// gone.
func workingDir(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	return abs
}

// observation fills in what was seen; where nothing was, why.
func (r *run) observation(rec *receipt.Receipt) {
	if r.attached {
		r.aggregator.Fill(rec, r.summary, r.boot)
		r.finals(rec)
		rec.Observation.Gaps = append(rec.Observation.Gaps, sameUser(rec.Command, rec.Execution.Isolation)...)
	} else {
		rec.Observation.Mode = "none"
		rec.Observation.Reason = &r.blind
		rec.Resources.CPUTimeMS = (r.exit.UserTime + r.exit.SystemTime).Milliseconds()
		rec.Resources.MaxRSSKB = r.exit.MaxRSS
		if r.ran {
			rec.Resources.Processes = 1
		}
	}
	// The cgroup's books are to the microsecond and hold those who still run;
	// what the scheduler had booked at each exit can be a tick behind.
	if r.cpu > 0 {
		rec.Resources.CPUTimeMS = r.cpu.Milliseconds()
	}
	rec.Timing.CPUTimeMS = rec.Resources.CPUTimeMS
	rec.Observation.Gaps = append(rec.Observation.Gaps, r.spec.Gaps...)
	rec.Observation.Gaps = append(rec.Observation.Gaps, r.gaps...)
}

// sameUser is the gap of a command that runs as the recorder's own user, if it
// does. Of root the aggregator tells, who knows each process's user.
func sameUser(cmd receipt.Command, isolation string) []receipt.Gap {
	if cmd.UID == 0 || int(cmd.UID) != os.Geteuid() || isolation != "none" {
		return nil
	}
	return []receipt.Gap{{Kind: receipt.GapSameUser, Detail: "the command ran as the recorder's own user and could have reached it", Count: 1}}
}
