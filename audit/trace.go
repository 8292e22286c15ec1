package audit

import (
	"fmt"
	"io"
	"strings"
)

// traceMax is how many events are traced: those of a build are many.
const traceMax = 10_000

// Trace returns a sink that writes a line to w for each of the first ten
// thousand events before it hands them on. The lines are for people who debug the
// recorder; their form is no interface.
func Trace(next Sink, w io.Writer) Sink {
	n := 0
	return func(ev Event) {
		switch {
		case n < traceMax:
			// Quoted, so that a path cannot drive the terminal.
			fmt.Fprintf(w, "event %s %+q\n", strings.TrimPrefix(fmt.Sprintf("%T", ev), "*audit."), fmt.Sprintf("%+v", ev))
		case n == traceMax:
			fmt.Fprintf(w, "event stream cut after %d events\n", traceMax)
		}
		n++
		next(ev)
	}
}
