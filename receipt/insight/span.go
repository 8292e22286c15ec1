package insight

import (
	"time"

	"glasshouse/receipt"
)

// Span is a time from its start on.
type Span struct {
	Start  time.Time
	Length time.Duration
}

// SpanOf holds every time that a receipt tells of the run: from the first to the
// last. A zero time is not known.
func SpanOf(r *receipt.Receipt) Span {
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
	return Span{first, last.Sub(first)}
}

// At is how far into the span a time is; what is not known is its start.
func (s Span) At(t receipt.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return t.Sub(s.Start)
}
