package audit

import "strings"

// Written is a file that the run wrote and was not seen to take away.
type Written struct {
	Path   string // the kernel's bytes, absolute
	At     uint64 // when the run was last seen to make, write to, map, rename or change it: ns since boot
	Latest uint64 // when it may have been, by a name that led to it: not before At
	Inode  uint64 // of the file that it changed; 0 if unknown
	Mapped bool   // it was mapped so that its bytes could be changed unseen, at any time
}

// Written are the first files by path, limit of them at most, that may still be
// where the run wrote them, and how many more there are. Whether they are, and
// are regular files, the events do not tell. Files of other mount namespaces are
// not among them.
func (a *Aggregator) Written(limit int) (list []Written, more int) {
	var files []*file
	a.files.files.all.each(func(f *file) {
		// What was opened for writing, and no more, was never changed.
		if f.changedAt > 0 && f.is(fileWritten) && !f.is(fileOtherNS) && !f.gone() && f.listed() {
			files = append(files, f)
		}
	})
	sortByPath(files, func(f **file) string { return (*f).path }, func(a, b **file) int { return 0 })
	linked, ledTo := a.files.linkedAt(), a.files.ledElsewhere()
	moved := a.files.movedNames()
	list = make([]Written, min(len(files), limit))
	for i := range list {
		f := files[i]
		at := max(f.changedAt, linked[f.path])
		inode := f.inode
		if liesBelow(f.path, moved) {
			inode = 0 // the run itself may have put another file there
		}
		list[i] = Written{f.path, at, max(at, ledTo), inode, a.files.shared[f] != nil}
	}
	return list, len(files) - len(list)
}

// movedNames are the names that the run took from something, or gave it, by a
// rename. Of a folder those of the files in it are changed as well.
func (t *fileTable) movedNames() map[string]bool {
	names := make(map[string]bool, 2*len(t.renames))
	for r := range t.renames {
		names[r.from], names[r.to] = true, true
	}
	return names
}

// liesBelow tells whether one of the folders that lead to path is among those.
func liesBelow(path string, folders map[string]bool) bool {
	for len(folders) > 0 {
		i := strings.LastIndexByte(path, '/')
		if i <= 0 {
			return false
		}
		if path = path[:i]; folders[path] {
			return true
		}
	}
	return false
}

// ledElsewhere is when the run last changed a file by a name that the kernel
// never showed as a path: it may be a symbolic link to any file.
func (t *fileTable) ledElsewhere() (at uint64) {
	t.files.all.each(func(f *file) {
		if f.changes != 0 && !f.is(fileKernel) {
			at = max(at, f.changedAt)
		}
	})
	return at
}

// linkedAt tells of names of one file, where the run made one a link to the
// other, when it last did something to either: a link made or taken away
// changes the file, which counts them.
func (t *fileTable) linkedAt() map[string]uint64 {
	type pair struct{ a, b string }
	var pairs []pair
	last := map[string]uint64{}
	for c := range t.created {
		if c.kind == "hardlink" && c.hasTarget {
			pairs = append(pairs, pair{c.target, c.file.path})
			last[c.target], last[c.file.path] = 0, 0
		}
	}
	if pairs == nil {
		return nil
	}
	t.files.all.each(func(f *file) {
		if at, ok := last[f.path]; ok {
			last[f.path] = max(at, f.changedAt, f.goneAt)
		}
	})
	for range 2 { // from one to the other and back; of longer chains not all is found
		for _, p := range pairs {
			at := max(last[p.a], last[p.b])
			last[p.a], last[p.b] = at, at
		}
	}
	return last
}
