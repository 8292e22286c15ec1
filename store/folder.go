package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"glasshouse/receipt"
)

// locked waits for the lock on a file, which is given back when that is closed.
func locked(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// file is what the folder tells of a receipt.
type file struct {
	id     string
	size   int64
	mtime  int64 // ns
	signed bool
}

// list finds the receipts in the folder, in no order. A folder that is not
// there has none.
func (s *Store) list() ([]file, error) {
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	signed := make(map[string]bool)
	var files []file
	for _, name := range names {
		if id, ok := strings.CutSuffix(name, suffix+bundleSuffix); ok {
			signed[id] = true
			continue
		}
		id, ok := strings.CutSuffix(name, suffix)
		if !ok || !IsID(id) {
			continue
		}
		info, err := os.Lstat(s.Path(id))
		if errors.Is(err, fs.ErrNotExist) {
			continue // pruned meanwhile
		}
		if err != nil {
			return nil, err
		}
		files = append(files, file{id: id, size: info.Size(), mtime: info.ModTime().UnixNano()})
	}
	for i := range files {
		files[i].signed = signed[files[i].id]
	}
	return files, nil
}

func (s *Store) names() ([]string, error) {
	d, err := os.Open(s.folder())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// Open opens a receipt to be read. What lies in the folder by its name and is
// no file of this user is an error.
func (s *Store) Open(id string) (*os.File, error) {
	f, err := openFile(s.Path(id))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("not a file")
	case !owned(info):
		err = errors.New("a file of another user")
	case info.Size() > receipt.MaxSize:
		err = fmt.Errorf("%w: %d bytes", receipt.ErrTooLarge, info.Size())
	default:
		return f, nil
	}
	_ = f.Close()
	return nil, err
}

// draftAge is far more than a receipt takes to be written.
const draftAge = time.Hour

// sweep removes drafts whose writer was killed.
func (s *Store) sweep() {
	names, _ := s.names()
	for _, name := range names {
		if !strings.HasPrefix(name, draftPrefix) {
			continue
		}
		path := filepath.Join(s.folder(), name)
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > draftAge {
			_ = os.Remove(path)
		}
	}
}

// limited ends a reader with an error where it is longer than a receipt may be.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, receipt.ErrTooLarge
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}
