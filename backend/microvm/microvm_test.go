package microvm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"glasshouse/audit"
	"glasshouse/backend"
	"glasshouse/backend/backendtest"
	"glasshouse/backend/microvm/channel"
	"glasshouse/backend/microvm/engine"
)

// fake is an engine whose guest is a function of the test.
type fake struct {
	guest   func(g *guest)
	mute    bool          // the machine does not even call
	trial   time.Duration // that the engine takes before it starts the machine
	console string
	err     error // of Boot
	booted  []*fakeVM
}

func (*fake) Name() string { return "qemu" }

func (f *fake) Boot(_ context.Context, m engine.Machine) (engine.VM, error) {
	if f.err != nil {
		return nil, f.err
	}
	time.Sleep(f.trial)
	host, inside := net.Pipe()
	vm := &fakeVM{started: time.Now(), conn: host, inside: inside, done: make(chan struct{}), console: f.console, dir: m.Dir, mute: f.mute}
	f.booted = append(f.booted, vm)
	go func() {
		defer vm.Kill()
		g := &guest{vm: vm}
		c, err := channel.Guest(deaf{inside, vm})
		if err != nil {
			return
		}
		g.conn = c
		if f.guest != nil {
			f.guest(g)
		}
	}()
	return vm, nil
}

type fakeVM struct {
	started      time.Time
	conn, inside net.Conn
	done         chan struct{}
	once         sync.Once
	console, dir string
	mute         bool
	halt         atomic.Bool // what the machine is sent is lost
}

// deaf is a machine's side of a connection, which a halted one does not read.
type deaf struct {
	net.Conn
	vm *fakeVM
}

func (d deaf) Read(p []byte) (int, error) {
	for {
		n, err := d.Conn.Read(p)
		if err != nil || !d.vm.halt.Load() {
			return n, err
		}
	}
}

func (vm *fakeVM) Accept(ctx context.Context) (net.Conn, error) {
	if vm.mute {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return vm.conn, nil
}
func (vm *fakeVM) Done() <-chan struct{} { return vm.done }
func (vm *fakeVM) Err() error            { return nil }
func (vm *fakeVM) Console() string       { return vm.console }
func (vm *fakeVM) Facts() engine.Facts {
	return engine.Facts{Path: "/bin/fake", Accelerator: "tcg", Started: vm.started}
}
func (vm *fakeVM) Kill() {
	vm.once.Do(func() {
		_, _ = vm.conn.Close(), vm.inside.Close()
		close(vm.done)
	})
}

// guest is the other side, as far as a test needs it. What fails ends it.
type guest struct {
	vm                            *fakeVM
	conn                          *channel.Conn
	host                          *channel.Messages
	spec                          *channel.Spec
	stdin, stdout, stderr, record io.ReadWriteCloser
}

func (g *guest) call() bool {
	s, err := g.conn.Open(channel.Control)
	if err != nil {
		return false
	}
	g.host = channel.NewMessages(s)
	return g.say(channel.ToHost{Hello: &channel.Hello{
		Protocol: channel.Version, Version: "v", Layout: audit.Layout(), PageSize: 4096, Kernel: "6.1", Arch: "amd64",
	}})
}

func (g *guest) say(m channel.ToHost) bool { return g.host.Send(&m) == nil }

func (g *guest) hear() channel.ToGuest {
	var m channel.ToGuest
	_ = g.host.Receive(&m)
	return m
}

// take takes the spec and opens the streams.
func (g *guest) take() bool {
	if g.spec = g.hear().Spec; g.spec == nil {
		return false
	}
	var err error
	open := func(s *io.ReadWriteCloser, name string) {
		if err == nil {
			*s, err = g.conn.Open(name)
		}
	}
	if g.spec.Stdin {
		open(&g.stdin, channel.Stdin)
	}
	open(&g.stdout, channel.Stdout)
	open(&g.stderr, channel.Stderr)
	open(&g.record, channel.Records)
	return err == nil
}

func (g *guest) ready() bool {
	return g.call() && g.take() && g.say(channel.ToHost{Ready: &channel.Ready{
		BootTime: time.Unix(1e9, 0), Mode: "ebpf", Exe: []byte("/bin/x"), WorkingDir: []byte("/"), User: "root",
	}})
}

func (g *guest) start() bool {
	return g.ready() && g.hear().Start != nil && g.say(channel.ToHost{Started: &channel.Started{PID: 42}})
}

// end closes the recording as a guest should, and waits to be let go.
func (g *guest) end(r channel.Result) {
	_, _ = channel.NewRecordWriter(g.record).Close(nil)
	_, _ = g.stdout.Close(), g.stderr.Close()
	if r.Summary.Mode == "" {
		r.Summary.Mode = "ebpf"
	}
	g.say(channel.ToHost{Result: &r})
	g.hear()
}

func newTest(t *testing.T, f *fake) *Backend {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	b := New(Config{Engine: f, Version: "v", Observe: true})
	b.limits = limits{boot: 2 * time.Second, ready: 2 * time.Second, kill: 200 * time.Millisecond, powerOff: time.Second, silence: time.Minute, result: time.Minute}
	t.Cleanup(func() {
		if err := b.Cleanup(context.Background()); err != nil {
			t.Errorf("cleanup: %v", err)
		}
		for _, vm := range f.booted {
			select {
			case <-vm.done:
			default:
				t.Error("the machine still runs")
			}
		}
		if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return b
}

func start(t *testing.T, b *Backend, cmd backend.Command) error {
	t.Helper()
	if cmd.Argv == nil {
		cmd.Argv = []string{"x"}
	}
	if err := b.Prepare(t.Context(), cmd); err != nil {
		return err
	}
	if err := b.Collector().Attach(t.Context(), func(audit.Event) {}); err != nil {
		return err
	}
	return b.Start(t.Context())
}

func TestRun(t *testing.T) {
	b := newTest(t, &fake{guest: func(g *guest) {
		if !g.start() {
			return
		}
		in, _ := io.ReadAll(g.stdin)
		_, _ = io.WriteString(g.stdout, strings.ToUpper(string(in)))
		_, _ = io.WriteString(g.stderr, "oops")
		if sig := g.hear().Signal; sig == 15 {
			g.say(channel.ToHost{Exited: &channel.Exited{Code: 143, Signal: "SIGTERM", Stdout: uint64(len(in)), Stderr: 4}})
		}
		// What outlives the command may print.
		_, _ = io.WriteString(g.stdout, "late")
		g.end(channel.Result{Duties: []channel.Duty{{Name: "d", Outcome: "done"}}})
	}})
	var out, errOut bytes.Buffer
	text := strings.Repeat("text ", 100_000)
	if err := start(t, b, backend.Command{Stdin: strings.NewReader(text), Stdout: &out, Stderr: &errOut}); err != nil {
		t.Fatal(err)
	}
	if b.PID() != 42 || b.Machine().Exe != "/bin/x" || b.Machine().Kernel != "6.1" {
		t.Errorf("%d, %+v", b.PID(), b.Machine())
	}
	if err := b.Signal(15); err != nil {
		t.Fatal(err)
	}
	exit, err := b.Wait(t.Context())
	if err != nil || exit.Code != 143 || exit.Signal != "SIGTERM" {
		t.Errorf("%+v, %v", exit, err)
	}
	s, err := b.Collector().Stop(t.Context())
	if err != nil || s.Mode != "ebpf" || len(s.Doubts) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if out.String() != strings.ToUpper(text)+"late" || errOut.String() != "oops" {
		t.Errorf("%d bytes, %q", out.Len(), errOut.String())
	}
	if r := b.Report(); r == nil || len(r.Duties) != 1 || r.Received < 500_000 || r.Sent < 500_000 {
		t.Errorf("%+v", r)
	}
}

// Of a command that was never let go nobody hears any more after Cleanup.
func TestCleanupEndsAll(t *testing.T) {
	for range 50 {
		b := newTest(t, &fake{guest: func(g *guest) { _ = g.ready() && g.hear().Start != nil }})
		if err := b.Prepare(t.Context(), backend.Command{Argv: []string{"x"}}); err != nil {
			t.Fatal(err)
		}
		if err := b.Cleanup(t.Context()); err != nil {
			t.Error(err)
		}
		select {
		case <-b.finished:
		default:
			t.Fatal("it still listens to the guest")
		}
	}
}

// What goes wrong before there is a command is what Prepare or Start says.
func TestNotStarted(t *testing.T) {
	const panicked = "[ 1.0] x\n[ 2.0] Kernel panic - not syncing: VFS\n[ 2.1] CPU: 0\n"
	hello := func(change func(*channel.Hello)) func(*guest) {
		return func(g *guest) {
			s, _ := g.conn.Open(channel.Control)
			g.host = channel.NewMessages(s)
			h := &channel.Hello{Protocol: channel.Version, Version: "v", Layout: audit.Layout(), PageSize: 4096}
			change(h)
			g.say(channel.ToHost{Hello: h})
			g.hear()
		}
	}
	for name, c := range map[string]struct {
		fake fake
		want string
	}{
		"boot":     {fake{err: errors.New("no engine")}, "boot the machine: no engine"},
		"panic":    {fake{guest: func(*guest) {}, console: panicked}, "the virtual machine ended by itself: Kernel panic - not syncing: VFS"},
		"silent":   {fake{guest: func(g *guest) { <-g.vm.done }}, "the machine's recorder has not called within 2s"},
		"mute":     {fake{mute: true, guest: func(g *guest) { <-g.vm.done }}, "the machine's recorder has not called within 2s"},
		"unready":  {fake{guest: func(g *guest) { _ = g.call() && g.take(); <-g.vm.done }}, "the machine's recorder was not ready within 2s"},
		"stream":   {fake{guest: func(g *guest) { _, _ = g.conn.Open("x"); <-g.vm.done }}, `the stream "x" where control was to come`},
		"protocol": {fake{guest: hello(func(h *channel.Hello) { h.Protocol = 9 })}, "the glasshouse in the image speaks version 9 of the channel, this one 1"},
		"layout":   {fake{guest: hello(func(h *channel.Hello) { h.Layout = "z" })}, "the glasshouse in the image (v) has records that this one (v) cannot read"},
		"pages":    {fake{guest: hello(func(h *channel.Hello) { h.PageSize = 3 })}, "pages of 3 bytes"},
		"order": {fake{guest: func(g *guest) {
			_ = g.call() && g.take() && g.say(channel.ToHost{Started: &channel.Started{PID: 1}})
			<-g.vm.done
		}}, "the guest was to send to be ready, and sent something else"},
		"failed": {fake{guest: func(g *guest) {
			_ = g.call() && g.take() && g.say(channel.ToHost{Failed: &channel.Failed{Reason: "chdir /nope: no such file or directory"}})
			<-g.vm.done
		}}, "chdir /nope: no such file or directory"},
		"failed at once": {fake{guest: func(g *guest) {
			_ = g.call() && g.hear().Spec != nil && g.say(channel.ToHost{Failed: &channel.Failed{Reason: "set the clock: operation not permitted"}})
		}}, "set the clock: operation not permitted"},
		"fork": {fake{guest: func(g *guest) {
			_ = g.ready() && g.hear().Start != nil && g.say(channel.ToHost{Failed: &channel.Failed{Reason: "fork/exec /bin/x: exec format error"}})
			<-g.vm.done
		}}, "fork/exec /bin/x: exec format error"},
		"gone": {fake{guest: func(g *guest) { _ = g.ready() && g.hear().Start != nil }, console: panicked}, "the virtual machine ended by itself: Kernel panic - not syncing: VFS"},
		"mode": {fake{guest: func(g *guest) {
			_ = g.call() && g.take() && g.say(channel.ToHost{Ready: &channel.Ready{BootTime: time.Unix(1e9, 0), Mode: "sight"}})
			<-g.vm.done
		}}, `the mode "sight"`},
		"year": {fake{guest: func(g *guest) {
			_ = g.call() && g.take() && g.say(channel.ToHost{Ready: &channel.Ready{Mode: "ebpf"}})
			<-g.vm.done
		}}, "a machine booted in the year 1"},
	} {
		t.Run(name, func(t *testing.T) {
			err := start(t, newTest(t, &c.fake), backend.Command{})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// Of a command that could not be started the recording is closed as of any
// other, unless the guest does not close it.
func TestNotStartedIsRecorded(t *testing.T) {
	reason := "fork/exec /bin/x: exec format error"
	closed := &channel.Result{Summary: audit.Summary{Mode: "ebpf", Emitted: 1, Missing: 1, Lost: map[string]uint64{"ring_full": 1}}}
	endless := &channel.Result{Summary: audit.Summary{Syscalls: make([]audit.SyscallCount, 1<<13)}}
	for name, c := range map[string]struct {
		fail  channel.Failed
		doubt string
		lost  uint64
	}{
		"closed":   {channel.Failed{Reason: reason, Result: closed}, "", 1},
		"open":     {channel.Failed{Reason: reason}, "the recording was not closed by the guest: " + reason, 0},
		"too much": {channel.Failed{Reason: reason, Result: endless}, "the recording was not closed by the guest: 8192 system calls", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTest(t, &fake{guest: func(g *guest) {
				if g.ready() && g.hear().Start != nil {
					_, _ = channel.NewRecordWriter(g.record).Close(nil)
					_, _ = g.stdout.Close(), g.stderr.Close()
					g.say(channel.ToHost{Failed: &c.fail})
					g.hear()
				}
			}})
			if err := start(t, b, backend.Command{}); err == nil || c.lost > 0 && err.Error() != reason {
				t.Errorf("%v", err)
			}
			s, _ := b.Collector().Stop(t.Context())
			if doubts := strings.Join(s.Doubts, "; "); doubts != c.doubt || s.Lost["ring_full"] != c.lost {
				t.Errorf("%q, %+v", doubts, s)
			}
		})
	}
}

// A guest that does not close its recording, or closes it falsely, is not
// believed.
func TestDoubts(t *testing.T) {
	exited := channel.ToHost{Exited: &channel.Exited{Code: 3}}
	for name, c := range map[string]struct {
		guest func(*guest)
		exit  int
		err   string // of Wait
		doubt string
	}{
		"closed": {func(g *guest) { _ = g.start() && g.say(exited); g.end(channel.Result{}) }, 3, "", ""},
		"no result": {
			func(g *guest) { _ = g.start() && g.say(exited) }, 3, "",
			"the recording was not closed by the guest: the virtual machine ended by itself: Out of memory: Killed process 1",
		},
		"no exit": {
			func(g *guest) { g.start() }, 0, "the virtual machine ended by itself: Out of memory: Killed process 1",
			"the recording was not closed by the guest: the virtual machine ended",
		},
		"records": {
			func(g *guest) { _ = g.start() && g.say(exited); g.end(channel.Result{Records: 3}) }, 3, "",
			"the guest says that it sent 3 records, and 0 came",
		},
		"mode": {
			func(g *guest) {
				_ = g.start() && g.say(exited)
				g.end(channel.Result{Summary: audit.Summary{Mode: "none"}})
			}, 3, "", `the guest says that it observed by "none"`,
		},
		"malformed": {
			func(g *guest) {
				_ = g.start() && g.say(exited)
				w := channel.NewRecordWriter(g.record)
				w.Record([]byte("nonsense"))
				_, _ = w.Close(nil)
				_, _ = g.stdout.Close(), g.stderr.Close()
				g.say(channel.ToHost{Result: &channel.Result{Summary: audit.Summary{Mode: "ebpf"}, Records: 1}})
				g.hear()
			}, 3, "", "",
		},
		"garbage": {
			func(g *guest) {
				_ = g.start() && g.say(exited)
				_, _ = g.record.Write([]byte("\xff\xff\xff\xff\xff"))
				g.end(channel.Result{})
			}, 3, "", "a frame of 4294967295 bytes among the records",
		},
		"exit code": {
			func(g *guest) {
				_ = g.start() && g.say(channel.ToHost{Exited: &channel.Exited{Code: 900}})
				<-g.vm.done
			}, 0, "an exit code of 900", "the recording was not closed by the guest: an exit code of 900",
		},
		"result first": {
			func(g *guest) { _ = g.start() && g.say(channel.ToHost{Result: &channel.Result{}}); <-g.vm.done },
			0, "a message of the guest's that may not stand where it does", "the recording was not closed by the guest",
		},
		"started twice": {
			func(g *guest) {
				_ = g.start() && g.say(channel.ToHost{Started: &channel.Started{PID: 43}})
				<-g.vm.done
			},
			0, "a message of the guest's that may not stand where it does", "the recording was not closed by the guest",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTest(t, &fake{guest: c.guest, console: "Out of memory: Killed process 1"})
			if err := start(t, b, backend.Command{}); err != nil {
				t.Fatal(err)
			}
			exit, err := b.Wait(t.Context())
			if exit.Code != c.exit || (c.err == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), c.err) {
				t.Errorf("%+v, %v", exit, err)
			}
			s, _ := b.Collector().Stop(t.Context())
			doubts := strings.Join(s.Doubts, "; ")
			if !strings.HasPrefix(doubts, c.doubt) || (c.doubt == "") != (doubts == "") {
				t.Errorf("doubts %q, want %q", doubts, c.doubt)
			}
			if name == "malformed" && (s.Lost["malformed"] != 1 || s.Received != 0) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A run that is to end is told so; one that does not listen loses its machine.
func TestKill(t *testing.T) {
	for name, c := range map[string]struct {
		guest func(*guest)
		exit  int
	}{
		"obedient": {func(g *guest) {
			if g.start() && g.hear().Kill != nil && g.say(channel.ToHost{Exited: &channel.Exited{Code: 137, Signal: "SIGKILL"}}) {
				g.end(channel.Result{})
			}
		}, 137},
		"deaf": {func(g *guest) { g.start(); <-g.vm.done }, 137},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTest(t, &fake{guest: c.guest})
			if err := start(t, b, backend.Command{}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errors.New("enough"))
			exit, err := b.Wait(ctx)
			if exit.Code != c.exit || err == nil || !strings.HasPrefix(err.Error(), "enough") {
				t.Errorf("%+v, %v", exit, err)
			}
		})
	}
}

// A machine that was halted is there, and answers nothing.
func TestSilence(t *testing.T) {
	hang := make(chan struct{})
	f := &fake{}
	f.guest = func(g *guest) { g.start(); <-g.vm.done }
	b := newTest(t, f)
	b.limits.silence = 400 * time.Millisecond
	if err := start(t, b, backend.Command{}); err != nil {
		t.Fatal(err)
	}
	// While the guest's channel answers nothing happens.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	go func() {
		time.Sleep(1200 * time.Millisecond)
		f.booted[0].halt.Store(true)
		close(hang)
	}()
	exit, err := b.Wait(ctx)
	select {
	case <-hang:
	default:
		t.Error("it was ended while it answered")
	}
	const want = "the virtual machine has not answered for 400ms: it was halted, or hangs"
	if exit.Code != 0 || err == nil || err.Error() != want {
		t.Errorf("%+v, %v", exit, err)
	}
	s, _ := b.Collector().Stop(t.Context())
	if len(s.Doubts) != 1 || s.Doubts[0] != "the recording was not closed by the guest: "+want {
		t.Errorf("%q", s.Doubts)
	}
}

// A guest may take longer for its account than collectors have to stop, but not
// for ever.
func TestSlowAccount(t *testing.T) {
	for name, c := range map[string]struct {
		limit time.Duration
		doubt string
	}{
		"slow":    {time.Minute, ""},
		"endless": {200 * time.Millisecond, "the recording was not closed by the guest: "},
	} {
		b := newTest(t, &fake{guest: func(g *guest) {
			_ = g.start() && g.say(channel.ToHost{Exited: &channel.Exited{Code: 3}})
			select {
			case <-time.After(time.Second):
			case <-g.vm.done:
			}
			g.end(channel.Result{})
		}})
		b.limits.result = c.limit
		if err := start(t, b, backend.Command{}); err != nil {
			t.Fatal(err)
		}
		if exit, err := b.Wait(t.Context()); err != nil || exit.Code != 3 {
			t.Errorf("%+v, %v", exit, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		s, _ := b.Collector().Stop(ctx)
		cancel()
		doubts := strings.Join(s.Doubts, "; ")
		if !strings.HasPrefix(doubts, c.doubt) || (c.doubt == "") != (doubts == "") {
			t.Errorf("%s: doubts %q", name, doubts)
		}
		_ = b.Cleanup(t.Context())
	}
}

// What went wrong in the guest behind the command's end is told, once.
func TestAfterwards(t *testing.T) {
	for said, want := range map[string]string{"": "", "as Wait said": "", "a process could not be killed": "a process could not be killed"} {
		b := newTest(t, &fake{guest: func(g *guest) {
			_ = g.start() && g.say(channel.ToHost{Exited: &channel.Exited{Code: 3, Error: "as Wait said"}})
			g.end(channel.Result{Error: said})
		}})
		if err := start(t, b, backend.Command{}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Wait(t.Context()); err == nil || err.Error() != "as Wait said" {
			t.Error(err)
		}
		if err := b.Cleanup(t.Context()); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%q: %v", said, err)
		}
	}
}

// A guest may say much, but not without end.
func TestTooMuch(t *testing.T) {
	for name, r := range map[string]channel.Result{
		"gaps":   {Gaps: make([]audit.Gap, 5000)},
		"duties": {Duties: make([]channel.Duty, 65)},
		"hooks":  {Summary: audit.Summary{Hooks: make([]audit.Hook, 300)}},
		"calls":  {Summary: audit.Summary{Syscalls: make([]audit.SyscallCount, 5000)}},
		"doubts": {Summary: audit.Summary{Doubts: make([]string, 300)}},
		"losses": {Summary: audit.Summary{Lost: map[string]uint64{strings.Repeat("x", 100): 1}}},
	} {
		if r.Check() == nil {
			t.Errorf("%s: all of it is taken", name)
		}
	}
	long := strings.Repeat("x", 1<<20)
	r := channel.Result{Gaps: []audit.Gap{{Kind: "k", Detail: long}}, Summary: audit.Summary{
		Doubts: []string{long}, Hooks: []audit.Hook{{Name: long, Err: long}}, Syscalls: []audit.SyscallCount{{Name: long}},
	}}
	if err := r.Check(); err != nil {
		t.Error(err)
	}
	if text, _ := json.Marshal(r); len(text) > 5*5000 {
		t.Errorf("%d bytes", len(text))
	}
	b := newTest(t, &fake{guest: func(g *guest) {
		if g.call() && g.take() {
			g.say(channel.ToHost{Failed: &channel.Failed{Reason: long}})
		}
	}})
	if err := b.Prepare(t.Context(), backend.Command{Argv: []string{"x"}}); err == nil || len(err.Error()) > 5000 {
		t.Errorf("an error of %d bytes", len(fmt.Sprint(err)))
	}
}

// A workspace that is not all told of is neither kept nor applied; what was
// recorded is there all the same.
func TestWorkspaceTold(t *testing.T) {
	for name, c := range map[string]struct {
		tar    string
		result channel.Result
		want   string // "" is no error
	}{
		"whole":    {strings.Repeat("\x00", 1024), channel.Result{Deleted: [][]byte{[]byte("f")}}, ""},
		"not all":  {strings.Repeat("\x00", 1024), channel.Result{WorkspaceError: "f: input/output error"}, "what became of the workspace is not all known: f: input/output error"},
		"nonsense": {strings.Repeat("x", 600), channel.Result{}, "what comes back of the workspace: "},
		"too much": {strings.Repeat("\x00", 1024), channel.Result{Deleted: [][]byte{[]byte("f"), []byte("g")}}, "what became of the workspace: the guest says that 2 names were deleted, of the 1 "},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		b := newTest(t, &fake{guest: func(g *guest) {
			if !g.call() || !g.take() {
				return
			}
			in, _ := g.conn.Open(channel.Workspace)
			changes, _ := g.conn.Open(channel.Changes)
			_, _ = io.Copy(io.Discard, in)
			_ = g.say(channel.ToHost{Ready: &channel.Ready{BootTime: time.Unix(1e9, 0), Mode: "ebpf"}}) && g.hear().Start != nil &&
				g.say(channel.ToHost{Started: &channel.Started{PID: 42}}) && g.say(channel.ToHost{Exited: &channel.Exited{}})
			_, _ = io.WriteString(changes, c.tar)
			_ = changes.Close()
			g.end(c.result)
		}})
		b.cfg.Workspace = Workspace{Dir: dir, Guest: "/workspace", Keep: io.Discard, Limit: 1 << 20}
		if err := start(t, b, backend.Command{}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if s, err := b.Collector().Stop(t.Context()); err != nil || len(s.Doubts) > 0 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		w := b.Report().Workspace
		switch {
		case w == nil:
			t.Errorf("%s: nothing is told", name)
		case c.want == "" && (w.Err != nil || len(w.Deleted) != 1):
			t.Errorf("%s: %+v", name, w)
		case c.want != "" && (w.Err == nil || !strings.HasPrefix(w.Err.Error(), c.want)):
			t.Errorf("%s: %v", name, w.Err)
		}
		_ = b.Cleanup(t.Context())
	}
}

// What an engine tries out before it starts a machine is not the machine's boot.
func TestBootTime(t *testing.T) {
	const trial = 400 * time.Millisecond
	b := newTest(t, &fake{trial: trial, guest: func(g *guest) {
		time.Sleep(50 * time.Millisecond)
		g.ready()
		<-g.vm.done
	}})
	if err := b.Prepare(t.Context(), backend.Command{Argv: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	if took := b.Report().Boot; took < 50*time.Millisecond || took >= trial {
		t.Errorf("it took %v", took)
	}
}

// The files of a machine are compared with what was built.
func TestSums(t *testing.T) {
	kernel := filepath.Join(t.TempDir(), "kernel")
	if err := os.WriteFile(kernel, []byte("k"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &fake{guest: func(g *guest) { g.ready(); <-g.vm.done }}
	b := newTest(t, f)
	b.cfg.Machine.Kernel, b.cfg.Sums = kernel, map[string]string{"kernel": "00"}
	if err := start(t, b, backend.Command{}); err == nil || !strings.HasPrefix(err.Error(), "the image's kernel is not what was built") {
		t.Error(err)
	}
}

func TestContract(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backend.Backend {
		return newTest(t, &fake{guest: func(g *guest) { g.start(); <-g.vm.done }})
	}, backendtest.Capabilities{Starts: true})
}
