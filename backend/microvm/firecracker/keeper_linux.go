package firecracker

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// keeperName is argv[0] of a jail's keeper: the same program again, which
// becomes one before its main begins. So every program that can boot has one
// at hand.
//
// A jailed Firecracker changes its user, and the kernel then forgets that it
// was to die with glasshouse. The keeper stays root, dies with it, and takes
// along all processes of the PID namespace whose first it is. It also has the
// mounts of the jail to itself, so that none is ever left behind.
const keeperName = "glasshouse-jail"

func init() {
	if len(os.Args) != 2 || os.Args[0] != keeperName {
		return
	}
	code, err := keep(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "glasshouse: make the jail:", err)
	}
	os.Exit(code)
}

// keep is the life of a keeper.
func keep(order string) (code int, err error) {
	if os.Getpid() != 1 {
		return 1, errors.New("it is not the first process of a PID namespace")
	}
	var j jail
	if err := json.Unmarshal([]byte(order), &j); err != nil {
		return 1, err
	}
	if err := j.mount(); err != nil {
		return 1, err
	}
	cmd := &exec.Cmd{Path: j.Argv[0], Args: j.Argv, Env: []string{}, Dir: "/", Stdout: os.Stdout, Stderr: os.Stderr}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	_ = cmd.Wait() // the state has it
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// mount shows the files in the jail, and lets it have devices and programs,
// which a temporary folder's file system may be mounted without.
func (j *jail) mount() error {
	const (
		rebind = unix.MS_BIND | unix.MS_REMOUNT | unix.MS_NOSUID
		file   = rebind | unix.MS_RDONLY | unix.MS_NODEV | unix.MS_NOEXEC
	)
	for _, m := range []struct {
		from, to string
		flags    uintptr
	}{
		{"", "/", unix.MS_SLAVE | unix.MS_REC},
		{j.Root, j.Root, unix.MS_BIND},
		{"", j.Root, rebind},
	} {
		if err := unix.Mount(m.from, m.to, "", m.flags, ""); err != nil {
			return &os.PathError{Op: "mount", Path: m.to, Err: err}
		}
	}
	for _, b := range j.Binds {
		if err := unix.Mount(b.From, b.To, "", unix.MS_BIND, ""); err != nil {
			return &os.PathError{Op: "bind", Path: b.From, Err: err}
		}
		if err := unix.Mount("", b.To, "", file, ""); err != nil {
			return &os.PathError{Op: "mount", Path: b.To, Err: err}
		}
	}
	return nil
}
