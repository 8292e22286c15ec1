//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What an ID stands for is a file: nobody waits for the other end of a pipe.
func TestReceiptPathOfPipe(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	t.Chdir(t.TempDir())
	dir := filepath.Join(state, "glasshouse", "receipts")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const id = "20260101-000000-0000001a"
	if err := unix.Mkfifo(filepath.Join(dir, id+".json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if path, err := new(app).receiptPath(id); err == nil || !strings.HasSuffix(err.Error(), id+".json is no file") {
		t.Errorf("%q, %v", path, err)
	}
}
