package runner

import (
	"time"

	"golang.org/x/sys/unix"
)

// BootTime is when this machine booted, by its wall clock as it is set now.
// Events are stamped in CLOCK_BOOTTIME, which counts suspended time too.
func BootTime() time.Time {
	var ts unix.Timespec
	now := time.Now()
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return now
	}
	return now.Add(-time.Duration(ts.Nano()))
}

// kernelRelease is what uname -r prints.
func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
