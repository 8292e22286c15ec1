package audit

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// readDNS reads one DNS message. A cut one is read as far as it goes: Unread
// is set then, as it is for what is no message at all. What is sent has to be
// a question, and what comes an answer: anything else is passed over, for a
// name server talks to others from its own port 53.
func readDNS(e *DNS, message []byte, cut bool) (ours bool) {
	e.Unread = cut
	var p dnsmessage.Parser
	head, err := p.Start(message)
	if err != nil {
		e.Unread = true
		return true
	}
	if head.Response != e.Answer {
		return false
	}
	e.ID = head.ID
	for {
		q, err := p.Question()
		if err == dnsmessage.ErrSectionDone {
			break
		}
		if err != nil {
			e.Unread = true
			return true
		}
		e.Questions = append(e.Questions, DNSQuestion{dnsName(q.Name), dnsType(q.Type)})
	}
	if len(e.Questions) == 0 || head.OpCode != 0 {
		e.Questions = nil
		e.Unread = true
		return true
	}
	if e.Answer && len(e.Questions) == 1 && !readAnswers(e, &p) {
		e.Unread = true
	}
	return true
}

// readAnswers finds the addresses that the name asked for leads to. It tells
// whether it could read all of the answers.
func readAnswers(e *DNS, p *dnsmessage.Parser) (whole bool) {
	type address struct {
		name string
		addr netip.Addr
	}
	var found []address
	aliases := make(map[string]string)
	for {
		head, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone {
			whole = true
			break
		}
		if err != nil {
			break
		}
		name := lowerName(dnsName(head.Name))
		switch {
		case head.Class != dnsmessage.ClassINET:
			err = p.SkipAnswer()
		case head.Type == dnsmessage.TypeA:
			var r dnsmessage.AResource
			if r, err = p.AResource(); err == nil {
				found = append(found, address{name, netip.AddrFrom4(r.A)})
			}
		case head.Type == dnsmessage.TypeAAAA:
			var r dnsmessage.AAAAResource
			if r, err = p.AAAAResource(); err == nil {
				found = append(found, address{name, netip.AddrFrom16(r.AAAA).Unmap()})
			}
		case head.Type == dnsmessage.TypeCNAME:
			var r dnsmessage.CNAMEResource
			if r, err = p.CNAMEResource(); err == nil {
				aliases[name] = lowerName(dnsName(r.CNAME))
			}
		default:
			err = p.SkipAnswer()
		}
		if err != nil {
			break
		}
	}
	reached := map[string]bool{}
	for name, ok := lowerName(e.Questions[0].Name), true; ok && !reached[name]; name, ok = aliases[name] {
		reached[name] = true
	}
	for _, a := range found {
		if reached[a.name] {
			e.Addrs = append(e.Addrs, a.addr)
		}
	}
	return whole
}

// lowerName makes names equal that DNS takes for equal: the letters of ASCII,
// and nothing else, have no case.
func lowerName(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func dnsName(n dnsmessage.Name) string {
	name := string(n.Data[:n.Length])
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

var dnsTypes = map[dnsmessage.Type]string{
	1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 28: "AAAA", 29: "LOC", 33: "SRV",
	35: "NAPTR", 39: "DNAME", 43: "DS", 44: "SSHFP", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 50: "NSEC3", 52: "TLSA",
	64: "SVCB", 65: "HTTPS", 99: "SPF", 251: "IXFR", 252: "AXFR", 255: "ANY", 257: "CAA",
}

// dnsType names a type; others are written as RFC 3597 says.
func dnsType(t dnsmessage.Type) string {
	if name, ok := dnsTypes[t]; ok {
		return name
	}
	return "TYPE" + strconv.Itoa(int(t))
}
