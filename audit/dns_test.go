package audit

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/net/dns/dnsmessage"

	"glasshouse/receipt"
)

// message packs a DNS message: the header, questions "name type", and answers
// "name type value", all in the form of the receipt.
func message(id uint16, response bool, questions []dnsmessage.Question, answers ...dnsmessage.Resource) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, Response: response}, Questions: questions, Answers: answers}
	b, err := m.Pack()
	must(err)
	return b
}

func ask(name string, kind dnsmessage.Type) []dnsmessage.Question {
	return []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}}
}

func a(name, addr string) dnsmessage.Resource {
	h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET}
	ip := netip.MustParseAddr(addr)
	if ip.Is4() {
		return dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: ip.As4()}}
	}
	return dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}}
}

func cname(name, to string) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET},
		Body:   &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(to)},
	}
}

func addrs(s ...string) (out []netip.Addr) {
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func TestReadDNS(t *testing.T) {
	x := ask("x.example.", dnsmessage.TypeA)
	asked := []DNSQuestion{{"x.example", "A"}}
	long := message(9, true, x, a("x.example.", "192.0.2.1"), a("x.example.", "192.0.2.2"))
	other := a("x.example.", "192.0.2.9")
	other.Header.Class = dnsmessage.ClassCHAOS
	update := message(9, false, x)
	update[2] |= 5 << 3
	for name, c := range map[string]struct {
		answer  bool
		message []byte
		cut     bool
		want    *DNS // nil: none of ours
	}{
		"question":        {false, message(9, false, x), false, &DNS{ID: 9, Questions: asked}},
		"of the root":     {false, message(9, false, ask(".", 4711)), false, &DNS{ID: 9, Questions: []DNSQuestion{{".", "TYPE4711"}}}},
		"bytes in a name": {false, message(9, false, ask("\xff \x00.", dnsmessage.TypeALL)), false, &DNS{ID: 9, Questions: []DNSQuestion{{"\xff \x00", "ANY"}}}},
		"of two":          {false, message(9, false, append(x, x...)), false, &DNS{ID: 9, Questions: append(asked, asked...)}},
		"cut behind it":   {false, message(9, false, x), true, &DNS{ID: 9, Questions: asked, Unread: true}},
		"cut in it":       {false, message(9, false, x)[:20], true, &DNS{ID: 9, Unread: true}},
		"no question":     {false, message(9, false, nil), false, &DNS{ID: 9, Unread: true}},
		"an update":       {false, update, false, &DNS{ID: 9, Unread: true}},
		"empty":           {false, nil, false, &DNS{Unread: true}},
		"answer sent":     {false, long, false, nil},
		"question came":   {true, message(9, false, x), false, nil},
		"answer":          {true, long, false, &DNS{ID: 9, Questions: asked, Addrs: addrs("192.0.2.1", "192.0.2.2")}},
		"no such name":    {true, message(9, true, x), false, &DNS{ID: 9, Questions: asked}},
		"answer cut":      {true, long[:len(long)-3], true, &DNS{ID: 9, Questions: asked, Addrs: addrs("192.0.2.1"), Unread: true}},
		"answer too short": {true, long[:len(long)-3], false,
			&DNS{ID: 9, Questions: asked, Addrs: addrs("192.0.2.1"), Unread: true}},
		"aliases": {true, message(9, true, x, a("c.example.", "::ffff:192.0.2.3"), cname("X.example.", "b.example."), cname("b.example.", "C.EXAMPLE."),
			a("b.example.", "2001:db8::1")), false,
			&DNS{ID: 9, Questions: asked, Addrs: addrs("192.0.2.3", "2001:db8::1")}},
		"alias of itself": {true, message(9, true, x, cname("x.example.", "x.example.")), false, &DNS{ID: 9, Questions: asked}},
		"of another name": {true, message(9, true, x, a("y.example.", "192.0.2.1"), other), false, &DNS{ID: 9, Questions: asked}},
		"other bytes are other names": {true, message(9, true, ask("\xff.", 1), a("\xfe.", "192.0.2.1")), false,
			&DNS{ID: 9, Questions: []DNSQuestion{{"\xff", "A"}}}},
	} {
		e := &DNS{Answer: c.answer}
		ours := readDNS(e, c.message, c.cut)
		if ours != (c.want != nil) {
			t.Errorf("%s: ours %v", name, ours)
		}
		if c.want == nil {
			continue
		}
		c.want.Answer = c.answer
		if diff := cmp.Diff(c.want, e, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// over puts messages on the wire as TCP has them.
func over(messages ...[]byte) (out []byte) {
	for _, m := range messages {
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(m))), m...)
	}
	return out
}

// stream makes records of a socket's bytes: each is copied whole but for its last missing bytes.
type stream struct {
	seq    uint64
	socket uint64
	op     Op
	kind   uint16
}

func (s *stream) record(b []byte, missing int) []byte {
	h := WireHead{Seq: s.seq, Type: RecordDNS, Op: uint8(s.op)}
	s.seq++
	return record(h, WireNet{
		Sock: s.socket, Family: afInet, Type: s.kind, Protocol: protoTCP, Port: 53, Addr: [16]byte{192, 0, 2, 53}, Size: uint32(len(b)),
	}, string(b[:len(b)-missing]))
}

// names are the questions of all DNS events; "?" is one that could not be read.
func names(t *testing.T, d *Decoder, records ...[]byte) (out []string) {
	t.Helper()
	events := decodeAll(t, d, records...)
	d.Flush(func(e Event) { events = append(events, e) })
	for _, e := range events {
		m, ok := e.(*DNS)
		if !ok {
			continue
		}
		for _, q := range m.Questions {
			out = append(out, q.Name)
		}
		if m.Unread {
			out = append(out, "?")
		}
		if m.Server != "192.0.2.53:53" {
			t.Errorf("server %s", m.Server)
		}
	}
	return out
}

func TestDNSOverTCP(t *testing.T) {
	q := func(name string) []byte { return message(1, false, ask(name+".", dnsmessage.TypeA)) }
	large := message(1, false, ask("large.", dnsmessage.TypeA), dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("x."), Class: dnsmessage.ClassINET},
		Body:   &dnsmessage.UnknownResource{Type: 4711, Data: make([]byte, 6000)},
	})
	all := over(q("a"), q("b"), large, q("c"))
	// However the calls cut the stream.
	rng := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		s := stream{socket: 5, op: OpSendto, kind: sockStream}
		var records [][]byte
		for rest := all; len(rest) > 0; {
			n := min(1+rng.IntN(40), len(rest))
			if rng.IntN(3) == 0 {
				n = min(1+rng.IntN(9000), len(rest))
			}
			records = append(records, s.record(rest[:n], 0))
			rest = rest[n:]
		}
		// More of it than is kept.
		same(t, "whole", []string{"a", "b", "large", "?", "c"}, names(t, NewDecoder(4096), records...))
	}
	for name, c := range map[string]struct {
		want    []string
		records func(s *stream) [][]byte
	}{
		"cut in a message": {[]string{"large", "?", "c"}, func(s *stream) [][]byte {
			return [][]byte{s.record(over(large), 5000), s.record(over(q("c")), 0)}
		}},
		"cut, and the message goes on": {[]string{"large", "?", "c"}, func(s *stream) [][]byte {
			b := over(large)
			return [][]byte{s.record(b[:4000], 3000), s.record(b[4000:], 0), s.record(over(q("c")), 0)}
		}},
		"cut beyond a message": {[]string{"?", "?", "?", "d"}, func(s *stream) [][]byte {
			b := over(q("b"), q("c"))
			return [][]byte{s.record(over(q("a"), q("b")), len(over(q("b")))+3), s.record(b[:len(b)-1], 0), s.record(b[len(b)-1:], 0), s.record(over(q("d")), 0)}
		}},
		"nothing copied": {[]string{"?", "a"}, func(s *stream) [][]byte {
			b := over(q("b"))
			return [][]byte{s.record(b, len(b)), s.record(over(q("a")), 0)}
		}},
		"not its language": {[]string{"?"}, func(s *stream) [][]byte {
			return [][]byte{s.record([]byte("GET / HTTP/1.1\r\n"), 0), s.record([]byte("Host: x\r\n\r\n"), 0)}
		}},
		"the end missing": {[]string{"a", "?"}, func(s *stream) [][]byte {
			return [][]byte{s.record(over(q("a"), q("b"))[:len(over(q("a")))+1], 0)}
		}},
		"another connection": {[]string{"?", "b"}, func(s *stream) [][]byte {
			first := s.record(over(q("a"))[:7], 0)
			h := WireHead{Seq: s.seq, Type: RecordConnect, Op: uint8(OpConnect)}
			s.seq++
			return [][]byte{first, record(h, WireNet{Sock: 5, Family: afInet, Type: sockStream}), s.record(over(q("b")), 0)}
		}},
		"both directions": {[]string{"a"}, func(s *stream) [][]byte {
			b := over(q("a"))
			first := s.record(b[:9], 0)
			s.op = OpRecvfrom
			in := s.record(over(q("no answer")), 0)
			s.op = OpSendto
			return [][]byte{first, in, s.record(b[9:], 0)}
		}},
		"datagrams": {[]string{"a", "?"}, func(s *stream) [][]byte {
			s.kind = sockDgram
			return [][]byte{s.record(q("a"), 0), s.record(q("b"), 3)}
		}},
	} {
		s := &stream{socket: 5, op: OpSendto, kind: sockStream}
		same(t, name, c.want, names(t, NewDecoder(4096), c.records(s)...))
	}
}

func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// A workload that opens ever more connections, and ends none of its messages.
func TestDNSStreamsBounded(t *testing.T) {
	d := NewDecoder(4096)
	const n = 3 * dnsStreamsMax
	var events int
	for i := range n {
		s := stream{seq: uint64(i), socket: uint64(i + 1), op: OpSendto, kind: sockStream}
		must(d.Decode(s.record([]byte{0xff, 0xff, 1}, 0), func(Event) { events++ }))
	}
	if len(d.streams) > dnsStreamsMax || events != n-dnsStreamsMax {
		t.Errorf("%d streams, %d events", len(d.streams), events)
	}
	s := stream{seq: n, socket: n, op: OpSendto, kind: sockStream}
	for range 100 {
		must(d.Decode(s.record(make([]byte, 600), 0), func(Event) {}))
	}
	if got := len(d.streams[streamKey{n, false}].message); got > dnsMessageMax {
		t.Errorf("%d bytes kept", got)
	}
}

func FuzzReadDNS(f *testing.F) {
	f.Add(message(1, false, ask("x.", 1)), false, false)
	f.Add(message(1, true, ask("x.", 1), cname("x.", "y."), a("y.", "192.0.2.1"), a("y.", "::1")), true, false)
	f.Add(over(message(1, false, ask("x.", 1))), true, true)
	f.Fuzz(func(t *testing.T, b []byte, answer, cut bool) {
		e := &DNS{Answer: answer}
		if !readDNS(e, b, cut) && (len(e.Questions) > 0 || e.Unread && !cut) {
			t.Errorf("%+v is none of ours", e)
		}
		if len(e.Addrs) > 0 && !answer || len(e.Questions) == 0 && !e.Unread && e.ID != 0 && answer == (b[2]&0x80 != 0) {
			t.Errorf("%+v", e)
		}
		s := stream{socket: 1, op: OpSendto, kind: sockStream}
		d := NewDecoder(4096)
		half := min(len(b)/2, 30000)
		for _, part := range [][]byte{b[:half], b[half:min(len(b), 60000)]} {
			must(d.Decode(s.record(part, 0), func(Event) {}))
		}
		d.Flush(func(Event) {})
	})
}

func dnsQuery(p ProcessID, time, socket uint64, id uint16, name string) *DNS {
	return &DNS{Header: by(p, time), Socket: socket, Server: "192.0.2.53:53", ID: id, Questions: []DNSQuestion{{name, "A"}}}
}

func dnsAnswer(p ProcessID, time, socket uint64, id uint16, name string, to ...string) *DNS {
	e := dnsQuery(p, time, socket, id, name)
	e.Answer, e.Addrs = true, addrs(to...)
	return e
}

func TestHosts(t *testing.T) {
	events := []Event{
		connectTo(root, 1, 0, "192.0.2.1:80", "connected"), // before any name
		dnsQuery(root, 2, 9, 1, "A.example"),
		dnsAnswer(root, 3, 9, 1, "a.EXAMPLE", "192.0.2.1", "2001:db8::1"),
		connectTo(root, 4, 0, "192.0.2.1:80", "connected"),
		connectTo(root, 5, 0, "192.0.2.1:80", "connected"),
		connectTo(child, 6, 0, "192.0.2.1:80", "connected"), // was told by its parent
		connectTo(child, 7, 0, "[2001:db8::1%2]:80", "refused"),
		dnsQuery(child, 8, 9, 2, "b.example"), dnsAnswer(child, 9, 9, 2, "b.example", "192.0.2.1"),
		connectTo(child, 10, 0, "192.0.2.1:80", "connected"),
		connectTo(root, 11, 0, "192.0.2.1:80", "connected"), // knows it by the other name
		connectTo(grand, 12, 0, "192.0.2.1:80", "connected"),
		dnsAnswer(root, 13, 9, 3, "spoof.example", "192.0.2.1"), // nobody asked
		dnsAnswer(root, 14, 8, 1, "A.example", "192.0.2.7"),     // not on that socket
		connectTo(root, 15, 0, "192.0.2.7:80", "connected"),
		connectTo(root, 16, 77, "192.0.2.1:443", "in_progress"),
		done(17, 77, "timeout"),
		dnsQuery(root, 18, 9, 4, "a.example"), dnsQuery(root, 19, 9, 4, "a.example"), // an answer that never came
		&DNS{Header: by(root, 20), Unread: true}, &DNS{Header: by(root, 21), Answer: true, Unread: true}, &DNS{Header: by(root, 22), Unread: true},
	}
	row := func(dst, result string, pid int32, n uint64, host string) receipt.Attempt {
		at := receipt.Attempt{Dst: dst, Protocol: "tcp", Result: result, PID: pid, Count: n}
		if host != "" {
			at.Host = &host
		}
		return at
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 { // in whatever order they arrive
		r := fold(t, events...)
		check(t, "attempts", r.Network.Attempts, []receipt.Attempt{
			row("192.0.2.1:443", "timeout", 100, 1, "a.EXAMPLE"),
			row("192.0.2.1:80", "connected", 100, 1, ""),
			row("192.0.2.1:80", "connected", 100, 3, "a.EXAMPLE"),
			row("192.0.2.1:80", "connected", 101, 1, "a.EXAMPLE"),
			row("192.0.2.1:80", "connected", 101, 1, "b.example"),
			row("192.0.2.1:80", "connected", 102, 1, "b.example"),
			row("192.0.2.7:80", "connected", 100, 1, ""),
			row("[2001:db8::1%2]:80", "refused", 101, 1, "a.EXAMPLE"),
		})
		check(t, "dns", r.Network.DNS, []receipt.DNSQuery{
			{Name: "A.example", Type: "A", Server: "192.0.2.53:53", PID: 100, Count: 1},
			{Name: "a.example", Type: "A", Server: "192.0.2.53:53", PID: 100, Count: 2},
			{Name: "b.example", Type: "A", Server: "192.0.2.53:53", PID: 101, Count: 1},
		})
		check(t, "gaps", r.Observation.Gaps, []receipt.Gap{
			{Kind: "dns", Detail: "messages from port 53 that are no answers, or were not read whole", Count: 1},
			{Kind: "dns", Detail: "messages to port 53 that are no questions, or were not read whole", Count: 2},
		})
		rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	}
}

// A name server of the workload's own can answer without end.
func TestHostsBounded(t *testing.T) {
	table := newDNSTable()
	for i := range uint32(namesMax + 10) {
		table.message(dnsQuery(root, 1, 1, 1, "x"))
		table.message(dnsAnswer(root, 1, 1, 1, "x", netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, i))).String()))
	}
	for i := range 3 * askedMax {
		table.message(dnsQuery(root, 1, uint64(i), 1, "x"))
	}
	r, gaps := &receipt.Network{}, gapSet{}
	table.fill(r, gaps)
	if len(table.names) != namesMax || len(table.asked) > askedMax || len(table.before) > askedMax || len(r.DNS) != 1 {
		t.Errorf("%d names, %d and %d asked, %d questions", len(table.names), len(table.asked), len(table.before), len(r.DNS))
	}
	if gaps[gapKey{"dns", "addresses in answers for which there was no room"}] == 0 {
		t.Errorf("%v", gaps)
	}
}
