package backendtest

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"glasshouse/backend"
	"glasshouse/internal/procfs"
)

// ends: what happens after the root process, and what is left.
func (s *suite) ends(t *testing.T, caps Capabilities) {
	t.Run("HeldOutput", s.heldOutput)
	t.Run("ChattySurvivor", s.chattySurvivor)
	t.Run("OwedOutput", s.owedOutput)
	if caps.Orphans {
		t.Run("KillTree", s.killTree)
		t.Run("CancelledTree", s.cancelledTree)
	}
	t.Run("Leaks", s.leaks)
}

// kill ends a survivor of a test, known by what it printed.
func kill(t *testing.T, pid string) {
	t.Helper()
	if p, err := os.FindProcess(number(t, pid)); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}

func number(t *testing.T, pid string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(pid))
	if err != nil {
		t.Fatalf("not a pid: %q", pid)
	}
	return n
}

// heldOutput: a process in the background that keeps stdout open does not
// keep Wait from returning.
func (s *suite) heldOutput(t *testing.T) {
	begin := time.Now()
	out := &watched{}
	cmd := shell("sleep 60 & echo $!; exit 3")
	cmd.Stdout = out
	b := s.started(t, cmd)
	exit := wait(t, b)
	kill(t, out.String())
	if exit.Code != 3 {
		t.Errorf("exit %+v", exit)
	}
	if took := time.Since(begin); took > timeout/2 {
		t.Errorf("took %v", took)
	}
}

// chattySurvivor: nor does one that writes without end.
func (s *suite) chattySurvivor(t *testing.T) {
	out := &watched{}
	cmd := shell("yes & echo $! >&2; exit 3")
	cmd.Stderr = out
	cmd.Stdout = discard{}
	b := s.started(t, cmd)
	exit := wait(t, b)
	kill(t, out.String())
	if exit.Code != 3 {
		t.Errorf("exit %+v", exit)
	}
}

// discard takes everything and, unlike io.Discard, looks like any writer.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// owedOutput: what the root wrote is copied, however slow its reader is and
// whoever else holds the pipe.
func (s *suite) owedOutput(t *testing.T) {
	out, lines := &watched{}, &sluggish{}
	cmd := shell("sleep 60 & echo $! >&2; seq 1 10000")
	cmd.Stdout, cmd.Stderr = lines, out
	b := s.started(t, cmd)
	wait(t, b)
	kill(t, out.String())
	if got := lines.String(); got != string(numbers(10000)) {
		t.Errorf("%d bytes arrived", len(got))
	}
}

// sluggish needs longer for each write than a silent pipe is given.
type sluggish struct{ watched }

func (w *sluggish) Write(p []byte) (int, error) {
	time.Sleep(300 * time.Millisecond)
	return w.watched.Write(p)
}

// orphan starts a process in a session of its own, whose parent has ended,
// and prints its number.
const orphan = `setsid sh -c 'setsid sleep 300 >/dev/null 2>&1 & echo $!'`

func (s *suite) killTree(t *testing.T) {
	out := &watched{}
	cmd := shell(orphan + "; exec sleep 300")
	cmd.Stdout = out
	b := s.started(t, cmd)
	pid := out.wait(t, "\n")
	if gone(t, pid) {
		t.Fatal("the orphan does not run")
	}
	if err := b.(backend.TreeKiller).KillTree(); err != nil {
		t.Fatal(err)
	}
	if exit := wait(t, b); exit.Signal != "SIGKILL" {
		t.Errorf("exit %+v", exit)
	}
	if !gone(t, pid) {
		kill(t, pid)
		t.Error("the orphan lives")
	}

	// And once the root has ended by itself.
	out = &watched{}
	cmd = shell(orphan)
	cmd.Stdout = out
	b = s.started(t, cmd)
	wait(t, b)
	pid = out.String()
	if gone(t, pid) {
		t.Fatal("the orphan does not outlive the root")
	}
	if err := b.(backend.TreeKiller).KillTree(); err != nil {
		t.Fatal(err)
	}
	if !gone(t, pid) {
		kill(t, pid)
		t.Error("the orphan lives")
	}
}

func (s *suite) cancelledTree(t *testing.T) {
	out := &watched{}
	cmd := shell(orphan + "; exec sleep 300")
	cmd.Stdout = out
	b := s.started(t, cmd)
	pid := out.wait(t, "\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	if !gone(t, pid) {
		kill(t, pid)
		t.Error("the orphan lives")
	}
}

// gone tells whether a process has ended, reaped or not.
func gone(t *testing.T, pid string) bool {
	t.Helper()
	stat, err := procfs.ReadStat(number(t, pid))
	return err != nil || stat.State == 'Z' || stat.State == 'X'
}

// leaks: after Cleanup there are as many descriptors and goroutines as before.
func (s *suite) leaks(t *testing.T) {
	round := func() {
		cmd := shell("cat >/dev/null; echo out; sleep 60 & echo $! >&2")
		cmd.Stdin = strings.NewReader("in")
		r := s.run(t, cmd)
		kill(t, r.stderr)
		s.fails(t, backend.Command{Argv: []string{"/glasshouse/no/such/command"}, Stdin: strings.NewReader("in"), Stdout: &watched{}})
		unstarted := s.make(t)
		if err := unstarted.Prepare(t.Context(), cmd); err != nil {
			t.Fatal(err)
		}
		if err := unstarted.Cleanup(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("warm", func(*testing.T) { round() }) // the runtime opens some for good
	files, goroutines := descriptors(t), runtime.NumGoroutine()
	for range 3 {
		round()
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		f, g := descriptors(t), runtime.NumGoroutine()
		if f <= files && g <= goroutines {
			return
		}
		if time.Since(begin) > 5*time.Second {
			t.Fatalf("descriptors: %d before, %d after; goroutines: %d before, %d after", files, f, goroutines, g)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	dir := "/proc/self/fd"
	if runtime.GOOS != "linux" {
		dir = "/dev/fd"
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
