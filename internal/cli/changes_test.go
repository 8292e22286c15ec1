package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
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

// What came back is there once: it stays where it is if it cannot be moved.
func TestChangesNotKept(t *testing.T) {
	dir := t.TempDir()
	place := filepath.Join(dir, "r.workspace.tar")
	c, err := newChanges(place)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "text"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(place, 0o700); err != nil {
		t.Fatal(err)
	}
	err = c.keep()
	c.discard()
	left, _ := filepath.Glob(filepath.Join(dir, ".workspace-*"))
	if err == nil || len(left) != 1 || !strings.HasSuffix(err.Error(), "it stays in "+left[0]) {
		t.Fatalf("%v, %q are left", err, left)
	}
	if text, err := os.ReadFile(left[0]); string(text) != "text" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	// Next time that is known before there is something to keep.
	if _, err := newChanges(place); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Error(err)
	}
}

func TestChangesPlace(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for output, want := range map[string]string{
		"-": "workspace.tar", "x/r.json": "x/r.workspace.tar", "r": "r.workspace.tar",
		os.DevNull: "workspace.tar", // nothing is to lie beside that
	} {
		if got, err := changesPlace(output); got != filepath.Join(dir, want) || err != nil {
			t.Errorf("%s: %s, %v; want %s", output, got, err, want)
		}
	}
}
