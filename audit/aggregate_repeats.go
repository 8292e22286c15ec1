package audit

import "glasshouse/receipt"

// tally is where the repeats of an event count; any part may be nil.
type tally struct{ count, bytes, latest *uint64 }

func (t tally) add(r repeated) {
	addTo(t.count, r.count)
	addTo(t.bytes, r.bytes)
	if t.latest != nil {
		*t.latest = max(*t.latest, r.latest)
	}
}

func addTo(p *uint64, n uint64) {
	if p != nil {
		*p = addSat(*p, n)
	}
}

// repeated is what the repeats of an event sum up to.
type repeated struct {
	count, bytes, latest uint64
	last                 bool // no more follow
}

// repeatTable joins repeats to the tallies of the events that they repeat. It
// forgets an event with the last of its repeats: what it holds is bounded by
// how many events the collector can repeat at a time.
type repeatTable struct {
	tallies map[RepeatID]tally
	early   map[RepeatID]repeated // repeats whose event has not come yet
}

func (t *repeatTable) track(id RepeatID, to tally) {
	if id == 0 {
		return
	}
	r, early := t.early[id]
	if early {
		to.add(r)
		delete(t.early, id)
	}
	if !r.last {
		t.tallies[id] = to
	}
}

func (t *repeatTable) add(e *Repeat) {
	r := repeated{e.Count, e.Bytes, e.Latest, e.Last}
	if to, ok := t.tallies[e.ID]; ok {
		to.add(r)
		if r.last {
			delete(t.tallies, e.ID)
		}
		return
	}
	old := t.early[e.ID]
	t.early[e.ID] = repeated{
		addSat(old.count, r.count), addSat(old.bytes, r.bytes), max(old.latest, r.latest), r.last || old.last,
	}
}

func (t *repeatTable) gaps(gaps gapSet) {
	var n uint64
	for _, r := range t.early {
		n = addSat(n, r.count)
	}
	if n > 0 {
		gaps.add(receipt.GapRepeats, "repeats of events that did not arrive", n)
	}
}
