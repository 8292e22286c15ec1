//go:build linux && (amd64 || arm64)

package ptrace

import (
	"bytes"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"glasshouse/internal/procfs"
)

// pathMax is PATH_MAX, and what /proc says of a longer one.
const pathMax = 4096

// The types of kcmp(2), from include/uapi/linux/kcmp.h.
const (
	kcmpVM    = 1
	kcmpFiles = 2
	kcmpFS    = 3
)

// shares tells whether a new process shares something with whoever made it, who
// stands in the call. Which stop that is the flags do not decide, but the signal
// that it ends with.
func (t *tracer) shares(maker, made, what int) bool {
	n, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(maker), uintptr(made), uintptr(what), 0, 0, 0)
	if errno == 0 {
		return n == 0
	}
	// A container's filter may refuse that.
	flags, ok := t.cloneFlags(maker)
	return !ok || flags&map[int]uint64{kcmpVM: unix.CLONE_VM, kcmpFiles: unix.CLONE_FILES, kcmpFS: unix.CLONE_FS}[what] != 0
}

// cloneFlags are those of the call that a thread is in, which makes a process.
func (t *tracer) cloneFlags(tid int) (uint64, bool) {
	var r registers
	if r.get(tid) != nil {
		return 0, false
	}
	a, nr, first := r.call()
	switch a.name(nr) {
	case "clone":
		return first, true
	case "fork":
		return 0, true
	case "vfork":
		return unix.CLONE_VM, true
	case "clone3":
		words, ok := t.words(native, tid, first, 1)
		return words[0], ok
	}
	return 0, false
}

// parentOf is the parent of a process; of a thread that is no process's first
// there is none.
func parentOf(tid int) (int, bool) {
	status := readFile(procPath(tid, "status"), make([]byte, pathMax))
	if field(status, "\nTgid:") != uint64(tid) {
		return 0, false
	}
	return int(field(status, "\nPPid:")), true
}

// stopOf is the code of the stop that a thread stands in.
func stopOf(tid int) (code int32, ok bool) {
	var info siginfo
	err := ptrace(unix.PTRACE_GETSIGINFO, tid, 0, uintptr(unsafe.Pointer(&info)))
	return info.code, err == nil
}

const lastStop = unix.PTRACE_EVENT_EXIT<<8 | int32(unix.SIGTRAP)

func inLastStop(tid int) bool {
	code, ok := stopOf(tid)
	return ok && code == lastStop
}

// killed tells whether a thread has ended, or will without a further step: with
// SIGKILL pending, or in its last stop, which has not been reported yet.
func killed(tid int) bool {
	if code, ok := stopOf(tid); ok {
		return code == lastStop
	}
	status := readFile(procPath(tid, "status"), make([]byte, pathMax))
	_, pending, _ := bytes.Cut(status, []byte("\nSigPnd:\t"))
	pending, _, _ = bytes.Cut(pending, []byte("\n"))
	signals, err := strconv.ParseUint(string(pending), 16, 64)
	return err != nil || signals&(1<<(unix.SIGKILL-1)) != 0
}

// readFile reads a file of /proc into buf, as far as that goes. The functions of
// package os would have it polled. Where somebody has put a FIFO in its place it
// does not wait.
func readFile(path string, buf []byte) []byte {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	n := 0
	for n < len(buf) {
		some, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || some <= 0 {
			break
		}
		n += some
	}
	return buf[:n]
}

func (t *tracer) startTicks(pid int) (uint64, bool) {
	stat, err := procfs.ParseStat(readFile(procPath(pid, "stat"), t.buf[:]))
	return stat.Start, err == nil
}

// isThread tells whether a new thread belongs to that process.
func isThread(pid, tid int) bool {
	return unix.Access("/proc/"+strconv.Itoa(pid)+"/task/"+strconv.Itoa(tid), unix.F_OK) == nil
}

// procPath is a path below /proc/TID.
func procPath(tid int, what string) string { return "/proc/" + strconv.Itoa(tid) + "/" + what }

// fdPath is that of a descriptor's link.
func fdPath(tid, fd int) string { return "/proc/" + strconv.Itoa(tid) + "/fd/" + strconv.Itoa(fd) }

// place is where the kernel says that something is.
type place struct {
	name    string // "" if it could not be read
	deleted bool
	// detached is in no tree of folders: a pipe, a socket, a memfd.
	detached bool
	cut      bool // it is not all of the path
}

// readPlace reads a link of /proc. The kernel marks a file that has lost its
// name, in a way in which a file can be called, too: then there is one.
func (t *tracer) readPlace(link string) place {
	n, err := unix.Readlink(link, t.buf[:])
	if err != nil || n <= 0 {
		return place{}
	}
	name := string(t.buf[:n])
	if name[0] != '/' {
		if rest, ok := strings.CutPrefix(name, "(unreachable)"); ok {
			return place{name: rest, cut: true}
		}
		return place{name: name, detached: true}
	}
	if rest, ok := strings.CutSuffix(name, " (deleted)"); ok && (t.served || !t.sameFile(name, link)) {
		if (strings.HasPrefix(rest, "/memfd:") || rest == "/secretmem") && !t.onRoot(link) {
			return place{name: rest[1:], detached: true}
		}
		return place{name: rest, deleted: true}
	}
	// A tree that is no longer mounted has paths like any other.
	if t.detaching && !t.served && !t.sameFile(name, link) && !t.sameFile(rootOf(link)+name, link) {
		return place{name: name, cut: true}
	}
	return place{name: name}
}

// Who opens this device serves a file system: Documentation/admin-guide/devices.txt.
var devFuse = unix.Mkdev(10, 229)

// mounts notes that a file system is mounted whose type has its name at that address.
func (t *tracer) mounts(th *thread, at uint64) {
	kind, whole := text(th.tid, at, t.buf[:64], t.memory)
	if !whole {
		kind, _ = text(th.tid, at, t.buf[:64], t.forced)
	}
	t.served = t.served || bytes.HasPrefix(kind, []byte("fuse"))
}

// sameFile tells whether a path leads to the file behind a link.
func (t *tracer) sameFile(path, link string) bool {
	a, err := t.statOf(path, unix.AT_SYMLINK_NOFOLLOW)
	b, err2 := t.statOf(link, 0)
	return err == nil && err2 == nil && same(a, b)
}

// sameTarget tells whether two paths lead to one file.
func (t *tracer) sameTarget(a, b string) bool {
	x, err := t.statOf(a, 0)
	y, err2 := t.statOf(b, 0)
	return err == nil && err2 == nil && same(x, y)
}

// rootOf is the root folder of the thread that a link of /proc belongs to.
func rootOf(link string) string {
	tid, _, _ := strings.Cut(strings.TrimPrefix(link, "/proc/"), "/")
	return "/proc/" + tid + "/root"
}

// onRoot tells whether the file behind a link is in the file system of the root.
func (t *tracer) onRoot(link string) bool {
	a, err := t.statOf("/", 0)
	b, err2 := t.statOf(link, 0)
	return err == nil && err2 == nil && a.dev == b.dev
}

// file is what is known of an open file.
type file struct {
	place
	stat
	ok bool
}

func (t *tracer) file(tid, fd int) file {
	var f file
	link := fdPath(tid, fd)
	var err error
	if f.stat, err = t.statOf(link, 0); err != nil {
		return f
	}
	f.place = t.readPlace(link)
	f.ok = f.name != ""
	return f
}

// folder is the path of a folder that names are relative to.
func (t *tracer) folder(link string) place { return t.readPlace(link) }

// situate finds out what namespace and root folder a thread has.
func (t *tracer) situate(th *thread) {
	th.root = "/"
	th.otherNS = !t.sameTarget("/proc/self/ns/mnt", procPath(th.tid, "ns/mnt")) // served by the kernel
	var buf [pathMax]byte
	if n, err := unix.Readlink(procPath(th.tid, "root"), buf[:]); err == nil && n > 0 {
		th.root = string(buf[:n])
	}
}

// see finds out whether a process lets itself be looked into. One that has asked
// not to be dumped, or runs a program that its user may not read, does not, but for
// a tracer with the right to look into all.
func (p *process) see(tid int) {
	var buf [1]byte
	_, err := unix.Readlink(procPath(tid, "exe"), buf[:])
	p.blind = err == unix.EACCES
}

// usage is what a process has used in all.
type usage struct {
	cpu         uint64 // ns
	maxRSS      uint64 // KiB
	read, wrote uint64 // bytes, from and to storage
}

// raise takes what is more: all of it only grows.
func (u *usage) raise(now usage) {
	*u = usage{max(u.cpu, now.cpu), max(u.maxRSS, now.maxRSS), max(u.read, now.read), max(u.wrote, now.wrote)}
}

// usageOf asks the process's clock, and for the rest one of its threads: a leader
// that has ended before the others has no memory any more.
func (t *tracer) usageOf(pid, tid int) usage {
	var u usage
	// The process's own clock: include/linux/posix-timers.h, CPUCLOCK_SCHED.
	var ts unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|2), &ts) == nil {
		u.cpu = uint64(ts.Nano())
	}
	u.maxRSS = field(readFile(procPath(tid, "status"), t.buf[:]), "VmHWM:")
	io := readFile(procPath(tid, "io"), t.buf[:])
	u.read, u.wrote = field(io, "\nread_bytes:"), field(io, "\nwrite_bytes:")
	return u
}

// field is the number behind a name; 0 if there is none.
func field(data []byte, name string) uint64 {
	_, rest, ok := bytes.Cut(data, []byte(name))
	if !ok {
		return 0
	}
	var n uint64
	for _, c := range bytes.TrimLeft(rest, " \t") {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}
