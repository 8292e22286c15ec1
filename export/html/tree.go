package html

import (
	"cmp"
	"container/heap"
	"slices"
)

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
