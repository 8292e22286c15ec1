//go:build linux

package microvm

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glasshouse/receipt"
)

// out tries each way out, and prints what came of it. It speaks for itself: a small
// Python has no module for HTTP.
const out = `
import os, socket, sys, threading
at = sys.argv[1]

def way(name, f):
    try:
        print(name, f())
    except OSError as e:
        print(name, e.errno)

def answer(c):
    head, _, body = c.makefile("rb").read().partition(b"\r\n\r\n")
    return head.split()[1].decode() + " " + (body.decode() if len(body) < 200 else str(len(body)) + " bytes")

def proxy():
    host, _, port = os.environ["http_proxy"].removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), 60)

def get(url):
    def f():
        c = proxy()
        c.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % url.encode())
        return answer(c)
    return f

def tunnel(to):
    def f():
        c = proxy()
        c.sendall(b"CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n" % to.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += c.recv(1)
        if head.split()[1] != b"200":
            return head.split()[1].decode()
        c.sendall(b"GET /tunnel HTTP/1.1\r\nHost: inside\r\nConnection: close\r\n\r\n")
        return answer(c)
    return f

def many():
    done = []
    threads = [threading.Thread(target=lambda: done.append(get("http://" + at + "/slow")())) for _ in range(100)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    return len(done), set(done)

print([k + "=" + v for k, v in sorted(os.environ.items()) if k.lower().endswith("_proxy")])
print(sorted(name for _, name in socket.if_nameindex()))
if at:
    way("plain", get("http://" + at + "/plain"))
    way("denied", get("http://denied.example/"))
    way("tunnel", tunnel(at))
    way("denied tunnel", tunnel("denied.example:443"))
    way("big", get("http://" + at + "/big"))
    way("many", many)
way("direct", lambda: socket.create_connection(("192.0.2.1", 80), 5))
way("proxy", lambda: socket.create_connection(("127.0.0.1", 3128), 5).getpeername())
`

func TestProxy(t *testing.T) {
	const big = 8 << 20
	var mu sync.Mutex
	served := map[string]int{}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		served[r.URL.Path]++
		mu.Unlock()
		switch r.URL.Path {
		case "/slow":
			time.Sleep(300 * time.Millisecond)
		case "/big":
			w.Header().Set("Content-Length", fmt.Sprint(big))
			_, _ = io.WriteString(w, strings.Repeat("x", big))
			return
		}
		fmt.Fprintf(w, "%s of %s", r.URL.Path, r.Host)
	}))
	defer site.Close()
	at := site.Listener.Addr().String()

	flags := []string{"--net", "proxy", "--net-allow", at, "--net-allow", "*.Example.ORG", "--env-file", write(t, "no_proxy=x\n")}
	r := run(t, "", flags, "python3", "-c", out, at)
	const proxy = "http://127.0.0.1:3128"
	want := strings.Join([]string{
		"['ALL_PROXY=" + proxy + "', 'HTTPS_PROXY=" + proxy + "', 'HTTP_PROXY=" + proxy + "', 'all_proxy=" + proxy + "', 'http_proxy=" + proxy + "', 'https_proxy=" + proxy + "', 'no_proxy=x']",
		"['lo']",
		"plain 200 /plain of " + at,
		"denied 403 glasshouse: denied.example:80: not allowed: it needs --net-allow denied.example:80\n",
		"tunnel 200 /tunnel of inside",
		"denied tunnel 403",
		fmt.Sprintf("big 200 %d bytes", big),
		"many (100, {'200 /slow of " + at + "'})",
		"direct 101", // ENETUNREACH
		"proxy ('127.0.0.1', 3128)", "",
	}, "\n")
	if diff := cmp.Diff(want, r.stdout); diff != "" || r.code != 0 {
		t.Errorf("%d, %s (-want +got):\n%s", r.code, r.stderr, diff)
	}
	complete(t, r.Receipt)
	if diff := cmp.Diff(map[string]int{"/plain": 1, "/tunnel": 1, "/big": 1, "/slow": 100}, served); diff != "" {
		t.Errorf("served (-want +got):\n%s", diff)
	}

	var attempts []string
	for _, a := range r.Network.Attempts {
		host := "-"
		if a.Host != nil {
			host = *a.Host
		}
		if (a.PID == 0) != (a.Source == "proxy") {
			t.Errorf("%+v", a)
		}
		attempts = append(attempts, fmt.Sprintf("%s %s %s %s %s ×%d %s", a.Dst, a.Protocol, a.Result, host, a.Policy, a.Count, a.Source))
	}
	slices.Sort(attempts)
	wantAttempts := []string{
		"127.0.0.1:3128 tcp connected -  ×106 ",
		at + " tcp connected - allowed ×103 proxy",
		"192.0.2.1:80 tcp unreachable -  ×1 ",
		"denied.example:443 tcp denied denied.example denied ×1 proxy",
		"denied.example:80 tcp denied denied.example denied ×1 proxy",
	}
	slices.Sort(wantAttempts)
	if diff := cmp.Diff(wantAttempts, attempts); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}

	p := r.Execution.VM.Proxy
	if p == nil || !slices.Equal(p.Allow, []string{at, "*.example.org"}) || p.Omitted != 0 || len(p.Requests) != 105 || r.Environment.Sandbox.Network != "enabled" {
		t.Fatalf("%+v", p)
	}
	for i, c := range []struct {
		kind, host, result string
		received           uint64 // at least
	}{
		{"http", "127.0.0.1", "connected", 100}, {"http", "denied.example", "denied", 0}, {"connect", "127.0.0.1", "connected", 100},
		{"connect", "denied.example", "denied", 0}, {"http", "127.0.0.1", "connected", big},
	} {
		q := p.Requests[i]
		denied := c.result == "denied"
		if q.Kind != c.kind || q.Host != c.host || q.Result != c.result || q.BytesReceived < c.received || q.BytesReceived > c.received+1000 ||
			(q.Address == nil) != denied || (q.Reason != nil) != denied || (q.BytesSent == 0) != denied {
			t.Errorf("%d: %+v", i, q)
		}
		if c.received == big {
			t.Logf("%d MiB in %d ms", big>>20, q.DurationMS)
		}
	}
	if problems := receipt.Check(r.Receipt); len(problems) > 0 {
		t.Error(problems)
	}
}

// Without --net there is no way out at all.
func TestNoNetwork(t *testing.T) {
	r := run(t, "", nil, "python3", "-c", out, "")
	if want := "[]\n['lo']\ndirect 101\nproxy 111\n"; r.stdout != want || r.code != 0 {
		t.Errorf("%d, %q, %q", r.code, r.stdout, r.stderr)
	}
	complete(t, r.Receipt)
	var attempts []string
	for _, a := range r.Network.Attempts {
		attempts = append(attempts, a.Dst+" "+a.Result+a.Policy+a.Source)
	}
	if diff := cmp.Diff([]string{"127.0.0.1:3128 refused", "192.0.2.1:80 unreachable"}, attempts); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	if r.Execution.VM.Proxy != nil || r.Environment.Sandbox.Network != "disabled" {
		t.Errorf("%+v, %+v", r.Execution.VM.Proxy, r.Environment.Sandbox)
	}
}
