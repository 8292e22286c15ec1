//go:build unix

package runner

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalState looks at the terminal that controls this process. It is asked
// anew for each signal: jobs move between foreground and background.
func terminalState() terminal {
	var t terminal
	// With a pid of 0 this asks about the caller.
	if sid, err := unix.Getsid(0); err == nil {
		t.leader = sid == os.Getpid()
	}
	// /dev/tty opens for a process that has a controlling terminal, whatever
	// its descriptors 0, 1 and 2 are.
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return t
	}
	defer unix.Close(fd)
	t.present = true
	if pgrp, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil {
		t.foreground = pgrp == unix.Getpgrp()
	}
	return t
}
