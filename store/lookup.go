package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// ErrUnknown is what Lookup's error wraps where nothing is found.
var ErrUnknown = errors.New("no receipt has that ID")

// An AmbiguousError is a part of an ID that several receipts have.
type AmbiguousError struct {
	Part string
	IDs  []string // sorted
}

func (e *AmbiguousError) Error() string {
	const shown = 5
	text := fmt.Sprintf("%q stands for %d receipts: %s", e.Part, len(e.IDs), strings.Join(e.IDs[:min(len(e.IDs), shown)], ", "))
	if more := len(e.IDs) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

var partForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f-]{1,64}$`) })

// IsPart tells whether a text can be a part of an ID, or of an execution_id.
func IsPart(text string) bool { return partForm().MatchString(text) }

// Lookup finds the ID that a text stands for: an ID, the beginning or the end
// of one, or the beginning of an execution_id, as long as there is no other
// such. The error wraps ErrUnknown, or is an *AmbiguousError.
func (s *Store) Lookup(ctx context.Context, part string) (string, error) {
	if !IsPart(part) {
		return "", fmt.Errorf("%q: %w", part, ErrUnknown)
	}
	names, err := s.names()
	if err != nil {
		return "", err
	}
	var found []string
	for _, name := range names {
		id, ok := strings.CutSuffix(name, suffix)
		if !ok || !IsID(id) {
			continue
		}
		if id == part {
			return id, nil
		}
		if strings.HasPrefix(id, part) || strings.HasSuffix(id, part) {
			found = append(found, id)
		}
	}
	if len(found) == 0 && len(names) > 0 {
		if found, err = s.executions(ctx, part); err != nil {
			return "", err
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%q: %w", part, ErrUnknown)
	case 1:
		return found[0], nil
	}
	slices.Sort(found)
	return "", &AmbiguousError{part, found}
}

// executions are the receipts whose execution_id begins with a text.
func (s *Store) executions(ctx context.Context, part string) (ids []string, err error) {
	err = s.withIndex(ctx, func(db *sql.DB) error {
		ids = nil
		rows, err := db.QueryContext(ctx, "SELECT id FROM receipts WHERE execution_id >= ? AND execution_id < ?", part, part+"g")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	return ids, err
}
