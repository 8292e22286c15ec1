//go:build unix

package attest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"glasshouse/internal/files"
)

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

func TestWriteKeyPair(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	key := testKey(t, Ed25519)
	name := filepath.Join(t.TempDir(), "k")
	if err := WriteKeyPair(name, key); err != nil {
		t.Fatal(err)
	}
	if private, public := mode(t, name+".key"), mode(t, name+".pub"); private != 0o600 || public != 0o644 {
		t.Errorf("modes %v and %v", private, public)
	}
	read, err := ReadPrivateKey(name + ".key")
	if err != nil {
		t.Fatal(err)
	}
	public, err := ReadPublicKey(name + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if read.Public().Hint() != key.Public().Hint() || public.Hint() != key.Public().Hint() {
		t.Error("another key came back")
	}
}

// Whatever has one of the two names stays, and the other is not left behind.
func TestWriteKeyPairReplacesNothing(t *testing.T) {
	for _, taken := range []string{"k.key", "k.pub"} {
		for kind, plant := range map[string]func(path string) error{
			"file":   func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) },
			"link":   func(path string) error { return os.Symlink("elsewhere", path) },
			"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		} {
			dir := t.TempDir()
			path := filepath.Join(dir, taken)
			if err := plant(path); err != nil {
				t.Fatal(err)
			}
			before := mode(t, path)
			err := WriteKeyPair(filepath.Join(dir, "k"), testKey(t, Ed25519))
			if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s %s: %v", kind, taken, err)
			}
			if names := ls(t, dir); !slices.Equal(names, []string{taken}) || mode(t, path) != before {
				t.Errorf("%s %s: there is %q now, %v", kind, taken, names, mode(t, path))
			}
			if kind == "file" {
				if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
					t.Errorf("%s: %q, %v", taken, text, err)
				}
			}
		}
	}
}

func ls(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestReadKeyFiles(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "k")
	if err := WriteKeyPair(name, testKey(t, Ed25519)); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[fs.FileMode]string{
		0o600: "", 0o400: "", 0o700: "",
		0o640: "others may read this private key: its mode is 0640",
		0o604: "others may read", 0o620: "others may read", 0o601: "others may read",
	} {
		if err := os.Chmod(name+".key", mode); err != nil {
			t.Fatal(err)
		}
		_, err := ReadPrivateKey(name + ".key")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("mode %04o: %v, want %q", mode, err, want)
		}
	}
	large := filepath.Join(dir, "large")
	if err := files.New(large, make([]byte, maxKeyFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		large:                          large + ": too large for a key",
		filepath.Join(dir, "missing"):  "no such file",
		dir:                            "is a directory",
		filepath.Join(large, "a file"): "not a directory",
		"/dev/zero":                    "/dev/zero: too large for a key",
	} {
		if _, err := ReadPublicKey(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
