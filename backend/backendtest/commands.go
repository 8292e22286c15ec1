package backendtest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"glasshouse/backend"
)

// result is what became of a command.
type result struct {
	backend.Exit
	pid            int
	stdout, stderr string
}

// run runs a command to its end. Its streams are captured where cmd has none.
func (s *suite) run(t *testing.T, cmd backend.Command) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	b := s.started(t, cmd)
	r := result{Exit: wait(t, b)}
	if p, ok := b.(backend.Process); ok {
		r.pid = p.PID()
	}
	if err := b.Cleanup(t.Context()); err != nil {
		t.Errorf("cleanup: %v", err)
	}
	r.stdout, r.stderr = stdout.String(), stderr.String()
	return r
}

func shell(script string) backend.Command {
	return backend.Command{Argv: []string{"/bin/sh", "-c", script}}
}

// commands: what the command is, and how it ends.
func (s *suite) commands(t *testing.T) {
	for _, code := range []int{0, 1, 77, 255} {
		t.Run(fmt.Sprintf("ExitCode%d", code), func(t *testing.T) {
			if r := s.run(t, shell(fmt.Sprintf("exit %d", code))); r.Code != code || r.Signal != "" {
				t.Errorf("exit %+v", r.Exit)
			}
		})
	}
	for name, number := range map[string]int{"TERM": 15, "KILL": 9, "SEGV": 11, "HUP": 1} {
		t.Run("SIG"+name, func(t *testing.T) {
			r := s.run(t, shell("ulimit -c 0; kill -"+name+" $$"))
			if r.Code != 128+number || r.Signal != "SIG"+name {
				t.Errorf("exit %+v", r.Exit)
			}
		})
	}
	t.Run("Argv", func(t *testing.T) {
		cmd := shell(`printf '[%s]' "$0" "$@"`)
		cmd.Argv = append(cmd.Argv, "a", "", "b c", "\xff*", "--")
		if r := s.run(t, cmd); r.stdout != "[a][][b c][\xff*][--]" {
			t.Errorf("got %q", r.stdout)
		}
	})
	t.Run("PID", func(t *testing.T) {
		r := s.run(t, shell("echo $$"))
		if r.pid != 0 && r.stdout != strconv.Itoa(r.pid)+"\n" {
			t.Errorf("PID %d, the command says %q", r.pid, r.stdout)
		}
	})
	t.Run("Usage", func(t *testing.T) {
		const size = 400 << 20
		r := s.run(t, shell(fmt.Sprintf("dd if=/dev/zero of=/dev/null bs=%d count=1 2>/dev/null", size)))
		if r.UserTime+r.SystemTime <= 0 || r.MaxRSS < size>>10 || r.MaxRSS > 2*size>>10 {
			t.Errorf("exit %+v", r.Exit)
		}
	})
	t.Run("Signal", s.signal)
	t.Run("Dir", s.dir)
	t.Run("Env", s.env)
	t.Run("User", s.user)
	t.Run("Missing", s.missing)
}

func (s *suite) signal(t *testing.T) {
	ready := &watched{}
	cmd := shell("trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done")
	cmd.Stdout = ready
	b := s.started(t, cmd)
	p, ok := b.(backend.Process)
	if !ok {
		// Nothing to test; the command must go all the same.
		return
	}
	ready.wait(t, "ready\n")
	if err := p.Signal(15); err != nil {
		t.Fatal(err)
	}
	if exit := wait(t, b); exit.Code != 5 || exit.Signal != "" {
		t.Errorf("exit %+v", exit)
	}
	if err := p.Signal(15); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("after the end: %v", err)
	}
}

func (s *suite) dir(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := shell("pwd -P")
	cmd.Dir = dir
	if r := s.run(t, cmd); r.stdout != dir+"\n" {
		t.Errorf("got %q, want %q", r.stdout, dir)
	}

	// A relative name is relative to the command's directory, not to ours.
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 9\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if r := s.run(t, backend.Command{Argv: []string{"./script"}, Dir: dir}); r.Code != 9 {
		t.Errorf("./script: exit %+v", r.Exit)
	}

	missing := filepath.Join(dir, "missing")
	cmd.Dir = missing
	if err := s.fails(t, cmd); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing directory: %v", err)
	}
	cmd.Dir = script
	if err := s.fails(t, cmd); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file as directory: %v", err)
	}
}

func (s *suite) env(t *testing.T) {
	// env itself adds nothing, as a shell would.
	cmd := backend.Command{Argv: []string{"/usr/bin/env"}, Env: []string{"B=two words", "A=", "C=\xff\n"}}
	if r := s.run(t, cmd); r.stdout != "B=two words\nA=\nC=\xff\n\n" {
		t.Errorf("got %q", r.stdout)
	}
	cmd.Env = []string{}
	if r := s.run(t, cmd); r.stdout != "" {
		t.Errorf("empty: got %q", r.stdout)
	}
	t.Setenv("GLASSHOUSE_CONTRACT", "inherited")
	cmd.Env = nil
	r := s.run(t, cmd)
	got := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
	if !slices.Contains(got, "GLASSHOUSE_CONTRACT=inherited") {
		t.Errorf("nil is not the recorder's: %q", got)
	}
}

func (s *suite) user(t *testing.T) {
	cmd := shell("id -u; id -g; id -G")
	cmd.User = &backend.User{UID: 65534, GID: 65533, Groups: []uint32{65533, 12}}
	b := s.new(t)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := b.Prepare(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		if errors.Is(err, syscall.EPERM) && os.Geteuid() != 0 && os.Getenv("CI") == "" {
			t.Skipf("needs root: %v", err)
		}
		t.Fatal(err)
	}
	wait(t, b)
	if fields := strings.Fields(out.String()); !slices.Equal(fields, []string{"65534", "65533", "65533", "12"}) {
		t.Errorf("got %q", fields)
	}
}

// fails returns the error of a command that must not start, from Prepare or
// from Start.
func (s *suite) fails(t *testing.T, cmd backend.Command) error {
	t.Helper()
	b := s.new(t)
	err := b.Prepare(t.Context(), cmd)
	if err == nil {
		err = b.Start(t.Context())
	}
	if err == nil {
		t.Fatalf("%q started", cmd.Argv)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	if _, err := b.Wait(t.Context()); !errors.Is(err, backend.ErrNotStarted) {
		t.Errorf("Wait after a failed start: %v", err)
	}
	return err
}

func (s *suite) missing(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		argv string
		want error
	}{
		{"absolute", filepath.Join(dir, "missing"), fs.ErrNotExist},
		{"below a file", filepath.Join(plain, "x"), syscall.ENOTDIR},
		{"bare", "glasshouse-no-such-command", exec.ErrNotFound},
		{"empty", "", exec.ErrNotFound},
		{"directory", dir, fs.ErrPermission},
		{"not executable", plain, fs.ErrPermission},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := s.fails(t, backend.Command{Argv: []string{test.argv}}); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
