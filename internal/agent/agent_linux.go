package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
	"glasshouse/backend"
	"glasshouse/backend/microvm/channel"
	"glasshouse/ebpf"
	"glasshouse/guest"
	"glasshouse/receipt"
	"glasshouse/runner"
)

// Main is the recorder's life as the first process of a microVM: it makes a
// machine of what the kernel booted, calls the host, runs and records what the
// host asks for, and switches the machine off. It does not return. What goes
// wrong before there is a channel is told on the console, where the host looks
// for it.
func Main(version string) {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "glasshouse: guest is for the first process of a microVM")
		os.Exit(1)
	}
	// The terminal's signals are the command's. Nobody is to ignore them here: a
	// command would inherit that.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGPIPE)
	// The machine's memory is this process's alone until the command runs: what is
	// left behind by then need not be looked for.
	usual := debug.SetGCPercent(400)
	time.AfterFunc(3*time.Second, func() { debug.SetGCPercent(usual) })
	err := live(version)
	if err != nil {
		fmt.Fprintln(os.Stderr, "glasshouse:", err)
		// What is still in the serial line would be lost with the machine.
		_ = unix.IoctlSetInt(2, unix.TCSBRK, 1)
	}
	// A VMM that was told not to reboot ends on a reset.
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	select {}
}

func live(version string) error {
	report, layer, err := assemble()
	if err != nil {
		return err
	}
	port, err := dial()
	if err != nil {
		return fmt.Errorf("call the host: %w", err)
	}
	conn, err := channel.Guest(port)
	if err != nil {
		return err
	}
	stream, err := conn.Open(channel.Control)
	if err != nil {
		return err
	}
	s := &session{conn: conn, host: channel.NewMessages(stream), version: version, setup: report, layer: layer}
	return s.serve()
}

// session is the conversation with the host, for one run.
type session struct {
	conn    *channel.Conn
	host    *channel.Messages
	version string
	setup   guest.Report
	layer   *os.File // takes what is written
	spec    *channel.Spec

	start   chan struct{} // closed when the command may go
	signals chan os.Signal
	end     context.CancelCauseFunc
	acked   chan struct{} // closed when the host has all

	resize func(channel.Size)

	unobserved string      // why nothing is recorded
	ready      atomic.Bool // all stood but the command
	started    atomic.Bool
}

func (s *session) serve() error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return err
	}
	if err := s.host.Send(&channel.ToHost{Hello: &channel.Hello{
		Protocol: channel.Version, Version: s.version, Layout: audit.Layout(), PageSize: os.Getpagesize(),
		Kernel: unix.ByteSliceToString(uts.Release[:]), Arch: runtime.GOARCH,
	}}); err != nil {
		return err
	}
	var m channel.ToGuest
	if err := s.host.Receive(&m); err != nil {
		return fmt.Errorf("wait for what is to be run: %w", err)
	}
	if s.spec = m.Spec; s.spec == nil {
		return errors.New("the host was to say what is to be run")
	}
	s.start, s.signals, s.acked = make(chan struct{}), make(chan os.Signal, 16), make(chan struct{})
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	s.end = cancel

	last, err := s.run(ctx)
	if err != nil {
		last = &channel.ToHost{Failed: &channel.Failed{Reason: err.Error()}}
	}
	if err := tell(s.host, last); err != nil {
		return err
	}
	select {
	case <-s.acked:
	case <-s.conn.Done():
	case <-time.After(time.Minute):
	}
	return nil
}

// tell sends the last message. What became of the workspace can be more than one
// holds: then that is what is not told.
func tell(host *channel.Messages, last *channel.ToHost) error {
	err := host.Send(last)
	r := last.Result
	if r == nil && last.Failed != nil {
		r = last.Failed.Result
	}
	if r == nil || !errors.Is(err, channel.ErrTooLong) {
		return err
	}
	r.Deleted, r.Refused = nil, nil
	r.WorkspaceError = cmp.Or(r.WorkspaceError, "too many names were deleted or refused: "+err.Error())
	return host.Send(last)
}

// listen takes what the host says, until it says no more: then nobody is there
// whom the run could be for.
func (s *session) listen() {
	for {
		var m channel.ToGuest
		if err := s.host.Receive(&m); err != nil {
			s.end(fmt.Errorf("the host is gone: %w", err))
			return
		}
		switch {
		case m.Start != nil:
			close(s.start)
		case m.Signal > 0:
			select {
			case s.signals <- syscall.Signal(m.Signal):
			default: // nobody takes any
			}
		case m.Resize != nil:
			s.resize(*m.Resize)
		case m.Kill != nil:
			s.end(errors.New(m.Kill.Reason))
		case m.Ack != nil:
			close(s.acked)
			return
		}
	}
}

// run runs the command and returns the last message. The error says why nothing
// was recorded.
func (s *session) run(ctx context.Context) (*channel.ToHost, error) {
	spec := s.spec
	if err := setClockAndName(spec); err != nil {
		return nil, err
	}
	st, err := openStreams(s.conn, spec)
	if err != nil {
		return nil, err
	}
	records, err := s.conn.Open(channel.Records)
	if err != nil {
		return nil, err
	}
	var user *backend.User
	if spec.User != "" {
		if user, err = backend.LookupUser(spec.User); err != nil {
			return nil, fmt.Errorf("--user: %w", err)
		}
	}
	folder, err := s.openWorkspace(user)
	if err != nil {
		return nil, err
	}
	env := withLogin(toStrings(spec.Env), user)
	if spec.Proxy {
		if err := listenForProxy(s.conn); err != nil {
			return nil, fmt.Errorf("listen for the proxy: %w", err)
		}
		env = withProxy(env)
	}
	b := &reporting{Backend: New(), session: s, streams: st, user: user, shortage: watchShortage(s.layer)}
	defer b.shortage.stop()
	s.resize = st.resize
	b.setup = func() (guest.Report, error) { return s.setup, nil }
	go s.listen()
	rs := runner.Spec{
		Backend: b, Argv: toStrings(spec.Argv), Dir: cmp.Or(string(spec.Dir), "/"), Env: env, User: user,
		Stdin: st.stdin, Stdout: st.stdout, Stderr: st.stderr,
		Strict: spec.Strict, WaitTree: spec.WaitTree, KillSurvivors: spec.KillSurvivors, NoBackpressure: spec.NoBrake,
		Signals: s.signals, Provenance: "guest", Version: s.version,
		Unavailable: func(err error) { s.unobserved = err.Error() },
	}
	f := &forwarding{w: channel.NewRecordWriter(records)}
	if spec.Observe {
		f.Collector = ebpf.New(ebpf.Options{CaptureArgv: spec.CaptureArgv, RingSize: spec.RingSize, Priority: true, Objects: true})
		rs.Collector = f.tapped()
	}
	rec, err := runner.Run(ctx, rs)
	started := s.started.Load()
	if err == nil && !started {
		err = errors.New("the command was not started")
	}
	if !s.ready.Load() {
		return nil, err
	}
	result := account(rec, f, b.Duties())
	if started {
		err = b.afterwards(err)
	}
	folder.bringBack(result)
	st.close()
	if !started {
		return &channel.ToHost{Failed: &channel.Failed{Reason: err.Error(), Result: result}}, nil
	}
	if err != nil {
		result.Error = err.Error()
	}
	return &channel.ToHost{Result: result}, nil
}

func setClockAndName(spec *channel.Spec) error {
	if !spec.Now.IsZero() {
		tv := unix.NsecToTimeval(spec.Now.UnixNano())
		if err := unix.Settimeofday(&tv); err != nil {
			return fmt.Errorf("set the clock: %w", err)
		}
	}
	if spec.Hostname != "" {
		if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
			return fmt.Errorf("set the host's name: %w", err)
		}
	}
	return nil
}

// account closes the stream of records and says what the recording came to.
func account(rec *receipt.Receipt, f *forwarding, duties []receipt.Duty) *channel.Result {
	sent, err := f.close()
	result := &channel.Result{Summary: f.summary, Records: sent}
	if err != nil {
		result.Summary.Doubts = append(result.Summary.Doubts, err.Error())
	}
	for _, g := range rec.Observation.Gaps {
		result.Gaps = append(result.Gaps, audit.Gap{Kind: g.Kind, Detail: g.Detail, Count: g.Count})
	}
	for _, d := range duties {
		result.Duties = append(result.Duties, duty(d))
	}
	return result
}

func duty(d receipt.Duty) channel.Duty {
	out := channel.Duty{Name: d.Name, Outcome: d.Outcome, Count: d.Count}
	if d.Error != nil {
		out.Error = *d.Error
	}
	return out
}

func toStrings(list [][]byte) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = string(b)
	}
	return out
}

// withLogin adds to an environment what a login would set, where nobody has set
// it.
func withLogin(env []string, u *backend.User) []string {
	if u == nil {
		u = &backend.User{}
	}
	for _, kv := range u.Env() {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.ContainsFunc(env, func(have string) bool { return strings.HasPrefix(have, name+"=") }) {
			env = append(env, kv)
		}
	}
	return env
}
