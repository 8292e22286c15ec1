//go:build unix

package attest

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"
)

// A FIFO that was put where a receipt or its bundle is looked for must not have
// anybody wait for its other end.
func TestFIFOIsNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo := dir + "/receipt.json" + Suffix
	if err := os.WriteFile(dir+"/receipt.json", []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := GenerateKey(Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"verify its bundle": func() error {
			_, err := Verify(context.Background(), Options{Receipt: dir + "/receipt.json", Key: key.Public()})
			return err
		},
		"read as a receipt": func() error {
			_, _, err := ReadReceipt(fifo)
			return err
		},
	} {
		done := make(chan error, 1)
		go func() { done <- do() }()
		select {
		case err := <-done:
			if want := fifo + " is no file"; err == nil || err.Error() != want {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s: waits for a writer", name)
		}
	}
}
