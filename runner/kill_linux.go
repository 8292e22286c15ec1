package runner

import (
	"golang.org/x/sys/unix"

	"glasshouse/audit"
	"glasshouse/internal/procfs"
)

// kill ends a process that the collector saw, and nobody who got its number
// after it: the descriptor is opened first, then who it stands for is checked.
func kill(p audit.ProcessID) {
	fd, err := unix.PidfdOpen(int(p.PID), 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if startedAt(p.PID, p.Start) {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}

// startedAt tells whether the process with this number started ns after boot.
// /proc counts in hundredths of a second.
func startedAt(pid int32, ns uint64) bool {
	stat, err := procfs.ReadStat(int(pid))
	return err == nil && stat.Start == ns/10_000_000
}
