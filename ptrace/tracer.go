//go:build linux && (amd64 || arm64)

package ptrace

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

// tracer follows the threads of a run. All its methods are called on one OS
// thread, which is the one that the kernel takes for the tracer.
type tracer struct {
	pipe    *sender
	orders  <-chan order
	ordered atomic.Bool // there may be one
	ended   atomic.Bool // the recorder has ended as it should
	options int         // PTRACE_O_*
	noArgv  bool

	recorder audit.ProcessID
	threads  map[int]*thread
	// Threads that stand in their first stop while the stop of whoever made
	// them has not been seen.
	early   map[int]early
	waiting atomic.Bool // there are some
	// passing: nothing is recorded any more; what is stopped goes on.
	passing bool
	// userNamespaces: somebody may number users in another way.
	userNamespaces bool
	// roots: threads may have root folders and namespaces of their own, and change
	// those of others with whom they share them.
	roots bool
	// overtaken: the thread whose stop is looked at was killed there, and stands in
	// its last one, which is still to be told of.
	overtaken bool
	// noThreadFDs: the kernel has no pidfds of threads.
	noThreadFDs bool
	// detaching: somebody may work in a tree that is no longer mounted.
	detaching bool
	// served: a process of the run may serve a file system. What it would have to be
	// asked for is not asked: it stands still while the tracer looks.
	served bool

	books    books
	rec      audit.Record
	buf      [pathMax]byte
	argv     []byte
	folds    folds
	renames  uint64                // calls that changed a name
	sockets  map[uint64]socketKind // that calls have made
	bindings map[string]place      // of unix sockets by their relative names
	open     map[uint64]bool       // sockets of which it is not known whether they await somebody
}

// early is a thread's first stop, and when that was seen.
type early struct {
	status unix.WaitStatus
	at     time.Time
}

// thread is a traced one.
type thread struct {
	tid     int
	process *process
	call    call // between entry and exit
	inCall  bool
	// swallow is a signal that the tracer sent by itself, and blocked what the
	// thread had blocked before.
	swallow unix.Signal
	blocked uint64
	exits   bool   // it has been in its last stop
	otherNS bool   // in another mount namespace than the recorder
	root    string // its root folder; "/" mostly
}

// process is the group of threads that share a number.
type process struct {
	id         audit.ProcessID
	parent     audit.ProcessID // who made it
	uid, gid   uint32          // effective
	threads    int
	crowd      bool // it has had several since its exec
	memory     *shared
	tables     *shared // of descriptors and folders
	usage      usage
	mapsShared bool // memory with others, by mmap
	dead       bool
	last       *thread // in its last stop, and waits for the others to end
	status     unix.WaitStatus
	blind      bool // it does not let the tracer look into it
	attempts   attempts
}

// shared counts the processes that have something together.
type shared struct {
	processes int
	folder    bool // it is also the working folder, which an exec leaves together
}

// memoryShared tells whether others could change what a thread has passed to
// the kernel, and tablesShared whether they could change what its descriptors
// and relative names stand for.
func (p *process) memoryShared() bool {
	return p.threads > 1 || p.memory.processes > 1 || p.mapsShared
}

func (p *process) tablesShared() bool { return p.threads > 1 || p.tables.processes > 1 }

const traceOptions = unix.PTRACE_O_TRACESECCOMP | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK |
	unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACEEXIT | unix.PTRACE_O_TRACESYSGOOD

// eventStop is PTRACE_EVENT_STOP: a group stop, or the first of a thread.
const eventStop = unix.PTRACE_EVENT_STOP

// follow traces until nobody is left, or an order to end comes while nobody is.
func (t *tracer) follow() error {
	for {
		if t.ordered.CompareAndSwap(true, false) {
			for more := true; more; {
				select {
				case o := <-t.orders:
					if end, err := t.obey(o); end || err != nil {
						return err
					}
				default:
					more = false
				}
			}
			t.overdue()
		}
		var status unix.WaitStatus
		tid, err := unix.Wait4(-1, &status, unix.WALL, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ECHILD:
			if t.passing {
				return nil
			}
			if end, err := t.obey(<-t.orders); end || err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("wait for the traced: %w", err)
		}
		t.changed(tid, status)
	}
}

// changed deals with a change of a thread's state.
func (t *tracer) changed(tid int, status unix.WaitStatus) {
	th := t.threads[tid]
	switch {
	case status.Exited() || status.Signaled():
		delete(t.early, tid)
		if th != nil {
			t.gone(th, status)
		}
	case !status.Stopped():
	case th == nil && int(status>>16)&0xff == eventStop:
		t.early[tid] = early{status, time.Now()}
		t.waiting.Store(true)
	case th == nil:
		// Killed before it was known who made it.
		delete(t.early, tid)
		_ = ptrace(unix.PTRACE_CONT, tid, 0, 0)
	default:
		t.stopped(th, status)
	}
}

func (t *tracer) stopped(th *thread, status unix.WaitStatus) {
	signal := status.StopSignal()
	// Within one stop the first of another thread may be dealt with.
	defer func(outer bool) { t.overtaken = outer }(t.overtaken)
	t.overtaken = false
	switch event := int(status>>16) & 0xff; event {
	case unix.PTRACE_EVENT_SECCOMP:
		if t.passing {
			if data, err := message(th.tid); err == nil && data != traceMark {
				skip(th.tid)
			}
		} else if t.enter(th) {
			t.resume(th, unix.PTRACE_SYSCALL, 0)
			return
		}
	case unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK, unix.PTRACE_EVENT_CLONE:
		t.forked(th, event)
		if th.inCall && !t.overtaken {
			t.resume(th, unix.PTRACE_SYSCALL, 0)
			return
		}
	case unix.PTRACE_EVENT_EXEC:
		t.executed(th)
	case unix.PTRACE_EVENT_EXIT:
		if t.exiting(th) {
			return
		}
	case eventStop:
		switch signal {
		case unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
			if th.swallow == 0 { // that of the beginning is the tracer's own affair
				t.resume(th, unix.PTRACE_LISTEN, 0)
				return
			}
		}
	case 0:
		switch signal {
		case unix.SIGTRAP | 0x80:
			if th.inCall {
				th.inCall = false
				if !t.passing {
					t.leave(th)
				}
				th.call.drop()
			}
		case th.swallow:
			th.swallow = 0
			_ = signalMask(unix.PTRACE_SETSIGMASK, th.tid, &th.blocked)
		default:
			t.resume(th, unix.PTRACE_CONT, signal)
			return
		}
	}
	if !t.overtaken {
		t.resume(th, unix.PTRACE_CONT, 0)
	}
}

// resume lets a thread go on. That it is gone by now, the next wait tells.
func (t *tracer) resume(th *thread, request int, signal unix.Signal) {
	_ = ptrace(request, th.tid, 0, uintptr(signal))
}

// signalMask reads or sets which signals a thread has blocked.
func signalMask(request, tid int, mask *uint64) error {
	return ptrace(request, tid, unsafe.Sizeof(*mask), uintptr(unsafe.Pointer(mask)))
}

func message(tid int) (int, error) {
	msg, err := unix.PtraceGetEventMsg(tid)
	return int(msg), err
}

// seize begins to trace the command, which stands stopped behind its exec.
func (t *tracer) seize(o order) error {
	if err := ptrace(unix.PTRACE_SEIZE, o.Seize, 0, uintptr(t.options)); err != nil {
		return fmt.Errorf("trace the command: %w", err)
	}
	t.recorder = audit.ProcessID{PID: int32(o.ParentPID), Start: o.ParentStart}
	p := &process{
		parent: t.recorder, threads: 1,
		memory: &shared{processes: 1}, tables: &shared{processes: 1},
	}
	th := &thread{tid: o.Seize, process: p, swallow: unix.SIGCONT}
	t.threads[o.Seize] = th
	p.id = audit.ProcessID{PID: int32(o.Seize), Start: t.startOf(o.Seize)}
	t.situate(th)
	p.uid, p.gid = t.owner(o.Seize)
	t.books.count("execve", false)
	t.tellFork(p, th.tid)
	// The stop that the command stands in.
	var status unix.WaitStatus
	if _, err := wait(o.Seize, &status, unix.WALL); err != nil {
		return fmt.Errorf("wait for the command: %w", err)
	}
	if !status.Stopped() { // killed
		t.changed(o.Seize, status)
		return nil
	}
	t.tellExec(th)
	// A signal that is blocked would stay, and the stop's end with it.
	if err := signalMask(unix.PTRACE_GETSIGMASK, th.tid, &th.blocked); err != nil {
		return fmt.Errorf("read the command's blocked signals: %w", err)
	}
	open := th.blocked &^ (1 << (unix.SIGCONT - 1))
	if err := signalMask(unix.PTRACE_SETSIGMASK, th.tid, &open); err != nil {
		return fmt.Errorf("open the command to SIGCONT: %w", err)
	}
	if err := unix.Kill(o.Seize, unix.SIGCONT); err != nil {
		return fmt.Errorf("let the command go on: %w", err)
	}
	t.stopped(th, status)
	return nil
}

// startOf is when a process began. The kernel tells hundredths of a second; the
// order within one is that in which they were seen.
func (t *tracer) startOf(pid int) uint64 {
	now := bootTime()
	ticks, ok := t.startTicks(pid)
	if !ok {
		return now
	}
	const tick = 10_000_000
	if first := ticks * tick; now >= first+tick {
		return first + tick - 1
	}
	return now
}

func bootTime() uint64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail
	return uint64(ts.Nano())
}

// forked has a new thread, or a process with its first one.
func (t *tracer) forked(th *thread, event int) {
	tid, err := message(th.tid)
	if err != nil {
		return // killed meanwhile
	}
	if t.overtaken = inLastStop(th.tid); t.overtaken {
		return // what was read may be how it ends
	}
	if t.threads[tid] != nil {
		return // it was thought to be nobody's
	}
	p, maker := th.process, th.process
	// Which stop it is, the signal decides that the child ends with: a thread can
	// have one, too.
	if isThread(int(p.id.PID), tid) {
		p.threads++
		p.crowd = true
	} else {
		p = &process{
			id: audit.ProcessID{PID: int32(tid), Start: t.startOf(tid)}, parent: maker.id, threads: 1,
			memory: &shared{processes: 1}, tables: &shared{processes: 1}, uid: maker.uid, gid: maker.gid,
			mapsShared: maker.mapsShared, blind: maker.blind,
		}
		// Who calls vfork stands still until the memory is given back.
		alone := event == unix.PTRACE_EVENT_VFORK && !maker.memoryShared()
		if !alone && t.shares(th.tid, tid, kcmpVM) {
			p.memory = maker.memory
			p.memory.processes++
		}
		folder := t.shares(th.tid, tid, kcmpFS)
		if folder || t.shares(th.tid, tid, kcmpFiles) {
			p.tables = maker.tables
			p.tables.processes++
			p.tables.folder = p.tables.folder || folder
		}
		if !t.passing {
			t.tellFork(p, th.tid)
		}
	}
	child := &thread{tid: tid, process: p, root: th.root, otherNS: th.otherNS}
	if t.roots {
		t.situate(child)
	}
	t.threads[tid] = child
	if first, ok := t.early[tid]; ok {
		delete(t.early, tid)
		t.stopped(child, first.status)
	}
}

// executed has one thread left of the process, under the process's number.
func (t *tracer) executed(th *thread) {
	p, called := th.process, th
	former, err := message(th.tid)
	if caller := t.threads[former]; err == nil && former != th.tid && caller != nil {
		// th is what the leader's number stood for; the caller has it now.
		called = caller
		t.brokenOff(th)
		th.root, th.otherNS = called.root, called.otherNS
	}
	if p.threads > 1 { // mostly not, and the run may have thousands
		for tid, other := range t.threads {
			if other.process == p && tid != th.tid {
				if other != called {
					t.brokenOff(other)
				}
				delete(t.threads, tid)
			}
		}
	}
	p.threads, p.crowd, p.mapsShared = 1, false, false
	if !t.passing && called.inCall {
		t.books.count(called.call.name, false)
	}
	th.inCall = false
	called.call.drop()
	p.memory = leaveShared(p.memory)
	if p.tables.processes > 1 && !p.tables.folder {
		p.tables = leaveShared(p.tables)
	}
	if !t.passing {
		t.tellExec(th)
	}
	// What its other threads have made, they cannot tell of any more.
	for tid := range t.early {
		if parent, ok := parentOf(tid); ok && parent == int(p.id.PID) {
			t.takeIn(tid, p.id)
		}
	}
}

// brokenOff counts a call that a thread was in when it ended, and lets go of
// what was held for it.
func (t *tracer) brokenOff(th *thread) {
	if th.inCall {
		t.unknown(&th.call)
	}
	th.inCall = false
	th.call.drop()
}

// unknown counts a call of which is not known what came of it.
func (t *tracer) unknown(c *call) {
	if !t.passing && interesting(c.Op) && c.Op != audit.OpExec {
		t.books.Interrupted++
	}
}

func leaveShared(s *shared) *shared {
	s.processes--
	return &shared{processes: 1}
}

// exiting is a thread's last stop, where it still has what it had. Which is the
// last of its process is not known: threads that end together are there together,
// and one that is killed may pass without a stop.
//
// A process whose leader ends last is let go here: pidfds say that it has ended
// before a tracer could make it its parent's to wait for, and some programs rely
// on both. It reports whether the thread stays as it is.
func (t *tracer) exiting(th *thread) bool {
	p := th.process
	if !t.passing {
		t.outcomes(th)
		p.usage.raise(t.usageOf(int(p.id.PID), th.tid))
	}
	th.exits = true
	status, err := message(th.tid)
	if th.tid != int(p.id.PID) || err != nil || p.crowd && leftAlone(th.tid) || !t.allExit(p) {
		return false
	}
	p.status = unix.WaitStatus(status)
	if p.last = th; p.threads == 1 {
		t.part(p)
	}
	return true
}

// leftAlone tells whether a thread in its last stop called exit(2), or might have.
func leftAlone(tid int) bool {
	var r registers
	if r.get(tid) != nil {
		return true
	}
	a, nr, _ := r.call()
	return a.name(nr) == "exit"
}

// allExit tells whether all threads of a process are on their way out.
func (t *tracer) allExit(p *process) bool {
	if p.threads == 1 {
		return true
	}
	for tid, other := range t.threads {
		for tries := 0; other.process == p && !other.exits && !killed(tid); tries++ {
			if tries == 3 {
				return false
			}
			time.Sleep(exitPause) // it may have taken note of being killed, and not come to its last stop
		}
	}
	return true
}

// exitPause is longer than a thread takes from the one to the other.
const exitPause = 20 * time.Microsecond

// part lets the last thread of a process go, which stands in its last stop.
func (t *tracer) part(p *process) {
	last := p.last
	p.last = nil
	t.gone(last, p.status)
	_ = ptrace(unix.PTRACE_DETACH, last.tid, 0, 0) // killed, it goes by itself
}

// gone is a thread that has ended; the leader's end is the process's.
func (t *tracer) gone(th *thread, status unix.WaitStatus) {
	delete(t.threads, th.tid)
	p := th.process
	p.threads--
	t.brokenOff(th)
	if int(p.id.PID) != th.tid || p.dead {
		if p.last != nil && p.threads == 1 {
			t.part(p)
		}
		return
	}
	p.last = nil
	p.dead = true
	p.memory.processes--
	p.tables.processes--
	if !t.passing {
		t.tellExit(p, status)
	}
	t.orphans(p)
}

// orphans are processes whose maker was killed before it could be asked for them.
func (t *tracer) orphans(maker *process) {
	for tid := range t.early {
		parent, ok := parentOf(tid)
		if th := t.threads[parent]; !ok || th != nil && int(th.process.id.PID) == parent {
			continue // it is still to be told of
		}
		t.takeIn(tid, maker.id)
	}
}

// overdue takes in those of whom nobody has told for so long that nobody will:
// their maker was killed, and they have another parent by now.
func (t *tracer) overdue() {
	for tid, first := range t.early {
		if time.Since(first.at) < overdueAfter {
			continue
		}
		parent, ok := parentOf(tid)
		if !ok {
			continue // a thread, which ends with its process
		}
		id := t.recorder
		if th := t.threads[parent]; th != nil {
			id = th.process.id
		}
		t.takeIn(tid, id)
	}
	t.waiting.Store(len(t.early) > 0)
}

// overdueAfter is longer than a maker takes from the child's first stop to its own.
const overdueAfter = 500 * time.Millisecond

// takeIn begins to follow a process that its maker could not tell of.
func (t *tracer) takeIn(tid int, maker audit.ProcessID) {
	first := t.early[tid]
	delete(t.early, tid)
	p := &process{
		id: audit.ProcessID{PID: int32(tid), Start: t.startOf(tid)}, parent: maker, threads: 1,
		memory: &shared{processes: 1}, tables: &shared{processes: 1},
	}
	p.uid, p.gid = t.owner(tid)
	if !t.passing {
		t.tellFork(p, int(maker.PID))
	}
	th := &thread{tid: tid, process: p}
	t.situate(th)
	t.threads[tid] = th
	t.stopped(th, first.status)
}

// obey does what the recorder wants. It reports whether there is nothing to do
// after that.
func (t *tracer) obey(o order) (end bool, err error) {
	switch {
	case o.Seize != 0:
		t.pipe.answer(t.seize(o))
	case o.Dead != 0:
		p := &process{
			id:     audit.ProcessID{PID: int32(o.Dead), Start: t.startOf(o.Dead)},
			parent: audit.ProcessID{PID: int32(o.ParentPID), Start: o.ParentStart},
		}
		t.books.count("execve", false)
		t.tellFork(p, o.Dead)
		t.tellExit(p, unix.WaitStatus(o.Signal))
		t.pipe.answer(nil)
	case o.Adopt != nil:
		t.passing = true
		// Once more for those that were made meanwhile, by threads not seized yet.
		for range 2 {
			for _, pid := range o.Adopt {
				t.adopt(pid)
			}
		}
	case o.Sample:
		t.pipe.books(frameSample, t.books.summary())
	case o.Stop:
		if !t.passing {
			t.finish()
			t.passing = true
		}
		return len(t.threads) == 0, nil
	case o.Left: // the recorder is gone
		t.passing = true
		return len(t.threads) == 0, nil
	}
	return false, nil
}

// finish tells what is left to tell, and sends the books.
func (t *tracer) finish() {
	looked := map[*process]bool{}
	for _, th := range t.threads {
		if !looked[th.process] {
			looked[th.process] = true
			t.outcomes(th)
		}
	}
	t.folds.flush(t)
	t.pipe.books(frameBooks, t.books.summary())
}

// adopt traces the threads of a process that are not traced.
func (t *tracer) adopt(pid int) {
	tasks, err := os.ReadDir(procPath(pid, "task"))
	if err != nil {
		return // gone
	}
	p := &process{id: audit.ProcessID{PID: int32(pid)}, threads: len(tasks), memory: &shared{processes: 1}, tables: &shared{processes: 1}}
	if leader := t.threads[pid]; leader != nil {
		p = leader.process
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err == nil && t.threads[tid] == nil && ptrace(unix.PTRACE_SEIZE, tid, 0, uintptr(t.options)) == nil {
			t.threads[tid] = &thread{tid: tid, process: p}
		}
	}
}

// lock keeps the calling goroutine on a thread of its own, and returns a
// function that wakes that from a wait.
func lock() (wake func()) {
	runtime.LockOSThread()
	pid, tid := os.Getpid(), unix.Gettid()
	return func() { _ = unix.Tgkill(pid, tid, wakeSignal) }
}

// wakeSignal breaks off a wait. Go's own handler stays, but a call that it
// interrupts is not begun again.
const wakeSignal = unix.SIGUSR1

// sigaction is struct sigaction of the kernel; arm64 has no restorer but the
// room for it.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// breakOff clears SA_RESTART of the signal.
func breakOff(signal unix.Signal) error {
	const restart = 0x10000000
	var act sigaction
	if err := rtSigaction(signal, nil, &act); err != nil {
		return err
	}
	act.flags &^= restart
	return rtSigaction(signal, &act, nil)
}

// noChildSignals keeps the kernel from telling of each stop by SIGCHLD as well.
func noChildSignals() error {
	const noStops = 1 // SA_NOCLDSTOP
	return rtSigaction(unix.SIGCHLD, &sigaction{flags: noStops}, nil)
}

func rtSigaction(signal unix.Signal, act, old *sigaction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// wakeAfter is how long an order may wait for the tracer to see it.
const wakeAfter = time.Millisecond
