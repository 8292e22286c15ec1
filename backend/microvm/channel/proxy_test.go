package channel

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// take accepts one of the guest's streams.
func take(t *testing.T, l *Listener) Duplex {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(Duplex)
}

// Each direction of a stream ends by itself.
func TestDuplex(t *testing.T) {
	host, guest := pair(t)
	l := host.Listen(Proxy, 1)
	g, err := guest.OpenDuplex(Proxy)
	if err != nil {
		t.Fatal(err)
	}
	h := take(t, l)
	_, _ = io.WriteString(g, "ask")
	_ = g.CloseWrite()
	if b, err := io.ReadAll(h); string(b) != "ask" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	_, _ = io.WriteString(h, "answer")
	_ = h.Close()
	if b, err := io.ReadAll(g); string(b) != "answer" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// A stream takes its slot until the guest has closed it, too. Others wait for it,
// and none is lost.
func TestSlots(t *testing.T) {
	host, guest := pair(t)
	l := host.Listen(Proxy, 2)
	var ours []Duplex
	for range 10 {
		g, err := guest.OpenDuplex(Proxy)
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, g)
	}
	accepted := make(chan Duplex, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c.(Duplex)
		}
	}()
	none := func(why string) {
		t.Helper()
		select {
		case <-accepted:
			t.Errorf("one more was accepted, although %s", why)
		case <-time.After(100 * time.Millisecond):
		}
	}
	first, second := <-accepted, <-accepted
	none("two are open")
	_, _ = first.Close(), second.Close()
	_ = first.Close() // which frees no other slot
	none("the guest has not closed them")
	for i, g := range ours {
		if i >= 2 {
			h := <-accepted
			_ = h.Close()
		}
		_ = g.CloseWrite()
	}
	none("there are none")
}

// What is no stream of the name is the guest's error; an end of either side is none.
func TestListenEnds(t *testing.T) {
	for name, want := range map[string]string{
		Records:                 `the stream "records" where proxy was to come`,
		strings.Repeat("x", 99): "a stream without a name where proxy was to come",
	} {
		host, guest := pair(t)
		go func() { _, _ = guest.Open(name) }()
		if _, err := host.Listen(Proxy, 1).Accept(); err == nil || err.Error() != want {
			t.Errorf("%.10s: %v", name, err)
		}
	}
	for name, end := range map[string]func(host, guest *Conn, l *Listener){
		"listener": func(_, _ *Conn, l *Listener) { _ = l.Close() },
		"host":     func(host, _ *Conn, _ *Listener) { _ = host.Close() },
		"guest":    func(_, guest *Conn, _ *Listener) { _ = guest.Close() },
	} {
		for _, most := range []int{0, 1} {
			host, guest := pair(t)
			l := host.Listen(Proxy, most)
			time.AfterFunc(50*time.Millisecond, func() { end(host, guest, l) })
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s, %d: %v", name, most, err)
			}
		}
	}
}

// tcp is two ends of a connection of this machine.
func tcp(t *testing.T) (a, b Duplex) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), d.Close() })
	for _, c := range []net.Conn{c, d} {
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return c.(Duplex), d.(Duplex)
}

// way is a client and a peer, joined by the guest and the host over a channel.
// The channel returned is closed when the host's part of it has ended.
func way(t *testing.T, quiet, stuck time.Duration) (client, peer Duplex, ended chan struct{}) {
	t.Helper()
	host, guest := pair(t)
	client, inGuest := tcp(t)
	onHost, peer := tcp(t)
	g, err := guest.OpenDuplex(Proxy)
	if err != nil {
		t.Fatal(err)
	}
	go splice(inGuest, g, nil, quiet, stuck)
	h := take(t, host.Listen(Proxy, 1))
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		splice(h, onHost, nil, quiet, stuck)
	}()
	return client, peer, ended
}

func await(t *testing.T, ended chan struct{}, most time.Duration) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(most):
		t.Error("it goes on")
	}
}

func TestSplice(t *testing.T) {
	client, peer, ended := way(t, time.Minute, time.Minute)
	big := bytes.Repeat([]byte("0123456789"), 500_000)
	go func() {
		_, _ = client.Write(big)
		_ = client.CloseWrite()
	}()
	if got, err := io.ReadAll(peer); !bytes.Equal(got, big) || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	go func() {
		_, _ = peer.Write(big)
		_ = peer.CloseWrite()
	}()
	if got, err := io.ReadAll(client); !bytes.Equal(got, big) || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	await(t, ended, 5*time.Second)
}

// Who has gone away altogether is not sent to without end.
func TestSpliceGone(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		client, peer, ended := way(t, time.Minute, 200*time.Millisecond)
		go func() {
			for {
				if _, err := peer.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}()
		_, _ = io.ReadFull(client, make([]byte, 1<<20))
		_ = client.Close()
		await(t, ended, 5*time.Second)
	})
	t.Run("peer", func(t *testing.T) {
		client, peer, ended := way(t, time.Minute, 200*time.Millisecond)
		_, _ = io.WriteString(peer, "some")
		_ = peer.(*net.TCPConn).SetLinger(0)
		_ = peer.Close()
		if _, err := io.ReadAll(client); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("the client waits: %v", err)
		}
		await(t, ended, 5*time.Second)
	})
	t.Run("a client that says no more", func(t *testing.T) {
		client, _, ended := way(t, 200*time.Millisecond, time.Minute)
		_ = client.CloseWrite()
		await(t, ended, 5*time.Second)
	})
	t.Run("as long as nobody has ended it goes on", func(t *testing.T) {
		_, _, ended := way(t, 50*time.Millisecond, 50*time.Millisecond)
		select {
		case <-ended:
			t.Error("it has ended")
		case <-time.After(300 * time.Millisecond):
		}
	})
}
