//go:build linux && (amd64 || arm64)

package ptrace

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

// What the wire says of a file's mode: include/linux/fs.h.
const (
	fmodeRead    = 0x1
	fmodeWrite   = 0x2
	fmodePath    = 0x4000
	fmodeCreated = 0x100000
)

// readNames takes the names of a call at its entry, and what they are relative
// to.
func (t *tracer) readNames(th *thread, c *call) {
	for i := range c.Path {
		if c.Path[i] == 0 {
			continue
		}
		n := &c.names[i]
		at := c.arg(c.Path[i])
		if at == 0 {
			n.flags |= audit.SegNone | audit.SegUnreadable
		} else if s, whole := t.nameAt(th, at, n); whole {
			n.text = bytes.Clone(s)
		} else if len(s) < len(t.buf) {
			n.flags |= audit.SegUnreadable
		} else {
			n.text, n.flags = bytes.Clone(s), n.flags|audit.SegCut
		}
		if th.process.memoryShared() {
			n.flags |= audit.SegShared
		} else if th.process.tablesShared() {
			n.flags |= audit.SegRaced // of an open that succeeds the file itself tells
		}
		if c.BaseEarly != 0 {
			t.findBase(th, c, i)
		}
	}
}

func (t *tracer) nameAt(th *thread, at uint64, n *name) (s []byte, whole bool) {
	s, whole = text(th.tid, at, t.buf[:], t.memory)
	if !whole && len(s) < len(t.buf) {
		s, whole = text(th.tid, at, t.buf[:], t.forced)
		n.forced = whole || len(s) == len(t.buf)
	}
	return s, whole
}

// findBase looks up what name i is relative to.
func (t *tracer) findBase(th *thread, c *call, i int) {
	n := &c.names[i]
	dir := unix.AT_FDCWD
	if c.Dir[i] != 0 {
		dir = c.fd(c.Dir[i])
	}
	switch {
	case c.inRoot:
		n.link = procPath(th.tid, "cwd")
		if dir != unix.AT_FDCWD {
			n.link = fdPath(th.tid, dir)
		}
		n.base = t.folder(n.link)
		n.root = true
		return
	case len(n.text) > 0 && n.text[0] == '/':
		n.base, n.root, n.link = place{name: th.root}, true, ""
		return
	case dir == unix.AT_FDCWD:
		n.link = procPath(th.tid, "cwd")
	default:
		n.link = fdPath(th.tid, dir)
	}
	n.base = t.folder(n.link)
}

// settle finds the bases that were not looked up at the entry, and what another
// thread has changed since then.
func (t *tracer) settle(th *thread, c *call) {
	for i := range c.Path {
		if c.Path[i] == 0 {
			continue
		}
		n := &c.names[i]
		if n.base == (place{}) {
			t.findBase(th, c, i)
		} else if n.link != "" && th.process.tablesShared() {
			n.raced = t.folder(n.link) != n.base
		}
		if n.flags&audit.SegUnreadable != 0 && t.served {
			t.readLate(th, c, i)
		} else if n.flags&audit.SegShared != 0 && n.flags&(audit.SegUnreadable|audit.SegCut) == 0 {
			if now, whole := t.nameAt(th, c.arg(c.Path[i]), n); !whole || !bytes.Equal(now, n.text) {
				n.flags |= audit.SegRaced
			}
		}
	}
}

// readLate takes a name at the exit, which was still to come at the entry: the
// kernel has read it since then.
func (t *tracer) readLate(th *thread, c *call, i int) {
	n := &c.names[i]
	s, whole := text(th.tid, c.arg(c.Path[i]), t.buf[:], t.memory)
	if !whole {
		return
	}
	n.text, n.flags = bytes.Clone(s), n.flags&^audit.SegUnreadable
	if n.flags&audit.SegShared != 0 {
		n.flags |= audit.SegLate
	}
	if c.BaseEarly != 0 {
		t.findBase(th, c, i)
	}
}

// putPlace sets segment i to a path.
func (t *tracer) putPlace(th *thread, i int, at place) {
	var flags uint16
	switch {
	case at.name == "":
		t.rec.Segment(i, nil, audit.SegUnreadable)
		return
	case at.detached:
		flags |= audit.SegDetached
		// What is in no tree has one name.
		t.rec.Segment(i, append([]byte(at.name), 0), flags)
		return
	}
	if at.deleted {
		flags |= audit.SegDeleted
	}
	if at.cut {
		flags |= audit.SegCut
	}
	if th.otherNS {
		flags |= audit.SegOtherNS
	}
	t.rec.Path(i, at.name, flags)
}

// putName sets segments 2i and 2i+1 to a name and its base.
func (t *tracer) putName(th *thread, i int, n *name) {
	t.putPlace(th, 2*i, n.base)
	if n.raced {
		t.rec.Head.Seg[2*i].Flags |= audit.SegRaced
	}
	if n.root && n.link != "" { // it is a root for this call
		t.rec.Root(2*i, n.base.name, n.base.name)
	} else {
		t.rec.Root(2*i, n.base.name, th.root)
	}
	t.rec.Segment(2*i+1, n.text, n.flags)
}

// openFlags are those that an open was called with.
func (t *tracer) openFlags(tid int, c *call) uint32 {
	switch {
	case c.name == "creat":
		return unix.O_CREAT | unix.O_WRONLY | unix.O_TRUNC
	case c.FlagsAt != 0: // struct open_how
		return t.uint32At(tid, c.arg(c.Flags))
	case c.name == "open_by_handle_at":
		return uint32(c.args[2])
	}
	return uint32(c.arg(c.Flags))
}

// entersOpen looks whether there is a file where the call may make one.
func (t *tracer) entersOpen(th *thread, c *call) {
	flags := t.openFlags(th.tid, c)
	if c.FlagsAt != 0 { // struct open_how: flags, mode, resolve; of one size everywhere
		how, ok := t.words(native, th.tid, c.arg(c.Flags), 3)
		c.inRoot = ok && how[2]&unix.RESOLVE_IN_ROOT != 0
	}
	switch {
	case flags&unix.O_CREAT == 0:
	case flags&unix.O_EXCL != 0:
		c.fresh = true // or it fails
	case t.served:
		t.books.unasked++
	case len(c.names[0].text) > 0:
		c.fresh = t.absent(th, c)
	}
}

// absent tells whether there is nothing where an open looks.
func (t *tracer) absent(th *thread, c *call) bool {
	if th.root != "/" || th.otherNS || c.inRoot {
		if err := t.within(th, c); err != unix.ENOSYS && err != unix.EPERM {
			return err == unix.ENOENT
		}
	}
	_, err := t.statOf(t.reach(th, c, 0), 0)
	return err == unix.ENOENT
}

// within looks from the thread's root folder, to which absolute links lead there.
func (t *tracer) within(th *thread, c *call) error {
	n := &c.names[0]
	if n.base == (place{}) {
		t.findBase(th, c, 0)
	}
	link, name := procPath(th.tid, "root"), string(n.text)
	switch {
	case c.inRoot:
		link = n.link
	case name[0] != '/':
		below, ok := strings.CutPrefix(n.base.name, strings.TrimSuffix(th.root, "/"))
		if !ok || n.base.deleted || n.base.cut {
			return unix.ENOSYS
		}
		name = below + "/" + name
	}
	root, err := unix.Open(link, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// ownProc is a name as others have to say it: /proc/self is whoever asks.
func (th *thread) ownProc(name string) string {
	for _, own := range [...][2]string{
		{"/proc/self/", procPath(int(th.process.id.PID), "")},
		{"/proc/thread-self/", procPath(th.tid, "")},
		{"/dev/fd/", procPath(int(th.process.id.PID), "fd/")},
	} {
		if rest, ok := strings.CutPrefix(name, own[0]); ok {
			return own[1] + rest
		}
	}
	return name
}

// reach is a path by which the tracer gets to what name i stands for.
func (t *tracer) reach(th *thread, c *call, i int) string {
	text := th.ownProc(string(c.names[i].text))
	dir := unix.AT_FDCWD
	if c.Dir[i] != 0 {
		dir = c.fd(c.Dir[i])
	}
	switch {
	case c.inRoot:
		if dir == unix.AT_FDCWD {
			return procPath(th.tid, "cwd") + "/" + text
		}
		return fdPath(th.tid, dir) + "/" + text
	case text[0] == '/' && th.root == "/" && !th.otherNS:
		return text
	case text[0] == '/':
		return procPath(th.tid, "root") + text
	case dir == unix.AT_FDCWD:
		return procPath(th.tid, "cwd") + "/" + text
	}
	return fdPath(th.tid, dir) + "/" + text
}

func (t *tracer) leavesOpen(th *thread, c *call, result int64) {
	if result < 0 {
		if c.Path[0] != 0 {
			t.leavesNamed(th, c, result)
		}
		return
	}
	p, flags := th.process, t.openFlags(th.tid, c)
	if t.served && c.Path[0] != 0 && c.names[0].flags&audit.SegUnreadable != 0 {
		t.readLate(th, c, 0)
	}
	f := t.file(th.tid, int(result))
	t.begin(th, audit.RecordOpen, audit.OpOpen)
	if !f.ok {
		// Closed by another thread before the call had returned.
		t.rec.Segment(0, nil, audit.SegUnreadable)
		t.rec.Segment(1, c.names[0].text, 0)
		t.send()
		return
	}
	body := audit.WireFile{Ino: f.stat.ino, IMode: f.stat.mode, CallFlags: flags, FFlags: flags}
	switch {
	case flags&unix.O_PATH != 0:
		body.FMode = fmodePath
	case flags&unix.O_ACCMODE == unix.O_RDONLY:
		body.FMode = fmodeRead
	case flags&unix.O_ACCMODE == unix.O_WRONLY:
		body.FMode = fmodeWrite
	case flags&unix.O_ACCMODE == unix.O_RDWR:
		body.FMode = fmodeRead | fmodeWrite
	}
	if c.fresh {
		body.FMode |= fmodeCreated
	}
	t.folds.opened(p.id, f.inode, f.name)
	raced := p.tablesShared() && !t.agrees(th, c, f.place)
	key := foldKey{p.id, audit.OpOpen, f.inode, body.FMode, flags & unix.O_TRUNC, f.name + "\x00" + string(c.names[0].text)}
	if !raced && !c.fresh && t.folds.again(key, 0) {
		t.books.folded++
		return
	}
	audit.SetBody(&t.rec, body)
	t.putPlace(th, 0, f.place)
	if raced {
		t.rec.Head.Seg[0].Flags |= audit.SegRaced
	}
	t.rec.Segment(1, c.names[0].text, c.names[0].flags&(audit.SegUnreadable|audit.SegCut))
	seq := t.send()
	if !raced && !c.fresh {
		t.folds.add(t, key, "", seq)
	}
}

// agrees tells whether an open file is the one that was asked for: then it does
// not matter what another thread could have put there meanwhile.
func (t *tracer) agrees(th *thread, c *call, at place) bool {
	n := &c.names[0]
	if len(n.text) == 0 || n.flags&(audit.SegUnreadable|audit.SegCut) != 0 {
		return false
	}
	if n.base == (place{}) {
		t.findBase(th, c, 0)
	}
	text := th.ownProc(string(n.text))
	target := audit.Target{Base: audit.Path{Name: n.base.name, Root: th.root}, Requested: text}
	return target.Name() == at.name || !t.served && t.sameTarget(t.reach(th, c, 0), at.name)
}

// leavesNamed tells of a call on names, or on the file behind a descriptor.
func (t *tracer) leavesNamed(th *thread, c *call, result int64) {
	p := th.process
	if c.Path[0] == 0 {
		f := t.file(th.tid, c.fd(c.FD))
		if !f.ok {
			return // EBADF: nothing was reached
		}
		t.begin(th, audit.RecordFileOp, c.Op)
		t.putPlace(th, 0, f.place)
		if p.tablesShared() {
			t.rec.Head.Seg[0].Flags |= audit.SegRaced
		}
	} else {
		t.settle(th, c)
		t.begin(th, audit.RecordFileOp, c.Op)
		if at, ok := t.descriptorName(th, c); ok && result >= 0 {
			t.putPlace(th, 0, at)
		} else {
			t.putName(th, 0, &c.names[0])
		}
		if c.Path[1] != 0 {
			t.putName(th, 1, &c.names[1])
		}
	}
	flags := uint32(c.arg(c.Flags))
	if c.Op == audit.OpOpen {
		flags = t.openFlags(th.tid, c)
	}
	if result >= 0 && (c.Op == audit.OpRename || c.Op == audit.OpUnlink) {
		t.renames++
	}
	if result >= 0 && c.Op >= audit.OpMount && c.Op <= audit.OpPivotRoot && procIsOurs() != nil {
		t.books.doubt("the command mounted something over /proc, or took it away: what came after that was not seen, or not as it was")
	}
	if c.Op == audit.OpUnlink && flags&unix.AT_REMOVEDIR != 0 {
		t.rec.Head.Op = uint8(audit.OpRmdir)
	}
	audit.SetBody(&t.rec, audit.WireFile{CallFlags: flags})
	if result < 0 {
		t.rec.Head.Err = int32(result)
		if c.Path[1] == 0 && c.Path[0] != 0 {
			n := &c.names[0]
			key := foldKey{p.id, audit.Op(t.rec.Head.Op), inode{ino: uint64(uint32(result))}, uint32(n.flags), rootFlag(n), n.base.name + "\x00" + string(n.text)}
			if t.folds.again(key, 0) {
				t.books.folded++
				return
			}
			t.folds.add(t, key, "", t.send())
			return
		}
	}
	t.send()
}

func rootFlag(n *name) uint32 {
	if n.root && n.link != "" {
		return 1
	}
	return 0
}

// descriptorName is the file that a name such as /proc/self/fd/7 stands for,
// where the call follows it.
func (t *tracer) descriptorName(th *thread, c *call) (place, bool) {
	if c.Op < audit.OpLink || c.Op > audit.OpXattr || c.NoFollow != 0 || th.root != "/" {
		return place{}, false
	}
	flags := c.arg(c.Flags)
	if c.Op == audit.OpLink {
		if flags&unix.AT_SYMLINK_FOLLOW == 0 {
			return place{}, false
		}
	} else if flags&unix.AT_SYMLINK_NOFOLLOW != 0 {
		return place{}, false
	}
	rest, ok := bytes.CutPrefix(c.names[0].text, []byte("/proc/self/fd/"))
	if !ok {
		return place{}, false
	}
	fd, err := strconv.ParseUint(string(rest), 10, 31)
	if err != nil {
		return place{}, false
	}
	f := t.file(th.tid, int(fd))
	return f.place, f.ok
}

// moved tells of bytes that went from one descriptor to another.
func (t *tracer) moved(th *thread, c *call, result int64) {
	if c.In != 0 {
		t.movedOne(th, c, c.fd(c.In), result, false)
	}
	if c.Out != 0 {
		t.movedOne(th, c, c.fd(c.Out), result, true)
	}
}

func (t *tracer) movedOne(th *thread, c *call, fd int, result int64, written bool) {
	p := th.process
	var f file
	link := fdPath(th.tid, fd)
	var err error
	if f.stat, err = t.statOf(link, 0); err != nil {
		if f = c.early; fd != c.earlyFD { // closed meanwhile
			return
		}
	}
	kind := f.kind()
	if kind == unix.S_IFSOCK {
		t.exchangedOver(th, c, fd, result, written)
		return
	}
	t.served = t.served || kind == unix.S_IFCHR && f.rdev == devFuse // mounted by somebody else
	if result <= 0 || kind != unix.S_IFREG && kind != unix.S_IFBLK && kind != unix.S_IFCHR {
		return
	}
	if p.tablesShared() {
		t.books.exchangeable++
	}
	key := foldKey{process: p.id, op: audit.OpMove, inode: f.inode}
	if written {
		key.mode = fmodeWrite
	}
	look := func() string {
		if f.name == "" {
			f.place = t.readPlace(link)
		}
		return f.name
	}
	if f.links > 1 { // each of its names has bytes of its own
		key.name = look()
	}
	if t.folds.moved(key, fd, uint64(result), t.renames, look) {
		t.books.folded++
		return
	}
	if look() == "" {
		return
	}
	t.begin(th, audit.RecordFileIO, audit.OpMove)
	body := audit.WireIO{Ino: f.stat.ino, IMode: f.stat.mode}
	if written {
		body.Written = uint64(result)
	} else {
		body.Read = uint64(result)
	}
	audit.SetBody(&t.rec, body)
	t.putPlace(th, 0, f.place)
	t.folds.add(t, key, f.name, t.send()).fd = fd
}

func (t *tracer) mapped(th *thread, c *call, result int64) {
	args := c.args
	if c.abi == compat && c.name == "mmap" { // struct mmap_arg_struct
		words, ok := t.words(c.abi, th.tid, c.args[0], 6)
		if !ok {
			return
		}
		copy(args[:], words)
	}
	p, prot, flags, fd := th.process, args[2], args[3], int(int32(args[4]))
	if result < 0 && result > -4096 {
		return
	}
	if flags&unix.MAP_ANONYMOUS != 0 {
		if flags&unix.MAP_SHARED != 0 {
			p.mapsShared = true
		}
		if prot&unix.PROT_EXEC != 0 {
			t.books.AnonymousExec++
		}
		return
	}
	var what uint32
	if prot&unix.PROT_EXEC != 0 {
		what |= audit.MappedExec
		if prot&unix.PROT_WRITE != 0 {
			t.books.AnonymousExec++
		}
	}
	f := t.file(th.tid, fd)
	if !f.ok {
		return
	}
	if flags&unix.MAP_SHARED != 0 {
		// The link's own mode tells what the descriptor is open for.
		if link, err := t.statOf(fdPath(th.tid, fd), unix.AT_SYMLINK_NOFOLLOW); err == nil && link.mode&0o200 != 0 {
			what |= audit.MappedShared
			p.mapsShared = true // not for reading alone: every program of the C library maps some cache so
		}
	}
	if what == 0 {
		return
	}
	key := foldKey{process: p.id, op: audit.OpMmap, inode: f.inode, mode: what, name: f.name}
	if t.folds.again(key, 0) {
		t.books.folded++
		return
	}
	t.begin(th, audit.RecordMap, audit.OpMmap)
	audit.SetBody(&t.rec, audit.WireFile{Ino: f.stat.ino, IMode: f.stat.mode, CallFlags: what})
	t.putPlace(th, 0, f.place)
	if p.tablesShared() {
		t.rec.Head.Seg[0].Flags |= audit.SegRaced
	}
	t.folds.add(t, key, "", t.send())
}

// protected counts memory that is made executable after it could be written to.
func (t *tracer) protected(c *call, result int64) {
	if result >= 0 && c.args[2]&unix.PROT_EXEC != 0 {
		t.books.AnonymousExec++
	}
}

func (t *tracer) leavesExec(th *thread, c *call, result int64) {
	if result >= 0 {
		return // the stop at the exec has told it
	}
	t.settle(th, c)
	t.begin(th, audit.RecordExecFailed, audit.OpExec)
	t.rec.Head.Err = int32(result)
	t.putName(th, 0, &c.names[0])
	argv, flags := t.argvAt(th, c, c.arg(c.Path[0]+1))
	t.rec.Segment(2, argv, flags)
	t.send()
}

// What is read of the arguments of an exec that failed.
const (
	failedArgs  = 64
	failedBytes = 16 << 10
)

func (t *tracer) argvAt(th *thread, c *call, at uint64) (argv []byte, flags uint16) {
	size := uint64(c.abi.word())
	for i := range uint64(failedArgs + 1) {
		if at == 0 || t.noArgv {
			return argv, flags
		}
		p, ok := t.words(c.abi, th.tid, at+i*size, 1)
		if !ok {
			return argv, flags | audit.SegUnreadable
		}
		if p[0] == 0 {
			return argv, flags
		}
		if i == failedArgs || len(argv) > failedBytes {
			break
		}
		s, whole := text(th.tid, p[0], t.buf[:], t.memory)
		argv = append(append(argv, s...), 0)
		if !whole {
			flags |= audit.SegCut
		}
	}
	return argv, flags | audit.SegCut
}

// auxv reads an entry of the vector that the kernel gave the new image.
func auxv(data []byte, wide bool, kind uint64) uint64 {
	for len(data) >= 16 && wide || len(data) >= 8 && !wide {
		var k, v uint64
		if wide {
			k, v, data = binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:]), data[16:]
		} else {
			k, v, data = uint64(binary.LittleEndian.Uint32(data)), uint64(binary.LittleEndian.Uint32(data[4:])), data[8:]
		}
		if k == kind {
			return v
		}
	}
	return 0
}
