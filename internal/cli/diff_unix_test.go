//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A FIFO among the baselines would have diff wait for its writer.
func TestBaselinesAreFiles(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "b.json")
	if err := os.WriteFile(filepath.Join(dir, "a.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arg := range []string{dir, filepath.Join(dir, "*.json")} {
		got, err := baselines(arg, "compared.json")
		if want := fifo + " is no file"; err == nil || err.Error() != want {
			t.Errorf("%s: %q, %v; want the error %q", arg, got, err, want)
		}
	}
}
