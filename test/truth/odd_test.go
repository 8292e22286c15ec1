//go:build linux

package truth

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() {
	workloads["truncates-for-reading"] = func([]string) {
		cwd := unix.AT_FDCWD
		touch(cwd, "by-open", unix.O_RDONLY|unix.O_TRUNC)
		fd, err := unix.Openat2(cwd, "by-openat2", &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_TRUNC})
		check(err)
		unix.Close(fd)
		touch(cwd, "read", unix.O_RDONLY)
		touch(cwd, "path", unix.O_PATH|unix.O_TRUNC)
	}
}

// To open a file for reading can empty it.
func TestTruncatesForReading(t *testing.T) {
	dir := tempDir(t)
	for _, name := range []string{"by-open", "by-openat2", "read", "path"} {
		write(t, filepath.Join(dir, name), "x")
	}
	r := record(t, workload("truncates-for-reading"), in(dir))
	complete(t, r)
	same(t, "writes", []string{"by-open", "by-openat2"}, under(dir, r.Filesystem.Writes))
	same(t, "reads", []string{"by-open", "by-openat2", "read"}, under(dir, r.Filesystem.Reads))
}

func init() {
	workloads["empty-names"] = func([]string) {
		empty := []byte{0}
		_, err := unix.Open("", unix.O_RDONLY, 0)
		expect(err, unix.ENOENT)
		expect(unix.Mkdir("", 0o755), unix.ENOENT)
		expect(unix.Unlink(""), unix.ENOENT)
		expect(unix.Rename("", "x"), unix.ENOENT)
		expect(unix.Exec("", []string{"x"}, nil), unix.ENOENT)
		// The folder itself, which may not be linked.
		_, _, errno := unix.Syscall6(unix.SYS_FCHOWNAT, unix.AT_FDCWD&0xffffffff, uintptr(unsafe.Pointer(&empty[0])), 0, 0, unix.AT_EMPTY_PATH, 0)
		if errno != 0 && errno != unix.EPERM {
			check(errno)
		}
	}
}

// An empty name is not the name of the working folder.
func TestEmptyNames(t *testing.T) {
	dir := tempDir(t)
	r := record(t, workload("empty-names"), in(dir))
	complete(t, r)
	var got []string
	for _, f := range r.Filesystem.Failed {
		if f.Path == "" || strings.HasPrefix(f.Path, dir) && f.Errno == "ENOENT" {
			got = append(got, f.Op+" "+f.Path+" "+f.Errno)
		}
	}
	same(t, "failed", []string{"mkdir  ENOENT", "open  ENOENT", "rename  ENOENT", "unlink  ENOENT"}, got)
	if f := r.ExecFailures; len(f) != 1 || f[0].Path != "" || f[0].Errno != "ENOENT" {
		t.Errorf("failed execs %+v", f)
	}
}

func init() {
	workloads["execveat"] = func([]string) {
		fd := open(unix.AT_FDCWD, "/bin/true", unix.O_PATH|unix.O_CLOEXEC)
		empty := []byte{0}
		argv := []*byte{&[]byte("true\x00")[0], nil}
		_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])),
			uintptr(unsafe.Pointer(&argv[0])), 0, unix.AT_EMPTY_PATH, 0)
		check(errno)
	}
}

// On x86 an execveat comes out of the kernel as an execve.
func TestExecveatCounts(t *testing.T) {
	r := record(t, workload("execveat"))
	complete(t, r)
	if c := r.Syscalls.Counts; c["execve"] != 1 || c["execveat"] != 1 {
		t.Errorf("counts %v", c)
	}
}

func init() {
	workloads["short-address"] = func([]string) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		check(err)
		addr := [3]byte{unix.AF_INET, 0, 20}
		_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&addr)), 3)
		expect(result(errno), unix.EINVAL)
	}
}

// Bytes that the kernel did not take for an address are none.
func TestShortAddress(t *testing.T) {
	r := record(t, workload("short-address"))
	complete(t, r)
	same(t, "attempts", nil, attempts(r))
}

// A program that cannot be mapped kills the process that is becoming it.
func TestDiesInExec(t *testing.T) {
	image, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	// Each segment of the ELF is moved to where only the kernel is.
	phoff := binary.LittleEndian.Uint64(image[32:])
	for i := range uint64(binary.LittleEndian.Uint16(image[56:])) {
		at := image[phoff+56*i:]
		if binary.LittleEndian.Uint32(at) == 1 { // PT_LOAD
			binary.LittleEndian.PutUint64(at[16:], 0xffff800000000000)
			binary.LittleEndian.PutUint64(at[24:], 0xffff800000000000)
		}
	}
	dir := tempDir(t)
	write(t, filepath.Join(dir, "broken"), string(image))
	r := record(t, []string{filepath.Join(dir, "broken")})
	complete(t, r)
	if r.Outcome.Signal == nil {
		t.Fatalf("outcome %+v", r.Outcome)
	}
	if p := root(t, r); ending(p) != *r.Outcome.Signal || len(r.ProcessTree) != 1 {
		t.Errorf("%+v", r.ProcessTree)
	}
}

func init() {
	workloads["closed-while-writing"] = func([]string) {
		fd := open(unix.AT_FDCWD, "file", unix.O_RDWR)
		done := make(chan struct{})
		p := make([]int, 2)
		check(unix.Pipe(p))
		go func() {
			// splice waits for the pipe with the file at its other end.
			_, err := unix.Splice(p[0], nil, fd, nil, 5, 0)
			check(err)
			close(done)
		}()
		waiting()
		check(unix.Close(fd))
		writeAll(p[1], "12345")
		<-done
	}
}

// waiting gives another thread the time to begin what it cannot end.
func waiting() { unix.Nanosleep(&unix.Timespec{Nsec: 100_000_000}, nil) }

// What a call wrote to a file counts, though a thread closed the descriptor.
func TestClosedWhileWriting(t *testing.T) {
	dir := tempDir(t)
	write(t, filepath.Join(dir, "file"), "")
	r := record(t, workload("closed-while-writing"), in(dir))
	complete(t, r)
	if f := file(t, r, dir+"/file"); f.BytesWritten != 5 {
		t.Errorf("%+v", f)
	}
	if len(gapsOf(r, "raced")) == 0 {
		t.Errorf("gaps %+v", r.Observation.Gaps)
	}
}
