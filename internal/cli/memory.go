package cli

import (
	"os"
	"runtime/debug"
	"time"
)

// collectLate has the garbage collector wait at the beginning of a run, or of a
// search: a start leaves some megabytes behind, and to look for what can be used
// again takes from the time that it is to be over in. Who sets GOGC knows better.
func collectLate() {
	if os.Getenv("GOGC") != "" {
		return
	}
	usual := debug.SetGCPercent(400) // the first time at 16 MB, not 4
	time.AfterFunc(time.Second, func() { debug.SetGCPercent(usual) })
}
