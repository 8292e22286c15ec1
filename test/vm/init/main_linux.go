// Program init is the first process of a guest of the matrix: it mounts what
// the tests need, runs them, says what came of it, and ends the guest.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"glasshouse/guest"
	"glasshouse/test/vm/plan"
)

func main() {
	if err := errors.Join(guest.OrdinaryRoot(), guest.Devices(), guest.Console()); err == nil {
		release, err := work()
		if err != nil {
			say(plan.Event{Kind: plan.Failed, Detail: err.Error()})
		} else {
			say(plan.Event{Kind: plan.Done, Detail: release})
		}
		// What is still in the serial line would be lost with the machine.
		_ = unix.IoctlSetInt(1, unix.TCSBRK, 1)
	}
	// QEMU ends on a reset, which every machine type can do.
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	select {}
}

func say(e plan.Event) { fmt.Printf("\n%s\n", e) }

// work runs the plan and returns the kernel's release.
func work() (string, error) {
	if err := prepare(); err != nil {
		return "", err
	}
	// The kernel sets no path. A test is not to skip what the matrix is for.
	for name, value := range map[string]string{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "CI": "true"} {
		if err := os.Setenv(name, value); err != nil {
			return "", err
		}
	}
	p, err := plan.Read()
	if err != nil {
		return "", err
	}
	for _, s := range p.Suites {
		say(plan.Event{Kind: plan.Begin, Suite: s.Name})
		end := plan.Event{Kind: plan.End, Suite: s.Name}
		if err := run(s); err != nil {
			end.Detail = err.Error()
		}
		say(end)
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(uts.Release[:]), nil
}

func run(s plan.Suite) error {
	cmd := exec.Command(s.Argv[0], s.Argv[1:]...)
	cmd.Dir, cmd.Env = s.Dir, append(os.Environ(), s.Env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

func prepare() error {
	report, err := guest.Setup()
	if err != nil {
		return err
	}
	for _, s := range report.Steps {
		if s.Err != nil {
			return fmt.Errorf("%s: %w", s.Name, s.Err)
		}
	}
	return guest.Furnish("")
}
