package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"glasshouse/audit"
	"glasshouse/receipt"
)

// diagnostics is what the GLASSHOUSE_DEBUG_ variables ask for. It goes to
// stderr, whatever --quiet says: it was asked for.
type diagnostics struct {
	settings settings
	out      io.Writer
	received map[string]uint64 // by type of event
}

func newDiagnostics(s settings, out io.Writer) *diagnostics {
	return &diagnostics{settings: s, out: out, received: map[string]uint64{}}
}

// events is where the collector prints the first events that it delivers; nil
// if nobody asked.
func (d *diagnostics) events() io.Writer {
	if !d.settings.debugEvents {
		return nil
	}
	return d.out
}

// tap counts events by type. It is called from the collector's one goroutine,
// which is gone when print is called.
func (d *diagnostics) tap() audit.Sink {
	if !d.settings.debugCounts {
		return nil
	}
	return func(ev audit.Event) {
		d.received[strings.TrimPrefix(fmt.Sprintf("%T", ev), "*audit.")]++
	}
}

// print is called at the end of the run.
func (d *diagnostics) print(rec *receipt.Receipt) {
	if d.settings.debugTracking {
		fmt.Fprintf(d.out, "glasshouse: tracking: %s\n", count(len(rec.ProcessTree), "process", "processes"))
		for _, p := range rec.ProcessTree {
			end := "alive"
			switch {
			case p.ExitCode != nil:
				end = fmt.Sprintf("exited %d", *p.ExitCode)
			case p.Signal != nil:
				end = *p.Signal
			}
			fmt.Fprintf(d.out, "glasshouse: tracking: pid %d ppid %d start %d %s %s\n",
				p.PID, p.PPID, p.StartTime, end, printable(p.Exe))
		}
	}
	if d.settings.debugCounts {
		ev := rec.Observation.Events
		fmt.Fprintf(d.out, "glasshouse: counts: emitted %d, received %d, folded %d\n", ev.Emitted, ev.Received, ev.Folded)
		for _, kind := range slices.Sorted(maps.Keys(d.received)) {
			fmt.Fprintf(d.out, "glasshouse: counts: received %s %d\n", kind, d.received[kind])
		}
		for _, reason := range slices.Sorted(maps.Keys(ev.Lost)) {
			fmt.Fprintf(d.out, "glasshouse: counts: lost %s %d\n", reason, ev.Lost[reason])
		}
		for _, h := range rec.Observation.Hooks {
			state := "attached"
			if !h.Attached {
				state = "not attached"
				if h.Error != nil {
					state += ": " + *h.Error
				}
			}
			fmt.Fprintf(d.out, "glasshouse: counts: hook %s %s\n", printable(h.Name), printable(state))
		}
	}
}
