package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"glasshouse/internal/files"
)

// schemaVersion changes with the schema, or with what is taken from a receipt.
// An index of another version is made anew.
const schemaVersion = 3

// A receipt's row holds what it was made from, id, size, mtime and signed, then
// what can be asked for, and what is answered, in one column: thousands of rows
// are read, and each column costs as much as the search for it. The paths are
// in blocks.
const schema = `
CREATE TABLE receipts (
	number       INTEGER PRIMARY KEY,
	id           TEXT    NOT NULL UNIQUE,
	size         INTEGER NOT NULL,
	mtime        INTEGER NOT NULL, -- ns
	signed       INTEGER NOT NULL,
	readable     INTEGER NOT NULL,
	execution_id TEXT    NOT NULL,
	started      INTEGER NOT NULL, -- ns
	failed       INTEGER NOT NULL,
	command      TEXT    NOT NULL,
	entry        TEXT    NOT NULL  -- see entry.go
);
CREATE INDEX receipts_started ON receipts (started, id);
CREATE INDEX receipts_execution ON receipts (execution_id);
CREATE TABLE hosts (
	host    TEXT    NOT NULL,
	receipt INTEGER NOT NULL,
	PRIMARY KEY (host, receipt)
) WITHOUT ROWID;
-- The sizes and checksums of a block's parts: see block.go and blockfile.go.
CREATE TABLE blocks (
	number    INTEGER PRIMARY KEY AUTOINCREMENT,
	names     INTEGER NOT NULL,
	dirs      INTEGER NOT NULL,
	lists     INTEGER NOT NULL,
	names_sum INTEGER NOT NULL,
	dirs_sum  INTEGER NOT NULL,
	lists_sum INTEGER NOT NULL
);
-- The mtime of the folder when all in it was indexed; none if it may not be.
CREATE TABLE folder (mtime INTEGER NOT NULL);
`

func (s *Store) indexPath() string { return filepath.Join(s.state, "index", "receipts.sqlite") }

// withIndex hands the index, brought up to date, to use, which nobody else has
// meanwhile. An index that is missing, of another version or corrupt is made
// anew, and nobody hears of it.
func (s *Store) withIndex(ctx context.Context, use func(*sql.DB) error) error {
	dir := filepath.Dir(s.indexPath())
	if err := files.PrivateDir(dir); err != nil {
		return err
	}
	l, err := locked(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer l.Close()
	// More than once if somebody deletes it while it is used. On a slow machine
	// that can happen in a row.
	for attempt := 0; ; attempt++ {
		err := s.tryIndex(ctx, use)
		if !useless(err) || attempt == 9 {
			return err
		}
		if err := s.makeIndex(ctx); err != nil && !useless(err) {
			return fmt.Errorf("make the index %s: %w", s.indexPath(), err)
		}
	}
}

func (s *Store) tryIndex(ctx context.Context, use func(*sql.DB) error) error {
	db, err := openDB(ctx, s.indexPath())
	if err != nil {
		return err
	}
	defer db.Close()
	if err := s.update(ctx, db); err != nil {
		return err
	}
	return use(db)
}

// openDB opens a file that is there, and checks the version of its schema.
func openDB(ctx context.Context, path string) (*sql.DB, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, errNoIndex
	} else if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	var version int
	err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	if err == nil && version != schemaVersion {
		err = errCorrupt
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// dsn has SQLite wait for who else uses the file, 30 s at most: that is somebody
// who looks at it with another program, or where there are no locks of files.
func dsn(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/...
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(30000)&_pragma=cache_size(-2000)"
}

var errNoIndex = errors.New("there is no index")

// useless tells whether an error says that the index is of no use: it is
// missing, no database, a damaged one, or without a table that it should have.
func useless(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() {
		case sqlite3.SQLITE_READONLY_DBMOVED, sqlite3.SQLITE_IOERR_FSTAT, sqlite3.SQLITE_IOERR_DELETE_NOENT:
			return true // deleted while it was used
		}
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR:
			return true
		}
	}
	return errors.Is(err, errCorrupt) || errors.Is(err, errNoIndex)
}

// makeIndex puts an empty index in the place of any other.
func (s *Store) makeIndex(ctx context.Context) error {
	path := s.indexPath()
	// SQLite would take an old journal for one of the new file.
	for _, name := range []string{path, path + "-journal", string(s.blockFiles())} {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	if err := os.Mkdir(string(s.blockFiles()), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, fmt.Sprintf("PRAGMA page_size = 65536; BEGIN; %s; PRAGMA user_version = %d; COMMIT", schema, schemaVersion))
	return errors.Join(err, db.Close())
}
