//go:build linux && (amd64 || arm64)

package ptrace

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
	"glasshouse/audit/calls"
)

// msghdr is struct user_msghdr.
type msghdr struct {
	name, nameLen, vec, count, control, controlLen uint64
}

func (t *tracer) message(th *thread, c *call, at uint64) (msghdr, bool) {
	words, ok := t.words(c.abi, th.tid, at, 6)
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
			addr = t.address(th, c.args[4], uint64(t.uint32At(th.tid, c.args[5])))
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
		n := t.uint32At(th.tid, one+at)
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
		if addr.flags&audit.SegUnreadable != 0 && !s.tcp() && result != -int64(unix.EFAULT) {
			t.books.addresses++
		}
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
		v, ok := t.words(c.abi, th.tid, m.vec+i*uint64(2*c.abi.word()), 2)
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
		process: th.process.id, op: audit.OpSendto, inode: inode{dev: uint64(b.Family)<<48 | uint64(b.Type)<<32 | uint64(uint32(t.rec.Head.Err)), ino: uint64(b.Scope)<<32 | uint64(b.Port)},
		mode: uint32(shared), flags: uint32(b.Protocol), name: string(b.Addr[:]),
	}
	if t.folds.again(key, 0) {
		t.books.folded++
		return
	}
	t.rec.Head.Seg[0].Flags |= shared
	audit.SetBody(&t.rec, b)
	t.folds.add(t, key, "", t.send())
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
		data = data[:t.memory(th.tid, m.vec, data)]
	}
	for i := range min(m.count, 1024) {
		v, ok := t.words(c.abi, th.tid, m.vec+i*uint64(2*c.abi.word()), 2)
		if !ok || len(data) == cap(data) {
			break
		}
		part := data[len(data):min(cap(data), len(data)+int(min(v[1], dnsMax)))]
		data = data[:len(data)+t.memory(th.tid, v[0], part)]
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
	data = data[:t.memory(th.tid, m.control, data)]
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
