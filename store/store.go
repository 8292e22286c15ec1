// Package store keeps the receipts of runs in the state folder, and finds them
// again. A receipt is a file by the name of its run; what is known of all of
// them is an index beside, which can be deleted at any time.
//
//	STATE/receipts/RUN.json                  a receipt
//	STATE/receipts/RUN.json.sigstore.json    its signature, if it has one
//	STATE/index/receipts.sqlite              the index, see index.go
//	STATE/index/paths/*                      its blocks of paths, see blockfile.go
//
// The folders are for their owner alone (0700), so are the files (0600).
package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"glasshouse/internal/files"
	"glasshouse/receipt"
)

const (
	suffix       = ".json"
	bundleSuffix = ".sigstore.json" // behind the name of the receipt
	draftPrefix  = ".new-"          // until the receipt is whole
)

// Store is the history below a state folder. It may be used by several
// goroutines and processes.
type Store struct{ state string }

// New opens nothing: that folder need not be there.
func New(state string) *Store { return &Store{state: state} }

func (s *Store) folder() string { return filepath.Join(s.state, "receipts") }

// Path is where the receipt with an ID is kept.
func (s *Store) Path(id string) string { return filepath.Join(s.folder(), id+suffix) }

// BundlePath is where its signature is kept.
func (s *Store) BundlePath(id string) string { return s.Path(id) + bundleSuffix }

// idLayout is the start in UTC; a hyphen and 8 hex digits follow.
const idLayout = "20060102-150405"

var idForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-[0-9a-f]{8}$`) })

// IsID tells whether a name has the form of an ID, which is that of a
// journal's run.
func IsID(name string) bool {
	if !idForm().MatchString(name) {
		return false
	}
	_, err := time.Parse(idLayout, name[:len(idLayout)])
	return err == nil
}

// IDOf makes an ID for the receipt of a run that had no journal to name it:
// its start and the beginning of its execution_id.
func IDOf(rec *receipt.Receipt) string {
	return rec.Timestamp.UTC().Format(idLayout) + "-" + rec.ExecutionID[:min(8, len(rec.ExecutionID))]
}

// started is the start that an ID tells, in UTC.
func started(id string) time.Time {
	t, _ := time.Parse(idLayout, id[:len(idLayout)])
	return t
}

// Draft is a receipt that has no name in the history yet: its file, to be
// written and read. It ends with Keep or Discard.
type Draft struct {
	*os.File
	store *Store
	once  sync.Once
	sync  chan error
}

// Create begins a receipt.
func (s *Store) Create() (*Draft, error) {
	if err := files.PrivateDir(s.folder()); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(s.folder(), draftPrefix) // mode 0600
	if err != nil {
		return nil, err
	}
	return &Draft{File: f, store: s, sync: make(chan error, 1)}, nil
}

// Written is told that the draft is whole: it goes to the disk while others
// are served. It may be called once, and need not be.
func (d *Draft) Written() {
	d.once.Do(func() { go func() { d.sync <- d.Sync() }() })
}

// Keep puts the receipt into the history: whole, or not at all. A bundle,
// unless it is empty, is there before the receipt is. An ID is used once, by
// however many it is asked for at the same time: the error wraps fs.ErrExist
// where it is taken.
func (d *Draft) Keep(id string, bundle []byte) error {
	d.Written()
	err := <-d.sync
	defer d.Discard()
	if err != nil {
		return err
	}
	if !IsID(id) {
		return fmt.Errorf("%q is no ID of a receipt", id)
	}
	// Whoever takes the ID has to put two files there.
	folder, err := os.Open(d.store.folder())
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := lock(folder); err != nil {
		return fmt.Errorf("lock %s: %w", folder.Name(), err)
	}
	path := d.store.Path(id)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "keep", Path: path, Err: fs.ErrExist}
	}
	if len(bundle) > 0 {
		if err := d.store.keepBundle(id, bundle); err != nil {
			return err
		}
	}
	// Closed first: an open file cannot be moved everywhere.
	err = d.Close()
	if err == nil {
		err = files.Move(d.Name(), path)
	}
	if err != nil && len(bundle) > 0 && !errors.Is(err, fs.ErrExist) {
		_ = os.Remove(d.store.BundlePath(id))
	}
	return err
}

func (s *Store) keepBundle(id string, bundle []byte) error {
	f, err := os.CreateTemp(s.folder(), draftPrefix)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(bundle)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.BundlePath(id))
}

// Discard removes what was not kept.
func (d *Draft) Discard() {
	_ = d.Close()
	_ = os.Remove(d.Name())
}

// Add keeps the bytes of a receipt under an ID, with its bundle if it has one.
// Errors are those of Create and Keep.
func (s *Store) Add(id string, r io.Reader, bundle []byte) error {
	d, err := s.Create()
	if err != nil {
		return err
	}
	if _, err := io.Copy(d, r); err != nil {
		d.Discard()
		return err
	}
	return d.Keep(id, bundle)
}
