//go:build linux

package adversary

import (
	"maps"
	"os"
	"slices"
	"strconv"
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

// inMachine are the workloads of which a machine shows more than what they say of
// themselves, by name and object: gaps that are not there, for no name had to be
// trusted, and what stands in the place of a text.
var inMachine = map[string]struct {
	no      []string
	instead func(said lists) (old, new string)
}{
	"race-unlink":   {no: []string{"shared_names"}},
	"race-page":     {no: []string{"shared_names"}},
	"race-rename":   {no: []string{"shared_names"}},
	"sysv-memory":   {no: []string{"shared_names"}},
	"clone-threads": {no: []string{"shared_names"}},
	"shared-root":   {no: []string{"shared_names"}},
	"shared-folder": {no: []string{"raced"}},
	"race-cold":     {no: []string{"raced"}},
	"race-cwd":      {no: []string{"raced"}},
	"race-dirfd":    {no: []string{"raced"}},
	"rename-links":  {no: []string{"links"}},
	"mkdir":         {instead: func(lists) (old, new string) { return "link/through-link", "sub/through-link" }},
	"chroot":        {instead: func(lists) (old, new string) { return "sub/../outside-too", "outside-too" }},
	"tmpfile": {instead: func(said lists) (old, new string) {
		for _, line := range said["created"] {
			if _, file, ok := strings.Cut(line, "hardlink named -> "); ok {
				new = strings.TrimSuffix(file, " kernel")
			} else if i := strings.Index(line, "/proc/thread-self/fd/"); i >= 0 {
				old = strings.TrimSuffix(line[i:], " kernel")
			}
		}
		return old, new
	}},
}

// foundMax is how long a path can be to be kept as that of an object: FOUND_MAX
// of ebpf/bpf/found.h.
const foundMax = 2048

// truer makes of what a workload in a folder says of itself what a machine shows:
// what it made has the path of the object that the kernel found.
func truer(t *testing.T, name, dir string, said lists) {
	t.Helper()
	for i, line := range said["created"] {
		if made, ok := strings.CutSuffix(line, " lexical"); ok && len(dir)+1+lengthOf(made) <= foundMax {
			said["created"][i] = made + " kernel"
		}
	}
	more := inMachine[name]
	for _, gap := range more.no {
		if !slices.Contains(said["gaps"], gap) {
			t.Errorf("the workload does not speak of %s", gap)
		}
	}
	said["gaps"] = minus(said["gaps"], more.no)
	if more.instead == nil {
		return
	}
	old, instead := more.instead(said)
	if old == "" || instead == "" {
		t.Errorf("no %q in what the workload says", name)
		return
	}
	for list, lines := range said {
		for i, line := range lines {
			said[list][i] = strings.ReplaceAll(line, old, instead)
		}
	}
}

// lengthOf is that of the path in "KIND PATH" or "KIND PATH -> TARGET", as brief
// has it.
func lengthOf(made string) int {
	_, path, _ := strings.Cut(made, " ")
	path, _, _ = strings.Cut(path, " -> ")
	if n, _, ok := strings.Cut(path, ":"); ok {
		if n, err := strconv.Atoi(n); err == nil {
			return n
		}
	}
	return len(path)
}

// TestOnHost is that each belongs to a workload.
func TestOnHost(t *testing.T) {
	names := map[string]bool{}
	for _, rows := range tables {
		for _, r := range rows {
			names[r.name] = true
		}
	}
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(onHost)), slices.Sorted(maps.Keys(inMachine))) {
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
