//go:build linux

package truth

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The ways in which operations reach the kernel's code that carries them out.
var ringWays = map[string]struct {
	setup uint32
	flags uint8
}{
	"in-place":   {0, 0},
	"by-workers": {0, sqeAsync},
	"polled":     {setupSQPoll, 0},
	"deferred":   {setupSingleIssuer | setupDeferTaskrun, sqeAsync},
}

// openHow is struct open_how: flags, mode, resolve.
type openHow [3]uint64

func inet4Bytes(port int) *[16]byte {
	b := &[16]byte{0: unix.AF_INET, 4: 127, 7: 1}
	binary.BigEndian.PutUint16(b[2:], uint16(port))
	return b
}

// deeds is what the workload says that it did, each as the test writes what the receipt says.
type deeds struct {
	Reads, Writes, Deletes, Renames, Created, Changed, Failed, Attempts []string
	Bytes                                                               map[string][2]int
	Sent, Received                                                      int
}

func init() {
	workloads["ring"] = func(args []string) {
		way := ringWays[args[0]]
		open, closed, udp := number(args[1]), number(args[2]), number(args[3])
		r, err := newRing(way.setup)
		if way.setup != 0 && err == unix.EINVAL {
			fmt.Print("unsupported")
			return
		}
		check(err)
		have := r.supports()
		d := deeds{Bytes: map[string][2]int{}}
		cwd := int32(unix.AT_FDCWD)
		// do carries out an operation that this kernel has, and notes what it was.
		do := func(e sqe, want int, note func()) {
			if !have[e.opcode] {
				return
			}
			e.flags |= way.flags
			got := r.do(e)
			if want >= 0 && got < 0 || want < 0 && got != want {
				check(fmt.Errorf("operation %d: %d, want %d", e.opcode, got, want))
			}
			if note != nil {
				note()
			}
		}
		say := func(list *[]string, line string) func() { return func() { *list = append(*list, line) } }
		errno := func(e unix.Errno) int { return -int(e) }

		do(sqe{opcode: opOpenat, fd: cwd, addr: text("read-me")}, 0, say(&d.Reads, "read-me"))
		do(sqe{opcode: opOpenat, fd: cwd, addr: text("emptied"), opFlags: unix.O_RDONLY | unix.O_TRUNC}, 0, func() {
			d.Reads, d.Writes = append(d.Reads, "emptied"), append(d.Writes, "emptied")
		})
		do(sqe{opcode: opOpenat, fd: cwd, addr: text("to-link")}, 0, say(&d.Reads, "linked-to"))
		do(sqe{opcode: opOpenat, fd: cwd, addr: text("./sub/../made"), opFlags: unix.O_CREAT | unix.O_WRONLY, len: 0o600}, 0, func() {
			d.Writes = append(d.Writes, "made")
			d.Created = append(d.Created, "file made")
		})
		sub := int32(openPath("sub"))
		do(sqe{opcode: opOpenat2, fd: sub, addr: text("inside"), off: hold(&openHow{}), len: 24}, 0, say(&d.Reads, "sub/inside"))
		do(sqe{opcode: opOpenat, fd: cwd, addr: text("missing")}, errno(unix.ENOENT), say(&d.Failed, "open missing ENOENT 1"))
		do(sqe{opcode: opUnlinkat, fd: sub, addr: text("../gone")}, 0, say(&d.Deletes, "gone"))
		do(sqe{opcode: opUnlinkat, fd: cwd, addr: text("gone-dir"), opFlags: unix.AT_REMOVEDIR}, 0, say(&d.Deletes, "gone-dir"))
		do(sqe{opcode: opUnlinkat, fd: cwd, addr: text("missing")}, errno(unix.ENOENT), say(&d.Failed, "unlink missing ENOENT 1"))
		do(sqe{opcode: opRenameat, fd: cwd, addr: text("old"), len: uint32(sub), off: text("new")}, 0, func() {
			d.Renames = append(d.Renames, "old sub/new")
			d.Deletes = append(d.Deletes, "old")
			d.Writes = append(d.Writes, "sub/new")
		})
		do(sqe{opcode: opMkdirat, fd: sub, addr: text("dir"), len: 0o755}, 0, func() {
			d.Created = append(d.Created, "dir sub/dir")
			d.Writes = append(d.Writes, "sub/dir")
		})
		do(sqe{opcode: opSymlinkat, fd: sub, addr: text("says\nthis"), off: text("symlink")}, 0, func() {
			d.Created = append(d.Created, "symlink sub/symlink -> says\nthis")
			d.Writes = append(d.Writes, "sub/symlink")
		})
		do(sqe{opcode: opLinkat, fd: cwd, addr: text("read-me"), len: uint32(sub), off: text("hard")}, 0, func() {
			d.Created = append(d.Created, "hardlink sub/hard -> read-me")
			d.Writes = append(d.Writes, "sub/hard")
		})
		long := strings.Repeat("./", 1000) + "read-2"
		do(sqe{opcode: opOpenat, fd: cwd, addr: text(long)}, 0, say(&d.Reads, "read-2"))

		file := int32(openFile("data", unix.O_RDWR))
		do(sqe{opcode: opWrite, fd: file, addr: buffer(11), len: 11}, 0, nil)
		do(sqe{opcode: opRead, fd: file, addr: buffer(7), len: 7, off: 0}, 0, nil)
		iov := &unix.Iovec{Base: &make([]byte, 3)[0], Len: 3}
		do(sqe{opcode: opReadv, fd: file, addr: hold(iov), len: 1, off: 0}, 0, nil)
		d.Bytes["data"] = [2]int{10, 11}
		p := make([]int, 2)
		check(unix.Pipe(p))
		n, err := unix.Write(p[1], make([]byte, 100))
		check(err)
		do(sqe{opcode: opSplice, fd: file, off: 0, addr: ^uint64(0), len: uint32(n), fileIndex: uint32(p[0])}, 0, func() {
			d.Bytes["data"] = [2]int{10, 111}
		})
		do(sqe{opcode: opFallocate, fd: file, addr: 10, off: 200}, 0, say(&d.Changed, "data size"))
		do(sqe{opcode: opFtruncate, fd: int32(openFile("cut", unix.O_RDWR)), off: 3}, 0, say(&d.Changed, "cut size"))
		do(sqe{opcode: opFsetxattr, fd: file, addr: text("trusted.a"), off: buffer(1), len: 1}, 0, say(&d.Changed, "data xattr"))
		do(sqe{opcode: opSetxattr, addr: text("trusted.a"), addr3: text("named"), off: buffer(1), len: 1}, 0, say(&d.Changed, "named xattr"))

		tcp := int32(socket(unix.AF_INET, unix.SOCK_STREAM))
		do(sqe{opcode: opConnect, fd: tcp, addr: hold(inet4Bytes(open)), off: 16}, 0,
			say(&d.Attempts, fmt.Sprintf("tcp 127.0.0.1:%d connected 1", open)))
		do(sqe{opcode: opSend, fd: tcp, addr: buffer(1000), len: 1000}, 0, func() { d.Sent += 1000 })
		do(sqe{opcode: opRecv, fd: tcp, addr: buffer(1000), len: 1000, opFlags: unix.MSG_WAITALL}, 0, func() { d.Received += 1000 })
		do(sqe{opcode: opConnect, fd: int32(socket(unix.AF_INET, unix.SOCK_STREAM)), addr: hold(inet4Bytes(closed)), off: 16},
			errno(unix.ECONNREFUSED), say(&d.Attempts, fmt.Sprintf("tcp 127.0.0.1:%d refused 1", closed)))
		dgram := int32(socket(unix.AF_INET, unix.SOCK_DGRAM))
		msg := &unix.Msghdr{Name: (*byte)(unsafe.Pointer(inet4Bytes(udp))), Namelen: 16, Iov: iov, Iovlen: 1}
		datagrams := 0
		sent := func(n int) func() { return func() { datagrams++; d.Sent += n } }
		do(sqe{opcode: opSendmsg, fd: dgram, addr: hold(msg), len: 1}, 0, sent(3))
		if have[opSendZC] { // the kernels that have it take an address for both
			do(sqe{opcode: opSend, fd: dgram, addr: buffer(5), len: 5, off: hold(inet4Bytes(udp)), fileIndex: 16}, 0, sent(5))
		}
		d.Attempts = append(d.Attempts, fmt.Sprintf("udp 127.0.0.1:%d sent %d", udp, datagrams))
		keepHeld()
		check(json.NewEncoder(os.Stdout).Encode(d))
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	check(err)
	return n
}

func openFile(name string, flags int) int { return open(unix.AT_FDCWD, name, flags) }

func openPath(name string) int { return openFile(name, unix.O_PATH) }

// rings skips a test where the kernel or its administrator has no io_uring, and nowhere else.
func rings(t *testing.T) {
	t.Helper()
	off, err := os.ReadFile("/proc/sys/kernel/io_uring_disabled")
	disabled := err == nil && strings.TrimSpace(string(off)) != "0"
	_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 0, 0, 0)
	if (disabled || errno == unix.ENOSYS) && os.Getenv("CI") == "" {
		t.Skip("io_uring is off")
	}
}

func TestRing(t *testing.T) {
	needEBPF(t)
	rings(t)
	needRoot(t) // trusted.* attributes
	for way := range ringWays {
		t.Run(way, func(t *testing.T) { testRing(t, way) })
	}
}

func testRing(t *testing.T, way string) {
	tcp, closed := echo(t, "tcp4", "127.0.0.1:0"), closedPort(t)
	l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	udp := l.LocalAddr().(*net.UDPAddr).Port
	dir := tempDir(t)
	for _, name := range []string{"read-me", "emptied", "linked-to", "gone", "old", "read-2", "data", "cut", "named"} {
		write(t, filepath.Join(dir, name), "0123456789")
	}
	for _, name := range []string{"sub", "gone-dir"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "sub/inside"), "0123456789")
	if err := os.Symlink("linked-to", filepath.Join(dir, "to-link")); err != nil {
		t.Fatal(err)
	}
	r := record(t, workload("ring", way, strconv.Itoa(tcp), strconv.Itoa(closed), strconv.Itoa(udp)), in(dir))
	if r.stdout == "unsupported" {
		t.Skip("this kernel's io_uring does not have it")
	}
	var d deeds
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil {
		t.Fatal(err, r.stdout)
	}
	complete(t, r)
	sorted := func(lines ...string) []string { slices.Sort(lines); return lines }

	// The workload opened some of these by system calls, to have descriptors.
	plain := []string{"data", "cut"}
	same(t, "reads", sorted(append(plain, d.Reads...)...), under(dir, r.Filesystem.Reads))
	same(t, "writes", sorted(append(plain, d.Writes...)...), under(dir, r.Filesystem.Writes))
	same(t, "deletes", sorted(d.Deletes...), under(dir, r.Filesystem.Deletes))
	same(t, "failed", sorted(d.Failed...), failed(r, dir))
	var made, changed, renamed []string
	for _, line := range created(r, dir) {
		made = append(made, line[:strings.LastIndex(line, " ")])
	}
	for _, c := range r.Filesystem.Changed {
		if rest, ok := strings.CutPrefix(c.Path, dir+"/"); ok {
			changed = append(changed, rest+" "+c.What)
		}
	}
	for _, n := range r.Filesystem.Renames {
		renamed = append(renamed, strings.TrimPrefix(n.From, dir+"/")+" "+strings.TrimPrefix(n.To, dir+"/"))
	}
	same(t, "created", sorted(d.Created...), sorted(made...))
	same(t, "changed", sorted(d.Changed...), sorted(changed...))
	same(t, "renames", sorted(d.Renames...), sorted(renamed...))
	for name, n := range d.Bytes {
		if f := file(t, r, dir+"/"+name); f.BytesRead != uint64(n[0]) || f.BytesWritten != uint64(n[1]) {
			t.Errorf("%s: %d and %d bytes, want %v", name, f.BytesRead, f.BytesWritten, n)
		}
	}
	same(t, "attempts", sorted(d.Attempts...), attempts(r))
	if r.Network.BytesSent != uint64(d.Sent) || r.Network.BytesReceived != uint64(d.Received) {
		t.Errorf("%d sent, %d received, want %d and %d", r.Network.BytesSent, r.Network.BytesReceived, d.Sent, d.Received)
	}
	same(t, "gaps", nil, gapsOf(r, "io_uring"))
	same(t, "raced", nil, gapsOf(r, "raced"))
}
