package store

import (
	"context"
	"database/sql"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// The parts of a block.
const (
	namesPart = iota
	dirsPart
	listsPart
	parts
)

// extent is what the index knows of a block. The block itself is a file, its
// parts one behind the other: a search reads tens of megabytes, and from SQLite
// that takes longer than the search.
type extent struct {
	number int64 // never of another block
	sizes  [parts]int64
	sums   [parts]uint32
}

// sumOf tells a part from what else its file may hold, by which a search would find
// too much or too little and nobody hear of it.
func sumOf(part []byte) uint32 { return crc32.Checksum(part, castagnoli) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli) // processors have an instruction for it

// blockFiles is the folder of the blocks.
type blockFiles string

func (s *Store) blockFiles() blockFiles {
	return blockFiles(filepath.Join(filepath.Dir(s.indexPath()), "paths"))
}

func (dir blockFiles) name(number int64) string {
	return filepath.Join(string(dir), strconv.FormatInt(number, 10))
}

// write is done when the disk has the block: the index tells of it next. Should its
// name be lost all the same, the index is made anew.
func (dir blockFiles) write(number int64, b *block) (err error) {
	f, err := os.OpenFile(dir.name(number), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return misplaced(err)
	}
	for _, part := range b.list() {
		if err == nil {
			_, err = f.Write(part)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// misplaced makes an error that says that there is something else in the place of a
// file, or nothing, errCorrupt.
func misplaced(err error) error {
	for _, other := range []error{fs.ErrNotExist, syscall.ENOTDIR, syscall.ELOOP, syscall.EISDIR} {
		if errors.Is(err, other) {
			return errCorrupt
		}
	}
	return err
}

// remove removes blocks that the index will not be told of.
func (dir blockFiles) remove(numbers []int64) {
	for _, number := range numbers {
		_ = os.Remove(dir.name(number))
	}
}

// sweep removes the blocks that the index does not tell of: those that it told
// of before, and those of who did not come to an end.
func (dir blockFiles) sweep(told []extent) error {
	files, err := os.ReadDir(string(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	there := map[string]bool{}
	for _, e := range told {
		there[dir.name(e.number)] = true
	}
	for _, f := range files {
		if name := filepath.Join(string(dir), f.Name()); !there[name] {
			err = errors.Join(err, os.RemoveAll(name))
		}
	}
	return err
}

// blockReader reads blocks, one at a time, into memory that it uses again.
type blockReader struct {
	dir  blockFiles
	file *os.File
	extent
	memory [parts][]byte
}

// open turns to a block. An error that the file is not that of the index wraps
// errCorrupt.
func (r *blockReader) open(e extent) error {
	r.close()
	f, err := openFile(r.dir.name(e.number))
	if err != nil {
		return misplaced(err)
	}
	r.file, r.extent = f, e
	info, err := f.Stat()
	if err != nil {
		return err
	}
	left := info.Size()
	for _, size := range e.sizes {
		if size < 0 || size > left {
			return errCorrupt
		}
		left -= size
	}
	if left != 0 || !info.Mode().IsRegular() {
		return errCorrupt
	}
	return nil
}

func (r *blockReader) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

func (r *blockReader) size(part int) int { return int(r.sizes[part]) }

// part reads a part. Its bytes are valid until another block is opened.
func (r *blockReader) part(part int) ([]byte, error) {
	var at int64
	for _, size := range r.sizes[:part] {
		at += size
	}
	size := int(r.sizes[part])
	if cap(r.memory[part]) < size {
		r.memory[part] = make([]byte, size+size/8) // the next may be larger
	}
	buf := r.memory[part][:size]
	if _, err := r.file.ReadAt(buf, at); err == io.EOF && size > 0 {
		return nil, errCorrupt
	} else if err != nil && err != io.EOF {
		return nil, err
	}
	if sumOf(buf) != r.sums[part] {
		return nil, errCorrupt
	}
	return buf, nil
}

// block reads all parts of a block.
func (r *blockReader) block(e extent) (b block, err error) {
	if err := r.open(e); err != nil {
		return block{}, err
	}
	for part, to := range []*[]byte{namesPart: &b.names, dirsPart: &b.dirs, listsPart: &b.lists} {
		if *to, err = r.part(part); err != nil {
			return block{}, err
		}
	}
	return b, nil
}

// extents lists the blocks, the oldest first.
func extents(ctx context.Context, tx *sql.Tx) (list []extent, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT number, names, dirs, lists, names_sum, dirs_sum, lists_sum FROM blocks ORDER BY number")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e extent
		if err := rows.Scan(&e.number, &e.sizes[namesPart], &e.sizes[dirsPart], &e.sizes[listsPart],
			&e.sums[namesPart], &e.sums[dirsPart], &e.sums[listsPart]); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}
