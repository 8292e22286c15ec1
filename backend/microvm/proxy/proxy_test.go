package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glasshouse/backend/microvm/channel"
)

// names are what the resolver of the tests knows.
var names = map[string][]string{
	"allowed.example": {"127.0.0.1"},
	"other.example":   {"127.0.0.1"},
	"sneaky.example":  {"127.0.0.2"},
	"empty.example":   {},
	"both.example":    {"127.0.0.2", "127.0.0.1"},
}

// started is a proxy that listens on this machine, as a guest finds it.
type started struct {
	*Proxy
	addr string

	mu     sync.Mutex
	looked []string // names that were looked up
}

func start(t *testing.T, rules ...string) *started {
	t.Helper()
	p := prepare(t, rules...)
	p.listen(t)
	return p
}

func prepare(t *testing.T, rules ...string) *started {
	t.Helper()
	p := &started{Proxy: New(parse(t, rules...))}
	p.lookup = func(_ context.Context, name string) ([]netip.Addr, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.looked = append(p.looked, name)
		list, ok := names[name]
		if !ok {
			return nil, errors.New("no such host")
		}
		var out []netip.Addr
		for _, s := range list {
			out = append(out, netip.MustParseAddr(s))
		}
		return out, nil
	}
	return p
}

func (p *started) listen(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- p.Serve(l) }()
	t.Cleanup(func() {
		p.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

func (p *started) call(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// say sends requests and returns the answers, of which the body is a part.
func (p *started) say(t *testing.T, text string, answers int) (out []string) {
	t.Helper()
	c := p.call(t)
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for range answers {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%v, after %q", err, out)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strconv.Itoa(res.StatusCode)+" "+string(body))
	}
	return out
}

// told is the report in short.
func (p *started) told() (list []string) {
	for _, r := range p.Report().Requests {
		list = append(list, fmt.Sprintf("%s %s:%d %s", r.Kind, r.Host, r.Port, r.Result))
	}
	return list
}

// site answers with the Host, path and some headers that it got.
func site(t *testing.T) (port string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s%s %s|%s|%s", r.Method, r.Host, r.RequestURI, body, r.Header.Get("Proxy-Authorization"), r.Header.Get("X-Forwarded-For"))
	}))
	t.Cleanup(s.Close)
	_, port, _ = net.SplitHostPort(s.Listener.Addr().String())
	return port
}

func TestPlain(t *testing.T) {
	port := site(t)
	p := start(t, "allowed.example:"+port, "127.0.0.1:"+port)
	at := "allowed.example:" + port
	got := p.say(t, "POST http://Allowed.example.:"+port+"/a%2Fb?c;d=%zz HTTP/1.1\r\nHost: x\r\nProxy-Authorization: secret\r\nX-Forwarded-For: me\r\nContent-Length: 3\r\n\r\nabc", 1)
	if want := []string{"200 POST Allowed.example.:" + port + "/a%2Fb?c;d=%zz abc||me"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	r := p.Report()
	if len(r.Requests) != 1 {
		t.Fatalf("%+v", r.Requests)
	}
	q := r.Requests[0]
	if q.Host != "allowed.example" || fmt.Sprint(q.Port) != port || q.Address.String() != "127.0.0.1:"+port || q.Result != "connected" || q.Reason != "" ||
		q.Sent < 100 || q.Sent > 400 || q.Received < 80 || q.Received > 400 || q.Took <= 0 {
		t.Errorf("%+v", q)
	}
	if want := []Attempt{{"127.0.0.1:" + port, "allowed.example", "connected", 1}}; !slices.Equal(r.Attempts, want) {
		t.Errorf("%+v", r.Attempts)
	}
	if !slices.Equal(r.Allow, []string{at, "127.0.0.1:" + port}) {
		t.Errorf("%q", r.Allow)
	}
}

// Each request of a connection is looked at, and the header Host changes nothing.
func TestEachRequest(t *testing.T) {
	port := site(t)
	p := start(t, "allowed.example:"+port, "127.0.0.1:"+port)
	get := func(host, header string) string {
		return "GET http://" + host + ":" + port + "/ HTTP/1.1\r\nHost: " + header + "\r\n\r\n"
	}
	text := get("allowed.example", "allowed.example") + get("other.example", "allowed.example") + get("other.example", "other.example") +
		get("allowed.example", "other.example") + get("127.0.0.1", "other.example") + get("127.0.0.2", "127.0.0.1")
	ok := func(host string) string { return "200 GET " + host + ":" + port + "/ ||" }
	no := func(host string) string {
		return "403 glasshouse: " + host + ":" + port + ": not allowed: it needs --net-allow " + host + ":" + port + "\n"
	}
	// Pipelined: all are sent before an answer is read.
	got := p.say(t, text, 6)
	want := []string{ok("allowed.example"), no("other.example"), no("other.example"), ok("allowed.example"), ok("127.0.0.1"), no("127.0.0.2")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"http allowed.example:" + port + " connected", "http other.example:" + port + " denied", "http other.example:" + port + " denied",
		"http allowed.example:" + port + " connected", "http 127.0.0.1:" + port + " connected", "http 127.0.0.2:" + port + " denied",
	}, p.told()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, a := range p.Report().Attempts {
		if a.Host == "other.example" && (a.Count != 2 || a.Dst != "other.example:"+port || a.Result != "denied") {
			t.Errorf("%+v", a)
		}
	}
	// A name that is not allowed tells no name server anything.
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.looked, "other.example") {
		t.Errorf("looked up: %q", p.looked)
	}
}

// echo sends back what it gets in capitals, and ends when its peer has.
func echo(t *testing.T) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b, _ := io.ReadAll(c) // to the end of that direction alone
				_, _ = c.Write(bytes.ToUpper(b))
			}()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

func TestTunnel(t *testing.T) {
	port := echo(t)
	p := start(t, "allowed.example:"+port, "127.0.0.1:"+port)
	c := p.call(t)
	// What follows the head at once belongs to the peer.
	_, _ = io.WriteString(c, "CONNECT allowed.example:"+port+" HTTP/1.1\r\nHost: other.example:1\r\n\r\nearly ")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	big := strings.Repeat("x", 1<<20)
	_, _ = io.WriteString(c, "GET http://other.example/ HTTP/1.1\r\n\r\n"+big)
	_ = c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(r)
	if want := "EARLY GET HTTP://OTHER.EXAMPLE/ HTTP/1.1\r\n\r\n" + strings.ToUpper(big); err != nil || string(got) != want {
		t.Errorf("%.60q, %d bytes, %v", got, len(got), err)
	}
	p.Close()
	q := p.Report().Requests
	if len(q) != 1 || q[0].Kind != "connect" || q[0].Result != "connected" || q[0].Sent != uint64(len(got)) || q[0].Received != uint64(len(got)) {
		t.Errorf("%+v", q)
	}
}

// Who is not allowed, in whatever form it is asked for, gets no connection, and
// leaves a line.
func TestDenied(t *testing.T) {
	port := site(t)
	n, _ := strconv.Atoi(port)
	p := start(t, "allowed.example:"+port, "sneaky.example:"+port, "both.example:1", "*:"+strconv.Itoa(n-1))
	for _, c := range []struct {
		request string
		dst     string // of the attempt
		why     string // in the answer
	}{
		{"CONNECT other.example:" + port, "other.example:" + port, "not allowed: it needs --net-allow other.example:" + port},
		{"CONNECT allowed.example:22", "allowed.example:22", "not allowed"},
		{"CONNECT 127.0.0.1:" + port, "127.0.0.1:" + port, "not allowed: it needs --net-allow 127.0.0.1:" + port},
		{"CONNECT [::ffff:127.0.0.1]:" + port, "127.0.0.1:" + port, "not allowed"},
		{"CONNECT [::1]:" + port, "[::1]:" + port, "not allowed"},
		{"CONNECT 0.0.0.0:" + port, "0.0.0.0:" + port, "not allowed"},
		{"CONNECT 2130706433:" + port, "2130706433:" + port, "none in the usual form"},
		{"CONNECT 0x7f.1:" + port, "0x7f.1:" + port, "none in the usual form"},
		{"CONNECT 127.1:" + port, "127.1:" + port, "none in the usual form"},
		{"CONNECT localhost:" + port, "localhost:" + port, "not allowed"},
		{"CONNECT a@allowed.example:" + port, "allowed.example:" + port, "a user in the address"},
		{"CONNECT allowed.example", "allowed.example", "no port is named"},
		{"CONNECT [fe80::1%25lo]:" + port, "[fe80::1%lo]:" + port, "zone"},
		{"GET http://a:b@allowed.example:" + port + "/", "allowed.example:" + port, "a user in the address"},
		{"GET https://allowed.example:" + port + "/", "allowed.example:" + port, "only http is passed on"},
		{"GET ftp://allowed.example:" + port + "/", "allowed.example:" + port, "only http is passed on"},
		{"GET http://%e4.example:" + port + "/", "\uFFFD.example:" + port, "xn--"},
		// Allowed by name, and it leads where only an address that is named may be reached.
		{"CONNECT allowed.example:" + port, "allowed.example:" + port, "the name leads to an address that is the host's own or near it"},
		{"GET http://sneaky.example:" + port + "/", "sneaky.example:" + port, "the name leads to an address that is the host's own or near it"},
		{"CONNECT both.example:1", "both.example:1", "the host's own or near it"},
		{"CONNECT other.example:" + strconv.Itoa(n-1), "other.example:" + strconv.Itoa(n-1), "the host's own or near it"},
	} {
		before := p.Report()
		got := p.say(t, c.request+" HTTP/1.1\r\nHost: allowed.example:"+port+"\r\n\r\n", 1)[0]
		if !strings.HasPrefix(got, "403 glasshouse: ") || !strings.Contains(got, c.why) || strings.Contains(got, "127.0.0.2") {
			t.Errorf("%s: %q, want %q", c.request, got, c.why)
		}
		after := p.Report()
		if len(after.Requests) != len(before.Requests)+1 {
			t.Errorf("%s: %d requests are told of", c.request, len(after.Requests)-len(before.Requests))
		}
		if last := after.Requests[len(after.Requests)-1]; last.Result != "denied" || last.Reason == "" || last.Address.IsValid() || last.Sent+last.Received > 0 {
			t.Errorf("%s: %+v", c.request, last)
		}
		if !slices.ContainsFunc(after.Attempts, func(a Attempt) bool { return a.Dst == c.dst && a.Result == "denied" }) {
			t.Errorf("%s: %+v", c.request, after.Attempts)
		}
	}
}

// An address that a rule names is enough for a name that leads there, if that is
// allowed as well; of several addresses those that may not be reached are not.
func TestBoth(t *testing.T) {
	port := site(t)
	p := start(t, "both.example:"+port, "127.0.0.1:"+port)
	if got := p.say(t, "GET http://both.example:"+port+"/ HTTP/1.0\r\n\r\n", 1)[0]; !strings.HasPrefix(got, "200 ") {
		t.Error(got)
	}
	if got := p.Report().Requests[0].Address.String(); got != "127.0.0.1:"+port {
		t.Error(got)
	}
}

// What fails is told as what it is.
func TestFailed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	p := start(t, "*:"+port, "127.0.0.0/8:"+port)
	for _, c := range []struct{ request, answer, told string }{
		{"CONNECT 127.0.0.1:" + port, "502 glasshouse: 127.0.0.1:" + port + ": there was no connection: refused\n", "connect 127.0.0.1:" + port + " refused"},
		{"GET http://127.0.0.1:" + port + "/", "502 glasshouse: 127.0.0.1:" + port + ": there was no connection: refused\n", "http 127.0.0.1:" + port + " refused"},
		{"CONNECT missing.example:" + port, "502 glasshouse: missing.example:" + port + ": the name could not be looked up\n", "connect missing.example:" + port + " failed"},
		{"CONNECT empty.example:" + port, "502 glasshouse: empty.example:" + port + ": the name leads to no address\n", "connect empty.example:" + port + " failed"},
	} {
		if got := p.say(t, c.request+" HTTP/1.1\r\nHost: x\r\n\r\n", 1)[0]; got != c.answer {
			t.Errorf("%s: %q", c.request, got)
		}
		told := p.told()
		if last := told[len(told)-1]; last != c.told {
			t.Errorf("%s: %q", c.request, last)
		}
	}
}

// So is what fails before anybody is called, or behind that: there was a
// connection then.
func TestFailedOtherwise(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "SSH-2.0-x\r\n")
			_ = c.Close()
		}
	}()
	at := l.Addr().String()
	const told = ": the peer ended the connection, or does not speak HTTP\n"
	for name, c := range map[string]struct {
		transport http.RoundTripper
		result    string
		count     uint64
	}{
		"before": {failing{}, "failed", 1},
		"behind": {nil, "connected", 1},
	} {
		p := prepare(t, at)
		if c.transport != nil {
			p.plain.Transport = c.transport
		}
		p.listen(t)
		if got := p.say(t, "GET http://"+at+"/ HTTP/1.1\r\nHost: x\r\n\r\n", 1)[0]; got != "502 glasshouse: "+at+told {
			t.Errorf("%s: %q", name, got)
		}
		if r := p.Report(); len(r.Requests) != 1 || r.Requests[0].Result != c.result || len(r.Attempts) != 1 || r.Attempts[0].Result != c.result || r.Attempts[0].Count != c.count {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

type failing struct{}

func (failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("no") }

// A connection that is to speak another protocol does.
func TestUpgrade(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\n")
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(c, strings.ToUpper(line))
	}))
	defer s.Close()
	at := s.Listener.Addr().String()
	p := start(t, at)
	c := p.call(t)
	_, _ = io.WriteString(c, "GET http://"+at+"/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatal(res, err)
	}
	_, _ = io.WriteString(c, "hello\n")
	if got, err := io.ReadAll(r); string(got) != "HELLO\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// What is no request to a proxy gets an answer and no connection.
func TestNonsense(t *testing.T) {
	p := start(t, "*:*", "127.0.0.0/8:*")
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n":                                                                "400 ",
		"OPTIONS * HTTP/1.1\r\nHost: allowed.example\r\n\r\n":                                                            "400 ",
		"CONNECT /x HTTP/1.1\r\nHost: allowed.example\r\n\r\n":                                                           "400 ",
		"GET http://allowed.example/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":                                             "400 ",
		"GET http://allowed.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx":            "400 ",
		"GET http://allowed.example/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\nx": "501 ",
		"GET http://allowed.example/ HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n":                                               "400 ",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n":                                                           "400 ",
		"GET http://allowed.example/ HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 80<<10) + "\r\n\r\n":              "431 ",
	} {
		if got := p.say(t, request, 1)[0]; !strings.HasPrefix(got, want) {
			t.Errorf("%.90q: %q", request, got)
		}
	}
	if told := p.told(); len(told) > 0 {
		t.Errorf("%q", told)
	}
}

// A head that does not come is not waited for without end.
func TestSlow(t *testing.T) {
	p := prepare(t, "*")
	p.server.ReadHeaderTimeout = 200 * time.Millisecond
	p.listen(t)
	c := p.call(t)
	begin := time.Now()
	go func() {
		for range 100 {
			if _, err := io.WriteString(c, "G"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	_, _ = io.ReadAll(c)
	if took := time.Since(begin); took > 1500*time.Millisecond {
		t.Errorf("it waited for %v", took)
	}
}

// Who hangs up in the middle, on either side, ends the transfer for the other.
func TestHangup(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	p := start(t, "127.0.0.1:"+port)
	peer := make(chan *net.TCPConn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			peer <- c.(*net.TCPConn)
		}
	}()
	tunnel := "CONNECT 127.0.0.1:" + port + " HTTP/1.1\r\nHost: x\r\n\r\n"
	plain := "GET http://127.0.0.1:" + port + "/ HTTP/1.1\r\nHost: x\r\n\r\n"
	// An answer to what was not yet asked would be none: the request is taken first.
	takes := func(name string) *net.TCPConn {
		c := <-peer
		if name == "plain" {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
				t.Error(err)
			}
		}
		return c
	}
	endless := func(c net.Conn) error {
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return err
		}
		for {
			if _, err := c.Write(make([]byte, 64<<10)); err != nil {
				return err
			}
		}
	}
	for name, request := range map[string]string{"tunnel": tunnel, "plain": plain} {
		t.Run(name+", the guest", func(t *testing.T) {
			c := p.call(t)
			_, _ = io.WriteString(c, request)
			far := takes(name)
			go func() {
				_, _ = io.ReadFull(c, make([]byte, 1<<20))
				_ = c.(*net.TCPConn).SetLinger(0)
				_ = c.Close()
			}()
			if err := endless(far); errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "timeout") {
				t.Errorf("the peer goes on: %v", err)
			}
		})
		t.Run(name+", the peer", func(t *testing.T) {
			c := p.call(t)
			_, _ = io.WriteString(c, request)
			far := takes(name)
			_, _ = io.WriteString(far, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nsome")
			_ = far.SetLinger(0)
			time.AfterFunc(100*time.Millisecond, func() { _ = far.Close() })
			if _, err := io.ReadAll(c); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("the guest waits: %v", err)
			}
		})
	}
}

// A guest cannot tell that its client is gone but by sending no more and taking
// no more. What it asked for ends then, and its place is free.
func TestGoneGuest(t *testing.T) {
	ended := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/endless" {
			return
		}
		defer close(ended)
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	at := s.Listener.Addr().String()
	a, b := net.Pipe()
	onHost, err := channel.Host(a)
	if err != nil {
		t.Fatal(err)
	}
	guest, err := channel.Guest(b)
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	defer onHost.Close()
	p := prepare(t, at)
	go func() { _ = p.Serve(onHost.Listen(channel.Proxy, 1)) }()
	defer p.Close()

	ask := func(path string) channel.Duplex {
		c, err := guest.OpenDuplex(channel.Proxy)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "GET http://%s%s HTTP/1.1\r\nHost: x\r\n\r\n", at, path)
		return c
	}
	c := ask("/endless")
	if _, err := io.ReadFull(c, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // until it takes no more
	_ = c.CloseWrite()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the peer goes on")
	}
	if res, err := http.ReadResponse(bufio.NewReader(ask("/")), nil); err != nil || res.StatusCode != 200 {
		t.Error(res, err)
	}
}

// What was asked for by somebody who is gone at once is told of like all else, and
// nobody is called for it any more.
func TestGoneAtOnce(t *testing.T) {
	p := prepare(t, "allowed.example:80", "127.0.0.1:80")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.serve(httptest.NewRecorder(), httptest.NewRequest("GET", "http://allowed.example/", nil).WithContext(ctx))
	r := p.Report()
	if got, want := p.told(), []string{"http allowed.example:80 failed"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if len(r.Attempts) != 1 || r.Attempts[0] != (Attempt{Dst: "allowed.example:80", Host: "allowed.example", Result: "failed", Count: 1}) {
		t.Errorf("%+v", r.Attempts)
	}
	late := p.log.begin("http", host{name: "allowed.example"}, "", 80)
	late.end()
	if _, err := p.dial(t.Context(), late); err == nil || len(p.looked) > 0 {
		t.Errorf("%v, looked up: %q", err, p.looked)
	}
}

// Close ends what goes on, and waits for that.
func TestClose(t *testing.T) {
	port := echo(t)
	p := start(t, "127.0.0.1:"+port)
	c := p.call(t)
	_, _ = io.WriteString(c, "CONNECT 127.0.0.1:"+port+" HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodConnect}); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if _, err := io.ReadAll(c); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("it goes on: %v", err)
	}
	if q := p.Report().Requests; len(q) != 1 || q[0].Result != "connected" {
		t.Errorf("%+v", q)
	}
}

// The log is bounded, and says what it has not.
func TestLogLimits(t *testing.T) {
	var l log
	const more = 10
	for i := range requestLimit + more {
		e := l.begin("connect", host{name: "h" + strconv.Itoa(i)}, "", 1)
		e.settle("denied", "x", netip.AddrPort{})
		e.end()
	}
	e := l.begin("connect", host{name: "h0"}, "", 1)
	e.settle("denied", "x", netip.AddrPort{}) // which is known
	r := l.report()
	if len(r.Requests) != requestLimit || r.Omitted != more+1 || len(r.Attempts) != attemptLimit || r.Untold != more {
		t.Errorf("%d, %d, %d, %d", len(r.Requests), r.Omitted, len(r.Attempts), r.Untold)
	}
	var sum uint64
	for _, a := range r.Attempts {
		sum += a.Count
	}
	if sum+r.Untold != requestLimit+more+1 {
		t.Errorf("%d of them are told of", sum)
	}
}
