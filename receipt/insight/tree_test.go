package insight

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"glasshouse/receipt"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// at is so many milliseconds after the beginning.
func at(ms int) receipt.Time { return receipt.At(began.Add(time.Duration(ms) * time.Millisecond)) }

// proc is a process from one millisecond to another; it has not ended if that
// is 0.
func proc(pid, ppid int32, from, to int, argv ...string) receipt.Process {
	p := receipt.Process{PID: pid, PPID: ppid, StartTime: uint64(from) * 1e6, StartedAt: at(from), Argv: argv}
	if len(argv) > 0 {
		p.Exe = "/bin/" + argv[0]
		p.Execs = []receipt.Exec{{Exe: p.Exe, Argv: argv}}
	}
	if to > 0 {
		end := at(to)
		p.EndedAt, p.ExitCode = &end, ptr(0)
	}
	return p
}

func treeOf(list ...receipt.Process) (*receipt.Receipt, Tree) {
	r := &receipt.Receipt{ReceiptVersion: receipt.Version, ProcessTree: list}
	return r, Processes(r)
}

// drawn is a tree as "pid" lines, indented.
func drawn(r *receipt.Receipt, t Tree) string {
	var b strings.Builder
	for i, depth := range t.All() {
		fmt.Fprintf(&b, "%s%d\n", strings.Repeat(" ", depth), r.ProcessTree[i].PID)
	}
	return b.String()
}

func TestTree(t *testing.T) {
	for _, tc := range []struct {
		name string
		list []receipt.Process
		want string
	}{
		{"nothing", nil, ""},
		{"family", []receipt.Process{proc(1, 0, 1, 90, "a"), proc(2, 1, 2, 50, "b"), proc(3, 2, 3, 40, "c"), proc(4, 1, 4, 80, "d")},
			"1\n 2\n  3\n 4\n"},
		{"not in order", []receipt.Process{proc(4, 1, 4, 80), proc(3, 2, 3, 40), proc(2, 1, 2, 50), proc(1, 0, 1, 90)},
			"1\n 2\n  3\n 4\n"},
		{"orphans", []receipt.Process{proc(1, 77, 1, 90), proc(2, 78, 2, 50)}, "1\n2\n"},
		{"a number is used again", []receipt.Process{proc(1, 0, 1, 0), proc(2, 1, 2, 10), proc(3, 2, 3, 9), proc(2, 1, 20, 30), proc(4, 2, 21, 22)},
			"1\n 2\n  3\n 2\n  4\n"},
		{"the parent was gone", []receipt.Process{proc(1, 0, 1, 5), proc(2, 1, 6, 7)}, "1\n2\n"},
		{"the parent came later", []receipt.Process{proc(2, 1, 1, 9), proc(1, 0, 5, 9)}, "2\n1\n"},
		{"its own parent", []receipt.Process{proc(1, 1, 1, 9)}, "1\n"},
		{"each the other's parent", []receipt.Process{proc(1, 2, 1, 9), proc(2, 1, 1, 9)}, "1\n 2\n"},
		{"no times, as in v0.2", []receipt.Process{{PID: 1}, {PID: 2, PPID: 1}, {PID: 3, PPID: 2}}, "1\n 2\n  3\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, tree := treeOf(tc.list...)
			if got := drawn(r, tree); got != tc.want {
				t.Errorf("got:\n%swant:\n%s", got, tc.want)
			}
		})
	}
}

func TestNode(t *testing.T) {
	child := proc(2, 1, 2, 12)
	child.Argv, child.Exe = []string{"a"}, "/bin/a"
	gone := proc(3, 1, 3, 4, "b")
	gone.EndedAt, gone.ExitCode = nil, nil
	killed := proc(5, 1, 3, 4, "b")
	killed.ExitCode, killed.Signal = nil, ptr("SIGKILL")
	r, _ := treeOf(proc(1, 0, 1, 90, "a"), child, gone, proc(4, 1, 4, 0, "c"), killed)
	r.Observation.Survivors = []receipt.Survivor{{PID: 4}, {PID: 5}}
	tree := Processes(r)
	var got []string
	for i, n := range tree.Nodes {
		got = append(got, fmt.Sprint(n.Forked, n.Ended, n.Survived, n.Took, " ", End(&r.ProcessTree[i], n)))
	}
	want := []string{"false true false 89ms 0", "true true false 10ms 0", "false false false 0s ?", "false false true 0s running", "false true false 1ms SIGKILL"}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// rowsOf is a tree's rows, one a line.
func rowsOf(r *receipt.Receipt, t Tree, limit int) string {
	var b strings.Builder
	for _, row := range t.Rows(r, limit) {
		b.WriteString(strings.Repeat(" ", row.Depth))
		if row.Cut > 0 {
			fmt.Fprintf(&b, "cut %d", row.Cut)
		} else {
			fmt.Fprintf(&b, "%d×%s", row.Count, Program(&r.ProcessTree[row.Process]))
			if !row.Same {
				b.WriteString(" differ")
			}
			if row.Hidden > 0 {
				fmt.Fprintf(&b, " +%d", row.Hidden)
			}
		}
		if row.Last {
			b.WriteString(" .")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestRows(t *testing.T) {
	family := func(n int32, make func(pid int32) []receipt.Process) []receipt.Process {
		list := []receipt.Process{proc(1, 0, 1, 90000, "sh")}
		for i := range n {
			list = append(list, make(10+10*i)...)
		}
		return list
	}
	for _, tc := range []struct {
		name  string
		list  []receipt.Process
		limit int
		want  string
	}{
		{"alike", family(2000, func(pid int32) []receipt.Process {
			return []receipt.Process{proc(pid, 1, int(pid), int(pid)+3, "true")}
		}), 30, "1×sh .\n 2000×true .\n"},
		{"two by two", family(3, func(pid int32) []receipt.Process {
			return []receipt.Process{proc(pid, 1, int(pid), int(pid)+3, "a"), proc(pid+1, 1, int(pid), int(pid)+3, "b")}
		}), 30, "1×sh .\n 3×a\n 3×b .\n"},
		{"few that differ", family(4, func(pid int32) []receipt.Process {
			return []receipt.Process{proc(pid, 1, int(pid), int(pid)+3, "cat", fmt.Sprint(pid))}
		}), 30, "1×sh .\n 1×cat\n 1×cat\n 1×cat\n 1×cat .\n"},
		{"many that differ", family(5, func(pid int32) []receipt.Process {
			return []receipt.Process{proc(pid, 1, int(pid), int(pid)+3, "cat", fmt.Sprint(pid))}
		}), 30, "1×sh .\n 5×cat differ .\n"},
		{"with children alike", family(7, func(pid int32) []receipt.Process {
			return []receipt.Process{proc(pid, 1, int(pid), int(pid)+3, "make"), proc(pid+1, pid, int(pid)+1, int(pid)+3, "cc", fmt.Sprint(pid))}
		}), 30, "1×sh .\n 7×make differ .\n  1×cc .\n"},
		{"with other children", family(2, func(pid int32) []receipt.Process {
			return []receipt.Process{proc(pid, 1, int(pid), int(pid)+3, "make"), proc(pid+1, pid, int(pid)+1, int(pid)+3, fmt.Sprint("c", pid))}
		}), 30, "1×sh .\n 1×make\n  1×c10 .\n 1×make .\n  1×c20 .\n"},
		{"deep ones are left out", family(3, func(pid int32) []receipt.Process {
			return []receipt.Process{proc(pid, 1, int(pid), int(pid)+3, fmt.Sprint("m", pid)), proc(pid+1, pid, int(pid)+1, int(pid)+3, "x"), proc(pid+2, pid+1, int(pid)+2, int(pid)+3, "y")}
		}), 5, "1×sh .\n 1×m10 +2\n 1×m20 +2\n 1×m30 +2 .\n"},
		{"many roots", []receipt.Process{proc(1, 0, 1, 9, "a"), proc(2, 1, 2, 9, "b"), proc(3, 0, 3, 9, "c")}, 2, "1×a +1\n1×c .\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, tree := treeOf(tc.list...)
			if got := rowsOf(r, tree, tc.limit); got != tc.want {
				t.Errorf("got:\n%swant:\n%s", got, tc.want)
			}
		})
	}
}

// Of many siblings the first are kept, and those that ended badly.
func TestRowsCut(t *testing.T) {
	list := []receipt.Process{proc(1, 0, 1, 9000, "sh")}
	for i := range int32(100) {
		p := proc(10+i, 1, int(i)+2, 9000, fmt.Sprint("p", i))
		if i == 70 {
			p.ExitCode = ptr(1)
		}
		list = append(list, p, proc(1000+i, 10+i, int(i)+200, 9000, "x"))
	}
	r, tree := treeOf(list...)
	got := rowsOf(r, tree, 30)
	if n := strings.Count(got, "\n"); n != 1+siblings {
		t.Errorf("%d rows", n)
	}
	if !strings.Contains(got, "1×p0 +1\n") || !strings.Contains(got, "1×p70 +1\n") || !strings.HasSuffix(got, " cut 170 .\n") {
		t.Errorf("got:\n%s", got)
	}
}

// All is done in time, and on a stack that does not grow, however the tree is.
func TestHostileTrees(t *testing.T) {
	n := 300_000
	if testing.Short() {
		n = 30_000
	}
	chain := make([]receipt.Process, n)
	wide := make([]receipt.Process, n)
	same := make([]receipt.Process, n)
	for i := range n {
		chain[i] = receipt.Process{PID: int32(i), PPID: int32(i - 1), StartTime: uint64(i)}
		wide[i] = receipt.Process{PID: int32(i), PPID: 0, StartTime: uint64(i), Exe: fmt.Sprint(i)}
		same[i] = receipt.Process{PID: 1, PPID: 1, StartTime: 1}
	}
	for name, list := range map[string][]receipt.Process{"chain": chain, "wide": wide, "same": same} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			r, tree := treeOf(list...)
			seen := 0
			for range tree.All() {
				seen++
			}
			rows := tree.Rows(r, 30)
			told := 0
			for _, row := range rows {
				told += row.Count*(1+row.Hidden) + row.Cut
			}
			if seen != n || told != n {
				t.Errorf("%d processes: went through %d, rows tell of %d", n, seen, told)
			}
			if len(rows) > 100 {
				t.Errorf("%d rows", len(rows))
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}
