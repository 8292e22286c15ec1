package audit

import "fmt"

// From include/linux/fs.h, include/uapi/linux/fs.h, include/uapi/linux/stat.h
// and asm-generic/fcntl.h.
const (
	fmodeRead      = 0x1
	fmodeWrite     = 0x2
	fmodePath      = 0x4000
	fmodeCreated   = 0x100000
	oTrunc         = 0o1000
	oTmpfile       = 0o20000000 // __O_TMPFILE, which no open of an existing file leaves set
	renameExchange = 2
	renameWhiteout = 4
	fallocKeepSize = 1
	sIFMT          = 0o170000
)

// kindOf is the kind of an inode by its mode.
func kindOf(mode uint32) FileKind { return fileKinds[mode&sIFMT>>12] }

var fileKinds = [16]FileKind{
	0o14: KindSocket,
	0o12: KindSymlink,
	0o10: KindFile,
	0o06: KindDevice,
	0o04: KindDir,
	0o02: KindDevice,
	0o01: KindFIFO,
}

// opNames are those of the operations that FileOp tells of; "" is none.
var opNames = [256]string{
	OpOpen: "open", OpUnlink: "unlink", OpRmdir: "rmdir", OpRename: "rename",
	OpMkdir: "mkdir", OpMknod: "mknod", OpSymlink: "symlink", OpLink: "link",
	OpTruncate: "truncate", OpFallocate: "fallocate", OpChmod: "chmod", OpChown: "chown", OpUtimes: "utimes", OpXattr: "xattr",
	OpMount: "mount", OpUmount: "umount", OpMoveMount: "move_mount", OpSetMount: "mount_setattr", OpPivotRoot: "pivot_root",
	OpBind: "bind", OpFlags: "flags",
}

// twoNames are the operations with a second name.
var twoNames = [256]bool{
	OpRename: true, OpSymlink: true, OpLink: true, OpMount: true, OpMoveMount: true, OpPivotRoot: true,
}

// filePath is the path of a file that is open. Pipes and sockets are in no
// tree and get the names that the kernel makes up for them, as in /proc/self/fd.
func (d *Decoder) filePath(s segment, mode uint32, ino uint64) Path {
	p := d.folders.path(s)
	if s.flags&SegDetached == 0 {
		return p
	}
	switch kindOf(mode) {
	case KindFIFO:
		p.Name = fmt.Sprintf("pipe:[%d]", ino)
	case KindSocket:
		p.Name = fmt.Sprintf("socket:[%d]", ino)
	}
	return p
}

func (d *Decoder) open(head Header) *Open {
	b := body[WireFile](&d.head)
	e := d.opens.next()
	e.Header = head
	e.Path = d.filePath(d.segs[0], b.IMode, b.Ino)
	e.Raced = d.segs[0].flags&SegRaced != 0
	e.Requested = requested(e.Path.Name, d.segs[1].data)
	e.Kind, e.Inode = kindOf(b.IMode), b.Ino
	e.Mode = OpenMode{
		Read:      b.FMode&fmodeRead != 0,
		Write:     b.FMode&fmodeWrite != 0,
		Created:   b.FMode&fmodeCreated != 0 || b.FFlags&oTmpfile != 0,
		Truncated: b.CallFlags&oTrunc != 0 && b.FMode&fmodePath == 0,
		PathOnly:  b.FMode&fmodePath != 0,
	}
	// The kernel side tells every creation, and every open that is not certain.
	if !e.Raced && b.FMode&fmodeCreated == 0 {
		e.ID = repeatID(&d.head)
	}
	return e
}

func (d *Decoder) fileIO(head Header) *FileIO {
	b := body[WireIO](&d.head)
	e := d.fileIOs.next()
	e.Header, e.ID = head, repeatID(&d.head)
	e.Path = d.filePath(d.segs[0], b.IMode, b.Ino)
	e.Kind, e.Inode = kindOf(b.IMode), b.Ino
	e.Raced = d.segs[0].flags&SegRaced != 0
	e.Read, e.Written = b.Read, b.Written
	return e
}

func (d *Decoder) mapping(head Header) *Mapping {
	b := body[WireFile](&d.head)
	e := d.mappings.next()
	e.Header, e.ID = head, repeatID(&d.head)
	e.Path = d.filePath(d.segs[0], b.IMode, b.Ino)
	e.Inode = b.Ino
	e.Raced = d.segs[0].flags&SegRaced != 0
	e.Exec, e.Shared = b.CallFlags&MappedExec != 0, b.CallFlags&MappedShared != 0
	return e
}

func (d *Decoder) fileOp(head Header) (Event, error) {
	h, segs := &d.head, &d.segs
	op := Op(h.Op)
	if opNames[op] == "" {
		return nil, &MalformedError{fmt.Sprintf("operation %d on a name", h.Op)}
	}
	b := body[WireFile](h)
	e := d.fileOps.next()
	e.Header, e.Op, e.Errno = head, opNames[op], -h.Err
	e.Path = d.folders.target(segs[0], segs[1])
	// Failures on one name alone are folded.
	if e.Errno != 0 && !twoNames[op] {
		e.ID = repeatID(h)
	}
	if e.Errno == 0 && segs[1].flags&SegNone != 0 {
		e.Path.Cut = false // a call that did without a name was on the descriptor's file
	}
	if twoNames[op] {
		e.To = d.folders.target(segs[2], segs[3])
	}
	switch op {
	case OpRename:
		e.Exchange = b.CallFlags&renameExchange != 0
		e.Whiteout = b.CallFlags&renameWhiteout != 0
	case OpFallocate:
		e.KeepSize = b.CallFlags&fallocKeepSize != 0
	case OpMknod:
		e.Kind = kindOf(b.CallFlags)
		if b.CallFlags&sIFMT == 0 {
			e.Kind = KindFile // as mknod(2) has it
		}
	}
	return e, nil
}
