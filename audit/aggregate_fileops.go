package audit

import "glasshouse/receipt"

// What operations on names, and on open files, make of the files.

// changed folds an operation that took place. It returns false if a name of it
// is not wholly known: then it is not known what was changed.
func (t *fileTable) changed(e *FileOp) bool {
	switch e.Op {
	case "rename":
		return t.rename(e)
	case "link":
		if partial(e.To) {
			return false
		}
		inode := t.inode(e.Path)
		t.make(e.To, e.Time, fileCreated{kind: "hardlink", target: e.Path.Name(), hasTarget: !partial(e.Path)})
		t.named(e.To).inode = inode
		return !partial(e.Path)
	case "mount", "umount", "move_mount", "mount_setattr", "pivot_root":
		return t.mount(e)
	}
	if partial(e.Path) {
		return false
	}
	switch e.Op {
	case "unlink", "rmdir":
		t.remove(e.Path, e.Time)
	case "mkdir":
		t.make(e.Path, e.Time, fileCreated{kind: string(KindDir)})
	case "mknod":
		t.make(e.Path, e.Time, fileCreated{kind: string(e.Kind)})
	case "symlink":
		t.make(e.Path, e.Time, fileCreated{kind: string(KindSymlink), target: e.To.Requested, hasTarget: !e.To.Cut})
	default:
		t.change(e)
	}
	return true
}

// make notes what an operation made at the target.
func (t *fileTable) make(target Target, time uint64, c fileCreated) {
	c.file = t.arrive(target, time)
	c.source = source(target)
	t.create(c)
}

func (t *fileTable) change(e *FileOp) {
	what, ok := metadata[e.Op]
	if !ok {
		return
	}
	f := t.named(e.Path)
	f.changedAt = max(f.changedAt, e.Time)
	if what == "size" {
		f.flags |= fileWritten
	}
	if !e.Path.Base.Deleted || !e.Path.Kernel() {
		f.seen(e.Time)
	}
	if !e.KeepSize {
		f.changes.add(what, source(e.Path))
	}
}

func (t *fileTable) mount(e *FileOp) bool {
	if partial(e.Path) {
		return false
	}
	m := mountChange{op: e.Op, path: e.Path.Name(), source: source(e.Path)}
	switch e.Op {
	case "mount":
		m.from, m.hasFrom = e.To.Requested, !e.To.Cut
	case "move_mount", "pivot_root":
		m.from, m.hasFrom = e.To.Name(), !partial(e.To)
	}
	t.mounts[m] = struct{}{}
	return true
}

func (t *fileTable) rename(e *FileOp) bool {
	from, to := e.Path.Name(), e.To.Name()
	whole := !partial(e.Path) && !partial(e.To)
	if whole && from == to {
		return true // the kernel does nothing either
	}
	was, goes := t.inode(e.To), t.inode(e.Path)
	if !partial(e.To) {
		t.arrive(e.To, e.Time).inode = goes
	}
	if !partial(e.Path) {
		if e.Exchange {
			t.arrive(e.Path, e.Time).inode = was
		} else {
			t.remove(e.Path, e.Time)
		}
		if e.Whiteout {
			t.make(e.Path, e.Time+1, fileCreated{kind: string(KindDevice)})
		}
	}
	if whole {
		kernel := e.Path.Found && e.To.Found
		t.renamed(fileRename{from, to}, kernel)
		if e.Exchange {
			t.renamed(fileRename{to, from}, kernel)
		}
	}
	return whole
}

func (t *fileTable) renamed(r fileRename, kernel bool) {
	shown := t.renames[r]
	if kernel {
		shown.kernel = true
	} else {
		shown.lexical = true
	}
	t.renames[r] = shown
}

// named is the file of a name that the run passed, or of an open file.
func (t *fileTable) named(target Target) *file {
	name := target.Name()
	f := t.get(fileName{path: name, otherNS: target.Base.OtherNS})
	f.set(fileKernel, target.Kernel())
	t.request(f, target.Requested)
	return f
}

// inode is that of the file that the run last changed by this name; 0 if that
// is not known.
func (t *fileTable) inode(target Target) uint64 {
	if partial(target) {
		return 0
	}
	return t.named(target).inode
}

func (t *fileTable) remove(target Target, time uint64) {
	f := t.named(target)
	f.flags |= fileRemoved
	f.vanish(time)
}

func (t *fileTable) arrive(target Target, time uint64) *file {
	f := t.named(target)
	f.flags |= fileWritten
	f.changedAt = max(f.changedAt, time)
	f.inode = 0
	f.seen(time)
	return f
}

// partial tells that t's name is not, or not wholly, known.
func partial(t Target) bool { return t.Cut || t.Base.Cut }

// source tells whether the kernel's object was the file itself.
func source(t Target) string {
	if t.Kernel() {
		return receipt.SourceKernel
	}
	return receipt.SourceLexical
}
