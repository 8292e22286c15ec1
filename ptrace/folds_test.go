//go:build linux && (amd64 || arm64)

package ptrace

import (
	"io"
	"strconv"
	"strings"
	"testing"

	"glasshouse/audit"
)

// A process that opens file after file with long names does not fill the memory, and
// what it repeats is counted all the same.
func TestFoldsAreBounded(t *testing.T) {
	tr := &tracer{pipe: newSender(io.Discard)}
	p := &process{id: audit.ProcessID{PID: 7, Start: 1}}
	long := strings.Repeat("x", 2*pathMax)
	const files = 3 * foldsMax / (2 * pathMax)
	for i := range files {
		key := foldKey{process: p.id, op: audit.OpOpen, inode: inode{ino: uint64(i)}, name: long + strconv.Itoa(i)}
		if tr.folds.again(key, 0) {
			t.Fatalf("file %d is known before it was told", i)
		}
		tr.folds.add(tr, key, "", uint64(i))
		if !tr.folds.again(key, 0) {
			t.Fatalf("file %d is not known", i)
		}
		held := 0
		for _, one := range tr.folds.of[p.id] {
			held += len(one.key.name)
		}
		if i%500 == 0 && held > foldsMax {
			t.Fatalf("%d bytes are held after %d files", held, i)
		}
	}
	tr.folds.end(tr, p)
	if tr.folds.size != 0 || len(tr.folds.known) != 0 || len(tr.folds.of) != 0 {
		t.Errorf("left: %d bytes, %d and %d", tr.folds.size, len(tr.folds.known), len(tr.folds.of))
	}
	if tr.books.emitted != files { // one count for each
		t.Errorf("%d counts of %d", tr.books.emitted, files)
	}
}
