package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"glasshouse/receipt"
)

// ReadReceipt reads the receipt in a file, and the hex SHA-256 of the file. It
// refuses one that has a key twice, which readers understand differently. The
// error names the file, or is one of the file system.
func ReadReceipt(path string) (rec *receipt.Receipt, digest string, err error) {
	// Before it is opened: that waits for the other end of a FIFO.
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	if !info.Mode().IsRegular() {
		return nil, "", fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, "", err
	}
	if info.Size() > receipt.MaxSize {
		return nil, "", fmt.Errorf("%s: %w: more than %d bytes", path, receipt.ErrTooLarge, receipt.MaxSize)
	}
	rec, digest, err = readReceipt(f, info.Size())
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	return rec, digest, nil
}

// systemError is one that says nothing of what was read.
type systemError struct{ error }

// readReceipt reads a receipt of this size. The digest is of what was read,
// whatever that is.
func readReceipt(r io.Reader, size int64) (rec *receipt.Receipt, digest string, err error) {
	data := make([]byte, size)
	n, err := io.ReadFull(r, data)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, "", &systemError{err}
	}
	data = data[:n]
	sum := sha256.Sum256(data)
	digest = hex.EncodeToString(sum[:])
	if rec, err = receipt.Parse(data); err == nil {
		err = uniqueKeys(data)
	}
	return rec, digest, err
}
