//go:build linux

package truth

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func open(dirfd int, path string, flags int) int {
	fd, err := unix.Openat(dirfd, path, flags, 0o644)
	check(err)
	return fd
}

func touch(dirfd int, path string, flags int) { check(unix.Close(open(dirfd, path, flags))) }

func init() {
	workloads["opens"] = func([]string) {
		cwd := unix.AT_FDCWD
		touch(cwd, "read", unix.O_RDONLY)
		touch(cwd, "./sub//../read", unix.O_RDONLY)
		touch(cwd, "write", unix.O_WRONLY)
		touch(cwd, "both", unix.O_RDWR)
		touch(cwd, "append", unix.O_WRONLY|unix.O_APPEND)
		touch(cwd, "truncated", unix.O_WRONLY|unix.O_TRUNC)
		touch(cwd, "created", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
		touch(cwd, "created-for-reading", unix.O_RDONLY|unix.O_CREAT)
		touch(cwd, "path-only", unix.O_PATH)
		touch(cwd, "link", unix.O_RDONLY) // to target
		touch(cwd, "sub", unix.O_RDONLY|unix.O_DIRECTORY)
		touch(cwd, "new\nline", unix.O_WRONLY|unix.O_CREAT)
		touch(cwd, "bad\xff\\byte", unix.O_WRONLY|unix.O_CREAT)
		touch(cwd, strings.Repeat("n", 255), unix.O_WRONLY|unix.O_CREAT)

		fd, err := creat("by-creat")
		check(err)
		unix.Close(fd)
		fd, err = oldOpen("read", unix.O_RDONLY)
		check(err)
		unix.Close(fd)
		fd, err = unix.Openat2(cwd, "by-openat2", &unix.OpenHow{Flags: unix.O_WRONLY | unix.O_CREAT, Mode: 0o600})
		check(err)
		unix.Close(fd)

		sub := open(cwd, "sub", unix.O_PATH)
		touch(sub, "by-dirfd", unix.O_WRONLY|unix.O_CREAT)
		touch(sub, "../read", unix.O_RDONLY)
		check(unix.Fchdir(sub))
		touch(cwd, "by-cwd", unix.O_WRONLY|unix.O_CREAT)
		touch(cwd, "/proc/self/fd/"+strconv.Itoa(sub)+"/by-magic-link", unix.O_WRONLY|unix.O_CREAT)
		touch(cwd, "/proc/self/comm", unix.O_RDONLY)

		_, err = unix.Open("missing", unix.O_RDONLY, 0)
		expect(err, unix.ENOENT)
		_, err = unix.Open("missing", unix.O_RDONLY, 0)
		expect(err, unix.ENOENT)
		_, err = unix.Open("../read/x", unix.O_RDONLY, 0)
		expect(err, unix.ENOTDIR)
		_, err = unix.Open("../sub", unix.O_WRONLY, 0)
		expect(err, unix.EISDIR)
		_, err = unix.Open("../link", unix.O_RDONLY|unix.O_NOFOLLOW, 0)
		expect(err, unix.ELOOP)
		_, err = unix.Open("../read", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
		expect(err, unix.EEXIST)
		_, err = unix.Open(strings.Repeat("n", 256), unix.O_RDONLY, 0)
		expect(err, unix.ENAMETOOLONG)
		fmt.Print(os.Getpid())
	}
}

func TestOpens(t *testing.T) {
	dir := tempDir(t)
	for _, name := range []string{"read", "write", "both", "append", "truncated", "path-only", "target"} {
		write(t, filepath.Join(dir, name), "x")
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	r := record(t, workload("opens"), in(dir))
	complete(t, r)
	long := strings.Repeat("n", 255)
	same(t, "reads", []string{"both", "created-for-reading", "read", "sub", "target"}, under(dir, r.Filesystem.Reads))
	same(t, "writes", []string{
		"append", `bad\xff\\byte`, "both", "by-creat", "by-openat2", "created", "created-for-reading", "new\nline", long,
		"sub/by-cwd", "sub/by-dirfd", "sub/by-magic-link", "truncated", "write",
	}, under(dir, r.Filesystem.Writes))
	same(t, "deletes", nil, under(dir, r.Filesystem.Deletes))
	var created []string
	for _, c := range r.Filesystem.Created {
		if c.Kind != "file" || c.Source != "kernel" || c.Target != nil {
			t.Errorf("created %+v", c)
		}
		created = append(created, c.Path)
	}
	same(t, "created", []string{
		`bad\xff\\byte`, "by-creat", "by-openat2", "created", "created-for-reading", "new\nline", long,
		"sub/by-cwd", "sub/by-dirfd", "sub/by-magic-link",
	}, under(dir, created))
	same(t, "failed", []string{
		"open link ELOOP 1", "open read EEXIST 1", "open read/x ENOTDIR 1", "open sub EISDIR 1",
		"open sub/missing ENOENT 2", "open sub/" + strings.Repeat("n", 256) + " ENAMETOOLONG 1",
	}, failed(r, dir))

	read := file(t, r, dir+"/read")
	if read.Opens != 4 || !read.Read || read.Written || read.Source != "kernel" {
		t.Errorf("read: %+v", read)
	}
	same(t, "requested", []string{"../read", "./sub//../read", "read"}, read.Requested)
	if f := file(t, r, dir+"/path-only"); f.Read || f.Written || f.Opens != 1 {
		t.Errorf("path-only: %+v", f)
	}
	if f := file(t, r, dir+`/bad\xff\\byte`); string(f.PathBytes) != dir+"/bad\xff\\byte" {
		t.Errorf("path_bytes: %q", f.PathBytes)
	}
	if f := file(t, r, "/proc/"+r.stdout+"/comm"); f.Opens != 1 || !f.Read {
		t.Errorf("/proc/self/comm: %+v", f)
	}
	// open sums the names that open files; all others count by themselves.
	c := r.Syscalls.Counts
	if c["creat"] != oldCalls || c["openat2"] != 1 || c["open"] != c["openat"]+1+2*oldCalls {
		t.Errorf("counts %v", c)
	}
}

func init() {
	workloads["removals"] = func([]string) {
		cwd := unix.AT_FDCWD
		check(unix.Unlink("unlinked"))
		check(unix.Unlinkat(cwd, "./unlinkat", 0))
		check(unix.Rmdir("rmdir/"))
		check(unix.Unlinkat(cwd, "unlinkat-dir", unix.AT_REMOVEDIR))
		sub := open(cwd, "sub", unix.O_RDONLY)
		check(unix.Unlinkat(sub, "by-dirfd", 0))
		check(unix.Chdir("sub"))
		check(unix.Unlink("../by-parent"))
		check(unix.Unlink("by-cwd"))
		check(unix.Chdir(".."))
		// A file that goes and comes back, and one that comes and goes.
		check(unix.Unlink("returns"))
		touch(cwd, "returns", unix.O_WRONLY|unix.O_CREAT)
		for range 3 {
			touch(cwd, "comes", unix.O_WRONLY|unix.O_CREAT)
			check(unix.Unlink("comes"))
		}
		expect(unix.Unlink("missing"), unix.ENOENT)
		expect(unix.Rmdir("sub"), unix.ENOTEMPTY)
		expect(unix.Unlink("sub"), unix.EISDIR)

		check(unix.Rename("a", "b"))
		check(unix.Renameat(sub, "c", cwd, "d"))
		check(unix.Renameat2(cwd, "x", sub, "y", unix.RENAME_EXCHANGE))
		expect(unix.Renameat2(cwd, "b", cwd, "d", unix.RENAME_NOREPLACE), unix.EEXIST)
		expect(unix.Rename("missing", "b"), unix.ENOENT)
	}
}

func TestRemovals(t *testing.T) {
	dir := tempDir(t)
	for _, d := range []string{"rmdir", "unlinkat-dir", "sub"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{
		"unlinked", "unlinkat", "sub/by-dirfd", "by-parent", "sub/by-cwd", "returns", "a", "sub/c", "x", "sub/y", "sub/stays",
	} {
		write(t, filepath.Join(dir, name), "x")
	}
	r := record(t, workload("removals"), in(dir))
	complete(t, r)
	same(t, "deletes", []string{
		"a", "by-parent", "comes", "returns", "rmdir", "sub/by-cwd", "sub/by-dirfd", "sub/c", "unlinkat", "unlinkat-dir", "unlinked",
	}, under(dir, r.Filesystem.Deletes))
	var renames []string
	for _, n := range r.Filesystem.Renames {
		if n.Source != "lexical" {
			t.Errorf("rename %+v", n)
		}
		renames = append(renames, strings.TrimPrefix(n.From, dir+"/")+" > "+strings.TrimPrefix(n.To, dir+"/"))
	}
	same(t, "renames", []string{"a > b", "sub/c > d", "sub/y > x", "x > sub/y"}, renames)
	same(t, "failed", []string{
		"rename b EEXIST 1", "rename missing ENOENT 1", "rmdir sub ENOTEMPTY 1", "unlink missing ENOENT 1", "unlink sub EISDIR 1",
	}, failed(r, dir))
	for name, deleted := range map[string]bool{"returns": false, "comes": true, "unlinked": true, "a": true, "b": false} {
		if f := file(t, r, dir+"/"+name); f.Deleted != deleted {
			t.Errorf("%s: deleted %v", name, f.Deleted)
		}
	}
}

func init() {
	workloads["repeats"] = func([]string) {
		cwd := unix.AT_FDCWD
		for range 20000 {
			touch(cwd, "dir/file", unix.O_RDONLY)
		}
		for range 5000 {
			_, err := unix.Open("dir/none", unix.O_RDONLY, 0)
			expect(err, unix.ENOENT)
		}
		// The same file by the same dentry, but another path.
		check(unix.Rename("dir", "moved"))
		for range 3000 {
			touch(cwd, "moved/file", unix.O_RDONLY)
		}
		dir := open(cwd, "moved", unix.O_PATH)
		check(unix.Fchdir(dir))
		check(unix.Rename("../moved", "../again"))
		for range 2000 {
			touch(cwd, "file", unix.O_RDONLY)
		}
		check(unix.Rename("../again", "../moved"))
		for range 1000 {
			touch(cwd, "file", unix.O_RDONLY)
		}
	}
}

func init() {
	// Two of these run at once: the second with "rename" moves names about, so
	// that what was folded is told again and again on both CPUs.
	workloads["repeats-apart"] = func(args []string) {
		for i := range 30000 {
			touch(unix.AT_FDCWD, "file", unix.O_RDONLY)
			if len(args) > 0 && i%3 == 0 {
				check(unix.Rename("x", "y"))
				check(unix.Rename("y", "x"))
			}
		}
	}
}

func TestRepeatsOnSeveralCPUs(t *testing.T) {
	dir := tempDir(t)
	write(t, filepath.Join(dir, "file"), "")
	write(t, filepath.Join(dir, "x"), "")
	one := strings.Join(workload("repeats-apart"), " ")
	r := record(t, []string{"/bin/sh", "-c", one + " & " + one + " rename & wait"}, in(dir))
	complete(t, r)
	if f := file(t, r, dir+"/file"); f.Opens != 60000 {
		t.Errorf("%d opens", f.Opens)
	}
	if n := len(r.Filesystem.Renames); n != 2 {
		t.Errorf("%d renames", n)
	}
}

// What repeats is counted in the kernel, under the path that it has by then.
func TestRepeats(t *testing.T) {
	dir := tempDir(t)
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "dir/file"), "x")
	r := record(t, workload("repeats"), in(dir))
	complete(t, r)
	for path, opens := range map[string]uint64{"dir/file": 20000, "moved/file": 4000, "again/file": 2000} {
		if f := file(t, r, dir+"/"+path); f.Opens != opens {
			t.Errorf("%s: %d opens, want %d", path, f.Opens, opens)
		}
	}
	same(t, "failed", []string{"open dir/none ENOENT 5000"}, failed(r, dir))
	if r.Observation.Events.Folded < 25000 {
		t.Errorf("folded %d", r.Observation.Events.Folded)
	}
}

func init() {
	workloads["races"] = func([]string) {
		other, err := unix.Open("other", unix.O_WRONLY|unix.O_CREAT, 0o600)
		check(err)
		fd := open(unix.AT_FDCWD, "file", unix.O_RDONLY)
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					unix.Dup3(other, fd, 0)
				}
			}
		}()
		for range 30000 {
			unix.Close(fd)
			if again := open(unix.AT_FDCWD, "file", unix.O_RDONLY); again != fd {
				unix.Close(again)
			}
		}
		close(stop)
	}
}

// Another thread puts a file of its own in the place of the one that a call
// is about to return. Where that worked the receipt does not swear to it.
func TestRaces(t *testing.T) {
	dir := tempDir(t)
	write(t, filepath.Join(dir, "file"), "")
	r := record(t, workload("races"), in(dir))
	complete(t, r)
	wrong := file(t, r, dir+"/other").Opens - 1
	if right := file(t, r, dir+"/file").Opens; right+wrong != 30001 {
		t.Errorf("%d opens of the one and %d of the other", right, wrong)
	}
	var doubtful uint64
	for _, g := range r.Observation.Gaps {
		if g.Kind == "raced" {
			doubtful += g.Count
		}
	}
	t.Logf("%d taken for another, %d doubtful", wrong, doubtful)
	if doubtful < wrong {
		t.Errorf("%d opens were taken for another file's, and %d were said to be doubtful", wrong, doubtful)
	}
}

func init() {
	// A name on a page that is not in memory when the call begins.
	workloads["cold-names"] = func([]string) {
		for i := range 4 {
			page, err := unix.Mmap(open(unix.AT_FDCWD, "names", unix.O_RDONLY), 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE)
			check(err)
			check(unix.Madvise(page, unix.MADV_DONTNEED))
			p := uintptr(unsafe.Pointer(&page[i*512]))
			_, _, errno := unix.Syscall(unix.SYS_UNLINKAT, ^uintptr(99), p, 0) // AT_FDCWD is -100
			check(result(errno))
		}
		_, _, errno := unix.Syscall(unix.SYS_UNLINKAT, ^uintptr(99), 8, 0)
		expect(errno, unix.EFAULT)
	}
}

func TestColdNames(t *testing.T) {
	dir := tempDir(t)
	page := make([]byte, 4096)
	copy(page, "first\x00")
	copy(page[512:], dir+"/absolute\x00")
	copy(page[1024:], "sub/relative\x00")
	copy(page[1536:], "./last\x00")
	write(t, filepath.Join(dir, "names"), string(page))
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first", "absolute", "sub/relative", "last"} {
		write(t, filepath.Join(dir, name), "")
	}
	r := record(t, workload("cold-names"), in(dir))
	complete(t, r)
	same(t, "deletes", []string{"absolute", "first", "last", "sub/relative"}, under(dir, r.Filesystem.Deletes))
}

func init() {
	workloads["chrooted"] = func([]string) {
		check(unix.Chroot("jail"))
		check(unix.Chdir("/"))
		touch(unix.AT_FDCWD, "/inside", unix.O_WRONLY|unix.O_CREAT)
		check(unix.Unlink("/gone"))
		check(unix.Unlink("/../above"))
		check(unix.Unlink("../../climbed"))
		check(unix.Chdir("sub"))
		check(unix.Unlink("../../../from-sub"))
	}
}

// A chroot does not change where a file is.
func TestChroot(t *testing.T) {
	needRoot(t)
	dir := tempDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "jail/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gone", "above", "climbed", "from-sub"} {
		write(t, filepath.Join(dir, "jail", name), "")
	}
	r := record(t, workload("chrooted"), in(dir))
	same(t, "writes", []string{"jail/inside"}, under(dir, r.Filesystem.Writes))
	same(t, "deletes", []string{"jail/above", "jail/climbed", "jail/from-sub", "jail/gone"}, under(dir, r.Filesystem.Deletes))
}

func init() {
	workloads["deep"] = func([]string) {
		for range 40 {
			name := strings.Repeat("d", 100)
			check(unix.Mkdir(name, 0o755))
			check(unix.Chdir(name))
		}
		touch(unix.AT_FDCWD, "bottom", unix.O_WRONLY|unix.O_CREAT)
		check(unix.Unlink("bottom"))
	}
}

// Relative names reach deeper than PATH_MAX.
func TestDeepPaths(t *testing.T) {
	dir := tempDir(t)
	r := record(t, workload("deep"), in(dir))
	complete(t, r)
	var made []string
	path := ""
	for range 40 {
		path += strings.Repeat("d", 100)
		made = append(made, path)
		path += "/"
	}
	bottom := path + "bottom"
	same(t, "writes", append(made, bottom), under(dir, r.Filesystem.Writes))
	same(t, "deletes", []string{bottom}, under(dir, r.Filesystem.Deletes))
}

// What others do at the same time is none of the run's.
func TestBystander(t *testing.T) {
	dir := tempDir(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				os.WriteFile(filepath.Join(dir, "bystander"), nil, 0o644)
				os.Remove(filepath.Join(dir, "bystander"))
			}
		}
	}()
	r := record(t, []string{"/bin/sh", "-c", ": > mine; sleep 0.2"}, in(dir))
	close(stop)
	<-done
	complete(t, r)
	same(t, "writes", []string{"mine"}, under(dir, r.Filesystem.Writes))
	same(t, "deletes", nil, under(dir, r.Filesystem.Deletes))
}
