package audit

import (
	"strings"

	"glasshouse/receipt"
)

type fileTable struct {
	byName    map[fileName]*file
	requested map[fileRequest]struct{}
	created   map[fileCreated]struct{}
	changes   map[fileChange]struct{}
	mounts    map[mountChange]struct{}
	renames   map[fileRename]struct{}
	failures  map[fileFailure]*uint64
}

func newFileTable() fileTable {
	return fileTable{
		byName:    map[fileName]*file{},
		requested: map[fileRequest]struct{}{},
		created:   map[fileCreated]struct{}{},
		changes:   map[fileChange]struct{}{},
		mounts:    map[mountChange]struct{}{},
		renames:   map[fileRename]struct{}{},
		failures:  map[fileFailure]*uint64{},
	}
}

// fileName is a path in the kernel's bytes. A cut one is kept apart: it could
// be any of several files.
type fileName struct {
	path    string
	cut     bool
	otherNS bool // likewise: of another mount namespace
}

// listed tells whether the name has a place in the lists of absolute paths.
func (n fileName) listed() bool { return !n.cut && strings.HasPrefix(n.path, "/") }

// file is what is known of one name. There can be millions, so what few files
// have stands in the table's other maps.
type file struct {
	opens      uint64
	ioRead     uint64 // bytes
	ioWritten  uint64
	shared     uint64 // mappings through which its bytes could be changed
	seen, gone uint64 // the last times when the name was there, and was not

	read, written, executed bool
	mappedExec              bool
	removed                 bool // by an operation of the run
	kernel                  bool // the kernel showed the path at least once
	wasGone                 bool // gone is set
}

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
	fileChange struct {
		file         *file
		what, source string
	}
	mountChange struct {
		op, path, from, source string
		hasFrom                bool
	}
	fileRename  struct{ from, to string }
	fileFailure struct {
		op, path, to string
		errno        int32
		cut          bool
	}
)

func (t *fileTable) get(name fileName) *file {
	f := t.byName[name]
	if f == nil {
		f = new(file)
		t.byName[name] = f
	}
	return f
}

// kernelFile is the file at a path that the kernel showed.
func (t *fileTable) kernelFile(p Path, time uint64) *file {
	f := t.get(fileName{p.Name, p.Cut, p.OtherNS})
	f.kernel = true
	if p.Deleted {
		f.vanish(time)
	} else {
		f.seen = max(f.seen, time)
	}
	return f
}

func (f *file) vanish(time uint64) {
	f.wasGone = true
	f.gone = max(f.gone, time)
}

func (t *fileTable) request(f *file, path, requested string) {
	if requested != "" && requested != path {
		t.requested[fileRequest{f, requested}] = struct{}{}
	}
}

// open returns the counter for repeats.
func (t *fileTable) open(e *Open) *uint64 {
	f := t.kernelFile(e.Path, e.Time)
	f.opens = addSat(f.opens, 1)
	t.request(f, e.Path.Name, e.Requested)
	if e.Mode.PathOnly {
		return &f.opens
	}
	f.read = f.read || e.Mode.Read
	f.written = f.written || e.Mode.Write || e.Mode.Created || e.Mode.Truncated
	if e.Mode.Created {
		t.created[fileCreated{file: f, kind: string(e.Kind), source: receipt.SourceKernel}] = struct{}{}
	}
	return &f.opens
}

// io returns the tally for repeats. Bytes that went through a descriptor which
// the run did not open, but was given, make the file one that it read or wrote;
// a terminal or other device that it was given stays one that it used.
func (t *fileTable) io(e *FileIO) tally {
	f := t.kernelFile(e.Path, e.Time)
	f.ioRead = addSat(f.ioRead, e.Read)
	f.ioWritten = addSat(f.ioWritten, e.Written)
	if e.Kind == KindFile && !e.Raced {
		f.read = f.read || e.Read > 0
		f.written = f.written || e.Written > 0
	}
	return tally{read: &f.ioRead, written: &f.ioWritten}
}

// mapped returns the counter for repeats.
func (t *fileTable) mapped(e *Mapping) *uint64 {
	f := t.kernelFile(e.Path, e.Time)
	f.mappedExec = f.mappedExec || e.Exec
	if !e.Shared {
		return nil
	}
	f.shared = addSat(f.shared, 1)
	return &f.shared
}

// bound notes the file that the bind of a unix socket made.
func (t *fileTable) bound(e *Bind) {
	if e.File.Name == "" {
		return
	}
	f := t.kernelFile(e.File, e.Time)
	f.written = true
	t.created[fileCreated{file: f, kind: string(KindSocket), source: receipt.SourceKernel}] = struct{}{}
}

func (t *fileTable) executed(e *Exec) {
	if e.Exe.Name == "" {
		return
	}
	t.kernelFile(e.Exe, e.Time).executed = true
}

// failed returns the counter for repeats.
func (t *fileTable) failed(e *FileOp) *uint64 {
	key := fileFailure{op: e.Op, path: e.Path.Name(), errno: e.Errno, cut: partial(e.Path)}
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
	n := t.failures[key]
	if n == nil {
		n = new(uint64)
		t.failures[key] = n
	}
	*n = addSat(*n, 1)
	return n
}

func (t *fileTable) fill(fs *receipt.Filesystem, gaps gapSet) {
	requested := make(map[*file][]string)
	for r := range t.requested {
		requested[r.file] = append(requested[r.file], r.name)
	}
	created := make(map[*file][]fileCreated)
	for c := range t.created {
		created[c.file] = append(created[c.file], c)
	}
	changes := make(map[*file][]fileChange)
	for c := range t.changes {
		changes[c.file] = append(changes[c.file], c)
	}

	fs.Reads, fs.Writes, fs.Deletes = nil, nil, nil
	fs.Created, fs.Changed, fs.Mounts, fs.Renames, fs.Failed = nil, nil, nil, nil, nil
	fs.Files = make([]receipt.FileEntry, 0, len(t.byName))
	for name, f := range t.byName {
		fs.Files = append(fs.Files, receipt.FileEntry{
			Path: name.path, PathCut: name.cut, Requested: requested[f], Opens: f.opens,
			Read: f.read, Written: f.written, Executed: f.executed,
			MappedExec: f.mappedExec, MappedShared: f.shared > 0,
			BytesRead: f.ioRead, BytesWritten: f.ioWritten,
			Source:      f.source(),
			Deleted:     f.wasGone && f.gone >= f.seen,
			OtherMounts: name.otherNS,
		})
		if f.shared > 0 {
			gaps.add(receipt.GapSharedMapping, "files were mapped shared and writable; writes through a mapping pass no system call", f.shared)
		}
		if !name.listed() {
			continue
		}
		if f.read {
			fs.Reads = append(fs.Reads, name.path)
		}
		if f.written {
			fs.Writes = append(fs.Writes, name.path)
		}
		if f.removed {
			fs.Deletes = append(fs.Deletes, name.path)
		}
		for _, c := range created[f] {
			row := receipt.Created{Path: name.path, Kind: c.kind, Source: c.source}
			if c.hasTarget {
				row.Target = &c.target
			}
			fs.Created = append(fs.Created, row)
		}
		for _, c := range changes[f] {
			fs.Changed = append(fs.Changed, receipt.Changed{Path: name.path, What: c.what, Source: c.source})
		}
	}
	for m := range t.mounts {
		row := receipt.Mount{Op: m.op, Path: m.path, Source: m.source}
		if m.hasFrom {
			row.From = &m.from
		}
		fs.Mounts = append(fs.Mounts, row)
	}
	linked := t.linked()
	for r := range t.renames {
		if linked[r.from] && linked[r.to] {
			gaps.add(receipt.GapLinks, "renames between names that the run had linked: if both are of one file, nothing was done", 1)
		}
		fs.Renames = append(fs.Renames, receipt.Rename{From: r.from, To: r.to, Source: receipt.SourceLexical})
	}
	for k, n := range t.failures {
		if k.errno == eIOCBQUEUED {
			what := k.op + " " + k.path
			if k.to != "" {
				what += ", " + k.to
			}
			gaps.add(receipt.GapIOUring, what+": not to be reported if it is done", *n)
			continue
		}
		fs.Failed = append(fs.Failed, receipt.FailedOp{
			Op: k.op, Path: k.path, To: k.to, PathCut: k.cut, Errno: errnoName(k.errno), Count: *n,
		})
	}
}

// linked are the names that became, or were, one of several of a file.
func (t *fileTable) linked() map[string]bool {
	names := map[string]bool{}
	paths := map[*file]bool{}
	for c := range t.created {
		if c.kind == "hardlink" {
			names[c.target] = true
			paths[c.file] = true
		}
	}
	if len(paths) == 0 {
		return names
	}
	for name, f := range t.byName {
		if paths[f] {
			names[name.path] = true
		}
	}
	return names
}

func (f *file) source() string {
	if f.kernel {
		return receipt.SourceKernel
	}
	return receipt.SourceLexical
}
