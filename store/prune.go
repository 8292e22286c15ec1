package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"glasshouse/receipt"
)

// Keep says which receipts stay: those that any part of it keeps.
type Keep struct {
	Newest int       // so many of the newest
	Since  time.Time // those of runs that began then or later; unless it is zero
}

// Pruned is what Prune did.
type Pruned struct {
	Removed []Entry // the newest first
	Bytes   int64   // of the removed receipts and bundles
	Kept    int
}

// Prune removes the receipts that are not to be kept, with their bundles, and
// all that the index knows of them. With dryRun it only tells which. A receipt
// that cannot be read goes by the time in its ID, and so do all where there is no
// room for the index. What cannot be removed stays; the error is the first of
// these. What another prune removes at the same time is in that one's account
// alone.
func (s *Store) Prune(ctx context.Context, keep Keep, dryRun bool) (Pruned, error) {
	var p Pruned
	var failed []error
	found, err := s.Find(ctx, Query{})
	entries := found.Entries
	if noRoom(err) {
		entries, err = s.unindexed()
	}
	if err != nil {
		return p, err
	}
	for i, e := range entries {
		if i < keep.Newest || !keep.Since.IsZero() && !e.StartedAt.Before(keep.Since) {
			p.Kept++
			continue
		}
		bytes, removed, err := s.remove(e.ID, dryRun)
		p.Bytes += bytes
		switch {
		case removed:
			p.Removed = append(p.Removed, e)
		case err != nil:
			p.Kept++
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	if !dryRun {
		s.sweep()
		// Also where nothing was removed: a prune that was killed may not have come to it.
		if err := s.vacuum(ctx); len(p.Removed) > 0 || !noRoom(err) {
			failed = append(failed, err)
		}
	}
	return p, cmp.Or(failed...)
}

// noRoom tells whether an error is that of a full disk, or may be: SQLite does not
// say that there was no inode for its journal, or that a quota was used up.
func noRoom(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		code := e.Code()
		if code&0xff == sqlite3.SQLITE_FULL || code == sqlite3.SQLITE_CANTOPEN || code == sqlite3.SQLITE_IOERR_WRITE {
			return true
		}
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// unindexed is what the names of the receipts tell, the newest first.
func (s *Store) unindexed() ([]Entry, error) {
	files, err := s.list()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(b.id, a.id) })
	var entries []Entry
	for _, f := range files {
		entries = append(entries, Entry{ID: f.id, Bytes: f.size, Signed: f.signed, StartedAt: receipt.At(started(f.id))})
	}
	return entries, nil
}

// vacuum has the index forget the removed receipts, and leaves nothing in its
// files of what was deleted.
func (s *Store) vacuum(ctx context.Context) error {
	return s.withIndex(ctx, func(db *sql.DB) error {
		if _, err := db.ExecContext(ctx, "VACUUM"); err != nil {
			return err
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		told, err := extents(ctx, tx)
		if err != nil {
			return err
		}
		return s.blockFiles().sweep(told)
	})
}

// remove deletes a receipt and its bundle, the receipt first: a bundle alone
// is nothing. It returns how large what it removed was, and whether the receipt
// was removed: it was not if another prune was faster.
func (s *Store) remove(id string, dryRun bool) (bytes int64, removed bool, err error) {
	for _, path := range []string{s.Path(id), s.BundlePath(id)} {
		info, err := os.Lstat(path)
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a folder", path)
		}
		if err == nil && !dryRun {
			err = os.Remove(path)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return bytes, removed, err
		}
		bytes += info.Size()
		removed = removed || path == s.Path(id)
	}
	return bytes, removed, nil
}
