package microvm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"glasshouse/audit"
	"glasshouse/backend/microvm/channel"
	"glasshouse/backend/microvm/engine"
)

// greet waits for the guest's first message, until ctx is done.
func (b *Backend) greet(ctx context.Context) error {
	stop := b.killAfter(ctx)
	control, err := b.conn.Accept(channel.Control)
	if err == nil {
		b.control = channel.NewMessages(control)
		var m channel.ToHost
		if err = b.control.Receive(&m); err == nil {
			b.hello, err = expect(&m, m.Hello, "a greeting")
		}
	}
	if why := stop(); why != nil {
		return why
	}
	if err != nil {
		return err
	}
	b.booted = time.Since(b.vm.Facts().Started)
	if err := b.hello.Check(audit.Layout(), b.cfg.Version); err != nil {
		return err
	}
	b.events.pageSize = b.hello.PageSize
	return nil
}

// instruct brings the guest to where only the command is missing.
func (b *Backend) instruct(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.limits.ready, &failure{
		fmt.Sprintf("the machine's recorder was not ready within %s", b.limits.ready)})
	defer cancel()
	stop := b.killAfter(ctx)
	b.ready, err = b.agree()
	if why := stop(); why != nil {
		return why
	}
	return b.reason(err)
}

// reason is why the guest has ended the connection, if it said so: it may have been
// gone before that was read.
func (b *Backend) reason(err error) error {
	var said *failure
	if err == nil || errors.As(err, &said) {
		return err
	}
	select {
	case <-b.conn.Done():
	default:
		return err
	}
	var m channel.ToHost
	if b.control.Receive(&m) == nil && m.Failed != nil {
		return &failure{m.Failed.Said()}
	}
	return err
}

// agree says what is to be run, takes the streams, and waits until the guest is
// ready.
func (b *Backend) agree() (*channel.Ready, error) {
	if err := b.control.Send(&channel.ToGuest{Spec: b.spec()}); err != nil {
		return nil, err
	}
	if err := b.streams.accept(b.conn, b.cmd); err != nil {
		return nil, err
	}
	records, err := b.conn.Accept(channel.Records)
	if err != nil {
		return nil, err
	}
	b.events.stream = records
	if err := b.folder.send(b.conn, b.cfg.Workspace); err != nil {
		return nil, err
	}
	var m channel.ToHost
	if err := b.control.Receive(&m); err != nil {
		return nil, err
	}
	ready, err := expect(&m, m.Ready, "to be ready")
	if err == nil {
		err = b.folder.sent()
	} else {
		err = b.folder.cause(err)
	}
	if err != nil {
		return nil, err
	}
	return ready, ready.Check()
}

func (b *Backend) spec() *channel.Spec {
	c := &b.cfg
	s := &channel.Spec{
		Argv: toBytes(b.cmd.Argv), Dir: []byte(b.cmd.Dir), Env: toBytes(b.cmd.Env), User: c.User,
		Now: time.Now(), Hostname: c.Hostname, Stdin: b.cmd.Stdin != nil,
		Terminal: b.streams.terminal.spec(), Joined: b.streams.joined,
		Strict: c.Strict, WaitTree: c.WaitTree, KillSurvivors: c.KillSurvivors,
		Workspace: c.Workspace.Guest, Proxy: c.Proxy != nil,
		Observe: c.Observe, CaptureArgv: c.CaptureArgv, NoBrake: c.NoBrake, RingSize: c.RingSize,
	}
	if c.Workspace.Share {
		s.Shared = engine.ShareTag
	}
	return s
}

func toBytes(list []string) [][]byte {
	out := make([][]byte, len(list))
	for i, s := range list {
		out[i] = []byte(s)
	}
	return out
}

// expect is the part of a message that was to come. A guest that failed says why.
func expect[T any](m *channel.ToHost, part *T, what string) (*T, error) {
	switch {
	case m.Failed != nil:
		return nil, &failure{m.Failed.Said()}
	case part == nil:
		return nil, fmt.Errorf("the guest was to send %s, and sent something else", what)
	}
	return part, nil
}

// receive takes what the guest says from Ready on, to the end.
func (b *Backend) receive() {
	defer close(b.finished)
	lost := func(err error) {
		if breach := b.proxied.breach(); breach != nil {
			err = breach
		}
		b.lost = b.explain(context.Background(), err)
	}
	for {
		var m channel.ToHost
		if err := b.control.Receive(&m); err != nil {
			lost(err)
			return
		}
		switch {
		case m.Started != nil && b.start == nil && m.Started.PID > 0:
			b.start = m.Started
			close(b.started)
		case m.Exited != nil && b.start != nil && b.exit == nil:
			if err := m.Exited.Check(); err != nil {
				lost(err)
				return
			}
			b.exit = m.Exited
			close(b.exited)
		case m.Result != nil && b.exit != nil:
			if err := m.Result.Check(); err != nil {
				lost(err)
				return
			}
			b.result = m.Result
			return
		case m.Failed != nil:
			b.lost = &failure{m.Failed.Said()}
			if r := m.Failed.Result; r != nil && b.start == nil {
				if err := r.Check(); err != nil {
					lost(err)
					return
				}
				b.result = r
			}
			return
		default:
			lost(errors.New("a message of the guest's that may not stand where it does"))
			return
		}
	}
}

// tell sends what the guest may be gone for, or so stuck that it takes nothing.
func (b *Backend) tell(m channel.ToGuest) { _ = b.control.Send(&m) }
