//go:build linux

package truth

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const featCQESkip = 1 << 11 // include/uapi/linux/io_uring.h

// mustRing is a ring; what the kernel has no features for ends the workload.
func mustRing(setup uint32) *ring {
	r, err := newRing(setup)
	if setup != 0 && err == unix.EINVAL {
		unsupported()
	}
	check(err)
	return r
}

func unsupported() {
	fmt.Print("unsupported")
	os.Exit(0)
}

func unlinkSQE(name string, flags uint8, data uint64) sqe {
	return sqe{opcode: opUnlinkat, flags: flags, fd: unix.AT_FDCWD, addr: text(name), userData: data}
}

func openSQE(name string, flags uint8, data uint64) sqe {
	return sqe{opcode: opOpenat, flags: flags, fd: unix.AT_FDCWD, addr: text(name), userData: data}
}

func init() {
	// Success is not to be reported, failure is.
	workloads["ring-unreported"] = func([]string) {
		r := mustRing(0)
		if r.params.features&featCQESkip == 0 {
			unsupported()
		}
		r.add(unlinkSQE("gone", sqeSkipSuccess, 1))
		r.add(openSQE("a", sqeSkipSuccess, 2))
		r.add(openSQE("a", sqeSkipSuccess, 3))
		r.add(openSQE("missing", sqeSkipSuccess, 4))
		file := int32(openFile("b", unix.O_RDWR))
		r.add(sqe{opcode: opWrite, flags: sqeSkipSuccess, fd: file, addr: buffer(3), len: 3, userData: 5})
		if got := r.results(1); got[4] != -int(unix.ENOENT) {
			check(fmt.Errorf("results %v", got))
		}
		waitGone("gone")
	}
	// What follows a failure in a chain is never begun.
	workloads["ring-linked"] = func([]string) {
		r := mustRing(0)
		r.add(unlinkSQE("gone", sqeLink, 1))
		r.add(openSQE("missing", sqeLink, 2)) // a failed unlink does not break a chain
		r.add(unlinkSQE("a", sqeLink, 3))
		r.add(openSQE("b", 0, 4))
		got := r.results(4)
		want := map[uint64]int{1: 0, 2: -int(unix.ENOENT), 3: -int(unix.ECANCELED), 4: -int(unix.ECANCELED)}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			check(fmt.Errorf("results %v", got))
		}
	}
	// Files that never have a descriptor.
	workloads["ring-direct"] = func([]string) {
		r := mustRing(0)
		slots := []int32{-1, -1, -1, -1}
		_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), registerFiles, uintptr(unsafe.Pointer(&slots[0])), 4, 0, 0)
		check(result(errno))
		e := openSQE("a", 0, 1)
		e.fileIndex = 3 // slot 2
		r.add(e)
		if got := r.results(1); got[1] == -int(unix.EINVAL) {
			unsupported()
		} else if got[1] != 0 {
			check(fmt.Errorf("results %v", got))
		}
		r.add(sqe{opcode: opRead, flags: sqeFixedFile, fd: 2, addr: buffer(7), len: 7, userData: 1})
		if got := r.results(1); got[1] != 7 {
			check(fmt.Errorf("results %v", got))
		}
		e = openSQE("b", 0, 1)
		e.fileIndex = fileIndexAlloc
		r.add(e)
		if got := r.results(1); got[1] < 0 && got[1] != -int(unix.EINVAL) && got[1] != -int(unix.ENFILE) {
			check(fmt.Errorf("results %v", got))
		}
	}
	// The string is another one by the time the operation is carried out.
	workloads["ring-rewritten"] = func([]string) {
		r := mustRing(0)
		name := []byte("gone\x00")
		held = append(held, name)
		r.add(sqe{opcode: opUnlinkat, flags: sqeAsync, fd: unix.AT_FDCWD, addr: uint64(uintptr(unsafe.Pointer(&name[0]))), userData: 1})
		r.enter(0)
		copy(name, "a\x00")
		if got := r.results(1); got[1] != 0 {
			check(fmt.Errorf("results %v", got))
		}
	}
	// Another file has taken the descriptor by the time the result is told.
	workloads["ring-replaced"] = func([]string) {
		r := mustRing(setupSingleIssuer | setupDeferTaskrun)
		r.add(openSQE("secret", sqeAsync, 1))
		n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 0, 0, 0, 0)
		if errno != 0 || n != 1 {
			check(fmt.Errorf("%d %w", n, errno))
		}
		r.queued = 0
		fd := -1
		for range 5000 {
			if fd = descriptorOf("secret"); fd >= 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		check(unix.Close(fd))
		if decoy := openFile("decoy", unix.O_RDONLY); decoy != fd {
			check(unix.Dup3(decoy, fd, 0))
			check(unix.Close(decoy))
		}
		if got := r.results(1); got[1] != fd {
			check(fmt.Errorf("results %v, want descriptor %d", got, fd))
		}
	}
	// The same with one batch: open, close, open, each carried out before any result is told.
	workloads["ring-batch"] = func([]string) {
		r := mustRing(0)
		fd := openFile(".", unix.O_RDONLY)
		check(unix.Close(fd)) // the next one to be used
		r.add(openSQE("secret", sqeLink, 1))
		r.add(sqe{opcode: opClose, flags: sqeLink, fd: int32(fd), userData: 2})
		r.add(openSQE("decoy", 0, 3))
		got := r.results(3)
		want := map[uint64]int{1: fd, 2: 0, 3: fd}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			check(fmt.Errorf("results %v", got))
		}
	}
	// Two results are ready and there is room for one.
	workloads["ring-overflow"] = func([]string) {
		r := mustRing(setupCQSize)
		for i, name := range []string{"gone", "a", "b"} {
			r.add(unlinkSQE(name, 0, uint64(i)))
			r.enter(0)
			waitGone(name)
		}
	}
	// All operations look alike.
	workloads["ring-alike"] = func([]string) {
		r := mustRing(0)
		for _, name := range []string{"gone", "a", "b"} {
			r.add(unlinkSQE(name, 0, 7))
		}
		r.enter(3)
		for range 3 {
			if c, ok := r.take(); !ok || c.res != 0 || c.userData != 7 {
				check(fmt.Errorf("result %v %v", c, ok))
			}
		}
	}
	workloads["ring-refused"] = func([]string) {
		r := mustRing(0)
		e := openSQE("a", 0, 1)
		e.bufIndex = 1
		r.add(e)
		r.add(sqe{opcode: 250, userData: 2})
		for range 2 { // submission stops at the first
			n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 2, 1, enterGetEvents, 0, 0)
			if errno != 0 && errno != unix.EAGAIN {
				check(fmt.Errorf("%d %w", n, errno))
			}
		}
	}
	// A ring is used by another process of the run than made it.
	workloads["ring-inherited"] = func([]string) {
		r := mustRing(0)
		_, err := unix.FcntlInt(uintptr(r.fd), unix.F_SETFD, 0)
		check(err)
		argv := workload("ring-heir", fmt.Sprint(r.fd), fmt.Sprintf("%x", (*[unsafe.Sizeof(r.params)]byte)(unsafe.Pointer(&r.params))[:]))
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.ExtraFiles = make([]*os.File, r.fd-2)
		cmd.ExtraFiles[r.fd-3] = os.NewFile(uintptr(r.fd), "ring")
		cmd.Stderr = os.Stderr
		check(cmd.Run())
	}
	workloads["ring-heir"] = func(args []string) {
		r := &ring{fd: number(args[0])}
		var params []byte
		_, err := fmt.Sscanf(args[1], "%x", &params)
		check(err)
		r.params = *(*ringParams)(unsafe.Pointer(&params[0]))
		r.mmap()
		r.add(unlinkSQE("gone", 0, 1))
		if got := r.results(1); got[1] != 0 {
			check(fmt.Errorf("results %v", got))
		}
	}
}

// descriptorOf is the descriptor of a file with that name; -1 if there is none.
func descriptorOf(name string) int {
	for fd := range 64 {
		if path, err := os.Readlink(fmt.Sprint("/proc/self/fd/", fd)); err == nil && filepath.Base(path) == name {
			return fd
		}
	}
	return -1
}

func waitGone(name string) {
	for range 5000 {
		if _, err := os.Lstat(name); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
	check(fmt.Errorf("%s is still there", name))
}

// hostile records a workload in a folder with some files.
func hostile(t *testing.T, name string) (recording, string) {
	t.Helper()
	rings(t)
	dir := tempDir(t)
	for _, file := range []string{"gone", "a", "b", "secret", "decoy"} {
		write(t, filepath.Join(dir, file), "0123456789")
	}
	r := record(t, workload(name), in(dir))
	if r.stdout == "unsupported" {
		t.Skip("this kernel's io_uring does not have it")
	}
	complete(t, r)
	return r, dir
}

// ringGaps are the gaps of io_uring, with paths relative to dir.
func ringGaps(r recording, dir string) []string {
	var out []string
	for _, g := range gapsOf(r, "io_uring") {
		out = append(out, strings.ReplaceAll(g, dir+"/", ""))
	}
	slices.Sort(out)
	return out
}

func TestRingUnreported(t *testing.T) {
	needEBPF(t)
	r, dir := hostile(t, "ring-unreported")
	same(t, "gaps", []string{
		"open a: not to be reported if it is done 2",
		"open missing: not to be reported if it is done 1",
		"unlink gone: not to be reported if it is done 1",
		"write: its result was not seen 1",
	}, ringGaps(r, dir))
	same(t, "failed", []string{"open missing ENOENT 1"}, failed(r, dir))
	same(t, "deletes", []string{}, under(dir, r.Filesystem.Deletes))
}

func TestRingLinked(t *testing.T) {
	needEBPF(t)
	r, dir := hostile(t, "ring-linked")
	same(t, "failed", []string{"open b ECANCELED 1", "open missing ENOENT 1", "unlink a ECANCELED 1"}, failed(r, dir))
	same(t, "deletes", []string{"gone"}, under(dir, r.Filesystem.Deletes))
	same(t, "reads", []string{}, under(dir, r.Filesystem.Reads))
	same(t, "gaps", nil, ringGaps(r, dir))
}

func TestRingDirect(t *testing.T) {
	needEBPF(t)
	r, dir := hostile(t, "ring-direct")
	if f := file(t, r, dir+"/a"); f.Opens != 1 || !f.Read || f.Written || f.BytesRead != 7 {
		t.Errorf("%+v", f)
	}
	reads := under(dir, r.Filesystem.Reads)
	if failed := failed(r, dir); len(failed) > 0 { // before Linux 5.19 the kernel does not pick the slot
		same(t, "reads", []string{"a"}, reads)
	} else {
		same(t, "reads", []string{"a", "b"}, reads)
	}
	same(t, "gaps", nil, ringGaps(r, dir))
	same(t, "raced", nil, gapsOf(r, "raced"))
}

func TestRingRewritten(t *testing.T) {
	needEBPF(t)
	r, dir := hostile(t, "ring-rewritten")
	same(t, "deletes", []string{"gone"}, under(dir, r.Filesystem.Deletes))
	same(t, "gaps", nil, ringGaps(r, dir))
}

// replaced checks that the receipt does not pass the decoy off as the file that was opened.
func replaced(t *testing.T, r recording, dir string) {
	t.Helper()
	if slices.Contains(under(dir, r.Filesystem.Reads), "secret") {
		return // before Linux 6.2 a worker tells the result itself, in time
	}
	if len(gapsOf(r, "raced")) == 0 {
		t.Errorf("gaps %+v", r.Observation.Gaps)
	}
	var requested []string
	for _, f := range r.Filesystem.Files {
		if f.Path == dir+"/decoy" || f.Path == dir+"/secret" {
			requested = append(append(requested, f.Requested...), filepath.Base(f.Path))
		}
	}
	if !slices.Contains(requested, "secret") {
		t.Errorf("requested %q", requested)
	}
}

func TestRingReplaced(t *testing.T) {
	needEBPF(t)
	r, dir := hostile(t, "ring-replaced")
	replaced(t, r, dir)
}

func TestRingBatch(t *testing.T) {
	needEBPF(t)
	r, dir := hostile(t, "ring-batch")
	replaced(t, r, dir)
}

func TestRingOverflow(t *testing.T) {
	needEBPF(t)
	r, dir := hostile(t, "ring-overflow")
	deleted, unseen := under(dir, r.Filesystem.Deletes), 0
	for _, g := range gapsOf(r, "io_uring") {
		var n int
		if rest, ok := strings.CutPrefix(g, "unlinkat: its result was not seen "); ok {
			fmt.Sscan(rest, &n)
		}
		unseen += n
	}
	if len(deleted)+unseen != 3 {
		t.Errorf("deletes %v, gaps %v", deleted, gapsOf(r, "io_uring"))
	}
}

func TestRingAlike(t *testing.T) {
	needEBPF(t)
	r, dir := hostile(t, "ring-alike")
	deleted, gaps := under(dir, r.Filesystem.Deletes), ringGaps(r, dir)
	if len(deleted) != 3 && len(gaps) == 0 {
		t.Errorf("deletes %v, no gaps", deleted)
	}
	if len(deleted) == 3 {
		same(t, "gaps", nil, gaps)
	}
}

func TestRingRefused(t *testing.T) {
	needEBPF(t)
	r, dir := hostile(t, "ring-refused")
	if gaps := ringGaps(r, dir); len(gaps) == 0 {
		t.Error("no gaps")
	} else {
		t.Log(gaps)
	}
	same(t, "reads", []string{}, under(dir, r.Filesystem.Reads))
}

func TestRingInherited(t *testing.T) {
	needEBPF(t)
	r, dir := hostile(t, "ring-inherited")
	same(t, "deletes", []string{"gone"}, under(dir, r.Filesystem.Deletes))
	same(t, "gaps", nil, ringGaps(r, dir))
}
