package ocsf

import (
	"math"
	"path"

	"glasshouse/receipt"
)

// files are a Read and an Update of each file that was read and written. A file
// that was neither has one event that says why the receipt names it.
func (x *exporter) files(yield func(event) bool) bool {
	for i := range x.rec.Filesystem.Files {
		f := &x.rec.Filesystem.Files[i]
		if f.Read && !yield(x.use(f, fileRead, "")) {
			return false
		}
		if f.Written && !yield(x.use(f, fileUpdate, "")) {
			return false
		}
		if f.Read || f.Written {
			continue
		}
		id, name := other, "Name"
		switch {
		case f.Opens > 0:
			id, name = fileOpen, ""
		case f.Executed:
			name = "Execute"
		case f.MappedExec:
			name = "Map"
		}
		if !yield(x.use(f, id, name)) {
			return false
		}
	}
	return true
}

func (x *exporter) use(f *receipt.FileEntry, activity int, name string) event {
	e := x.fileEvent(activity, f.Path, fileUnknown)
	e.ActivityName = name
	e.File.IsDeleted = f.Deleted
	if f.Executed {
		e.File.TypeID = fileRegular // no other can be
	}
	if f.Final != nil && !f.Deleted {
		e.File.TypeID = fileRegular
		if f.Final.Size <= math.MaxInt64 {
			size := int64(f.Final.Size)
			e.File.Size = &size
		}
		e.more("final", f.Final)
	}
	e.more("opens", f.Opens)
	switch activity {
	case fileRead:
		e.more("bytes_read", f.BytesRead)
	case fileUpdate:
		e.more("bytes_written", f.BytesWritten)
	}
	for _, flag := range []struct {
		key string
		set bool
	}{
		{"executed", f.Executed}, {"mapped_exec", f.MappedExec}, {"mapped_shared", f.MappedShared},
		{"path_cut", f.PathCut}, {"other_mount_namespace", f.OtherMounts},
	} {
		if flag.set {
			e.more(flag.key, true)
		}
	}
	if f.PathBytes != nil {
		e.more("path_bytes", f.PathBytes)
	}
	if len(f.Requested) > 0 {
		e.more("requested", f.Requested)
	}
	e.more("source", f.Source)
	return e
}

// fileEvent is one of success.
func (x *exporter) fileEvent(activity int, path string, kind int) event {
	return event{ClassUID: fileActivity, ActivityID: activity, StatusID: success, Actor: x.command, File: fileAt(path, kind)}
}

func fileAt(p string, kind int) *file {
	if p == "" {
		return &file{Name: "Unknown", TypeID: kind}
	}
	return &file{Name: path.Base(p), Path: p, TypeID: kind}
}

func (x *exporter) created(c receipt.Created) event {
	e := x.fileEvent(fileCreate, c.Path, fileUnknown)
	switch c.Kind {
	case "file":
		e.File.TypeID = fileRegular
	case "dir":
		e.File.TypeID = fileFolder
	case "symlink":
		e.File.TypeID = fileSymlink
	case "fifo":
		e.File.TypeID = fileNamedPipe
	case "socket":
		e.File.TypeID = fileLocalSocket
	case "device": // of characters or blocks
		e.File.TypeID, e.File.Type = other, "device"
	}
	e.more("kind", c.Kind)
	if c.Target != nil {
		e.more("target", *c.Target)
	}
	e.more("source", c.Source)
	return e
}

func (x *exporter) renamed(r receipt.Rename) event {
	e := x.fileEvent(fileRename, r.From, fileUnknown)
	e.FileResult = fileAt(r.To, fileUnknown)
	e.more("source", r.Source)
	return e
}

func (x *exporter) deleted(path string) event {
	e := x.fileEvent(fileDelete, path, fileUnknown)
	e.File.IsDeleted = true
	return e
}

func (x *exporter) changed(c receipt.Changed) event {
	activity := fileSetAttributes
	switch c.What {
	case "mode", "owner":
		activity = fileSetSecurity
	case "size":
		activity = fileUpdate
	}
	e := x.fileEvent(activity, c.Path, fileUnknown)
	e.more("what", c.What)
	e.more("source", c.Source)
	return e
}

func (x *exporter) mounted(m receipt.Mount) event {
	e := x.operation(m.Op, m.Path)
	if m.From != nil {
		e.more("from", *m.From)
	}
	e.more("source", m.Source)
	return e
}

func (x *exporter) failed(f receipt.FailedOp) event {
	e := x.operation(f.Op, f.Path)
	e.StatusID, e.StatusCode = failure, f.Errno
	if f.To != "" {
		e.more("to", f.To)
	}
	if f.PathCut {
		e.more("path_cut", true)
	}
	e.times(f.Count)
	return e
}

// activityOf knows the operations that a receipt names.
func activityOf(op string) int {
	switch op {
	case "open":
		return fileOpen
	case "unlink", "rmdir":
		return fileDelete
	case "rename":
		return fileRename
	case "bind", "mkdir", "mknod", "symlink", "link":
		return fileCreate
	case "truncate", "fallocate":
		return fileUpdate
	case "chmod", "chown":
		return fileSetSecurity
	case "utimes", "xattr", "flags":
		return fileSetAttributes
	case "mount":
		return fileMount
	case "umount":
		return fileUnmount
	}
	return other
}

func (x *exporter) operation(op, path string) event {
	e := x.fileEvent(activityOf(op), path, fileUnknown)
	if e.ActivityID == other {
		e.ActivityName = orUnknown(op)
	}
	e.more("op", op)
	return e
}

// violation may have been hindered or not.
func (x *exporter) violation(path string) event {
	e := x.fileEvent(other, path, fileUnknown)
	e.ActivityName, e.StatusID = "Violate Policy", unknown
	return e
}
