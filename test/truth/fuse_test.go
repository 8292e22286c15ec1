//go:build linux

package truth

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"glasshouse/test/recorded"
)

func init() {
	// Serves a file system at the folder args[0], where another process is at work.
	workloads["fuse"] = func(args []string) {
		fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
		check(err)
		check(unix.Mount("fuse", args[0], "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)))
		go serveFuse(fd)
		client := workload("fuse-client", args[0])
		cmd := exec.Command(client[0], client[1:]...)
		cmd.Stderr = os.Stderr
		check(cmd.Run())
		check(unix.Unmount(args[0], 0))
	}
	workloads["fuse-client"] = func(args []string) {
		check(os.Chdir(args[0]))
		b, err := os.ReadFile("file")
		check(err)
		if string(b) != fuseContent {
			check(fmt.Errorf("read %q", b))
		}
		fd, err := unix.Open("file", unix.O_RDWR|unix.O_CREAT, 0o600)
		check(err)
		// A name that lies in a page that the server has yet to give.
		page, err := unix.Mmap(fd, 0, len(fuseContent), unix.PROT_READ, unix.MAP_PRIVATE)
		check(err)
		_, err = raw(unix.SYS_UNLINKAT, ^uintptr(99), uintptr(ptr(&page[0])), 0) // AT_FDCWD
		check(err)
		check(unix.Close(fd))
		check(os.Chdir("/"))
	}
}

// fuseContent is a name that a NUL ends.
const fuseContent = "gone\x00"

// serveFuse answers the kernel as include/uapi/linux/fuse.h has it. There is one
// file, and what is asked again is not remembered: the kernel asks each time.
func serveFuse(fd int) {
	const (
		lookup, forget, getattr, unlink, open, read, statfs = 1, 2, 3, 10, 14, 15, 17
		release, flush, initialize, opendir, releasedir     = 18, 25, 26, 27, 29
		headIn, headOut, root, file                         = 40, 16, 1, 2
	)
	le := binary.LittleEndian
	attr := func(out []byte, node uint64) {
		le.PutUint64(out, node)
		le.PutUint64(out[8:], uint64(len(fuseContent)))
		mode := uint32(unix.S_IFREG | 0o644)
		if node == root {
			mode = unix.S_IFDIR | 0o755
		}
		le.PutUint32(out[60:], mode)
		le.PutUint32(out[64:], 1) // links
	}
	in := make([]byte, 1<<17)
	for {
		n, err := unix.Read(fd, in)
		if err == unix.EINTR || err == unix.ENOENT {
			continue
		}
		if err != nil {
			return // unmounted
		}
		node, out, errno := le.Uint64(in[16:]), []byte(nil), unix.Errno(0)
		switch le.Uint32(in[4:]) {
		case initialize:
			out = make([]byte, 64)
			le.PutUint32(out, 7)
			le.PutUint32(out[4:], 31)
			le.PutUint32(out[20:], 4096)
		case lookup:
			if name := string(in[headIn : n-1]); name != "file" && name != "gone" {
				errno = unix.ENOENT
				break
			}
			out = make([]byte, 128)
			le.PutUint64(out, file)
			attr(out[40:], file)
		case getattr:
			out = make([]byte, 104)
			attr(out[16:], node)
		case open, opendir:
			out = make([]byte, 16)
		case read:
			out = []byte(fuseContent)
		case unlink, release, flush, releasedir:
		case forget:
			continue
		case statfs:
			out = make([]byte, 80)
		default:
			errno = unix.ENOSYS
		}
		head := make([]byte, headOut)
		le.PutUint32(head, uint32(headOut+len(out)))
		le.PutUint32(head[4:], uint32(-int32(errno)))
		copy(head[8:], in[8:16])
		_, _ = unix.Write(fd, append(head, out...)) // ENOENT if nobody waits for it any more
	}
}

// A process of the run may serve the files that others of it work on: who records
// asks it nothing, for it may stand still until the recorder goes on.
func TestServed(t *testing.T) {
	needRoot(t)
	if _, err := os.Stat("/dev/fuse"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("this kernel has no FUSE")
	}
	dir := tempDir(t)
	r := record(t, append([]string{"unshare", "--mount"}, workload("fuse", dir)...), patient)
	complete(t, r)
	same(t, "reads", []string{"file"}, under(dir, r.Filesystem.Reads))
	same(t, "writes", []string{"file"}, under(dir, r.Filesystem.Writes))
	same(t, "deletes", []string{"gone"}, under(dir, r.Filesystem.Deletes))
	if made := filepath.Join(dir, "file"); strings.Contains(fmt.Sprint(r.Filesystem.Created), made) {
		t.Errorf("%s was there", made)
	}
	if n := gap(r, "served", ""); (n > 0) != (recorded.Observe == "ptrace") {
		t.Errorf("%d times nothing was asked: %+v", n, r.Observation.Gaps)
	}
}
