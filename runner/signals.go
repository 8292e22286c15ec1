package runner

import (
	"os"
	"syscall"
)

// terminal is how the recorder stands to its controlling terminal.
type terminal struct {
	present    bool // there is one
	foreground bool // the recorder's process group is the one that it sends signals to
	leader     bool // the recorder leads the session, so a hangup is told to it alone
}

// mustForward decides whether the command needs a signal that the recorder
// got. The two share a process group. What a terminal sends to its
// foreground group the command has already got, and a second delivery is not
// harmless: many programs take a second Ctrl-C as "now". What somebody sent
// with kill(1) to the recorder alone must be passed on. Go does not tell who
// sent a signal, so the terminal's state has to.
//
//   - SIGTERM never comes from a terminal: forward.
//   - SIGINT and SIGQUIT come from the terminal if the group is in its
//     foreground.
//   - SIGHUP comes from a terminal that is gone. The shell or the kernel sends
//     it to the whole group then, unless the recorder leads the session.
func mustForward(sig os.Signal, start, now terminal) bool {
	switch sig {
	case syscall.SIGINT, syscall.SIGQUIT:
		return !(now.present && now.foreground)
	case syscall.SIGHUP:
		hungUp := start.present && !now.present
		return !hungUp || now.leader
	default:
		return true
	}
}

// endsWaiting tells whether a signal that came while the root still ran means
// that whoever sent it will not wait for the rest of the tree. Ctrl-C does
// not: programs such as shells and interpreters handle it and go on.
func endsWaiting(sig os.Signal) bool {
	return sig == syscall.SIGTERM || sig == syscall.SIGHUP
}

// signalNumber is n in the exit code 128+n; 0 if sig has none.
func signalNumber(sig os.Signal) int {
	if s, ok := sig.(syscall.Signal); ok {
		return int(s)
	}
	return 0
}

// signalName is the name as the receipt has it: "SIGINT".
func signalName(sig os.Signal) string {
	switch sig {
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGHUP:
		return "SIGHUP"
	case syscall.SIGQUIT:
		return "SIGQUIT"
	default:
		return sig.String()
	}
}
