package audit

import (
	"net/netip"

	"glasshouse/receipt"
)

// dnsTable holds the questions, and to which addresses their answers led.
type dnsTable struct {
	questions map[dnsQuestion]uint64
	// asked are questions that an answer may come to: the latest ones, and
	// those before. What nobody asked for is no answer.
	asked, before map[dnsAsked]struct{}
	names         map[dnsAddress]string // the last name that led there
	unread        map[bool]uint64       // messages that could not be read; answers by true
	dropped       uint64                // addresses for which there was no room
}

type dnsQuestion struct {
	process ProcessID
	server  string
	DNSQuestion
}

type dnsAsked struct {
	socket uint64
	id     uint16
	DNSQuestion
}

// dnsAddress is an address as one process was told it, or, with none, anyone.
type dnsAddress struct {
	process ProcessID
	addr    netip.Addr
}

const (
	askedMax = 4096
	namesMax = 1 << 17
)

func newDNSTable() dnsTable {
	return dnsTable{
		questions: map[dnsQuestion]uint64{}, asked: map[dnsAsked]struct{}{},
		names: map[dnsAddress]string{}, unread: map[bool]uint64{},
	}
}

func (t *dnsTable) message(e *DNS) {
	if e.Unread {
		t.unread[e.Answer] = addSat(t.unread[e.Answer], 1)
	}
	for _, q := range e.Questions {
		key := dnsAsked{e.Socket, e.ID, DNSQuestion{lowerName(q.Name), q.Type}}
		if e.Answer {
			_, now := t.asked[key]
			_, before := t.before[key]
			if now || before {
				t.learn(e.Process, q.Name, e.Addrs)
			}
			continue
		}
		t.questions[dnsQuestion{e.Process, e.Server, q}]++
		if len(t.asked) >= askedMax {
			t.asked, t.before = map[dnsAsked]struct{}{}, t.asked
		}
		t.asked[key] = struct{}{}
	}
}

func (t *dnsTable) learn(process ProcessID, name string, addrs []netip.Addr) {
	for _, addr := range addrs {
		for _, key := range []dnsAddress{{process, addr}, {ProcessID{}, addr}} {
			if _, known := t.names[key]; !known && len(t.names) >= namesMax {
				t.dropped = addSat(t.dropped, 1)
				continue
			}
			t.names[key] = name
		}
	}
}

// host is the name that led to an address: the last that the process was told
// it for, or else that any process was; "" if it is not known.
func (t *dnsTable) host(process ProcessID, dst string) string {
	at, err := netip.ParseAddrPort(dst)
	if err != nil || len(t.names) == 0 {
		return ""
	}
	addr := at.Addr().WithZone("")
	if name, ok := t.names[dnsAddress{process, addr}]; ok {
		return name
	}
	return t.names[dnsAddress{ProcessID{}, addr}]
}

func (t *dnsTable) fill(n *receipt.Network, gaps gapSet) {
	n.DNS = make([]receipt.DNSQuery, 0, len(t.questions))
	for q, count := range t.questions {
		n.DNS = append(n.DNS, receipt.DNSQuery{Name: q.Name, Type: q.Type, Server: q.server, PID: q.process.PID, Count: count})
	}
	if count := t.unread[false]; count > 0 {
		gaps.add(receipt.GapDNS, "messages to port 53 that are no questions, or were not read whole", count)
	}
	if count := t.unread[true]; count > 0 {
		gaps.add(receipt.GapDNS, "messages from port 53 that are no answers, or were not read whole", count)
	}
	if t.dropped > 0 {
		gaps.add(receipt.GapDNS, "addresses in answers for which there was no room", t.dropped)
	}
}
