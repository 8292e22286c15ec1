//go:build linux

package truth

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/ebpf"
	"glasshouse/runner"
)

// waits returns when a thread of this process sleeps in that call.
func waits(tid, call int) {
	name := fmt.Sprintf("/proc/self/task/%d/syscall", tid)
	for range 5000 {
		b, err := os.ReadFile(name) // of a thread that does not sleep: "running"
		check(err)
		if number, _, _ := strings.Cut(string(b), " "); number == strconv.Itoa(call) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	check(fmt.Errorf("thread %d does not wait in call %d", tid, call))
}

// fullListener is a listener of a network namespace of the workload's own that
// answers nobody any more: its queue is full.
func fullListener() (fd, port int) {
	fd = socket(unix.AF_INET, unix.SOCK_STREAM)
	loopbackUp()
	check(unix.Bind(fd, inet4(0)))
	check(unix.Listen(fd, 0))
	sa, err := unix.Getsockname(fd)
	check(err)
	port = sa.(*unix.SockaddrInet4).Port
	check(unix.Connect(socket(unix.AF_INET, unix.SOCK_STREAM), inet4(port)))
	ready(fd, unix.POLLIN) // the peer knows of its connection earlier than the listener
	return fd, port
}

func loopbackUp() {
	fd := socket(unix.AF_INET, unix.SOCK_DGRAM)
	lo, err := unix.NewIfreq("lo")
	check(err)
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	check(unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
	check(unix.Close(fd))
}

func init() {
	// A second connect may be the first to tell how the first one went.
	workloads["connect-again"] = func(args []string) {
		open, err := strconv.Atoi(args[0])
		check(err)
		closed, err := strconv.Atoi(args[1])
		check(err)
		fd := socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK)
		expect(unix.Connect(fd, inet4(closed)), unix.EINPROGRESS)
		settled(fd)
		expect(unix.Connect(fd, inet4(closed)), unix.ECONNREFUSED)
		// And then a new one, to another peer.
		expect(unix.Connect(fd, inet4(open)), unix.EINPROGRESS)
		settled(fd)
		// Away from that, and back.
		check(unix.SetNonblock(fd, false))
		check(disconnect(fd))
		check(unix.Connect(fd, inet4(open)))
		check(unix.Close(fd))
		// Itself: both sides connect at once.
		fd = socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.Bind(fd, inet4(0)))
		sa, err := unix.Getsockname(fd)
		check(err)
		check(unix.Connect(fd, sa))
		fmt.Print(sa.(*unix.SockaddrInet4).Port)
	}
	// While one thread waits for a connection, another takes the descriptor
	// away from it, or puts another socket there.
	workloads["connect-stolen"] = func([]string) {
		l, port := fullListener()
		wait := func(steal func(fd int)) {
			fd := socket(unix.AF_INET, unix.SOCK_STREAM)
			check(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 300))
			tid, done := make(chan int), make(chan error)
			go func() {
				runtime.LockOSThread()
				tid <- unix.Gettid()
				done <- unix.Connect(fd, inet4(port))
			}()
			waits(<-tid, unix.SYS_CONNECT)
			steal(fd)
			expect(<-done, unix.ETIMEDOUT)
		}
		wait(func(fd int) { check(unix.Close(fd)) })
		wait(func(fd int) { check(unix.Dup2(socket(unix.AF_UNIX, unix.SOCK_STREAM), fd)) })
		wait(func(fd int) { check(unix.Dup2(l, fd)) })
		fmt.Print(port)
	}
	// A signal ends the waiting, not the attempt.
	workloads["connect-interrupted"] = func([]string) {
		l, port := fullListener()
		fd := socket(unix.AF_INET, unix.SOCK_STREAM)
		tid := unix.Gettid()
		go func() {
			for range 3 {
				waits(tid, unix.SYS_CONNECT)
				check(unix.Tgkill(os.Getpid(), tid, unix.SIGURG))
				time.Sleep(20 * time.Millisecond)
			}
			for range 2 { // makes room
				_, _, err := unix.Accept(l)
				check(err)
			}
		}()
		check(unix.Connect(fd, inet4(port)))
		fmt.Print(port)
	}
	// Some attempts have an outcome among many that do not.
	workloads["connect-many"] = func(args []string) {
		many, err := strconv.Atoi(args[0])
		check(err)
		_, silent := fullListener()
		attempt := func(port int) int {
			fd := socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK)
			expect(unix.Connect(fd, inet4(port)), unix.EINPROGRESS)
			return fd
		}
		for range many {
			attempt(silent)
		}
		l := socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.Bind(l, inet4(0)))
		check(unix.Listen(l, 8))
		sa, err := unix.Getsockname(l)
		check(err)
		port := sa.(*unix.SockaddrInet4).Port
		for _, use := range []func(fd int){
			func(fd int) { check(unix.Sendto(fd, []byte("x"), 0, nil)) },
			func(fd int) {
				_, err := unix.Write(fd, []byte("x"))
				check(err)
			},
			func(fd int) {
				errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
				check(err)
				check(result(unix.Errno(errno)))
			},
			func(fd int) { // nothing that is seen, but others go on
				for range many {
					f, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
					check(err)
					check(unix.Close(f))
				}
			},
		} {
			fd := attempt(port)
			settled(fd)
			use(fd)
			check(unix.Close(fd))
		}
		settled(attempt(port)) // and nothing until the end
		fmt.Print(port, " ", silent)
	}
	// The socket comes from another process.
	workloads["connect-passed"] = func(args []string) {
		port, err := strconv.Atoi(args[0])
		check(err)
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		check(err)
		s := socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.Sendmsg(fds[0], []byte("x"), unix.UnixRights(s), nil, 0))
		check(unix.Close(s))
		oob := make([]byte, 100)
		_, n, _, _, err := unix.Recvmsg(fds[1], make([]byte, 1), oob, 0)
		check(err)
		msgs, err := unix.ParseSocketControlMessage(oob[:n])
		check(err)
		got, err := unix.ParseUnixRights(&msgs[0])
		check(err)
		check(unix.Connect(got[0], inet4(port)))
	}
	// Sockets that are neither TCP nor UDP.
	workloads["other-protocols"] = func([]string) {
		loopbackUp()
		packet := socket(unix.AF_PACKET, unix.SOCK_DGRAM)
		check(unix.Sendto(packet, []byte("x"), 0, &unix.SockaddrLinklayer{Ifindex: 1, Protocol: 0x0008}))
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, 253)
		check(err)
		check(unix.Sendto(fd, []byte("x"), 0, inet4(0)))
		check(unix.Connect(fd, inet4(0)))
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE)
		check(err)
		check(unix.Connect(fd, inet4(7)))
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, 0)
		check(err)
		check(unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
		check(unix.Sendto(fd, make([]byte, 16), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})) // to the kernel
	}
	// Addresses with the family left out, which IPv4 takes for its own.
	workloads["no-family"] = func(args []string) {
		port, err := strconv.Atoi(args[0])
		check(err)
		fd := socket(unix.AF_INET, unix.SOCK_DGRAM)
		sa := [16]byte{2: byte(port >> 8), 3: byte(port), 4: 127, 7: 1}
		for range 2 {
			check(sendtoRaw(fd, sa[:]))
		}
		check(unix.Connect(fd, inet4(port)))
		fd6 := socket(unix.AF_INET6, unix.SOCK_DGRAM)
		check(unix.Connect(fd6, mapped(port)))
		// Where it is connected to, for which older kernels find no route.
		if err := sendtoRaw(fd6, make([]byte, 28)); err != unix.ENETUNREACH {
			check(err)
		}
	}
	workloads["sendmmsg"] = func(args []string) {
		port, err := strconv.Atoi(args[0])
		check(err)
		fd := socket(unix.AF_INET, unix.SOCK_DGRAM)
		check(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<22))
		m := messages(1024, 2)
		for i := range m {
			to := &unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: [4]byte{127, 0, 0, byte(1 + i%3)}}
			to.Port = uint16(port>>8) | uint16(port)<<8
			if i == 1023 {
				to.Addr[3] = 9
			}
			m[i].hdr.Name = (*byte)(ptr(to))
			m[i].hdr.Namelen = unix.SizeofSockaddrInet4
		}
		for sent := 0; sent < len(m); {
			sent += mmsg(unix.SYS_SENDMMSG, fd, m[sent:], 0)
		}
		// To a broadcast address without the right to: the first message fails.
		to := &unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: [4]byte{127, 255, 255, 255}, Port: 0x0900}
		m[0].hdr.Name = (*byte)(ptr(to))
		_, err = raw(unix.SYS_SENDMMSG, uintptr(fd), uintptr(ptr(&m[0])), 2, 0)
		expect(err, unix.EACCES)
	}
}

func TestConnectAgain(t *testing.T) {
	open, closed := echo(t, "tcp4", "127.0.0.1:0"), closedPort(t)
	r := record(t, workload("connect-again", strconv.Itoa(open), strconv.Itoa(closed)))
	complete(t, r)
	sameSorted(t, "attempts", []string{
		fmt.Sprintf("tcp 127.0.0.1:%d refused 1", closed), fmt.Sprintf("tcp 127.0.0.1:%d connected 2", open),
		"tcp 127.0.0.1:" + r.stdout + " connected 1",
	}, attempts(r))
}

func ownNet(t *testing.T, name string, args ...string) []string {
	needRoot(t)
	return append([]string{"unshare", "--net"}, workload(name, args...)...)
}

func patient(s *runner.Spec, _ *ebpf.Options) { s.Timeout = time.Minute }

func TestConnectStolen(t *testing.T) {
	r := record(t, ownNet(t, "connect-stolen"), patient)
	complete(t, r)
	at := "tcp 127.0.0.1:" + r.stdout
	sameSorted(t, "attempts", []string{at + " connected 1", at + " timeout 3"}, attempts(r))
	if n := gap(r, "raced", "connect"); n != 3 {
		t.Errorf("%d were raced: %+v", n, r.Observation.Gaps)
	}
}

func TestConnectInterrupted(t *testing.T) {
	r := record(t, ownNet(t, "connect-interrupted"), patient)
	complete(t, r)
	sameSorted(t, "attempts", []string{"tcp 127.0.0.1:" + r.stdout + " connected 2"}, attempts(r))
}

func TestConnectMany(t *testing.T) {
	const many = 300
	r := record(t, ownNet(t, "connect-many", strconv.Itoa(many)), patient)
	complete(t, r)
	port, silent, _ := strings.Cut(r.stdout, " ")
	sameSorted(t, "attempts", []string{
		"tcp 127.0.0.1:" + port + " connected 5",
		"tcp 127.0.0.1:" + silent + " connected 1", fmt.Sprintf("tcp 127.0.0.1:%s in_progress %d", silent, many),
	}, attempts(r))
}

func TestConnectPassed(t *testing.T) {
	port := echo(t, "tcp4", "127.0.0.1:0")
	r := record(t, workload("connect-passed", strconv.Itoa(port)))
	complete(t, r)
	sameSorted(t, "attempts", []string{fmt.Sprintf("tcp 127.0.0.1:%d connected 1", port)}, attempts(r))
}

func TestOtherProtocols(t *testing.T) {
	r := record(t, ownNet(t, "other-protocols"))
	complete(t, r)
	sameSorted(t, "attempts", []string{
		"packet packet sent 1", "ip/253 127.0.0.1:0 sent 1", "ip/253 127.0.0.1:0 connected 1",
		"ip/136 127.0.0.1:7 connected 1", "netlink netlink connected 1",
	}, attempts(r))
	if n := gap(r, "raw_socket", ""); n != 2 {
		t.Errorf("%d raw sockets: %+v", n, r.Observation.Gaps)
	}
}

func TestNoFamily(t *testing.T) {
	r := record(t, workload("no-family", "9"))
	complete(t, r)
	sameSorted(t, "attempts", []string{"udp 127.0.0.1:9 sent 2", "udp 127.0.0.1:9 connected 2"}, attempts(r))
}

func TestSendmmsg(t *testing.T) {
	r := record(t, workload("sendmmsg", "9"))
	complete(t, r)
	sameSorted(t, "attempts", []string{
		"udp 127.0.0.1:9 sent 341", "udp 127.0.0.2:9 sent 341", "udp 127.0.0.3:9 sent 341", "udp 127.0.0.9:9 sent 1",
		"udp 127.255.255.255:9 denied 1",
	}, attempts(r))
	if r.Network.BytesSent != 2048 {
		t.Errorf("%d bytes sent", r.Network.BytesSent)
	}
}

// A socket whose server is gone, or is somewhere else.
func init() {
	workloads["unix-odd"] = func([]string) {
		listen := func(name string) int {
			l := socket(unix.AF_UNIX, unix.SOCK_STREAM)
			check(unix.Bind(l, &unix.SockaddrUnix{Name: name}))
			check(unix.Listen(l, 4))
			return l
		}
		connect := func(name string) {
			check(unix.Connect(socket(unix.AF_UNIX, unix.SOCK_STREAM), &unix.SockaddrUnix{Name: name}))
		}
		// Its name has been given to another file, but a link from before still leads there.
		listen("a")
		check(os.Link("a", "b"))
		check(os.Remove("a"))
		connect("b")
		// A name without a NUL at its end, as long as can be.
		var long [110]byte
		long[0] = unix.AF_UNIX
		copy(long[2:], strings.Repeat("l", 108))
		l, c := uintptr(socket(unix.AF_UNIX, unix.SOCK_STREAM)), uintptr(socket(unix.AF_UNIX, unix.SOCK_STREAM))
		at := uintptr(ptr(&long))
		_, err := raw(unix.SYS_BIND, l, at, 110)
		check(err)
		check(unix.Listen(int(l), 1))
		_, err = raw(unix.SYS_CONNECT, c, at, 110)
		check(err)
		// From another folder, by way of what is not a name at all.
		check(os.Mkdir("d", 0o755))
		check(os.Chdir("d"))
		connect("../b")
		dir, err := unix.Open("..", unix.O_PATH, 0)
		check(err)
		connect(fmt.Sprintf("/proc/self/fd/%d/b", dir))
		expect(unix.Connect(socket(unix.AF_UNIX, unix.SOCK_STREAM), &unix.SockaddrUnix{Name: "../a"}), unix.ENOENT)
	}
}

func TestUnixOdd(t *testing.T) {
	dir := tempDir(t)
	r := record(t, workload("unix-odd"), in(dir))
	complete(t, r)
	sameSorted(t, "attempts", []string{
		"unix unix:" + dir + "/a connected 3", // as the server bound it
		"unix unix:" + dir + "/a failed 1",
		"unix unix:" + filepath.Join(dir, strings.Repeat("l", 108)) + " connected 1",
	}, attempts(r))
}

const clients = 8

func init() {
	// Connections of many threads, which open and are reset at once.
	workloads["reset-at-once"] = func(args []string) {
		each, err := strconv.Atoi(args[0])
		check(err)
		l := socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.Bind(l, inet4(0)))
		check(unix.Listen(l, 4096))
		own, err := unix.Getsockname(l)
		check(err)
		var group sync.WaitGroup
		for range clients {
			group.Go(func() {
				runtime.LockOSThread()
				for range each {
					fd, _, err := unix.Accept(l)
					check(err)
					check(unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
					check(unix.Close(fd))
				}
			})
			group.Go(func() {
				runtime.LockOSThread()
				for range each {
					fd := socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK)
					if err := unix.Connect(fd, own); !errors.Is(err, unix.EINPROGRESS) {
						check(fmt.Errorf("connect: %w", err))
					}
					_ = unix.Nanosleep(&unix.Timespec{}, nil) // the interrupt is what it is for
					settled(fd)
					_, _ = unix.Read(fd, make([]byte, 1))
					check(unix.Close(fd))
				}
			})
		}
		group.Wait()
	}
}

// The outcomes of connections come amid those of others on the same CPU: each
// attempt has its own, and none is lost.
func TestConnectCrowd(t *testing.T) {
	needEBPF(t)
	each := size(40_000) / clients
	r := record(t, workload("reset-at-once", strconv.Itoa(each)))
	complete(t, r)
	outcomes := map[string]uint64{}
	for _, a := range r.Network.Attempts {
		outcomes[a.Result] += a.Count
	}
	if n := outcomes["connected"] + outcomes["reset"]; n != uint64(clients*each) || len(outcomes) > 2 {
		t.Errorf("%d connects: %v", clients*each, outcomes)
	}
}
