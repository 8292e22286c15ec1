package microvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"glasshouse/backend"
	"glasshouse/backend/microvm/channel"
)

// streams are the command's, on the host's side of the channel.
type streams struct {
	stdin          io.ReadWriteCloser // nil: none
	stdout, stderr output
	joined         bool // there is one output for both
	terminal       *terminal
}

// output is copied from the guest to where the command's output is to go.
type output struct {
	stream io.ReadWriteCloser
	to     io.Writer
	copied atomic.Uint64
	moved  chan struct{} // has room for one: something was copied
	done   chan struct{} // closed at the stream's end

	writes atomic.Uint64 // begun and ended: odd while one goes on
	left   chan struct{} // closed when a writer that hangs is given up

	mu  sync.Mutex
	err error // of the writer
}

// accept takes the streams in the order in which the guest opens them.
func (s *streams) accept(c *channel.Conn, cmd backend.Command) (err error) {
	if cmd.Stdin != nil {
		if s.stdin, err = c.Accept(channel.Stdin); err != nil {
			return err
		}
	}
	if err := s.stdout.accept(c, channel.Stdout, cmd.Stdout); err != nil {
		return err
	}
	if s.joined {
		return nil
	}
	return s.stderr.accept(c, channel.Stderr, cmd.Stderr)
}

func (o *output) accept(c *channel.Conn, name string, to io.Writer) (err error) {
	o.to, o.moved, o.done, o.left = to, make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	o.stream, err = c.Accept(name)
	return err
}

// copy begins to copy.
func (s *streams) copy(cmd backend.Command) {
	go s.stdout.copy()
	if !s.joined {
		go s.stderr.copy()
	}
	if s.stdin != nil {
		go func() {
			// An end of the command ends the writing, and nobody waits for the
			// reading: a terminal may never say anything.
			_, _ = io.Copy(s.stdin, cmd.Stdin)
			_ = s.stdin.Close()
		}()
	}
}

// copy goes on reading when the writer fails: the command is not to be held up,
// and what it prints is counted. But the guest is told, by the end of the other
// direction, and the command by it, as it would be of a pipe.
func (o *output) copy() {
	defer close(o.done)
	chunks, written := make(chan []byte), make(chan error, 1)
	defer close(chunks)
	go func() {
		for data := range chunks {
			_, err := o.to.Write(data)
			written <- err
		}
	}()
	pass := func(data []byte) error {
		o.writes.Add(1)
		defer o.writes.Add(1)
		chunks <- data
		select {
		case err := <-written:
			return err
		case <-o.left:
			return errors.New("copy the output: its reader takes no more")
		}
	}
	buf := make([]byte, 64<<10)
	for open := o.to != nil; ; {
		n, err := o.stream.Read(buf)
		if n > 0 {
			if open {
				if err := pass(buf[:n]); err != nil {
					open = false
					o.fail(err)
					_ = o.stream.Close()
					buf = make([]byte, len(buf)) // a write that hangs has the other
				}
			}
			o.copied.Add(uint64(n))
			select {
			case o.moved <- struct{}{}:
			default:
			}
		}
		if err != nil {
			return
		}
	}
}

// leave gives the writer up once the same write goes on from one look to the next.
func (o *output) leave(stop <-chan struct{}) {
	tick := time.NewTicker(leaveTime)
	defer tick.Stop()
	for last := o.writes.Load(); ; {
		select {
		case <-tick.C:
		case <-o.done:
			return
		case <-stop:
			return
		}
		now := o.writes.Load()
		if now == last && now%2 == 1 {
			close(o.left)
			return
		}
		last = now
	}
}

// leaveTime is how long a reader has to take something.
const leaveTime = 300 * time.Millisecond

// fail takes note of an error. A reader that has gone is none: it is the command's
// own affair.
func (o *output) fail(err error) {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func (o *output) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// await returns when so many bytes have been copied, or no more will come.
func (o *output) await(ctx context.Context, n uint64) {
	for o.copied.Load() < n {
		select {
		case <-o.moved:
		case <-o.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// await waits for what the command had printed when it ended.
func (s *streams) await(ctx context.Context, stdout, stderr uint64) {
	s.stdout.await(ctx, stdout)
	if !s.joined {
		s.stderr.await(ctx, stderr)
	}
}

// missing says how much of that did not come.
func (s *streams) missing(stdout, stderr uint64) error {
	lacks := stdout - min(stdout, s.stdout.copied.Load())
	if !s.joined {
		lacks += stderr - min(stderr, s.stderr.copied.Load())
	}
	if lacks == 0 {
		return nil
	}
	return fmt.Errorf("%d bytes of the command's output did not come", lacks)
}

// leave gives up readers that take nothing, once that is asked for.
func (s *streams) leave(asked, stop <-chan struct{}) {
	select {
	case <-asked:
	case <-stop:
		return
	}
	for _, o := range []*output{&s.stdout, &s.stderr} {
		if o.done != nil {
			go o.leave(stop)
		}
	}
}

// held tells whether a reader is being waited for.
func (s *streams) held() bool { return s.stdout.writes.Load()%2 == 1 || s.stderr.writes.Load()%2 == 1 }

// drain waits for the ends of the outputs, or until enough.
func (s *streams) drain(enough <-chan struct{}) {
	for _, o := range []*output{&s.stdout, &s.stderr} {
		if o.done == nil {
			continue
		}
		select {
		case <-o.done:
		case <-enough:
		}
	}
}

// err is what the writers said.
func (s *streams) err() error { return errors.Join(s.stdout.failed(), s.stderr.failed()) }
