//go:build unix

package files

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestPrivateDir(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for range 2 { // new, then there already
		if err := PrivateDir(at("state/glasshouse/runs")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"state", "state/glasshouse", "state/glasshouse/runs"} {
		if info, err := os.Stat(at(name)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	for name, err := range map[string]error{
		"readable": os.Mkdir(at("readable"), 0o750),
		"open":     os.Mkdir(at("open"), 0o777),
		"file":     os.WriteFile(at("file"), nil, 0o700),
		"link":     os.Symlink("state", at("link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
		if err := PrivateDir(at(name)); err == nil {
			t.Errorf("%s is taken for a folder of this user alone", name)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Mkdir(at("foreign"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(at("foreign"), 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if err := PrivateDir(at("foreign")); err == nil {
			t.Error("a folder of another user is taken")
		}
	}
}
