// Package channel is what a recorder and the recorder inside of its virtual
// machine say to each other. docs/MICROVM.md describes it.
//
// One connection carries several streams (yamux), which the guest opens: it
// dials, and the host never has to guess when it is ready. A stream begins with
// a line that names it. On the control stream both sides write messages, one
// JSON object a line; the others carry bytes in one direction.
//
// The guest is hostile: every length is bounded, a message that does not fit is
// an error and never a panic, and what is missing at the end is known to be.
package channel

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// Version is the version of the protocol: both sides have to have the same one.
const Version = 1

// The streams. Who writes is the guest, unless said otherwise.
const (
	Control = "control" // messages, both ways
	Records = "records" // what the guest's collector recorded: see RecordWriter
	Stdin   = "stdin"   // the host writes
	Stdout  = "stdout"
	Stderr  = "stderr"
	// Workspace is a folder on its way in, which the host writes, and Changes what
	// became of it: tar streams, both.
	Workspace = "workspace"
	Changes   = "changes"
	// Proxy is a connection to the host's proxy, both ways: there are as many as
	// the command makes, after all the others.
	Proxy = "proxy"
)

const (
	// messageLimit bounds a message, in bytes: the kernel allows 6 MiB of
	// arguments, and a result has the names of all that was deleted.
	messageLimit = 64 << 20
	// partLimit bounds the commas in a message, and by it the elements of all lists:
	// the shortest of them take ten times their bytes in memory.
	partLimit = 2 << 20
	nameLimit = 64
	// stall is how long the other side may take nothing at all. An emulated
	// machine on a busy one can be away for some time.
	stall = 2 * time.Minute
)

func config() *yamux.Config {
	c := yamux.DefaultConfig()
	c.AcceptBacklog = 16
	c.EnableKeepAlive = false // the machine's own end tells, and the host looks for itself
	c.ConnectionWriteTimeout = stall
	c.StreamOpenTimeout = 0  // connections to the proxy wait for their turn
	c.StreamCloseTimeout = 0 // a command may read the end of its input after hours
	c.MaxStreamWindowSize = 1 << 20
	c.LogOutput, c.Logger = nil, log.New(io.Discard, "", 0)
	return c
}

// Conn is one side of a channel.
type Conn struct{ session *yamux.Session }

// Host takes the host's side of a connection.
func Host(c io.ReadWriteCloser) (*Conn, error) {
	s, err := yamux.Server(c, config())
	return &Conn{s}, err
}

// Guest takes the guest's side of a connection.
func Guest(c io.ReadWriteCloser) (*Conn, error) {
	s, err := yamux.Client(c, config())
	return &Conn{s}, err
}

// Open opens a stream. Only the guest does.
func (c *Conn) Open(name string) (io.ReadWriteCloser, error) {
	return c.open(name)
}

func (c *Conn) open(name string) (*yamux.Stream, error) {
	s, err := c.session.OpenStream()
	if err != nil {
		return nil, fmt.Errorf("open the stream %s: %w", name, err)
	}
	if _, err := io.WriteString(s, name+"\n"); err != nil {
		return nil, fmt.Errorf("open the stream %s: %w", name, err)
	}
	return s, nil
}

// Accept waits for the next stream that the guest opens, which has to be the
// named one: the order is a part of the protocol.
func (c *Conn) Accept(name string) (io.ReadWriteCloser, error) {
	s, err := c.session.AcceptStream()
	if err != nil {
		return nil, fmt.Errorf("wait for the stream %s: %w", name, err)
	}
	if err := readName(s, name); err != nil {
		return nil, err
	}
	return s, nil
}

// readName reads the line that names a stream, and nothing behind it.
func readName(s io.Reader, name string) error {
	var got []byte
	for b := make([]byte, 1); ; {
		if _, err := io.ReadFull(s, b); err != nil {
			return fmt.Errorf("wait for the stream %s: %w", name, err)
		}
		if b[0] == '\n' {
			break
		}
		if got = append(got, b[0]); len(got) > nameLimit {
			return fmt.Errorf("a stream without a name where %s was to come", name)
		}
	}
	if string(got) != name {
		return fmt.Errorf("the stream %q where %s was to come", got, name)
	}
	return nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.session.Close() }

// Ping has the other side answer. The error is for one that has not.
func (c *Conn) Ping() error {
	_, err := c.session.Ping()
	return err
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.session.CloseChan() }

// Messages are the two directions of the control stream. Send is for several
// goroutines, Receive for one.
type Messages struct {
	mu sync.Mutex
	w  io.Writer
	r  *bufio.Reader
}

// NewMessages speaks over a control stream.
func NewMessages(rw io.ReadWriter) *Messages {
	return &Messages{w: rw, r: bufio.NewReaderSize(rw, 64<<10)}
}

// ErrTooLong is what Send's error wraps for a message of too many bytes or parts:
// nothing of it is sent.
var ErrTooLong = errors.New("the message is too long")

// Send writes a message: a pointer to ToHost or ToGuest.
func (m *Messages) Send(msg any) error {
	line, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	if len(line) >= messageLimit {
		return fmt.Errorf("%w: %d bytes, %d are the most", ErrTooLong, len(line), messageLimit)
	}
	if n := parts(line); n > partLimit {
		return fmt.Errorf("%w: %d parts, %d are the most", ErrTooLong, n, partLimit)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err = m.w.Write(append(line, '\n'))
	return err
}

// Receive reads the next message into msg, a pointer to a zero ToHost or
// ToGuest. The error is io.EOF where the stream ends behind a message.
func (m *Messages) Receive(msg any) error {
	var line []byte
	for {
		part, err := m.r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > messageLimit:
			return fmt.Errorf("a message of more than %d bytes", messageLimit)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(line) > 0:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
		break
	}
	if n := parts(line); n > partLimit {
		return fmt.Errorf("a message of %d parts, and %d are the most", n, partLimit)
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(msg); err != nil {
		return fmt.Errorf("no message: %w", err)
	}
	return nil
}

func parts(line []byte) int { return bytes.Count(line, []byte(",")) }

// printable bounds a text of the guest's.
func printable(s string) string {
	if len(s) > 4096 {
		s = s[:4096] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
