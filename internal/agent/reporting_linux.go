package agent

import (
	"context"
	"errors"
	"fmt"

	"glasshouse/backend"
	"glasshouse/backend/microvm/channel"
	"glasshouse/runner"
)

// reporting tells the host when the command could start, when it started, and
// how it ended.
type reporting struct {
	*Backend
	session  *session
	streams  *streams
	user     *backend.User
	dir      string
	shortage *shortage
	short    string // what there was of it when the command ended
	said     string // what Wait has said of the command
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
	s.ready.Store(true)
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
	if short := r.shortage.err(); short != nil {
		r.short = short.Error()
		exit, err = failed(exit, errors.Join(err, short))
	}
	r.streams.rootEnded()
	e := &channel.Exited{
		Code: exit.Code, Signal: exit.Signal, User: exit.UserTime, System: exit.SystemTime, MaxRSS: exit.MaxRSS,
		Stdout: r.streams.out.n.Load(), Stderr: r.streams.errOut.n.Load(),
	}
	if err != nil {
		e.Error = err.Error()
		r.said = e.Error
		if exit == (backend.Exit{}) {
			e.Code = 1
		}
	}
	if serr := r.session.host.Send(&channel.ToHost{Exited: e}); serr != nil {
		err = errors.Join(err, serr)
	}
	return exit, err
}

// failed is the end of a command whose machine was too small for it. Whatever
// the command made of that, the run has failed, and not by the command's doing.
func failed(exit backend.Exit, why error) (backend.Exit, error) {
	how := fmt.Sprintf("exit code %d", exit.Code)
	if exit.Signal != "" {
		how = exit.Signal
	}
	exit.Code, exit.Signal = 1, ""
	return exit, fmt.Errorf("%w; the command ended with %s", why, how)
}

// afterwards is what is to be said of the whole run, of which err came, and to
// which belongs what the machine has run short of since the command ended.
func (r *reporting) afterwards(err error) error {
	late := r.shortage.err()
	switch {
	case late == nil || late.Error() == r.short:
		return err
	case err != nil && err.Error() == r.said:
		return late // the rest has been said
	}
	return errors.Join(err, late)
}
