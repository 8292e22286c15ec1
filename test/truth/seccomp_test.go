//go:build linux

package truth

import (
	"path/filepath"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"glasshouse/test/recorded"
)

func init() {
	workloads["seccomp"] = func([]string) {
		refuse(unix.SYS_UNLINKAT, unix.EPERM)
		refuse(unix.SYS_OPENAT, unix.EACCES)
		refuse(unix.SYS_CONNECT, unix.ENETUNREACH)
		refuse(unix.SYS_EXECVE, unix.EPERM)
		expect(unix.Unlinkat(unix.AT_FDCWD, "file", 0), unix.EPERM)
		_, err := unix.Openat(unix.AT_FDCWD, "file", unix.O_RDONLY, 0)
		expect(err, unix.EACCES)
		expect(unix.Connect(socket(unix.AF_INET, unix.SOCK_STREAM), inet4(9)), unix.ENETUNREACH)
		expect(unix.Exec("./file", []string{"file"}, nil), unix.EPERM)
	}
}

// refuse makes calls with a number fail on this thread.
func refuse(nr int, errno unix.Errno) {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(nr)},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x00050000 | uint32(errno)}, // SECCOMP_RET_ERRNO
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000},                 // SECCOMP_RET_ALLOW
	}
	check(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	check(unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0))
}

// A call that a seccomp filter refuses comes by at its exit alone.
func TestSeccomp(t *testing.T) {
	dir := tempDir(t)
	write(t, filepath.Join(dir, "file"), "")
	r := record(t, workload("seccomp"), in(dir))
	complete(t, r)
	if recorded.Observe == "ptrace" {
		// The workload's own filter answers before that of the tracer.
		same(t, "failed", []string{}, failed(r, dir))
		if len(gapsOf(r, "answered")) != 1 {
			t.Errorf("gaps %+v", r.Observation.Gaps)
		}
		return
	}
	same(t, "failed", []string{"open file EACCES 1", "unlink file EPERM 1"}, failed(r, dir))
	same(t, "attempts", []string{"tcp 127.0.0.1:9 unreachable 1"}, attempts(r))
	if f := r.ExecFailures; len(f) != 1 || f[0].Errno != "EPERM" || f[0].Path != dir+"/file" {
		t.Errorf("exec failures %+v", f)
	}
	want := []string{"execve", "openat", "unlinkat"}
	if got := r.Syscalls.Denied; !slices.Equal(got, want) {
		t.Errorf("denied %v, want %v", got, want)
	}
}
