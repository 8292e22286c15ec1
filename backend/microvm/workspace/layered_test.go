package workspace

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Of an overlay only what lies in the upper layer is read, and it is changed if
// it is not what the lower one has.
func TestLayered(t *testing.T) {
	top := t.TempDir()
	dir, lower, upper := filepath.Join(top, "dir"), filepath.Join(top, "lower"), filepath.Join(top, "upper")
	put := func(folder, name, text string) {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(upper, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c", "sub/d", "folder/e"} {
		put(lower, name, "1")
		put(dir, name, "1")
	}
	s, err := Layered(dir, lower, upper)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(dir, "a", "2") // nobody can: what is not in upper is not looked at
	for _, f := range []string{upper, dir} {
		put(f, "b", "2")
		put(f, "c", "1") // written, but the same
		put(f, "sub/new", "3")
	}
	if err := os.Remove(filepath.Join(dir, "sub/d")); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{upper, dir} { // a file in a folder's place
		if err := os.RemoveAll(filepath.Join(f, "folder")); err != nil {
			t.Fatal(err)
		}
		put(f, "folder", "4")
	}
	var out bytes.Buffer
	d, err := s.Changes(&out)
	if err != nil {
		t.Fatal(err)
	}
	var packed []string
	for in := tar.NewReader(&out); ; {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		packed = append(packed, h.Name+"="+string(text))
	}
	if want := []string{"b=2", "folder=4", "sub/new=3"}; !slices.Equal(packed, want) {
		t.Errorf("packed %q, want %q", packed, want)
	}
	if !slices.Equal(d.Added, []string{"sub/new"}) || !slices.Equal(d.Changed, []string{"b", "folder"}) || !slices.Equal(d.Deleted, []string{"folder/e", "sub/d"}) {
		t.Errorf("%+v", d)
	}
}
