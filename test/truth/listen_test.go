//go:build linux

package truth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"glasshouse/receipt"
)

// boundTo is a socket's own address as a receipt writes it.
func boundTo(fd int) string {
	sa, err := unix.Getsockname(fd)
	check(err)
	return inetName(sa)
}

func inetName(sa unix.Sockaddr) string {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)).String()
	case *unix.SockaddrUnix:
		return "unix:" + sa.Name
	}
	return "?"
}

// did is what a workload did, as far as a receipt lists it.
type did struct{ Listens, Accepts, Attempts []string }

func (d *did) listens(protocol, addr string) { d.Listens = append(d.Listens, protocol+" "+addr) }

func (d *did) accepts(protocol, src, addr string) {
	d.Accepts = append(d.Accepts, protocol+" "+src+" at "+addr+" 1")
}

func (d *did) attempts(protocol, dst, result string) {
	d.Attempts = append(d.Attempts, protocol+" "+dst+" "+result+" 1")
}

func (d *did) tell() { check(json.NewEncoder(os.Stdout).Encode(d)) }

func listens(r recording) (out []string) {
	for _, l := range r.Network.Listens {
		out = append(out, l.Protocol+" "+l.Addr)
	}
	return out
}

func accepts(r recording) (out []string) {
	for _, a := range r.Network.Accepts {
		out = append(out, fmt.Sprintf("%s %s at %s %d", a.Protocol, a.Src, a.Addr, a.Count))
	}
	return out
}

// sameSorted compares lists whose order does not matter.
func sameSorted(t *testing.T, what string, want, got []string) {
	t.Helper()
	want, got = slices.Clone(want), slices.Clone(got)
	slices.Sort(want)
	slices.Sort(got)
	same(t, what, want, got)
}

// compare holds all that the receipt says of the network against what the workload did.
func compare(t *testing.T, r recording) {
	t.Helper()
	complete(t, r)
	var d did
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil {
		t.Fatalf("%v: %s", err, r.stdout)
	}
	sameSorted(t, "listens", d.Listens, listens(r))
	sameSorted(t, "accepts", d.Accepts, accepts(r))
	sameSorted(t, "attempts", d.Attempts, attempts(r))
	for _, l := range r.Network.Listens {
		if l.PID != root(t, r).PID {
			t.Errorf("%+v", l)
		}
	}
}

func gap(r recording, kind, detail string) uint64 {
	for _, g := range r.Observation.Gaps {
		if g.Kind == kind && strings.Contains(g.Detail, detail) {
			return g.Count
		}
	}
	return 0
}

// streamServer makes a listener at an address, connects to it, and accepts.
func (d *did) streamServer(family, kind, protocol int, name string, at, to unix.Sockaddr) {
	l, err := unix.Socket(family, kind, protocol)
	check(err)
	check(unix.Bind(l, at))
	check(unix.Listen(l, 8))
	check(unix.Listen(l, 16)) // a longer queue, not another listener
	own := boundTo(l)
	if name == "mptcp" {
		d.listens("tcp", own) // which it answers too
	} else {
		d.listens(name, own)
	}
	_, port, err := net.SplitHostPort(own)
	check(err)
	p, err := strconv.Atoi(port)
	check(err)
	switch to := to.(type) {
	case *unix.SockaddrInet4:
		to.Port = p
	case *unix.SockaddrInet6:
		to.Port = p
	}
	family = unix.AF_INET6
	if _, ok := to.(*unix.SockaddrInet4); ok {
		family = unix.AF_INET
	}
	for range 2 {
		c, err := unix.Socket(family, kind, protocol)
		check(err)
		check(unix.Connect(c, to))
		accepted, from, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
		check(err)
		peer, err := unix.Getpeername(c)
		check(err)
		d.accepts(name, inetName(from), inetName(peer))
		check(unix.Close(accepted))
		check(unix.Close(c))
	}
	d.Attempts = append(d.Attempts, name+" "+inetName(to)+" connected 2")
	check(unix.Close(l))
}

func init() {
	workloads["listen-tcp"] = func(args []string) {
		var d did
		d.streamServer(unix.AF_INET, unix.SOCK_STREAM, 0, "tcp", inet4(0), inet4(0))
		d.streamServer(unix.AF_INET, unix.SOCK_STREAM, 0, "tcp", &unix.SockaddrInet4{}, inet4(0))
		if args[0] == "6" {
			d.streamServer(unix.AF_INET6, unix.SOCK_STREAM, 0, "tcp", inet6(0), inet6(0))
			// One that takes both kinds, called as either.
			d.streamServer(unix.AF_INET6, unix.SOCK_STREAM, 0, "tcp", &unix.SockaddrInet6{}, inet4(0))
			d.streamServer(unix.AF_INET6, unix.SOCK_STREAM, 0, "tcp", &unix.SockaddrInet6{}, inet6(0))
			d.streamServer(unix.AF_INET6, unix.SOCK_STREAM, 0, "tcp", mapped(0), mapped(0))
		}
		// Bound by listen itself.
		l := socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.Listen(l, 1))
		d.listens("tcp", boundTo(l))
		// Bound, and no listener.
		fd := socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.Bind(fd, inet4(0)))
		// No listener, for somebody is there already.
		fd = socket(unix.AF_INET, unix.SOCK_STREAM)
		sa, err := unix.Getsockname(l)
		check(err)
		expect(unix.Bind(fd, sa), unix.EADDRINUSE)
		expect(unix.Listen(socket(unix.AF_INET, unix.SOCK_DGRAM), 1), unix.EOPNOTSUPP)
		// Nobody comes.
		check(unix.SetNonblock(l, true))
		_, _, err = unix.Accept(l)
		expect(err, unix.EAGAIN)
		d.tell()
	}
	workloads["listen-udp"] = func([]string) {
		var d did
		// A server at a port that it chose.
		fd := socket(unix.AF_INET, unix.SOCK_DGRAM)
		check(unix.Bind(fd, inet4(0)))
		port := func(fd int) int {
			sa, err := unix.Getsockname(fd)
			check(err)
			return sa.(*unix.SockaddrInet4).Port
		}
		free := port(fd)
		check(unix.Close(fd)) // never used: for all that is known it awaited somebody
		d.listens("udp", "127.0.0.1:"+strconv.Itoa(free))

		server := socket(unix.AF_INET, unix.SOCK_DGRAM)
		check(unix.Bind(server, &unix.SockaddrInet4{Port: free}))
		d.listens("udp", "0.0.0.0:"+strconv.Itoa(free))

		// A client that binds its socket to any port before it asks, as musl's resolver does.
		client := socket(unix.AF_INET, unix.SOCK_DGRAM)
		check(unix.Bind(client, &unix.SockaddrInet4{}))
		check(unix.Sendto(client, []byte("ask"), 0, inet4(free)))
		d.attempts("udp", "127.0.0.1:"+strconv.Itoa(free), "sent")
		buf := make([]byte, 100)
		_, from, err := unix.Recvfrom(server, buf, 0)
		check(err)
		check(unix.Sendto(server, []byte("answer"), 0, from)) // a server that answers stays one
		d.attempts("udp", inetName(from), "sent")
		_, _, err = unix.Recvfrom(client, buf, 0)
		check(err)

		// The same, and connected instead.
		connected := socket(unix.AF_INET, unix.SOCK_DGRAM)
		check(unix.Bind(connected, inet4(0)))
		check(unix.Connect(connected, inet4(free)))
		d.attempts("udp", "127.0.0.1:"+strconv.Itoa(free), "connected")

		// A server at a port of the kernel's choice: it hears before it speaks.
		server2 := socket(unix.AF_INET, unix.SOCK_DGRAM)
		check(unix.Bind(server2, inet4(0)))
		d.listens("udp", boundTo(server2))
		_, err = unix.Write(connected, []byte("x"))
		check(err)
		check(unix.Connect(connected, inet4(port(server2))))
		d.attempts("udp", boundTo(server2), "connected")
		_, err = unix.Write(connected, []byte("x"))
		check(err)
		_, from, err = unix.Recvfrom(server2, buf, 0)
		check(err)
		check(unix.Sendto(server2, []byte("answer"), 0, from))
		d.attempts("udp", inetName(from), "sent")
		d.tell()
	}
	workloads["listen-unix"] = func([]string) {
		var d did
		dir := cwd()
		pair := func(kind int, name, shown string) {
			l := socket(unix.AF_UNIX, kind)
			check(unix.Bind(l, &unix.SockaddrUnix{Name: name}))
			check(unix.Listen(l, 4))
			d.listens("unix", shown)
			c := socket(unix.AF_UNIX, kind)
			check(unix.Connect(c, &unix.SockaddrUnix{Name: name}))
			d.attempts("unix", shown, "connected")
			_, _, err := unix.Accept(l)
			check(err)
			d.accepts("unix", "unix:", shown)

			named := socket(unix.AF_UNIX, kind)
			check(unix.Bind(named, &unix.SockaddrUnix{Name: name + ".client"}))
			check(unix.Connect(named, &unix.SockaddrUnix{Name: name}))
			_, _, err = unix.Accept(l)
			check(err)
			d.accepts("unix", shown+".client", shown)
			d.Attempts[len(d.Attempts)-1] = "unix " + shown + " connected 2"
		}
		abstract := "truth " + filepath.Base(dir) + "\x00x"
		pair(unix.SOCK_STREAM, "sub/../stream", "unix:"+dir+"/stream")
		pair(unix.SOCK_SEQPACKET, dir+"/packets", "unix:"+dir+"/packets")
		pair(unix.SOCK_STREAM, "@"+abstract, "unix:@"+strings.ReplaceAll(abstract, "\x00", "@"))
		// Datagrams are awaited from the bind on.
		server := socket(unix.AF_UNIX, unix.SOCK_DGRAM)
		check(unix.Bind(server, &unix.SockaddrUnix{Name: "datagrams"}))
		d.listens("unix", "unix:"+dir+"/datagrams")
		check(unix.Sendto(socket(unix.AF_UNIX, unix.SOCK_DGRAM), []byte("x"), 0, &unix.SockaddrUnix{Name: "datagrams"}))
		d.attempts("unix", "unix:"+dir+"/datagrams", "sent")
		// A client with an address of the kernel's choice.
		client := socket(unix.AF_UNIX, unix.SOCK_DGRAM)
		_, _, errno := unix.Syscall(unix.SYS_BIND, uintptr(client), familyUnix(), 2)
		check(result(errno))
		check(unix.Sendto(client, []byte("x"), 0, &unix.SockaddrUnix{Name: dir + "/datagrams"}))
		d.Attempts[len(d.Attempts)-1] = "unix unix:" + dir + "/datagrams sent 2"
		// Not a name to be had.
		expect(unix.Bind(socket(unix.AF_UNIX, unix.SOCK_STREAM), &unix.SockaddrUnix{Name: "stream"}), unix.EADDRINUSE)
		expect(unix.Bind(socket(unix.AF_UNIX, unix.SOCK_STREAM), &unix.SockaddrUnix{Name: "none/s"}), unix.ENOENT)
		// Pairs have no names and await nobody.
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		check(err)
		_, err = unix.Write(fds[0], []byte("x"))
		check(err)
		d.tell()
	}
	workloads["mptcp"] = func([]string) {
		var d did
		d.streamServer(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, "mptcp", inet4(0), inet4(0))
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, unix.IPPROTO_MPTCP)
		check(err)
		closed := socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.Bind(closed, inet4(0)))
		sa, err := unix.Getsockname(closed)
		check(err)
		expect(unix.Connect(fd, sa), unix.EINPROGRESS)
		settled(fd)
		d.attempts("mptcp", inetName(sa), unasked("refused"))
		d.tell()
	}
}

func TestListenTCP(t *testing.T) {
	has6 := "4"
	if fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
		unix.Close(fd)
		if echo(t, "tcp6", "[::1]:0") != 0 {
			has6 = "6"
		}
	}
	compare(t, record(t, workload("listen-tcp", has6)))
}

func TestListenUDP(t *testing.T) {
	compare(t, record(t, workload("listen-udp")))
}

func TestListenUnix(t *testing.T) {
	dir := tempDir(t)
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := record(t, workload("listen-unix"), in(dir))
	compare(t, r)
	files := []string{"datagrams", "packets", "packets.client", "stream", "stream.client"}
	var made []string
	for _, c := range r.Filesystem.Created {
		if strings.HasPrefix(c.Path, dir+"/") {
			made = append(made, strings.TrimPrefix(c.Path, dir+"/"))
			if c.Kind != "socket" || c.Source != receipt.SourceKernel {
				t.Errorf("%+v", c)
			}
		}
	}
	same(t, "created", files, made)
	same(t, "failed", []string{"bind none/s ENOENT 1", "bind stream EADDRINUSE 1"}, failed(r, dir))
}

func TestMPTCP(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ENOPROTOOPT) {
		t.Skip("this kernel has no MPTCP: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	compare(t, record(t, workload("mptcp")))
}

func init() {
	workloads["own-service"] = func(args []string) {
		l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		check(err)
		check(unix.Bind(l, &unix.SockaddrUnix{Name: "own"}))
		check(unix.Listen(l, 8))
		for _, name := range []string{"own", "own", "other"} {
			c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			check(err)
			check(unix.Connect(c, &unix.SockaddrUnix{Name: name}))
		}
	}
}

// A service of the run's own hides no work; one of others may.
func TestOwnService(t *testing.T) {
	dir := tempDir(t)
	l, err := net.Listen("unix", filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := record(t, workload("own-service"), in(dir))
	complete(t, r)
	same(t, "attempts", []string{"unix unix:" + dir + "/other connected 1", "unix unix:" + dir + "/own connected 2"}, attempts(r))
	same(t, "daemons", []string{"unix:" + dir + "/other 1"}, gapsOf(r, "daemon"))
}
