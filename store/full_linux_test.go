package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// On a full disk there may be no room for the index, and then most of all
// receipts have to be removed.
func TestPruneOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=256k"); err != nil {
		if os.Getenv("CI") != "" || !errors.Is(err, unix.EPERM) {
			t.Fatal(err)
		}
		t.Skip("no file system to fill: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	s := New(dir)
	for i := range 4 {
		add(t, s, id(i), made(i, nil))
	}
	fill, err := os.Create(filepath.Join(dir, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	defer fill.Close()
	for chunk := make([]byte, 4096); err == nil; {
		_, err = fill.Write(chunk)
	}
	if _, err := s.Find(context.Background(), Query{}); !noRoom(err) {
		t.Fatalf("there is room for the index: %v", err)
	}
	dry, err := s.Prune(context.Background(), Keep{Newest: 1}, true)
	if err != nil || len(dry.Removed) != 3 || dry.Kept != 1 {
		t.Errorf("dry: %+v, %v", dry, err)
	}
	p, err := s.Prune(context.Background(), Keep{Newest: 1}, false)
	if len(p.Removed) != 3 || p.Kept != 1 || p.Bytes == 0 || err != nil && !noRoom(err) {
		t.Errorf("%+v, %v", p, err)
	}
	names, _ := s.names()
	slices.Sort(names)
	if !slices.Equal(names, []string{id(3) + suffix}) {
		t.Errorf("%q are left", names)
	}
}
