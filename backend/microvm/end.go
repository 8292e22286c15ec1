package microvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"glasshouse/backend/microvm/channel"
)

// failure is an error that says everything: what the recorder in the guest said
// of a command that it could not run, as it would have said it here, or that
// there was nothing from it for too long.
type failure struct{ reason string }

func (f *failure) Error() string { return f.reason }

// killAfter ends the machine, and with it every read from it, if ctx is done
// before the returned function is called, which then says why.
func (b *Backend) killAfter(ctx context.Context) (stop func() error) {
	after := context.AfterFunc(ctx, b.vm.Kill)
	return func() error {
		if after() {
			return nil
		}
		return context.Cause(ctx)
	}
}

// watch ends a machine that answers nothing any more: one that was halted, or
// whose kernel is stuck, does not end by itself. It counts looks and not time, for
// the recorder may have been stopped itself.
func (b *Backend) watch() {
	const looks = 8
	tick := time.NewTicker(b.limits.silence / looks)
	defer tick.Stop()
	var heard uint64
	for quiet := 0; quiet < looks; {
		go func() { _ = b.conn.Ping() }()
		select {
		case <-tick.C:
		case <-b.vm.Done():
			return
		case <-b.conn.Done():
			return
		}
		quiet++
		if n := b.counted.read.Load(); n != heard {
			heard, quiet = n, 0
		}
	}
	b.silent.Store(&failure{fmt.Sprintf("the virtual machine has not answered for %s: it was halted, or hangs", b.limits.silence)})
	b.vm.Kill()
}

// explain adds to an error what the machine's end, if it has ended, has to say.
func (b *Backend) explain(ctx context.Context, err error) error {
	if context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	for _, p := range []*atomic.Pointer[failure]{&b.silent, &b.hurried} {
		if why := p.Load(); why != nil {
			return why
		}
	}
	var said *failure
	if errors.As(err, &said) || b.vm == nil {
		return err
	}
	// What ends a connection is mostly the machine's own end, right behind it.
	select {
	case <-b.vm.Done():
	case <-time.After(time.Second):
		return err
	}
	return b.vmEnd(err)
}

// vmEnd says how the machine ended, in the words of its kernel if it had some.
func (b *Backend) vmEnd(err error) error {
	text := "the virtual machine ended by itself"
	if how := b.vm.Err(); how != nil {
		text = fmt.Sprintf("the virtual machine's monitor ended: %v", how)
	}
	if last := lastWords(b.vm.Console()); last != "" {
		text += ": " + last
	}
	if err != nil && !errors.Is(err, io.EOF) {
		text += fmt.Sprintf(" (%v)", err)
	}
	return errors.New(text)
}

// lastWords is the line of a console that says why the machine ended: that of a
// panic if there is one, else the last.
func lastWords(console string) string {
	lines := strings.Split(strings.TrimSpace(console), "\n")
	for _, sign := range []string{"Kernel panic", "Out of memory", "glasshouse:"} {
		for _, line := range lines {
			if at := strings.Index(line, sign); at >= 0 {
				return strings.TrimSpace(line[at:])
			}
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// kill has the run end, and then the machine.
func (b *Backend) kill(cause error) {
	go b.tell(channel.ToGuest{Kill: &channel.Kill{Reason: cause.Error()}})
	select {
	case <-b.finished:
		return
	case <-b.exited:
	case <-time.After(b.limits.kill):
		b.vm.Kill()
	}
	select {
	case <-b.finished:
	case <-time.After(b.limits.kill):
		b.vm.Kill()
		<-b.finished
	}
}

// Hurry is told of a signal. If the command has ended the signal is for whoever
// still waits: the machine gets so long to be done with the rest as one that was
// told to end. What comes earlier is the command's business alone.
func (b *Backend) Hurry(signal string) {
	if b.exitSeen() != nil {
		b.hurry.Do(func() { go b.endLate(signal) })
	}
}

// endLate ends a machine that is not done in time. That a reader takes its time is
// not the machine's doing: LeaveStreams is for that.
func (b *Backend) endLate(signal string) {
	for again := true; again; again = b.streams.held() {
		select {
		case <-time.After(b.limits.kill):
		case <-b.settled:
			return
		case <-b.vm.Done():
			return
		}
	}
	b.hurried.Store(&failure{fmt.Sprintf("%s came when the command had ended, and the machine was not done %s later: it was ended", signal, b.limits.kill)})
	b.vm.Kill()
}

// finish waits for the guest's account, and lets the guest go. How long that may
// take does not depend on what collectors and backends of this host are given: a
// machine that answers nothing meanwhile is ended anyway.
func (b *Backend) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.limits.result)
	defer cancel()
	select {
	case <-b.finished:
	case <-ctx.Done():
		b.vm.Kill()
		<-b.finished
	}
	b.ending.Do(func() {
		if b.result == nil {
			cancel() // nothing is to come any more
		}
		b.streams.drain(ctx.Done())
		b.folder.received(ctx.Done(), b.result)
		close(b.settled)
		go b.tell(channel.ToGuest{Ack: &channel.Ack{}})
		select {
		case <-b.vm.Done():
		case <-time.After(b.limits.powerOff):
			b.vm.Kill()
		}
	})
}

// end ends the machine, whatever it is doing, and removes its folder. Nothing is
// heard of the guest from then on. mu is held.
func (b *Backend) end() {
	receives := b.state == prepared || b.state == running
	b.state = closed
	close(b.ended)
	b.streams.terminal.giveBack()
	if b.conn != nil {
		_ = b.conn.Close()
	}
	if b.vm != nil {
		b.vm.Kill()
		<-b.vm.Done()
	}
	if receives {
		<-b.finished
	}
	b.proxied.end()
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}

// Cleanup ends the machine and removes what was made for it.
func (b *Backend) Cleanup(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == closed {
		return nil
	}
	if b.state == running && b.exitSeen() != nil {
		b.finish(ctx)
	}
	b.end()
	return b.afterwards()
}

// afterwards is what went wrong once the command had ended, such as the killing of
// what it left. What Wait has told is not told again.
func (b *Backend) afterwards() error {
	var errs []error
	if why := b.hurried.Load(); why != nil {
		errs = append(errs, why)
	}
	if b.result != nil && b.exit != nil && b.result.Error != "" && b.result.Error != b.exit.Error {
		errs = append(errs, errors.New(b.result.Error))
	}
	return errors.Join(errs...)
}
