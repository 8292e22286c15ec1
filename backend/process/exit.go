//go:build linux || darwin || freebsd || netbsd || openbsd

package process

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"glasshouse/backend"
)

// exitOf translates what wait(2) reported.
//
// A child begins life as a copy of the recorder, and the kernel goes on
// counting that as its peak of memory after the exec. So a peak that is no
// greater than the recorder's own was at the start (floor, in KiB) says
// nothing about the command. The kernel keeps that count per CPU and reads it
// without adding up exactly: the comparison leaves room for that.
func exitOf(ps *os.ProcessState, floor int64) backend.Exit {
	const slack = 4 << 10 // KiB
	exit := backend.Exit{
		Code:       ps.ExitCode(),
		UserTime:   ps.UserTime(),
		SystemTime: ps.SystemTime(),
	}
	if status, ok := ps.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		exit.Code = 128 + int(status.Signal())
		exit.Signal = signalName(status.Signal())
	}
	if usage, ok := ps.SysUsage().(*syscall.Rusage); ok {
		exit.MaxRSS = int64(usage.Maxrss)
		if runtime.GOOS == "darwin" { // in bytes there
			exit.MaxRSS /= 1024
		}
		if exit.MaxRSS <= floor+slack {
			exit.MaxRSS = 0
		}
	}
	return exit
}

// signalName names a signal, a real-time one as kill -l does.
func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	const rtmin = 34 // the C library keeps 32 and 33 for itself
	if sig == rtmin {
		return "SIGRTMIN"
	}
	if sig > rtmin {
		return fmt.Sprintf("SIGRTMIN+%d", sig-rtmin)
	}
	return fmt.Sprintf("SIG%d", sig)
}
