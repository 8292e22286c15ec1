//go:build linux && (amd64 || arm64)

package ptrace

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

// address is a struct sockaddr that a call was given.
type address struct {
	data  [128]byte // struct sockaddr_storage
	len   int
	flags uint16 // audit.Seg...
	// forced: it lies where a program cannot read, but the kernel could.
	forced bool
}

func (a *address) family() uint16 {
	if a.len < 2 {
		return unix.AF_UNSPEC
	}
	return binary.LittleEndian.Uint16(a.data[:])
}

// port is that of an address of the internet.
func (a *address) port() uint16 { return binary.BigEndian.Uint16(a.data[2:]) }

// address reads one that a thread passes.
func (t *tracer) address(th *thread, at, size uint64) address {
	var a address
	if at == 0 || int32(size) <= 0 {
		return a
	}
	a.len = min(int(int32(size)), len(a.data))
	if t.memory(th.tid, at, a.data[:a.len]) < a.len {
		a.forced = true
		if t.forced(th.tid, at, a.data[:a.len]) < a.len {
			return address{flags: audit.SegUnreadable}
		}
	}
	if th.process.memoryShared() {
		a.flags |= audit.SegShared
	}
	return a
}

// socket is what the kernel says of one.
type socket struct {
	fd                     int // the tracer's own, to be closed; -1 if it may not have one
	id                     uint64
	family, kind, protocol uint16
	table                  *netSocket // without a descriptor: its row in /proc/net, if it has one
}

func (s *socket) inet() bool { return s.family == unix.AF_INET || s.family == unix.AF_INET6 }

func (s *socket) tcp() bool {
	return s.inet() && s.kind == unix.SOCK_STREAM && (s.protocol == unix.IPPROTO_TCP || s.protocol == unix.IPPROTO_MPTCP)
}

func (s *socket) udp() bool {
	return s.inet() && s.kind == unix.SOCK_DGRAM && (s.protocol == unix.IPPROTO_UDP || s.protocol == unix.IPPROTO_UDPLITE)
}

func (s *socket) close() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
	}
}

// socketOf is the socket that the call of a thread works on: what that was at the
// entry, if it was kept. raced tells that the descriptor stands for another now.
func (t *tracer) socketOf(th *thread, c *call, fd int) (s socket, raced, ok bool) {
	if c.sock.fd <= 0 || c.earlyFD != fd {
		s, ok = t.borrow(th, fd)
		return s, false, ok
	}
	st, err := t.statOf(fdPath(th.tid, fd), 0)
	raced = err != nil || st.ino != c.sock.id
	s, c.sock = c.sock, socket{}
	return s, raced, true
}

// borrow takes the socket behind a descriptor of a thread, for a moment. Where it
// is not ok nothing is left open.
func (t *tracer) borrow(th *thread, fd int) (socket, bool) {
	s := socket{fd: -1}
	link, err := t.statOf(fdPath(th.tid, fd), 0)
	if err != nil || link.kind() != unix.S_IFSOCK {
		return s, false
	}
	s.id = link.ino
	s.fd, err = t.takeFD(th, fd)
	var st unix.Stat_t
	if err == nil && unix.Fstat(s.fd, &st) == nil && st.Ino != link.ino {
		// Another thread has put it there only just now, or it is of another table.
		if now, again := t.statOf(fdPath(th.tid, fd), 0); again == nil && now.inode == link.inode {
			_ = unix.Close(s.fd)
			err = unix.EBADF
		}
	}
	if err != nil {
		s.fd = -1
		ok := t.fromTables(th, &s)
		if !ok {
			t.books.doubt("a socket could not be looked at: " + err.Error())
		}
		return s, ok
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		s.close()
		return socket{fd: -1}, false
	}
	s.id = st.Ino
	option := func(name int) uint16 {
		n, _ := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, name) // every socket has these
		return uint16(n)
	}
	s.family, s.kind, s.protocol = option(unix.SO_DOMAIN), option(unix.SO_TYPE), option(unix.SO_PROTOCOL)
	return s, true
}

// takeFD copies a descriptor of a thread's table, which need not be the process's:
// a thread can have one of its own, and outlive the first thread and its table.
func (t *tracer) takeFD(th *thread, fd int) (int, error) {
	pid := int(th.process.id.PID)
	pidfd, err := -1, error(unix.EINVAL)
	if th.tid != pid && !t.noThreadFDs {
		pidfd, err = unix.PidfdOpen(th.tid, pidfdThread)
		t.noThreadFDs = err == unix.EINVAL
	}
	if err == unix.EINVAL {
		pidfd, err = unix.PidfdOpen(pid, 0)
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(pidfd)
	return unix.PidfdGetfd(pidfd, fd, 0)
}

// pidfdThread is PIDFD_THREAD of include/uapi/linux/pidfd.h, since 6.9.
const pidfdThread = unix.O_EXCL

// ends reads an address of the socket itself or of its peer.
func (s *socket) ends(call uintptr) address {
	var a address
	size := uint32(len(a.data))
	_, _, errno := unix.Syscall(call, uintptr(s.fd), uintptr(unsafe.Pointer(&a.data)), uintptr(unsafe.Pointer(&size)))
	if errno == 0 {
		a.len = min(int(size), len(a.data))
	}
	return a
}

func (s *socket) own() address {
	if s.fd < 0 {
		if s.table == nil {
			return address{}
		}
		return s.table.own
	}
	return s.ends(unix.SYS_GETSOCKNAME)
}

func (s *socket) peer() address {
	if s.fd < 0 {
		if s.table == nil {
			return address{}
		}
		return s.table.peer
	}
	return s.ends(unix.SYS_GETPEERNAME)
}

// caller is the peer of a socket that was accepted: getpeername(2) does not tell
// it of a connection that was reset meanwhile.
func (s *socket) caller() address {
	a := s.peer()
	if a.len > 0 || s.fd < 0 || !s.inet() {
		return a
	}
	size := uint32(unix.SizeofSockaddrInet4)
	if s.family == unix.AF_INET6 {
		size = unix.SizeofSockaddrInet6
	}
	// The kernel takes no more room than it fills: net/core/sock.c.
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_PEERNAME,
		uintptr(unsafe.Pointer(&a.data)), uintptr(unsafe.Pointer(&size)), 0)
	if errno == 0 {
		a.len = int(size)
	}
	return a
}

// state is that of a TCP connection, as include/net/tcp_states.h has it; 0 if it
// is not known.
func (s *socket) state() uint8 {
	if s.fd < 0 {
		if s.table == nil {
			return 0
		}
		return s.table.state
	}
	info, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return info.State
}

func (s *socket) listening() bool {
	if s.fd < 0 {
		return false
	}
	n, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && n != 0
}

// into puts an address of the internet into a body.
func (a *address) into(b *audit.WireNet) {
	b.Port = a.port()
	switch a.familyFor(b.Family) {
	case unix.AF_INET:
		copy(b.Addr[:4], a.data[4:8])
	case unix.AF_INET6:
		copy(b.Addr[:], a.data[8:24])
		b.Scope = binary.LittleEndian.Uint32(a.data[24:])
	}
}

// familyFor is what a socket takes the address for.
func (a *address) familyFor(socket uint16) uint16 {
	if f := a.family(); f == unix.AF_INET || f == unix.AF_INET6 {
		return f
	}
	return socket
}

// short tells that the kernel takes no address out of it.
func (a *address) short(family uint16) bool {
	if family == unix.AF_INET {
		return a.len < 16
	}
	return a.len < 24
}
