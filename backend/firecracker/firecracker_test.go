package firecracker_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glasshouse/backend"
	"glasshouse/backend/backendtest"
	"glasshouse/backend/firecracker"
)

// images returns a Config of files that exist.
func images(t *testing.T) firecracker.Config {
	t.Helper()
	dir := t.TempDir()
	config := firecracker.Config{
		Kernel: filepath.Join(dir, "vmlinux"),
		RootFS: filepath.Join(dir, "rootfs.ext4"),
	}
	for _, path := range []string{config.Kernel, config.RootFS} {
		if err := os.WriteFile(path, []byte("image"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

func prepare(t *testing.T, config firecracker.Config) error {
	t.Helper()
	b := firecracker.New(config)
	defer b.Cleanup(t.Context())
	return b.Prepare(t.Context(), backend.Command{Argv: []string{"true"}})
}

func TestContract(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backend.Backend {
		return firecracker.New(images(t))
	}, backendtest.Capabilities{})
}

func TestMetadata(t *testing.T) {
	want := backend.Metadata{Backend: "firecracker", Isolation: "vm"}
	if got := firecracker.New(firecracker.Config{}).Metadata(); got != want {
		t.Errorf("got %+v", got)
	}
}

func TestStartIsTyped(t *testing.T) {
	b := firecracker.New(images(t))
	if err := b.Prepare(t.Context(), backend.Command{Argv: []string{"true"}}); err != nil {
		t.Fatal(err)
	}
	var unsupported *backend.UnsupportedError
	if err := b.Start(t.Context()); !errors.As(err, &unsupported) || unsupported.Backend != "firecracker" {
		t.Errorf("got %v", err)
	}
}

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, path string
		want       error
	}{
		{"no path", "", firecracker.ErrNoPath},
		{"missing", filepath.Join(dir, "missing"), fs.ErrNotExist},
		{"directory", dir, firecracker.ErrDirectory},
		{"device", os.DevNull, firecracker.ErrNotRegular},
		{"empty", empty, firecracker.ErrEmptyFile},
	} {
		for _, part := range []string{"kernel", "rootfs"} {
			t.Run(test.name+" "+part, func(t *testing.T) {
				config := images(t)
				if part == "kernel" {
					config.Kernel = test.path
				} else {
					config.RootFS = test.path
				}
				err := prepare(t, config)
				if !errors.Is(err, test.want) {
					t.Fatalf("got %v, want %v", err, test.want)
				}
				var configErr *firecracker.ConfigError
				if !errors.As(err, &configErr) || configErr.Part != part || configErr.Path != test.path {
					t.Errorf("got %#v", configErr)
				}
				if msg := err.Error(); !strings.Contains(msg, part) || !strings.Contains(msg, test.path) {
					t.Errorf("%q does not name %s and %q", msg, part, test.path)
				}
			})
		}
	}
}
