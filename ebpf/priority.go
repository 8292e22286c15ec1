//go:build linux && (amd64 || arm64)

package ebpf

import (
	"os"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// priority puts this process before all others that are not in real time, as
// long as there is much to read. The command, in as many threads as it likes,
// could otherwise keep the reader of the ring from its work for tens of
// milliseconds at a time, in which even a freeze would come too late.
//
// All threads are raised: the reader depends on the garbage collector's, and
// Go moves it between them. New ones inherit it, and so would children, so
// nothing is raised while the command is forked. It ends when there is little
// to read: the copying of output, in other threads, would gain nothing by it
// and interrupt the command with each piece.
type priority struct {
	mu      sync.Mutex
	allowed bool
	raised  bool
	last    time.Time // when there was reason to
}

// calm is how long there must have been no reason before it is taken back.
const calm = time.Second

const (
	schedOther = 0
	schedFIFO  = 1
)

// raise does nothing where it is not allowed, or where somebody has chosen
// a policy for this process already. It does not wait.
func (p *priority) raise() {
	if !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	if !p.allowed {
		return
	}
	p.last = time.Now()
	if p.raised {
		return
	}
	if schedPolicy(0) != schedOther || setPolicy(0, schedFIFO) != nil {
		p.allowed = false
		return
	}
	p.raised = true
	p.all(schedOther, schedFIFO)
}

// relax takes raise back once there has been no reason for it for a while.
func (p *priority) relax() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.raised && time.Since(p.last) > calm {
		p.lower()
	}
}

// end takes raise back for good.
func (p *priority) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = false
	p.lower()
}

func (p *priority) lower() {
	if p.raised {
		p.raised = false
		p.all(schedFIFO, schedOther)
	}
}

// lowered calls f while nothing is raised.
func (p *priority) lowered(f func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lower()
	return f()
}

// all gives every thread another policy, until a look finds none with the
// old one: threads may be made meanwhile.
func (p *priority) all(from, to int) {
	for again, rounds := true, 0; again && rounds < 10; rounds++ {
		again = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, t := range threads {
			tid, err := strconv.Atoi(t.Name())
			if err == nil && schedPolicy(tid) == from && setPolicy(tid, to) == nil {
				again = true
			}
		}
	}
}

// schedPolicy returns the policy of a thread, 0 for the calling one; -1 if
// there is no such thread.
func schedPolicy(tid int) int {
	policy, _, errno := unix.Syscall(unix.SYS_SCHED_GETSCHEDULER, uintptr(tid), 0, 0)
	if errno != 0 {
		return -1
	}
	return int(policy)
}

// setPolicy gives the lowest of the real-time priorities, where there are any.
func setPolicy(tid, policy int) error {
	var param struct{ priority int32 }
	if policy == schedFIFO {
		param.priority = 1
	}
	_, _, errno := unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(tid), uintptr(policy), uintptr(unsafe.Pointer(&param)))
	if errno != 0 {
		return errno
	}
	return nil
}
