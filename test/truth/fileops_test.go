//go:build linux

package truth

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"glasshouse/receipt"
)

func init() {
	workloads["makes"] = func([]string) {
		cwd := unix.AT_FDCWD
		check(unix.Mkdir("dir", 0o755))
		sub := open(cwd, "dir", unix.O_PATH)
		check(unix.Mkdirat(sub, "by-mkdirat", 0o700))
		check(unix.Mknod("fifo", unix.S_IFIFO|0o600, 0))
		check(unix.Mknodat(sub, "socket", unix.S_IFSOCK|0o600, 0))
		check(unix.Mknod("plain", 0o600, 0))
		check(unix.Symlink("../says anything\n", "symlink"))
		check(unix.Symlinkat("/absolute", sub, "by-symlinkat"))
		check(unix.Link("plain", "hardlink"))
		check(unix.Linkat(sub, "socket", cwd, "by-linkat", 0))
		expect(unix.Mkdir("dir", 0o755), unix.EEXIST)
		expect(unix.Symlink("to", "dir"), unix.EEXIST)
		expect(unix.Link("missing", "never"), unix.ENOENT)
		expect(unix.Mknod("missing/fifo", unix.S_IFIFO, 0), unix.ENOENT)

		fd, err := unix.Open(".", unix.O_TMPFILE|unix.O_RDWR, 0o600)
		check(err)
		writeAll(fd, "unnamed")
		check(unix.Linkat(cwd, "/proc/self/fd/"+strconv.Itoa(fd), cwd, "from-tmpfile", unix.AT_SYMLINK_FOLLOW))
		check(unix.Linkat(fd, "", cwd, "from-tmpfile-2", unix.AT_EMPTY_PATH))
	}
}

func writeAll(fd int, s string) {
	n, err := unix.Write(fd, []byte(s))
	check(err)
	if n != len(s) {
		check(fmt.Errorf("wrote %d of %d bytes", n, len(s)))
	}
}

// created lists what was made in dir as "kind path target source".
func created(r recording, dir string) []string {
	out := []string{}
	for _, c := range r.Filesystem.Created {
		rest, ok := strings.CutPrefix(c.Path, dir+"/")
		if !ok {
			continue
		}
		line := c.Kind + " " + rest
		if c.Target != nil {
			line += " -> " + strings.TrimPrefix(*c.Target, dir+"/")
		}
		out = append(out, line+" "+c.Source)
	}
	return out
}

func TestMakes(t *testing.T) {
	needRoot(t) // AT_EMPTY_PATH
	dir := tempDir(t)
	r := record(t, workload("makes"), in(dir))
	complete(t, r)
	got := created(r, dir)
	var unnamed string
	for i, line := range got {
		if at := strings.Index(line, " -> #"); at >= 0 {
			unnamed = strings.Fields(line[at+4:])[0]
			got[i] = line[:at] + " -> #" + line[at+4+len(unnamed):]
		}
		if rest, ok := strings.CutPrefix(line, "file #"); ok {
			got[i] = "file # " + strings.Fields(rest)[1]
		}
	}
	slices.Sort(got)
	want := []string{
		"dir dir lexical", "dir dir/by-mkdirat lexical", "fifo fifo lexical", "file # kernel", "file plain lexical",
		"hardlink by-linkat -> dir/socket lexical", "hardlink from-tmpfile-2 -> # lexical",
		"hardlink from-tmpfile -> # lexical",
		"hardlink hardlink -> plain lexical", "socket dir/socket lexical",
		"symlink dir/by-symlinkat -> /absolute lexical", "symlink symlink -> ../says anything\n lexical",
	}
	slices.Sort(want)
	same(t, "created", want, got)
	same(t, "failed", []string{
		"link missing ENOENT 1", "mkdir dir EEXIST 1", "mknod missing/fifo ENOENT 1", "symlink dir EEXIST 1",
	}, failed(r, dir))
	if f := file(t, r, dir+"/"+unnamed); !f.Written || f.BytesWritten != 7 || !f.Deleted {
		t.Errorf("the unnamed file: %+v", f)
	}
	for _, name := range []string{"by-linkat", "dir", "dir/by-mkdirat", "fifo", "from-tmpfile", "hardlink", "plain", "symlink"} {
		if !slices.Contains(r.Filesystem.Writes, dir+"/"+name) {
			t.Errorf("%s is not among the writes", name)
		}
	}
}

// gapsOf lists the gaps of a kind as "detail count".
func gapsOf(r recording, kind string) []string {
	var out []string
	for _, g := range r.Observation.Gaps {
		if g.Kind == kind {
			out = append(out, fmt.Sprint(g.Detail, " ", g.Count))
		}
	}
	return out
}

// attribute is of the kind that each file system has: tmpfs takes none of
// "user." before Linux 6.6.
const attribute = "trusted.a"

func init() {
	workloads["changes"] = func([]string) {
		cwd := unix.AT_FDCWD
		fd := open(cwd, "opened", unix.O_RDWR)
		check(unix.Ftruncate(fd, 3))
		check(unix.Fchmod(fd, 0o640))
		check(unix.Fchown(fd, os.Getuid(), os.Getgid()))
		check(unix.Futimes(fd, make([]unix.Timeval, 2)))
		check(unix.Fsetxattr(fd, attribute, []byte("1"), 0))
		check(unix.Fremovexattr(fd, attribute))
		check(unix.Fallocate(fd, 0, 0, 10))

		check(unix.Truncate("named", 3))
		check(unix.Chmod("./named", 0o640))
		check(unix.Fchmodat(cwd, "named", 0o600, 0))
		check(unix.Chown("named", os.Getuid(), os.Getgid()))
		check(unix.Lchown("named", os.Getuid(), os.Getgid()))
		check(unix.Fchownat(cwd, "named", os.Getuid(), os.Getgid(), 0))
		check(unix.UtimesNanoAt(cwd, "named", make([]unix.Timespec, 2), 0))
		check(unix.Setxattr("named", attribute, []byte("1"), 0))
		check(unix.Removexattr("named", attribute))

		// The file itself, by its descriptor and no name.
		empty := []byte{0}
		_, _, errno := unix.Syscall6(unix.SYS_FCHOWNAT, uintptr(open(cwd, "empty", unix.O_PATH)),
			uintptr(unsafe.Pointer(&empty[0])), uintptr(os.Getuid()), uintptr(os.Getgid()), unix.AT_EMPTY_PATH, 0)
		check(result(errno))
		_, _, errno = unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(open(cwd, "null", unix.O_RDONLY)), 0, 0, 0, 0, 0)
		check(result(errno))

		expect(unix.Chmod("missing", 0), unix.ENOENT)
		expect(unix.Truncate("missing", 0), unix.ENOENT)
		expect(unix.Ftruncate(open(cwd, "null", unix.O_RDONLY), 0), unix.EINVAL)
		expect(unix.Fchmod(1000, 0), unix.EBADF)
	}
}

func TestChanges(t *testing.T) {
	needRoot(t)
	dir := tempDir(t)
	for _, name := range []string{"opened", "named", "empty", "null"} {
		write(t, filepath.Join(dir, name), "0123456789")
	}
	r := record(t, workload("changes"), in(dir))
	complete(t, r)
	var got []string
	for _, c := range r.Filesystem.Changed {
		if rest, ok := strings.CutPrefix(c.Path, dir+"/"); ok {
			got = append(got, rest+" "+c.What+" "+c.Source)
		}
	}
	same(t, "changed", []string{
		"empty owner kernel",
		"named mode lexical", "named owner lexical", "named size lexical", "named times lexical", "named xattr lexical",
		"null times kernel",
		"opened mode kernel", "opened owner kernel", "opened size kernel", "opened times kernel", "opened xattr kernel",
	}, got)
	same(t, "writes", []string{"named", "opened"}, under(dir, r.Filesystem.Writes))
	same(t, "created", []string{}, created(r, dir))
	same(t, "failed", []string{"chmod missing ENOENT 1", "truncate missing ENOENT 1", "truncate null EINVAL 1"}, failed(r, dir))
}

func init() {
	workloads["bytes"] = func([]string) {
		cwd := unix.AT_FDCWD
		w := open(cwd, "written", unix.O_RDWR|unix.O_CREAT)
		for range 1000 {
			writeAll(w, "ten bytes.")
		}
		_, err := unix.Pwrite(w, []byte("12345"), 0)
		check(err)
		_, err = unix.Writev(w, [][]byte{[]byte("abc"), []byte("de")})
		check(err)
		_, err = unix.Pwritev(w, [][]byte{[]byte("abc"), []byte("de")}, 0)
		check(err)
		_, err = unix.Pwritev2(w, [][]byte{[]byte("abc"), []byte("de")}, 0, 0)
		check(err)

		r := open(cwd, "read", unix.O_RDONLY)
		buf := make([]byte, 64)
		for {
			n, err := unix.Read(r, buf)
			check(err)
			if n == 0 {
				break
			}
		}
		_, err = unix.Pread(r, buf[:5], 0)
		check(err)
		_, err = unix.Preadv(r, [][]byte{buf[:2], buf[:3]}, 0)
		check(err)
		_, err = unix.Preadv2(r, [][]byte{buf[:2], buf[:3]}, 0, 0)
		check(err)
		_, err = unix.Pread(r, buf, 1<<20) // the end of the file
		check(err)
		_, err = unix.Read(w, nil)
		check(err)

		var at int64
		n, err := unix.CopyFileRange(r, &at, open(cwd, "copied", unix.O_WRONLY|unix.O_CREAT), nil, 100, 0)
		check(err)
		at = 0
		m, err := unix.Sendfile(open(cwd, "sent", unix.O_WRONLY|unix.O_CREAT), r, &at, 100)
		check(err)
		p := make([]int, 2)
		check(unix.Pipe(p))
		at = 0
		k, err := unix.Splice(r, &at, p[1], nil, 100, 0)
		check(err)
		l, err := unix.Splice(p[0], nil, open(cwd, "spliced", unix.O_WRONLY|unix.O_CREAT), nil, 100, 0)
		check(err)
		if n != 100 || m != 100 || k != 100 || l != 100 {
			check(fmt.Errorf("moved %d, %d, %d and %d bytes", n, m, k, l))
		}

		// The same file under another name has its own row from then on.
		check(unix.Rename("written", "renamed"))
		writeAll(w, "seven..")
		check(unix.Unlink("renamed"))
		writeAll(w, "eight...")

		// Pipes and a closed file are no files to list.
		writeAll(p[1], "x")
		_, err = unix.Write(1000, []byte("x"))
		expect(err, unix.EBADF)
		// Not by opening it: given.
		_, err = unix.Read(0, buf[:4])
		check(err)
	}
}

func TestBytes(t *testing.T) {
	dir := tempDir(t)
	write(t, filepath.Join(dir, "read"), strings.Repeat("x", 1000))
	write(t, filepath.Join(dir, "given"), "0123456789")
	given, err := os.Open(filepath.Join(dir, "given"))
	if err != nil {
		t.Fatal(err)
	}
	defer given.Close()
	r := record(t, workload("bytes"), in(dir), stdin(given))
	complete(t, r)
	type bytes struct{ Read, Written uint64 }
	got := map[string]bytes{}
	for _, f := range r.Filesystem.Files {
		if rest, ok := strings.CutPrefix(f.Path, dir+"/"); ok {
			got[rest] = bytes{f.BytesRead, f.BytesWritten}
		}
	}
	want := map[string]bytes{
		"written": {0, 10020}, "renamed": {0, 15},
		"read": {1015 + 300, 0}, "copied": {0, 100}, "sent": {0, 100}, "spliced": {0, 100},
		"given": {4, 0},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if f := file(t, r, dir+"/given"); f.Opens != 0 || !f.Read || f.Written {
		t.Errorf("given: %+v", f)
	}
	for _, f := range r.Filesystem.Files {
		if strings.HasPrefix(f.Path, "pipe:") {
			t.Errorf("a pipe: %+v", f)
		}
	}
}

func init() {
	workloads["mappings"] = func([]string) {
		cwd := unix.AT_FDCWD
		mmap := func(fd, prot, flags int) []byte {
			b, err := unix.Mmap(fd, 0, 4096, prot, flags)
			check(err)
			return b
		}
		rw := open(cwd, "shared", unix.O_RDWR)
		mmap(rw, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		mmap(open(cwd, "later", unix.O_RDWR), unix.PROT_READ, unix.MAP_SHARED)
		mmap(open(cwd, "readonly", unix.O_RDONLY), unix.PROT_READ, unix.MAP_SHARED)
		mmap(open(cwd, "private", unix.O_RDWR), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
		mmap(open(cwd, "library", unix.O_RDONLY), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
		mmap(-1, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		b := mmap(-1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		check(unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC))
		_, err := unix.Mmap(1000, 0, 4096, unix.PROT_EXEC, unix.MAP_PRIVATE)
		expect(err, unix.EBADF)
	}
}

func TestMappings(t *testing.T) {
	dir := tempDir(t)
	names := []string{"shared", "later", "readonly", "private", "library"}
	for _, name := range names {
		write(t, filepath.Join(dir, name), strings.Repeat("x", 4096))
	}
	r := record(t, workload("mappings"), in(dir))
	complete(t, r)
	for _, name := range names {
		f := file(t, r, dir+"/"+name)
		if f.MappedExec != (name == "library") || f.MappedShared != (name == "shared" || name == "later") || f.Opens != 1 {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if gaps := gapsOf(r, "shared_mapping"); len(gaps) != 1 || !strings.HasSuffix(gaps[0], " 2") {
		t.Errorf("shared mappings %q", gaps)
	}
	if gaps := gapsOf(r, "executable_memory"); len(gaps) != 1 || !strings.HasSuffix(gaps[0], " 2") {
		t.Errorf("executable memory %q", gaps)
	}
}

// The libraries of a program are those that it maps to run.
func TestLibraries(t *testing.T) {
	// The loader lists them, as it does for ldd.
	ldd := exec.Command("/bin/sh")
	ldd.Env = []string{"LD_TRACE_LOADED_OBJECTS=1"}
	out, err := ldd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "=>" {
			path, err := filepath.EvalSymlinks(f[2])
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, path)
		}
	}
	if len(want) == 0 {
		t.Fatalf("the loader: %s", out)
	}
	r := record(t, []string{"/bin/sh", "-c", ":"})
	var got []string
	for _, f := range r.Filesystem.Files {
		if f.MappedExec {
			got = append(got, f.Path)
		}
	}
	slices.Sort(want)
	same(t, "libraries", want, got)
}

func init() {
	workloads["mounts"] = func([]string) {
		check(unix.Unshare(unix.CLONE_NEWNS))
		check(unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		check(unix.Mount("some words", "at", "tmpfs", 0, ""))
		touch(unix.AT_FDCWD, "at/inside", unix.O_WRONLY|unix.O_CREAT)
		check(unix.Mount("at", "bound", "", unix.MS_BIND, ""))
		check(unix.Unmount("bound", unix.MNT_DETACH))
		expect(unix.Mount("none", "missing", "tmpfs", 0, ""), unix.ENOENT)
		expect(unix.Unmount("bound", 0), unix.EINVAL)
	}
}

func TestMounts(t *testing.T) {
	needRoot(t)
	dir := tempDir(t)
	for _, name := range []string{"at", "bound"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := record(t, workload("mounts"), in(dir))
	complete(t, r)
	from := func(s string) *string { return &s }
	same(t, "mounts", []receipt.Mount{
		{Op: "mount", Path: "/", From: from("none"), Source: "lexical"},
		{Op: "mount", Path: dir + "/at", From: from("some words"), Source: "lexical"},
		{Op: "mount", Path: dir + "/bound", From: from("at"), Source: "lexical"},
		{Op: "umount", Path: dir + "/bound", Source: "lexical"},
	}, r.Filesystem.Mounts)
	same(t, "failed", []string{"mount missing ENOENT 1", "umount bound EINVAL 1"}, failed(r, dir))
	// What was done there was done elsewhere than in the recorder's tree.
	if f := file(t, r, dir+"/at/inside"); !f.OtherMounts || !f.Written {
		t.Errorf("inside: %+v", f)
	}
	if len(gapsOf(r, "mount_namespace")) == 0 {
		t.Errorf("gaps: %+v", r.Observation.Gaps)
	}
}
