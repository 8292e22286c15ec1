package image

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func rootFolder(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	write(t, filepath.Join(top, "bin/sh"), []byte("a shell"))
	write(t, filepath.Join(top, "etc/\xff"), []byte("bytes"))
	for _, err := range []error{
		os.Chmod(filepath.Join(top, "bin/sh"), 0o755|os.ModeSetuid),
		os.Link(filepath.Join(top, "bin/sh"), filepath.Join(top, "bin/bash")),
		os.Symlink("/bin/sh", filepath.Join(top, "sh")),
		os.Symlink("nowhere/../..", filepath.Join(top, "dangling")),
		unix.Mkfifo(filepath.Join(top, "pipe"), 0o640),
		os.Mkdir(filepath.Join(top, "tmp"), 0o700),
		os.Chmod(filepath.Join(top, "tmp"), 0o777|os.ModeSticky),
		os.Chtimes(filepath.Join(top, "bin/sh"), time.Time{}, time.Unix(1700000000, 5)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return top
}

func TestFolder(t *testing.T) {
	top := rootFolder(t)
	// A path to a socket may have 108 bytes.
	t.Chdir(top)
	s, err := net.Listen("unix", "socket")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := "bin/\nbin/bash \"a shell\"\nbin/sh = bin/bash\ndangling -> nowhere/../..\netc/\netc/\xff \"bytes\"\npipe 6\nsh -> /bin/sh\ntmp/\n"
	if os.Geteuid() == 0 {
		if err := unix.Mknod("null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown("sh", 1234, 70000); err != nil {
			t.Fatal(err)
		}
		want = strings.Replace(want, "pipe", "null 3 1:3\npipe", 1)
	}
	f := &folderSource{dir: top}
	tr, _, err := f.tree(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got := listing(t, tr, f.contents); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	if f.said["sockets"] != 1 || len(f.said) != 1 {
		t.Error(f.said)
	}
	sh := tr.root.children["bin"].children["sh"]
	if sh.mode != 0o4755 || !sh.time.Equal(time.Unix(1700000000, 5)) {
		t.Errorf("%o, %s", sh.mode, sh.time)
	}
	if got := tr.root.children["tmp"].mode; got != 0o1777 {
		t.Errorf("%o", got)
	}
	if l := tr.root.children["sh"]; os.Geteuid() == 0 && (l.uid != 1234 || l.gid != 70000) {
		t.Errorf("%d:%d", l.uid, l.gid)
	}
}

func TestFolderXattrs(t *testing.T) {
	top := t.TempDir()
	name := write(t, filepath.Join(top, "f"), nil)
	if err := unix.Setxattr(name, "user.k", []byte("v"), 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	tr, _, err := (&folderSource{dir: top}).tree(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got := tr.root.children["f"].xattrs; len(got) != 1 || got["user.k"] != "v" {
		t.Error(got)
	}
}

// What is mounted in the folder is not of it.
func TestFolderMount(t *testing.T) {
	top := rootFolder(t)
	if err := unix.Mount("tmpfs", filepath.Join(top, "etc"), "tmpfs", 0, ""); errors.Is(err, unix.EPERM) {
		t.Skip("needs root to mount")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(filepath.Join(top, "etc"), 0); err != nil {
			t.Error(err)
		}
	})
	write(t, filepath.Join(top, "etc/mounted"), nil)
	f := &folderSource{dir: top}
	tr, _, err := f.tree(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if etc := tr.root.children["etc"]; etc.node == nil || len(etc.children) != 0 {
		t.Error("etc is not an empty folder")
	}
	if len(f.said) != 1 {
		t.Error(f.said)
	}
}

// The digest tells of every change that the guest would see.
func TestFolderDigest(t *testing.T) {
	top := rootFolder(t)
	digest := func() string {
		_, sum, err := (&folderSource{dir: top}).tree(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	before := digest()
	if digest() != before {
		t.Fatal("another digest of the same")
	}
	if _, err := os.ReadFile(filepath.Join(top, "bin/sh")); err != nil || digest() != before {
		t.Fatal("another digest after reading", err)
	}
	for _, change := range []struct {
		name string
		do   func() error
	}{
		{"a mode", func() error { return os.Chmod(filepath.Join(top, "etc"), 0o700) }},
		{"a new file", func() error { return os.WriteFile(filepath.Join(top, "new"), nil, 0o644) }},
		{"its content", func() error { return os.WriteFile(filepath.Join(top, "new"), []byte("x"), 0o644) }},
		{"its content and its time put back", func() error {
			name := filepath.Join(top, "new")
			info, err := os.Stat(name)
			if err != nil {
				return err
			}
			time.Sleep(20 * time.Millisecond) // the kernel's clock of files ticks
			if err := os.WriteFile(name, []byte("y"), 0o644); err != nil {
				return err
			}
			return os.Chtimes(name, time.Time{}, info.ModTime())
		}},
		{"its name", func() error { return os.Rename(filepath.Join(top, "new"), filepath.Join(top, "newer")) }},
		{"where a link leads", func() error {
			return errors.Join(os.Remove(filepath.Join(top, "sh")), os.Symlink("/bin/zz", filepath.Join(top, "sh")))
		}},
		{"a file less", func() error { return os.Remove(filepath.Join(top, "newer")) }},
	} {
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		after := digest()
		if after == before {
			t.Errorf("%s: the same digest", change.name)
		}
		before = after
	}
}

func TestFolderChanged(t *testing.T) {
	for name, change := range map[string]func(file string) error{
		"content":  func(file string) error { return os.WriteFile(file, []byte("another shell"), 0o755) },
		"gone":     os.Remove,
		"replaced": func(file string) error { return errors.Join(os.Remove(file), unix.Mkfifo(file, 0o600)) },
		"a link":   func(file string) error { return errors.Join(os.Remove(file), os.Symlink("bash", file)) },
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			sh := write(t, filepath.Join(top, "bin/sh"), []byte("a shell"))
			write(t, filepath.Join(top, "bin/bash"), []byte("a shell"))
			f := &folderSource{dir: top}
			tr, _, err := f.tree(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if err := change(sh); err != nil {
				t.Fatal(err)
			}
			to, err := os.Create(filepath.Join(t.TempDir(), "root"))
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			if err := writeExt4(context.Background(), to, tr, f.contents, DefaultRootFSSize); !complains(err, "bin/sh: ") {
				t.Error(err)
			}
		})
	}
}
