package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"glasshouse/receipt"
)

// tmpfs is a file system of its own, which a test can fill.
func tmpfs(t *testing.T, options string) (dir string) {
	dir = t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, options); err != nil {
		if os.Getenv("CI") != "" || !errors.Is(err, unix.EPERM) {
			t.Fatal(err)
		}
		t.Skip("no file system to fill: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// What could not be written of a block does not take the room that there was.
func TestBlocksOnAFullDisk(t *testing.T) {
	dir := tmpfs(t, "size=6m") // of which the receipt takes most
	s := New(dir)
	query(t, s, Query{})
	add(t, s, id(1), made(1, func(r *receipt.Receipt) {
		for n := range 26000 {
			r.Filesystem.Reads = append(r.Filesystem.Reads, fmt.Sprintf("/work/%064d", n))
		}
	}))
	free := func() uint64 {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		return st.Bfree * uint64(st.Bsize)
	}
	was := free()
	if was > 3<<19 {
		t.Fatalf("%d bytes are free: the index has room", was)
	}
	if _, err := s.Find(t.Context(), Query{}); !noRoom(err) {
		t.Fatalf("there is room for the index: %v", err)
	}
	if left := blockNames(t, s); len(left) > 0 || free() < was {
		t.Errorf("%q are left, and %d bytes of %d", left, free(), was)
	}
}

// On a full disk there may be no room for the index, and then most of all
// receipts have to be removed.
func TestPruneOnAFullDisk(t *testing.T) {
	dir := tmpfs(t, "size=256k")
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

// Nor may there be an inode left for the journal that SQLite writes first.
func TestPruneWithoutInodes(t *testing.T) {
	dir := tmpfs(t, "size=4m,nr_inodes=64")
	s := New(dir)
	for i := range 4 {
		add(t, s, id(i), made(i, nil))
		query(t, s, Query{})
	}
	add(t, s, id(4), made(4, nil))
	var err error
	for i := 0; err == nil; i++ {
		err = os.WriteFile(filepath.Join(dir, fmt.Sprint("fill", i)), nil, 0o600)
	}
	if _, err := s.Find(context.Background(), Query{}); !noRoom(err) {
		t.Fatalf("there is room for the index: %v", err)
	}
	p, err := s.Prune(context.Background(), Keep{Newest: 1}, false)
	if len(p.Removed) != 4 || p.Kept != 1 || err != nil {
		t.Errorf("%+v, %v", p, err)
	}
}

// A quota that is used up is a full disk.
func TestQuotaIsRoom(t *testing.T) {
	if err := (&os.PathError{Op: "write", Path: "x", Err: unix.EDQUOT}); !noRoom(err) {
		t.Errorf("%v leaves room", err)
	}
}
