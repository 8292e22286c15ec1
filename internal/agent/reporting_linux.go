package agent

import (
	"context"
	"errors"

	"glasshouse/backend"
	"glasshouse/backend/microvm/channel"
	"glasshouse/runner"
)

// reporting tells the host when the command could start, when it started, and
// how it ended.
type reporting struct {
	*Backend
	session *session
	streams *streams
	user    *backend.User
	dir     string
}

func (r *reporting) Prepare(ctx context.Context, cmd backend.Command) error {
	r.dir = cmd.Dir
	return r.Backend.Prepare(ctx, cmd)
}

func (r *reporting) Start(ctx context.Context) error {
	s := r.session
	ready := &channel.Ready{BootTime: runner.BootTime(), Mode: "ebpf", Exe: []byte(r.Executable()), WorkingDir: []byte(r.dir)}
	if s.unobserved != "" || !s.spec.Observe {
		ready.Mode, ready.Reason = "none", s.unobserved
	}
	ready.User = "root"
	if u := r.user; u != nil {
		ready.UID, ready.GID, ready.User = u.UID, u.GID, u.Name
	}
	if err := s.host.Send(&channel.ToHost{Ready: ready}); err != nil {
		return err
	}
	select {
	case <-s.start:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := r.Backend.Start(ctx); err != nil {
		return err
	}
	s.started.Store(true)
	return s.host.Send(&channel.ToHost{Started: &channel.Started{PID: r.PID()}})
}

func (r *reporting) Wait(ctx context.Context) (backend.Exit, error) {
	exit, err := r.Backend.Wait(ctx)
	r.streams.rootEnded()
	e := &channel.Exited{
		Code: exit.Code, Signal: exit.Signal, User: exit.UserTime, System: exit.SystemTime, MaxRSS: exit.MaxRSS,
		Stdout: r.streams.out.n.Load(), Stderr: r.streams.errOut.n.Load(),
	}
	if err != nil {
		e.Error = err.Error()
		if exit == (backend.Exit{}) {
			e.Code = 1
		}
	}
	if serr := r.session.host.Send(&channel.ToHost{Exited: e}); serr != nil {
		err = errors.Join(err, serr)
	}
	return exit, err
}
