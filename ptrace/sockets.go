//go:build linux && (amd64 || arm64)

package ptrace

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
	"glasshouse/audit/calls"
)

// address is a struct sockaddr that a call was given.
type address struct {
	data  [128]byte // struct sockaddr_storage
	len   int
	flags uint16 // audit.Seg...
}

func (a *address) family() uint16 {
	if a.len < 2 {
		return unix.AF_UNSPEC
	}
	return binary.LittleEndian.Uint16(a.data[:])
}

// port is that of an address of the internet.
func (a *address) port() uint16 { return binary.BigEndian.Uint16(a.data[2:]) }

// address reads one that a thread passes.
func (t *tracer) address(th *thread, at, size uint64) address {
	var a address
	if at == 0 || int32(size) <= 0 {
		return a
	}
	a.len = min(int(int32(size)), len(a.data))
	if memory(th.tid, at, a.data[:a.len]) < a.len {
		return address{flags: audit.SegUnreadable}
	}
	if th.process.memoryShared() {
		a.flags |= audit.SegShared
	}
	return a
}

// message is struct user_msghdr.
type msghdr struct {
	name, nameLen, vec, count, control, controlLen uint64
}

func (t *tracer) message(th *thread, c *call, at uint64) (msghdr, bool) {
	words, ok := c.abi.words(th.tid, at, 6)
	if !ok {
		return msghdr{}, false
	}
	return msghdr{words[0], words[1] & 0xffffffff, words[2], words[3], words[4], words[5]}, true
}

func (t *tracer) messageAddress(th *thread, c *call, at uint64) address {
	m, ok := t.message(th, c, at)
	if !ok {
		return address{flags: audit.SegUnreadable}
	}
	return t.address(th, m.name, m.nameLen)
}

// socket is what the kernel says of one.
type socket struct {
	fd                     int // the tracer's own, to be closed; -1 if it may not have one
	id                     uint64
	family, kind, protocol uint16
	table                  *netSocket // without a descriptor: its row in /proc/net, if it has one
}

func (s *socket) inet() bool { return s.family == unix.AF_INET || s.family == unix.AF_INET6 }
func (s *socket) tcp() bool {
	return s.inet() && s.kind == unix.SOCK_STREAM && (s.protocol == unix.IPPROTO_TCP || s.protocol == unix.IPPROTO_MPTCP)
}
func (s *socket) udp() bool {
	return s.inet() && s.kind == unix.SOCK_DGRAM && (s.protocol == unix.IPPROTO_UDP || s.protocol == unix.IPPROTO_UDPLITE)
}

func (s *socket) close() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
	}
}

// socket is what the call that a thread is in works on: what that was at the
// entry, if it was kept. raced tells that the descriptor stands for another now.
func (t *tracer) socketOf(th *thread, c *call, fd int) (s socket, raced, ok bool) {
	if c.sock.fd <= 0 || c.earlyFD != fd {
		s, ok = t.borrow(th, fd)
		return s, false, ok
	}
	var st unix.Stat_t
	raced = unix.Stat(fdPath(th.tid, fd), &st) != nil || st.Ino != c.sock.id
	s, c.sock = c.sock, socket{}
	return s, raced, true
}

// borrow takes the socket behind a descriptor of a thread, for a moment.
func (t *tracer) borrow(th *thread, fd int) (socket, bool) {
	s := socket{fd: -1}
	var st unix.Stat_t
	if unix.Stat(fdPath(th.tid, fd), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return s, false
	}
	s.id = st.Ino
	pidfd, err := unix.PidfdOpen(int(th.process.id.PID), 0)
	if err == nil {
		s.fd, err = unix.PidfdGetfd(pidfd, fd, 0)
		_ = unix.Close(pidfd)
	}
	if err != nil {
		s.fd = -1
		ok := t.fromTables(th, &s)
		if !ok {
			t.books.doubt("a socket could not be looked at: " + err.Error())
		}
		return s, ok
	}
	// Another thread may have put it there only just now.
	if unix.Fstat(s.fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return s, false
	}
	s.id = st.Ino
	option := func(name int) uint16 {
		n, _ := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, name) // every socket has these
		return uint16(n)
	}
	s.family, s.kind, s.protocol = option(unix.SO_DOMAIN), option(unix.SO_TYPE), option(unix.SO_PROTOCOL)
	return s, true
}

// ends reads an address of the socket itself or of its peer.
func (s *socket) ends(call uintptr) address {
	var a address
	size := uint32(len(a.data))
	_, _, errno := unix.Syscall(call, uintptr(s.fd), uintptr(unsafe.Pointer(&a.data)), uintptr(unsafe.Pointer(&size)))
	if errno == 0 {
		a.len = min(int(size), len(a.data))
	}
	return a
}

func (s *socket) own() address {
	if s.fd < 0 {
		if s.table == nil {
			return address{}
		}
		return s.table.own
	}
	return s.ends(unix.SYS_GETSOCKNAME)
}

func (s *socket) peer() address {
	if s.fd < 0 {
		if s.table == nil {
			return address{}
		}
		return s.table.peer
	}
	return s.ends(unix.SYS_GETPEERNAME)
}

// state is that of a TCP connection, as include/net/tcp_states.h has it; 0 if it
// is not known.
func (s *socket) state() uint8 {
	if s.fd < 0 {
		if s.table == nil {
			return 0
		}
		return s.table.state
	}
	info, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return info.State
}

func (s *socket) listening() bool {
	if s.fd < 0 {
		return false
	}
	n, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && n != 0
}

// into puts an address of the internet into a body.
func (a *address) into(b *audit.WireNet) {
	b.Port = a.port()
	switch a.familyFor(b.Family) {
	case unix.AF_INET:
		copy(b.Addr[:4], a.data[4:8])
	case unix.AF_INET6:
		copy(b.Addr[:], a.data[8:24])
		b.Scope = binary.LittleEndian.Uint32(a.data[24:])
	}
}

// familyFor is what a socket takes the address for.
func (a *address) familyFor(socket uint16) uint16 {
	if f := a.family(); f == unix.AF_INET || f == unix.AF_INET6 {
		return f
	}
	return socket
}

// short tells that the kernel takes no address out of it.
func (a *address) short(family uint16) bool {
	if family == unix.AF_INET {
		return a.len < 16
	}
	return a.len < 24
}

func (t *tracer) leavesSocket(th *thread, c *call, result int64) {
	if result < 0 {
		return
	}
	var st unix.Stat_t
	if unix.Stat(fdPath(th.tid, int(result)), &st) == nil {
		t.made(st.Ino, c.args[0], c.args[1], c.args[2])
	}
	s, ok := t.borrow(th, int(result))
	defer s.close()
	if ok && (s.family == unix.AF_PACKET || s.inet() && s.kind == unix.SOCK_RAW) {
		t.books.RawSockets++
	}
}

// pendingConnect is an attempt whose outcome has not been seen.
type pendingConnect struct {
	fd int
	id uint64
}

// connected tells of a connect, or of a send that opens a stream.
func (t *tracer) connected(th *thread, c *call, result int64) {
	s, raced, ok := t.socketOf(th, c, int(int32(c.args[0])))
	defer s.close()
	errno := unix.Errno(0)
	if result < 0 {
		errno = unix.Errno(-result)
	}
	if !ok || errno == unix.EISCONN || errno == unix.EALREADY || errno != 0 && c.addr.len < 2 {
		return
	}
	tcp := s.tcp()
	if restarts(result) && !tcp {
		t.books.Interrupted++
		return
	}
	if c.followup {
		if result == 0 || !restarts(result) && errno != unix.EINTR {
			t.settled(th.process, th.tid, s.id, int32(min(result, 0)))
		}
		return
	}
	peer := s.peer()
	if result == 0 && s.kind == unix.SOCK_DGRAM {
		t.client(th, s.id)
	}
	pending := errno == unix.EINPROGRESS || errno == unix.EINTR || restarts(result) || errno == 0 && tcp && peer.len == 0
	inet := s.inet()
	if errno != 0 && inet && c.addr.short(s.family) {
		return
	}
	if c.addr.family() == unix.AF_UNSPEC && c.addr.len >= 2 && !pending && (errno != 0 || !inet || peer.len == 0) {
		return // takes the peer away, reaches nobody
	}
	t.begin(th, audit.RecordConnect, audit.OpConnect)
	b := audit.WireNet{Family: s.family, Type: s.kind, Protocol: s.protocol}
	if tcp {
		b.Sock = s.id
	}
	switch {
	case s.family == unix.AF_UNIX:
		if errno != 0 || !t.putUnix(th.process, 0, &peer) {
			t.putUnixAsked(th, &c.addr)
		}
		if errno == 0 && t.ownPeer(&s) {
			b.Own = 1
		}
	case inet && errno == 0 && peer.len > 0:
		peer.into(&b)
	case inet:
		b.Family = c.addr.familyFor(s.family)
		c.addr.into(&b)
	}
	if raced {
		t.rec.Head.Seg[0].Flags |= audit.SegRaced
	}
	if errno != 0 && !pending {
		t.rec.Head.Seg[0].Flags |= c.addr.flags & audit.SegShared
	}
	t.rec.Head.Err = int32(result)
	if pending && errno == 0 {
		t.rec.Head.Err = -int32(unix.EINPROGRESS)
	}
	audit.SetBody(&t.rec, b)
	t.send()
	if pending && tcp {
		th.process.pending = append(th.process.pending, pendingConnect{int(int32(c.args[0])), s.id})
	}
}

func (t *tracer) isPending(th *thread, fd int) bool {
	var st unix.Stat_t
	if unix.Stat(fdPath(th.tid, fd), &st) != nil {
		return false
	}
	return slices.ContainsFunc(th.process.pending, func(c pendingConnect) bool { return c.id == st.Ino })
}

// settled tells how an attempt that was under way ended.
func (t *tracer) settled(p *process, tid int, id uint64, result int32) {
	i := slices.IndexFunc(p.pending, func(c pendingConnect) bool { return c.id == id })
	if i >= 0 {
		p.pending = slices.Delete(p.pending, i, i+1)
		t.outcome(p, tid, id, result)
	}
}

// askedError is getsockopt(SO_ERROR), by which programs ask how a connect went.
func (t *tracer) askedError(th *thread, c *call) {
	var st unix.Stat_t
	if c.args[1] != unix.SOL_SOCKET || unix.Stat(fdPath(th.tid, int(int32(c.args[0]))), &st) != nil {
		return
	}
	if errno := uint32At(th.tid, c.args[3]); errno != 0 && errno < 4096 {
		t.settled(th.process, th.tid, st.Ino, -int32(errno))
	} else {
		t.outcomes(th)
	}
}

// outcomes looks what became of connects that were under way.
func (t *tracer) outcomes(th *thread) {
	p := th.process
	left := p.pending[:0]
	for _, c := range p.pending {
		s, ok := t.borrow(th, c.fd)
		if !ok || s.id != c.id {
			s.close()
			continue // closed before there was an answer
		}
		const unknown, synSent, synRecv, closed = 0, 2, 3, 7
		switch s.state() {
		case unknown, synSent, synRecv:
			left = append(left, c)
		case closed:
			// It failed. Why is the owner's to ask: asking here would take the
			// answer away.
			left = append(left, c)
		default:
			t.outcome(p, th.tid, c.id, 0)
		}
		s.close()
	}
	p.pending = left
}

func (t *tracer) outcome(p *process, tid int, id uint64, result int32) {
	t.beginFor(p.id, tid, audit.RecordConnectDone, audit.OpConnect)
	t.rec.Head.Err = result
	audit.SetBody(&t.rec, audit.WireNet{Sock: id})
	t.send()
}

// putUnix sets segment i, or i+1 for an abstract name, to that of a unix
// socket. It reports whether there was one.
func (t *tracer) putUnix(p *process, i int, a *address) bool {
	if a.family() != unix.AF_UNIX || a.len <= 2 {
		return false
	}
	name := a.data[2:a.len]
	if name[0] == 0 {
		t.rec.Segment(i+1, name, 0)
		return true
	}
	name, _, _ = bytes.Cut(name, []byte{0})
	// The kernel keeps the file, and tells the name. What that stood for the
	// tracer has seen, if it was bound in this run.
	at, ok := t.bindings[string(name)]
	if !ok && name[0] == '/' {
		at, ok = place{name: resolved(string(name))}, true
	}
	if ok {
		t.putPlace(p, i, at)
	}
	return ok
}

// resolved is the path of a name as far as its folder goes: a socket's own name
// is never followed.
func resolved(name string) string {
	dir, err := filepath.EvalSymlinks(filepath.Dir(name))
	if err != nil {
		return name
	}
	return filepath.Join(dir, filepath.Base(name))
}

// binding notes what the name of a unix socket stood for when one was bound to
// it; the last counts.
func (t *tracer) binding(th *thread, a *address) {
	name, _, _ := bytes.Cut(a.data[2:max(2, a.len)], []byte{0})
	if len(name) == 0 {
		return
	}
	const most = 1 << 12
	if t.bindings == nil || len(t.bindings) >= most {
		t.bindings = map[string]place{}
	}
	dir := filepath.Dir(string(name))
	fd, err := unix.Open(t.reachName(th, dir), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	at := t.folder("/proc/self/fd/" + strconv.Itoa(fd))
	if at.name != "" {
		at.name = filepath.Join(at.name, filepath.Base(string(name)))
		t.bindings[string(name)] = at
	}
}

// reachName is a path by which the tracer gets to what a name stands for.
func (t *tracer) reachName(th *thread, name string) string {
	switch {
	case name[0] == '/' && th.process.root == "/" && !th.process.otherNS:
		return name
	case name[0] == '/':
		return procPath(th.tid, "root") + name
	}
	return procPath(th.tid, "cwd") + "/" + name
}

// putUnixAsked sets the segments to a unix peer as the caller named it.
func (t *tracer) putUnixAsked(th *thread, a *address) {
	if a.len <= 2 {
		return
	}
	name := a.data[2:a.len]
	t.rec.Segment(1, name, 0)
	if name[0] == '/' {
		t.putPlace(th.process, 2, place{name: th.process.root})
	} else {
		t.putPlace(th.process, 2, t.folder(procPath(th.tid, "cwd")))
	}
}

// ownPeer tells whether a process of the run listens at the other end: who
// called listen, as the kernel keeps it for SO_PEERCRED.
func (t *tracer) ownPeer(s *socket) bool {
	if s.fd < 0 {
		return false
	}
	cred, err := unix.GetsockoptUcred(s.fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || cred.Pid <= 0 {
		return false
	}
	th := t.threads[int(cred.Pid)]
	return th != nil && th.process.id.PID == cred.Pid
}

func (t *tracer) bound(th *thread, c *call, result int64) {
	s, _, ok := t.socketOf(th, c, int(int32(c.args[0])))
	defer s.close()
	if !ok {
		return
	}
	b := audit.WireNet{Family: s.family, Type: s.kind, Protocol: s.protocol}
	chosen := false
	switch {
	case s.family == unix.AF_UNIX && result < 0:
		if c.addr.len <= 2 || c.addr.data[2] == 0 {
			return
		}
		t.begin(th, audit.RecordFileOp, audit.OpBind)
		t.rec.Head.Err = int32(result)
		name, _, _ := bytes.Cut(c.addr.data[2:c.addr.len], []byte{0})
		n := t.unixName(th, name)
		t.putName(th.process, 0, &n)
		t.rec.Head.Seg[1].Flags |= c.addr.flags & audit.SegShared
		t.send()
		return
	case s.family == unix.AF_UNIX:
		own := s.own()
		chosen = c.addr.len == 2
		t.binding(th, &own)
		t.begin(th, audit.RecordListen, audit.OpBind)
		t.putUnix(th.process, 0, &own)
	case result < 0 || !s.udp():
		return
	default:
		own := s.own()
		chosen = c.addr.port() == 0
		t.begin(th, audit.RecordListen, audit.OpBind)
		own.into(&b)
		b.Scope = 0
	}
	if s.kind == unix.SOCK_DGRAM && chosen {
		b.Sock = s.id
		t.undecided(s.id)
	}
	audit.SetBody(&t.rec, b)
	t.send()
}

func (t *tracer) unixName(th *thread, text []byte) name {
	n := name{text: bytes.Clone(text)}
	if len(text) > 0 && text[0] == '/' {
		n.base = place{name: th.process.root}
	} else {
		n.base = t.folder(procPath(th.tid, "cwd"))
	}
	return n
}

// undecided notes a socket that is bound to an address of the kernel's choice:
// whether it awaits somebody, what it does next tells.
func (t *tracer) undecided(id uint64) {
	const most = 1 << 12
	if t.open == nil || len(t.open) >= most {
		t.open = map[uint64]bool{} // forgotten ones stay such that await somebody
	}
	t.open[id] = true
}

// client tells that an undecided socket is a client's.
func (t *tracer) client(th *thread, id uint64) {
	if !t.open[id] {
		return
	}
	delete(t.open, id)
	t.begin(th, audit.RecordListen, audit.OpConnect)
	audit.SetBody(&t.rec, audit.WireNet{Sock: id})
	t.send()
}

func (t *tracer) listens(th *thread, c *call, result int64) {
	if result != 0 {
		return
	}
	s, raced, ok := t.socketOf(th, c, int(int32(c.args[0])))
	defer func() { s.close() }()
	if raced { // of the two it is the one that listens
		now, _ := t.borrow(th, int(int32(c.args[0])))
		raced = s.listening() == now.listening()
		if now.listening() {
			s, now = now, s
		}
		now.close()
	}
	t.begin(th, audit.RecordListen, audit.OpListen)
	if !ok || raced {
		t.rec.Head.Seg[0].Flags |= audit.SegRaced
		t.send()
		return
	}
	b := audit.WireNet{Family: s.family, Type: s.kind, Protocol: s.protocol}
	own := s.own()
	if s.family == unix.AF_UNIX {
		t.putUnix(th.process, 0, &own)
	} else if s.inet() {
		own.into(&b)
	}
	audit.SetBody(&t.rec, b)
	t.send()
}

func (t *tracer) accepted(th *thread, result int64) {
	if result < 0 {
		return
	}
	s, ok := t.borrow(th, int(result))
	defer s.close()
	t.begin(th, audit.RecordAccept, audit.OpAccept)
	var b audit.WireAccept
	if ok {
		own, peer := s.own(), s.peer()
		b.Family, b.Type, b.Protocol = s.family, s.kind, s.protocol
		switch {
		case s.family == unix.AF_UNIX:
			t.putUnix(th.process, 0, &own)
			t.putUnix(th.process, 2, &peer)
		case s.inet():
			var at, from audit.WireNet
			own.into(&at)
			peer.into(&from)
			b.Own, b.OwnPort, b.Addr, b.Port, b.Scope = at.Addr, at.Port, from.Addr, from.Port, at.Scope
		}
	} else {
		t.rec.Head.Seg[0].Flags |= audit.SegRaced
	}
	audit.SetBody(&t.rec, b)
	t.send()
}

// exchanged tells of bytes and messages that went over a socket.
func (t *tracer) exchanged(th *thread, c *call, result int64) {
	out := c.Op == audit.OpSendto || c.Op == audit.OpSendmsg || c.Op == audit.OpSendmmsg
	t.exchangedOver(th, c, int(int32(c.args[0])), result, out)
}

const (
	// kept: the message is still in the queue, or was never there.
	kept = unix.MSG_PEEK | unix.MSG_ERRQUEUE
	// messagesMax is how many of one call are looked at.
	messagesMax = 4096
	dnsPort     = 53
	dnsMax      = 4096
)

func (t *tracer) exchangedOver(th *thread, c *call, fd int, result int64, out bool) {
	if restarts(result) {
		return
	}
	s, raced, ok := t.socketOf(th, c, fd)
	defer s.close()
	if !ok {
		return
	}
	c.raced = raced
	flags := uint32(0)
	if c.Flags != 0 {
		flags = uint32(c.arg(c.Flags))
	}
	if c.Op == audit.OpSendmmsg || c.Op == audit.OpRecvmmsg {
		t.exchangedMany(th, c, &s, result, out, flags)
		return
	}
	if out && c.addr.len >= 2 && flags&unix.MSG_FASTOPEN != 0 && s.tcp() {
		opened := result
		if opened > 0 {
			opened = 0
		}
		t.connected(th, c, opened)
	}
	m := msghdr{vec: c.args[1], count: 0}
	size := c.args[2]
	switch c.Payload {
	case calls.PayloadMessage:
		m, _ = t.message(th, c, c.args[1])
		size = 0
	case calls.PayloadVector:
		m = msghdr{vec: c.args[1], count: c.args[2]}
	case calls.PayloadNone:
		m, size = msghdr{}, 0
	}
	addr := c.addr
	if !out {
		addr = address{}
		if c.Op == audit.OpRecvfrom && c.args[4] != 0 {
			addr = t.address(th, c.args[4], uint64(uint32At(th.tid, c.args[5])))
		} else if c.Op == audit.OpRecvmsg {
			addr = t.address(th, m.name, m.nameLen)
		}
	}
	t.exchangedOne(th, c, &s, result, out, flags, addr, m, size)
}

func (t *tracer) exchangedMany(th *thread, c *call, s *socket, result int64, out bool, flags uint32) {
	step, at := uint64(64), uint64(56)
	if !c.abi.wide {
		step, at = 32, 28
	}
	if result < 0 {
		if out {
			m, _ := t.message(th, c, c.args[1])
			t.exchangedOne(th, c, s, result, out, flags, t.address(th, m.name, m.nameLen), m, 0)
		}
		return
	}
	for i := range uint64(min(result, messagesMax)) {
		one := c.args[1] + i*step
		m, ok := t.message(th, c, one)
		if !ok {
			return
		}
		n := uint32At(th.tid, one+at)
		t.exchangedOne(th, c, s, int64(n), out, flags, t.address(th, m.name, m.nameLen), m, 0)
	}
	if result > messagesMax {
		t.books.Unread += uint64(result - messagesMax)
	}
}

// exchangedOne is one message, or a part of a stream; size is its room where it
// is one buffer.
func (t *tracer) exchangedOne(th *thread, c *call, s *socket, result int64, out bool, flags uint32, addr address, m msghdr, size uint64) {
	if s.family == unix.AF_INET6 && addr.family() == unix.AF_UNSPEC {
		addr.len = 0
	}
	if out {
		if addr.len >= 2 && !s.tcp() && (s.family != unix.AF_UNIX || s.kind == unix.SOCK_DGRAM) {
			if result >= 0 {
				t.client(th, s.id)
			}
			t.tellSend(th, s, result, &addr, c.raced)
		}
	} else if result >= 0 && s.kind == unix.SOCK_DGRAM {
		delete(t.open, s.id) // it had awaited somebody
	}
	if result >= 0 && !out && s.family == unix.AF_UNIX && m.controlLen > 0 && !t.ownPeer(s) {
		t.lookForDescriptors(th, c, m)
	}
	if result <= 0 || flags&kept != 0 && !out || s.family == unix.AF_UNIX || s.family == unix.AF_NETLINK {
		return
	}
	if flags&unix.MSG_TRUNC != 0 && !out && !s.tcp() {
		result = min(result, int64(t.room(th, c, m, size)))
	}
	if out {
		t.books.sent += uint64(result)
	} else {
		t.books.received += uint64(result)
	}
	if result > 0 {
		t.tellDNS(th, c, s, result, out, &addr, m, size)
	}
}

// room is what a receiver has for a message.
func (t *tracer) room(th *thread, c *call, m msghdr, size uint64) uint64 {
	if m.count == 0 {
		return size
	}
	var room uint64
	for i := range min(m.count, 1024) {
		v, ok := c.abi.words(th.tid, m.vec+i*uint64(2*c.abi.word()), 2)
		if !ok {
			break
		}
		room += v[1]
	}
	return room
}

// tellSend is a datagram to an address.
func (t *tracer) tellSend(th *thread, s *socket, result int64, addr *address, raced bool) {
	if s.family == unix.AF_NETLINK {
		return // to the kernel
	}
	if result < 0 && s.inet() && addr.short(s.family) {
		return
	}
	t.begin(th, audit.RecordConnect, audit.OpSendto)
	if result < 0 {
		t.rec.Head.Err = int32(result)
	}
	b := audit.WireNet{Family: s.family, Type: s.kind, Protocol: s.protocol}
	shared := addr.flags & audit.SegShared
	if s.family == unix.AF_UNIX {
		t.putUnixAsked(th, addr)
		t.rec.Head.Seg[0].Flags |= shared
		audit.SetBody(&t.rec, b)
		t.send()
		return
	}
	if s.inet() {
		b.Family = addr.familyFor(s.family)
		addr.into(&b)
	}
	if raced {
		shared |= audit.SegRaced
	}
	key := foldKey{
		process: th.process.id, op: audit.OpSendto, dev: uint64(b.Family)<<48 | uint64(b.Type)<<32 | uint64(uint32(t.rec.Head.Err)),
		ino: uint64(b.Scope)<<32 | uint64(b.Port), mode: uint32(shared), flags: uint32(b.Protocol), name: string(b.Addr[:]),
	}
	if t.folds.again(key, 0) {
		t.books.folded++
		return
	}
	t.rec.Head.Seg[0].Flags |= shared
	audit.SetBody(&t.rec, b)
	t.folds.add(t, key, t.send())
}

// tellDNS is a message to or from a name server.
func (t *tracer) tellDNS(th *thread, c *call, s *socket, result int64, out bool, addr *address, m msghdr, size uint64) {
	if !s.tcp() && !s.udp() {
		return
	}
	peer := s.peer()
	at := &peer
	if !s.tcp() && addr.len >= 4 {
		at = addr
	}
	if at.len < 4 || at.port() != dnsPort {
		return
	}
	data := make([]byte, 0, min(result, dnsMax))
	if m.count == 0 && m.vec != 0 {
		data = data[:cap(data)]
		data = data[:memory(th.tid, m.vec, data)]
	}
	for i := range min(m.count, 1024) {
		v, ok := c.abi.words(th.tid, m.vec+i*uint64(2*c.abi.word()), 2)
		if !ok || len(data) == cap(data) {
			break
		}
		part := data[len(data):min(cap(data), len(data)+int(min(v[1], dnsMax)))]
		data = data[:len(data)+memory(th.tid, v[0], part)]
	}
	op := audit.OpRecvfrom
	if out {
		op = audit.OpSendto
	}
	t.begin(th, audit.RecordDNS, op)
	b := audit.WireNet{Sock: s.id, Family: at.family(), Type: s.kind, Protocol: s.protocol, Size: uint32(min(result, 1<<30))}
	at.into(&b)
	audit.SetBody(&t.rec, b)
	t.rec.Segment(0, data, 0)
	t.send()
}

// lookForDescriptors looks whether descriptors came along.
func (t *tracer) lookForDescriptors(th *thread, c *call, m msghdr) {
	word := c.abi.word()
	data := make([]byte, min(m.controlLen, 4096))
	data = data[:memory(th.tid, m.control, data)]
	for len(data) >= word+8 {
		size := uint64(binary.LittleEndian.Uint32(data))
		level, kind := binary.LittleEndian.Uint32(data[word:]), binary.LittleEndian.Uint32(data[word+4:])
		if level == unix.SOL_SOCKET && kind == unix.SCM_RIGHTS {
			t.books.Descriptors++
			return
		}
		size = (size + uint64(word) - 1) &^ uint64(word-1)
		if size < uint64(word+8) || size > uint64(len(data)) {
			return
		}
		data = data[size:]
	}
}
