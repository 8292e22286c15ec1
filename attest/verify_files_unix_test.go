//go:build unix

package attest

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestVerifyFiles(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(path string) error
	}{
		{"touched", "", func(path string) error { return os.Chmod(path, 0o600) }},
		{"copied", "", func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte("text"), 0o600))
		}},
		{"changed", "changed: its SHA-256 is " + sha("TEXT") + ", the signed one is " + sha("text"), func(path string) error {
			return os.WriteFile(path, []byte("TEXT"), 0)
		}},
		{"longer", "changed: it has 1099511627776 bytes, and had 4", func(path string) error { return os.Truncate(path, 1<<40) }},
		{"gone", "gone", os.Remove},
		{"link", "no regular file", func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.Symlink(path+".old", path))
		}},
		{"FIFO", "no regular file", func(path string) error {
			return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o644))
		}},
	} {
		dir := t.TempDir()
		run := signFiles(t, write(t, dir+"/a", "a"), write(t, dir+"/b", "text"))
		if err := c.change(dir + "/b"); err != nil {
			t.Fatal(err)
		}
		if _, failed := run.verify(t, nil); failed != nil {
			t.Errorf("%s: without being asked: %q", c.name, failed)
		}
		_, failed := run.verify(t, func(o *Options) { o.Files = true })
		want := "files: " + dir + "/b: " + c.want
		if c.want == "" && failed != nil || c.want != "" && strings.Join(failed, "\n") != want {
			t.Errorf("%s: %q, want %q", c.name, failed, want)
		}
	}
}
