//go:build unix

package files

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReplaceMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o027))
	path := filepath.Join(t.TempDir(), "receipt.json")
	for _, step := range []struct {
		name string
		do   func() error
		want os.FileMode
	}{
		{"new", func() error { return nil }, 0o640},
		{"private", func() error { return os.Chmod(path, 0o600) }, 0o600},
		{"shared", func() error { return os.Chmod(path, 0o664) }, 0o664},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if err := put(path, text); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != step.want {
			t.Errorf("%s: mode %v, want %v", step.name, info.Mode(), step.want)
		}
	}
}

func TestReplaceLinks(t *testing.T) {
	dir := t.TempDir()
	want := text
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"one":  "two",
		"two":  "sub/three",
		"loop": "loop",
		"null": "/dev/null",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../real", filepath.Join(dir, "sub", "three")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // real is new, then replaced
		if err := put(filepath.Join(dir, "one"), text); err != nil {
			t.Fatal(err)
		}
		if got := content(t, filepath.Join(dir, "real")); got != want {
			t.Errorf("got %q", got)
		}
	}
	if err := put(filepath.Join(dir, "null"), text); err != nil {
		t.Error(err)
	}
	if err := put(filepath.Join(dir, "loop"), text); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a loop gave %v", err)
	}
	if diff := cmp.Diff([]string{"loop", "null", "one", "real", "sub", "two"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
	for _, link := range []string{"one", "two", "null"} {
		if _, err := os.Readlink(filepath.Join(dir, link)); err != nil {
			t.Errorf("%s is no link any more: %v", link, err)
		}
	}
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode()&os.ModeDevice == 0 {
		t.Fatalf("/dev/null is %v, %v", info, err)
	}
}

func TestReplaceFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		data, err := os.ReadFile(path)
		if err != nil {
			data = []byte(err.Error())
		}
		got <- string(data)
	}()
	if err := put(path, text); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, <-got); diff != "" {
		t.Error(diff)
	}
}

// An open descriptor is written from where it stands and stays open.
func TestReplaceDescriptor(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.WriteString(f, "before\n"); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(fmt.Sprintf("/dev/fd/%d", f.Fd()), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fmt.Sprintf("/dev/fd/%d", f.Fd()), link} {
		if err := put(path, text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(f, "after\n"); err != nil {
		t.Fatal(err)
	}
	one := text
	if diff := cmp.Diff("before\n"+one+one+"after\n", content(t, f.Name())); diff != "" {
		t.Error(diff)
	}
	if err := put("/dev/fd/987654", text); !errors.Is(err, syscall.EBADF) {
		t.Errorf("a closed descriptor gave %v", err)
	}
}

func TestDescriptor(t *testing.T) {
	for path, want := range map[string]int{
		"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2, "/dev/../dev/fd/7": 7, "/proc/self/fd/12": 12,
		fmt.Sprintf("/proc/%d/fd/3", os.Getpid()): 3,
		"/dev/fd": -1, "/dev/fd/": -1, "/dev/fd/x": -1, "/dev/fd/1/2": -1, "/dev/fd/99999999999": -1, "/dev/fd/-1": -1, "dev/stdout": -1,
	} {
		fd, ok := descriptor(path)
		if ok != (want >= 0) || (ok && fd != want) {
			t.Errorf("descriptor(%q) = %d, %v", path, fd, ok)
		}
	}
}
