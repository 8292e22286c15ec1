//go:build darwin || freebsd || netbsd || openbsd

package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// group is a Linux matter.
type group struct{ path string }

func newGroup() (*group, error) {
	return nil, fmt.Errorf("no cgroups on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func (*group) start(string, []string, *os.ProcAttr) (*os.Process, bool, error) {
	return nil, true, errors.ErrUnsupported
}
func (*group) kill() error   { return nil }
func (*group) remove() error { return nil }

func identify(pid int) identity { return identity{pid: pid} }

// killDescendants finds none here: KillTree ends the root alone.
func killDescendants(identity) {}

func ownPeak() int64 { return 0 }

// sysAttr is how the child is to be made.
func (b *Backend) sysAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: credential(b.cmd.User)}
}
