//go:build linux && (amd64 || arm64)

package ptrace

import (
	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

// attempts are the connects of a process whose outcomes have not been seen.
type attempts struct {
	pending map[uint64]int  // descriptors, by the number of the socket's inode
	calls   int             // since all of them were looked at
	done    map[uint64]bool // sockets whose connect the tracer saw to be done before the process asked
}

// sawDone notes that the next connect of a socket may only say what has been told.
// It returns how many of these notes there was no more room for: sockets are not
// seen to be closed.
func (a *attempts) sawDone(id uint64) (forgotten int) {
	const most = 1 << 14
	if a.done == nil || len(a.done) >= most {
		forgotten = len(a.done)
		a.done = map[uint64]bool{}
	}
	a.done[id] = true
	return forgotten
}

// lookedAt is how many attempts are looked at for each call, on average: of one that
// scans a network there may be thousands.
const lookedAt = 8

// connected tells of a connect, or of a send that opens a stream.
func (t *tracer) connected(th *thread, c *call, result int64) {
	s, raced, ok := t.socketOf(th, c, int(int32(c.args[0])))
	defer s.close()
	errno := unix.Errno(0)
	if result < 0 {
		errno = unix.Errno(-result)
	}
	if ok && th.process.attempts.done[s.id] && (errno == 0 || errno == unix.EISCONN) {
		delete(th.process.attempts.done, s.id)
		if errno == 0 && c.addr.family() != unix.AF_UNSPEC {
			return // that one was done, it says
		}
	}
	if ok && errno != 0 && errno != unix.EFAULT && c.addr.flags&audit.SegUnreadable != 0 {
		t.books.addresses++
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
	pending := errno == unix.EINPROGRESS || errno == unix.EINTR || restarts(result) || errno == 0 && tcp && peer.len == 0 && c.addr.family() != unix.AF_UNSPEC
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
		if errno != 0 || !t.putUnix(th, 0, &peer) {
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
		p := &th.process.attempts
		if p.pending == nil {
			p.pending = map[uint64]int{}
		}
		p.pending[s.id] = int(int32(c.args[0]))
	}
}

// pendingAt is the socket behind a descriptor, if an attempt of it is under way.
func (t *tracer) pendingAt(th *thread, fd int) (id uint64, ok bool) {
	st, err := t.statOf(fdPath(th.tid, fd), 0)
	if err != nil {
		return 0, false
	}
	_, ok = th.process.attempts.pending[st.ino]
	return st.ino, ok
}

// settled tells how an attempt that was under way ended.
func (t *tracer) settled(p *process, tid int, id uint64, result int32) {
	if _, ok := p.attempts.pending[id]; !ok {
		return
	}
	delete(p.attempts.pending, id)
	t.beginFor(p.id, tid, audit.RecordConnectDone, audit.OpConnect)
	t.rec.Head.Err = result
	audit.SetBody(&t.rec, audit.WireNet{Sock: id})
	t.send()
}

// askedError is getsockopt(SO_ERROR), by which programs ask how a connect went.
func (t *tracer) askedError(th *thread, c *call) {
	if int32(c.args[1]) != unix.SOL_SOCKET {
		return
	}
	fd := int(int32(c.args[0]))
	id, ok := t.pendingAt(th, fd)
	if !ok {
		return
	}
	if errno := t.uint32At(th.tid, c.args[3]); errno != 0 && errno < 4096 {
		t.settled(th.process, th.tid, id, -int32(errno))
	} else {
		t.look(th, id, fd)
	}
}

// awaited looks, at the entry of a call, what became of connects that were under
// way: of the one that the call is on, and every so often of all. What is closed is
// asked no more, and closing stops nobody.
func (t *tracer) awaited(th *thread, c *call) {
	p := &th.process.attempts
	if p.calls++; p.calls*lookedAt >= len(p.pending) {
		t.outcomes(th)
	} else if fd, ok := c.socketOrFile(); ok {
		if id, ok := t.pendingAt(th, fd); ok {
			t.look(th, id, fd)
		}
	}
}

// outcomes looks what became of all connects that were under way.
func (t *tracer) outcomes(th *thread) {
	p := &th.process.attempts
	p.calls = 0
	for id, fd := range p.pending {
		t.look(th, id, fd)
	}
}

// look looks what became of one.
func (t *tracer) look(th *thread, id uint64, fd int) {
	s, ok := t.borrow(th, fd)
	defer s.close()
	if !ok || s.id != id {
		delete(th.process.attempts.pending, id) // closed before there was an answer
		return
	}
	// One that is closed failed. Why is the owner's to ask: asking here would
	// take the answer away.
	const unknown, synSent, synRecv, closed = 0, 2, 3, 7
	switch s.state() {
	case unknown, synSent, synRecv, closed:
	default:
		t.settled(th.process, th.tid, id, 0)
		t.books.repeatable += uint64(th.process.attempts.sawDone(id))
	}
}
