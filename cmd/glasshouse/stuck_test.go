//go:build linux

package main_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stuckOutput starts a recorder in dir whose output nobody reads, and returns
// the end of it that somebody could.
func stuckOutput(t *testing.T, dir string, args ...string) (*exec.Cmd, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	defer w.Close()
	cmd := exec.Command(binary, append([]string{"run"}, args...)...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, r
}

// terminate ends a recorder with a signal and checks its exit code.
func terminate(t *testing.T, cmd *exec.Cmd, want int, meanwhile func()) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	meanwhile()
	if got := exitCode(t, cmd.Wait()); got != want {
		t.Errorf("exit code %d, want %d", got, want)
	}
}

// full tells whether a pipe takes nothing more.
func full(t *testing.T, r *os.File) bool {
	t.Helper()
	n := 0
	for range 5 { // it has to stay as it is for a while
		now := waiting(t, r)
		if now == 0 || now != n && n != 0 {
			return false
		}
		n = now
		time.Sleep(20 * time.Millisecond)
	}
	return true
}

func waiting(t *testing.T, r *os.File) int {
	t.Helper()
	n, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// One SIGTERM ends a run whose command it ends, also when the output of the
// command is stuck on its way.
func TestTerminationWithAStuckReader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, r := stuckOutput(t, dir, "--", "sh", "-c", "echo > ready; exec yes")
	eventually(t, "a full pipe", func() bool {
		_, err := os.Stat(filepath.Join(dir, "ready"))
		return err == nil && full(t, r)
	}, func() string { return "" })
	terminate(t, cmd, 143, func() {})
	rec := readReceipt(t, filepath.Join(dir, "receipt.json"))
	if e := rec.Outcome.Error; e == nil || !strings.Contains(*e, "its reader takes no more") {
		t.Errorf("outcome %+v does not say that output is missing", rec.Outcome)
	}
	if s := rec.Outcome.Signal; s == nil || *s != "SIGTERM" {
		t.Errorf("outcome %+v, want a SIGTERM", rec.Outcome)
	}
}

// A slow reader is not a stuck one: it gets all that the command had written.
func TestTerminationWithASlowReader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, r := stuckOutput(t, dir, "--", "sh", "-c",
		`head -c 600000 /dev/zero; trap 'exit 3' TERM; echo > ready; while :; do sleep 0.05; done`)
	eventually(t, "the command's output", func() bool {
		_, err := os.Stat(filepath.Join(dir, "ready"))
		return err == nil
	}, func() string { return "" })
	total, buf := 0, make([]byte, 64<<10)
	terminate(t, cmd, 3, func() {
		for err := error(nil); err == nil; {
			time.Sleep(400 * time.Millisecond) // all of it takes longer than a stuck reader is waited for
			var n int
			n, err = io.ReadFull(r, buf)
			total += n
		}
	})
	if total != 600000 {
		t.Errorf("%d bytes arrived, want 600000", total)
	}
}

// A signal ends the waiting for a reader of the receipt.
func TestSignalEndsTheWaitingForAFIFO(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	done := filepath.Join(dir, "done")
	cmd := exec.Command(binary, "run", "-q", "-o", fifo, "--", "sh", "-c", "echo > "+done)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	eventually(t, "the command's end", func() bool { _, err := os.Stat(done); return err == nil }, func() string { return "" })
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// The first may still go to the command, and be too late for it.
	for until := time.Now().Add(limit); ; {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
			return
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(until) {
			t.Fatal("a recorder that waits for the reader of a FIFO does not end")
		}
	}
}
