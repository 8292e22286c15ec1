package audit

import (
	"strings"

	"glasshouse/receipt"
)

type fileTable struct {
	byName    map[fileName]*file
	requested map[fileRequest]struct{}
	created   map[fileCreated]struct{}
	renames   map[fileRename]struct{}
	failures  map[fileFailure]*uint64
}

func newFileTable() fileTable {
	return fileTable{
		byName:    map[fileName]*file{},
		requested: map[fileRequest]struct{}{},
		created:   map[fileCreated]struct{}{},
		renames:   map[fileRename]struct{}{},
		failures:  map[fileFailure]*uint64{},
	}
}

// fileName is a path in the kernel's bytes. A cut one is kept apart: it could
// be any of several files.
type fileName struct {
	path string
	cut  bool
}

// listed tells whether the name has a place in the lists of absolute paths.
func (n fileName) listed() bool { return !n.cut && strings.HasPrefix(n.path, "/") }

// file is what is known of one name. There can be millions, so what few files
// have stands in the table's other maps.
type file struct {
	opens      uint64
	seen, gone uint64 // the last times when the name was there, and was not

	read, written, executed bool
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
		file *file
		kind FileKind
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
	f := t.get(fileName{p.Name, p.Cut})
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
		t.created[fileCreated{f, e.Kind}] = struct{}{}
	}
	return &f.opens
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
	if e.Op == "rename" {
		key.to = e.To.Name()
		key.cut = key.cut || partial(e.To)
	}
	n := t.failures[key]
	if n == nil {
		n = new(uint64)
		t.failures[key] = n
	}
	*n = addSat(*n, 1)
	return n
}

// changed folds an operation that took place. It returns false if a name of it
// is not wholly known: then it is not known what was changed.
func (t *fileTable) changed(e *FileOp) bool {
	switch e.Op {
	case "unlink", "rmdir":
		if partial(e.Path) {
			return false
		}
		t.remove(e.Path, e.Time)
	case "rename":
		return t.rename(e)
	}
	return true
}

func (t *fileTable) rename(e *FileOp) bool {
	from, to := e.Path.Name(), e.To.Name()
	whole := !partial(e.Path) && !partial(e.To)
	if whole && from == to {
		return true // the kernel does nothing either
	}
	if !partial(e.To) {
		t.arrive(e.To, e.Time)
	}
	if !partial(e.Path) {
		if e.Exchange {
			t.arrive(e.Path, e.Time)
		} else {
			t.remove(e.Path, e.Time)
		}
	}
	if whole {
		t.renames[fileRename{from, to}] = struct{}{}
		if e.Exchange {
			t.renames[fileRename{to, from}] = struct{}{}
		}
	}
	return whole
}

func (t *fileTable) remove(target Target, time uint64) {
	name := target.Name()
	f := t.get(fileName{path: name})
	t.request(f, name, target.Requested)
	f.removed = true
	f.vanish(time)
}

func (t *fileTable) arrive(target Target, time uint64) {
	name := target.Name()
	f := t.get(fileName{path: name})
	t.request(f, name, target.Requested)
	f.written = true
	f.seen = max(f.seen, time)
}

func (t *fileTable) fill(fs *receipt.Filesystem) {
	requested := make(map[*file][]string)
	for r := range t.requested {
		requested[r.file] = append(requested[r.file], r.name)
	}
	created := make(map[*file][]FileKind)
	for c := range t.created {
		created[c.file] = append(created[c.file], c.kind)
	}

	fs.Reads, fs.Writes, fs.Deletes = nil, nil, nil
	fs.Created, fs.Renames, fs.Failed = nil, nil, nil
	fs.Files = make([]receipt.FileEntry, 0, len(t.byName))
	for name, f := range t.byName {
		fs.Files = append(fs.Files, receipt.FileEntry{
			Path: name.path, PathCut: name.cut, Requested: requested[f], Opens: f.opens,
			Read: f.read, Written: f.written, Executed: f.executed,
			Source:  f.source(),
			Deleted: f.wasGone && f.gone >= f.seen,
		})
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
		for _, kind := range created[f] {
			fs.Created = append(fs.Created, receipt.Created{
				Path: name.path, Kind: string(kind), Source: receipt.SourceKernel,
			})
		}
	}
	for r := range t.renames {
		fs.Renames = append(fs.Renames, receipt.Rename{From: r.from, To: r.to, Source: receipt.SourceLexical})
	}
	for k, n := range t.failures {
		fs.Failed = append(fs.Failed, receipt.FailedOp{
			Op: k.op, Path: k.path, To: k.to, PathCut: k.cut, Errno: errnoName(k.errno), Count: *n,
		})
	}
}

func (f *file) source() string {
	if f.kernel {
		return receipt.SourceKernel
	}
	return receipt.SourceLexical
}

// partial tells that t's name is not, or not wholly, known.
func partial(t Target) bool { return t.Cut || t.Base.Cut }
