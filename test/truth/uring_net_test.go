//go:build linux

package truth

import (
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	acceptMultishot = 1 << 0 // sqe.ioprio
	recvMultishot   = 1 << 1
	cqeMore         = 1 << 1
	sqeBufferSelect = 1 << 5

	opProvideBuffers = 31
	opSocket         = 45
	opBind           = 56
	opListen         = 57
)

func init() {
	// A server whose every step goes through the ring, where the kernel has it.
	workloads["ring-server"] = func([]string) {
		r := mustRing(0)
		have := r.supports()
		var d did
		call := func(e sqe, instead func() error) {
			if !have[e.opcode] {
				check(instead())
			} else if got := r.do(e); got < 0 {
				check(fmt.Errorf("operation %d: %d", e.opcode, got))
			}
		}
		serve := func(family int, name string, address []byte, at, to unix.Sockaddr) {
			var l int
			if have[opSocket] {
				l = r.do(sqe{opcode: opSocket, fd: int32(family), off: unix.SOCK_STREAM})
			} else {
				l = socket(family, unix.SOCK_STREAM)
			}
			held = append(held, address)
			call(sqe{opcode: opBind, fd: int32(l), addr: hold(&address[0]), off: uint64(len(address))}, func() error { return unix.Bind(l, at) })
			call(sqe{opcode: opListen, fd: int32(l), len: 8}, func() error { return unix.Listen(l, 8) })
			own := boundTo(l)
			if to == nil {
				sa, err := unix.Getsockname(l)
				check(err)
				to = sa
				d.listens(name, own)
			} else {
				own = "unix:" + filepath.Join(cwd(), "served")
				d.listens(name, own)
			}
			for range 2 {
				c := socket(family, unix.SOCK_STREAM)
				check(unix.Connect(c, to))
				src := "unix:"
				if family == unix.AF_INET {
					src = boundTo(c)
				}
				fd := r.do(sqe{opcode: opAccept, fd: int32(l)})
				if fd < 0 {
					check(fmt.Errorf("accept: %d", fd))
				}
				if family == unix.AF_INET {
					d.accepts(name, src, own)
				}
			}
			if family == unix.AF_UNIX {
				d.Accepts = append(d.Accepts, "unix unix: at "+own+" 2")
			}
			d.Attempts = append(d.Attempts, fmt.Sprintf("%s %s connected 2", name, own))
		}
		serve(unix.AF_INET, "tcp", inet4Bytes(0)[:], inet4(0), nil)
		serve(unix.AF_UNIX, "unix", append([]byte{unix.AF_UNIX, 0}, "served\x00"...),
			&unix.SockaddrUnix{Name: "served"}, &unix.SockaddrUnix{Name: "served"})
		keepHeld()
		d.tell()
	}
	// One operation, several results.
	workloads["ring-multishot"] = func([]string) {
		r := mustRing(0)
		if !r.supports()[opSendZC] { // as new as receiving so
			unsupported()
		}
		l := socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.Bind(l, inet4(0)))
		check(unix.Listen(l, 8))
		own := boundTo(l)
		sa, err := unix.Getsockname(l)
		check(err)
		var d did
		d.listens("tcp", own)
		r.add(sqe{opcode: opAccept, fd: int32(l), ioprio: acceptMultishot, userData: 1})
		r.enter(0)
		var fd, c int
		for range 3 {
			c = socket(unix.AF_INET, unix.SOCK_STREAM)
			check(unix.Connect(c, sa))
			r.enter(1)
			got, ok := r.take()
			if !ok || got.res < 0 || got.flags&cqeMore == 0 {
				check(fmt.Errorf("result %+v %v", got, ok))
			}
			fd = int(got.res)
			d.accepts("tcp", boundTo(c), own)
		}
		d.Attempts = append(d.Attempts, "tcp "+own+" connected 3")
		const size = 16
		if got := r.do(sqe{opcode: opProvideBuffers, fd: 4, addr: buffer(4 * size), len: size}); got < 0 {
			check(fmt.Errorf("provide buffers: %d", got))
		}
		r.add(sqe{opcode: opRecv, flags: sqeBufferSelect, ioprio: recvMultishot, fd: int32(fd), userData: 2})
		r.enter(0)
		for range 3 {
			writeAll(c, "7 bytes")
			r.enter(1)
			if got, ok := r.take(); !ok || got.res != 7 || got.flags&cqeMore == 0 {
				check(fmt.Errorf("result %+v %v", got, ok))
			}
		}
		keepHeld()
		d.tell()
	}
}

func TestRingServer(t *testing.T) {
	needEBPF(t)
	rings(t)
	r := record(t, workload("ring-server"), in(tempDir(t)))
	compare(t, r)
	same(t, "gaps", nil, gapsOf(r, "io_uring"))
}

func TestRingMultishot(t *testing.T) {
	needEBPF(t)
	rings(t)
	r := record(t, workload("ring-multishot"), in(tempDir(t)))
	if r.stdout == "unsupported" {
		t.Skip("this kernel's io_uring does not have it")
	}
	compare(t, r)
	if r.Network.BytesReceived != 21 || r.Network.BytesSent != 21 {
		t.Errorf("%d sent, %d received", r.Network.BytesSent, r.Network.BytesReceived)
	}
	same(t, "gaps", nil, gapsOf(r, "io_uring"))
}
