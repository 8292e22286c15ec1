//go:build linux

package truth

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From include/uapi/linux/io_uring.h.
const (
	setupSQPoll       = 1 << 1
	setupCQSize       = 1 << 3
	setupSingleIssuer = 1 << 12
	setupDeferTaskrun = 1 << 13

	enterGetEvents = 1 << 0
	enterSQWakeup  = 1 << 1
	sqNeedWakeup   = 1 << 0

	registerFiles = 2
	registerProbe = 8

	sqeFixedFile   = 1 << 0
	sqeLink        = 1 << 2
	sqeAsync       = 1 << 4
	sqeSkipSuccess = 1 << 6

	fileIndexAlloc = 0xffffffff
)

// The operations that the tests use, by opcode.
const (
	opNop       = 0
	opReadv     = 1
	opSendmsg   = 9
	opAccept    = 13
	opConnect   = 16
	opFallocate = 17
	opOpenat    = 18
	opClose     = 19
	opRead      = 22
	opWrite     = 23
	opSend      = 26
	opRecv      = 27
	opOpenat2   = 28
	opSplice    = 30
	opRenameat  = 35
	opUnlinkat  = 36
	opMkdirat   = 37
	opSymlinkat = 38
	opLinkat    = 39
	opFsetxattr = 41
	opSetxattr  = 42
	opSendZC    = 47
	opFtruncate = 55
)

// sqe is struct io_uring_sqe.
type sqe struct {
	opcode, flags   uint8
	ioprio          uint16
	fd              int32
	off, addr       uint64
	len, opFlags    uint32
	userData        uint64
	bufIndex        uint16
	personality     uint16
	fileIndex       uint32
	addr3, reserved uint64
}

type cqe struct {
	userData uint64
	res      int32
	flags    uint32
}

type ringParams struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFD uint32
	_                                                                      [3]uint32
	sqOff                                                                  struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cqOff struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// ring is an io_uring of the workload's own.
type ring struct {
	fd     int
	params ringParams
	sq, cq []byte
	sqes   []sqe
	queued uint32
}

const ringEntries = 64

func newRing(flags uint32) (*ring, error) {
	r := &ring{}
	r.params.flags = flags
	r.params.sqThreadIdle = 1000
	if flags&setupCQSize != 0 {
		r.params.cqEntries = 1
	}
	entries := uint32(ringEntries)
	if flags&setupCQSize != 0 {
		entries = 1
	}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&r.params)), 0)
	if errno != 0 {
		return nil, errno
	}
	r.fd = int(fd)
	r.mmap()
	return r, nil
}

// mmap maps the ring's memory.
func (r *ring) mmap() {
	mmap := func(offset int64, size int) []byte {
		b, err := unix.Mmap(r.fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		check(err)
		return b
	}
	r.sq = mmap(0, int(r.params.sqOff.array+4*r.params.sqEntries))
	r.cq = mmap(0x8000000, int(r.params.cqOff.cqes)+16*int(r.params.cqEntries))
	sqes := mmap(0x10000000, 64*int(r.params.sqEntries))
	r.sqes = unsafe.Slice((*sqe)(unsafe.Pointer(&sqes[0])), r.params.sqEntries)
}

func word(b []byte, offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&b[offset])) }

// add queues an operation. Its memory has to stay until its result is there.
func (r *ring) add(e sqe) {
	tail := word(r.sq, r.params.sqOff.tail)
	at := *tail & *word(r.sq, r.params.sqOff.mask)
	r.sqes[at] = e
	*word(r.sq, r.params.sqOff.array+4*at) = at
	atomic.StoreUint32(tail, *tail+1)
	r.queued++
}

// enter hands over what is queued and waits for so many results.
func (r *ring) enter(wait int) {
	flags, submit := uintptr(0), r.queued
	if wait > 0 {
		flags |= enterGetEvents
	}
	if r.params.flags&setupDeferTaskrun != 0 {
		flags |= enterGetEvents
	}
	if r.params.flags&setupSQPoll != 0 {
		if atomic.LoadUint32(word(r.sq, r.params.sqOff.flags))&sqNeedWakeup != 0 {
			flags |= enterSQWakeup
		}
	}
	n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(submit), uintptr(wait), flags, 0, 0)
	check(result(errno))
	if r.params.flags&setupSQPoll == 0 && uint32(n) != submit {
		check(fmt.Errorf("%d of %d operations were taken", n, submit))
	}
	r.queued = 0
}

// take takes a result that is there.
func (r *ring) take() (cqe, bool) {
	head, tail := word(r.cq, r.params.cqOff.head), word(r.cq, r.params.cqOff.tail)
	if *head == atomic.LoadUint32(tail) {
		return cqe{}, false
	}
	at := *head & *word(r.cq, r.params.cqOff.mask)
	c := *(*cqe)(unsafe.Pointer(&r.cq[r.params.cqOff.cqes+16*at]))
	atomic.StoreUint32(head, *head+1)
	return c, true
}

// results hands over what is queued and returns n results by user data.
func (r *ring) results(n int) map[uint64]int {
	out := map[uint64]int{}
	r.enter(n)
	for len(out) < n {
		c, ok := r.take()
		if !ok {
			r.enter(1)
			continue
		}
		out[c.userData] = int(c.res)
	}
	return out
}

// do carries out one operation and returns its result.
func (r *ring) do(e sqe) int {
	e.userData = 1
	r.add(e)
	return r.results(1)[1]
}

// supports tells which operations the kernel has.
func (r *ring) supports() map[uint8]bool {
	probe := make([]byte, 16+256*8)
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), registerProbe, uintptr(unsafe.Pointer(&probe[0])), 256, 0, 0)
	check(result(errno))
	have := map[uint8]bool{}
	for i := range int(probe[1]) {
		have[probe[16+8*i]] = probe[16+8*i+2]&1 != 0
	}
	return have
}

var held []any // memory that the kernel reads

func hold[T any](v *T) uint64 {
	held = append(held, v)
	return uint64(uintptr(unsafe.Pointer(v)))
}

// text is the address of a C string.
func text(s string) uint64 {
	b, err := unix.BytePtrFromString(s)
	check(err)
	return hold(b)
}

// buffer is the address of n bytes.
func buffer(n int) uint64 {
	b := make([]byte, n)
	held = append(held, b)
	return uint64(uintptr(unsafe.Pointer(&b[0])))
}

func keepHeld() { runtime.KeepAlive(held) }
