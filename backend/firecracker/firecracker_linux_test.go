package firecracker_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"glasshouse/backend"
	"glasshouse/backend/firecracker"
)

// The test binary runs itself again in a role, with these for arguments.
const (
	roleVar   = "GLASSHOUSE_TEST_ROLE"
	kernelVar = "GLASSHOUSE_TEST_KERNEL"
	rootfsVar = "GLASSHOUSE_TEST_ROOTFS"
)

func TestMain(m *testing.M) {
	config := firecracker.Config{Kernel: os.Getenv(kernelVar), RootFS: os.Getenv(rootfsVar)}
	switch role := os.Getenv(roleVar); role {
	case "":
		os.Exit(m.Run())
	case "prepare":
		err := firecracker.New(config).Prepare(context.Background(), backend.Command{Argv: []string{"true"}})
		fmt.Println(err)
	case "start", "open", "ioctl", "exec":
		confined(role, config)
	}
	os.Exit(0)
}

// confined calls Start where the kernel ends the process at the first system
// call that opens a file, talks to a device or runs a program.
func confined(role string, config firecracker.Config) {
	ctx := context.Background()
	b := firecracker.New(config)
	if err := b.Prepare(ctx, backend.Command{Argv: []string{"true"}}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := forbid(); err != nil {
		fmt.Println("seccomp:", err)
		os.Exit(1)
	}
	switch role {
	case "open":
		_, _ = syscall.Open("/dev/null", syscall.O_RDONLY, 0)
	case "ioctl":
		_, _ = unix.IoctlGetInt(0, unix.TIOCINQ)
	case "exec":
		_ = syscall.Exec("/bin/true", []string{"true"}, nil)
	}
	err := b.Start(ctx)
	_, waitErr := b.Wait(ctx)
	if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(waitErr, backend.ErrNotStarted) {
		os.Exit(1)
	}
	if err := b.Cleanup(ctx); err != nil {
		os.Exit(1)
	}
}

// forbid installs a seccomp filter on all threads. The calls are those of
// this architecture; nothing here makes 32-bit ones.
func forbid() error {
	calls := append([]uint32{
		unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_IOCTL, unix.SYS_EXECVE, unix.SYS_EXECVEAT,
		unix.SYS_SOCKET, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_IO_URING_SETUP,
	}, legacyCalls...)
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the call's number
	for i, nr := range calls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jt: uint8(len(calls) - i)})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_KILL_PROCESS})
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	return nil
}

func again(t *testing.T, role string, config firecracker.Config) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVar+"="+role, kernelVar+"="+config.Kernel, rootfsVar+"="+config.RootFS)
	return cmd
}

// TestStartTouchesNothing: neither /dev/kvm nor a binary, nor any other file.
func TestStartTouchesNothing(t *testing.T) {
	config := images(t)
	if out, err := again(t, "start", config).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	// The proof is worth something only if the filter does bite.
	for _, role := range []string{"open", "ioctl", "exec"} {
		err := again(t, role, config).Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGSYS {
			t.Errorf("%s was let through: %v", role, err)
		}
	}
}

// TestUnreadable: root reads everything, so the check runs as somebody else.
func TestUnreadable(t *testing.T) {
	config := images(t)
	if os.Geteuid() != 0 {
		if err := os.Chmod(config.RootFS, 0); err != nil {
			t.Fatal(err)
		}
		if err := prepare(t, config); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("got %v", err)
		}
		return
	}
	dir := t.TempDir()
	// Somebody else must be able to come this far.
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "test")
	if err := os.WriteFile(copied, data, 0o755); err != nil {
		t.Fatal(err)
	}
	config = firecracker.Config{Kernel: filepath.Join(dir, "kernel"), RootFS: filepath.Join(dir, "rootfs")}
	for path, mode := range map[string]os.FileMode{config.Kernel: 0o644, config.RootFS: 0o600} {
		if err := os.WriteFile(path, []byte("image"), mode); err != nil {
			t.Fatal(err)
		}
	}
	cmd := again(t, "prepare", config)
	cmd.Path = copied
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := strings.TrimSpace(string(out)), "firecracker rootfs "+config.RootFS+": permission denied"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
