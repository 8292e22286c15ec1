package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"glasshouse/receipt"
)

// A block of which a bit is another one neither hides a receipt nor has one found
// that should not be, whatever is searched and added next.
func TestFlippedBits(t *testing.T) {
	s := New(t.TempDir())
	for n := range 3 {
		add(t, s, id(n), made(n, func(r *receipt.Receipt) { r.Filesystem.Reads = []string{fmt.Sprintf("/work/%d/name", n), "/all/other"} }))
	}
	q := Query{Path: glob(t, "/work/1/name")}
	query(t, s, q)
	good, err := os.ReadFile(blockNames(t, s)[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1
		if err := os.WriteFile(blockNames(t, s)[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := ids(query(t, s, q)); !slices.Equal(got, []string{id(1)}) {
			t.Errorf("bit of byte %d: found %q", i, got)
		}
	}
}

// What is in the place of a block, or of their folder, is put away: it is nobody's.
func TestMisplacedBlocks(t *testing.T) {
	for name, put := range map[string]func(s *Store, block string) error{
		"a loop":                   func(_ *Store, block string) error { return os.Symlink(block, block) },
		"a link to a block":        func(s *Store, block string) error { return os.Symlink(s.Path(id(1)), block) },
		"a file in their folder's": func(s *Store, _ string) error { return replace(string(s.blockFiles())) },
		"the same, before a change": func(s *Store, _ string) error {
			add(t, s, id(2), made(2, rich))
			return replace(string(s.blockFiles()))
		},
	} {
		s := New(t.TempDir())
		add(t, s, id(1), made(1, rich))
		q := Query{Path: glob(t, "/reads")}
		query(t, s, q)
		block := blockNames(t, s)[0]
		if err := errors.Join(os.Remove(block), put(s, block)); err != nil {
			t.Fatal(err)
		}
		if got := ids(query(t, s, q)); !slices.Contains(got, id(1)) {
			t.Errorf("%s: found %q", name, got)
		}
	}
	// Before there is a block.
	s := New(t.TempDir())
	query(t, s, Query{})
	if err := replace(string(s.blockFiles())); err != nil {
		t.Fatal(err)
	}
	add(t, s, id(1), made(1, rich))
	if got := ids(query(t, s, Query{Path: glob(t, "/reads")})); !slices.Equal(got, []string{id(1)}) {
		t.Errorf("found %q", got)
	}
}

// replace puts a file in the place of a folder.
func replace(folder string) error {
	return errors.Join(os.RemoveAll(folder), os.WriteFile(folder, nil, 0o600))
}
