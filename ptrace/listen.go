//go:build linux && (amd64 || arm64)

package ptrace

import (
	"bytes"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

func (t *tracer) leavesSocket(th *thread, c *call, result int64) {
	if result < 0 {
		return
	}
	if st, err := t.statOf(fdPath(th.tid, int(result)), 0); err == nil {
		t.made(st.ino, c.args[0], c.args[1], c.args[2])
	}
	s, ok := t.borrow(th, int(result))
	defer s.close()
	if ok && (s.family == unix.AF_PACKET || s.inet() && s.kind == unix.SOCK_RAW) {
		t.books.RawSockets++
	}
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
		t.putName(th, 0, &n)
		t.rec.Head.Seg[1].Flags |= c.addr.flags & audit.SegShared
		t.send()
		return
	case s.family == unix.AF_UNIX:
		own := s.own()
		chosen = c.addr.len == 2
		t.binding(th, &own)
		t.begin(th, audit.RecordListen, audit.OpBind)
		t.putUnix(th, 0, &own)
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
		t.putUnix(th, 0, &own)
	} else if s.inet() {
		own.into(&b)
	}
	audit.SetBody(&t.rec, b)
	t.send()
}

func (t *tracer) accepted(th *thread, c *call, result int64) {
	if result < 0 {
		return
	}
	s, ok := t.borrow(th, int(result))
	defer s.close()
	raced := !ok || th.process.tablesShared() && !t.acceptedAt(th, c, &s)
	t.begin(th, audit.RecordAccept, audit.OpAccept)
	var b audit.WireAccept
	if ok {
		own, peer := s.own(), s.caller()
		b.Family, b.Type, b.Protocol = s.family, s.kind, s.protocol
		switch {
		case s.family == unix.AF_UNIX:
			t.putUnix(th, 0, &own)
			t.putUnix(th, 2, &peer)
		case s.inet():
			var at, from audit.WireNet
			own.into(&at)
			peer.into(&from)
			b.Own, b.OwnPort, b.Addr, b.Port, b.Scope = at.Addr, at.Port, from.Addr, from.Port, at.Scope
		}
	}
	if raced {
		t.rec.Head.Seg[0].Flags |= audit.SegRaced
	}
	audit.SetBody(&t.rec, b)
	t.send()
}

// acceptedAt tells whether a socket can be one that the call accepted, and not
// another that a thread has put in its place: it has the name, or the port, of
// the one that listens.
func (t *tracer) acceptedAt(th *thread, c *call, s *socket) bool {
	l, ok := t.borrow(th, int(int32(c.args[0])))
	defer l.close()
	if !ok || l.family != s.family || l.kind != s.kind {
		return false
	}
	own, at := s.own(), l.own()
	if s.inet() {
		return own.port() == at.port()
	}
	return own.data == at.data
}
