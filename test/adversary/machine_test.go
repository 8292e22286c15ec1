//go:build linux

package adversary

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"glasshouse/test/recorded"
)

const (
	noPeer   = "who is at the other end would have to be in the machine, and outside of the run"
	noVictim = "the process that it attacks would have to be in the machine, and outside of the run"
)

// onHost are the workloads that cannot be run in a virtual machine of their own,
// and why.
var onHost = map[string]string{
	"int80":             noPeer,
	"handed-over":       noPeer,
	"received":          noPeer,
	"pidfd-getfd":       noVictim,
	"process-vm-writev": noVictim,
	"proc-mem":          noVictim,
	"ptrace-outside":    noVictim,
}

// byName are the workloads of which what they make has the path of its name in a
// machine, too, and why.
var byName = map[string]string{
	"deep-600":  "it is longer than what is kept of a path",
	"path-6000": "it is longer than what is kept of a path",
}

// truer is what a workload says of itself as a machine shows it: what it made has
// the path of the object that the kernel found.
func truer(name string, said lists) {
	if byName[name] != "" {
		return
	}
	for i, line := range said["created"] {
		if made, ok := strings.CutSuffix(line, " lexical"); ok {
			said["created"][i] = made + " kernel"
		}
	}
}

// TestOnHost is that each belongs to a workload.
func TestOnHost(t *testing.T) {
	names := map[string]bool{}
	for _, rows := range tables {
		for _, r := range rows {
			names[r.name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(onHost)) {
		if !names[name] {
			t.Errorf("no workload %s", name)
		}
	}
}

// folder is where a workload runs. A machine gets the one that the program lies
// in, and so has to find it there.
func folder(t *testing.T) string {
	t.Helper()
	if recorded.Backend == "process" {
		return recorded.TempDir(t)
	}
	dir, err := os.MkdirTemp(recorded.Folder, "workload")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
