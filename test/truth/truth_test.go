//go:build linux

// Package truth runs workloads that know exactly what they do under the real
// probes, and compares the receipt with that, both ways: nothing missing,
// nothing invented.
package truth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"glasshouse/audit"
	"glasshouse/backend/process"
	"glasshouse/ebpf"
	"glasshouse/receipt"
	"glasshouse/runner"
)

// The test binary runs itself as the workload: argv[1] is workloadFlag,
// argv[2] the name, the rest its arguments.
const workloadFlag = "truth-workload"

var workloads = map[string]func(args []string){}

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == workloadFlag {
		// A system call of the workload must not be cut short by the
		// scheduler's signals, nor come from a thread that nobody asked for.
		runtime.LockOSThread()
		workloads[os.Args[2]](os.Args[3:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// check ends a workload that could not do what the test thinks it did.
func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "workload:", err)
		os.Exit(99)
	}
}

// expect ends a workload whose call ended otherwise than the test says.
func expect(got, want error) {
	if !errors.Is(got, want) {
		check(fmt.Errorf("got %v, want %v", got, want))
	}
}

func result(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

type recording struct {
	*receipt.Receipt
	stdout string
}

type option func(*runner.Spec, *ebpf.Options)

func in(dir string) option { return func(s *runner.Spec, _ *ebpf.Options) { s.Dir = dir } }

func stdin(f io.Reader) option { return func(s *runner.Spec, _ *ebpf.Options) { s.Stdin = f } }

// record runs a command under the probes.
func record(t *testing.T, argv []string, opts ...option) recording {
	t.Helper()
	var stdout, stderr bytes.Buffer
	spec := runner.Spec{Backend: process.New(), Argv: argv, Stdout: &stdout, Stderr: io.MultiWriter(&stderr, t.Output())}
	spec.Unavailable = func(err error) { needProbes(t, err) }
	probes := ebpf.Options{CaptureArgv: true}
	for _, o := range opts {
		o(&spec, &probes)
	}
	spec.Collector = ebpf.New(probes)
	r, err := runner.Run(context.Background(), spec)
	if err != nil && r == nil {
		t.Fatal(err)
	}
	r.Normalize()
	if r.Outcome.ExitCode == 99 {
		t.Fatalf("the workload failed: %s", stderr.String())
	}
	return recording{r, stdout.String()}
}

// needProbes skips a test where this machine or user may not use eBPF, and
// for no other reason. In CI everything must run.
func needProbes(t *testing.T, err error) {
	t.Helper()
	var unavailable *audit.UnavailableError
	if errors.As(err, &unavailable) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	t.Fatal(err)
}

// workload is the argv that runs a workload.
func workload(name string, args ...string) []string {
	return append([]string{self, workloadFlag, name}, args...)
}

var self = func() string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return exe
}()

// complete fails the test unless the receipt claims that nothing was lost.
func complete(t *testing.T, r recording) {
	t.Helper()
	o := r.Observation
	if o.Mode != "ebpf" || !o.Complete || len(o.Events.Lost) != 0 || o.Events.Emitted != o.Events.Received || o.Events.Emitted == 0 {
		t.Errorf("observation %+v", o)
	}
}

// same compares two lists of anything.
func same[T any](t *testing.T, what string, want, got []T) {
	t.Helper()
	if len(want) == 0 {
		want = []T{}
	}
	if len(got) == 0 {
		got = []T{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// under returns the paths of a list that lie in dir, relative to it.
func under(dir string, paths []string) []string {
	out := []string{}
	for _, p := range paths {
		if rest, ok := strings.CutPrefix(p, dir+"/"); ok {
			out = append(out, rest)
		} else if p == dir {
			out = append(out, ".")
		}
	}
	return out
}

// tempDir is a folder whose path has no symbolic link in it.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

// failed lists the failed operations on paths in dir as "op path errno count".
func failed(r recording, dir string) []string {
	out := []string{}
	for _, f := range r.Filesystem.Failed {
		if rest, ok := strings.CutPrefix(f.Path, dir+"/"); ok {
			out = append(out, fmt.Sprint(f.Op, " ", rest, " ", f.Errno, " ", f.Count))
		}
	}
	slices.Sort(out)
	return out
}

func file(t *testing.T, r recording, path string) receipt.FileEntry {
	t.Helper()
	for _, f := range r.Filesystem.Files {
		if f.Path == path {
			return f
		}
	}
	t.Errorf("no entry for %s among %d files", path, len(r.Filesystem.Files))
	return receipt.FileEntry{}
}

// root is the process that was asked for.
func root(t *testing.T, r recording) receipt.Process {
	t.Helper()
	for _, p := range r.ProcessTree {
		if p.PPID == int32(os.Getpid()) {
			return p
		}
	}
	t.Fatalf("no root among %d processes", len(r.ProcessTree))
	return receipt.Process{}
}
