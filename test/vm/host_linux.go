package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"glasshouse/test/vm/plan"
)

// onHost runs the suites on this machine's kernel, as a guest would.
func (m *matrix) onHost(ctx context.Context, out io.Writer) error {
	top, err := os.Getwd()
	if err != nil {
		return err
	}
	arch := kernel{name: hostKernel}.goarch()
	say := func(e plan.Event) { fmt.Fprintf(out, "\n%s\n", e) }
	for _, s := range m.suites {
		p := s.planned(m.builtIn(arch), top, m.tests)
		say(plan.Event{Kind: plan.Begin, Suite: s.name})
		cmd := exec.CommandContext(ctx, p.Argv[0], p.Argv[1:]...)
		cmd.Dir, cmd.Env = p.Dir, append(os.Environ(), p.Env...)
		cmd.Stdout, cmd.Stderr = out, out
		err := cmd.Run()
		end := plan.Event{Kind: plan.End, Suite: s.name}
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			end.Detail = exit.Error()
		} else if err != nil {
			return err
		}
		say(end)
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return err
	}
	say(plan.Event{Kind: plan.Done, Detail: unix.ByteSliceToString(uts.Release[:])})
	return nil
}
