package agent

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"glasshouse/backend/microvm/channel"
)

// streams are the command's, inside of the guest.
type streams struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	out, errOut countedWriter // what goes to the host
	terminal    *os.File      // the side that the host's keys go to; nil: none
	command     *os.File      // the command's side
	copied      chan struct{} // closed when the terminal has no more to say
}

// countedWriter counts what was written.
type countedWriter struct {
	io.WriteCloser
	n    atomic.Uint64
	gone atomic.Bool // the reader, on the host
}

// Write fails as a write to a pipe does when its reader has gone: whoever writes
// is told by that.
func (w *countedWriter) Write(p []byte) (int, error) {
	if w.gone.Load() {
		return 0, unix.EPIPE
	}
	n, err := w.WriteCloser.Write(p)
	w.n.Add(uint64(n))
	return n, err
}

// watch finds out that the reader has gone: the host then ends its direction of the
// stream, in which nothing ever comes.
func (w *countedWriter) watch(stream io.Reader) {
	_, _ = io.Copy(io.Discard, stream)
	w.gone.Store(true)
}

// open opens a stream to the host.
func (w *countedWriter) open(c *channel.Conn, name string, terminal bool) error {
	stream, err := c.Open(name)
	if err != nil {
		return err
	}
	w.WriteCloser = stream
	if !terminal { // which has to be read from for as long as it is there
		go w.watch(stream)
	}
	return nil
}

// openStreams opens them in the order in which the host takes them.
func openStreams(c *channel.Conn, spec *channel.Spec) (*streams, error) {
	s := &streams{}
	var in io.Reader
	var err error
	if spec.Stdin {
		if in, err = c.Open(channel.Stdin); err != nil {
			return nil, err
		}
		s.stdin = in
	}
	if err := s.out.open(c, channel.Stdout, spec.Terminal != nil); err != nil {
		return nil, err
	}
	s.stdout = &s.out
	if s.stderr = s.stdout; !spec.Joined {
		if err := s.errOut.open(c, channel.Stderr, false); err != nil {
			return nil, err
		}
		s.stderr = &s.errOut
	}
	if spec.Terminal != nil {
		if err := s.openTerminal(spec.Terminal, in); err != nil {
			return nil, fmt.Errorf("open a terminal: %w", err)
		}
	}
	return s, nil
}

// openTerminal makes a terminal the command's streams, and that which controls
// this process and what it starts: the command is in its foreground, as it is on
// the host.
func (s *streams) openTerminal(t *channel.Terminal, in io.Reader) (err error) {
	if s.terminal, s.command, err = pty.Open(); err != nil {
		return err
	}
	s.resize(t.Size)
	// It leads a session already where the kernel started it so.
	if sid, err := unix.Getsid(0); err != nil || sid != os.Getpid() {
		if _, err := unix.Setsid(); err != nil {
			return err
		}
	}
	fd := int(s.command.Fd())
	if err := unix.IoctlSetInt(fd, unix.TIOCSCTTY, 1); err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, unix.Getpgrp()); err != nil {
		return err
	}
	s.stdin, s.stdout = s.command, s.command
	if t.Stderr {
		s.stderr = s.command
	}
	s.copied = make(chan struct{})
	go func() {
		defer close(s.copied)
		_, _ = io.Copy(&s.out, s.terminal) // its end is an error, EIO
	}()
	if in != nil {
		go func() { _, _ = io.Copy(s.terminal, in) }()
	}
	return nil
}

func (s *streams) resize(size channel.Size) {
	if s.terminal != nil {
		_ = pty.Setsize(s.terminal, &pty.Winsize{Rows: size.Rows, Cols: size.Cols})
	}
}

// lastWords is how long a terminal that others still hold is listened to.
const lastWords = 200 * time.Millisecond

// rootEnded waits for what the command has written to the terminal.
func (s *streams) rootEnded() {
	if s.terminal == nil {
		return
	}
	_ = s.command.Close()
	select {
	case <-s.copied:
	case <-time.After(lastWords):
	}
}

// close ends what goes to the host.
func (s *streams) close() {
	for _, w := range []*countedWriter{&s.out, &s.errOut} {
		if w.WriteCloser != nil {
			_ = w.Close()
		}
	}
}
