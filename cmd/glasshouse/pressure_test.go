//go:build linux

package main_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/receipt"
	"glasshouse/receipt/receipttest"
)

// stalled is a recorder that cannot go on, for nobody reads what it prints
// for each event, and whose command is frozen therefore.
type stalled struct {
	cmd      *exec.Cmd
	stderr   *os.File
	dir      string // the command's working folder
	group    string // its cgroup
	command  int
	guardPID int
}

const manyFiles = `i=0; while [ $i -lt 3000 ]; do : > f$i; i=$((i+1)); done; echo > done`

func stall(t *testing.T, flags ...string) *stalled {
	t.Helper()
	if err := whyNotObserved(); err != nil {
		t.Skip(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := &stalled{stderr: r, dir: t.TempDir()}
	argv := append([]string{"run", "-q", "-o", filepath.Join(s.dir, "receipt.json"), "--ring-size", "512k", "--chdir", s.dir}, flags...)
	s.cmd = exec.Command(binary, append(argv, "--", "/bin/sh", "-c", manyFiles)...)
	s.cmd.Env = append(os.Environ(), "GLASSHOUSE_DEBUG_EVENTS=1")
	s.cmd.Stderr = w
	// The command's own stderr goes through the recorder, too, and stays empty.
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, r)
		_ = s.cmd.Wait()
		r.Close()
		if s.group != "" {
			_ = os.WriteFile(filepath.Join(s.group, "cgroup.kill"), []byte("1"), 0)
			eventually(t, "the group removed", func() bool {
				err := unix.Rmdir(s.group)
				return err == nil || err == unix.ENOENT
			}, func() string { return s.group })
		}
	})
	eventually(t, "a frozen command", func() bool { return s.find(t) && s.frozen() }, func() string { return s.group })
	return s
}

// find looks for the recorder's children: the command, whose cgroup is named
// for the run, and the guard.
func (s *stalled) find(t *testing.T) bool {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for pid, argv := range childrenOf(s.cmd.Process.Pid) {
		if argv[0] == "glasshouse-guard" {
			s.guardPID = pid
			continue
		}
		groups, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
		for line := range strings.Lines(string(groups)) {
			path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
			if !ok || !strings.Contains(path, "/glasshouse-") {
				continue
			}
			for mount := range strings.Lines(string(mounts)) {
				if strings.Contains(mount, " - cgroup2 ") {
					s.group = filepath.Join(strings.Fields(mount)[4], path)
					s.command = pid
				}
			}
		}
	}
	return s.command != 0 && s.guardPID != 0
}

func childrenOf(parent int) map[int][]string {
	found := map[int][]string{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		stat, _ := os.ReadFile(name)
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			argv, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			found[pid] = strings.Split(string(argv), "\x00")
		}
	}
	return found
}

func (s *stalled) frozen() bool {
	events, err := os.ReadFile(filepath.Join(s.group, "cgroup.events"))
	return err == nil && strings.Contains(string(events), "frozen 1\n")
}

func (s *stalled) done() bool {
	_, err := os.Stat(filepath.Join(s.dir, "done"))
	return err == nil
}

// resume reads what the recorder has to say, and returns its receipt.
func (s *stalled) resume(t *testing.T, code int) *receipt.Receipt {
	t.Helper()
	said := make(chan string)
	go func() {
		out, _ := io.ReadAll(s.stderr)
		said <- string(out)
	}()
	if got := exitCode(t, s.cmd.Wait()); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	out := <-said
	file, err := os.Open(filepath.Join(s.dir, "receipt.json"))
	if err != nil {
		t.Fatalf("%v; stderr ends in %q", err, out[max(0, len(out)-500):])
	}
	defer file.Close()
	rec, err := receipt.Read(file)
	if err != nil {
		t.Fatalf("%v; stderr ends in %q", err, out[max(0, len(out)-500):])
	}
	receipttest.Validate(t, rec)
	o := rec.Observation
	if !o.Complete || len(o.Events.Lost) > 0 || o.Backpressure.Freezes == 0 || o.Backpressure.FrozenMS == 0 {
		t.Errorf("%+v", o)
	}
	if running(s.guardPID) {
		t.Error("the guard outlives the run")
	}
	return rec
}

func running(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// A command that was held up goes on, and nothing is lost.
func TestFrozenGoesOn(t *testing.T) {
	s := stall(t)
	time.Sleep(100 * time.Millisecond)
	if s.done() || !s.frozen() {
		t.Fatal("the command went on")
	}
	rec := s.resume(t, 0)
	created := 0
	for _, c := range rec.Filesystem.Created {
		if strings.HasPrefix(c.Path, s.dir+"/f") {
			created++
		}
	}
	if !s.done() || created != 3000 {
		t.Errorf("done %v, %d files in the receipt", s.done(), created)
	}
	if len(rec.ProcessTree) != 1 {
		t.Errorf("%+v", rec.ProcessTree)
	}
}

// A recorder that is killed takes nobody along: the command goes on, unseen.
func TestFrozenRecorderKilled(t *testing.T) {
	s := stall(t)
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command's end", s.done, func() string { return s.group })
	eventually(t, "the guard's end", func() bool { return !running(s.guardPID) }, func() string { return s.group })
}

// A frozen command is killed when its time is over.
func TestFrozenTimeout(t *testing.T) {
	s := stall(t, "--timeout", "8s")
	eventually(t, "the command's end", func() bool { return !running(s.command) }, func() string { return s.group })
	rec := s.resume(t, 128+9)
	if s.done() || rec.Outcome.Error == nil || !strings.Contains(*rec.Outcome.Error, "timed out after 8s") {
		t.Errorf("done %v, %+v", s.done(), rec.Outcome)
	}
}

// A frozen command gets a signal when it goes on, before anything else.
func TestFrozenSignal(t *testing.T) {
	s := stall(t)
	if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	rec := s.resume(t, 128+15)
	if s.done() || rec.Outcome.Signal == nil || *rec.Outcome.Signal != "SIGTERM" {
		t.Errorf("done %v, %+v", s.done(), rec.Outcome)
	}
}
