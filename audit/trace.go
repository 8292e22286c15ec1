package audit

import (
	"fmt"
	"io"
	"strings"
)

// Trace returns a sink that writes a line to w for each of the first limit
// events before it hands them on. The lines are for people who debug the
// recorder; their form is no interface.
func Trace(next Sink, w io.Writer, limit int) Sink {
	n := 0
	return func(ev Event) {
		switch {
		case n < limit:
			// Quoted, so that a path cannot drive the terminal.
			fmt.Fprintf(w, "event %s %+q\n", strings.TrimPrefix(fmt.Sprintf("%T", ev), "*audit."), fmt.Sprintf("%+v", ev))
		case n == limit:
			fmt.Fprintf(w, "event stream cut after %d events\n", limit)
		}
		n++
		next(ev)
	}
}
