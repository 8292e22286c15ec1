package workspace

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What may not be read has not gone away: that is an error, which names it.
func TestPackUnreadable(t *testing.T) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, kind := range []string{"file", "folder"} {
		host := filepath.Join(dir, kind)
		put(t, host, map[string]string{"a": "1", "d/locked/x": "2"})
		locked := "d/locked"
		if kind == "file" {
			locked += "/x"
		}
		for _, open := range []string{dir, host} {
			if err := os.Chmod(open, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(filepath.Join(host, locked), 0); err != nil {
			t.Fatal(err)
		}
		failed := make(chan error)
		go func() {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			if os.Getuid() == 0 {
				_ = unix.Setfsuid(65534) // who may not read everything
			}
			_, _, err := Pack(io.Discard, host)
			failed <- err
		}()
		if err := <-failed; !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), locked) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
