package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Replace writes to path what write writes, whole or not at all: it writes a
// file beside the place, syncs and renames it. A new file gets mode 0644 less
// the umask, a replaced one keeps its mode. On an error what stood at path is as
// it was, and nothing is left beside it.
//
// A symbolic link stays, and the file that it leads to is replaced. What is no
// regular file (a device, a FIFO) is written through, since there is nothing
// to replace; so is an open descriptor by name, such as /dev/stdout or
// /dev/fd/3, from where it stands.
//
// A link, file or FIFO that belongs neither to this process's user nor to root
// is replaced as if nothing were there: a command that ran with fewer rights
// must not choose where, or how readable, its receipt is written.
//
// Errors name path and wrap the system's error.
func Replace(path string, write func(io.Writer) error) error {
	if err := writeTo(path, write); err != nil {
		return fmt.Errorf("write %s: %w", path, bare(err))
	}
	return nil
}

// bare takes the operation and the name off a system error: the name may be
// that of the file beside the place, which says nothing to the user.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

func writeTo(path string, write func(io.Writer) error) error {
	if path == "" {
		return syscall.ENOENT
	}
	if os.IsPathSeparator(path[len(path)-1]) {
		return syscall.EISDIR
	}
	target, err := followLinks(path)
	if err != nil {
		return err
	}
	if f, ok, err := openDescriptor(target); ok || err != nil {
		if err != nil {
			return err
		}
		return writeAndClose(f, write)
	}
	info, err := os.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return replace(target, nil, write)
	case err != nil:
		return err
	case info.IsDir():
		return syscall.EISDIR
	case info.Mode()&fs.ModeDevice == 0 && foreign(info):
		return replace(target, nil, write)
	case info.Mode().IsRegular():
		return replace(target, info, write)
	default:
		f, err := os.OpenFile(target, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return writeAndClose(f, write)
	}
}

// maxLinks is where Linux gives up too.
const maxLinks = 40

// followLinks follows the symbolic links that path's last part is, up to what
// is no link, does not exist, or is an open descriptor's name: such a link
// must not be followed by its text, which need not lead to the open file.
func followLinks(path string) (string, error) {
	for range maxLinks {
		if _, ok := descriptor(path); ok {
			return path, nil
		}
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		if info.Mode().Type() != fs.ModeSymlink || foreign(info) {
			return path, nil
		}
		next, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(next) {
			// Not filepath.Join: a ".." after a linked folder must stay.
			next = filepath.Dir(path) + string(filepath.Separator) + next
		}
		path = next
	}
	return "", syscall.ELOOP
}

func writeAndClose(f *os.File, write func(io.Writer) error) error {
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// replace puts a new file in the place of target; old is nil if there is none.
func replace(target string, old fs.FileInfo, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(target)
	f, err := createBeside(dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if old != nil {
		if err := f.Chmod(old.Mode().Perm()); err != nil {
			return err
		}
	}
	if err := write(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), target); err != nil {
		return err
	}
	syncDir(dir)
	return nil
}

// createBeside makes an empty file in dir, with the mode that the umask
// leaves of 0644, which os.CreateTemp does not give.
func createBeside(dir string) (*os.File, error) {
	for {
		name := filepath.Join(dir, ".glasshouse-"+strconv.FormatUint(rand.Uint64(), 36))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}
