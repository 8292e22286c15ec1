package cli

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Until something comes there is no file: its folder may be the command's.
func TestChanges(t *testing.T) {
	dir := t.TempDir()
	want := func(names ...string) {
		t.Helper()
		list, err := os.ReadDir(dir)
		if err != nil || len(list) != len(names) {
			t.Fatalf("%v, %v: want %v", list, err, names)
		}
		for i, name := range names {
			if list[i].Name() != name {
				t.Errorf("%s: want %s", list[i].Name(), name)
			}
		}
	}
	place := filepath.Join(dir, "r.workspace.tar")
	c, err := newChanges(place)
	if err != nil {
		t.Fatal(err)
	}
	want()
	if _, err := io.WriteString(c, "text"); err != nil {
		t.Fatal(err)
	}
	r, err := c.reader()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); string(text) != "text" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if err := c.keep(); err != nil {
		t.Fatal(err)
	}
	c.discard()
	want("r.workspace.tar")
	if text, err := os.ReadFile(place); string(text) != "text" || err != nil {
		t.Errorf("%q, %v", text, err)
	}

	if c, err = newChanges(place); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "other"); err != nil {
		t.Fatal(err)
	}
	c.discard()
	if _, err := io.WriteString(c, "late"); err == nil {
		t.Error("what comes late was taken")
	}
	want("r.workspace.tar")
	if _, err := newChanges(filepath.Join(dir, "nowhere", "x")); err == nil {
		t.Error("a folder that is not there")
	}
}
