package trace

import (
	"time"

	"glasshouse/receipt"
)

// span is the time that a trace covers.
type span struct {
	start  time.Time
	length time.Duration
}

// spanOf holds every time of r that a trace shows. A zero time is not known.
func spanOf(r *receipt.Receipt) span {
	var first, last time.Time
	add := func(t receipt.Time) {
		if t.IsZero() {
			return
		}
		if first.IsZero() || t.Before(first) {
			first = t.Time
		}
		if t.After(last) {
			last = t.Time
		}
	}
	add(r.Timing.StartedAt)
	add(r.Timing.EndedAt)
	for i := range r.ProcessTree {
		p := &r.ProcessTree[i]
		add(p.StartedAt)
		if p.EndedAt != nil {
			add(*p.EndedAt)
		}
		for _, e := range p.Execs {
			add(e.At)
		}
	}
	for i := range r.Filesystem.Files {
		if f := r.Filesystem.Files[i].Final; f != nil {
			add(f.LastWrite)
		}
	}
	return span{first, last.Sub(first)}
}

// at is t on the trace's clock; what is not known is its beginning.
func (s span) at(t receipt.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return t.Sub(s.start)
}

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
