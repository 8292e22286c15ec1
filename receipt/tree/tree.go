// Package tree says which process of a receipt is which. A process number alone
// does not: the kernel uses it again.
package tree

import "glasshouse/receipt"

// None stands for a process that is not among those of the receipt.
const None = -1

// Parents has, for each process, the index of the one that forked it, or None.
// procs are in the order of a receipt, by start time: of several processes with
// the number of the parent it is the last that began before the child. So a
// parent comes before its children, and there are no circles.
func Parents(procs []receipt.Process) []int {
	parents := make([]int, len(procs))
	latest := make(map[int32]int, len(procs)) // by pid
	for i, p := range procs {
		parents[i] = None
		if parent, ok := latest[p.PPID]; ok {
			parents[i] = parent
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
