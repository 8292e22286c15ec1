package files

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// onSmallDisk calls f with an empty file system of 64 KiB that only f sees.
// The goroutine's thread has a mount namespace of its own and ends with it.
func onSmallDisk(t *testing.T, f func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return
		}
		if err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return
		}
		if err = unix.Mount("small", dir, "tmpfs", 0, "size=64k"); err != nil {
			return
		}
		f(dir)
	}()
	<-done
	if errors.Is(err, unix.EPERM) {
		t.Skip("needs the right to mount")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestReplaceFullDisk(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	onSmallDisk(t, func(dir string) {
		path := filepath.Join(dir, "receipt.json")
		if err := put(path, text); err != nil {
			t.Error(err)
			return
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		err = put(path, big)
		if !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "write "+path+": ") {
			t.Errorf("a full disk gave %v", err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
			t.Errorf("the old receipt is now %q, %v", after, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("left behind: %v, %v", entries, err)
		}

		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Error(err)
		}
		err = put(path, text)
		if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), path) {
			t.Errorf("a read-only folder gave %v", err)
		}
	})
	if err := put("/dev/full", big); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("/dev/full gave %v", err)
	}
}

// What another user planted decides neither where the receipt goes, nor its
// mode, nor can it make the writer wait.
func TestReplacePlanted(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func(path string) error{
		"link": func(path string) error { return os.Symlink(victim, path) },
		"fifo": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"file": func(path string) error { return os.WriteFile(path, nil, 0o777) },
	} {
		path := filepath.Join(dir, name)
		if err := plant(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(path, 12345, 12345); errors.Is(err, os.ErrPermission) {
			t.Skip("needs the right to give files away")
		} else if err != nil {
			t.Fatal(err)
		}
		if err := put(path, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 || foreign(info) {
			t.Errorf("%s: now %v, %v", name, info, err)
		}
	}
	if got := content(t, victim); got != "precious" {
		t.Errorf("the link's target was overwritten with %q", got)
	}
}
