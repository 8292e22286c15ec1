package audit

import "slices"

// recentEvents holds events back until none can come any more that happened
// before them: those of different CPUs may be out of order by up to reorder.
type recentEvents struct {
	events []Event
	latest uint64
	full   int // how many are held before some are let go
}

const (
	recentMin = 1024
	recentMax = 65536 // then the older half goes, however recent
)

func newRecentEvents() recentEvents { return recentEvents{full: recentMin} }

// add returns the events that are let go, in the order of their times.
func (r *recentEvents) add(e Event) []Event {
	r.latest = max(r.latest, e.Head().Time)
	r.events = append(r.events, e)
	if len(r.events) < r.full {
		return nil
	}
	r.sort()
	n, _ := slices.BinarySearchFunc(r.events, r.latest, func(e Event, latest uint64) int {
		if addSat(e.Head().Time, reorder) < latest {
			return -1
		}
		return 1
	})
	if len(r.events)-n >= recentMax {
		n = len(r.events) - recentMax/2
	}
	old := slices.Clone(r.events[:n])
	r.events = slices.Delete(r.events, 0, n)
	r.full = max(recentMin, min(2*len(r.events), recentMax))
	return old
}

// rest returns what is still held.
func (r *recentEvents) rest() []Event {
	r.sort()
	rest := r.events
	*r = newRecentEvents()
	return rest
}

func (r *recentEvents) sort() {
	slices.SortStableFunc(r.events, func(a, b Event) int { return orderOf(a.Head()).compare(orderOf(b.Head())) })
}
