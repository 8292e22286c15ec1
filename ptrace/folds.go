//go:build linux && (amd64 || arm64)

package ptrace

import (
	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

// folds counts what repeats, instead of telling it again: the second open of a
// file by a process is a number.
type folds struct {
	known map[foldKey]*fold
	of    map[audit.ProcessID][]*fold
	size  int // bytes, of all in of: with names that change they are more than known
}

// foldKey is what makes two events alike.
type foldKey struct {
	process audit.ProcessID
	op      audit.Op
	inode
	mode  uint32
	flags uint32
	name  string
}

type fold struct {
	key          foldKey
	id           uint64
	path         string // of a file that bytes go to or come from, when
	fd           int    // it was looked up for this descriptor,
	renames      uint64 // so many names had been changed
	count, bytes uint64
	last         uint64 // of those that write, ns since boot
}

// moved counts bytes to or from a file that was told of, and reports whether it
// was. A file's path is looked up anew by another descriptor, and when names have
// been changed since.
func (f *folds) moved(key foldKey, fd int, bytes, renames uint64, path func() string) bool {
	have := f.known[key]
	if have == nil {
		return false
	}
	if have.renames != renames || have.fd != fd {
		if path() != have.path {
			return false
		}
		have.renames, have.fd = renames, fd
	}
	return f.again(key, bytes)
}

// opened forgets where bytes of a file went, if it was opened by another name now.
func (f *folds) opened(p audit.ProcessID, file inode, path string) {
	for _, mode := range [...]uint32{0, fmodeWrite} {
		key := foldKey{process: p, op: audit.OpMove, inode: file, mode: mode}
		if have := f.known[key]; have != nil && have.path != path {
			delete(f.known, key)
		}
	}
}

// writes tells whether it matters when the last was.
func (k *foldKey) writes() bool {
	return k.op == audit.OpMove && k.mode&fmodeWrite != 0 || k.op == audit.OpOpen && k.flags&unix.O_TRUNC != 0
}

const (
	// foldsMax bounds the memory, whose use the traced choose: beyond it what repeats
	// is told again.
	foldsMax = 24 << 20 // bytes
	// foldSize is about what one takes in the maps, without its strings.
	foldSize = 256
)

func (o *fold) size() int { return foldSize + len(o.key.name) + len(o.path) }

// again counts a repeat of what was told, and reports whether it was.
func (f *folds) again(key foldKey, bytes uint64) bool {
	have := f.known[key]
	if have == nil {
		return false
	}
	have.count++
	have.bytes += bytes
	if key.writes() {
		have.last = bootTime()
	}
	return true
}

// add notes what has been told by the record of that number, of a file at that path
// if it is about bytes.
func (f *folds) add(t *tracer, key foldKey, path string, seq uint64) *fold {
	if f.size >= foldsMax {
		f.flush(t)
	}
	if f.known == nil {
		f.known, f.of = map[foldKey]*fold{}, map[audit.ProcessID][]*fold{}
	}
	one := &fold{key: key, id: seq + 1, path: path, renames: t.renames} // see repeatID of package audit; the stream is 0
	f.known[key] = one
	f.of[key.process] = append(f.of[key.process], one)
	f.size += one.size()
	return one
}

// end tells the counts of a process that has ended.
func (f *folds) end(t *tracer, p *process) {
	for _, one := range f.of[p.id] {
		f.tell(t, one)
		delete(f.known, one.key)
		f.size -= one.size()
	}
	delete(f.of, p.id)
}

// flush tells all counts.
func (f *folds) flush(t *tracer) {
	for _, some := range f.of {
		for _, one := range some {
			f.tell(t, one)
		}
	}
	clear(f.known)
	clear(f.of)
	f.size = 0
}

func (f *folds) tell(t *tracer, one *fold) {
	if one.count == 0 {
		return
	}
	t.beginFor(one.key.process, int(one.key.process.PID), audit.RecordAgain, one.key.op)
	t.rec.Head.Again = audit.WireAgain{ID: one.id, Count: one.count, Bytes: one.bytes, Last: one.last}
	t.send()
}
