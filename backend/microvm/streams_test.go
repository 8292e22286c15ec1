package microvm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"glasshouse/audit"
	"glasshouse/backend"
	"glasshouse/backend/microvm/channel"
)

// A reader that takes nothing holds up neither the end nor the account of it, once
// somebody has asked for the end.
func TestStuckReader(t *testing.T) {
	const size = 1 << 20
	b := newTest(t, &fake{guest: func(g *guest) {
		if !g.start() {
			return
		}
		go func() { // as much as the channel takes
			for left := size; left > 0; left -= 1 << 10 {
				if _, err := g.stdout.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
			_ = g.stdout.Close()
			_, _ = channel.NewRecordWriter(g.record).Close(nil)
			_ = g.stderr.Close()
		}()
		_, _ = g.stderr.Write([]byte("told"))
		g.hear() // the signal
		g.say(channel.ToHost{Exited: &channel.Exited{Code: 130, Signal: "SIGINT", Stdout: size, Stderr: 4}})
		g.say(channel.ToHost{Result: &channel.Result{Summary: audit.Summary{Mode: "ebpf"}}})
		g.hear()
	}})
	r, w := io.Pipe()
	defer r.Close()
	var errOut bytes.Buffer
	if err := start(t, b, backend.Command{Stdout: w, Stderr: &errOut}); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() {
		_ = b.Signal(2)
		b.LeaveStreams()
	})
	begin := time.Now()
	exit, err := b.Wait(t.Context())
	if exit.Code != 130 || err == nil || !strings.Contains(err.Error(), "takes no more") {
		t.Errorf("%+v, %v", exit, err)
	}
	if s, err := b.Collector().Stop(t.Context()); err != nil || s.Mode != "ebpf" || len(s.Doubts) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if errOut.String() != "told" {
		t.Errorf("%q", errOut.String())
	}
}

// The guest is told of a reader that has gone, as the command would be by a pipe;
// for the run that is no failure.
func TestReaderGone(t *testing.T) {
	told := make(chan error, 1)
	b := newTest(t, &fake{guest: func(g *guest) {
		if !g.start() {
			return
		}
		_, _ = g.stdout.Write([]byte("text"))
		_, err := g.stdout.Read(make([]byte, 1))
		told <- err
		_, _ = g.stdout.Write([]byte("more")) // that was on its way
		g.say(channel.ToHost{Exited: &channel.Exited{Code: 141, Stdout: 8}})
		g.end(channel.Result{})
	}})
	r, w := io.Pipe()
	_ = r.Close()
	if err := start(t, b, backend.Command{Stdout: w}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if exit, err := b.Wait(ctx); err != nil || exit.Code != 141 {
		t.Errorf("%+v, %v", exit, err)
	}
	if s, err := b.Collector().Stop(ctx); err != nil || len(s.Doubts) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
	select {
	case err := <-told:
		if err != io.EOF {
			t.Error(err)
		}
	default:
		t.Error("it was not told")
	}
}

// A run that is over its time does not wait for a reader that takes nothing.
func TestStuckReaderAtTheLimit(t *testing.T) {
	b := newTest(t, &fake{guest: func(g *guest) {
		if !g.start() {
			return
		}
		go func() {
			const size = 1 << 20
			for left := size; left > 0; left -= 1 << 10 {
				if _, err := g.stdout.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
			_ = g.stdout.Close()
		}()
		g.hear() // that it is to end
		g.say(channel.ToHost{Exited: &channel.Exited{Code: 137, Signal: "SIGKILL", Stdout: 1 << 20}})
		_, _ = channel.NewRecordWriter(g.record).Close(nil)
		_ = g.stderr.Close()
		g.say(channel.ToHost{Result: &channel.Result{Summary: audit.Summary{Mode: "ebpf"}}})
		g.hear()
	}})
	r, w := io.Pipe()
	defer r.Close()
	if err := start(t, b, backend.Command{Stdout: w}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("enough"))
	defer cancel()
	begin := time.Now()
	exit, err := b.Wait(ctx)
	if exit.Code != 137 || err == nil || !strings.Contains(err.Error(), "enough") || !strings.Contains(err.Error(), "takes no more") {
		t.Errorf("%+v, %v", exit, err)
	}
	if s, err := b.Collector().Stop(t.Context()); err != nil || len(s.Doubts) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// slow is a writer that takes its time.
type slow time.Duration

func (s slow) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(s))
	return len(p), nil
}

// A reader is given up for what it does not take all the time, not for being in
// the middle of something when it is looked at.
func TestSlowReader(t *testing.T) {
	inside, outside := io.Pipe()
	o := &output{to: slow(leaveTime / 2), moved: make(chan struct{}, 1), done: make(chan struct{}), left: make(chan struct{})}
	o.stream = struct {
		io.Reader
		io.WriteCloser
	}{inside, nil}
	go o.copy()
	stop := make(chan struct{})
	defer close(stop)
	go o.leave(stop)
	for range 3 {
		time.Sleep(leaveTime * 3 / 4) // it writes when it is looked at
		if _, err := outside.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	_ = outside.Close()
	<-o.done
	if err := o.failed(); err != nil {
		t.Error(err)
	}
}

// A machine that is gone makes no difference to that.
func TestStuckReaderOfAGoneMachine(t *testing.T) {
	b := newTest(t, &fake{guest: func(g *guest) {
		if !g.start() {
			return
		}
		_, _ = g.stdout.Write([]byte("x"))
		g.say(channel.ToHost{Exited: &channel.Exited{Code: 3, Stdout: 1}})
		time.Sleep(100 * time.Millisecond) // for the host to take both
	}})
	r, w := io.Pipe()
	defer r.Close()
	if err := start(t, b, backend.Command{Stdout: w}); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(500*time.Millisecond, b.LeaveStreams)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	exit, err := b.Wait(ctx)
	if ctx.Err() != nil || exit.Code != 3 || err == nil || !strings.Contains(err.Error(), "takes no more") {
		t.Errorf("%+v, %v", exit, err)
	}
}

// What a command had printed and a machine took with it is said to be missing.
func TestMissingOutput(t *testing.T) {
	for said, want := range map[uint64]string{3: "", 5: "2 bytes of the command's output did not come"} {
		b := newTest(t, &fake{guest: func(g *guest) {
			if g.start() {
				_, _ = g.stdout.Write([]byte("abc"))
				g.say(channel.ToHost{Exited: &channel.Exited{Code: 3, Stdout: said}})
				time.Sleep(100 * time.Millisecond) // for the host to take both
			}
		}})
		if err := start(t, b, backend.Command{}); err != nil {
			t.Fatal(err)
		}
		exit, err := b.Wait(t.Context())
		if exit.Code != 3 || (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%d bytes: %+v, %v", said, exit, err)
		}
	}
}
