//go:build linux

package truth

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// moved counts what a workload knows to have gone through its sockets.
type moved struct{ Sent, Received uint64 }

func (m *moved) sent(n int, err error)     { check(err); m.Sent += uint64(n) }
func (m *moved) received(n int, err error) { check(err); m.Received += uint64(n) }

// tcpPair is a connection, both of whose ends are the workload's.
func tcpPair() (int, int) {
	l := socket(unix.AF_INET, unix.SOCK_STREAM)
	check(unix.Bind(l, inet4(0)))
	check(unix.Listen(l, 1))
	sa, err := unix.Getsockname(l)
	check(err)
	c := socket(unix.AF_INET, unix.SOCK_STREAM)
	check(unix.Connect(c, sa))
	a, _, err := unix.Accept(l)
	check(err)
	check(unix.Close(l))
	return c, a
}

// udpPair are two sockets that are connected to each other.
func udpPair() (int, int) {
	a, b := socket(unix.AF_INET, unix.SOCK_DGRAM), socket(unix.AF_INET, unix.SOCK_DGRAM)
	check(unix.Bind(a, inet4(0)))
	check(unix.Bind(b, inet4(0)))
	sa, err := unix.Getsockname(a)
	check(err)
	sb, err := unix.Getsockname(b)
	check(err)
	check(unix.Connect(a, sb))
	check(unix.Connect(b, sa))
	return a, b
}

// mmsghdr is struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

func messages(n, size int) []mmsghdr {
	out := make([]mmsghdr, n)
	for i := range out {
		buf := make([]byte, size)
		out[i].hdr.Iov = &unix.Iovec{Base: &buf[0], Len: uint64(size)}
		out[i].hdr.SetIovlen(1)
	}
	return out
}

func mmsg(call uintptr, fd int, m []mmsghdr, flags int) int {
	n, _, errno := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), uintptr(flags), 0, 0)
	check(result(errno))
	return int(n)
}

func raw(call uintptr, args ...uintptr) (int, error) {
	var a [6]uintptr
	copy(a[:], args)
	n, _, errno := unix.Syscall6(call, a[0], a[1], a[2], a[3], a[4], a[5])
	return int(n), result(errno)
}

func init() {
	workloads["socket-bytes"] = func([]string) {
		var m moved
		buf := make([]byte, 1<<16)
		at := uintptr(unsafe.Pointer(&buf[0]))
		iov := []unix.Iovec{{Base: &buf[0], Len: 10}, {Base: &buf[100], Len: 20}}
		vec := uintptr(unsafe.Pointer(&iov[0]))
		hdr := unix.Msghdr{Iov: &iov[0]}
		hdr.SetIovlen(2)
		msg := uintptr(unsafe.Pointer(&hdr))

		// All ways to write to a stream, each with bytes of another number.
		a, b := tcpPair()
		fa, fb := uintptr(a), uintptr(b)
		before := m.Sent
		m.sent(unix.Write(a, buf[:1]))
		m.sent(raw(unix.SYS_WRITEV, fa, vec, 2))
		m.sent(raw(unix.SYS_PWRITEV2, fa, vec, 2, ^uintptr(0), ^uintptr(0), 0))
		m.sent(raw(unix.SYS_SENDTO, fa, at, 2, 0, 0, 0))
		m.sent(raw(unix.SYS_SENDMSG, fa, msg, 0))
		out := messages(3, 5)
		n := mmsg(unix.SYS_SENDMMSG, a, out, 0)
		m.Sent += uint64(5 * n)
		f, err := os.Create("file")
		check(err)
		_, err = f.Write(buf[:3000])
		check(err)
		offset := int64(0)
		m.sent(unix.Sendfile(a, int(f.Fd()), &offset, 3000))
		var pipe [2]int
		check(unix.Pipe(pipe[:]))
		_, err = unix.Write(pipe[1], buf[:4000])
		check(err)
		n64, err := unix.Splice(pipe[0], nil, a, nil, 4000, 0)
		m.sent(int(n64), err)
		if got := m.Sent - before; got != 1+30+30+2+30+15+3000+4000 {
			check(fmt.Errorf("%d bytes went out", got))
		}
		total := int(m.Sent - before)

		// A look is no receipt, and a look at the length of all even less.
		_, err = raw(unix.SYS_RECVFROM, fb, at, 1000, unix.MSG_PEEK|unix.MSG_WAITALL, 0, 0)
		check(err)
		_, err = raw(unix.SYS_RECVMSG, fb, msg, unix.MSG_PEEK)
		check(err)
		peeked := messages(2, 7)
		mmsg(unix.SYS_RECVMMSG, b, peeked, unix.MSG_PEEK)
		// All ways to read it.
		before = m.Received
		m.received(unix.Read(b, buf[:3]))
		m.received(raw(unix.SYS_READV, fb, vec, 2))
		m.received(raw(unix.SYS_PREADV2, fb, vec, 2, ^uintptr(0), ^uintptr(0), 0))
		m.received(raw(unix.SYS_RECVFROM, fb, at, 4, 0, 0, 0))
		m.received(raw(unix.SYS_RECVMSG, fb, msg, 0))
		m.received(raw(unix.SYS_RECVFROM, fb, 0, 50, unix.MSG_TRUNC, 0, 0)) // thrown away
		in := messages(4, 6)
		n = mmsg(unix.SYS_RECVMMSG, b, in, 0)
		m.Received += uint64(6 * n)
		n64, err = unix.Splice(b, nil, pipe[1], nil, 500, 0)
		m.received(int(n64), err)
		for int(m.Received-before) < total {
			m.received(unix.Read(b, buf))
		}

		// Datagrams: more messages in a call than anybody needs.
		a, b = udpPair()
		check(unix.SetsockoptInt(b, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20))
		many := messages(1024, 3)
		n = mmsg(unix.SYS_SENDMMSG, a, many, 0)
		m.Sent += uint64(3 * n)
		// As many as there was room for, more than 64 in one call.
		taken, err := raw(unix.SYS_RECVMMSG, uintptr(b), uintptr(ptr(&messages(1024, 3)[0])), 1024, unix.MSG_DONTWAIT)
		check(err)
		if taken <= 64 {
			check(fmt.Errorf("%d messages", taken))
		}
		m.Received += uint64(3 * taken)
		// A datagram that is cut, and its true length asked for.
		m.sent(unix.Write(a, buf[:1000]))
		if n, err := raw(unix.SYS_RECVFROM, uintptr(b), at, 10, unix.MSG_TRUNC, 0, 0); n != 1000 || err != nil {
			check(fmt.Errorf("%d %v", n, err))
		}
		m.Received += 10
		m.sent(unix.Write(a, buf[:1000]))
		if n, err := raw(unix.SYS_RECVMSG, uintptr(b), msg, unix.MSG_TRUNC); n != 1000 || err != nil {
			check(fmt.Errorf("%d %v", n, err))
		}
		m.Received += 30
		m.sent(unix.Write(a, buf[:1000]))
		cut := messages(1, 20)
		mmsg(unix.SYS_RECVMMSG, b, cut, unix.MSG_TRUNC)
		m.Received += 20
		// An empty one, and one into no room.
		m.sent(raw(unix.SYS_SENDTO, uintptr(a), at, 0, 0, 0, 0))
		m.received(unix.Read(b, buf))
		m.sent(unix.Write(a, buf[:100]))
		m.received(raw(unix.SYS_RECVFROM, uintptr(b), at, 0, 0, 0, 0))

		// What comes back of a message that nobody took is no message.
		lost := socket(unix.AF_INET, unix.SOCK_DGRAM)
		check(unix.SetsockoptInt(lost, unix.SOL_IP, unix.IP_RECVERR, 1))
		sa, err := unix.Getsockname(b)
		check(err)
		check(unix.Close(b))
		check(unix.Connect(lost, sa))
		m.sent(unix.Write(lost, buf[:77]))
		if n, err := raw(unix.SYS_RECVFROM, uintptr(lost), at, 200, unix.MSG_ERRQUEUE, 0, 0); n != 77 || err != nil {
			check(fmt.Errorf("%d %v", n, err))
		}
		// Neither unix sockets nor pipes count.
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		check(err)
		_, err = unix.Write(fds[0], buf[:100])
		check(err)
		_, err = unix.Read(fds[1], buf)
		check(err)
		check(json.NewEncoder(os.Stdout).Encode(m))
	}
	// One thread writes for ever, another takes the descriptor away.
	workloads["socket-bytes-closed"] = func([]string) {
		var m moved
		a, b := tcpPair()
		check(unix.SetsockoptInt(a, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096))
		tid := make(chan int)
		done := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			tid <- unix.Gettid()
			n, err := unix.Write(a, make([]byte, 1<<22)) // waits for a reader
			m.sent(n, err)
			close(done)
		}()
		waits(<-tid, unix.SYS_WRITE)
		check(unix.Close(a))
		buf := make([]byte, 1<<16)
		for m.Received < 1<<22 {
			m.received(unix.Read(b, buf))
		}
		<-done
		check(json.NewEncoder(os.Stdout).Encode(m))
	}
}

func sameBytes(t *testing.T, r recording) {
	t.Helper()
	complete(t, r)
	var m moved
	if err := json.Unmarshal([]byte(r.stdout), &m); err != nil {
		t.Fatalf("%v: %s", err, r.stdout)
	}
	if r.Network.BytesSent != m.Sent || r.Network.BytesReceived != m.Received || m.Sent == 0 {
		t.Errorf("%d sent and %d received, of %d and %d", r.Network.BytesSent, r.Network.BytesReceived, m.Sent, m.Received)
	}
}

func TestSocketBytes(t *testing.T) {
	dir := tempDir(t)
	sameBytes(t, record(t, workload("socket-bytes"), in(dir)))
	if err := os.Remove(filepath.Join(dir, "file")); err != nil {
		t.Error(err)
	}
}

func TestSocketBytesOfClosedDescriptor(t *testing.T) {
	sameBytes(t, record(t, workload("socket-bytes-closed")))
}
