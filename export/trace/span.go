package trace

import "glasshouse/receipt"

// firstFree is above all numbers that Linux gives to processes.
const firstFree = 1 << 22

// numbers gives each track one of its own.
type numbers struct {
	used map[int32]bool
	next int64
}

func newNumbers(r *receipt.Receipt) *numbers {
	n := &numbers{used: map[int32]bool{}, next: firstFree}
	for i := range r.ProcessTree {
		n.next = max(n.next, int64(r.ProcessTree[i].PID)+1)
	}
	return n
}

func (n *numbers) free() int64 {
	n.next++
	return n.next - 1
}

// of is for the next process with this number. Readers hold 0 for the idle
// task.
func (n *numbers) of(pid int32) int64 {
	if pid <= 0 || n.used[pid] {
		return n.free()
	}
	n.used[pid] = true
	return int64(pid)
}
