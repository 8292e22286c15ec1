package audit

import (
	"testing"

	"glasshouse/receipt"
)

func fileOps(t *testing.T, ops ...*FileOp) *receipt.Receipt {
	t.Helper()
	var events []Event
	for i, op := range ops {
		op.Header = by(root, uint64(10+i))
		events = append(events, op)
	}
	return fold(t, events...)
}

func TestCreated(t *testing.T) {
	open := Target{Base: Path{Name: "/w/#7", Deleted: true}}
	fs := fileOps(t,
		&FileOp{Op: "mkdir", Path: in("/w", "dir")},
		&FileOp{Op: "mknod", Path: in("/w", "dir/fifo"), Kind: KindFIFO},
		&FileOp{Op: "symlink", Path: in("/w", "to-nothing"), To: Target{Requested: ""}},
		&FileOp{Op: "symlink", Path: in("/w", "unread"), To: Target{Cut: true}},
		&FileOp{Op: "link", Path: in("/w", "old"), To: in("/w", "new")},
		&FileOp{Op: "link", Path: open, To: in("/w", "named")},
		&FileOp{Op: "link", Path: Target{Cut: true}, To: in("/w", "from-somewhere")},
		&FileOp{Op: "link", Path: in("/w", "old"), To: Target{Base: Path{Name: "/w"}, Cut: true}},
		&FileOp{Op: "mkdir", Path: Target{Base: Path{Name: "/w"}, Requested: "cu", Cut: true}},
	)
	check(t, "created", fs.Filesystem.Created, []receipt.Created{
		{Path: "/w/dir", Kind: "dir", Source: "lexical"},
		{Path: "/w/dir/fifo", Kind: "fifo", Source: "lexical"},
		{Path: "/w/from-somewhere", Kind: "hardlink", Source: "lexical"},
		{Path: "/w/named", Kind: "hardlink", Target: ptr("/w/#7"), Source: "lexical"},
		{Path: "/w/new", Kind: "hardlink", Target: ptr("/w/old"), Source: "lexical"},
		{Path: "/w/to-nothing", Kind: "symlink", Target: ptr(""), Source: "lexical"},
		{Path: "/w/unread", Kind: "symlink", Source: "lexical"},
	})
	check(t, "writes", fs.Filesystem.Writes, []string{
		"/w/dir", "/w/dir/fifo", "/w/from-somewhere", "/w/named", "/w/new", "/w/to-nothing", "/w/unread",
	})
	check(t, "gaps", fs.Observation.Gaps, []receipt.Gap{
		{Kind: "path_cut", Detail: "link", Count: 2}, {Kind: "path_cut", Detail: "mkdir", Count: 1},
	})
}

func TestChanged(t *testing.T) {
	opened := Target{Base: Path{Name: "/w/opened"}}
	gone := Target{Base: Path{Name: "/w/gone", Deleted: true}}
	fs := fileOps(t,
		&FileOp{Op: "chmod", Path: in("/w", "named")},
		&FileOp{Op: "chmod", Path: in("/w", "./named")},
		&FileOp{Op: "chown", Path: opened},
		&FileOp{Op: "utimes", Path: opened},
		&FileOp{Op: "xattr", Path: opened},
		&FileOp{Op: "truncate", Path: opened},
		&FileOp{Op: "unlink", Path: in("/w", "gone")},
		&FileOp{Op: "truncate", Path: gone},
		&FileOp{Op: "chmod", Path: in("/w", "refused"), Errno: 1},
	).Filesystem
	check(t, "changed", fs.Changed, []receipt.Changed{
		{Path: "/w/gone", What: "size", Source: "kernel"},
		{Path: "/w/named", What: "mode", Source: "lexical"},
		{Path: "/w/opened", What: "owner", Source: "kernel"},
		{Path: "/w/opened", What: "size", Source: "kernel"},
		{Path: "/w/opened", What: "times", Source: "kernel"},
		{Path: "/w/opened", What: "xattr", Source: "kernel"},
	})
	check(t, "writes", fs.Writes, []string{"/w/gone", "/w/opened"})
	check(t, "failed", fs.Failed, []receipt.FailedOp{{Op: "chmod", Path: "/w/refused", Errno: "EPERM", Count: 1}})
	check(t, "files", fs.Files, []receipt.FileEntry{
		{Path: "/w/gone", Requested: []string{"gone"}, Written: true, Source: "kernel", Deleted: true},
		{Path: "/w/named", Requested: []string{"./named", "named"}, Source: "lexical"},
		{Path: "/w/opened", Written: true, Source: "kernel"},
	})
}

func TestMounts(t *testing.T) {
	fs := fileOps(t,
		&FileOp{Op: "mount", Path: in("/w", "at"), To: Target{Requested: "tmpfs"}},
		&FileOp{Op: "mount", Path: in("/w", "unread"), To: Target{Cut: true}},
		&FileOp{Op: "move_mount", Path: in("/w", "at"), To: in("/w", "from")},
		&FileOp{Op: "umount", Path: in("/w", "at")},
		&FileOp{Op: "mount", Path: in("/w", "at"), To: Target{Requested: "tmpfs"}, Errno: 1},
	).Filesystem
	check(t, "mounts", fs.Mounts, []receipt.Mount{
		{Op: "mount", Path: "/w/at", From: ptr("tmpfs"), Source: "lexical"},
		{Op: "move_mount", Path: "/w/at", From: ptr("/w/from"), Source: "lexical"},
		{Op: "umount", Path: "/w/at", Source: "lexical"},
		{Op: "mount", Path: "/w/unread", Source: "lexical"},
	})
	check(t, "failed", fs.Failed, []receipt.FailedOp{{Op: "mount", Path: "/w/at", To: "tmpfs", Errno: "EPERM", Count: 1}})
}

func TestFileIO(t *testing.T) {
	file := func(name string) Path { return Path{Name: name} }
	r := fold(t,
		&Open{Header: by(root, 1), ID: 1, Path: file("/w/a"), Mode: OpenMode{Read: true}},
		&Repeat{ID: 2, Count: 1, Bytes: 5}, // before what it repeats
		&FileIO{Header: by(root, 2), ID: 2, Path: file("/w/a"), Kind: KindFile, Read: 10},
		&Repeat{ID: 2, Count: 3, Bytes: 30},
		&FileIO{Header: by(root, 3), ID: 3, Path: file("/w/given"), Kind: KindFile, Written: 7},
		&FileIO{Header: by(root, 3), ID: 4, Path: file("/dev/pts/0"), Kind: KindDevice, Written: 7},
		&FileIO{Header: by(root, 3), ID: 9, Path: file("/dev/pts/0"), Kind: KindDevice, Read: 1},
		&FileIO{Header: by(root, 4), ID: 5, Path: file("/w/other"), Kind: KindFile, Written: 1, Raced: true},
		&FileIO{Header: by(root, 4), ID: 6, Path: Path{Name: "/w/a", OtherNS: true}, Kind: KindFile, Read: 2},
		&Mapping{Header: by(root, 5), ID: 7, Path: file("/lib/c"), Exec: true},
		&Mapping{Header: by(root, 5), ID: 8, Path: file("/w/given"), Shared: true, Raced: true},
		&Repeat{ID: 8, Count: 4},
		&Repeat{ID: 7, Count: 4}, // nothing counts these
	)
	check(t, "files", r.Filesystem.Files, []receipt.FileEntry{
		{Path: "/dev/pts/0", BytesRead: 1, BytesWritten: 7, Source: "kernel"},
		{Path: "/lib/c", MappedExec: true, Source: "kernel"},
		{Path: "/w/a", Opens: 1, Read: true, BytesRead: 45, Source: "kernel"},
		{Path: "/w/a", Read: true, BytesRead: 2, Source: "kernel", OtherMounts: true},
		{Path: "/w/given", Written: true, MappedShared: true, BytesWritten: 7, Source: "kernel"},
		{Path: "/w/other", BytesWritten: 1, Source: "kernel"},
	})
	check(t, "reads", r.Filesystem.Reads, []string{"/w/a"})
	check(t, "writes", r.Filesystem.Writes, []string{"/w/given"})
	check(t, "gaps", r.Observation.Gaps, []receipt.Gap{
		{Kind: "mount_namespace", Detail: "read or write", Count: 1},
		{Kind: "raced", Detail: "mmap", Count: 1},
		{Kind: "raced", Detail: "read or write", Count: 1},
		{Kind: "shared_mapping", Detail: "files were mapped shared and writable; writes through a mapping pass no system call", Count: 5},
	})
}

func TestSharedNames(t *testing.T) {
	shared := in("/w", "a")
	shared.Shared = true
	r := fileOps(t,
		&FileOp{Op: "unlink", Path: shared},
		&FileOp{Op: "rename", Path: in("/w", "b"), To: shared},
		// No name was read.
		&FileOp{Op: "chmod", Path: Target{Base: Path{Name: "/w/c"}, Shared: true}},
	)
	check(t, "gaps", r.Observation.Gaps, []receipt.Gap{
		{Kind: "shared_names", Detail: "rename", Count: 1}, {Kind: "shared_names", Detail: "unlink", Count: 1},
	})
}

// An operation whose success is not to be reported has neither failed nor been seen to take place.
func TestUnreported(t *testing.T) {
	r := fileOps(t,
		&FileOp{Op: "unlink", Path: in("/w", "x"), Errno: eIOCBQUEUED},
		&FileOp{Op: "unlink", Path: in("/w", "x"), Errno: eIOCBQUEUED},
		&FileOp{Op: "rename", Path: in("/w", "y"), To: in("/w", "z"), Errno: eIOCBQUEUED},
		&FileOp{Op: "rename", Path: in("/w", "y"), To: in("/w", "z"), Errno: 2},
	)
	check(t, "gaps", r.Observation.Gaps, []receipt.Gap{
		{Kind: "io_uring", Detail: "rename /w/y, /w/z: not to be reported if it is done", Count: 1},
		{Kind: "io_uring", Detail: "unlink /w/x: not to be reported if it is done", Count: 2},
	})
	if fs := r.Filesystem; len(fs.Deletes) != 0 || len(fs.Renames) != 0 || len(fs.Failed) != 1 || fs.Failed[0].Errno != "ENOENT" {
		t.Errorf("%+v", fs)
	}
}

// What the kernel found is what it was done to, whatever it was called.
func TestFound(t *testing.T) {
	found := func(path, requested string) Target {
		return Target{Base: Path{Name: path}, Requested: requested, Found: true}
	}
	r := fold(t,
		&FileOp{Op: "mkdir", Path: found("/real/dir", "way/dir")},
		&FileOp{Op: "link", Path: found("/real/a", "way/a"), To: found("/real/b", "../b")},
		&FileOp{Op: "rename", Path: found("/real/a", "way/a"), To: found("/real/b", "way/b")},
		&FileOp{Op: "rename", Path: in("/real", "b"), To: in("/real", "c")},
		&FileOp{Op: "rename", Path: found("/real/b", "way/b"), To: found("/real/c", "way/c")},
		&FileOp{Op: "unlink", Path: found("/real/c", "way/c")},
	)
	check(t, "created", r.Filesystem.Created, []receipt.Created{
		{Path: "/real/b", Kind: "hardlink", Target: ptr("/real/a"), Source: "kernel"},
		{Path: "/real/dir", Kind: "dir", Source: "kernel"},
	})
	check(t, "renames", r.Filesystem.Renames, []receipt.Rename{
		{From: "/real/a", To: "/real/b", Source: "kernel"},
		{From: "/real/b", To: "/real/c", Source: "kernel"},
	})
	check(t, "deletes", r.Filesystem.Deletes, []string{"/real/a", "/real/b", "/real/c"})
	check(t, "gaps", r.Observation.Gaps, []receipt.Gap{})
}
