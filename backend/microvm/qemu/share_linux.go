package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/backend/microvm/engine"
)

// daemonPlaces are where packages put virtiofsd, beside PATH: it is not for users.
var daemonPlaces = []string{"/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd"}

// daemon is a virtiofsd, which serves one folder to one machine.
type daemon struct {
	cmd    *exec.Cmd
	output engine.Console
	done   chan struct{} // closed when it has ended
}

func findDaemon() (string, error) {
	if path, err := exec.LookPath("virtiofsd"); err == nil {
		return path, nil
	}
	for _, path := range daemonPlaces {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", &engine.MissingError{Program: "virtiofsd", Hint: "Debian's packages virtiofsd, and before trixie qemu-system-common, have it"}
}

// daemonArgs are those of the two programs of that name: QEMU's, in C, until
// version 7.2, and the one in Rust that came after it.
func daemonArgs(version, socket, dir string) []string {
	if strings.Contains(version, "FUSE kernel interface") {
		return []string{"--socket-path=" + socket, "-o", "source=" + escapeOption(dir), "-o", "cache=auto", "-o", "log_level=err"}
	}
	return []string{"--socket-path=" + socket, "--shared-dir=" + dir, "--cache=auto", "--log-level=error"}
}

// escapeOption is for a value among those that commas divide.
func escapeOption(s string) string { return strings.NewReplacer(`\`, `\\`, ",", `\,`).Replace(s) }

// startTime is how long a daemon may take until it listens.
const startTime = 10 * time.Second

// share serves a folder at a socket in run, read-only whatever the guest and, in
// its sandbox, the daemon do: what that gets to see is a read-only mount.
func share(ctx context.Context, folder, run string) (d *daemon, socket string, err error) {
	if os.Geteuid() != 0 {
		return nil, "", errors.New("to share a folder by virtiofs takes root: without --virtiofs it is sent in")
	}
	path, err := findDaemon()
	if err != nil {
		return nil, "", err
	}
	version, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		return nil, "", fmt.Errorf("%s --version: %w", path, err)
	}
	folder, err = filepath.Abs(folder)
	if err != nil {
		return nil, "", err
	}
	at := filepath.Join(run, "shared")
	if err := os.Mkdir(at, 0o700); err != nil {
		return nil, "", err
	}
	socket = filepath.Join(run, "virtiofs.sock")
	d = &daemon{cmd: exec.Command(path, daemonArgs(string(version), socket, at)...), done: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = &d.output, &d.output
	d.cmd.SysProcAttr = engine.Apart()
	d.cmd.WaitDelay = time.Second // for the output of what it has started
	started := make(chan error, 1)
	go func() {
		// Not unlocked: the thread has mounts of its own, and ends with this. The
		// kernel ends the daemon with it, so it waits.
		runtime.LockOSThread()
		err := showReadOnly(folder, at)
		if err == nil {
			err = d.cmd.Start()
		}
		started <- err
		if err != nil {
			return
		}
		_ = d.cmd.Wait()
		close(d.done)
	}()
	if err := <-started; err != nil {
		return nil, "", fmt.Errorf("share %s: %w", folder, err)
	}
	if err := d.await(ctx, socket); err != nil {
		d.kill()
		return nil, "", fmt.Errorf("share %s: %w", folder, err)
	}
	return d, socket, nil
}

// showReadOnly mounts a folder read-only at another, for this thread and what it
// starts. What is mounted inside of it is not there.
func showReadOnly(folder, at string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	for _, m := range []struct {
		from, to string
		flags    uintptr
	}{
		{"", "/", unix.MS_REC | unix.MS_PRIVATE},
		{folder, at, unix.MS_BIND},
		{"", at, unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	} {
		if err := unix.Mount(m.from, m.to, "", m.flags, ""); err != nil {
			return fmt.Errorf("mount it read-only: %w", err)
		}
	}
	return nil
}

func (d *daemon) await(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		if _, err := os.Stat(socket); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-d.done:
			return fmt.Errorf("%s ended: %s", d.cmd.Path, d.output.String())
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen: %w", d.cmd.Path, context.Cause(ctx))
		}
	}
}

// kill ends it with what it has started: that may be the first process of a
// namespace, which no signal but this ends.
func (d *daemon) kill() {
	_ = unix.Kill(-d.cmd.Process.Pid, unix.SIGKILL)
	<-d.done
}

// sharing is a machine with a daemon. Each ends with the other: without the daemon
// whoever looks into the folder waits for ever.
type sharing struct {
	engine.VM
	done chan struct{}
	err  error // of the daemon, when done is closed
}

func (d *daemon) with(vm engine.VM) engine.VM {
	s := &sharing{VM: vm, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		select {
		case <-vm.Done():
		case <-d.done:
			select {
			case <-vm.Done(): // it was first, and the daemon saw it
			case <-time.After(time.Second):
				vm.Kill()
				<-vm.Done()
				s.err = fmt.Errorf("%s ended: %s", d.cmd.Path, d.output.String())
			}
		}
		select {
		case <-d.done: // by itself: nobody is connected any more
		case <-time.After(time.Second):
			d.kill()
		}
	}()
	return s
}

func (s *sharing) Done() <-chan struct{} { return s.done }

func (s *sharing) Err() error {
	select {
	case <-s.done:
		if s.err != nil {
			return s.err
		}
	default:
	}
	return s.VM.Err()
}
