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

var fileKinds = map[uint32]FileKind{
	0o140000: KindSocket,
	0o120000: KindSymlink,
	0o100000: KindFile,
	0o060000: KindDevice,
	0o040000: KindDir,
	0o020000: KindDevice,
	0o010000: KindFIFO,
}

var opNames = map[Op]string{
	OpOpen: "open", OpUnlink: "unlink", OpRmdir: "rmdir", OpRename: "rename",
	OpMkdir: "mkdir", OpMknod: "mknod", OpSymlink: "symlink", OpLink: "link",
	OpTruncate: "truncate", OpFallocate: "fallocate", OpChmod: "chmod", OpChown: "chown", OpUtimes: "utimes", OpXattr: "xattr",
	OpMount: "mount", OpUmount: "umount", OpMoveMount: "move_mount", OpSetMount: "mount_setattr", OpPivotRoot: "pivot_root",
	OpBind: "bind", OpFlags: "flags",
}

// twoNames are the operations with a second name.
var twoNames = map[Op]bool{
	OpRename: true, OpSymlink: true, OpLink: true, OpMount: true, OpMoveMount: true, OpPivotRoot: true,
}

// filePath is the path of a file that is open. Pipes and sockets are in no
// tree and get the names that the kernel makes up for them, as in /proc/self/fd.
func filePath(s segment, mode uint32, ino uint64) Path {
	p := path(s)
	if s.flags&segDetached == 0 {
		return p
	}
	switch fileKinds[mode&sIFMT] {
	case KindFIFO:
		p.Name = fmt.Sprintf("pipe:[%d]", ino)
	case KindSocket:
		p.Name = fmt.Sprintf("socket:[%d]", ino)
	}
	return p
}

func open(head Header, id RepeatID, b WireFile, segs [wireSegments]segment) *Open {
	return &Open{
		Header: head, ID: id, Path: filePath(segs[0], b.IMode, b.Ino), Raced: segs[0].flags&segRaced != 0,
		Requested: string(segs[1].data), Kind: fileKinds[b.IMode&sIFMT],
		Mode: OpenMode{
			Read:      b.FMode&fmodeRead != 0,
			Write:     b.FMode&fmodeWrite != 0,
			Created:   b.FMode&fmodeCreated != 0 || b.FFlags&oTmpfile != 0,
			Truncated: b.CallFlags&oTrunc != 0 && b.FMode&fmodePath == 0,
			PathOnly:  b.FMode&fmodePath != 0,
		},
	}
}

func fileOp(h WireHead, head Header, segs [wireSegments]segment) (WireHead, Event, error) {
	op := Op(h.Op)
	name, ok := opNames[op]
	if !ok {
		return h, nil, &MalformedError{fmt.Sprintf("operation %d on a name", h.Op)}
	}
	b := body[WireFile](&h)
	e := &FileOp{Header: head, ID: repeatID(&h), Op: name, Errno: -h.Err, Path: target(segs[0], segs[1])}
	if e.Errno == 0 && segs[1].flags&segNone != 0 {
		e.Path.Cut = false // a call that did without a name was on the descriptor's file
	}
	if twoNames[op] {
		e.To = target(segs[2], segs[3])
	}
	switch op {
	case OpRename:
		e.Exchange = b.CallFlags&renameExchange != 0
		e.Whiteout = b.CallFlags&renameWhiteout != 0
	case OpFallocate:
		e.KeepSize = b.CallFlags&fallocKeepSize != 0
	case OpMknod:
		e.Kind = fileKinds[b.CallFlags&sIFMT]
		if b.CallFlags&sIFMT == 0 {
			e.Kind = KindFile // as mknod(2) has it
		}
	}
	return h, e, nil
}
