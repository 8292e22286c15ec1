//go:build linux

package main_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"glasshouse/audit"
	"glasshouse/journal"
	"glasshouse/receipt"
	"glasshouse/receipt/receipttest"
	"glasshouse/runner"
)

// recorded is a recorder at work, in a folder of its own.
type recorded struct {
	*testing.T
	dir, state string
	cmd        *exec.Cmd
}

// recordScript starts a recorder of a shell script, and returns when the
// journal is there.
func recordScript(t *testing.T, script string, flags ...string) *recorded {
	t.Helper()
	if err := whyNotObserved(); err != nil {
		t.Skip(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &recorded{T: t, dir: dir, state: filepath.Join(dir, "state")}
	r.cmd = r.command(slices.Concat([]string{"run"}, flags, []string{"--", "sh", "-c", script})...)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			r.kill()
		}
	})
	r.eventually("a journal", func() bool { return r.journal() != "" || r.over() })
	o, err := r.open()
	if err != nil {
		return r // the run was over meanwhile
	}
	cgroup := string(o.Cgroup)
	t.Cleanup(func() { // the root has been killed by now
		if cgroup != "" {
			_ = os.WriteFile(filepath.Join(cgroup, "cgroup.freeze"), []byte("0"), 0) // after a test that failed
		}
		r.eventually("an empty cgroup", func() bool {
			err := syscall.Rmdir(cgroup)
			return cgroup == "" || err == nil || errors.Is(err, syscall.ENOENT)
		})
	})
	return r
}

func (r *recorded) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+r.state)
	return cmd
}

// glasshouse runs it to its end, and returns what it wrote and its exit code.
func (r *recorded) glasshouse(args ...string) (stdout, stderr string, code int) {
	r.Helper()
	var out, errs bytes.Buffer
	cmd := r.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (r *recorded) journal() string {
	list, err := journal.List(filepath.Join(r.state, "glasshouse"))
	if err != nil || len(list) != 1 {
		return ""
	}
	return list[0].Path
}

// over tells whether the recorder has written its receipt.
func (r *recorded) over() bool {
	_, err := os.Stat(filepath.Join(r.dir, "receipt.json"))
	return err == nil
}

// open is the open record of the run that goes on.
func (r *recorded) open() (*journal.Open, error) {
	f, err := os.Open(r.journal())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return journal.ReadOpen(f)
}

func (r *recorded) kill() {
	r.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		r.Error(err)
	}
	_ = r.cmd.Wait()
}

func (r *recorded) eventually(what string, done func() bool) {
	r.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("%s: never", what)
		}
	}
}

// pid is the number in a file that the script wrote; the process is killed
// when the test ends.
func (r *recorded) pid(name string) int {
	r.Helper()
	var pid int
	r.eventually(name, func() bool {
		data, _ := os.ReadFile(filepath.Join(r.dir, name))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return pid > 0 && bytes.HasSuffix(data, []byte("\n"))
	})
	r.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

// numbered are the files that the script has made, and those that it had made
// some time ago: longer than an event needs to get into the journal.
func (r *recorded) numbered() (all, old []string) {
	r.Helper()
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		r.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), "n.") {
			continue
		}
		path := filepath.Join(r.dir, e.Name())
		all = append(all, path)
		if time.Since(info.ModTime()) > 2*time.Second {
			old = append(old, path)
		}
	}
	return all, old
}

func (r *recorded) receipt(path string) *receipt.Receipt {
	r.Helper()
	f, err := os.Open(filepath.Join(r.dir, path))
	if err != nil {
		r.Fatal(err)
	}
	defer f.Close()
	rec, err := receipt.Read(f)
	if err != nil {
		r.Fatal(err)
	}
	receipttest.Validate(r.T, rec)
	return rec
}

// gap returns the details of the gaps of one kind.
func gap(rec *receipt.Receipt, kind string) string {
	var details []string
	for _, g := range rec.Observation.Gaps {
		if g.Kind == kind {
			details = append(details, g.Detail)
		}
	}
	return strings.Join(details, "\n")
}

// numbering makes files n.1, n.2 and so on, until it is killed.
const numbering = `echo $$ >root; i=0; while :; do i=$((i+1)); : >n.$i; sleep 0.01; done`

// The recorder is killed while the command makes files, which it goes on doing.
func TestRecoverAfterKill(t *testing.T) {
	r := recordScript(t, numbering)
	root := r.pid("root")

	// As long as the recorder lives its run is nobody else's.
	open, err := r.open()
	if err != nil {
		t.Fatal(err)
	}
	run, cgroup := open.Run, string(open.Cgroup)
	if out, _, code := r.glasshouse("recover"); code != 0 || !strings.Contains(out, run) || !strings.Contains(out, "recording") {
		t.Errorf("exit code %d, %q", code, out)
	}
	if _, errs, code := r.glasshouse("recover", run); code != 1 || !strings.Contains(errs, "the recorder is still running") {
		t.Errorf("exit code %d, %q", code, errs)
	}
	r.eventually("old files", func() bool { _, old := r.numbered(); return len(old) >= 20 })
	_, old := r.numbered()
	killed := time.Now()
	r.kill()
	r.eventually("more files", func() bool { all, _ := r.numbered(); return len(all) > len(old)+120 })

	data, err := os.ReadFile(r.journal())
	if err != nil {
		t.Fatal(err)
	}
	// A recorder that is killed while it holds the command back.
	freeze := filepath.Join(cgroup, "cgroup.freeze")
	if cgroup != "" {
		if err := os.WriteFile(freeze, []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
	out, errs, code := r.glasshouse("recover", "-o", "r.json")
	if code != 0 || errs != "" || !strings.Contains(out, run) || strings.Count(out, "\n") != 1 {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
	rec := r.receipt("r.json")
	all, _ := r.numbered()
	var seen []string
	for _, path := range rec.Filesystem.Writes {
		if strings.HasPrefix(filepath.Base(path), "n.") {
			seen = append(seen, path)
		}
	}
	for _, path := range old {
		if !slices.Contains(seen, path) {
			t.Errorf("%s was made long before the kill and is not in the receipt", path)
		}
	}
	for _, path := range seen {
		if !slices.Contains(all, path) {
			t.Errorf("%s was never made", path)
		}
		if info, err := os.Stat(path); err == nil && info.ModTime().After(killed.Add(time.Second)) {
			t.Errorf("%s was made after the kill", path)
		}
	}
	o := rec.Observation
	if o.Complete || o.Mode != mode || o.Reason == nil || !strings.HasPrefix(*o.Reason, "the recorder was killed, or crashed, before it wrote a receipt; its journal ends at ") || len(o.Hooks) == 0 {
		t.Errorf("%+v", o)
	}
	if !slices.ContainsFunc(o.Survivors, func(s receipt.Survivor) bool { return int(s.PID) == root && strings.Contains(s.Exe, "sh") }) {
		t.Errorf("%d is no survivor: %+v", root, o.Survivors)
	}
	if g := gap(rec, "unobserved"); !strings.Contains(g, "what the command did after ") || !strings.Contains(g, "still ran at the recovery") ||
		cgroup != "" && !strings.Contains(g, "thawed") {
		t.Errorf("gaps: %s", g)
	}
	if rec.Outcome.ExitCode != 1 || rec.Outcome.Error == nil || *rec.Outcome.Error != "how the command ended is not known: the recorder was gone before" {
		t.Errorf("%+v", rec.Outcome)
	}
	if rec.Syscalls.Counts["openat"] == 0 || rec.Command.WorkingDir != r.dir || rec.Command.Argv[0] != "sh" {
		t.Errorf("%v, %+v", rec.Syscalls.Counts, rec.Command)
	}
	if cgroup != "" {
		if now, err := os.ReadFile(freeze); err != nil || string(now) != "0\n" {
			t.Errorf("frozen: %q, %v", now, err)
		}
	}
	if out, _, _ := r.glasshouse("recover"); out != "no run without an end\n" {
		t.Errorf("twice: %q", out)
	}
	cutEverywhere(t, data, rec)

	// When the command is gone too, the next recovery removes its cgroup.
	if err := syscall.Kill(root, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if cgroup == "" {
		return
	}
	r.eventually("an empty cgroup", func() bool {
		procs, err := os.ReadFile(filepath.Join(cgroup, "cgroup.procs"))
		return err != nil || len(procs) == 0
	})
	kept := filepath.Join(r.state, "glasshouse", "recovered", run+".journal")
	if out, errs, code := r.glasshouse("recover", "-o", "again.json", kept); code != 0 {
		t.Errorf("%q, %q", out, errs)
	}
	if _, err := os.Stat(cgroup); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cgroup is left: %v", err)
	}
	if again := r.receipt("again.json"); len(again.Observation.Survivors) != 0 || !strings.Contains(gap(again, "unobserved"), "ended is not known") {
		t.Errorf("%+v, %s", again.Observation.Survivors, gap(again, "unobserved"))
	}
}

// cutEverywhere cuts a real journal at the frames' ends and between: each part
// gives a receipt of what it holds, never more, or an error where not even the
// open record is whole.
func cutEverywhere(t *testing.T, data []byte, whole *receipt.Receipt) {
	t.Helper()
	var ends []int
	if _, err := journal.Read(bytes.NewReader(data), func(f journal.Frame) error {
		ends = append(ends, int(f.Offset))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ends = append(ends, len(data))
	if len(ends) < 6 {
		t.Fatalf("%d frames", len(ends))
	}
	first := ends[1]
	cuts := []int{0, 5, ends[0], first - 1}
	for i, at := range ends[1:] {
		cuts = append(cuts, at)
		if i+2 < len(ends) {
			cuts = append(cuts, at+1, (at+ends[i+2])/2, ends[i+2]-1)
		}
	}
	before := 0
	for _, n := range cuts {
		rec, err := runner.Recover(bytes.NewReader(data[:n]), audit.Layout(), nil)
		if n < first {
			if !errors.Is(err, journal.ErrNoOpen) && !errors.Is(err, journal.ErrNotJournal) {
				t.Errorf("%d bytes: %v", n, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		receipttest.Validate(t, rec)
		said := strings.Contains(*rec.Observation.Reason, "cut at byte ")
		if rec.Observation.Complete || said == slices.Contains(ends, n) {
			t.Errorf("%d bytes: %s", n, *rec.Observation.Reason)
		}
		if got := len(rec.Filesystem.Writes); got < before {
			t.Errorf("%d bytes: %d files, and with fewer %d", n, got, before)
		} else {
			before = got
		}
		for _, path := range rec.Filesystem.Writes {
			if !slices.Contains(whole.Filesystem.Writes, path) {
				t.Errorf("%d bytes: %s is not in the whole", n, path)
			}
		}
	}
	if before != len(whole.Filesystem.Writes) {
		t.Errorf("%d files at the end, not %d", before, len(whole.Filesystem.Writes))
	}
	if _, err := runner.Recover(bytes.NewReader(data), "of another build", nil); err == nil {
		t.Error("a foreign layout is read")
	} else if layout := new(runner.LayoutError); !errors.As(err, &layout) {
		t.Errorf("a foreign layout: %v", err)
	}
}

// A recorder that is killed before it has started the command: the open record
// is there, and the command never was.
func TestRecoverBeforeStart(t *testing.T) {
	for range 20 {
		r := recordScript(t, "echo $$ >ran")
		r.kill()
		if r.journal() == "" {
			continue // too late: the run was over
		}
		out, errs, code := r.glasshouse("recover", "-o", "r.json")
		if code != 0 {
			t.Fatalf("%q, %q", out, errs)
		}
		rec := r.receipt("r.json")
		if rec.Outcome.Error == nil || *rec.Outcome.Error != "the recorder was gone before it started the command" {
			continue
		}
		time.Sleep(100 * time.Millisecond)
		if _, err := os.Stat(filepath.Join(r.dir, "ran")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the command ran: %v", err)
		}
		if rec.Observation.Mode != "none" || rec.Observation.Complete || len(rec.ProcessTree) != 0 || rec.Outcome.ExitCode != 1 || rec.Command.Argv[2] != "echo $$ >ran" {
			t.Errorf("%+v, %+v", rec.Observation, rec.Outcome)
		}
		return
	}
	t.Fatal("the recorder was never killed in time")
}

// The command has ended, and the recorder waits for what it left behind: the
// end is known.
func TestRecoverKnownEnd(t *testing.T) {
	r := recordScript(t, "sleep 60 & echo $! >left; exit 7", "--wait", "tree")
	left := r.pid("left")
	r.eventually("the command's end in the journal", func() (ended bool) {
		data, err := os.ReadFile(r.journal())
		if err != nil {
			t.Fatal(err)
		}
		_, err = journal.Read(bytes.NewReader(data), func(f journal.Frame) error { ended = ended || f.Kind == journal.KindExited; return nil })
		return err == nil && ended
	})
	r.kill()
	if out, errs, code := r.glasshouse("recover", "-o", "r.json"); code != 0 || !strings.Contains(out, "  recovered   ") || !strings.HasSuffix(out, ", 1 still running\n") {
		t.Fatalf("%q, %q", out, errs)
	}
	rec := r.receipt("r.json")
	if rec.Outcome.ExitCode != 7 || rec.Outcome.Error != nil || rec.Outcome.Signal != nil || rec.Observation.Complete {
		t.Errorf("%+v, %+v", rec.Outcome, rec.Observation)
	}
	if s := rec.Observation.Survivors; len(s) != 1 || int(s[0].PID) != left || !strings.HasSuffix(s[0].Exe, "/sleep") {
		t.Errorf("%d: %+v", left, s)
	}
}
