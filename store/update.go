package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"glasshouse/receipt"
)

const (
	// settled is how old a folder's mtime has to be so that a later change
	// shows in it: file systems keep seconds, or less.
	settled = 2 * time.Second
	// batchTime is how much work is lost at most to who has no patience.
	batchTime = 2 * time.Second
)

// update brings the index up to date with the folder. Files are kept under
// names that are used once, so a folder that has not changed is not looked
// through.
func (s *Store) update(ctx context.Context, db *sql.DB) error {
	mtime, err := s.mtime()
	if err != nil {
		return err
	}
	var seen int64
	err = db.QueryRowContext(ctx, "SELECT mtime FROM folder").Scan(&seen)
	if err == nil && seen == mtime {
		return nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	for {
		done, err := s.updateSome(ctx, db)
		if done || err != nil {
			return err
		}
	}
}

// mtime is the folder's, in ns; 0 if there is none.
func (s *Store) mtime() (int64, error) {
	info, err := os.Stat(s.folder())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.ModTime().UnixNano(), nil
}

// updateSome is one transaction. It tells whether it was the last.
func (s *Store) updateSome(ctx context.Context, db *sql.DB) (done bool, err error) {
	begin := time.Now()
	mtime, err := s.mtime()
	if err != nil {
		return false, err
	}
	gone, fresh, err := s.compare(ctx, db)
	if err != nil {
		return false, err
	}
	rested := mtime == 0 || begin.Sub(time.Unix(0, mtime)) > settled
	if len(gone) == 0 && len(fresh) == 0 && !rested {
		return true, nil
	}
	err = s.write(ctx, db, func(w *writer) error {
		if err := w.remove(gone); err != nil {
			return err
		}
		for _, f := range fresh {
			if time.Since(begin) > batchTime {
				return nil
			}
			if err := w.index(s, f); err != nil {
				return err
			}
		}
		done = true
		if !rested {
			return nil
		}
		return w.exec("DELETE FROM folder; INSERT INTO folder VALUES (?)", mtime)
	})
	return done, err
}

// compare finds the numbers of rows whose file is gone or another, and the
// files that have no row, the oldest first.
func (s *Store) compare(ctx context.Context, db *sql.DB) (gone set, fresh []file, err error) {
	files, err := s.list()
	if err != nil {
		return nil, nil, err
	}
	there := make(map[string]file, len(files))
	for _, f := range files {
		there[f.id] = f
	}
	rows, err := db.QueryContext(ctx, "SELECT number, id, size, mtime, signed FROM receipts")
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var number uint64
		var f file
		if err := rows.Scan(&number, &f.id, &f.size, &f.mtime, &f.signed); err != nil {
			return nil, nil, err
		}
		if there[f.id] == f {
			delete(there, f.id)
		} else {
			gone.add(number)
		}
	}
	for _, f := range there {
		fresh = append(fresh, f)
	}
	slices.SortFunc(fresh, func(a, b file) int { return strings.Compare(a.id, b.id) })
	return gone, fresh, rows.Err()
}

// writer changes the index, in one transaction.
type writer struct {
	ctx context.Context
	tx  *sql.Tx
	dir blockFiles
	// removed: something was taken out.
	removed bool
	last    uint64   // number of a receipt
	made    []int64  // numbers of blocks
	b       *builder // of the block that is not full yet; nil before the first path
}

func (s *Store) write(ctx context.Context, db *sql.DB, change func(*writer) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	w := &writer{ctx: ctx, tx: tx, dir: s.blockFiles()}
	committed := false
	defer func() {
		if !committed { // mostly for want of room, which they would take
			w.dir.remove(w.made)
		}
	}()
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(number), 0) FROM receipts").Scan(&w.last); err != nil {
		return err
	}
	if err := change(w); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	told, err := extents(ctx, tx)
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	committed = true
	// A block that stays goes with the next change; of receipts that were removed
	// nothing is to be left.
	if err := w.dir.sweep(told); w.removed {
		return err
	}
	return nil
}

func (w *writer) exec(query string, args ...any) error {
	_, err := w.tx.ExecContext(w.ctx, query, args...)
	return err
}

// index reads a receipt and adds its row. One that cannot be read has a row
// that says why.
func (w *writer) index(s *Store, f file) error {
	w.last++
	number := w.last
	d := digest{Entry: Entry{StartedAt: receipt.At(started(f.id))}}
	var failed error // of the index, not of the receipt
	d.path = func(path string) error {
		failed = w.path(number, path)
		return failed
	}
	known := map[string]bool{} // saves asking the index for those that recur
	d.host = func(host string) error {
		host = strings.ToLower(host)
		if known[host] {
			return nil
		}
		if len(known) == maxKnown {
			clear(known)
		}
		known[host] = true
		failed = w.exec("INSERT OR IGNORE INTO hosts VALUES (?, ?)", host, number)
		return failed
	}
	err := s.digest(f.id, &d)
	if failed != nil {
		return failed
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // pruned meanwhile
	}
	if err != nil {
		d.argv = nil
		d.Entry = Entry{StartedAt: receipt.At(started(f.id)), Unreadable: short(err.Error())}
	}
	if w.b != nil {
		w.b.endList(number)
	}
	d.ID, d.Bytes, d.Signed = f.id, f.size, f.signed
	d.Command = strings.Join(d.argv, " ")
	argv, err := json.Marshal(append([]string{}, d.argv...))
	if err != nil {
		return err
	}
	d.Argv = string(argv)
	return w.exec("INSERT INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", number, f.id, f.size, f.mtime, f.signed,
		d.Unreadable == "", d.ExecutionID, d.StartedAt.UnixNano(), d.failed(), d.Command, d.pack())
}

// short cuts a reason: what a receipt holds may be a part of it.
func short(reason string) string {
	const limit = 300
	if len(reason) <= limit {
		return reason
	}
	return strings.ToValidUTF8(reason[:limit], "") + "..."
}

// maxKnown bounds what is remembered of a receipt's hosts.
const maxKnown = 4096

func (s *Store) digest(id string, d *digest) error {
	f, err := s.Open(id)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.read(&limited{r: f, left: receipt.MaxSize})
}

// path adds a path of a receipt.
func (w *writer) path(receipt uint64, path string) error {
	if w.b == nil {
		if err := w.resume(); err != nil {
			return err
		}
	}
	w.b.add(path)
	if w.b.listFull() {
		w.b.endList(receipt)
	}
	if w.b.full() {
		w.b.endList(receipt)
		return w.flush()
	}
	return nil
}

// resume goes on with the last block, if that has room.
func (w *writer) resume() error {
	w.b = newBuilder()
	blocks, err := extents(w.ctx, w.tx)
	if err != nil || len(blocks) == 0 {
		return err
	}
	last := blocks[len(blocks)-1]
	r := blockReader{dir: w.dir}
	defer r.close()
	b, err := r.block(last)
	if err != nil || b.full() {
		return err
	}
	w.b = resume(b)
	return w.exec("DELETE FROM blocks WHERE number = ?", last.number)
}

// flush writes the block.
func (w *writer) flush() error {
	if w.b == nil {
		return nil
	}
	b := w.b.block
	w.b = nil
	if len(b.lists) == 0 {
		return nil
	}
	row, err := w.tx.ExecContext(w.ctx, "INSERT INTO blocks (names, dirs, lists, names_sum, dirs_sum, lists_sum) VALUES (?, ?, ?, ?, ?, ?)",
		len(b.names), len(b.dirs), len(b.lists), sumOf(b.names), sumOf(b.dirs), sumOf(b.lists))
	if err != nil {
		return err
	}
	number, err := row.LastInsertId()
	if err != nil {
		return err
	}
	w.made = append(w.made, number)
	return w.dir.write(number, &b)
}

// remove takes receipts out of the index. Blocks that told of them are
// written anew, so that nothing is left of their paths.
func (w *writer) remove(gone set) error {
	if len(gone) == 0 {
		return nil
	}
	w.removed = true
	numbers, err := json.Marshal(gone.numbers())
	if err != nil {
		return err
	}
	for _, query := range []string{
		"DELETE FROM receipts WHERE number IN (SELECT value FROM json_each(?))",
		"DELETE FROM hosts WHERE receipt IN (SELECT value FROM json_each(?))",
	} {
		if err := w.exec(query, string(numbers)); err != nil {
			return err
		}
	}
	blocks, err := extents(w.ctx, w.tx)
	if err != nil {
		return err
	}
	w.b = newBuilder()
	r := blockReader{dir: w.dir}
	defer r.close()
	for _, e := range blocks {
		b, err := r.block(e)
		if err != nil {
			return err
		}
		if tells, err := b.tellsOf(gone); err != nil {
			return err
		} else if !tells {
			continue
		}
		if err := w.exec("DELETE FROM blocks WHERE number = ?", e.number); err != nil {
			return err
		}
		if err := w.without(&b, gone); err != nil {
			return err
		}
	}
	return nil
}

// without adds what a block tells of other receipts.
func (w *writer) without(b *block, gone set) error {
	var of uint64 // the receipt whose list is being made
	end := func() {
		if w.b != nil {
			w.b.endList(of)
		}
	}
	err := b.each(func(receipt uint64, path string) error {
		if gone.has(receipt) {
			return nil
		}
		if receipt != of {
			end()
			of = receipt
		}
		return w.path(receipt, path)
	})
	end()
	return err
}
