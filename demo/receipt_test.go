package demo

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"glasshouse/receipt"
	"glasshouse/receipt/receipttest"
	"glasshouse/test/recorded"
)

// TestReceipt runs the demo under the recorder and compares the receipt with
// the confession. Both ways where a list has to be the same; what Python reads
// for its own sake is not confessed, so there one way.
func TestReceipt(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "glasshouse")
	if out, err := exec.Command("go", "build", "-o", binary, "glasshouse/cmd/glasshouse").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	confessed, written := filepath.Join(dir, "confession.json"), filepath.Join(dir, "receipt.json")
	cmd := exec.Command(binary, "run", "-o", written, "--", recorded.Python(t), "sneaky.py", "--confess", confessed)
	// Without a home Python looks for one in the accounts, over sockets too.
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+dir, "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(written)
	if err != nil {
		t.Fatal(err)
	}
	if err := receipttest.Check(data); err != nil {
		t.Error(err)
	}
	rec, err := receipt.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if seen := rec.Observation; seen.Mode == "none" {
		if os.Getenv("CI") != "" || seen.Reason == nil {
			t.Fatalf("nothing was observed: %v", text(seen.Reason))
		}
		t.Skip("this machine or user cannot observe: ", *seen.Reason)
	}
	if seen := rec.Observation; !seen.Complete {
		t.Errorf("the receipt is not complete: %s; %+v", text(seen.Reason), seen.Events)
	}
	c := readConfession(t, confessed)
	t.Run("files", func(t *testing.T) { compareFiles(t, rec, c) })
	t.Run("network", func(t *testing.T) { compareNetwork(t, rec, c) })
	t.Run("processes", func(t *testing.T) { compareProcesses(t, rec, c) })
}

func compareFiles(t *testing.T, rec *receipt.Receipt, c confession) {
	writes, deletes := c.Written, c.Deleted
	var renames []string
	for _, r := range c.Renamed {
		deletes, writes = append(deletes, r.From), append(writes, r.To)
		renames = append(renames, r.From+" -> "+r.To)
	}
	var made []string
	for _, m := range c.Created {
		writes = append(writes, m.Path)
		made = append(made, m.Kind+" "+m.Path+" -> "+text(m.Target))
	}
	same(t, "created", each(rec.Filesystem.Created, func(m receipt.Created) string {
		return m.Kind + " " + m.Path + " -> " + text(m.Target)
	}), made)
	same(t, "writes", rec.Filesystem.Writes, writes)
	same(t, "deletes", rec.Filesystem.Deletes, deletes)
	same(t, "renames", each(rec.Filesystem.Renames, func(r receipt.Rename) string { return r.From + " -> " + r.To }), renames)
	holds(t, "reads", rec.Filesystem.Reads, c.Read)

	var failed []string
	for _, f := range c.Failed {
		failed = append(failed, f.Op+" "+f.Path+" "+f.Errno)
	}
	holds(t, "failed", each(rec.Filesystem.Failed, func(f receipt.FailedOp) string { return f.Op + " " + f.Path + " " + f.Errno }), failed)
}

func compareNetwork(t *testing.T, rec *receipt.Receipt, c confession) {
	var attempts []string
	for _, a := range c.Attempts {
		attempts = append(attempts, fmt.Sprintf("%d %s %s %s %d", c.PID, a.Dst, a.Protocol, a.Result, a.Count))
	}
	same(t, "attempts", each(rec.Network.Attempts, func(a receipt.Attempt) string {
		return fmt.Sprintf("%d %s %s %s %d", a.PID, a.Dst, a.Protocol, a.Result, a.Count)
	}), attempts)

	var listens, accepts []string
	for _, l := range c.Listens {
		listens = append(listens, fmt.Sprintf("%d %s %s", c.PID, l.Addr, l.Protocol))
	}
	same(t, "listens", each(rec.Network.Listens, func(l receipt.Listen) string {
		return fmt.Sprintf("%d %s %s", l.PID, l.Addr, l.Protocol)
	}), listens)
	for _, a := range c.Accepts {
		accepts = append(accepts, fmt.Sprintf("%d %s %s %s", c.PID, a.Src, a.Addr, a.Protocol))
	}
	same(t, "accepts", each(rec.Network.Accepts, func(a receipt.Accept) string {
		return fmt.Sprintf("%d %s %s %s", a.PID, a.Src, a.Addr, a.Protocol)
	}), accepts)
}

func compareProcesses(t *testing.T, rec *receipt.Receipt, c confession) {
	// A process that could not exec has no image of its own and no number that
	// the demo could know.
	shown := func(pid int32, code *int, signal *string) string {
		end := text(signal)
		if code != nil {
			end = fmt.Sprint(*code)
		}
		return fmt.Sprintf("%d ended with %s", pid, end)
	}
	zero := 0
	want := []string{shown(c.PID, &zero, nil)}
	for _, child := range c.Children {
		want = append(want, shown(child.PID, child.ExitCode, child.Signal))
	}
	for _, fork := range c.Forks {
		want = append(want, shown(fork.PID, &fork.ExitCode, nil))
	}
	var got []string
	noImage := 0
	for _, p := range rec.ProcessTree {
		if s := shown(p.PID, p.ExitCode, p.Signal); slices.Contains(want, s) {
			got = append(got, s)
		} else if len(p.Execs) == 0 && p.ExitCode != nil && *p.ExitCode == c.ExecFailures[0].ForkExitCode {
			noImage++
		} else {
			t.Errorf("process nobody confessed: %+v", p)
		}
	}
	same(t, "processes", got, want)
	if noImage != len(c.ExecFailures) {
		t.Errorf("%d forks that did not come to an exec, want %d", noImage, len(c.ExecFailures))
	}

	for _, child := range c.Children {
		i := slices.IndexFunc(rec.ProcessTree, func(p receipt.Process) bool { return p.PID == child.PID })
		if i < 0 {
			continue // said above
		}
		p := rec.ProcessTree[i]
		if !slices.Equal(p.Argv, child.Argv) || p.ArgvTruncated {
			t.Errorf("argv of %d is %q (truncated: %v), want %q", child.PID, p.Argv, p.ArgvTruncated, child.Argv)
		}
		if p.PPID != c.PID {
			t.Errorf("the parent of %d is %d, want %d", child.PID, p.PPID, c.PID)
		}
		if len(p.Execs) != 1 {
			t.Errorf("%d loaded %d images, want 1", child.PID, len(p.Execs))
			continue
		}
		image := p.Execs[0]
		if got := cmp.Or(image.Requested, image.Exe); got != child.Requested {
			t.Errorf("exec of %d asked for %q, want %q", child.PID, got, child.Requested)
		}
		// A script was asked for, and what its first line names was loaded.
		script := child.Requested != child.Argv[0]
		if script && text(image.Interpreter) != child.Argv[0] || !script && image.Interpreter != nil {
			t.Errorf("interpreter of %d is %s, want that of %q", child.PID, text(image.Interpreter), child.Argv)
		}
	}

	var failures []string
	for _, f := range c.ExecFailures {
		failures = append(failures, fmt.Sprintf("%s %q %s", f.Path, f.Argv, f.Errno))
	}
	same(t, "failed execs", each(rec.ExecFailures, func(f receipt.ExecFail) string {
		return fmt.Sprintf("%s %q %s", f.Path, f.Argv, f.Errno)
	}), failures)
}

// same compares two lists as sets, holds only one way.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	holds(t, what, got, want)
	if extra := without(got, want); len(extra) > 0 {
		t.Errorf("%s: nobody confessed\n\t%s", what, strings.Join(extra, "\n\t"))
	}
}

func holds(t *testing.T, what string, got, want []string) {
	t.Helper()
	if len(want) == 0 {
		t.Errorf("%s: there is nothing to compare with", what)
	}
	if missing := without(want, got); len(missing) > 0 {
		t.Errorf("%s: the receipt does not have\n\t%s", what, strings.Join(missing, "\n\t"))
	}
}

// without is what list has and other has not.
func without(list, other []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(other, s) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

func each[T any](list []T, f func(T) string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}
