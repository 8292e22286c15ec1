//go:build linux && (amd64 || arm64)

package ptrace

import (
	"slices"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

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
	if ok && th.process.done[s.id] && (errno == 0 || errno == unix.EISCONN) {
		delete(th.process.done, s.id)
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
		th.process.pending = append(th.process.pending, pendingConnect{int(int32(c.args[0])), s.id})
	}
}

func (t *tracer) isPending(th *thread, fd int) bool {
	st, err := statOf(fdPath(th.tid, fd), 0)
	return err == nil && slices.ContainsFunc(th.process.pending, func(c pendingConnect) bool { return c.id == st.ino })
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
	st, err := statOf(fdPath(th.tid, int(int32(c.args[0]))), 0)
	if int32(c.args[1]) != unix.SOL_SOCKET || err != nil {
		return
	}
	if errno := uint32At(th.tid, c.args[3]); errno != 0 && errno < 4096 {
		t.settled(th.process, th.tid, st.ino, -int32(errno))
	} else {
		t.outcomes(th)
	}
}

// sawDone notes that the next connect of a socket may only say what has been told.
func (p *process) sawDone(id uint64) {
	const most = 1 << 12
	if p.done == nil || len(p.done) >= most {
		p.done = map[uint64]bool{}
	}
	p.done[id] = true
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
		// One that is closed failed. Why is the owner's to ask: asking here would
		// take the answer away.
		const unknown, synSent, synRecv, closed = 0, 2, 3, 7
		switch s.state() {
		case unknown, synSent, synRecv, closed:
			left = append(left, c)
		default:
			t.outcome(p, th.tid, c.id, 0)
			p.sawDone(c.id)
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
