//go:build linux

// Package recorded runs workloads under the real probes, for tests that
// compare what a receipt says with what is known to have happened.
package recorded

import (
	"bytes"
	cmp_ "cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"glasshouse/audit"
	"glasshouse/backend/process"
	"glasshouse/ebpf"
	"glasshouse/ptrace"
	"glasshouse/receipt"
	"glasshouse/receipt/receipttest"
	"glasshouse/runner"
)

// Recording is a receipt, and what the command printed.
type Recording struct {
	*receipt.Receipt
	Stdout string
}

// Option changes how a command is run or watched.
type Option func(*runner.Spec, *ebpf.Options)

// In runs the command in a folder.
func In(dir string) Option { return func(s *runner.Spec, _ *ebpf.Options) { s.Dir = dir } }

// Stdin gives the command something to read.
func Stdin(f io.Reader) Option { return func(s *runner.Spec, _ *ebpf.Options) { s.Stdin = f } }

// Run runs a command under the probes. It skips the test as NeedProbes says,
// ends it if a workload failed, and fails it if the receipt is not valid.
func Run(t *testing.T, argv []string, opts ...Option) Recording {
	t.Helper()
	var stdout, stderr bytes.Buffer
	spec := runner.Spec{Backend: process.New(), Argv: argv, Stdout: &stdout, Stderr: io.MultiWriter(&stderr, t.Output())}
	spec.Unavailable = func(err error) { NeedProbes(t, err) }
	probes := ebpf.Options{CaptureArgv: true}
	for _, o := range opts {
		o(&spec, &probes)
	}
	told := func(*receipt.Receipt) {}
	if Backend == "qemu" {
		told = inMachine(t, &spec, probes)
	} else if Observe == "ptrace" {
		spec.Collector = ptrace.New(ptrace.Options{CaptureArgv: probes.CaptureArgv})
	} else {
		spec.Collector = ebpf.New(probes)
	}
	r, err := runner.Run(context.Background(), spec)
	if err != nil && r == nil {
		t.Fatal(err)
	}
	told(r)
	receipttest.Validate(t, r)
	if r.Outcome.ExitCode == failureCode {
		t.Fatalf("the workload failed: %s", stderr.String())
	}
	standing(t, r)
	return Recording{r, stdout.String()}
}

// standing takes out of a receipt what each that was made with ptrace says.
func standing(t *testing.T, r *receipt.Receipt) {
	t.Helper()
	if Observe != "ptrace" || r.Observation.Mode != "ptrace" {
		return
	}
	said := map[string]bool{receipt.GapPtrace: false, receipt.GapSyscalls: false}
	r.Observation.Gaps = slices.DeleteFunc(r.Observation.Gaps, func(g receipt.Gap) bool {
		_, always := said[g.Kind]
		if always {
			said[g.Kind] = true
		}
		return always
	})
	if len(r.ProcessTree) == 0 || len(r.ProcessTree[0].Execs) == 0 {
		return // it never ran
	}
	if !said[receipt.GapPtrace] || !said[receipt.GapSyscalls] {
		t.Errorf("not said of a run under ptrace: %v", said)
	}
}

// Observe is how the workloads are watched: ebpf, or what
// GLASSHOUSE_TEST_OBSERVE says.
var Observe = cmp_.Or(os.Getenv("GLASSHOUSE_TEST_OBSERVE"), "ebpf")

// NeedEBPF skips what is about the kernel's programs and their ring, under
// another way to observe.
func NeedEBPF(t *testing.T) {
	t.Helper()
	if Observe != "ebpf" {
		t.Skip("this is about eBPF's own: its ring, its programs")
	}
}

// NeedProbes skips a test where this machine or user may not use eBPF, and
// for no other reason. In CI everything must run.
func NeedProbes(t *testing.T, err error) {
	t.Helper()
	var unavailable *audit.UnavailableError
	if errors.As(err, &unavailable) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	t.Fatal(err)
}

// NeedRoot skips where the test is not run by root, which CI does.
func NeedRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("CI runs as root")
	}
	t.Skip(unix.EPERM)
}

// Complete fails the test unless the receipt claims that nothing was lost.
func Complete(t *testing.T, r *receipt.Receipt) {
	t.Helper()
	o := r.Observation
	if o.Mode != Observe || !o.Complete || len(o.Events.Lost) != 0 || o.Events.Emitted != o.Events.Received || o.Events.Emitted == 0 {
		t.Errorf("observation %+v, reason %s", o, deref(o.Reason))
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Same compares two lists of anything.
func Same[T any](t *testing.T, what string, want, got []T) {
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

// Under returns the paths of a list that lie in dir, relative to it.
func Under(dir string, paths []string) []string {
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

// TempDir is a folder whose path has no symbolic link in it.
func TempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Write makes a file that can be run, too.
func Write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Ending says in a word or two how a process ended: "exit 3", "SIGKILL", or
// "runs" if it has not.
func Ending(p receipt.Process) string {
	switch {
	case p.ExitCode != nil && p.Signal == nil:
		return "exit " + strconv.Itoa(*p.ExitCode)
	case p.ExitCode == nil && p.Signal != nil:
		return *p.Signal
	case p.ExitCode == nil:
		return "runs"
	}
	return "both"
}
