//go:build linux && (amd64 || arm64)

package ptrace

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracerName is argv[0] of a tracer: the same program again, which becomes one
// before its main begins. So every program that can record has one at hand.
const tracerName = "glasshouse-tracer"

// The descriptors of a tracer.
const (
	tracerOrders  = 0 // from the recorder; ends with it
	tracerRecords = 1 // to the recorder
)

// wishes are the argument of a tracer, in JSON.
type wishes struct {
	KillOnDeath bool // of the recorder
	NoArgv      bool
}

func init() {
	if len(os.Args) != 2 || os.Args[0] != tracerName {
		return
	}
	var w wishes
	if err := json.Unmarshal([]byte(os.Args[1]), &w); err != nil {
		os.Exit(1)
	}
	os.Exit(serve(w))
}

// serve is the life of a tracer.
func serve(w wishes) int {
	// The signals of a terminal are not for it, nor is that of a pipe that
	// nobody reads from.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE)
	signal.Notify(make(chan os.Signal, 1), wakeSignal) // it breaks off a wait, and says nothing
	pipe := newSender(os.NewFile(tracerRecords, "records"))
	err := errors.Join(breakOff(wakeSignal), noChildSignals())
	wake := lock()
	orders := make(chan order)
	t := &tracer{pipe: pipe, orders: orders, threads: map[int]*thread{}, early: map[int]early{}, options: traceOptions, noArgv: w.NoArgv}
	if w.KillOnDeath {
		t.options |= unix.PTRACE_O_EXITKILL
	}
	if err == nil {
		err = try()
	}
	// The command, which may have the same user, is not to look into it. What it
	// has tried on would not have let it, either.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	pipe.answer(err)
	if err != nil {
		return 1
	}
	go func() {
		pass := func(o order) {
			t.ordered.Store(true)
			for {
				select {
				case orders <- o:
					return
				case <-time.After(wakeAfter):
					t.ordered.Store(true)
					wake()
				}
			}
		}
		takeOrders(os.NewFile(tracerOrders, "orders"), func(o order) {
			if o.Stop {
				t.ended.Store(true)
			}
			pass(o)
		})
		if w.KillOnDeath && !t.ended.Load() {
			os.Exit(1) // and the kernel ends the traced
		}
		pass(order{Left: true})
	}()
	go func() {
		for range time.Tick(overdueAfter / 4) {
			if t.waiting.Load() {
				t.ordered.Store(true)
				wake()
			}
		}
	}()
	if err := t.follow(); err != nil {
		t.books.doubt(err.Error())
		t.pipe.books(frameBooks, t.books.summary())
		return 1
	}
	return 0
}

// try traces a process as a run would, to find out whether that is allowed.
func try() error {
	pid, err := forkIdle()
	if err != nil {
		return fmt.Errorf("start a process to trace: %w", err)
	}
	defer func() {
		_ = unix.Kill(pid, unix.SIGKILL)
		// It may stop once more on its way out.
		for status := unix.WaitStatus(0x7f); status.Stopped(); {
			_ = ptrace(unix.PTRACE_CONT, pid, 0, 0)
			if _, err := wait(pid, &status, unix.WALL); err != nil {
				return
			}
		}
	}()
	if err := ptrace(unix.PTRACE_SEIZE, pid, 0, traceOptions); err != nil {
		return fmt.Errorf("trace a process: %w", err)
	}
	return seccompAvailable()
}

// forkIdle makes a process that waits to be killed. It must not do anything
// that needs Go's runtime: only this thread is forked.
//
//go:norace
//go:nosplit
func forkIdle() (int, error) {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	if pid == 0 {
		for {
			syscall.RawSyscall6(sysPause, 0, 0, 0, 0, 0, 0)
		}
	}
	return int(pid), nil
}

// seccompAvailable tells whether a filter can stop a call for a tracer.
func seccompAvailable() error {
	action := uint32(unix.SECCOMP_RET_TRACE)
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	if errno != 0 {
		return fmt.Errorf("filter system calls: %w", errno)
	}
	return nil
}

// sysPause waits for a signal: ppoll of nothing, which all machines have.
const sysPause = unix.SYS_PPOLL
