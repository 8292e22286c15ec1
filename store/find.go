package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Query says which receipts are looked for. What is set has to hold; the zero
// Query finds all.
type Query struct {
	Path    *Glob     // of something that was read, written, run, made, renamed, changed or deleted
	Host    string    // a name, address, or address with port, or a pattern of one
	Command string    // a part of the arguments joined by spaces, or a pattern of one
	Since   time.Time // when the run began at the earliest
	Failed  bool      // exit code not 0, ended by a signal, or with an error
	Limit   int       // the newest so many; 0 for all
}

// asksContent tells whether receipts that cannot be read are left out.
func (q *Query) asksContent() bool {
	return q.Path != nil || q.Host != "" || q.Command != "" || q.Failed
}

// Found is what a Query found.
type Found struct {
	Entries    []Entry // the newest first
	Unsearched int     // receipts that cannot be read, so nobody knows whether they belong to it
}

// Find brings the index up to date and asks it.
func (s *Store) Find(ctx context.Context, q Query) (Found, error) {
	var found Found
	err := s.withIndex(ctx, func(db *sql.DB) error {
		// In one transaction it is locked once.
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		found, err = find(ctx, tx, s.blockFiles(), q)
		return err
	})
	return found, err
}

func find(ctx context.Context, tx *sql.Tx, dir blockFiles, q Query) (found Found, err error) {
	var where []string
	var args []any
	and := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	if !q.Since.IsZero() {
		and("started >= ?", q.Since.UnixNano())
	}
	if q.asksContent() {
		conditions := strings.Join(append([]string{"NOT readable"}, where...), " AND ")
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM receipts WHERE "+conditions, args...).Scan(&found.Unsearched); err != nil {
			return found, err
		}
		and("readable")
	}
	if q.Failed {
		and("failed")
	}
	if q.Command != "" {
		and("(instr(command, ?) > 0 OR command GLOB ?)", q.Command, "*"+q.Command+"*")
	}
	if q.Host != "" {
		host := strings.ToLower(q.Host)
		and("number IN (SELECT receipt FROM hosts WHERE host = ? UNION SELECT receipt FROM hosts WHERE host GLOB ?)", host, host)
	}
	wanted := func(uint64) bool { return true }
	if q.Path != nil {
		numbers, err := findPath(ctx, tx, dir, q.Path)
		if err != nil {
			return found, err
		}
		list := numbers.numbers()
		found.Entries = make([]Entry, 0, len(list)) // large ones: not to be moved as it grows
		if len(list) <= maxAsked {
			text, err := json.Marshal(list)
			if err != nil {
				return found, err
			}
			and("number IN (SELECT value FROM json_each(?))", string(text))
		} else {
			wanted = numbers.has
		}
	}
	// By the index on the start nothing is sorted, and a limit ends it early.
	query := "SELECT number, entry FROM receipts INDEXED BY receipts_started"
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	query += " ORDER BY started DESC, id DESC"
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return found, err
	}
	defer rows.Close()
	for (q.Limit == 0 || len(found.Entries) < q.Limit) && rows.Next() {
		var number uint64
		var text sql.RawBytes
		if err := rows.Scan(&number, &text); err != nil {
			return found, err
		}
		if !wanted(number) {
			continue
		}
		e, err := unpack(string(text))
		if err != nil {
			return found, err
		}
		found.Entries = append(found.Entries, e)
	}
	return found, rows.Err()
}

// maxAsked is how many receipts are asked for by number. To have SQLite look
// for more takes longer than to go through all.
const maxAsked = 1000

// findPath looks through all blocks, on all cores: a search costs about the
// same whatever the pattern is. There is none that an index could not help.
func findPath(ctx context.Context, tx *sql.Tx, dir blockFiles, g *Glob) (set, error) {
	blocks, err := extents(ctx, tx)
	if err != nil {
		return nil, err
	}
	var last uint64
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(number), 0) FROM receipts").Scan(&last); err != nil {
		return nil, err
	}
	var (
		group errgroup.Group
		next  atomic.Int64
		found = make([]set, min(runtime.GOMAXPROCS(0), len(blocks)))
	)
	for i := range found {
		group.Go(func() error {
			r := blockReader{dir: dir}
			defer r.close()
			for {
				n := next.Add(1) - 1
				if n >= int64(len(blocks)) {
					return nil
				}
				if err := r.open(blocks[n]); err != nil {
					return err
				}
				if err := search(g, last, &found[i], &r); err != nil {
					return err
				}
			}
		})
	}
	err = group.Wait()
	return union(found), err
}
