package audit

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"glasshouse/receipt"
)

type networkTable struct {
	recent   recentEvents
	repeats  *repeatTable
	attempts map[attempt]*uint64
	internal map[attempt]uint64 // of these, over unix sockets to the run itself
	// waiting holds, by socket, attempts that were in progress and outcomes,
	// until it is clear which belong together.
	waiting map[uint64][]socketEvent
	sweepAt int    // how many sockets may wait before those are settled that can be
	latest  uint64 // time of the newest event
	orphans uint64 // outcomes without an attempt
	own     ownSockets
	dns     dnsTable
}

func newNetworkTable(repeats *repeatTable) networkTable {
	return networkTable{
		recent: newRecentEvents(), repeats: repeats,
		attempts: map[attempt]*uint64{}, internal: map[attempt]uint64{}, waiting: map[uint64][]socketEvent{}, sweepAt: minSweep,
		own: newOwnSockets(), dns: newDNSTable(),
	}
}

// attempt is the key under which attempts count together.
type attempt struct {
	process                     ProcessID
	dst, protocol, result, host string
}

// socketEvent is an attempt in progress or, without one, an outcome.
type socketEvent struct {
	at      order
	attempt *attempt
	result  string
}

const (
	// reorder is by how much events of different CPUs may be out of order.
	reorder  = uint64(1e9) // ns
	minSweep = 4096
)

// add takes an event whose meaning depends on others before it.
func (t *networkTable) add(e Event) {
	for _, e := range t.recent.add(e) {
		t.apply(e)
	}
}

// apply takes the events in the order of their times.
func (t *networkTable) apply(event Event) {
	t.latest = max(t.latest, event.Head().Time)
	switch e := event.(type) {
	case *Connect:
		if n := t.connect(e); n != nil {
			t.repeats.track(e.ID, tally{count: n})
		}
	case *ConnectDone:
		t.wait(e.Socket, socketEvent{at: orderOf(&e.Header), result: e.Result})
	case *Bind:
		t.own.bind(e)
	case *Client:
		t.own.client(e)
	case *DNS:
		t.dns.message(e)
	}
}

// connect returns the counter for repeats; nil if there can be none.
func (t *networkTable) connect(e *Connect) *uint64 {
	key := attempt{e.Process, e.Dst, e.Protocol, e.Result, t.dns.host(e.Process, e.Dst)}
	if e.Socket != 0 && e.Result == ResultInProgress {
		t.wait(e.Socket, socketEvent{at: orderOf(&e.Header), attempt: &key})
		return nil
	}
	if e.Own {
		t.internal[key] = addSat(t.internal[key], 1)
	}
	return t.count(key)
}

func (t *networkTable) count(key attempt) *uint64 {
	n := t.attempts[key]
	if n == nil {
		n = new(uint64)
		t.attempts[key] = n
	}
	*n = addSat(*n, 1)
	return n
}

func (t *networkTable) wait(socket uint64, e socketEvent) {
	t.waiting[socket] = append(t.waiting[socket], e)
	if len(t.waiting) < t.sweepAt && len(t.waiting[socket]) < minSweep {
		return
	}
	for socket, events := range t.waiting {
		newest := slices.MaxFunc(events, func(a, b socketEvent) int { return cmp.Compare(a.at.time, b.at.time) })
		if addSat(newest.at.time, reorder) >= t.latest && len(events) < minSweep {
			continue // more may come that belongs in between
		}
		settled := settle(events)
		for _, key := range settled.attempts {
			t.count(key)
		}
		t.orphans = addSat(t.orphans, settled.orphans)
		if settled.open == nil {
			delete(t.waiting, socket)
		} else {
			t.waiting[socket] = []socketEvent{*settled.open}
		}
	}
	// Those still in progress stay; do not look at them again each time.
	t.sweepAt = max(minSweep, 2*len(t.waiting))
}

// settlement is what the events of one socket amount to.
type settlement struct {
	attempts []attempt
	open     *socketEvent // the attempt that is still in progress
	orphans  uint64
}

// settle pairs attempts with outcomes. The kernel uses a socket's number again
// once it is closed, so there can be several of each. A socket makes one
// attempt at a time: an outcome belongs to the last attempt before it, or, as
// it may be reported while connect(2) is about to return, to the next one.
func settle(events []socketEvent) settlement {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b socketEvent) int { return a.at.compare(b.at) })
	var (
		s     settlement
		early *socketEvent
	)
	for i := range events {
		e := &events[i]
		if early != nil && addSat(early.at.time, reorder) < e.at.time {
			s.orphans++
			early = nil
		}
		switch {
		case e.attempt != nil && early != nil:
			s.attempts = append(s.attempts, e.attempt.ended(early.result))
			early = nil
		case e.attempt != nil:
			if s.open != nil { // its outcome never came
				s.attempts = append(s.attempts, *s.open.attempt)
			}
			s.open = e
		case s.open != nil:
			s.attempts = append(s.attempts, s.open.attempt.ended(e.result))
			s.open = nil
		default:
			if early != nil {
				s.orphans++
			}
			early = e
		}
	}
	if early != nil {
		s.orphans++
	}
	return s
}

func (a attempt) ended(result string) attempt {
	a.result = result
	return a
}

func (t *networkTable) fill(n *receipt.Network, gaps gapSet) {
	for _, e := range t.recent.rest() {
		t.apply(e)
	}
	t.own.fill(n)
	t.dns.fill(n, gaps)
	counts := make(map[attempt]uint64, len(t.attempts))
	for key, count := range t.attempts {
		counts[key] = *count
	}
	orphans := t.orphans
	for _, events := range t.waiting {
		s := settle(events)
		if s.open != nil {
			s.attempts = append(s.attempts, *s.open.attempt)
		}
		for _, key := range s.attempts {
			counts[key] = addSat(counts[key], 1)
		}
		orphans = addSat(orphans, s.orphans)
	}
	if orphans > 0 {
		gaps.add(receipt.GapConnect, "outcomes of connection attempts that did not arrive", orphans)
	}

	n.Attempts = make([]receipt.Attempt, 0, len(counts))
	for _, key := range slices.SortedFunc(maps.Keys(counts), attempt.compare) {
		row := receipt.Attempt{
			Dst: key.dst, Protocol: key.protocol, Result: key.result,
			PID: key.process.PID, Count: counts[key],
		}
		if key.host != "" {
			row.Host = &key.host
		}
		n.Attempts = append(n.Attempts, row)
		// A nameless address is a socket pair or the like, no service.
		reached := key.result == ResultConnected || key.result == ResultSent
		if !reached || !strings.HasPrefix(key.dst, "unix:") || key.dst == "unix:" {
			continue
		}
		if others := counts[key] - min(t.internal[key], counts[key]); others > 0 {
			gaps.add(receipt.GapDaemon, key.dst, others)
		}
	}
}

func (a attempt) compare(b attempt) int {
	return cmp.Or(cmp.Compare(a.dst, b.dst), cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.result, b.result),
		cmp.Compare(a.process.PID, b.process.PID), cmp.Compare(a.host, b.host), cmp.Compare(a.process.Start, b.process.Start))
}
