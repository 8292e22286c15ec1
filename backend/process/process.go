//go:build linux || darwin || freebsd || netbsd || openbsd

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"glasshouse/backend"
)

// Backend runs one command as a child process.
type Backend struct {
	grace, linger time.Duration // see pump

	mu sync.Mutex // guards what follows

	prepared, started, waited, reaped, closed bool

	stopAtExec bool

	cmd      backend.Command
	paths    []string // where the command may be, the likeliest first
	streams  *streams
	group    *group // nil: none
	groupErr error  // why none

	proc  *os.Process
	root  identity
	peak  int64         // of the recorder's memory when it forked, KiB
	ended chan struct{} // closed when a Wait has returned

	rootEnded time.Time
}

var (
	_ backend.Backend    = (*Backend)(nil)
	_ backend.Process    = (*Backend)(nil)
	_ backend.TreeKiller = (*Backend)(nil)
	_ backend.Grouped    = (*Backend)(nil)
)

// New returns a process backend for one command.
func New() *Backend {
	return &Backend{grace: defaultGrace, linger: defaultLinger, ended: make(chan struct{})}
}

// Metadata is process, none.
func (b *Backend) Metadata() backend.Metadata {
	return backend.Metadata{Backend: "process", Isolation: "none"}
}

// Prepare looks the command up, opens its streams and makes its cgroup.
// A bare name that PATH does not have is an *exec.Error here; whether a path
// can be executed, only Start finds out.
func (b *Backend) Prepare(ctx context.Context, cmd backend.Command) (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.prepared || b.closed {
		return backend.ErrUsed
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if len(cmd.Argv) == 0 {
		return backend.ErrEmptyCommand
	}
	cmd.Argv = slices.Clone(cmd.Argv)
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = slices.Clone(cmd.Env)
	if err := checkDir(cmd.Dir); err != nil {
		return err
	}
	if b.paths, err = candidates(cmd.Argv[0], cmd.Dir, cmd.Env); err != nil {
		return err
	}
	if b.streams, err = openStreams(cmd, b.grace, b.linger); err != nil {
		return err
	}
	b.group, b.groupErr = newGroup()
	b.cmd = cmd
	b.prepared = true
	return nil
}

func checkDir(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		// As Go's own start would say it, where it says so at all.
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return &os.PathError{Op: "chdir", Path: dir, Err: err}
	}
	return nil
}

// Start forks and executes the command, on the calling OS thread. Its error
// is Go's own: a *os.PathError such as
// "fork/exec /bin/nope: no such file or directory".
func (b *Backend) Start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.prepared:
		return backend.ErrNotPrepared
	case b.started || b.closed:
		return backend.ErrUsed
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	b.started = true

	var firstErr error
	for i, path := range b.paths {
		proc, err := b.fork(path)
		if err == nil {
			b.proc, b.root, b.peak = proc, identify(proc.Pid), ownPeak()
			b.paths = b.paths[i:]
			break
		}
		if firstErr == nil {
			firstErr = err
		}
		// What execvp goes on after.
		if !errors.Is(err, syscall.EACCES) && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR) {
			break
		}
	}
	b.streams.closeChildEnds()
	if b.proc == nil {
		b.streams.close()
		if b.cmd.User != nil && errors.Is(firstErr, syscall.EPERM) {
			return fmt.Errorf("run as user %d: %w", b.cmd.User.UID, firstErr)
		}
		return firstErr
	}
	b.streams.start()
	return nil
}

// fork starts the command in its group; without one where the kernel refuses
// the group and not the command.
func (b *Backend) fork(path string) (*os.Process, error) {
	attr := &os.ProcAttr{
		Dir:   b.cmd.Dir,
		Env:   b.cmd.Env,
		Files: b.streams.child[:],
		Sys:   b.sysAttr(),
	}
	if b.group != nil {
		proc, refused, err := b.group.start(path, b.cmd.Argv, attr)
		if !refused {
			return proc, err
		}
		_ = b.group.remove()
		b.group, b.groupErr = nil, fmt.Errorf("start in cgroup: %w", err)
		attr.Sys = b.sysAttr()
	}
	return os.StartProcess(path, b.cmd.Argv, attr)
}

// StopAtExec has Start leave the command stopped behind its exec, and traced by
// the thread that called it.
func (b *Backend) StopAtExec() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopAtExec = true
}

// credential is nil for the recorder's own user, so that an unprivileged
// recorder, who may not call setgroups, can be asked for itself.
func credential(u *backend.User) *syscall.Credential {
	if u == nil || os.Geteuid() != 0 && int(u.UID) == os.Geteuid() && int(u.GID) == os.Getegid() {
		return nil
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: slices.Clone(u.Groups)}
}

// Wait returns when the root process has ended and its output is copied. It
// does not wait for others who hold the output open: see StreamsHeld. An
// error beside a valid Exit is ctx's cause, or that of a writer of the output
// or the reader of the input; a reader of the output who has gone is none.
func (b *Backend) Wait(ctx context.Context) (backend.Exit, error) {
	b.mu.Lock()
	if b.proc == nil {
		b.mu.Unlock()
		return backend.Exit{}, backend.ErrNotStarted
	}
	if b.waited {
		b.mu.Unlock()
		return backend.Exit{}, backend.ErrUsed
	}
	b.waited = true
	b.mu.Unlock()
	defer close(b.ended)

	var killErr error
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		killErr = b.KillTree()
	})

	state, err := b.proc.Wait()
	b.mu.Lock()
	b.reaped, b.rootEnded = true, time.Now()
	b.mu.Unlock()
	streamErr := b.streams.finish(ctx)

	var cause error
	if !stop() {
		<-killed
		cause = context.Cause(ctx)
		if !errors.Is(killErr, errNoGroup) {
			cause = join(cause, killErr)
		}
	}
	if err != nil {
		return backend.Exit{}, fmt.Errorf("wait for the command: %w", err)
	}
	if cause == nil {
		cause = streamErr
	}
	return exitOf(state, b.peak), cause
}

// RootEnded is when the root process had ended; zero before that. Wait copies
// its output for longer.
func (b *Backend) RootEnded() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rootEnded
}

// StreamsHeld tells, after Wait, whether a process that outlived the root
// still had the command's output open when Wait gave it up. It is never so
// for a stream that is an *os.File.
func (b *Backend) StreamsHeld() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reaped && b.streams.held()
}

// Drain copies, after Wait, the output of processes that outlived the root,
// until all have closed it or ctx is done, whose cause it then returns.
func (b *Backend) Drain(ctx context.Context) error {
	select {
	case <-b.ended:
	default:
		return backend.ErrNotStarted
	}
	return b.streams.drain(ctx)
}

// LeaveStreams makes Wait, from the root's end on, give up a reader of the
// output that takes nothing. What a reader takes slowly it still gets.
func (b *Backend) LeaveStreams() {
	b.mu.Lock()
	s := b.streams
	b.mu.Unlock()
	if s != nil {
		s.leaveOnce.Do(func() { close(s.leave) })
	}
}

// Cleanup releases what the run had. Held output is closed: who writes to it
// afterwards gets SIGPIPE. Processes that outlived the root go on in the
// cgroup that the recorder is in, and the run's own is removed; one that the
// command has itself divided further is left, with an error.
//
// A command that was started and that nobody waited for is killed: there is
// nobody left to see it. A done ctx does not keep Cleanup from its work.
func (b *Backend) Cleanup(context.Context) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	running, waited := b.proc != nil && !b.reaped, b.waited
	b.mu.Unlock()

	var errs []error
	switch {
	case running && !waited:
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := b.Wait(ctx); err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, err)
		}
	case waited:
		if running {
			errs = append(errs, b.KillTree())
		}
		<-b.ended
	}
	if b.streams != nil {
		b.streams.close()
	}
	if b.group != nil {
		errs = append(errs, b.group.remove())
	}
	return join(errs...)
}

// Executable is the absolute path, symlinks included, that the command's name
// stands for; "" before Prepare. It is certain once Start has succeeded.
func (b *Backend) Executable() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.prepared {
		return ""
	}
	path, err := filepath.Abs(inDir(b.cmd.Dir, b.paths[0]))
	if err != nil {
		return ""
	}
	return path
}

// PID is the root process's, and stays so after its end; 0 before Start.
func (b *Backend) PID() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.root.pid
}

// Signal sends a signal to the root process: os.ErrProcessDone once it has
// been waited for.
func (b *Backend) Signal(sig int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.proc == nil {
		return backend.ErrNotStarted
	}
	return b.proc.Signal(syscall.Signal(sig))
}

// errNoGroup is KillTree's after the root has ended, where there is no cgroup.
var errNoGroup = errors.New("the run has no cgroup: what outlived the command cannot be found")

// KillTree sends SIGKILL to the root, to its descendants, and to everything
// in the run's cgroup, and waits until that is empty.
//
// Without a cgroup it knows only who can be found by way of their parents: a
// process whose parent has ended is not found, and after the root's own end
// nothing is.
func (b *Backend) KillTree() error {
	b.mu.Lock()
	proc, root, group, reaped := b.proc, b.root, b.group, b.reaped
	b.mu.Unlock()
	if proc == nil {
		return backend.ErrNotStarted
	}
	var err error
	if !reaped {
		// Also with a cgroup: the command may have left it.
		killDescendants(root)
		if err = proc.Kill(); errors.Is(err, os.ErrProcessDone) {
			err = nil
		}
	}
	switch {
	case group != nil:
		return join(err, group.kill())
	case reaped:
		return errNoGroup
	}
	return err
}

// Cgroup is the folder of the run's own cgroup v2, "" if it has none.
func (b *Backend) Cgroup() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.group == nil {
		return ""
	}
	return b.group.path
}

// CgroupError says why the run has no cgroup of its own; nil if it has one,
// and before Prepare.
func (b *Backend) CgroupError() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.groupErr
}

// identity names a process beyond the reuse of its number.
type identity struct {
	pid   int
	start uint64 // as the kernel counts it; 0 where it is not known
}

// join puts errors on one line. Nil ones are left out.
func join(errs ...error) error {
	var all error
	for _, err := range errs {
		switch {
		case err == nil:
		case all == nil:
			all = err
		default:
			all = fmt.Errorf("%w; %w", all, err)
		}
	}
	return all
}
