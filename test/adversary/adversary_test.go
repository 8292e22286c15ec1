//go:build linux

// Package adversary runs programs that try to hide what they do, or to have
// something invented, under the real probes. Each knows what it truly did, and
// the receipt is compared with that both ways: nothing missing, nothing extra.
// What cannot be seen has to stand among the gaps. docs/COVERAGE.md is the
// table of them all.
package adversary

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"glasshouse/receipt"
	"glasshouse/test/recorded"
)

// row is a workload of testdata/c and what it needs.
type row struct {
	name  string   // of the workload and of the subtest
	files []string // what is in its folder: "folder/", "link -> target", "file", "file:content"
	// prepare does what else there is to do beforehand, and returns arguments.
	prepare func(t *testing.T, dir string) []string
	opts    []recorded.Option
	args    []string
	amd64   bool // it is made of that machine's instructions
}

// program is the workloads' binary. It is built here, unless
// GLASSHOUSE_TEST_HELPERS names a folder that has it: where there is no compiler.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "adversary")
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err == nil {
		recorded.Folder = dir
		program, err = build(dir)
	}
	if err != nil {
		println("cannot build the workloads:", err.Error())
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func build(dir string) (string, error) {
	if dir := os.Getenv("GLASSHOUSE_TEST_HELPERS"); dir != "" {
		return filepath.Join(dir, "adversary"), nil
	}
	sources, err := filepath.Glob("testdata/c/*.c")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "adversary")
	cc := exec.Command("gcc", append([]string{"-static", "-O1", "-Wall", "-pthread", "-o", program}, sources...)...)
	cc.Stderr = os.Stderr
	return program, cc.Run()
}

func run(t *testing.T, rows []row) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if r.amd64 && runtime.GOARCH != "amd64" {
				t.Skip("these are instructions of amd64")
			}
			if d := underPtrace[r.name]; recorded.Observe == "ptrace" && d.skip != "" {
				t.Skip(d.skip)
			}
			if recorded.Backend != "process" {
				if why := onHost[r.name]; why != "" {
					t.Skip(why)
				}
			} else {
				t.Parallel() // most of the time goes into loading the probes
			}
			r.run(t)
		})
	}
}

func (r row) run(t *testing.T) {
	recorded.NeedRoot(t)
	dir := folder(t)
	lay(t, dir, r.files)
	argv := append([]string{program, r.name}, r.args...)
	if r.prepare != nil {
		argv = append(argv, r.prepare(t, dir)...)
	}
	rec := recorded.Run(t, argv, append(r.opts, recorded.In(dir))...)
	recorded.Complete(t, rec.Receipt)

	lines := strings.Split(strings.TrimSpace(rec.Stdout), "\n")
	said := lists{}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &said); err != nil {
		t.Fatalf("the workload ended in %+v and its last line %q: %v", rec.Outcome, lines[len(lines)-1], err)
	}
	adjust(t, r.name, dir, said)
	compare(t, said, found(rec.Receipt, dir), rec.Receipt)
}

// compare holds what a workload said against what was found. Three lists are
// about others: the lists named in "partial" may miss lines, because a gap says
// so, those in "doubtful" may have wrong ones, as many as gaps say, and the gaps
// in "may" need not be there.
func compare(t *testing.T, said, got lists, r *receipt.Receipt) {
	t.Helper()
	partial, doubtful := said["partial"], said["doubtful"]
	for _, list := range append([]string{"opens"}, compared...) {
		if list == "opens" && len(said[list]) == 0 {
			continue
		}
		want, have := sorted(said[list]), sorted(got[list])
		missing, extra := minus(want, have), minus(have, want)
		if list == "gaps" {
			extra = minus(extra, said["may"])
			extra = minus(extra, glances(r))
		}
		switch {
		case slices.Contains(partial, list):
			missing = nil
		case slices.Contains(doubtful, list):
			var doubts uint64
			for _, g := range r.Observation.Gaps {
				if slices.Contains(said["gaps"], g.Kind) || slices.Contains(said["may"], g.Kind) {
					doubts += g.Count
				}
			}
			wrong := max(len(missing), len(extra))
			if list == "opens" {
				wrong = misplaced(missing, extra)
			}
			t.Logf("%s: %d are wrong, %d are said to be doubtful", list, wrong, doubts)
			if uint64(wrong) <= doubts {
				missing, extra = nil, nil
			}
		}
		complain(t, list+": missed", missing)
		complain(t, list+": invented", extra)
	}
	for list := range said {
		if !slices.Contains(append([]string{"opens", "partial", "doubtful", "may"}, compared...), list) {
			t.Errorf("the workload has a list %q", list)
		}
	}
}

// glances is the gap that anybody leaves who looks into a process from outside,
// such as ps: its memory has one user more for that moment.
func glances(r *receipt.Receipt) []string {
	var n uint64
	for _, g := range r.Observation.Gaps {
		if g.Kind == "shared_names" {
			n += g.Count
		}
	}
	if n > 3 {
		return nil
	}
	return []string{"shared_names"}
}

// misplaced is how many opens are missing, or too many, from the lines "file 7"
// of what was done and what was found.
func misplaced(missing, extra []string) int {
	count := func(lines []string) map[string]int {
		counts := map[string]int{}
		for _, line := range lines {
			i := strings.LastIndexByte(line, ' ')
			n, err := strconv.Atoi(line[i+1:])
			if err != nil {
				panic(err)
			}
			counts[line[:i]] = n
		}
		return counts
	}
	short, over := 0, 0
	got := count(extra)
	for name, n := range count(missing) {
		short += max(0, n-got[name])
		over += max(0, got[name]-n)
		delete(got, name)
	}
	for _, n := range got {
		over += n
	}
	return max(short, over)
}

func complain(t *testing.T, what string, lines []string) {
	t.Helper()
	if len(lines) > 10 {
		lines = append(lines[:10:10], "and more")
	}
	if len(lines) > 0 {
		t.Errorf("%s\n\t%s", what, strings.Join(lines, "\n\t"))
	}
}

func sorted(lines []string) []string { return slices.Compact(slices.Sorted(slices.Values(lines))) }

// minus is what a has and b has not.
func minus(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// lay makes the files of a folder.
func lay(t *testing.T, dir string, files []string) {
	t.Helper()
	for _, f := range files {
		var err error
		if name, target, ok := strings.Cut(f, " -> "); ok {
			err = os.Symlink(target, filepath.Join(dir, name))
		} else if name, ok := strings.CutSuffix(f, "/"); ok {
			err = os.MkdirAll(filepath.Join(dir, name), 0o755)
		} else {
			name, content, _ := strings.Cut(f, ":")
			err = os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
