//go:build linux && (amd64 || arm64)

package ptrace

import (
	"bytes"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// memory reads that of a thread. It returns how many bytes could be read: of pages
// that are still to come from a process of the run, none.
func (t *tracer) memory(tid int, at uint64, to []byte) int {
	to = t.present(tid, at, to)
	if len(to) == 0 || at == 0 {
		return 0
	}
	local := []unix.Iovec{{Base: &to[0], Len: uint64(len(to))}}
	remote := []unix.RemoteIovec{{Base: uintptr(at), Len: len(to)}}
	n, err := unix.ProcessVMReadv(tid, local, remote, 0)
	if err == nil {
		return n
	}
	if err != unix.EPERM && err != unix.ENOSYS {
		return 0
	}
	return t.forced(tid, at, to) // a container may refuse that call and not this file
}

// forced reads also what a mapping does not let be read: some can be all the same,
// by the machine and so by the kernel, such as those for writing alone.
func (t *tracer) forced(tid int, at uint64, to []byte) int {
	to = t.present(tid, at, to)
	if len(to) == 0 {
		return 0
	}
	f, err := os.Open(procPath(tid, "mem"))
	if err != nil {
		return 0
	}
	defer f.Close()
	n, _ := f.ReadAt(to, int64(at)) // a part is an answer, too
	return n
}

// reader is tracer.memory or tracer.forced.
type reader func(tid int, at uint64, to []byte) int

// present is as much of to as may be read without a process of the run having to
// give it: if one serves a file system, what lies in pages that the thread has. That
// is bit 63 of /proc/TID/pagemap, Documentation/admin-guide/mm/pagemap.rst. Those that
// are swapped out, bit 62, come from nobody of the run.
func (t *tracer) present(tid int, at uint64, to []byte) []byte {
	if !t.served || len(to) == 0 {
		return to
	}
	fd, err := unix.Open(procPath(tid, "pagemap"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	page := uint64(os.Getpagesize())
	for done := uint64(0); done < uint64(len(to)); {
		var entry [8]byte
		n, err := unix.Pread(fd, entry[:], int64((at+done)/page*8))
		if err != nil || n < len(entry) || binary.NativeEndian.Uint64(entry[:])>>62 == 0 {
			return to[:done]
		}
		done += page - (at+done)%page
	}
	return to
}

const pageSize = 4096 // no page is smaller

// text reads a string that a NUL ends into buf. It is not whole if it is longer
// than buf, or if its memory ends before.
func text(tid int, at uint64, buf []byte, read reader) (s []byte, whole bool) {
	n := 0
	for n < len(buf) {
		// Names are short, and what lies on the next page may be nowhere.
		some := min(256, len(buf)-n, int(pageSize-(at+uint64(n))%pageSize))
		got := read(tid, at+uint64(n), buf[n:n+some])
		if i := bytes.IndexByte(buf[n:n+got], 0); i >= 0 {
			return buf[:n+i], true
		}
		n += got
		if got < some {
			break
		}
	}
	return buf[:n], false
}

// words reads numbers of the ABI's width.
func (t *tracer) words(a *abi, tid int, at uint64, n int) ([]uint64, bool) {
	size := a.word()
	data := make([]byte, n*size)
	if t.memory(tid, at, data) < len(data) && t.forced(tid, at, data) < len(data) {
		return make([]uint64, n), false
	}
	words := make([]uint64, n)
	for i := range words {
		if a.wide {
			words[i] = binary.LittleEndian.Uint64(data[i*8:])
		} else {
			words[i] = uint64(binary.LittleEndian.Uint32(data[i*4:]))
		}
	}
	return words, true
}

// word is the size of a pointer.
func (a *abi) word() int {
	if a.wide {
		return 8
	}
	return 4
}
