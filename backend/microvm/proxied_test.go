package microvm

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"glasshouse/backend"
	"glasshouse/backend/microvm/channel"
	"glasshouse/backend/microvm/proxy"
)

func withProxy(t *testing.T, b *Backend, rules ...string) {
	t.Helper()
	var all proxy.Rules
	for _, s := range rules {
		r, err := proxy.ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r...)
	}
	b.cfg.Proxy = proxy.New(all)
}

// What a guest asks of the proxy is answered, and told of when the machine has
// ended, with what was under way then.
func TestProxy(t *testing.T) {
	arrived := make(chan struct{})
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/never" {
			close(arrived)
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, "content")
	}))
	defer site.Close()
	at := site.Listener.Addr().String()
	var answers []string
	b := newTest(t, &fake{guest: func(g *guest) {
		if !g.start() || !g.spec.Proxy {
			t.Error("there is no proxy")
			return
		}
		for _, url := range []string{"http://" + at + "/", "http://example.org/", "http://" + at + "/never"} {
			c, err := g.conn.OpenDuplex(channel.Proxy)
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", url)
			if strings.HasSuffix(url, "never") {
				<-arrived
				continue
			}
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Error(err)
				return
			}
			body, _ := io.ReadAll(res.Body)
			answers = append(answers, res.Status+" "+string(body))
			_ = c.Close()
		}
		g.say(channel.ToHost{Exited: &channel.Exited{}})
		g.end(channel.Result{})
	}})
	withProxy(t, b, at)
	if err := start(t, b, backend.Command{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, err := b.Collector().Stop(t.Context()); err != nil {
		t.Errorf("%+v, %v", s, err)
	}
	if err := b.Cleanup(t.Context()); err != nil {
		t.Error(err)
	}
	if want := []string{"200 OK content", "403 Forbidden glasshouse: example.org:80: not allowed: it needs --net-allow example.org:80\n"}; !slices.Equal(answers, want) {
		t.Errorf("%q", answers)
	}
	var told []string
	for _, q := range b.Report().Proxy.Requests {
		told = append(told, q.Host+" "+q.Result)
	}
	if want := []string{"127.0.0.1 connected", "example.org denied", "127.0.0.1 connected"}; !slices.Equal(told, want) {
		t.Errorf("%q", told)
	}
}

// Without a proxy a stream to it leads nowhere, and is no harm.
func TestNoProxy(t *testing.T) {
	b := newTest(t, &fake{guest: func(g *guest) {
		if !g.start() || g.spec.Proxy {
			t.Error("there is a proxy")
			return
		}
		c, err := g.conn.OpenDuplex(channel.Proxy)
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprintf(c, "GET http://127.0.0.1/ HTTP/1.1\r\nHost: x\r\n\r\n")
		g.say(channel.ToHost{Exited: &channel.Exited{Code: 3}})
		g.end(channel.Result{})
		if b, err := io.ReadAll(c); len(b) > 0 {
			t.Errorf("%q, %v", b, err)
		}
	}})
	if err := start(t, b, backend.Command{}); err != nil {
		t.Fatal(err)
	}
	if exit, err := b.Wait(t.Context()); err != nil || exit.Code != 3 {
		t.Errorf("%+v, %v", exit, err)
	}
	if _, err := b.Collector().Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if r := b.Report(); r.Proxy != nil {
		t.Errorf("%+v", r.Proxy)
	}
}

// Streams beyond the most that are taken wait, or are lost if the guest does not
// care; the run goes on.
func TestProxyFlood(t *testing.T) {
	b := newTest(t, &fake{guest: func(g *guest) {
		if !g.start() {
			return
		}
		var some sync.WaitGroup
		for range proxyStreams + 10 { // of which ten wait
			c, err := g.conn.OpenDuplex(channel.Proxy)
			if err != nil {
				t.Error(err)
				return
			}
			some.Go(func() { fmt.Fprint(c, "CONNECT a.example:1 HTTP/1.1\r\nHost: x\r\n\r\nmore") })
		}
		some.Wait()
		g.say(channel.ToHost{Exited: &channel.Exited{Code: 3}})
		g.end(channel.Result{})
	}})
	withProxy(t, b)
	if err := start(t, b, backend.Command{}); err != nil {
		t.Fatal(err)
	}
	if exit, err := b.Wait(t.Context()); err != nil || exit.Code != 3 {
		t.Errorf("%+v, %v", exit, err)
	}
	if s, err := b.Collector().Stop(t.Context()); err != nil {
		t.Errorf("%+v, %v", s, err)
	}
	if err := b.Cleanup(context.Background()); err != nil {
		t.Error(err)
	}
	if n := len(b.Report().Proxy.Requests); n > proxyStreams {
		t.Errorf("%d streams were taken at once", n)
	}
}

// A stream of another name, from where on there are those to the proxy alone,
// ends the machine.
func TestProxyBreach(t *testing.T) {
	b := newTest(t, &fake{guest: func(g *guest) {
		if g.start() {
			_, _ = g.conn.Open(channel.Records)
			<-g.vm.done
		}
	}})
	withProxy(t, b)
	if err := start(t, b, backend.Command{}); err != nil {
		t.Fatal(err)
	}
	const want = `the stream "records" where proxy was to come`
	if _, err := b.Wait(t.Context()); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if s, _ := b.Collector().Stop(t.Context()); !slices.Contains(s.Doubts, "the recording was not closed by the guest: "+want) {
		t.Errorf("%q", s.Doubts)
	}
}
