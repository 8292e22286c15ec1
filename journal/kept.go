package journal

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// keptTail is more than a closing record takes, in bytes.
const keptTail = 4 << 10

// FindKept looks among the journals that were kept at the end of their runs,
// the newest limit of them, for the one whose closing record may name a receipt
// by this hex SHA-256. It reads their ends alone: what it finds has to be read
// to be sure. It returns "" if there is none.
func FindKept(state, receipt string, limit int) (path string, err error) {
	dir := filepath.Join(state, keptFolder)
	entries, err := os.ReadDir(dir) // sorted, and a name begins with its time
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, e := range slices.Backward(entries) {
		if !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		if limit--; limit < 0 {
			break
		}
		path := filepath.Join(dir, e.Name())
		if tail, err := tailOf(path); err == nil && bytes.Contains(tail, []byte(receipt)) {
			return path, nil
		}
	}
	return "", nil
}

func tailOf(path string) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(info.Size()-keptTail, 0), keptTail))
}
