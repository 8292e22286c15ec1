// Program init is the first process of a guest of the matrix: it mounts what
// the tests need, runs them, says what came of it, and ends the guest.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"glasshouse/guest"
	"glasshouse/test/vm/plan"
)

func main() {
	if err := errors.Join(ordinaryRoot(), console()); err == nil {
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

// ordinaryRoot makes the root a mount like any other: tests ask for pivot_root,
// which the kernel's first file system refuses.
func ordinaryRoot() error {
	const at = "/root"
	if err := unix.Mount("/", at, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := unix.Chdir(at); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	return errors.Join(unix.Chroot("."), unix.Chdir("/"))
}

// console opens /dev/console as the standard streams: the kernel found none
// in the initramfs.
func console() error {
	if err := mount("devtmpfs", "/dev", "mode=0755"); err != nil {
		return err
	}
	fd, err := unix.Open("/dev/console", unix.O_RDWR, 0)
	if err != nil {
		return err
	}
	for std := range 3 {
		if fd == std {
			continue
		}
		if err := unix.Dup3(fd, std, 0); err != nil {
			return err
		}
	}
	return nil
}

func mount(kind, target, options string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(kind, target, kind, unix.MS_NOSUID, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, target, err)
	}
	return nil
}

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
	for target, options := range map[string]string{"/tmp": "mode=1777", "/run": "mode=0755", "/dev/shm": "mode=1777"} {
		if err := mount("tmpfs", target, options); err != nil {
			return err
		}
	}
	if err := mount("devpts", "/dev/pts", "mode=0620,ptmxmode=0666"); err != nil {
		return err
	}
	for name, target := range map[string]string{"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"} {
		if err := os.Symlink("/proc/self/fd"+target, "/dev/"+name); err != nil {
			return err
		}
	}
	return loopbackUp()
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("loopback up: %w", err)
	}
	_, err = net.InterfaceByName("lo")
	return err
}
