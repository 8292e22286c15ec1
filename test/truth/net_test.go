//go:build linux

package truth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"glasshouse/ebpf"
	"glasshouse/receipt"
	"glasshouse/runner"
	"glasshouse/test/recorded"
)

func socket(family, kind int) int {
	fd, err := unix.Socket(family, kind, 0)
	check(err)
	return fd
}

func inet4(port int) unix.Sockaddr {
	return &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
}

func inet6(port int) unix.Sockaddr {
	return &unix.SockaddrInet6{Port: port, Addr: [16]byte{15: 1}}
}

func mapped(port int) unix.Sockaddr {
	return &unix.SockaddrInet6{Port: port, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}}
}

// settled waits until a non-blocking connect has its outcome.
func settled(fd int) { ready(fd, unix.POLLOUT) }

func ready(fd int, events int16) {
	p := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		n, err := unix.Poll(p, 5000)
		if err == unix.EINTR {
			continue
		}
		check(err)
		if n != 1 {
			check(fmt.Errorf("nothing comes"))
		}
		return
	}
}

func init() {
	// open and closed are TCP ports of 127.0.0.1, open6 of [::1].
	workloads["tcp"] = func(args []string) {
		var ports [3]int
		for i := range ports {
			n, err := strconv.Atoi(args[i])
			check(err)
			ports[i] = n
		}
		open, closed, open6 := ports[0], ports[1], ports[2]

		fd := socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.Connect(fd, inet4(open)))
		_, err := unix.Write(fd, bytes.Repeat([]byte("x"), 1000))
		check(err)
		got := 0
		for buf := make([]byte, 4096); got < 1000; {
			n, err := unix.Read(fd, buf)
			check(err)
			got += n
		}
		expect(unix.Connect(fd, inet4(open)), unix.EISCONN)
		check(unix.Close(fd))

		// These reach nobody.
		expect(unix.Connect(fd+100, inet4(open)), unix.EBADF)
		_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(socket(unix.AF_INET, unix.SOCK_STREAM)), 8, 16)
		expect(errno, unix.EFAULT)

		expect(unix.Connect(socket(unix.AF_INET, unix.SOCK_STREAM), inet4(closed)), unix.ECONNREFUSED)
		check(unix.Connect(socket(unix.AF_INET6, unix.SOCK_STREAM), mapped(open)))
		if open6 != 0 {
			check(unix.Connect(socket(unix.AF_INET6, unix.SOCK_STREAM), inet6(open6)))
			expect(unix.Connect(socket(unix.AF_INET6, unix.SOCK_STREAM), inet6(closed)), unix.ECONNREFUSED)
		}
	}
	workloads["tcp-nonblocking"] = func(args []string) {
		open, err := strconv.Atoi(args[0])
		check(err)
		closed, err := strconv.Atoi(args[1])
		check(err)
		for range 20 {
			fd := socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK)
			expect(unix.Connect(fd, inet4(open)), unix.EINPROGRESS)
			settled(fd)
			check(unix.Connect(fd, inet4(open))) // asks how it went
			expect(unix.Connect(fd, inet4(open)), unix.EISCONN)
			check(unix.Close(fd))

			fd = socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK)
			expect(unix.Connect(fd, inet4(closed)), unix.EINPROGRESS)
			settled(fd)
			check(unix.Close(fd))
		}
	}
	workloads["udp"] = func(args []string) {
		open, err := strconv.Atoi(args[0])
		check(err)
		fd := socket(unix.AF_INET, unix.SOCK_DGRAM)
		for range 5 {
			check(unix.Sendto(fd, []byte("hello"), 0, inet4(open)))
		}
		_, err = unix.SendmsgN(fd, []byte("hi"), nil, inet4(open), 0)
		check(err)
		fd = socket(unix.AF_INET6, unix.SOCK_DGRAM)
		check(unix.Connect(fd, mapped(open)))
		_, err = unix.Write(fd, []byte("more"))
		check(err)
		// No permission to broadcast.
		expect(unix.Sendto(socket(unix.AF_INET, unix.SOCK_DGRAM), []byte("x"), 0,
			&unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 255, 255, 255}}), unix.EACCES)
	}
	workloads["unix"] = func([]string) {
		for _, name := range []string{"listening", "./sub/../listening", "\x00truth abstract " + filepath.Base(cwd())} {
			fd := socket(unix.AF_UNIX, unix.SOCK_STREAM)
			check(unix.Connect(fd, &unix.SockaddrUnix{Name: name}))
			_, err := unix.Write(fd, []byte("not counted"))
			check(err)
		}
		expect(unix.Connect(socket(unix.AF_UNIX, unix.SOCK_STREAM), &unix.SockaddrUnix{Name: "none"}), unix.ENOENT)
		expect(unix.Connect(socket(unix.AF_UNIX, unix.SOCK_STREAM), &unix.SockaddrUnix{Name: "file"}), unix.ECONNREFUSED)
	}
	workloads["tcp-fast-open"] = func(args []string) {
		port, err := strconv.Atoi(args[0])
		check(err)
		fd := socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.Sendto(fd, []byte("first"), unix.MSG_FASTOPEN, inet4(port)))
		// A stream ignores an address once it is connected.
		check(unix.Sendto(fd, []byte("second"), 0, inet4(9)))
		fd = socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1))
		check(unix.Connect(fd, inet4(port)))
		_, err = unix.Write(fd, []byte("third"))
		check(err)
		settled(fd)
	}
	// A listener with a full queue lets a connect wait, and signals break the waiting off.
	workloads["unix-interrupted"] = func([]string) {
		listener := socket(unix.AF_UNIX, unix.SOCK_STREAM)
		check(unix.Bind(listener, &unix.SockaddrUnix{Name: "full"}))
		check(unix.Listen(listener, 0))
		check(unix.Connect(socket(unix.AF_UNIX, unix.SOCK_STREAM), &unix.SockaddrUnix{Name: "full"}))
		tid := unix.Gettid()
		go func() {
			for range 5 {
				time.Sleep(20 * time.Millisecond)
				check(unix.Tgkill(os.Getpid(), tid, unix.SIGURG))
			}
			_, _, err := unix.Accept(listener)
			check(err)
		}()
		check(unix.Connect(socket(unix.AF_UNIX, unix.SOCK_STREAM), &unix.SockaddrUnix{Name: "full"}))
	}
	// In a network namespace of its own, where there is but a loopback that is down.
	workloads["unreachable"] = func([]string) {
		expect(unix.Connect(socket(unix.AF_INET, unix.SOCK_STREAM), inet4(80)), unix.ENETUNREACH)
		fd := socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK)
		expect(unix.Connect(fd, inet4(81)), unix.ENETUNREACH)
		expect(unix.Sendto(socket(unix.AF_INET, unix.SOCK_DGRAM), []byte("x"), 0, inet4(82)), unix.ENETUNREACH)
	}
	// The same, with the loopback up; a listener whose queue is full does not answer.
	workloads["unanswered"] = func([]string) {
		_, port := fullListener()
		abandoned := socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK)
		expect(unix.Connect(abandoned, inet4(port)), unix.EINPROGRESS)
		check(unix.Close(abandoned))
		late := socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.SetsockoptInt(late, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 500))
		expect(unix.Connect(late, inet4(port)), unix.ETIMEDOUT)
		fmt.Print(port)
	}
}

func ptr[T any](v *T) unsafe.Pointer { return unsafe.Pointer(v) }

func sendtoRaw(fd int, sa []byte) error {
	x := []byte("x")
	_, err := raw(unix.SYS_SENDTO, uintptr(fd), uintptr(ptr(&x[0])), 1, 0, uintptr(ptr(&sa[0])), uintptr(len(sa)))
	return err
}

// disconnect takes the peer away.
func disconnect(fd int) error {
	var sa [16]byte // AF_UNSPEC
	_, err := raw(unix.SYS_CONNECT, uintptr(fd), uintptr(ptr(&sa)), 16)
	return err
}

// familyUnix is a sockaddr_un without a name, which asks the kernel for one.
func familyUnix() uintptr { return uintptr(unsafe.Pointer(&unixFamily[0])) }

var unixFamily = [2]byte{unix.AF_UNIX}

func cwd() string {
	dir, err := os.Getwd()
	check(err)
	return dir
}

// closedPort is one that nobody listens on: it is bound, but not listened to.
func closedPort(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	sa := unix.Sockaddr(&unix.SockaddrInet6{})
	if err != nil {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		sa = &unix.SockaddrInet4{}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, sa); err != nil {
		t.Fatal(err)
	}
	sa, err = unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet6:
		return sa.Port
	default:
		return sa.(*unix.SockaddrInet4).Port
	}
}

func attempts(r recording) []string {
	var out []string
	for _, a := range r.Network.Attempts {
		out = append(out, fmt.Sprintf("%s %s %s %d", a.Protocol, a.Dst, a.Result, a.Count))
	}
	slices.Sort(out)
	return out
}

func TestTCP(t *testing.T) {
	open, open6, closed := echo(t, "tcp4", "127.0.0.1:0"), echo(t, "tcp6", "[::1]:0"), closedPort(t)
	r := record(t, workload("tcp", strconv.Itoa(open), strconv.Itoa(closed), strconv.Itoa(open6)))
	complete(t, r)
	want := []string{
		fmt.Sprintf("tcp 127.0.0.1:%d connected 2", open), // one of them by way of ::ffff:127.0.0.1
		fmt.Sprintf("tcp 127.0.0.1:%d refused 1", closed),
	}
	if open6 != 0 {
		want = append(want, fmt.Sprintf("tcp [::1]:%d connected 1", open6), fmt.Sprintf("tcp [::1]:%d refused 1", closed))
	}
	slices.Sort(want)
	same(t, "attempts", want, attempts(r))
	if r.Network.BytesSent != 1000 || r.Network.BytesReceived != 1000 {
		t.Errorf("%d sent, %d received", r.Network.BytesSent, r.Network.BytesReceived)
	}
	for _, a := range r.Network.Attempts {
		if a.PID != root(t, r).PID {
			t.Errorf("%+v", a)
		}
	}
}

func init() {
	workloads["dies-receiving"] = func([]string) {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		check(err)
		child := exec.Command(self, workload("receives", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))[1:]...)
		check(child.Start())
		c, err := l.Accept()
		check(err)
		waiting() // until all of it receives
		check(child.Process.Kill())
		_ = child.Wait()
		// Nobody else has its connection: the other end is told.
		check(c.SetReadDeadline(time.Now().Add(5 * time.Second)))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
			check(fmt.Errorf("the connection of a dead process: %w", err))
		}
	}
	workloads["receives"] = func(args []string) {
		port, err := strconv.Atoi(args[0])
		check(err)
		fd := socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.Connect(fd, inet4(port)))
		for range 3 {
			go func() {
				runtime.LockOSThread()
				_, _, _ = unix.Recvfrom(fd, make([]byte, 1), 0) // nothing comes
			}()
		}
		select {}
	}
}

// A process that is killed while its threads receive leaves no connection open.
func TestDiesReceiving(t *testing.T) {
	r := record(t, workload("dies-receiving"))
	complete(t, r)
	if !slices.ContainsFunc(r.ProcessTree, func(p receipt.Process) bool { return ending(p) == "SIGKILL" }) {
		t.Errorf("%+v", r.ProcessTree)
	}
}

// unasked is the outcome of a connect in progress that failed, and that the
// process never asked for: a tracer could ask no more than once, in its place.
func unasked(result string) string {
	if recorded.Observe == "ptrace" {
		return "in_progress"
	}
	return result
}

func TestTCPNonBlocking(t *testing.T) {
	open, closed := echo(t, "tcp4", "127.0.0.1:0"), closedPort(t)
	r := record(t, workload("tcp-nonblocking", strconv.Itoa(open), strconv.Itoa(closed)))
	complete(t, r)
	want := []string{fmt.Sprintf("tcp 127.0.0.1:%d connected 20", open), fmt.Sprintf("tcp 127.0.0.1:%d %s 20", closed, unasked("refused"))}
	slices.Sort(want)
	same(t, "attempts", want, attempts(r))
}

func TestUDP(t *testing.T) {
	l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.LocalAddr().(*net.UDPAddr).Port
	r := record(t, workload("udp", strconv.Itoa(port)))
	complete(t, r)
	want := []string{
		"udp 127.255.255.255:9 denied 1", fmt.Sprintf("udp 127.0.0.1:%d connected 1", port), fmt.Sprintf("udp 127.0.0.1:%d sent 6", port),
	}
	slices.Sort(want)
	same(t, "attempts", want, attempts(r))
	if r.Network.BytesSent != 5*5+2+4 || r.Network.BytesReceived != 0 {
		t.Errorf("%d sent, %d received", r.Network.BytesSent, r.Network.BytesReceived)
	}
	if !slices.Contains(r.Syscalls.Denied, "sendto") {
		t.Errorf("denied %v", r.Syscalls.Denied)
	}
}

func TestUnixSockets(t *testing.T) {
	dir := tempDir(t)
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	bound := filepath.Join(dir, "bound")
	if err := os.Symlink("bound", filepath.Join(dir, "listening")); err != nil {
		t.Fatal(err)
	}
	abstract := "truth abstract " + filepath.Base(dir)
	for _, name := range []string{bound, "\x00" + abstract, filepath.Join(dir, "file")} {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) == "file" {
			continue // nobody listens
		}
		if err := unix.Listen(fd, 8); err != nil {
			t.Fatal(err)
		}
	}
	r := record(t, workload("unix"), in(dir))
	complete(t, r)
	// The socket's own path, not that of the link that led to it.
	want := []string{
		"unix unix:" + bound + " connected 2", "unix unix:@" + abstract + " connected 1",
		"unix unix:" + dir + "/none failed 1", "unix unix:" + dir + "/file refused 1",
	}
	slices.Sort(want)
	same(t, "attempts", want, attempts(r))
	if r.Network.BytesSent != 0 {
		t.Errorf("%d bytes sent: those of unix sockets do not count", r.Network.BytesSent)
	}
}

func TestTCPFastOpen(t *testing.T) {
	port := echo(t, "tcp4", "127.0.0.1:0")
	r := record(t, workload("tcp-fast-open", strconv.Itoa(port)))
	complete(t, r)
	same(t, "attempts", []string{fmt.Sprintf("tcp 127.0.0.1:%d connected 2", port)}, attempts(r))
	if r.Network.BytesSent != 5+6+5 {
		t.Errorf("%d bytes sent", r.Network.BytesSent)
	}
}

// A call that begins again is one call.
func TestUnixInterrupted(t *testing.T) {
	dir := tempDir(t)
	r := record(t, workload("unix-interrupted"), in(dir))
	complete(t, r)
	same(t, "attempts", []string{"unix unix:" + dir + "/full connected 2"}, attempts(r))
	if !slices.ContainsFunc(r.Observation.Gaps, func(g receipt.Gap) bool { return g.Kind == "interrupted" && g.Count >= 1 }) {
		t.Errorf("gaps %+v", r.Observation.Gaps)
	}
}

func TestUnreachable(t *testing.T) {
	needRoot(t)
	r := record(t, append([]string{"unshare", "--net"}, workload("unreachable")...))
	complete(t, r)
	same(t, "attempts", []string{
		"tcp 127.0.0.1:80 unreachable 1", "tcp 127.0.0.1:81 unreachable 1", "udp 127.0.0.1:82 unreachable 1",
	}, attempts(r))
}

func TestUnanswered(t *testing.T) {
	needRoot(t)
	r := record(t, append([]string{"unshare", "--net"}, workload("unanswered")...), func(s *runner.Spec, _ *ebpf.Options) { s.Timeout = time.Minute })
	complete(t, r)
	same(t, "attempts", []string{
		"tcp 127.0.0.1:" + r.stdout + " connected 1", "tcp 127.0.0.1:" + r.stdout + " in_progress 1", "tcp 127.0.0.1:" + r.stdout + " timeout 1",
	}, attempts(r))
}
