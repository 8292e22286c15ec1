package freezer

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// guardName is argv[0] of a guard: the same program again, which becomes one
// before its main begins. So every program that can hold has a guard at hand.
const guardName = "glasshouse-guard"

// The descriptors of a guard.
const (
	guardPipe   = 0 // ends when the last of whoever holds is gone
	guardFreeze = 1 // cgroup.freeze
)

func init() {
	if len(os.Args) == 1 && os.Args[0] == guardName {
		os.Exit(stand())
	}
}

// stand waits for the end of the pipe and releases the group, which does no
// harm if that has been done, or if there is no group any more.
func stand() int {
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	var b [1]byte
	for {
		n, err := unix.Read(guardPipe, b[:])
		if err == unix.EINTR || n > 0 {
			continue
		}
		if _, err := unix.Write(guardFreeze, []byte("0")); err != nil {
			return 1
		}
		return 0
	}
}

// guard is a process that outlives its parent for the moment that it takes to
// release a group.
type guard struct {
	proc *os.Process
	pipe *os.File // the only end to write to
}

// startGuard returns when the guard has been executed. From the fork on it
// will do its work, whatever becomes of the parent. It has a session of its
// own, for it must not get the signals of a terminal.
func startGuard(freeze int, keep Keeper) (*guard, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("guard the frozen: %w", err)
	}
	defer r.Close()
	file, err := dup(freeze)
	if err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("guard the frozen: %w", err)
	}
	defer file.Close()
	g := &guard{pipe: w}
	start := func() (int, error) {
		g.proc, err = os.StartProcess("/proc/self/exe", []string{guardName}, &os.ProcAttr{
			Dir:   "/",
			Env:   []string{"GOMAXPROCS=1"},
			Files: []*os.File{guardPipe: r, guardFreeze: file},
			Sys:   &syscall.SysProcAttr{Setsid: true},
		})
		if err != nil {
			return 0, err
		}
		return g.proc.Pid, nil
	}
	if keep != nil {
		err = keep.Own(start)
	} else {
		_, err = start()
	}
	if err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("guard the frozen: %w", err)
	}
	return g, nil
}

func dup(fd int) (*os.File, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	return os.NewFile(uintptr(n), "cgroup.freeze"), nil
}

// end lets the guard do its work, and waits for it.
func (g *guard) end(keep Keeper) error {
	err := g.pipe.Close()
	_, waitErr := g.proc.Wait()
	if keep != nil {
		keep.Disown(g.proc.Pid)
	}
	return errors.Join(err, waitErr)
}
