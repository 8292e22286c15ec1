package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// runSignals are the signals that the recorder outlives while a command runs.
var runSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// catchSignals keeps the recorder alive until the receipt is written. It uses Notify and never Ignore, which the
// command would inherit. A signal that was ignored when the recorder was
// started (nohup) is left alone, for Notify would end that for the command.
//
// That holds for SIGHUP and SIGINT. Any other signal that was ignored is back
// at its default in the command: the Go runtime installs its handlers before
// any code of ours runs, and keeps to itself what it found.
//
// SIGTSTP is not caught, so that Ctrl-Z stops the recorder with its command.
func catchSignals() <-chan os.Signal {
	caught := make(chan os.Signal, 16)
	for _, sig := range runSignals {
		if !signal.Ignored(sig) {
			signal.Notify(caught, sig)
		}
	}
	// A reader that closes its end of our stdout must not end the recorder:
	// the write fails with EPIPE, and the command is told in its turn. Nobody
	// receives from this channel; a full one drops what comes.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return caught
}

// releaseSignals lets signals end the recorder again. From here on it may wait
// for somebody who reads what it writes, and nothing else would end that.
func releaseSignals() { signal.Reset(runSignals...) }

// mayBlock tells whether a write to path can wait for a reader without end.
func mayBlock(path string) bool {
	if path == "-" {
		return true
	}
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular()
}
