//go:build linux && (amd64 || arm64)

package ptrace

import "golang.org/x/sys/unix"

// inode is what tells a file from all others.
type inode struct {
	dev, ino uint64
	born     int64  // ns: a file may get the number of one that is gone
	mount    uint64 // by which it is looked at; 0 where the kernel does not tell
}

// stat is what is known of a file without its path.
type stat struct {
	inode
	rdev        uint64 // of a device
	mode, links uint32
}

func (s *stat) kind() uint32 { return s.mode & unix.S_IFMT }

// statOf tells what the kernel has at hand: whoever serves the file system is not
// asked, for that may be a process of the run, which stands still. The flags are
// those of statx(2).
func (t *tracer) statOf(path string, flags int) (stat, error) {
	var x unix.Statx_t
	const want = unix.STATX_TYPE | unix.STATX_MODE | unix.STATX_NLINK | unix.STATX_INO | unix.STATX_BTIME | unix.STATX_MNT_ID
	err := unix.Statx(unix.AT_FDCWD, path, flags|unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, want, &x)
	if err == unix.ENOSYS || err == unix.EPERM { // of a container's filter
		if t.served { // the older calls ask
			t.books.doubt("a process of the run served a file system, and statx, which does not ask it, is refused here: files and sockets could not be looked at")
			return stat{}, err
		}
		return oldStat(path, flags)
	}
	if err != nil {
		return stat{}, err
	}
	s := stat{
		inode: inode{dev: unix.Mkdev(x.Dev_major, x.Dev_minor), ino: x.Ino},
		rdev:  unix.Mkdev(x.Rdev_major, x.Rdev_minor), mode: uint32(x.Mode), links: x.Nlink,
	}
	if x.Mask&unix.STATX_BTIME != 0 {
		s.born = x.Btime.Sec*1e9 + int64(x.Btime.Nsec)
	}
	if x.Mask&unix.STATX_MNT_ID != 0 {
		s.mount = x.Mnt_id
	}
	return s, nil
}

func oldStat(path string, flags int) (stat, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(unix.AT_FDCWD, path, &st, flags&unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return stat{}, err
	}
	return stat{inode: inode{dev: st.Dev, ino: st.Ino}, rdev: st.Rdev, mode: st.Mode, links: uint32(st.Nlink)}, nil
}

// same tells whether two are one file, by whatever mount.
func same(a, b stat) bool { return a.dev == b.dev && a.ino == b.ino }
