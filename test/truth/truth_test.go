//go:build linux

// Package truth runs workloads that know exactly what they do under the real
// probes, and compares the receipt with that, both ways: nothing missing,
// nothing invented.
package truth

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"glasshouse/receipt"
	"glasshouse/test/recorded"
)

var workloads = recorded.Workloads{}

func TestMain(m *testing.M) { workloads.Main(m) }

// What is recorded's, by shorter names.
var (
	check, expect, result = recorded.Check, recorded.Expect, recorded.Result
	in, stdin             = recorded.In, recorded.Stdin
	workload, self        = recorded.Workload, recorded.Self
	under, tempDir, write = recorded.Under, recorded.TempDir, recorded.Write
	needRoot, needEBPF    = recorded.NeedRoot, recorded.NeedEBPF
	ending, echo          = recorded.Ending, recorded.Echo
)

type recording struct {
	*receipt.Receipt
	stdout string
}

func record(t *testing.T, argv []string, opts ...recorded.Option) recording {
	t.Helper()
	r := recorded.Run(t, argv, opts...)
	return recording{r.Receipt, r.Stdout}
}

func complete(t *testing.T, r recording) {
	t.Helper()
	recorded.Complete(t, r.Receipt)
}

func same[T any](t *testing.T, what string, want, got []T) {
	t.Helper()
	recorded.Same(t, what, want, got)
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
