//go:build unix

package workspace

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// at calls do before the entry of a tar stream with this name is written.
type at struct {
	bytes.Buffer
	name string
	do   func()
}

func (a *at) Write(p []byte) (int, error) {
	if a.do != nil && bytes.HasPrefix(p, []byte(a.name+"\x00")) {
		a.do()
		a.do = nil
	}
	return a.Buffer.Write(p)
}

// What goes away while a folder is packed is left out, and nothing fails for it.
func TestPackVanishing(t *testing.T) {
	for what, c := range map[string]struct {
		when   string // its entry is written
		remove string
		want   map[string]bool
	}{
		"file":           {"a-first", "b", map[string]bool{"a-first": true, "d": true, "d/e": true, "l": true, "z": true}},
		"link":           {"a-first", "l", map[string]bool{"a-first": true, "b": true, "d": true, "d/e": true, "z": true}},
		"folder":         {"a-first", "d", map[string]bool{"a-first": true, "b": true, "l": true, "z": true}},
		"opened file":    {"b", "b", map[string]bool{"a-first": true, "b": true, "d": true, "d/e": true, "l": true, "z": true}},
		"entered folder": {"d", "d", map[string]bool{"a-first": true, "b": true, "d": true, "l": true, "z": true}},
		"replaced":       {"d", "", map[string]bool{"a-first": true, "b": true, "d": true, "l": true, "z": true}},
	} {
		host := t.TempDir()
		put(t, host, map[string]string{"a-first": "1", "b": "2", "d/e": "3", "l": "->b", "z": "4"})
		packed := &at{name: c.when, do: func() {
			if c.remove == "" {
				_ = os.RemoveAll(filepath.Join(host, "d"))
				put(t, host, map[string]string{"d": "a file now"})
				return
			}
			if err := os.RemoveAll(filepath.Join(host, c.remove)); err != nil {
				t.Error(err)
			}
		}}
		names, skipped, err := Pack(packed, host)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if diff := cmp.Diff(c.want, names); diff != "" || len(skipped) > 0 {
			t.Errorf("%s: %s, %v", what, diff, skipped)
		}
		guest := filepath.Join(t.TempDir(), "workspace")
		before, err := Unpack(&packed.Buffer, guest, Owner{os.Getuid(), os.Getgid()})
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		// Who never got it has not deleted it.
		if d, err := before.Changes(io.Discard); err != nil || len(d.Added)+len(d.Changed)+len(d.Deleted)+len(d.Refused) > 0 {
			t.Errorf("%s: %+v, %v", what, d, err)
		}
	}
}

// What is gone before its entry is begun leaves none.
func TestPackOneGone(t *testing.T) {
	host := t.TempDir()
	put(t, host, map[string]string{"f": "1", "l": "->f"})
	root, err := os.OpenRoot(host)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, name := range []string{"f", "l"} {
		info, err := root.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := root.Remove(name); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		out := tar.NewWriter(&b)
		if err := packOne(out, root, name, info); !errors.Is(err, fs.ErrNotExist) || b.Len() > 0 {
			t.Errorf("%s: %v, %d bytes", name, err, b.Len())
		}
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What only looks like a file is not waited for without end: one that has become a
// FIFO, as here, or that the kernel writes to.
func TestNothingToRead(t *testing.T) {
	readLimit = 100 * time.Millisecond
	defer func() { readLimit = 10 * time.Second }()
	host := t.TempDir()
	fifo := filepath.Join(host, "f")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	root, err := os.OpenRoot(host)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	looked := make(chan error, 1)
	go func() {
		_, err := look(root, "f", 0, true)
		looked <- err
	}()
	select {
	case err := <-looked:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it waits")
	}
}

// The folder itself is not one of those.
func TestPackNoFolder(t *testing.T) {
	host := filepath.Join(t.TempDir(), "w")
	if err := os.Mkdir(host, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(host)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := os.Remove(host); err != nil {
		t.Fatal(err)
	}
	if _, _, err := listIn(root, func(string, fs.FileInfo) error { return nil }); err == nil {
		t.Error("it was taken for an empty one")
	}
}
