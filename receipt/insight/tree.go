package insight

import (
	"encoding/binary"
	"hash/maphash"
	"iter"
	"path"
	"slices"
	"strconv"
	"time"

	"glasshouse/receipt"
	"glasshouse/receipt/tree"
)

// Tree is who started whom.
type Tree struct {
	Roots []int  // processes whose parent is not in the receipt, by start
	Nodes []Node // one a process, parallel to the receipt's process_tree
}

// Node is one process. Numbers are indices of process_tree.
type Node struct {
	Parent   int   // tree.None if the parent is not in the receipt
	Children []int // by start
	Forked   bool  // it kept the image and the arguments that its parent had at the time
	Ended    bool  // its end was seen
	Survived bool  // it outlived the recording
	Took     time.Duration
	User     *uint32 // the user that it became, if not its parent's; of a root, if not the command's
}

// Processes makes the tree. A process whose parent is not in the receipt, as
// tree.Parents tells it, is a root.
func Processes(r *receipt.Receipt) Tree {
	list := r.ProcessTree
	t := Tree{Nodes: make([]Node, len(list))}
	survivors := make(map[int32]bool, len(r.Observation.Survivors))
	for _, s := range r.Observation.Survivors {
		survivors[s.PID] = true
	}
	// Receipts of v0.2 do not list images.
	hasExecs := slices.ContainsFunc(list, func(p receipt.Process) bool { return len(p.Execs) > 0 })
	parents := tree.Parents(list)
	for _, i := range tree.Order(list) {
		p, node := &list[i], &t.Nodes[i]
		node.Parent = parents[i]
		node.Ended = p.EndedAt != nil || p.ExitCode != nil || p.Signal != nil
		node.Survived = !node.Ended && survivors[p.PID]
		if p.EndedAt != nil {
			node.Took = max(0, p.EndedAt.Sub(p.StartedAt.Time))
		}
		user := r.Command.UID
		if node.Parent < 0 {
			t.Roots = append(t.Roots, i)
		} else {
			parent := &list[node.Parent]
			t.Nodes[node.Parent].Children = append(t.Nodes[node.Parent].Children, i)
			node.Forked = len(p.Execs) == 0 && hasExecs
			user = parent.UID
		}
		// 0 without an image is what stands there if the user is not known.
		if known := p.Exe != "" || p.UID != 0; known && p.UID != user && (node.Parent >= 0 || r.ReceiptVersion != "v0.2") {
			node.User = &p.UID
		}
	}
	return t
}

// All goes through the tree from each root down: the index of a process, and
// how many there are above it.
func (t Tree) All() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		type place struct{ node, depth int }
		var stack []place
		push := func(list []int, depth int) {
			for _, i := range slices.Backward(list) {
				stack = append(stack, place{i, depth})
			}
		}
		push(t.Roots, 0)
		for len(stack) > 0 {
			at := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if !yield(at.node, at.depth) {
				return
			}
			push(t.Nodes[at.node].Children, at.depth+1)
		}
	}
}

// Row is a line of a tree as people read it: one process, or several alike
// beside each other. It tells of one of these for all.
type Row struct {
	Process int           // index of process_tree; the first of those alike
	Depth   int           // how many rows are above it in the tree
	Last    bool          // no row with the same parent follows
	Count   int           // how many are alike
	Same    bool          // those alike have the same arguments
	Longest time.Duration // the longest that one of them took
	Hidden  int           // processes below it that have no row
	Cut     int           // not 0: no process but so many, beside each other, that have no row
}

const (
	alikeByName = 5  // so many programs of one name, with the same end, are one row
	siblings    = 16 // rows with one parent
	deepest     = 64 // levels of rows
)

// Rows makes at most about limit rows of the tree, from the top down: the
// deepest levels are left out first. Processes alike, with all that they
// started, are one row: those with the same arguments and end, or many of one
// program with the same end. r is the receipt that t was made of.
func (t Tree) Rows(r *receipt.Receipt, limit int) []Row {
	f := folder{t: t, list: r.ProcessTree, below: make([]int, len(t.Nodes))}
	f.fingerprint()
	// Level by level, as long as they fit.
	roots := f.rows(t.Roots)
	levels := [][]Row{roots}
	total := len(roots)
	kids := map[int][]Row{} // by process
	// What one root started is always shown.
	full := func(more int) bool { return total+more > limit && (len(levels) > 1 || len(roots) > 1) }
	for len(levels) < deepest {
		var next []Row
		for _, row := range levels[len(levels)-1] {
			if row.Cut == 0 && len(t.Nodes[row.Process].Children) > 0 {
				rows := f.rows(t.Nodes[row.Process].Children)
				kids[row.Process] = rows
				next = append(next, rows...)
				if full(len(next)) {
					break
				}
			}
		}
		if len(next) == 0 {
			break
		}
		if full(len(next)) {
			for _, row := range levels[len(levels)-1] {
				if row.Cut == 0 {
					delete(kids, row.Process)
				}
			}
			break
		}
		total += len(next)
		levels = append(levels, next)
	}
	// Put together, from each row down.
	type place struct {
		row   Row
		depth int
	}
	var stack []place
	push := func(rows []Row, depth int) {
		for _, row := range slices.Backward(rows) {
			stack = append(stack, place{row, depth})
		}
	}
	var out []Row
	push(roots, 0)
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		at.row.Depth = at.depth
		if rows, shown := kids[at.row.Process]; shown && at.row.Cut == 0 {
			push(rows, at.depth+1)
		} else if at.row.Cut == 0 {
			at.row.Hidden = f.below[at.row.Process]
		}
		out = append(out, at.row)
	}
	return out
}

// folder finds what is alike.
type folder struct {
	t           Tree
	list        []receipt.Process
	below       []int    // how many processes are below each
	exact, name []uint64 // what stands for a process and all below it
}

// fingerprint sums up each process with what is below it.
func (f *folder) fingerprint() {
	n := len(f.list)
	f.exact, f.name = make([]uint64, n), make([]uint64, n)
	order := make([]int, 0, n)
	for i := range f.t.All() {
		order = append(order, i)
	}
	seed := maphash.MakeSeed()
	for _, i := range slices.Backward(order) { // children come after their parent
		p, node := &f.list[i], &f.t.Nodes[i]
		var exact, name maphash.Hash
		exact.SetSeed(seed)
		name.SetSeed(seed)
		both := func(s string) {
			exact.WriteString(s)
			exact.WriteByte(0)
			name.WriteString(s)
			name.WriteByte(0)
		}
		both(Program(p))
		both(End(p, *node))
		if node.Forked {
			both("fork")
		}
		if node.User != nil {
			number := binary.LittleEndian.AppendUint32(nil, *node.User)
			exact.Write(number)
			name.Write(number)
		}
		if !node.Forked {
			for _, arg := range p.Argv {
				exact.WriteString(arg)
				exact.WriteByte(0)
			}
		}
		var sum [8]byte
		for _, c := range node.Children {
			f.below[i] += 1 + f.below[c]
			binary.LittleEndian.PutUint64(sum[:], f.exact[c])
			exact.Write(sum[:])
			binary.LittleEndian.PutUint64(sum[:], f.name[c])
			name.Write(sum[:])
		}
		f.exact[i], f.name[i] = exact.Sum64(), name.Sum64()
	}
}

// rows folds processes with one parent. What went wrong is not cut before what
// did not.
func (f *folder) rows(children []int) []Row {
	byName := make(map[uint64]int, len(children))
	for _, c := range children {
		byName[f.name[c]]++
	}
	type key struct {
		sum  uint64
		same bool
	}
	var rows []Row
	at := make(map[key]int)
	for _, c := range children {
		k := key{f.exact[c], true}
		if byName[f.name[c]] >= alikeByName {
			k = key{f.name[c], false}
		}
		i, ok := at[k]
		if !ok {
			i = len(rows)
			at[k] = i
			rows = append(rows, Row{Process: c, Same: true})
		}
		row := &rows[i]
		row.Count++
		row.Longest = max(row.Longest, f.t.Nodes[c].Took)
		row.Same = row.Same && f.exact[row.Process] == f.exact[c]
	}
	if len(rows) > siblings {
		rows = f.cut(rows)
	}
	if len(rows) > 0 {
		rows[len(rows)-1].Last = true
	}
	return rows
}

// cut keeps the first rows, and of the others first those that ended badly.
func (f *folder) cut(rows []Row) []Row {
	keep := make([]bool, len(rows))
	left := siblings - 1
	for i := range siblings / 2 {
		keep[i] = true
		left--
	}
	for _, bad := range []bool{true, false} {
		for i, row := range rows {
			if left > 0 && !keep[i] && f.failed(row.Process) == bad {
				keep[i] = true
				left--
			}
		}
	}
	var kept []Row
	var cut int
	for i, row := range rows {
		if keep[i] {
			kept = append(kept, row)
		} else {
			cut += row.Count * (1 + f.below[row.Process])
		}
	}
	return append(kept, Row{Cut: cut})
}

func (f *folder) failed(i int) bool {
	p := &f.list[i]
	return p.Signal != nil || p.ExitCode != nil && *p.ExitCode != 0 || f.t.Nodes[i].Survived || f.t.Nodes[i].User != nil
}

// Program is the name of the program that a process ran last: the last part of
// its first argument, or of its image's path.
func Program(p *receipt.Process) string {
	switch {
	case len(p.Argv) > 0 && p.Argv[0] != "":
		return path.Base(p.Argv[0])
	case p.Exe != "":
		return path.Base(p.Exe)
	}
	return "?"
}

// End is how a process ended: its exit code, the signal that ended it,
// "running" if it outlived the recording, or "?" if its end was not seen.
func End(p *receipt.Process, n Node) string {
	switch {
	case p.Signal != nil:
		return *p.Signal
	case p.ExitCode != nil:
		return strconv.Itoa(*p.ExitCode)
	case n.Survived:
		return "running"
	}
	return "?"
}
