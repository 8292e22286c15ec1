//go:build linux || darwin

package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glasshouse/internal/files"
)

func TestFindKept(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	find := func(receipt string, limit int, want string) {
		t.Helper()
		if got, err := FindKept(state, receipt, limit); got != want || err != nil {
			t.Errorf("%s, %d: %q, %v, want %q", receipt, limit, got, err, want)
		}
	}
	find("a", 10, "") // there is no folder
	dir := filepath.Join(state, keptFolder)
	if err := files.PrivateDir(dir); err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var paths []string
	for i := range 5 {
		paths = append(paths, put(fmt.Sprintf("2026010%d-000000-00000000.journal", i), fmt.Sprintf("digest-%d", i)))
	}
	put("20260109-000000-00000000.other", "digest-0")
	if err := os.Symlink(paths[0], filepath.Join(dir, "20260109-000000-00000001.journal")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "20260109-000000-00000002.journal"), 0o700); err != nil {
		t.Fatal(err)
	}
	find("digest-0", 5, paths[0])
	find("digest-4", 1, paths[4])
	find("digest-0", 4, "") // only the newest
	find("digest-9", 100, "")

	// The end of a long one is read, and no more.
	long := put("20260108-000000-00000000.journal", "digest-8"+strings.Repeat("x", keptTail)+"digest-7")
	find("digest-7", 100, long)
	find("digest-8", 100, "")
}
