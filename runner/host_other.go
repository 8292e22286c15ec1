//go:build !linux

package runner

import "time"

// BootTime has no use where there are no events to date.
func BootTime() time.Time { return time.Now() }

// kernelRelease is only known on Linux.
func kernelRelease() string { return "" }
