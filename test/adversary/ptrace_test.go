//go:build linux

package adversary

import (
	"maps"
	"slices"
	"testing"

	"glasshouse/test/recorded"
)

// difference is in what the receipt of a workload differs if it is watched by
// ptrace: lists that are added to those of the same names in what the workload
// says. docs/COVERAGE.md has a column for it.
type difference struct {
	skip                       string // why it cannot be run
	partial, doubtful, may, no []string
}

const nested = "a traced process cannot trace"

var underPtrace = map[string]difference{
	"ptrace-inside":   {skip: nested},
	"ptrace-changed":  {skip: nested},
	"ptrace-emulated": {skip: nested},

	// A name that is read at the entry and at the exit of a call is seen to change.
	"race-open":   {may: []string{"raced"}},
	"race-page":   {may: []string{"raced"}},
	"race-rename": {may: []string{"raced"}},
	"race-unlink": {may: []string{"raced"}},
	// Reads and writes of a process with several threads, or that shares its
	// descriptors with another.
	"seccomp-notify": {may: []string{"raced"}},
	"cold-addresses": {may: []string{"raced"}},
	"exec-thread":    {may: []string{"raced"}},
	// A tracer can read any memory at the entry.
	"race-cold": {no: []string{"raced"}},
	// Paths of 4,096 bytes are all that /proc shows, but of any depth.
	"path-6000": {partial: []string{"writes", "deletes", "created", "changed"}, may: []string{"path_cut"}},
	"deep-600":  {no: []string{"path_cut"}, may: []string{"path_cut"}},
	// What such a process maps to read, it can run.
	"personality": {partial: []string{"mapped"}, may: []string{"executable_memory"}},
	// The filter's answer to a call that began before it was there.
	"seccomp-meanwhile": {doubtful: []string{"accepts"}},
}

// adjust adds what is different to what a workload says of itself.
func adjust(t *testing.T, name, dir string, said lists) {
	t.Helper()
	if recorded.Backend != "process" {
		truer(t, name, dir, said)
		return
	}
	if recorded.Observe != "ptrace" {
		return
	}
	d := underPtrace[name]
	said["partial"] = append(said["partial"], d.partial...)
	said["doubtful"] = append(said["doubtful"], d.doubtful...)
	said["may"] = append(said["may"], d.may...)
	said["gaps"] = minus(said["gaps"], d.no)
}

// TestDifferences is that each belongs to a workload.
func TestDifferences(t *testing.T) {
	names := map[string]bool{}
	for _, rows := range tables {
		for _, r := range rows {
			names[r.name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(underPtrace)) {
		if !names[name] {
			t.Errorf("no workload %s", name)
		}
	}
}
