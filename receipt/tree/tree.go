// Package tree says which process of a receipt is which. A process number alone
// does not: the kernel uses it again.
package tree

import (
	"cmp"
	"slices"

	"glasshouse/receipt"
)

// None stands for a process that is not among those of the receipt.
const None = -1

// Order has the indices of procs by start: the order that a receipt's have
// unless somebody edited it. A parent comes before its children.
func Order(procs []receipt.Process) []int {
	order := make([]int, len(procs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(procs[a].StartTime, procs[b].StartTime)
	})
	return order
}

// Parents has, for each process, the index of the one that forked it, or None.
// Of several with the number of the parent it is the last that began before the
// child; if that had ended by then, who forked the child is not in the receipt.
// There are no circles.
func Parents(procs []receipt.Process) []int {
	parents := make([]int, len(procs))
	latest := make(map[int32]int, len(procs)) // by pid
	for _, i := range Order(procs) {
		p := &procs[i]
		parents[i] = None
		if j, ok := latest[p.PPID]; ok {
			if end := procs[j].EndedAt; end == nil || !end.Before(p.StartedAt.Time) {
				parents[i] = j
			}
		}
		latest[p.PID] = i
	}
	return parents
}

// ByPID has the index of each process by its number, or None where several
// processes had it.
func ByPID(procs []receipt.Process) map[int32]int {
	byPID := make(map[int32]int, len(procs))
	for i, p := range procs {
		if _, again := byPID[p.PID]; again {
			i = None
		}
		byPID[p.PID] = i
	}
	return byPID
}

// Find is the index of the only process with this number, or None.
func Find(byPID map[int32]int, pid int32) int {
	if i, ok := byPID[pid]; ok {
		return i
	}
	return None
}
