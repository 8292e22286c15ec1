package guest

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"glasshouse/internal/procfs"
)

// Reaper reaps the orphans that become the recorder's children. It leaves
// those alone that the recorder owns, because somebody waits for them.
//
// While it runs, every process that the recorder starts must be started
// through Own: any other child is taken for an orphan.
type Reaper struct {
	signals    chan os.Signal
	wake       chan struct{}
	quit, done chan struct{}

	mu     sync.Mutex
	owned  map[int]bool
	reaped uint64
}

// StartReaper begins to reap. It needs /proc.
func StartReaper() (*Reaper, error) {
	if os.Getpid() != 1 {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("become a subreaper: %w", err)
		}
	}
	r := &Reaper{
		signals: make(chan os.Signal, 1),
		wake:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
		owned:   make(map[int]bool),
	}
	signal.Notify(r.signals, unix.SIGCHLD)
	go r.run()
	return r, nil
}

// Own calls start, which starts a process and returns its number, and never
// reaps that process. Nothing at all is reaped while start runs: the process
// could end before its number is known.
func (r *Reaper) Own(start func() (pid int, err error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.look()
	pid, err := start()
	if err == nil {
		r.owned[pid] = true
	}
	return err
}

// Disown is to be called when an owned process has been waited for: another
// may get its number.
func (r *Reaper) Disown(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.owned, pid)
	r.look()
}

// Reaped is the number of orphans reaped so far.
func (r *Reaper) Reaped() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reaped
}

// Stop reaps what has ended by now and returns the number of all.
func (r *Reaper) Stop() uint64 {
	signal.Stop(r.signals)
	close(r.quit)
	<-r.done
	return r.Reaped()
}

// look asks for a look at the children, signal or no signal.
func (r *Reaper) look() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Reaper) run() {
	defer close(r.done)
	r.sweep() // orphans from before
	for {
		select {
		case <-r.signals:
		case <-r.wake:
		case <-r.quit:
			r.sweep()
			return
		}
		r.sweep()
	}
}

// sweep reaps every child that has ended and is not owned. Signals do not
// queue: one may stand for many children.
func (r *Reaper) sweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		pid := peek()
		if pid == 0 {
			return
		}
		if !r.owned[pid] {
			r.reap(pid)
			continue
		}
		// An owned process that has ended and has not been waited for hides
		// all that stand behind it: peek would show nothing else. So each
		// child is asked for by its number. Who ends after this look raises
		// a signal of its own.
		for _, pid := range children() {
			if !r.owned[pid] {
				r.reap(pid)
			}
		}
		return
	}
}

// reap reaps one child if it has ended.
func (r *Reaper) reap(pid int) {
	for {
		got, err := unix.Wait4(pid, nil, unix.WNOHANG|unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && got == pid {
			r.reaped++
		}
		return
	}
}

// siginfo is the kernel's siginfo_t as waitid fills it.
type siginfo struct {
	signo, errno, code int32
	_                  [unsafe.Sizeof(uintptr(0))/4 - 1]int32 // aligns the union
	pid                int32
	_                  [128]byte // the kernel's is 128 in all
}

// peek returns a child that has ended, without reaping it; 0 if there is none.
func peek() int {
	for {
		var info siginfo
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)),
			unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, 0, 0)
		switch errno {
		case unix.EINTR:
			continue
		case 0:
			return int(info.pid)
		default: // ECHILD
			return 0
		}
	}
}

// children lists the processes whose parent is this one, ended ones included.
// It reads /proc/PID/stat and not /proc/self/task/*/children, which skips
// entries when the list changes under the reader and need not be compiled in.
func children() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	self := os.Getpid()
	var pids []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if stat, err := procfs.ReadStat(pid); err == nil && stat.Parent == self {
			pids = append(pids, pid)
		}
	}
	return pids
}
