package insight

import (
	"testing"
	"time"

	"glasshouse/receipt"
)

// Whatever tells of the earliest or the latest time, the span holds it.
func TestSpanOf(t *testing.T) {
	at := func(s int) receipt.Time { return receipt.At(time.Date(2026, 1, 1, 0, 0, s, 0, time.UTC)) }
	end := at(20)
	for name, c := range map[string]struct {
		change      func(*receipt.Receipt)
		first, last int
	}{
		"the run":      {func(*receipt.Receipt) {}, 10, 20},
		"a process":    {func(r *receipt.Receipt) { r.ProcessTree[0].StartedAt = at(8) }, 8, 20},
		"its end":      {func(*receipt.Receipt) { end = at(25) }, 10, 25},
		"an image":     {func(r *receipt.Receipt) { r.ProcessTree[0].Execs[0].At = at(7) }, 7, 20},
		"a write":      {func(r *receipt.Receipt) { r.Filesystem.Files[0].Final.LastWrite = at(30) }, 10, 30},
		"no end":       {func(r *receipt.Receipt) { r.Timing.EndedAt = receipt.Time{} }, 10, 20},
		"nothing else": {func(r *receipt.Receipt) { *r = receipt.Receipt{Timing: r.Timing} }, 10, 20},
	} {
		end = at(20)
		r := &receipt.Receipt{
			Timing:      receipt.Timing{StartedAt: at(10), EndedAt: at(20)},
			ProcessTree: []receipt.Process{{StartedAt: at(10), EndedAt: &end, Execs: []receipt.Exec{{At: at(11)}}}, {StartedAt: at(12)}},
			Filesystem:  receipt.Filesystem{Files: []receipt.FileEntry{{}, {Final: &receipt.Final{LastWrite: at(15)}}}},
		}
		r.Filesystem.Files = r.Filesystem.Files[1:]
		c.change(r)
		got := SpanOf(r)
		if want := (Span{at(c.first).Time, time.Duration(c.last-c.first) * time.Second}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if got.At(at(c.last)) != got.Length || got.At(receipt.Time{}) != 0 {
			t.Errorf("%s: it ends at %s", name, got.At(at(c.last)))
		}
	}
	if got := SpanOf(new(receipt.Receipt)); got != (Span{}) {
		t.Errorf("of nothing: %+v", got)
	}
}
