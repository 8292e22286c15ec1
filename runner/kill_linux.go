package runner

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
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
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/stat")
	if err != nil {
		return false
	}
	// The name, in parentheses, may itself hold spaces and parentheses. After
	// it come the fields from the third on, and the start is the 22nd.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return false
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return err == nil && ticks == ns/10_000_000
}
