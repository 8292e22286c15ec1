//go:build unix

package attest

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/internal/procfs"
	"glasshouse/receipt"
)

// openRegular opens a regular file, and nothing that does something when it is
// opened. It neither follows a link at the end of path nor waits for anybody.
func openRegular(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errIrregular
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, errIrregular
	}
	if err != nil {
		return nil, err
	}
	// It may be another one by now.
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = errIrregular
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// isStill tells whether f is the file that stood there when the run ended, and
// nobody has changed it.
func isStill(f *os.File, final *receipt.Final) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return false, &fs.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	changed := time.Unix(st.Ctim.Unix())
	return uint64(st.Ino) == final.Inode && uint64(st.Size) == final.Size && changed.Equal(final.ChangedAt.Time), nil
}

// isMapped tells whether a process has mapped f so that it can change it.
func isMapped(m procfs.Mapped, f *os.File) bool {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return false // whoever reads it will find out
	}
	dev := uint64(st.Dev)
	return m.Has(f.Name(), unix.Major(dev), unix.Minor(dev), uint64(st.Ino))
}

// notFolder: a part of the path that was a folder is none any more.
func notFolder(err error) bool { return errors.Is(err, unix.ENOTDIR) }
