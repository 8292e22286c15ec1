package store

import (
	"context"
	"database/sql"
)

// The parts of a block as the index keeps them.
const (
	namesPart = iota
	dirsPart
	listsPart
	parts
)

// pieceSize is what is read at once: SQLite and the driver each copy it, and
// small memory is used again where large is fetched from the kernel each time.
// Three fit on a page of 64 KiB.
const pieceSize = 21 << 10

// blockReader reads blocks, into memory that it uses again.
type blockReader struct {
	ctx   context.Context
	tx    *sql.Tx
	parts [parts][]byte
}

// part reads a part. Its bytes are valid until that of another block is read.
func (r *blockReader) part(number int64, part int) ([]byte, error) {
	rows, err := r.tx.QueryContext(r.ctx, "SELECT data FROM blocks WHERE number = ? AND part = ? ORDER BY piece", number, part)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	buf := r.parts[part][:0]
	for rows.Next() {
		var piece sql.RawBytes
		if err := rows.Scan(&piece); err != nil {
			return nil, err
		}
		buf = append(buf, piece...)
	}
	r.parts[part] = buf
	return buf, rows.Err()
}

// block reads all parts.
func (r *blockReader) block(number int64) (b block, err error) {
	for part, to := range []*[]byte{namesPart: &b.names, dirsPart: &b.dirs, listsPart: &b.lists} {
		if *to, err = r.part(number, part); err != nil {
			return block{}, err
		}
	}
	return b, nil
}

// blockNumbers lists the blocks, the oldest first.
func blockNumbers(ctx context.Context, tx *sql.Tx) (list []int64, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT number FROM blocks WHERE part = 0 AND piece = 0 ORDER BY number")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var number int64
		if err := rows.Scan(&number); err != nil {
			return nil, err
		}
		list = append(list, number)
	}
	return list, rows.Err()
}
