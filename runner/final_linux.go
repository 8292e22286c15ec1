package runner

import (
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/internal/procfs"
	"glasshouse/receipt"
)

// lookAt is what is known of a regular file in a file system that stores what
// is written to it, and whether its inode is that which events tell: overlayfs
// shows the number of a file below it.
func lookAt(path string) (f *receipt.Final, sameInode, ok bool) {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if unix.Lstat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, false, false
	}
	if unix.Statfs(path, &fs) != nil || pseudo(int64(fs.Type)) {
		return nil, false, false
	}
	changed := time.Unix(st.Ctim.Unix())
	if y := changed.UTC().Year(); y < 0 || y > 9999 {
		return nil, false, false // no receipt can say so
	}
	f = &receipt.Final{Inode: st.Ino, Size: uint64(st.Size), ChangedAt: receipt.At(changed)}
	return f, int64(fs.Type) != unix.OVERLAYFS_SUPER_MAGIC, true
}

// isMapped tells whether the file at path is one of those.
func isMapped(m procfs.Mapped, path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && m.Has(path, unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
}

// pseudo tells the file systems whose files are switches: see
// include/uapi/linux/magic.h.
func pseudo(magic int64) bool {
	switch magic {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
		unix.TRACEFS_MAGIC, unix.DEBUGFS_MAGIC, unix.SECURITYFS_MAGIC, unix.BPF_FS_MAGIC, unix.BINFMTFS_MAGIC,
		unix.SELINUX_MAGIC, unix.EFIVARFS_MAGIC:
		return true
	}
	return false
}
