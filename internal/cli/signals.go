package cli

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
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
	caught := notify()
	// A reader that closes its end of our stdout must not end the recorder:
	// the write fails with EPIPE, and the command is told in its turn. Nobody
	// receives from this channel; a full one drops what comes.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return caught
}

// notify passes on the signals that were not ignored when the recorder started.
func notify() <-chan os.Signal {
	caught := make(chan os.Signal, 16)
	for _, sig := range runSignals {
		if !signal.Ignored(sig) {
			signal.Notify(caught, sig)
		}
	}
	return caught
}

// hearing knows when signals came, whoever else has taken them: the runner takes
// some that are still of interest when it has ended.
type hearing struct {
	more chan struct{} // is told that there are more
	mu   sync.Mutex
	last []time.Time // of the last two
}

func hear() *hearing {
	h := &hearing{more: make(chan struct{}, 1)}
	caught := notify()
	go func() {
		for range caught {
			h.add(time.Now())
		}
	}()
	return h
}

func (h *hearing) add(at time.Time) {
	h.mu.Lock()
	h.last = append(h.last[max(0, len(h.last)-1):], at)
	h.mu.Unlock()
	select {
	case h.more <- struct{}{}:
	default:
	}
}

// since counts the signals that came later than t, up to two.
func (h *hearing) since(t time.Time) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.last {
		if at.After(t) {
			n++
		}
	}
	return n
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
