package freezer

import (
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Freezer holds the processes of one cgroup. It is for one goroutine at a time.
type Freezer struct {
	path  string // of cgroup.freeze
	keep  Keeper
	guard *guard // started with the first Hold
	fd    int    // of path, while there is a guard
}

// Keeper is told of the guard, for a process that reaps every child which it
// does not know.
type Keeper interface {
	// Own calls start, which starts a child and returns its number.
	Own(start func() (pid int, err error)) error
	// Disown says that the child has been waited for.
	Disown(pid int)
}

// New returns a freezer of the cgroup v2 with that folder. Nothing is opened
// or started before the first Hold. keep may be nil.
func New(dir string, keep Keeper) *Freezer {
	return &Freezer{path: filepath.Join(dir, "cgroup.freeze"), keep: keep}
}

// Hold begins to freeze the group and what is below it, and does not wait:
// each process is held once it is back from the kernel. The first Hold also
// starts the guard, and holds nobody if it cannot.
func (f *Freezer) Hold() error {
	if f.guard == nil {
		if err := f.begin(); err != nil {
			return err
		}
	}
	return f.write("1")
}

// Release lets the processes go on. A group that is gone has none.
func (f *Freezer) Release() error {
	if f.guard == nil {
		return nil
	}
	err := f.write("0")
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// Close releases the group and ends the guard.
func (f *Freezer) Close() error {
	if f.guard == nil {
		return nil
	}
	err := errors.Join(f.Release(), f.guard.end(f.keep), unix.Close(f.fd))
	f.guard = nil
	return err
}

func (f *Freezer) begin() error {
	fd, err := unix.Open(f.path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: f.path, Err: err}
	}
	g, err := startGuard(fd, f.keep)
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	f.fd, f.guard = fd, g
	return nil
}

func (f *Freezer) write(value string) error {
	for {
		_, err := unix.Write(f.fd, []byte(value))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &fs.PathError{Op: "write", Path: f.path, Err: err}
		}
		return nil
	}
}
