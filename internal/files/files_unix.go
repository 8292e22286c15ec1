//go:build unix

package files

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// descriptor tells whether path is the name of an open descriptor of this
// process, and of which.
func descriptor(path string) (fd int, ok bool) {
	path = filepath.Clean(path)
	switch path {
	case "/dev/stdin":
		return 0, true
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/", "/proc/" + strconv.Itoa(os.Getpid()) + "/fd/"} {
		if n, found := strings.CutPrefix(path, dir); found {
			fd, err := strconv.ParseUint(n, 10, 31)
			return int(fd), err == nil
		}
	}
	return 0, false
}

// openDescriptor duplicates the descriptor that path names. Opening the name
// would begin at the start of the file that stands behind it.
func openDescriptor(path string) (f *os.File, ok bool, err error) {
	fd, ok := descriptor(path)
	if !ok {
		return nil, false, nil
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, true, err
	}
	return os.NewFile(uintptr(dup), path), true, nil
}

// foreign tells whether a file belongs neither to this process's user nor to
// root.
func foreign(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || (st.Uid != 0 && int(st.Uid) != os.Geteuid())
}

// private tells whether nobody but this user and root can read or change a
// folder.
func private(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o077 == 0
}
