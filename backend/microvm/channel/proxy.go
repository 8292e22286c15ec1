package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// Duplex is a connection of which each direction ends by itself.
type Duplex interface {
	net.Conn
	CloseWrite() error
}

// stream is a yamux stream as such a connection. What yamux calls closing is to
// close one direction: the other ends when the other side does the same.
type stream struct{ *yamux.Stream }

func (s stream) CloseWrite() error { return s.Stream.Close() }

// OpenDuplex opens a stream of the given name. Only the guest does. Who is told
// that nobody takes any more is the host, by bytes that stay where they are.
func (c *Conn) OpenDuplex(name string) (Duplex, error) {
	s, err := c.open(name)
	if err != nil {
		return nil, err
	}
	return stream{s}, nil
}

// Listener takes streams of one name, after all those that Accept took.
type Listener struct {
	conn  *Conn
	name  string
	slots chan struct{}
	ctx   context.Context
	close context.CancelFunc
}

var _ net.Listener = (*Listener)(nil)

// Listen takes the streams that the guest opens from now on, of which each has
// to have the name. No more than most are open at once: others wait until the
// guest, too, has closed one of those.
func (c *Conn) Listen(name string, most int) *Listener {
	l := &Listener{conn: c, name: name, slots: make(chan struct{}, most)}
	l.ctx, l.close = context.WithCancel(context.Background())
	return l
}

// Accept waits for a stream. An error that is not net.ErrClosed is one of the
// guest's.
func (l *Listener) Accept() (net.Conn, error) {
	session := l.conn.session
	select {
	case l.slots <- struct{}{}:
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	case <-session.CloseChan():
		return nil, net.ErrClosed
	}
	s, err := session.AcceptStreamWithContext(l.ctx)
	if err != nil {
		return nil, net.ErrClosed // by either side
	}
	_ = s.SetReadDeadline(time.Now().Add(stall))
	if err := readName(s, l.name); err != nil {
		if session.IsClosed() || errors.Is(err, io.EOF) && l.ctx.Err() != nil {
			return nil, net.ErrClosed
		}
		return nil, err
	}
	_ = s.SetReadDeadline(time.Time{})
	return &accepted{stream: stream{s}, release: func() { <-l.slots }}, nil
}

// Close ends the accepting, and leaves alone what was accepted.
func (l *Listener) Close() error {
	l.close()
	return nil
}

// Addr is the name.
func (l *Listener) Addr() net.Addr { return addr(l.name) }

type addr string

func (addr) Network() string  { return "channel" }
func (a addr) String() string { return string(a) }

// accepted is a stream on the host's side. It takes its slot until the guest has
// closed it as well: what the guest keeps open costs memory here.
type accepted struct {
	stream
	once    sync.Once
	release func()
}

func (a *accepted) Close() error {
	a.once.Do(func() {
		_ = a.Stream.Close()
		_ = a.SetDeadline(time.Time{})
		go func() {
			_, _ = io.Copy(io.Discard, a.Stream)
			a.release()
		}()
	})
	return nil
}

// How long one direction of a pair goes on when the other has ended: quiet is for
// who might still say something, stuck for who takes nothing.
const (
	quiet = 5 * time.Minute
	stuck = 10 * time.Second
)

// Splice copies between two connections, each direction to its end, and closes
// both. An end that is no clean one ends the other direction too. fromA, if it is
// not nil, is read in the place of a: it has what was read from there before.
func Splice(a, b Duplex, fromA io.Reader) { splice(a, b, fromA, quiet, stuck) }

func splice(a, b Duplex, fromA io.Reader, quiet, stuck time.Duration) {
	if fromA == nil {
		fromA = a
	}
	var mu sync.Mutex
	var half, broken bool // one direction has ended; and not cleanly
	limit := func(to, from Duplex) {
		mu.Lock()
		defer mu.Unlock()
		if half && !broken {
			_ = from.SetReadDeadline(time.Now().Add(quiet))
			_ = to.SetWriteDeadline(time.Now().Add(stuck))
		}
	}
	end := func(to, from Duplex, err error) {
		clean := err == nil && to.CloseWrite() == nil
		mu.Lock()
		half, broken = true, broken || !clean
		if broken {
			past := time.Unix(1, 0)
			_, _ = a.SetDeadline(past), b.SetDeadline(past)
		}
		mu.Unlock()
		limit(from, to) // the other direction
	}
	pump := func(to, from Duplex, r io.Reader) {
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Read(buf)
			if n > 0 {
				limit(to, from)
				if _, werr := to.Write(buf[:n]); werr != nil {
					err = fmt.Errorf("write: %w", werr)
				}
			}
			if err == io.EOF {
				err = nil
			} else if err == nil {
				continue
			}
			end(to, from, err)
			return
		}
	}
	var both sync.WaitGroup
	both.Go(func() { pump(b, a, fromA) })
	both.Go(func() { pump(a, b, b) })
	both.Wait()
	_, _ = a.Close(), b.Close()
}
