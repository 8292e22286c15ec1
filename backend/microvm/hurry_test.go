package microvm

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"glasshouse/backend"
	"glasshouse/backend/microvm/channel"
)

// Who asks for the end once the command has ended does not wait for a guest that
// says no more: whatever it is that the run waits for.
func TestHurry(t *testing.T) {
	for name, c := range map[string]struct {
		tree   bool
		exited channel.Exited
		err    string // of Wait
	}{
		"account": {false, channel.Exited{Code: 3}, ""},
		"tree":    {true, channel.Exited{Code: 3}, ""},
		"output":  {false, channel.Exited{Code: 3, Stdout: 10}, "10 bytes of the command's output did not come"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTest(t, &fake{guest: func(g *guest) {
				_ = g.start() && g.say(channel.ToHost{Exited: &c.exited})
				<-g.vm.done
			}})
			b.cfg.WaitTree = c.tree
			if err := start(t, b, backend.Command{}); err != nil {
				t.Fatal(err)
			}
			<-b.exited
			b.Hurry("SIGINT")
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			exit, err := b.Wait(ctx)
			if exit.Code != 3 || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("%+v, %v", exit, err)
			}
			const want = "SIGINT came when the command had ended, and the machine was not done 200ms later: it was ended"
			begin := time.Now()
			s, _ := b.Collector().Stop(t.Context())
			if len(s.Doubts) != 1 || s.Doubts[0] != "the recording was not closed by the guest: "+want {
				t.Errorf("%q", s.Doubts)
			}
			if err := b.Cleanup(t.Context()); err == nil || err.Error() != want {
				t.Error(err)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A guest that gets done in time, or whose command still runs, is left alone.
func TestNoHurry(t *testing.T) {
	b := newTest(t, &fake{guest: func(g *guest) {
		if g.start() && g.hear().Signal == 2 {
			time.Sleep(500 * time.Millisecond)
			g.say(channel.ToHost{Exited: &channel.Exited{Code: 3}})
			time.Sleep(50 * time.Millisecond)
			g.end(channel.Result{})
			time.Sleep(400 * time.Millisecond) // switching itself off
		}
	}})
	if err := start(t, b, backend.Command{}); err != nil {
		t.Fatal(err)
	}
	b.Hurry("SIGINT")
	if err := b.Signal(2); err != nil {
		t.Fatal(err)
	}
	if exit, err := b.Wait(t.Context()); err != nil || exit.Code != 3 {
		t.Errorf("%+v, %v", exit, err)
	}
	b.Hurry("SIGINT")
	if s, err := b.Collector().Stop(t.Context()); err != nil || len(s.Doubts) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := b.Cleanup(t.Context()); err != nil {
		t.Error(err)
	}
}

// A reader that takes its time is waited for as ever.
func TestHurrySlowReader(t *testing.T) {
	b := newTest(t, &fake{guest: func(g *guest) {
		if !g.start() {
			return
		}
		_, _ = g.stdout.Write([]byte("told"))
		g.say(channel.ToHost{Exited: &channel.Exited{Stdout: 4}})
		g.end(channel.Result{})
	}})
	r, w := io.Pipe()
	if err := start(t, b, backend.Command{Stdout: w}); err != nil {
		t.Fatal(err)
	}
	<-b.exited
	b.Hurry("SIGINT")
	var got []byte
	time.AfterFunc(time.Second, func() {
		got = make([]byte, 4)
		_, _ = io.ReadFull(r, got)
	})
	if _, err := b.Wait(t.Context()); err != nil || string(got) != "told" {
		t.Errorf("%q, %v", got, err)
	}
	if s, err := b.Collector().Stop(t.Context()); err != nil || len(s.Doubts) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// What came before is not lost with the rest.
func TestHurryAfterResult(t *testing.T) {
	b := newTest(t, &fake{guest: func(g *guest) {
		_ = g.start() && g.say(channel.ToHost{Exited: &channel.Exited{}})
		_, _ = channel.NewRecordWriter(g.record).Close(nil)
		g.say(channel.ToHost{Result: &channel.Result{Duties: []channel.Duty{{Name: "d"}}}})
		<-g.vm.done // its outputs stay open
	}})
	if err := start(t, b, backend.Command{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-b.finished
	time.AfterFunc(50*time.Millisecond, func() { b.Hurry("SIGTERM") })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := b.Collector().Stop(ctx); err != nil && ctx.Err() != nil {
		t.Error(err)
	}
	if err := b.Cleanup(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "SIGTERM came") {
		t.Error(err)
	}
	if r := b.Report(); len(r.Duties) != 1 {
		t.Errorf("%+v", r)
	}
}
