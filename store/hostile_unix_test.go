//go:build unix

package store

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What lies in the folder by a receipt's name and is none is neither followed
// nor waited for.
func TestHostileFolder(t *testing.T) {
	s := New(t.TempDir())
	add(t, s, id(0), made(0, rich))
	outside := filepath.Join(t.TempDir(), "outside.json")
	if err := os.WriteFile(outside, encodedOnce(t, rich), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Symlink(outside, s.Path(id(1))),
		unix.Mkfifo(s.Path(id(2)), 0o600),
		os.Mkdir(s.Path(id(3)), 0o700),
		os.Symlink(s.Path(id(4)), s.Path(id(4))),
		os.WriteFile(filepath.Join(s.folder(), "notes.json"), nil, 0o600),
		os.WriteFile(filepath.Join(s.folder(), "20260101-000000-0000000g.json"), nil, 0o600),
		os.WriteFile(s.Path(id(5))+".orig", nil, 0o600),
		os.WriteFile(filepath.Join(s.folder(), "\xff\n\x1b.json"), nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	bad := 4
	if os.Geteuid() == 0 {
		bad++
		add(t, s, id(6), made(6, rich))
		if err := os.Chown(s.Path(id(6)), 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	found := query(t, s, Query{})
	if len(found.Entries) != 1+bad {
		t.Fatalf("%+v", found)
	}
	for _, e := range found.Entries {
		if (e.ID == id(0)) != (e.Unreadable == "") {
			t.Errorf("%+v", e)
		}
	}
	if found := query(t, s, Query{Path: glob(t, "/reads")}); len(found.Entries) != 1 || found.Unsearched != bad {
		t.Errorf("%+v", found)
	}
	// Pruning takes names away, not what they lead to, and leaves a folder.
	p, err := s.Prune(t.Context(), Keep{}, false)
	if err == nil || !strings.Contains(err.Error(), "is a folder") || len(p.Removed) != bad || p.Kept != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

func TestModes(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state", "glasshouse")
	s := New(state)
	if err := s.Add(id(1), bytes.NewReader(encodedOnce(t, rich)), []byte("bundle")); err != nil {
		t.Fatal(err)
	}
	query(t, s, Query{})
	n := 0
	err := filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		n++
		return err
	})
	if err != nil || n != 9 {
		t.Errorf("%d files and folders, %v", n, err)
	}
	// A folder that others can write to is not used.
	if err := os.Chmod(s.folder(), 0o770); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(id(2), bytes.NewReader(encodedOnce(t, nil)), nil); err == nil {
		t.Error("kept in a folder that is not private")
	}
}
