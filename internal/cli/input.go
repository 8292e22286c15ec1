package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"glasshouse/receipt"
)

// readReceipt reads the receipt that an argument names: a file, or - for
// stdin.
func (a *app) readReceipt(name string) (*receipt.Receipt, error) {
	f, name, err := a.openReceipt(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rec, err := receipt.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rec, nil
}

// readReceiptBytes is readReceipt for who needs a receipt byte for byte. That
// they are one is checked.
func (a *app) readReceiptBytes(name string) ([]byte, error) {
	f, name, err := a.openReceipt(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var data bytes.Buffer
	if _, err := receipt.Read(io.TeeReader(f, &data)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data.Bytes(), nil
}

// openReceipt opens what an argument names, and gives it a name for errors.
func (a *app) openReceipt(name string) (io.ReadCloser, string, error) {
	if name == "-" {
		return io.NopCloser(a.stdin), "stdin", nil
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", &hinted{fmt.Errorf("%s: no such file", name), "glasshouse run writes receipt.json, or what --output names"}
	}
	if err != nil {
		return nil, "", err
	}
	return f, name, nil
}
