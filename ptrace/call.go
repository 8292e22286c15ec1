//go:build linux && (amd64 || arm64)

package ptrace

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
	"glasshouse/audit/calls"
)

// callInfo is struct ptrace_syscall_info of include/uapi/linux/ptrace.h.
type callInfo struct {
	op     uint8
	_      [3]byte
	arch   uint32
	ip, sp uint64
	nr     uint64 // at the exit the result
	args   [6]uint64
	data   uint32 // at a stop by a filter what the filter said
	_      uint32
}

// infoOf reads the call that a thread stands in. One that was killed meanwhile may
// stand in its last stop by now.
func (t *tracer) infoOf(tid int, op uint8) (callInfo, bool) {
	var info callInfo
	err := ptrace(unix.PTRACE_GET_SYSCALL_INFO, tid, unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)))
	if err == nil && info.op != op {
		if t.overtaken = inLastStop(tid); t.overtaken {
			return info, false
		}
		err = fmt.Errorf("it stands in a stop of kind %d", info.op)
	}
	if err != nil && err != unix.ESRCH {
		t.books.doubt("a call could not be read: " + err.Error())
	}
	return info, err == nil
}

// call is one that a thread is in.
type call struct {
	watched
	abi    *abi
	args   [6]uint64
	names  [2]name
	fresh  bool // an open that may make the file: there was none at the entry
	inRoot bool // an open that takes the folder for the root folder
	addr   address
	// followup: a second connect, to ask how the first went.
	followup bool
	// Of a descriptor that another thread could exchange meanwhile: what it
	// stood for at the entry.
	early   file
	earlyFD int
	raced   bool   // it stands for another now
	sock    socket // to be closed at the exit; fd is 0 if there is none
}

// arg is argument n, counted from 1; 0 for none.
func (c *call) arg(n uint8) uint64 {
	if n == 0 {
		return 0
	}
	return c.args[n-1]
}

// fd is argument n as a descriptor.
func (c *call) fd(n uint8) int { return int(int32(c.arg(n))) }

// name is one that a call was given, and what it is relative to.
type name struct {
	text  []byte
	base  place
	flags uint16 // audit.Seg..., of the name
	raced bool   // of the base
	root  bool   // the base is the process's root
	// forced: it lies where a program cannot read, but the kernel could.
	forced bool
	link   string // where the base was read; "" if it was not
}

// The calls that end nowhere but in a count: their result is not waited for.
var unanswered = map[string]bool{"kill": true, "tkill": true, "tgkill": true, "rt_sigqueueinfo": true, "rt_tgsigqueueinfo": true, "pidfd_send_signal": true}

// enter takes note of a call at which the filter has stopped a thread. It
// reports whether the exit matters, too.
func (t *tracer) enter(th *thread) bool {
	info, ok := t.infoOf(th.tid, unix.PTRACE_SYSCALL_INFO_SECCOMP)
	if !ok {
		return false
	}
	if info.data != traceMark {
		skip(th.tid)
	}
	c := &th.call
	*c = call{args: info.args, abi: abiOf(&info)}
	if !c.abi.wide {
		for i, arg := range c.args { // the registers may have more, which the kernel does not look at
			c.args[i] = uint64(uint32(arg))
		}
	}
	c.watched, ok = c.abi.calls[info.nr]
	if !ok { // of x32, of which the filter stops all
		t.books.count(c.abi.nameOf(info.nr), false)
		return false
	}
	if c.name == "socketcall" {
		t.books.count(c.name, false)
		if !t.unpack(th, c) {
			return false
		}
	}
	if len(th.process.attempts.pending) > 0 {
		if c.Op == audit.OpConnect {
			_, c.followup = t.pendingAt(th, int(int32(c.args[0])))
		}
		if !c.followup {
			t.awaited(th, c)
		}
	}
	if unanswered[c.name] {
		t.books.count(c.name, false)
		return false
	}
	if th.process.blind && c.Op != audit.OpNone && c.Op != audit.OpFork {
		t.books.blind++
		t.books.count(c.name, false)
		return false
	}
	th.inCall = true
	switch c.name {
	case "umount", "umount2", "open_tree", "open_tree_attr", "fsmount", "pivot_root", "move_mount":
		t.detaching = true
	case "mount":
		t.mounts(th, c.args[2])
	case "fsopen":
		t.mounts(th, c.args[0])
	case "clone", "clone3":
		t.entersClone(th, c)
		return false
	}
	if t.roots && c.Op != audit.OpMove {
		t.situate(th)
	}
	if c.Path[0] != 0 {
		t.readNames(th, c)
	}
	if th.process.tablesShared() {
		t.keep(th, c)
	}
	switch c.Op {
	case audit.OpOpen:
		t.entersOpen(th, c)
	case audit.OpConnect, audit.OpBind:
		c.addr = t.address(th, c.args[1], c.args[2])
	case audit.OpSendto:
		c.addr = t.address(th, c.args[4], c.args[5])
	case audit.OpSendmsg:
		c.addr = t.messageAddress(th, c, c.args[1])
	}
	return true
}

// socketOrFile is the descriptor of a call that moves bytes, or works on a socket.
func (c *call) socketOrFile() (fd int, ok bool) {
	switch c.Op {
	case audit.OpConnect, audit.OpBind, audit.OpListen, audit.OpSendto, audit.OpSendmsg, audit.OpSendmmsg,
		audit.OpRecvfrom, audit.OpRecvmsg, audit.OpRecvmmsg:
		return int(int32(c.args[0])), true
	case audit.OpMove:
		return c.fd(cmp.Or(c.Out, c.In)), true
	}
	return 0, false
}

// keep holds on to what the call works on.
func (t *tracer) keep(th *thread, c *call) {
	fd, ok := c.socketOrFile()
	if !ok {
		return
	}
	c.earlyFD = fd
	if c.Op == audit.OpMove && c.Payload != calls.PayloadNone { // it is short, and there are many
		c.early.stat, _ = t.statOf(fdPath(th.tid, fd), 0) // zero if it is none
	} else {
		c.early = t.file(th.tid, fd)
	}
	if c.early.kind() == unix.S_IFSOCK {
		c.sock, _ = t.borrow(th, fd)
	}
}

// drop lets go of that.
func (c *call) drop() {
	if c.sock.fd > 0 {
		c.sock.close()
		c.sock = socket{}
	}
}

// unpack finds the call and its arguments behind i386's socketcall. It reports
// whether there is such a call.
func (t *tracer) unpack(th *thread, c *call) bool {
	name, ok := calls.Socket[int(c.args[0])]
	if !ok {
		return false
	}
	args, whole := t.words(c.abi, th.tid, c.args[1], 6)
	if !whole { // those of some are fewer, and may end with their page
		args, _ = t.words(c.abi, th.tid, c.args[1], 3)
		args = append(args, 0, 0, 0)
	}
	copy(c.args[:], args)
	c.watched = watched{calls.Of(name), name}
	if th.process.memoryShared() {
		t.books.SharedArgs++
	}
	return true
}

func abiOf(info *callInfo) *abi {
	switch {
	case info.arch == uint32(compat.info.ID):
		return compat
	case x32 != nil && info.nr&x32Bit != 0:
		info.nr &^= x32Bit
		return x32
	}
	return native
}

func (a *abi) nameOf(nr uint64) string {
	return cmp.Or(a.names[int(nr)], "syscall_unknown")
}

// The results with which the kernel begins a call again, after a signal:
// include/linux/errno.h.
func restarts(result int64) bool {
	return result == -512 || result == -513 || result == -514 || result == -516
}

// leave tells of a call at its exit.
func (t *tracer) leave(th *thread) {
	info, ok := t.infoOf(th.tid, unix.PTRACE_SYSCALL_INFO_EXIT)
	if !ok {
		t.unknown(&th.call)
		return
	}
	c, result := &th.call, int64(info.nr)
	if !c.abi.wide {
		result = int64(int32(result))
	}
	if result == -int64(unix.EFAULT) { // which it could not, either
		for i := range c.names {
			if n := &c.names[i]; n.forced {
				n.text, n.flags = nil, n.flags|audit.SegUnreadable
			}
		}
		if c.addr.forced {
			c.addr = address{}
		}
	}
	t.books.count(c.name, result == -int64(unix.EPERM) || result == -int64(unix.EACCES))
	if restarts(result) {
		if interesting(c.Op) {
			t.books.Interrupted++
		}
		if c.Op != audit.OpConnect {
			return
		}
	}
	switch c.Op {
	case audit.OpNone:
		t.leavesOther(th, c, result)
	case audit.OpOpen:
		t.leavesOpen(th, c, result)
	case audit.OpShare: // shmat, or a 32-bit call of System V
		const ipcShmat = 21
		if result >= 0 || result < -4095 {
			p := th.process
			p.mapsShared = p.mapsShared || c.name != "ipc" || c.args[0]&0xffff == ipcShmat
		}
	case audit.OpExec:
		t.leavesExec(th, c, result)
	case audit.OpMove:
		t.moved(th, c, result)
	case audit.OpMmap:
		t.mapped(th, c, result)
	case audit.OpMprotect:
		t.protected(c, result)
	case audit.OpIoctl:
		if result >= 0 {
			c.Op, c.FD = audit.OpFlags, 1
			t.leavesNamed(th, c, result)
		}
	case audit.OpSocket:
		t.leavesSocket(th, c, result)
	case audit.OpConnect:
		t.connected(th, c, result)
	case audit.OpBind:
		t.bound(th, c, result)
	case audit.OpListen:
		t.listens(th, c, result)
	case audit.OpAccept:
		t.accepted(th, c, result)
	case audit.OpSendto, audit.OpSendmsg, audit.OpSendmmsg, audit.OpRecvfrom, audit.OpRecvmsg, audit.OpRecvmmsg:
		t.exchanged(th, c, result)
	default:
		t.leavesNamed(th, c, result)
		t.roots = t.roots || c.Op == audit.OpPivotRoot
	}
}

// interesting tells whether it matters that a signal broke a call off.
func interesting(op audit.Op) bool {
	switch op {
	case audit.OpNone, audit.OpMove, audit.OpAccept, audit.OpRecvfrom, audit.OpRecvmsg, audit.OpRecvmmsg, audit.OpConnect:
		return false
	}
	return true
}

// leavesOther looks at calls that are only counted, and at what they change of
// what the tracer knows. Of what is an int to the kernel it takes no more either:
// what the upper half of a register holds, callers choose.
func (t *tracer) leavesOther(th *thread, c *call, result int64) {
	if result == -int64(unix.EINVAL) && c.strict() {
		t.books.strict++
	}
	if result < 0 {
		return
	}
	th.process.see(th.tid)
	if strings.HasPrefix(c.name, "set") { // setuid and its like
		th.process.uid, th.process.gid = t.owner(th.tid)
	}
	switch c.name {
	case "unshare", "setns", "chroot":
		t.roots = true
		t.situate(th)
		t.userNamespaces = t.userNamespaces || c.name != "chroot"
	case "io_uring_setup":
		t.books.rings++
	case "getsockopt":
		t.askedError(th, c)
	case "personality":
		const ask, readImpliesExec = 0xffffffff, 0x0400000
		if v := uint32(c.args[0]); v != ask && v&readImpliesExec != 0 {
			t.books.AnonymousExec++
		}
	case "seccomp":
		if uint32(c.args[0]) <= unix.SECCOMP_SET_MODE_FILTER {
			t.books.filters++
		}
	case "prctl":
		if uint32(c.args[0]) == unix.PR_SET_SECCOMP {
			t.books.filters++
		}
	}
}

// strict tells whether a call asks for seccomp's mode without a filter, which is
// not to be had where there is one.
func (c *call) strict() bool {
	switch what := uint32(c.args[0]); c.name {
	case "prctl":
		return what == unix.PR_SET_SECCOMP && c.args[1] == unix.SECCOMP_MODE_STRICT
	case "seccomp":
		return what == unix.SECCOMP_SET_MODE_STRICT
	}
	return false
}

// entersClone sees to it that the new task is traced: there is a flag against
// that, and without a tracer the filter would refuse its calls.
func (t *tracer) entersClone(th *thread, c *call) {
	th.inCall = false
	const untraced = 0x00800000
	if c.name == "clone" {
		t.roots = t.roots || c.args[0]&unix.CLONE_NEWNS != 0
		t.userNamespaces = t.userNamespaces || c.args[0]&unix.CLONE_NEWUSER != 0
		setArg(th.tid, c.abi, 0, c.args[0]&^untraced)
		return
	}
	var flags [8]byte // the first of struct clone_args
	if t.memory(th.tid, c.args[0], flags[:]) < len(flags) && t.forced(th.tid, c.args[0], flags[:]) < len(flags) {
		return
	}
	t.roots = t.roots || flags[2]&(unix.CLONE_NEWNS>>16) != 0
	t.userNamespaces = t.userNamespaces || flags[3]&(unix.CLONE_NEWUSER>>24) != 0
	if flags[2]&(untraced>>16) == 0 {
		return
	}
	flags[2] &^= untraced >> 16
	_, _ = unix.PtracePokeData(th.tid, uintptr(c.args[0]), flags[:]) // else it fails as it will
}

// uint32At reads a number; 0 if it cannot be read.
func (t *tracer) uint32At(tid int, at uint64) uint32 {
	var b [4]byte
	if t.memory(tid, at, b[:]) < len(b) && t.forced(tid, at, b[:]) < len(b) {
		return 0
	}
	return binary.LittleEndian.Uint32(b[:])
}
