//go:build linux || darwin || freebsd || netbsd || openbsd

package process

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"glasshouse/backend"
)

// run runs a command to its end and returns its output.
func run(t *testing.T, b *Backend, cmd backend.Command) (backend.Exit, string) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout = &out
	start(t, b, cmd)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	exit, err := b.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Cleanup(ctx); err != nil {
		t.Fatal(err)
	}
	return exit, out.String()
}

func start(t *testing.T, b *Backend, cmd backend.Command) {
	t.Helper()
	t.Cleanup(func() {
		if err := b.Cleanup(context.Background()); err != nil {
			t.Errorf("cleanup: %v", err)
		}
	})
	if err := b.Prepare(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func shell(script string) backend.Command {
	return backend.Command{Argv: []string{"/bin/sh", "-c", script}}
}

func script(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestErrorText(t *testing.T) {
	dir := t.TempDir()
	noInterpreter := filepath.Join(dir, "script")
	script(t, noInterpreter, "echo hello\n", 0o755)
	for _, test := range []struct {
		argv, dir, want string
	}{
		{"/bin/nope", "", "fork/exec /bin/nope: no such file or directory"},
		{"nope-nope", "", `exec: "nope-nope": executable file not found in $PATH`},
		{"/", "", "fork/exec /: permission denied"},
		{"./script", dir, "fork/exec ./script: exec format error"},
		{"true", "/nope", "chdir /nope: no such file or directory"},
		{"true", noInterpreter, "chdir " + noInterpreter + ": not a directory"},
	} {
		b := New()
		err := b.Prepare(t.Context(), backend.Command{Argv: []string{test.argv}, Dir: test.dir})
		if err == nil {
			err = b.Start(t.Context())
		}
		if err == nil || err.Error() != test.want {
			t.Errorf("%q: got %v, want %s", test.argv, err, test.want)
		}
		if err := b.Cleanup(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestNUL(t *testing.T) {
	for _, cmd := range []backend.Command{
		{Argv: []string{"/bin/true", "a\x00b"}},
		{Argv: []string{"/bin/tr\x00ue"}},
		{Argv: []string{"/bin/true"}, Env: []string{"A=\x00"}},
	} {
		b := New()
		if err := b.Prepare(t.Context(), cmd); err != nil {
			t.Fatal(err)
		}
		if err := b.Start(t.Context()); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%q: %v", cmd.Argv, err)
		}
		if err := b.Cleanup(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestPathLookup(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	script(t, filepath.Join(dir, "tool"), "#!/bin/sh\nexit 10\n", 0o755)
	script(t, filepath.Join(dir, "sub/tool"), "#!/bin/sh\nexit 11\n", 0o755)
	script(t, filepath.Join(dir, "plain/tool"), "#!/bin/sh\nexit 12\n", 0o644)
	if err := os.MkdirAll(filepath.Join(dir, "folder/tool"), 0o755); err != nil {
		t.Fatal(err)
	}
	script(t, filepath.Join(dir, "lost/tool"), "#!/no/such/interpreter\n", 0o755)
	// The recorder's own PATH must not matter.
	t.Setenv("PATH", filepath.Join(dir, "plain"))

	for _, test := range []struct {
		path string
		code int
		exe  string
	}{
		{dir + "/sub:" + dir, 11, "/sub/tool"},
		{dir + "/plain:" + dir + "/folder:/nope:" + dir, 10, "/tool"},
		{"sub/", 11, "/sub/tool"},
		{":" + dir + "/sub", 10, "/tool"},
		{"/nope:", 10, "/tool"},
		{"", 10, "/tool"},
		{".", 10, "/tool"},
		{dir + "/lost:" + dir, 10, "/tool"},
	} {
		t.Run(test.path, func(t *testing.T) {
			b := New()
			exit, _ := run(t, b, backend.Command{
				Argv: []string{"tool"}, Dir: dir,
				Env: []string{"X=PATH=/", "PATH=" + test.path, "PATH=/second"},
			})
			if exit.Code != test.code {
				t.Errorf("exit %+v", exit)
			}
			if got := b.Executable(); got != dir+test.exe {
				t.Errorf("executable %s", got)
			}
		})
	}

	if exit, _ := run(t, New(), backend.Command{Argv: []string{"true"}, Env: []string{}}); exit.Code != 0 {
		t.Errorf("without PATH: %+v", exit)
	}
}

// TestStopped: being stopped is no exit.
func TestStopped(t *testing.T) {
	b := New()
	start(t, b, backend.Command{Argv: []string{"sleep", "300"}})
	done := make(chan backend.Exit, 1)
	go func() {
		exit, _ := b.Wait(context.Background())
		done <- exit
	}()
	if err := b.Signal(int(syscall.SIGSTOP)); err != nil {
		t.Fatal(err)
	}
	select {
	case exit := <-done:
		t.Fatalf("Wait returned %+v", exit)
	case <-time.After(200 * time.Millisecond):
	}
	for _, sig := range []syscall.Signal{syscall.SIGCONT, syscall.SIGTERM} {
		if err := b.Signal(int(sig)); err != nil {
			t.Fatal(err)
		}
	}
	if exit := <-done; exit.Code != 128+15 || exit.Signal != "SIGTERM" {
		t.Errorf("exit %+v", exit)
	}
}

func TestDrain(t *testing.T) {
	b := New()
	var out, errOut bytes.Buffer
	// More on stderr than a pipe holds: both must be served at once.
	cmd := shell("(sleep 1; seq 1 300000 >&2; echo late) & echo early")
	cmd.Stdout, cmd.Stderr = &out, &errOut
	start(t, b, cmd)
	if _, err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !b.StreamsHeld() || out.String() != "early\n" {
		t.Fatalf("held %v, stdout %q", b.StreamsHeld(), &out)
	}
	if err := b.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.StreamsHeld() || out.String() != "early\nlate\n" || !strings.HasSuffix(errOut.String(), "\n300000\n") {
		t.Errorf("held %v, stdout %q, stderr %d bytes", b.StreamsHeld(), &out, errOut.Len())
	}
}

// TestRootEnded: the root's end is not that of the wait for its output.
func TestRootEnded(t *testing.T) {
	b := New()
	var out bytes.Buffer
	cmd := shell("sleep 300 & echo $!")
	cmd.Stdout = &out
	start(t, b, cmd)
	if !b.RootEnded().IsZero() {
		t.Error("ended before Wait")
	}
	if _, err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer killPID(t, out.String())
	if late := time.Since(b.RootEnded()); late < defaultGrace/2 || late > time.Minute {
		t.Errorf("the root ended %s ago", late)
	}
}

func TestDrainCancelled(t *testing.T) {
	b := New()
	var out bytes.Buffer
	cmd := shell("sleep 300 & echo $!")
	cmd.Stdout = &out
	start(t, b, cmd)
	if err := b.Drain(t.Context()); !errors.Is(err, backend.ErrNotStarted) {
		t.Errorf("before Wait: %v", err)
	}
	if _, err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer killPID(t, out.String())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if !b.StreamsHeld() {
		t.Error("not held")
	}
}

func TestNotHeld(t *testing.T) {
	b := New()
	run(t, b, shell("echo out; echo err >&2"))
	if b.StreamsHeld() {
		t.Error("held")
	}
}

// stuck is a writer that takes nothing until it is released.
type stuck struct{ release chan struct{} }

func (w stuck) Write(p []byte) (int, error) {
	<-w.release
	return len(p), nil
}

// TestStuckWriter: a run that is cancelled ends even if its output cannot go
// anywhere.
func TestStuckWriter(t *testing.T) {
	w := stuck{make(chan struct{})}
	defer close(w.release)
	b := New()
	b.linger = 100 * time.Millisecond
	start(t, b, backend.Command{Argv: []string{"yes"}, Stdout: w})
	cause := errors.New("timeout")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, cause)
	defer cancel()
	exit, err := b.Wait(ctx)
	if !errors.Is(err, cause) || exit.Signal != "SIGKILL" {
		t.Errorf("exit %+v, error %v", exit, err)
	}
}

// pipeWriter hides that it is an *os.File, which would be inherited.
type pipeWriter struct{ f *os.File }

func (w pipeWriter) Write(p []byte) (int, error) { return w.f.Write(p) }

// TestReaderGone: the command feels that the reader of our output has gone,
// and it is no error of ours.
func TestReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	b := New()
	start(t, b, backend.Command{Argv: []string{"yes"}, Stdout: pipeWriter{w}})
	exit, err := b.Wait(t.Context())
	if err != nil || exit.Signal != "SIGPIPE" {
		t.Errorf("exit %+v, error %v", exit, err)
	}
}

func TestStdinError(t *testing.T) {
	failure := errors.New("no more input")
	b := New()
	start(t, b, backend.Command{Argv: []string{"cat"}, Stdin: failingReader{failure}})
	exit, err := b.Wait(t.Context())
	if !errors.Is(err, failure) || exit.Code != 0 {
		t.Errorf("exit %+v, error %v", exit, err)
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestSignalName(t *testing.T) {
	for sig, want := range map[syscall.Signal]string{
		syscall.SIGKILL: "SIGKILL", syscall.SIGSEGV: "SIGSEGV",
		34: "SIGRTMIN", 36: "SIGRTMIN+2",
	} {
		if got := signalName(sig); got != want {
			t.Errorf("%d: %s, want %s", sig, got, want)
		}
	}
}
