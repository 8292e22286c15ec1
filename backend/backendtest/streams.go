package backendtest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"glasshouse/backend"
)

// watched is a writer that can be waited for.
type watched struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// wait returns what was written once that ends in suffix.
func (w *watched) wait(t *testing.T, suffix string) string {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if got := w.String(); strings.HasSuffix(got, suffix) {
			return got
		} else if time.Since(begin) > timeout {
			t.Fatalf("waited for %q, got %q", suffix, got)
		}
	}
}

// slow is a writer that takes its time, and only now and then.
type slow struct {
	hash.Hash
	n    int
	naps int
}

func (w *slow) Write(p []byte) (int, error) {
	w.n += len(p)
	if w.naps > 0 && w.n > 1<<20 {
		w.naps--
		time.Sleep(400 * time.Millisecond)
	}
	return w.Hash.Write(p)
}

type failing struct{ err error }

func (w failing) Write([]byte) (int, error) { return 0, w.err }

// numbers is what seq 1 n prints.
func numbers(n int) []byte {
	var b []byte
	for i := 1; i <= n; i++ {
		b = append(strconv.AppendInt(b, int64(i), 10), '\n')
	}
	return b
}

const manyLines = 1_200_000 // more than 8 MiB

func (s *suite) streams(t *testing.T) {
	t.Run("Separate", func(t *testing.T) {
		if r := s.run(t, shell("echo out; echo err >&2")); r.stdout != "out\n" || r.stderr != "err\n" {
			t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
		}
	})
	t.Run("OneWriter", func(t *testing.T) {
		var both bytes.Buffer
		cmd := shell("for i in 1 2 3; do echo out; echo err >&2; done")
		cmd.Stdout, cmd.Stderr = &both, &both
		s.run(t, cmd)
		if got := both.String(); got != strings.Repeat("out\nerr\n", 3) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("Null", func(t *testing.T) {
		b := s.started(t, shell("cat; echo out; echo err >&2"))
		if exit := wait(t, b); exit.Code != 0 {
			t.Errorf("exit %+v", exit)
		}
	})
	t.Run("Files", s.files)
	t.Run("Big", func(t *testing.T) {
		want, got := sha256.Sum256(numbers(manyLines)), sha256.New()
		cmd := shell("seq 1 " + strconv.Itoa(manyLines))
		cmd.Stdout = got
		s.run(t, cmd)
		if !bytes.Equal(got.Sum(nil), want[:]) {
			t.Error("output differs")
		}
	})
	t.Run("SlowReader", func(t *testing.T) {
		want, got := sha256.Sum256(numbers(manyLines)), &slow{Hash: sha256.New(), naps: 3}
		cmd := shell("seq 1 " + strconv.Itoa(manyLines))
		cmd.Stdout = got
		s.run(t, cmd)
		if !bytes.Equal(got.Sum(nil), want[:]) {
			t.Errorf("output differs: %d bytes", got.n)
		}
	})
	t.Run("Stdin", func(t *testing.T) {
		data := numbers(manyLines)
		want, got := sha256.Sum256(data), sha256.New()
		// A type of its own, not the standard library's shortcuts.
		cmd := backend.Command{Argv: []string{"cat"}, Stdin: io.MultiReader(bytes.NewReader(data)), Stdout: got}
		s.run(t, cmd)
		if !bytes.Equal(got.Sum(nil), want[:]) {
			t.Error("output differs")
		}
	})
	t.Run("StdinUnread", func(t *testing.T) {
		cmd := shell("exit 4")
		cmd.Stdin = bytes.NewReader(numbers(manyLines))
		if r := s.run(t, cmd); r.Code != 4 {
			t.Errorf("exit %+v", r.Exit)
		}
	})
	t.Run("StdinSilent", func(t *testing.T) {
		r, w := io.Pipe()
		defer w.Close()
		cmd := shell("exit 4")
		cmd.Stdin = r
		if r := s.run(t, cmd); r.Code != 4 {
			t.Errorf("exit %+v", r.Exit)
		}
	})
	t.Run("BrokenPipe", func(t *testing.T) {
		// io.ErrClosedPipe is how a reader that went away looks.
		cmd := backend.Command{Argv: []string{"yes"}, Stdout: failing{io.ErrClosedPipe}}
		if r := s.run(t, cmd); r.Code != 128+13 || r.Signal != "SIGPIPE" {
			t.Errorf("exit %+v", r.Exit)
		}
	})
	t.Run("FailingWriter", func(t *testing.T) {
		full := errors.New("full")
		b := s.started(t, backend.Command{Argv: []string{"yes"}, Stdout: failing{full}})
		exit, err := b.Wait(t.Context())
		if !errors.Is(err, full) {
			t.Errorf("error %v", err)
		}
		if exit.Signal != "SIGPIPE" {
			t.Errorf("exit %+v", exit)
		}
	})
}

func (s *suite) files(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, []byte("skipped kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	stdin, err := os.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	// The offset is shared: that is what inherited means.
	if _, err := stdin.Seek(8, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	cmd := shell("cat; echo err >&2")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stdout
	s.run(t, cmd)
	if got, err := os.ReadFile(out); err != nil || string(got) != "kepterr\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if at, err := stdin.Seek(0, io.SeekCurrent); err != nil || at != 12 {
		t.Errorf("stdin is at %d, %v", at, err)
	}
}
