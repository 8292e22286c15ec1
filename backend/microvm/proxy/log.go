package proxy

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// requestLimit bounds the requests that are kept one by one, attemptLimit the
	// different ends that they came to.
	requestLimit = 4096
	attemptLimit = 4096
)

// Request is one that the guest made, and what became of it.
type Request struct {
	At       time.Time
	Kind     string         // connect for a tunnel, http for a plain request
	Host     string         // as it was asked for
	Port     uint16         // likewise; 0 if it made no sense
	Address  netip.AddrPort // that it led to; zero if to none
	Result   string         // as in network.attempts
	Reason   string         // why, if it is not connected
	Sent     uint64         // bytes to the peer
	Received uint64
	Took     time.Duration
}

// Attempt is what requests had in common.
type Attempt struct {
	Dst    string // the address, or else what was asked for
	Host   string // the name that was asked for; "" if it was an address
	Result string
	Count  uint64
}

// Report is what the proxy knows.
type Report struct {
	Allow    []string
	Requests []Request // the first ones, in the order in which they came
	Omitted  uint64    // how many more there were
	Attempts []Attempt // in no order
	Untold   uint64    // requests that are in none of these
}

// log is written while the proxy works.
type log struct {
	mu       sync.Mutex
	requests []*entry
	omitted  uint64
	attempts map[attempt]uint64
	untold   uint64
}

type attempt struct{ dst, host, result string }

// entry is a request on its way.
type entry struct {
	log            *log
	at             time.Time
	kind           string
	host           host
	asked          string // in the place of host where that is none
	port           uint16
	sent, received atomic.Uint64

	// Under the log's lock.
	address        netip.AddrPort
	result, reason string
	took           time.Duration // 0 as long as it goes on
	dialled        bool          // or about to be: who does that settles it
}

// begin takes note of a request.
func (l *log) begin(kind string, h host, asked string, port uint16) *entry {
	e := &entry{log: l, at: time.Now(), kind: kind, host: h, asked: asked, port: port}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.requests) < requestLimit {
		l.requests = append(l.requests, e)
	} else {
		l.omitted++
	}
	return e
}

// settle takes note of where it led. The first word on that counts.
func (e *entry) settle(result, reason string, to netip.AddrPort) {
	e.log.mu.Lock()
	defer e.log.mu.Unlock()
	e.settled(result, reason, to)
}

// settled is settle for who has the lock.
func (e *entry) settled(result, reason string, to netip.AddrPort) {
	l := e.log
	if e.result != "" {
		return
	}
	e.result, e.reason, e.address = result, reason, to
	a := attempt{result: result, host: e.host.name}
	switch {
	case to.IsValid():
		a.dst = to.String()
	case e.asked != "":
		a.dst = e.asked
	default:
		a.dst = e.host.at(e.port)
	}
	if l.attempts == nil {
		l.attempts = map[attempt]uint64{}
	}
	if _, known := l.attempts[a]; !known && len(l.attempts) >= attemptLimit {
		l.untold++
		return
	}
	l.attempts[a]++
}

// dial tells whether somebody may still be called for it.
func (e *entry) dial() bool {
	e.log.mu.Lock()
	defer e.log.mu.Unlock()
	e.dialled = e.dialled || e.took == 0
	return e.took == 0
}

// end takes note of the end of what it led to, which may be nothing: who asked may
// be gone at once.
func (e *entry) end() {
	e.log.mu.Lock()
	defer e.log.mu.Unlock()
	e.took = max(time.Since(e.at), 1)
	if !e.dialled {
		e.settled("failed", "it was ended before anybody was called", netip.AddrPort{})
	}
}

// report is what is known now.
func (l *log) report() *Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &Report{Omitted: l.omitted, Untold: l.untold}
	for _, e := range l.requests {
		q := Request{
			At: e.at, Kind: e.kind, Host: e.host.String(), Port: e.port, Address: e.address, Result: e.result, Reason: e.reason,
			Sent: e.sent.Load(), Received: e.received.Load(), Took: e.took,
		}
		if e.asked != "" {
			q.Host = e.asked
		}
		if q.Result == "" {
			q.Result = "in_progress"
		}
		if q.Took == 0 {
			q.Took = time.Since(e.at)
		}
		r.Requests = append(r.Requests, q)
	}
	for a, n := range l.attempts {
		r.Attempts = append(r.Attempts, Attempt{Dst: a.dst, Host: a.host, Result: a.result, Count: n})
	}
	return r
}
