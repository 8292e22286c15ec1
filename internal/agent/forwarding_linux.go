package agent

import (
	"context"
	"sync"

	"glasshouse/audit"
	"glasshouse/backend/microvm/channel"
)

// forwarding hands on to the host what the collector records, as it records it.
type forwarding struct {
	audit.Collector
	w *channel.RecordWriter

	mu      sync.Mutex
	repeats []audit.Repeat
	summary audit.Summary
}

// tapped is the collector with the record stream behind it.
func (f *forwarding) tapped() audit.Collector {
	if source, ok := f.Collector.(audit.RawSource); ok {
		source.TapRecords(f.w.Record)
	}
	return f
}

func (f *forwarding) Attach(ctx context.Context, sink audit.Sink) error {
	return f.Collector.Attach(ctx, func(ev audit.Event) {
		// The others come out of records, on the host as here.
		if r, ok := ev.(*audit.Repeat); ok && !r.Last {
			f.mu.Lock()
			f.repeats = append(f.repeats, *r)
			f.mu.Unlock()
		}
		sink(ev)
	})
}

func (f *forwarding) Stop(ctx context.Context) (audit.Summary, error) {
	s, err := f.Collector.Stop(ctx)
	f.summary = s
	return s, err
}

// Throttle and Hooks are the collector's.
func (f *forwarding) Throttle(b audit.Brake) error {
	if t, ok := f.Collector.(audit.Throttler); ok {
		return t.Throttle(b)
	}
	return nil
}

// Hooks are the collector's.
func (f *forwarding) Hooks() []audit.Hook {
	if l, ok := f.Collector.(audit.HookLister); ok {
		return l.Hooks()
	}
	return nil
}

func (f *forwarding) close() (sent uint64, err error) { return f.w.Close(f.repeats) }
