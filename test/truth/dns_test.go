//go:build linux

package truth

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"glasshouse/test/recorded"
)

// zone is what the name server of these tests knows.
var zone = map[string]string{ // "name type": an address, or another name
	"plain.example. A":    "127.0.0.7",
	"plain.example. AAAA": "::1",
	"other.example. A":    "127.0.0.7",
	"alias.example. A":    "mid.example.",
	"mid.example. A":      "Real.Example.",
	"real.example. A":     "127.0.0.8",
	"loop.example. A":     "loop.example.",
	"tcp.example. A":      "127.0.0.9",
	"split.example. A":    "127.0.0.10",
	"libc.example. A":     "127.0.0.11",
	"libc.example. AAAA":  "::1",
	"large.example. A":    "127.0.0.12", // so many that only TCP holds the answer
	"child.example. A":    "127.0.0.13",
	"io\xffdd. A":         "127.0.0.14",
}

// serveDNS answers on 127.0.0.1:53, UDP and TCP. It does not return.
func serveDNS(ready func()) {
	u, err := net.ListenPacket("udp4", "127.0.0.1:53")
	check(err)
	l, err := net.Listen("tcp4", "127.0.0.1:53")
	check(err)
	ready()
	go func() {
		for {
			c, err := l.Accept()
			check(err)
			go func() {
				defer c.Close()
				for {
					var size [2]byte
					if _, err := io.ReadFull(c, size[:]); err != nil {
						return
					}
					q := make([]byte, binary.BigEndian.Uint16(size[:]))
					if _, err := io.ReadFull(c, q); err != nil {
						return
					}
					a := answer(q, false)
					if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...)); err != nil {
						return
					}
				}
			}()
		}
	}()
	buf := make([]byte, 4096)
	for {
		n, from, err := u.ReadFrom(buf)
		check(err)
		a := answer(buf[:n], true)
		if len(a) == 0 {
			continue
		}
		_, err = u.WriteTo(a, from)
		check(err)
	}
}

func answer(query []byte, udp bool) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.Additionals = true, nil
	name := q.Name.String()
	if lower(name) == "large.example." {
		if m.Truncated = udp; !udp {
			for i := range 40 {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.TXTResource{TXT: []string{strings.Repeat("x", 200+i)}},
				})
			}
		}
	}
	for range 5 {
		value, ok := zone[lower(name)+" "+strings.TrimPrefix(q.Type.String(), "Type")]
		if !ok || m.Truncated {
			break
		}
		h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: 1}
		if addr, err := netip.ParseAddr(value); err == nil {
			var body dnsmessage.ResourceBody = &dnsmessage.AAAAResource{AAAA: addr.As16()}
			if addr.Is4() {
				body = &dnsmessage.AResource{A: addr.As4()}
			}
			h.Type = q.Type
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: body})
			break
		}
		h.Type = dnsmessage.TypeCNAME
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(value)}})
		name = value
	}
	if len(m.Answers) == 0 && !m.Truncated {
		m.RCode = dnsmessage.RCodeNameError
	}
	out, err := m.Pack()
	check(err)
	return out
}

// lower leaves bytes alone that are no text.
func lower(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

func question(id uint16, name string, kind dnsmessage.Type) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	out, err := m.Pack()
	check(err)
	return out
}

// asked is what a workload asked and where it then went.
type asked struct {
	DNS   []string // name type count
	Hosts []string // address host count
}

func (a *asked) asks(name, kind string) { a.DNS = append(a.DNS, name+" "+kind+" 1") }

// goes sends a datagram to an address, and notes under which name it should be known.
func (a *asked) goes(addr, host string) {
	fd := socket(unix.AF_INET, unix.SOCK_DGRAM)
	check(unix.Connect(fd, &unix.SockaddrInet4{Addr: netip.MustParseAddr(addr).As4(), Port: 80}))
	check(unix.Close(fd))
	a.Hosts = append(a.Hosts, addr+":80 "+host+" 1")
}

func (a *asked) tell() { check(json.NewEncoder(os.Stdout).Encode(a)) }

// nameServer makes this process a network namespace's name server, with
// another process that is the client.
func nameServer(client string) {
	loopbackUp()
	ready := make(chan struct{})
	go serveDNS(func() { close(ready) })
	<-ready
	argv := workload(client)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	check(cmd.Run())
}

func dial53(kind int) int {
	fd := socket(unix.AF_INET, kind)
	check(unix.Connect(fd, inet4(53)))
	check(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	return fd
}

func readAll(fd, n int, step int) []byte {
	var out []byte
	buf := make([]byte, step)
	for len(out) < n {
		k, err := unix.Read(fd, buf[:min(step, n-len(out))])
		check(err)
		if k == 0 {
			check(errors.New("no answer"))
		}
		out = append(out, buf[:k]...)
	}
	return out
}

func prefixed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func init() {
	workloads["dns"] = func([]string) { nameServer("dns-client") }
	workloads["dns-client"] = func([]string) {
		var a asked
		buf := make([]byte, 4096)
		// As Go asks: write and read on a connected socket, A and AAAA.
		resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:53")
		}}
		a.goes("127.0.0.7", "-") // nobody has named it yet
		_, err := resolver.LookupIP(context.Background(), "ip", "plain.example.")
		check(err)
		a.asks("plain.example", "A")
		a.asks("plain.example", "AAAA")
		a.goes("127.0.0.7", "plain.example")

		// As musl asks: sendto and recvfrom on a socket that has no peer.
		fd := socket(unix.AF_INET, unix.SOCK_DGRAM)
		check(unix.Bind(fd, &unix.SockaddrInet4{}))
		check(unix.Sendto(fd, question(1, "Alias.Example.", dnsmessage.TypeA), 0, inet4(53)))
		_, _, err = unix.Recvfrom(fd, buf, 0)
		check(err)
		a.asks("Alias.Example", "A")
		a.goes("127.0.0.8", "Alias.Example") // by way of two other names

		// The last name counts.
		fd = dial53(unix.SOCK_DGRAM)
		_, err = unix.Write(fd, question(2, "other.example.", dnsmessage.TypeA))
		check(err)
		_, err = unix.Read(fd, buf)
		check(err)
		a.asks("other.example", "A")
		a.goes("127.0.0.7", "other.example")

		// As glibc asks: both questions in one call, and both answers.
		m := messages(2, 4096)
		in := messages(2, 4096)
		for i, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
			q := question(uint16(3+i), "libc.example.", kind)
			m[i].hdr.Iov.Base, m[i].hdr.Iov.Len = &q[0], uint64(len(q))
		}
		if mmsg(unix.SYS_SENDMMSG, fd, m, 0) != 2 || mmsg(unix.SYS_RECVMMSG, fd, in, 0) != 2 {
			check(errors.New("not both"))
		}
		a.asks("libc.example", "A")
		a.asks("libc.example", "AAAA")
		a.goes("127.0.0.11", "libc.example")

		// TCP: the length, then the question, read byte by byte.
		tcp := dial53(unix.SOCK_STREAM)
		q := question(5, "tcp.example.", dnsmessage.TypeA)
		_, err = unix.Write(tcp, prefixed(q)[:2])
		check(err)
		_, err = unix.Write(tcp, q)
		check(err)
		n := binary.BigEndian.Uint16(readAll(tcp, 2, 2))
		readAll(tcp, int(n), 1)
		a.asks("tcp.example", "A")
		a.goes("127.0.0.9", "tcp.example")

		// Two questions in one write, the second cut in the middle of its length.
		one, two := prefixed(question(6, "none.example.", dnsmessage.TypeMX)), prefixed(question(7, "split.example.", dnsmessage.TypeA))
		both := append(one, two...)
		_, err = unix.Write(tcp, both[:len(one)+1])
		check(err)
		v := [][]byte{both[len(one)+1 : len(one)+5], both[len(one)+5:]}
		_, err = unix.Writev(tcp, v)
		check(err)
		for range 2 {
			n := binary.BigEndian.Uint16(readAll(tcp, 2, 2))
			readAll(tcp, int(n), 4096)
		}
		a.asks("none.example", "MX")
		a.asks("split.example", "A")
		a.goes("127.0.0.10", "split.example")

		// Too large for UDP.
		_, err = resolver.LookupIP(context.Background(), "ip4", "large.example.")
		if err == nil {
			a.DNS = append(a.DNS, "large.example A 2")
		} else {
			check(err)
		}

		// A message in pieces, by sendmsg.
		q = question(8, "loop.example.", dnsmessage.TypeA)
		_, err = unix.SendmsgBuffers(fd, [][]byte{q[:3], q[3:20], q[20:]}, nil, nil, 0)
		check(err)
		_, err = unix.Read(fd, buf)
		check(err)
		a.asks("loop.example", "A")

		// Bytes in a name that are no text, and a type without a name.
		_, err = unix.Write(fd, question(9, "io\xffdd.", dnsmessage.TypeA))
		check(err)
		_, err = unix.Read(fd, buf)
		check(err)
		a.asks(`io\xffdd`, "A")
		a.goes("127.0.0.14", `io\xffdd`)
		_, err = unix.Write(fd, question(10, ".", 4711))
		check(err)
		_, err = unix.Read(fd, buf)
		check(err)
		a.asks(".", "TYPE4711")
		a.tell()
	}
	// What is no question, and answers that nobody asked for.
	workloads["dns-odd"] = func([]string) {
		var a asked
		loopbackUp()
		buf := make([]byte, 4096)
		server := socket(unix.AF_INET, unix.SOCK_DGRAM)
		check(unix.Bind(server, inet4(53)))
		client := socket(unix.AF_INET, unix.SOCK_DGRAM)
		check(unix.Bind(client, inet4(0)))
		to, err := unix.Getsockname(client)
		check(err)
		check(unix.Connect(client, inet4(53)))

		junk := [][]byte{{0}, []byte("hello name server"), question(1, "cut.example.", dnsmessage.TypeA)[:20], make([]byte, 12)}
		for _, b := range junk {
			_, err := unix.Write(client, b)
			check(err)
		}
		// Not read whole: it lies in more pieces than are looked at.
		q := question(2, "pieces-pieces-pieces.example.", dnsmessage.TypeA)
		var pieces [][]byte
		for i := range q {
			pieces = append(pieces, q[i:i+1])
		}
		_, err = unix.SendmsgBuffers(client, pieces, nil, nil, 0)
		check(err)
		// From memory that no call names.
		f, err := os.Create("q")
		check(err)
		_, err = f.Write(q)
		check(err)
		_, err = unix.Sendfile(client, int(f.Fd()), new(int64), len(q))
		check(err)

		// Answers: to nothing, to another id, to another name, and junk.
		_, err = unix.Write(client, question(7, "spoof.example.", dnsmessage.TypeA))
		check(err)
		a.asks("spoof.example", "A")
		spoof := func(id uint16, name, addr string) []byte {
			m := dnsmessage.Message{
				Header:    dnsmessage.Header{ID: id, Response: true},
				Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
				Answers: []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{A: netip.MustParseAddr(addr).As4()},
				}},
			}
			b, err := m.Pack()
			check(err)
			return b
		}
		for _, b := range [][]byte{
			spoof(8, "spoof.example.", "127.0.0.20"), spoof(7, "bank.example.", "127.0.0.20"), []byte("junk"),
			question(7, "spoof.example.", dnsmessage.TypeA), // a question is no answer
		} {
			check(unix.Sendto(server, b, 0, to))
			_, _, err := unix.Recvfrom(client, buf, unix.MSG_PEEK) // a look is not yet a receipt
			check(err)
			_, err = unix.Read(client, buf)
			check(err)
		}
		a.goes("127.0.0.20", "-")
		check(unix.Sendto(server, spoof(7, "SPOOF.example.", "127.0.0.20"), 0, to))
		_, err = unix.Read(client, buf)
		check(err)
		a.goes("127.0.0.20", "SPOOF.example")

		// No name server's language at all.
		l := socket(unix.AF_INET, unix.SOCK_STREAM)
		check(unix.Bind(l, inet4(53)))
		check(unix.Listen(l, 1))
		tcp := dial53(unix.SOCK_STREAM)
		for range 3 {
			_, err = unix.Write(tcp, []byte("GET / HTTP/1.1\r\n\r\n"))
			check(err)
		}
		a.tell()
	}
	workloads["dns-libc"] = func([]string) { nameServer("dns-libc-client") }
	workloads["dns-libc-client"] = func([]string) {
		out, err := exec.Command("getent", "ahosts", "libc.example").Output()
		check(err)
		if !strings.Contains(string(out), "127.0.0.11") {
			check(fmt.Errorf("getent said %q", out))
		}
		// One process asks, its parent goes there.
		var a asked
		a.asks("libc.example", "A")
		a.asks("libc.example", "AAAA")
		a.goes("127.0.0.11", "libc.example")
		a.tell()
	}
}

// sameNames compares the questions, and the names beside the addresses at port 80.
func sameNames(t *testing.T, r recording, more ...string) {
	t.Helper()
	complete(t, r)
	var a asked
	if err := json.Unmarshal([]byte(r.stdout), &a); err != nil {
		t.Fatalf("%v: %s", err, r.stdout)
	}
	var dns, hosts []string
	for _, q := range r.Network.DNS {
		dns = append(dns, fmt.Sprintf("%s %s %d", q.Name, q.Type, q.Count))
		if q.Server != "127.0.0.1:53" {
			t.Errorf("%+v", q)
		}
	}
	for _, at := range r.Network.Attempts {
		host := "-"
		if at.Host != nil {
			host = *at.Host
		}
		if strings.HasSuffix(at.Dst, ":80") {
			hosts = append(hosts, fmt.Sprintf("%s %s %d", at.Dst, host, at.Count))
		} else if host != "-" && host != "plain.example" && host != "libc.example" { // resolvers try the addresses that they found
			t.Errorf("%+v has host %s", at, host)
		}
	}
	sameSorted(t, "dns", append(a.DNS, more...), dns)
	sameSorted(t, "hosts", a.Hosts, hosts)
}

func TestDNS(t *testing.T) {
	r := record(t, ownNet(t, "dns"), patient)
	sameNames(t, r)
	if n := gap(r, "dns", ""); n != 1 { // the large answer, which is cut
		t.Errorf("%d gaps: %+v", n, r.Observation.Gaps)
	}
}

func TestDNSOdd(t *testing.T) {
	r := record(t, ownNet(t, "dns-odd"), in(tempDir(t)), patient)
	pieces := 1 // a question in more pieces than the kernel's programs read
	if recorded.Observe == "ptrace" {
		pieces = 0
		sameNames(t, r, "pieces-pieces-pieces.example A 1")
	} else {
		sameNames(t, r)
	}
	if n := gap(r, "dns", "to port 53"); n != uint64(4+1+1+pieces) {
		t.Errorf("%d were no questions: %+v", n, r.Observation.Gaps)
	}
	if n := gap(r, "dns", "from port 53"); n != 1 {
		t.Errorf("%d were no answers: %+v", n, r.Observation.Gaps)
	}
}

// The C library's own resolver, with a configuration of the test's own.
func TestDNSLibc(t *testing.T) {
	needRoot(t)
	dir := tempDir(t)
	write(t, filepath.Join(dir, "resolv.conf"), "nameserver 127.0.0.1\n")
	write(t, filepath.Join(dir, "nsswitch.conf"), "hosts: dns\n")
	script := fmt.Sprintf("mount --bind %s/resolv.conf /etc/resolv.conf && mount --bind %s/nsswitch.conf /etc/nsswitch.conf && exec %s",
		dir, dir, strings.Join(workload("dns-libc"), " "))
	r := record(t, []string{"unshare", "--net", "--mount", "sh", "-c", script}, patient)
	sameNames(t, r)
}
