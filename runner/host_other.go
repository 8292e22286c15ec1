//go:build !linux

package runner

import "time"

// bootTime has no use where there are no events to date.
func bootTime() time.Time { return time.Now() }

// kernelRelease is only known on Linux.
func kernelRelease() string { return "" }
