//go:build linux && (amd64 || arm64)

package ebpf

import (
	"sync"
	"sync/atomic"
	"time"

	"glasshouse/audit"
	"glasshouse/receipt"
)

// pressure holds the run up before the ring overflows, and lets it go on when
// the ring has room again. The reading goroutine and the watch use it.
type pressure struct {
	high, low int // bytes waiting at which the run is held and released
	wake      int // and at which the kernel side wakes who reads

	isHeld atomic.Bool // !heldAt.IsZero(), to be looked at for each record

	mu     sync.Mutex  // guards what follows
	brake  audit.Brake // nil: none, or no more
	heldAt time.Time   // zero: it is not held
	holds  uint64
	held   time.Duration
	err    error // why the run could not be held or released
	able   bool  // there was a brake that worked
}

// marks: half a ring is room for what is still emitted until a freeze has
// taken effect. An eighth is left for the reader to work on while the run
// gets going again.
func (p *pressure) marks(ringSize int) {
	p.high, p.low, p.wake = ringSize/2, ringSize/8, wakeMark(ringSize)
}

func wakeMark(ringSize int) int { return ringSize / 4 }

func (p *pressure) use(b audit.Brake) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.brake, p.able = b, true
}

// at takes note of how many bytes are waiting.
func (p *pressure) at(waiting int) {
	held := p.isHeld.Load()
	if held && waiting > p.low || !held && waiting < p.high {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case waiting <= p.low:
		p.release()
	case waiting >= p.high:
		p.hold()
	}
}

// look is at for whoever does not read. The reader may have emptied the ring
// and gone to sleep before the run was held: so it looks again.
func (p *pressure) look(waiting func() int, at func(int)) {
	at(waiting())
	if p.isHeld.Load() {
		at(waiting())
	}
}

func (p *pressure) hold() {
	if p.brake == nil || !p.heldAt.IsZero() {
		return
	}
	begun := time.Now()
	if err := p.brake.Hold(); err != nil {
		_ = p.brake.Release() // it may have taken hold all the same
		p.brake, p.able, p.err = nil, false, err
		return
	}
	p.heldAt = begun
	p.isHeld.Store(true)
	p.holds++
}

// release is tried again with the next record if it fails.
func (p *pressure) release() {
	if p.brake == nil || p.heldAt.IsZero() {
		return
	}
	if err := p.brake.Release(); err != nil {
		p.err = err
		return
	}
	p.held += time.Since(p.heldAt)
	p.heldAt = time.Time{}
	p.isHeld.Store(false)
}

// end releases for good.
func (p *pressure) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
	p.brake = nil
}

// report writes down what was done, and what could not be.
func (p *pressure) report(s *audit.Summary) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Holds, s.Held = p.holds, p.held
	gap := func(detail string) {
		s.Gaps = append(s.Gaps, audit.Gap{Kind: receipt.GapBackpressure, Detail: detail, Count: 1})
	}
	switch {
	case p.err != nil:
		gap("the run could not be held up as it should: " + p.err.Error())
	case p.able && s.Lost["ring_full"] > 0:
		gap("events were lost although the run could be held up: calls under way, or processes that have left the run's cgroup, filled the ring")
	}
}
