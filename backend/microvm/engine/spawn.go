package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// MissingError is about a program that is not there.
type MissingError struct{ Program, Hint string }

func (e *MissingError) Error() string { return e.Program + " was not found in PATH" }

// Process is a VMM that runs as a process of this host. It is a VM.
type Process struct {
	cmd      *exec.Cmd
	listener net.Listener
	console  Console
	done     chan struct{}
	err      error // when done is closed
	facts    Facts
}

var _ VM = (*Process)(nil)

// Spawn starts a VMM whose guest will call at a listener, which is the VM's from
// then on. It prints what the guest's console says on its standard output, and
// dies with this process.
func Spawn(path string, args []string, l net.Listener) (*Process, error) {
	p := &Process{cmd: exec.Command(path, args...), listener: l, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.console, &p.console
	p.cmd.SysProcAttr = Apart()
	started := make(chan error, 1)
	go func() {
		// The kernel ends the VMM with the thread that started it, which must not
		// end before.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		p.facts.Started = time.Now()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = p.cmd.Wait()
		_ = l.Close()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Says sets what Facts returns, but for Started, which Spawn has set.
func (p *Process) Says(f Facts) {
	f.Started = p.facts.Started
	p.facts = f
}

// Accept waits for the guest's call. See VM.
func (p *Process) Accept(ctx context.Context) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = p.listener.Close() })
	defer stop()
	c, err := p.listener.Accept()
	if err == nil {
		_ = p.listener.Close() // nobody else is to call
		return c, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case <-p.done:
		return nil, io.EOF
	default:
		return nil, err
	}
}

// Done is closed when the VMM has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err tells how the VMM ended.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return errors.New("it has not ended")
	}
}

// Kill ends the VMM.
func (p *Process) Kill() { _ = p.cmd.Process.Kill() }

// Console is the end of what the machine and its VMM printed.
func (p *Process) Console() string { return p.console.String() }

// Facts is what Says set.
func (p *Process) Facts() Facts { return p.facts }

// consoleLimit bounds what is kept of a console, in bytes.
const consoleLimit = 64 << 10

// Console keeps the end of what is written to it.
type Console struct {
	mu  sync.Mutex
	buf []byte
}

// Write never fails.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf = append(c.buf, p...)
	if n := len(c.buf) - consoleLimit; n > 0 {
		c.buf = append(c.buf[:0], c.buf[n:]...)
	}
	return len(p), nil
}

// String has what a terminal would take for a command left out.
func (c *Console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r >= ' ' && r != 0x7f && (r < 0x80 || r >= 0xa0):
			return r
		}
		return -1
	}, strings.ToValidUTF8(string(c.buf), "\uFFFD"))
}
