//go:build linux || darwin || freebsd || netbsd || openbsd

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/backend"
)

// streams are the command's three standard streams and the goroutines that
// serve them.
type streams struct {
	child [3]*os.File // as the command gets them
	own   []*os.File  // those of child that were opened here
	pumps []*pump
	stdin *feed // nil if the command reads a file

	leave     chan struct{} // closed when a reader that takes nothing is not to be waited for
	leaveOnce sync.Once
}

// openStreams opens files and pipes. Nothing is copied before start.
func openStreams(cmd backend.Command, grace, linger time.Duration) (s *streams, err error) {
	s = &streams{leave: make(chan struct{})}
	opened := s
	defer func() {
		if err != nil {
			opened.close()
		}
	}()

	output := func(name string, dst io.Writer) (*os.File, error) {
		switch dst := dst.(type) {
		case nil:
			return s.open(os.DevNull, os.O_WRONLY)
		case *os.File:
			return dst, nil
		}
		p, w, err := newPump(name, dst, grace, linger)
		if err != nil {
			return nil, err
		}
		s.pumps = append(s.pumps, p)
		s.own = append(s.own, w)
		return w, nil
	}

	switch in := cmd.Stdin.(type) {
	case nil:
		s.child[0], err = s.open(os.DevNull, os.O_RDONLY)
	case *os.File:
		s.child[0] = in
	default:
		s.child[0], err = s.pipeIn(in)
	}
	if err != nil {
		return nil, err
	}
	if s.child[1], err = output("stdout", cmd.Stdout); err != nil {
		return nil, err
	}
	if cmd.Stdout != nil && backend.SameWriter(cmd.Stdout, cmd.Stderr) {
		s.child[2] = s.child[1] // one pipe keeps the order of what is written
		return s, nil
	}
	if s.child[2], err = output("stderr", cmd.Stderr); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *streams) open(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag, 0)
	if err == nil {
		s.own = append(s.own, f)
	}
	return f, err
}

func (s *streams) pipeIn(src io.Reader) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("stdin pipe: %w", err)
	}
	s.own = append(s.own, r)
	s.stdin = &feed{src: src, w: w, err: make(chan error, 1)}
	return r, nil
}

// start begins to copy, once the command has its ends.
func (s *streams) start() {
	if s.stdin != nil {
		go s.stdin.run()
	}
	for _, p := range s.pumps {
		p.start()
	}
}

// finish is called when the root has ended. When it returns nothing is
// written any more, but for a write that hangs (see pump.finish).
func (s *streams) finish(ctx context.Context) error {
	for _, p := range s.pumps {
		p.rootEnded()
	}
	var errs []error
	for _, p := range s.pumps {
		errs = append(errs, p.finish(ctx, s.leave))
	}
	if s.stdin != nil {
		errs = append(errs, s.stdin.finish())
	}
	return join(errs...)
}

func (s *streams) held() bool {
	return slices.ContainsFunc(s.pumps, (*pump).stillHeld)
}

// drain serves all held streams at once: whoever holds them may write to
// either.
func (s *streams) drain(ctx context.Context) error {
	errs := make([]error, len(s.pumps))
	var wg sync.WaitGroup
	for i, p := range s.pumps {
		wg.Go(func() { errs[i] = p.drain(ctx) })
	}
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil && slices.Contains(errs, cause) {
		return cause
	}
	return join(errs...)
}

func (s *streams) closeChildEnds() {
	for _, f := range s.own {
		_ = f.Close()
	}
}

func (s *streams) close() {
	s.closeChildEnds()
	for _, p := range s.pumps {
		_ = p.r.Close()
	}
	if s.stdin != nil {
		_ = s.stdin.w.Close()
	}
}

// feed copies a reader into the command's stdin.
type feed struct {
	src io.Reader
	w   *os.File
	err chan error // takes one
}

func (f *feed) run() {
	_, err := io.Copy(f.w, f.src)
	_ = f.w.Close()
	// The command need not read all of it.
	if errors.Is(err, unix.EPIPE) || errors.Is(err, os.ErrClosed) {
		err = nil
	}
	f.err <- err
}

// finish does not wait for a reader that has nothing to give: it cannot be
// interrupted, and what it gives afterwards is lost.
func (f *feed) finish() error {
	_ = f.w.Close()
	select {
	case err := <-f.err:
		if err != nil {
			return fmt.Errorf("copy stdin: %w", err)
		}
	default:
	}
	return nil
}
