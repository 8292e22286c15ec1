package audit

import (
	"cmp"
	"sync"

	"glasshouse/receipt"
)

// fill writes the long lists in their order, so that they need no sorting where
// all paths are text.
func (t *fileTable) fill(fs *receipt.Filesystem, gaps gapSet) {
	files := t.sorted()
	var lists sync.WaitGroup
	lists.Go(func() { t.fillLists(fs, files) })
	t.fillFiles(fs, files)
	lists.Wait()
	t.fillMounts(fs)
	for _, n := range t.shared {
		gaps.add(receipt.GapSharedMapping, "files were mapped shared and writable; writes through a mapping pass no system call", *n)
	}
	t.fillRenames(fs, gaps)
	t.fillFailures(fs, gaps)
}

// sorted are all files by name.
func (t *fileTable) sorted() []*file {
	files := make([]*file, 0, t.files.all.len)
	t.files.all.each(func(f *file) { files = append(files, f) })
	const rest = fileCutName | fileOtherNS // of the name; no path is of both kinds often
	sortByPath(files, func(f **file) string { return (*f).path }, func(a, b **file) int {
		return cmp.Compare((*a).flags&rest, (*b).flags&rest)
	})
	return files
}

func (t *fileTable) fillFiles(fs *receipt.Filesystem, files []*file) {
	requested := make(map[*file][]string)
	for r := range t.requested {
		requested[r.file] = append(requested[r.file], r.name)
	}
	names := make([]string, len(files)) // of all files together
	fs.Files = make([]receipt.FileEntry, len(files))

	var parts sync.WaitGroup
	for from := 0; from < len(files); from += fillPart {
		parts.Go(func() {
			for i := from; i < min(from+fillPart, len(files)); i++ {
				f, row := files[i], &fs.Files[i]
				f.row(row, names[i:i:i+1])
				if len(requested) > 0 {
					row.Requested = append(row.Requested, requested[f]...)
				}
				if len(t.shared) > 0 {
					row.MappedShared = t.shared[f] != nil
				}
			}
		})
	}
	parts.Wait()
}

// fillPart is how many files are filled in by one goroutine.
const fillPart = 1 << 16

// row fills in what the file itself tells; name has room for a name that was passed
// for it.
func (f *file) row(row *receipt.FileEntry, name []string) {
	row.Path, row.PathCut, row.OtherMounts = f.path, f.is(fileCutName), f.is(fileOtherNS)
	row.Opens, row.BytesRead, row.BytesWritten = f.opens, f.ioRead, f.ioWritten
	row.Read, row.Written = f.is(fileRead), f.is(fileWritten)
	row.Executed, row.MappedExec = f.is(fileExecuted), f.is(fileMappedExec)
	row.Source = f.source()
	row.Deleted = f.gone()
	if f.asked > 0 {
		row.Requested = append(name, f.path[len(f.path)-int(f.asked):])
	}
}

// fillLists writes the lists of plain paths, and what was made of each.
func (t *fileTable) fillLists(fs *receipt.Filesystem, files []*file) {
	var reads, writes, deletes, made int
	for _, f := range files {
		reads += int(f.flags & fileRead / fileRead)
		writes += int(f.flags & fileWritten / fileWritten)
		deletes += int(f.flags & fileRemoved / fileRemoved)
		made += int(f.flags & fileMade / fileMade)
	}
	fs.Reads = make([]string, 0, reads)
	fs.Writes = make([]string, 0, writes)
	fs.Deletes = make([]string, 0, deletes)
	fs.Created = make([]receipt.Created, 0, made+len(t.created))
	fs.Changed = nil

	created := make(map[*file][]fileCreated)
	for c := range t.created {
		created[c.file] = append(created[c.file], c)
	}
	for _, f := range files {
		if !f.listed() {
			continue
		}
		if f.is(fileRead) {
			fs.Reads = append(fs.Reads, f.path)
		}
		if f.is(fileWritten) {
			fs.Writes = append(fs.Writes, f.path)
		}
		if f.is(fileRemoved) {
			fs.Deletes = append(fs.Deletes, f.path)
		}
		if f.is(fileMade) {
			fs.Created = append(fs.Created, receipt.Created{Path: f.path, Kind: string(KindFile), Source: receipt.SourceKernel})
		}
		if len(created) > 0 {
			for _, c := range created[f] {
				fs.Created = append(fs.Created, c.row())
			}
		}
		fs.Changed = f.changes.rows(fs.Changed, f.path)
	}
}

func (c fileCreated) row() receipt.Created {
	row := receipt.Created{Path: c.file.path, Kind: c.kind, Source: c.source}
	if c.hasTarget {
		row.Target = &c.target
	}
	return row
}

func (t *fileTable) fillMounts(fs *receipt.Filesystem) {
	fs.Mounts = nil
	for m := range t.mounts {
		row := receipt.Mount{Op: m.op, Path: m.path, Source: m.source}
		if m.hasFrom {
			row.From = &m.from
		}
		fs.Mounts = append(fs.Mounts, row)
	}
}

func (t *fileTable) fillRenames(fs *receipt.Filesystem, gaps gapSet) {
	linked := t.linked()
	fs.Renames = make([]receipt.Rename, 0, len(t.renames))
	for r, shown := range t.renames {
		row := receipt.Rename{From: r.from, To: r.to, Source: receipt.SourceLexical}
		if shown.kernel {
			row.Source = receipt.SourceKernel
		}
		if shown.lexical && linked[r.from] && linked[r.to] {
			gaps.add(receipt.GapLinks, "renames between names that the run had linked: if both are of one file, nothing was done", 1)
		}
		fs.Renames = append(fs.Renames, row)
	}
	sortByPath(fs.Renames, func(r *receipt.Rename) string { return r.From }, func(a, b *receipt.Rename) int {
		return cmp.Compare(a.To, b.To)
	})
}

func (t *fileTable) fillFailures(fs *receipt.Filesystem, gaps gapSet) {
	fs.Failed = make([]receipt.FailedOp, 0, t.failures.all.len)
	t.failures.all.each(func(f *fileFailure) {
		if f.errno == eIOCBQUEUED {
			what := f.op + " " + f.path
			if f.to != "" {
				what += ", " + f.to
			}
			gaps.add(receipt.GapIOUring, what+": not to be reported if it is done", f.count)
			return
		}
		fs.Failed = append(fs.Failed, receipt.FailedOp{
			Op: f.op, Path: f.path, To: f.to, PathCut: f.cut, Errno: errnoName(f.errno), Count: f.count,
		})
	})
	sortByPath(fs.Failed, func(f *receipt.FailedOp) string { return f.Path }, func(a, b *receipt.FailedOp) int {
		return cmp.Or(cmp.Compare(a.Op, b.Op), cmp.Compare(a.To, b.To), cmp.Compare(a.Errno, b.Errno), cmp.Compare(a.Count, b.Count))
	})
}

// linked are the names that became, or were, one of several of a file.
func (t *fileTable) linked() map[string]bool {
	names := map[string]bool{}
	for c := range t.created {
		if c.kind == "hardlink" {
			names[c.target] = true
			names[c.file.path] = true
		}
	}
	return names
}

func (f *file) source() string {
	if f.is(fileKernel) {
		return receipt.SourceKernel
	}
	return receipt.SourceLexical
}
