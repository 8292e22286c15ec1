package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"glasshouse/receipt"
	"glasshouse/store"
)

// readReceipt reads the receipt that an argument names: a file, an ID of the
// history, or - for stdin.
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

// receiptFile is where a receipt was read from.
type receiptFile struct {
	Name   string // as it was given; - is stdin
	SHA256 string // of its bytes, in hex
}

// readReceiptFile is readReceipt for who has to name the file's bytes, too.
func (a *app) readReceiptFile(name string) (*receipt.Receipt, receiptFile, error) {
	f, title, err := a.openReceipt(name)
	if err != nil {
		return nil, receiptFile{}, err
	}
	defer f.Close()
	data, err := receipt.ReadBytes(f)
	if err != nil {
		return nil, receiptFile{}, fmt.Errorf("%s: %w", title, err)
	}
	rec, err := receipt.Parse(data)
	if err != nil {
		return nil, receiptFile{}, fmt.Errorf("%s: %w", title, err)
	}
	sum := sha256.Sum256(data)
	return rec, receiptFile{name, hex.EncodeToString(sum[:])}, nil
}

// readReceiptBytes is readReceipt for who needs a receipt byte for byte. That
// they are one is checked.
func (a *app) readReceiptBytes(name string) ([]byte, error) {
	f, name, err := a.openReceipt(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := receipt.ReadBytes(f)
	if err == nil {
		_, err = receipt.Parse(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

// openReceipt opens what an argument names, and gives it a name for errors.
func (a *app) openReceipt(name string) (io.ReadCloser, string, error) {
	if name == "-" {
		return openFile{a.stdin}, "stdin", nil
	}
	path, err := a.receiptPath(name)
	if err != nil {
		return nil, "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	return f, name, nil
}

// openFile is one that somebody else closes.
type openFile struct{ *os.File }

func (openFile) Close() error { return nil }

// receiptPath is the file of the receipt that an argument names: a file, which
// wins, or an ID of the history or an unambiguous part of one.
func (a *app) receiptPath(name string) (string, error) {
	_, err := os.Stat(name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return name, err
	}
	if !store.IsPart(name) {
		return "", &hinted{fmt.Errorf("%s: no such file", name), "glasshouse run writes receipt.json, or what --output names; glasshouse log lists what was kept"}
	}
	history, err := openStore()
	if err != nil {
		return "", err
	}
	id, err := history.Lookup(context.Background(), name)
	if errors.Is(err, store.ErrUnknown) {
		return "", &hinted{fmt.Errorf("%s: no such file, and no receipt of that ID", name), "glasshouse log lists the receipts that were kept"}
	}
	if err != nil {
		return "", err
	}
	path := history.Path(id)
	// Nobody has named this file: a pipe that lies there is a trap.
	if info, err := os.Stat(path); err != nil {
		return "", err
	} else if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no file", path)
	}
	return path, nil
}
