package guest

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Forwarder passes signals on to the command.
type Forwarder struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	counts map[string]uint64
}

// Forward passes SIGTERM and SIGINT on to root until ctx is done or Stop is
// called. With a controlling terminal SIGINT is not passed on: the terminal
// sends it to the command itself. Either way it does not end the recorder.
func Forward(ctx context.Context, root Signaler) *Forwarder {
	ctx, cancel := context.WithCancel(ctx)
	f := &Forwarder{cancel: cancel, done: make(chan struct{}), counts: make(map[string]uint64)}
	// Room for a few: Notify drops what does not fit.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	interrupts := !hasTerminal()
	go func() {
		defer close(f.done)
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case sig := <-signals:
				if number := sig.(syscall.Signal); number != unix.SIGINT || interrupts {
					f.send(root, number)
				}
			}
		}
	}()
	return f
}

// send counts what arrived: a root that has ended gets nothing.
func (f *Forwarder) send(root Signaler, sig syscall.Signal) {
	if root.Signal(int(sig)) != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[unix.SignalName(sig)]++
}

// Counts is how many of each signal were passed on so far, by name.
func (f *Forwarder) Counts() map[string]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := make(map[string]uint64, len(f.counts))
	for name, n := range f.counts {
		counts[name] = n
	}
	return counts
}

// Stop ends the forwarding and returns the final counts.
func (f *Forwarder) Stop() map[string]uint64 {
	f.cancel()
	<-f.done
	return f.Counts()
}

// hasTerminal tells whether the process has a controlling terminal.
func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	_ = tty.Close()
	return true
}
