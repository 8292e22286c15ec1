package audit

import (
	"strings"

	"glasshouse/receipt"
)

type fileTable struct {
	files     index[file]
	requested map[fileRequest]struct{}
	shared    map[*file]*uint64 // mappings through which the file's bytes could be changed
	created   map[fileCreated]struct{}
	mounts    map[mountChange]struct{}
	renames   map[fileRename]renameShown
	failures  index[fileFailure]
}

func newFileTable() fileTable {
	return fileTable{
		files:     newIndex[file](),
		requested: map[fileRequest]struct{}{},
		shared:    map[*file]*uint64{},
		created:   map[fileCreated]struct{}{},
		mounts:    map[mountChange]struct{}{},
		renames:   map[fileRename]renameShown{},
		failures:  newIndex[fileFailure](),
	}
}

// fileName is a path in the kernel's bytes. A cut one is kept apart: it could
// be any of several files.
type fileName struct {
	path    string
	cut     bool
	otherNS bool // likewise: of another mount namespace
}

// file is what is known of one name. There can be millions, so what few files
// have stands in the table's other maps.
type file struct {
	path              string
	opens             uint64
	ioRead, ioWritten uint64 // bytes
	seenAt, goneAt    uint64 // the last times when the name was there, and was not
	changedAt         uint64 // when the run last made, wrote to or changed it, or mapped it to do so; 0: never
	inode             uint64 // of the file that it then was; 0: unknown
	asked             uint32 // a name that was passed is the path's last so many bytes; 0: none is
	flags             fileFlags
	changes           fileChanges
}

type fileFlags uint16

const (
	fileRead fileFlags = 1 << iota
	fileWritten
	fileExecuted
	fileMappedExec
	fileMade    // by an open
	fileRemoved // by an operation of the run
	fileKernel  // the kernel showed the path at least once
	fileWasGone // goneAt is set
	fileCutName // of the name
	fileOtherNS // likewise
)

func (f *file) is(flag fileFlags) bool { return f.flags&flag != 0 }

// set sets the flag if that is so.
func (f *file) set(flag fileFlags, so bool) {
	if so {
		f.flags |= flag
	}
}

func (f *file) name() fileName { return fileName{f.path, f.is(fileCutName), f.is(fileOtherNS)} }

// listed tells whether the name has a place in the lists of absolute paths.
func (f *file) listed() bool { return !f.is(fileCutName) && strings.HasPrefix(f.path, "/") }

type (
	fileRequest struct {
		file *file
		name string
	}
	fileCreated struct {
		file           *file
		kind           string
		target, source string
		hasTarget      bool
	}
	mountChange struct {
		op, path, from, source string
		hasFrom                bool
	}
	fileRename struct{ from, to string }
	// renameShown tells whether the kernel showed both files at least once, and
	// whether it did not at least once.
	renameShown struct{ kernel, lexical bool }
	failureKey  struct {
		op, path, to string
		errno        int32
		cut          bool
	}
	fileFailure struct {
		failureKey
		count uint64
	}
)

// get returns the file of that name, a new one if there is none.
func (t *fileTable) get(name fileName) *file {
	f, found := t.files.get(name.path, "", func(f *file) bool { return f.name() == name })
	if !found {
		f.path = name.path
		f.set(fileCutName, name.cut)
		f.set(fileOtherNS, name.otherNS)
	}
	return f
}

// kernelFile is the file at a path that the kernel showed.
func (t *fileTable) kernelFile(p Path, time uint64) *file {
	f := t.get(fileName{p.Name, p.Cut, p.OtherNS})
	f.flags |= fileKernel
	if p.Deleted {
		f.vanish(time)
	} else {
		f.seen(time)
	}
	return f
}

func (f *file) seen(time uint64) { f.seenAt = max(f.seenAt, time) }

func (f *file) vanish(time uint64) {
	f.flags |= fileWasGone
	f.goneAt = max(f.goneAt, time)
}

// gone tells whether the name was gone when it was last seen.
func (f *file) gone() bool { return f.is(fileWasGone) && f.goneAt >= f.seenAt }

// request takes note of the name that was passed. Most files are asked for by
// one name only, which is how their path ends.
func (t *fileTable) request(f *file, requested string) {
	if requested == "" || requested == f.path {
		return
	}
	if f.asked == 0 && strings.HasSuffix(f.path, requested) {
		f.asked = uint32(len(requested))
	}
	if uint32(len(requested)) != f.asked || !strings.HasSuffix(f.path, requested) {
		t.requested[fileRequest{f, requested}] = struct{}{}
	}
}

// open returns the tally for repeats.
func (t *fileTable) open(e *Open) tally {
	f := t.kernelFile(e.Path, e.Time)
	f.opens = addSat(f.opens, 1)
	t.request(f, e.Requested)
	if e.Mode.PathOnly {
		return tally{count: &f.opens}
	}
	f.set(fileRead, e.Mode.Read)
	f.set(fileWritten, e.Mode.Write || e.Mode.Created || e.Mode.Truncated)
	if e.Mode.Created || e.Mode.Truncated {
		f.changedAt = max(f.changedAt, e.Time)
		f.inode = e.Inode
	}
	if e.Mode.Created {
		t.create(fileCreated{file: f, kind: string(e.Kind), source: receipt.SourceKernel})
	}
	if e.Mode.Truncated {
		return tally{count: &f.opens, latest: &f.changedAt}
	}
	return tally{count: &f.opens}
}

// create notes what was made. Most of it is files that an open made.
func (t *fileTable) create(c fileCreated) {
	if c == (fileCreated{file: c.file, kind: string(KindFile), source: receipt.SourceKernel}) {
		c.file.flags |= fileMade
		return
	}
	t.created[c] = struct{}{}
}

// io returns the tally for repeats. Bytes that went through a descriptor which
// the run did not open, but was given, make the file one that it read or wrote;
// a terminal or other device that it was given stays one that it used.
func (t *fileTable) io(e *FileIO) tally {
	f := t.kernelFile(e.Path, e.Time)
	f.ioRead = addSat(f.ioRead, e.Read)
	f.ioWritten = addSat(f.ioWritten, e.Written)
	if e.Kind == KindFile && !e.Raced {
		f.set(fileRead, e.Read > 0)
		f.set(fileWritten, e.Written > 0)
	}
	if e.Written == 0 {
		return tally{bytes: &f.ioRead}
	}
	f.changedAt = max(f.changedAt, e.Time)
	f.inode = e.Inode
	return tally{bytes: &f.ioWritten, latest: &f.changedAt}
}

// mapped returns the counter for repeats.
func (t *fileTable) mapped(e *Mapping) *uint64 {
	f := t.kernelFile(e.Path, e.Time)
	f.set(fileMappedExec, e.Exec)
	if !e.Shared {
		return nil
	}
	f.changedAt = max(f.changedAt, e.Time)
	f.inode = e.Inode
	n := t.shared[f]
	if n == nil {
		n = new(uint64)
		t.shared[f] = n
	}
	*n = addSat(*n, 1)
	return n
}

// bound notes the file that the bind of a unix socket made.
func (t *fileTable) bound(e *Bind) {
	if e.File.Name == "" {
		return
	}
	f := t.kernelFile(e.File, e.Time)
	f.flags |= fileWritten
	f.changedAt = max(f.changedAt, e.Time)
	t.create(fileCreated{file: f, kind: string(KindSocket), source: receipt.SourceKernel})
}

func (t *fileTable) executed(e *Exec) {
	if e.Exe.Name == "" {
		return
	}
	t.kernelFile(e.Exe, e.Time).flags |= fileExecuted
}

// failed returns the counter for repeats.
func (t *fileTable) failed(e *FileOp) *uint64 {
	key := failureKey{op: e.Op, path: e.Path.Name(), errno: e.Errno, cut: partial(e.Path)}
	if e.Errno == eNOENT && e.Path.Kernel() {
		key.path = "" // an empty name names nothing, least of all the folder
	}
	switch e.Op {
	case "rename", "link", "move_mount", "pivot_root":
		key.to = e.To.Name()
		key.cut = key.cut || partial(e.To)
	case "symlink", "mount":
		key.to = e.To.Requested
		key.cut = key.cut || e.To.Cut
	}
	f, found := t.failures.get(key.path, key.to, func(f *fileFailure) bool { return f.failureKey == key })
	if !found {
		f.failureKey = key
	}
	f.count = addSat(f.count, 1)
	return &f.count
}
