//go:build linux || darwin || freebsd || netbsd || openbsd

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	copyBuffer = 64 << 10
	pipeSize   = 1 << 20 // asked for; the kernel may give less

	// After the root's exit: how long a held pipe may be silent, and how long
	// it may go on talking, before the pump lets go of it.
	defaultGrace  = 200 * time.Millisecond
	defaultLinger = 2 * time.Second
)

// pump copies what the command writes into a pipe to a writer.
type pump struct {
	name   string
	r      *os.File
	dst    io.Writer
	grace  time.Duration
	linger time.Duration

	rootGone  atomic.Bool
	abandoned atomic.Bool
	passed    atomic.Uint64 // writes that the writer behind the pump has taken
	done      chan struct{} // closed when run has returned

	held atomic.Bool // let go of while somebody else had the pipe open
	err  error       // of dst, or of reading; to be read once done is closed
}

func newPump(name string, dst io.Writer, grace, linger time.Duration) (*pump, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("%s pipe: %w", name, err)
	}
	growPipe(r)
	return &pump{name: name, r: r, dst: dst, grace: grace, linger: linger}, w, nil
}

// start begins to copy, or goes on where a finished run let go.
func (p *pump) start() {
	p.held.Store(false)
	p.done = make(chan struct{})
	go p.run()
}

// rootEnded tells the pump that what the pipe holds now is all that the root
// can have written.
func (p *pump) rootEnded() {
	p.rootGone.Store(true)
	// Wakes a pending read. The deadline means nothing more than that.
	_ = p.r.SetReadDeadline(time.Now())
}

// run copies until end of file, an error, or, once the root is gone, until
// the pipe has been silent for the grace. Only silence of the pipe counts:
// a slow writer behind the pump loses nothing. Bytes that were in the pipe
// when the root ended are owed and copied however long it takes; what
// survivors add is copied for the length of linger.
func (p *pump) run() {
	defer close(p.done)
	buf := make([]byte, copyBuffer)
	var owed int
	var limit time.Time // set once the root is known to be gone
	for {
		if p.rootGone.Load() {
			if limit.IsZero() {
				owed, limit = buffered(p.r), time.Now().Add(p.linger)
			}
			deadline := time.Now().Add(p.grace)
			if owed > 0 {
				deadline = time.Time{} // there is data: no read can block
			} else if time.Now().After(limit) {
				if !hungUp(p.r) {
					p.held.Store(true)
					return
				}
				deadline = time.Time{} // nobody can add to it: read to the end
			}
			_ = p.r.SetReadDeadline(deadline)
		}

		n, err := p.r.Read(buf)
		owed -= n
		if n > 0 && !p.write(buf[:n]) {
			return
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if limit.IsZero() {
				continue // woken by rootEnded
			}
			// A recorder that was itself stopped meanwhile finds its deadline
			// passed with data waiting: look again before giving up.
			hup := hungUp(p.r) // first: nothing is added after it
			if owed = buffered(p.r); owed == 0 {
				p.held.Store(!hup)
				return
			}
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed):
			return
		default:
			p.err = fmt.Errorf("read %s of the command: %w", p.name, err)
			return
		}
	}
}

// write passes on data. When it fails the pipe is closed, so that the command
// gets SIGPIPE or EPIPE as it would from a bare broken pipe.
func (p *pump) write(data []byte) bool {
	n, err := p.dst.Write(data)
	p.passed.Add(1)
	if err == nil && n != len(data) {
		err = io.ErrShortWrite
	}
	if err == nil {
		return !p.abandoned.Load()
	}
	_ = p.r.Close()
	// A reader that has gone is the command's own affair, not a failure.
	if !errors.Is(err, unix.EPIPE) && !errors.Is(err, io.ErrClosedPipe) {
		p.err = fmt.Errorf("copy %s: %w", p.name, err)
	}
	return false
}

// finish waits for the pump. Once ctx is done, or leave closed and nothing
// taken for a while, that has an end even when the writer behind the pump takes
// nothing: the write that hangs may then still complete, and is the last one.
func (p *pump) finish(ctx context.Context, leave <-chan struct{}) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
	case <-leave:
	}
	timeout := time.NewTicker(p.linger + p.grace)
	defer timeout.Stop()
	for passed := p.passed.Load(); ; passed = p.passed.Load() {
		select {
		case <-p.done:
			return p.err
		case <-timeout.C:
		}
		if ctx.Err() != nil || p.passed.Load() == passed {
			p.abandoned.Store(true)
			return fmt.Errorf("copy %s: its reader takes no more", p.name)
		}
	}
}

// stillHeld tells, after finish, whether the output goes on.
func (p *pump) stillHeld() bool {
	return !p.abandoned.Load() && p.held.Load()
}

// drain copies what a finished run left, until everybody has closed the pipe
// or ctx is done.
func (p *pump) drain(ctx context.Context) error {
	if !p.stillHeld() {
		return nil
	}
	p.rootGone.Store(false) // no grace: it ends with the pipe or with ctx
	_ = p.r.SetReadDeadline(time.Time{})
	p.start()
	stop := context.AfterFunc(ctx, p.rootEnded)
	defer stop()
	if err := p.finish(ctx, nil); err != nil {
		return err
	}
	if p.held.Load() {
		return context.Cause(ctx)
	}
	return nil
}

// buffered is the number of bytes that wait in the pipe.
func buffered(f *os.File) int {
	var n int
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), fionread) })
	}
	return n
}

// hungUp tells whether nobody has the pipe open for writing any more.
func hungUp(f *os.File) bool {
	var events int16
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if _, err := unix.Poll(fds, 0); err == nil {
				events = fds[0].Revents
			}
		})
	}
	return events&unix.POLLHUP != 0
}
