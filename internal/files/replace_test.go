package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// text is what the tests write.
const text = "a text\n"

func put(path, text string) error {
	return Replace(path, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

// names are what stands in dir.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "receipt.json")
	want := text
	for range 2 { // new, then replaced
		if err := put(path, text); err != nil {
			t.Fatal(err)
		}
		if got := content(t, path); got != want {
			t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
		}
		if diff := cmp.Diff([]string{"receipt.json"}, names(t, dir)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestReplaceErrors(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old")
	if err := os.WriteFile(old, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := names(t, dir)
	for name, path := range map[string]string{
		"missing folder": filepath.Join(dir, "missing", "receipt.json"),
		"a folder":       dir,
		"a slash":        filepath.Join(dir, "new") + "/",
		"below a file":   filepath.Join(old, "receipt.json"),
		"empty":          "",
		"a long name":    filepath.Join(dir, strings.Repeat("x", 5000)),
	} {
		err := put(path, text)
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), ".glasshouse-") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := put(filepath.Join(dir, "missing", "x"), text); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: %v does not say that it does not exist", err)
	}
	if diff := cmp.Diff(before, names(t, dir)); diff != "" {
		t.Errorf("left behind:\n%s", diff)
	}
}

// A writer that fails half-way leaves the old file and nothing beside it.
func TestReplaceHalf(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("broken")
	half := func(w io.Writer) error {
		if _, err := io.WriteString(w, "half"); err != nil {
			return err
		}
		return broken
	}
	for _, name := range []string{"old", "new"} {
		path := filepath.Join(dir, name)
		if name == "old" {
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := Replace(path, half); !errors.Is(err, broken) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if diff := cmp.Diff([]string{"old"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
	if got := content(t, filepath.Join(dir, "old")); got != "old" {
		t.Errorf("the old file holds %q", got)
	}
}
