package html

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"glasshouse/receipt"
)

// times is the time from the first to the last that the receipt knows.
type times struct {
	start  time.Time
	length time.Duration
}

// timesOf takes a zero time for one that is not known.
func timesOf(r *receipt.Receipt) times {
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
	return times{first, last.Sub(first)}
}

func (t times) at(at receipt.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return at.Sub(t.start)
}

// assignLanes gives each process the first lane that is free when it starts,
// and returns how many lanes that took: as many as there were processes at
// once. The list is in the order of starts.
func assignLanes(list []process, length int64) int {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(list[a].Start, list[b].Start) })
	var busy byEnd
	var free lanes
	count := 0
	for _, i := range order {
		p := &list[i]
		for len(busy) > 0 && busy[0].end <= p.Start {
			heap.Push(&free, heap.Pop(&busy).(occupied).lane)
		}
		if len(free) > 0 {
			p.Lane = heap.Pop(&free).(int)
		} else {
			p.Lane = count
			count++
		}
		end := length
		if p.End != nil {
			end = *p.End
		}
		heap.Push(&busy, occupied{end, p.Lane})
	}
	return count
}

type occupied struct {
	end  int64
	lane int
}

type byEnd []occupied

func (h byEnd) Len() int           { return len(h) }
func (h byEnd) Less(i, j int) bool { return h[i].end < h[j].end }
func (h byEnd) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byEnd) Push(x any)        { *h = append(*h, x.(occupied)) }
func (h *byEnd) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

type lanes []int

func (h lanes) Len() int           { return len(h) }
func (h lanes) Less(i, j int) bool { return h[i] < h[j] }
func (h lanes) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *lanes) Push(x any)        { *h = append(*h, x.(int)) }
func (h *lanes) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
