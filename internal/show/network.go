package show

import (
	"fmt"
	"strings"

	"glasshouse/internal/term"
	"glasshouse/receipt"
	"glasshouse/receipt/insight"
)

const (
	shownPeers    = 12
	shownContacts = 3
	shownNames    = 8
)

func (p *page) network(r *receipt.Receipt, n insight.Network) {
	if len(n.Peers)+len(n.Listeners)+len(n.Questions) == 0 && n.Sent == 0 && n.Received == 0 {
		return
	}
	p.heading("NETWORK", fmt.Sprintf("%s sent, %s received", size(n.Sent), size(n.Received)))
	for _, peer := range n.Peers[:min(len(n.Peers), shownPeers)] {
		p.entry("to", peerName(peer), contacts(peer, p.times()), peer.Scope)
	}
	p.more(8, len(n.Peers)-shownPeers, "peer", "peers", "hosts")
	p.refusals(r)
	for _, l := range n.Listeners[:min(len(n.Listeners), shownPeers)] {
		text := ""
		if l.Protocol != "unix" {
			text = l.Protocol
		}
		if l.Accepted > 0 {
			text += fmt.Sprintf(" %s accepted", number(l.Accepted))
			if from := strings.Join(l.From[:min(len(l.From), shownContacts)], ", "); from != "" && l.Scope == insight.Remote {
				text += " from " + from
			}
		}
		p.entry("listens", l.Addr, strings.TrimSpace(text), l.Scope)
	}
	p.more(8, len(n.Listeners)-shownPeers, "listening socket", "listening sockets", "")
	for _, q := range n.Questions[:min(len(n.Questions), shownNames)] {
		p.entry("asks", q.Name, strings.Join(q.Types, ", "), insight.Loopback)
	}
	p.more(8, len(n.Questions)-shownNames, "name", "names", "")
}

// entry is one line: what, whom, and what came of it. If there is no room for
// all, the last goes to a line of its own.
func (p *page) entry(what, whom, came string, scope insight.Scope) {
	what = term.Pad(what, 9)
	s := plain
	if scope != insight.Remote {
		s = dim
	}
	if whom == "" {
		whom = "?"
	}
	whom, came = p.clean(whom), p.clean(came)
	if room := p.width - 9 - 2 - term.Width(came); came != "" && term.Width(whom) <= room {
		// The second column begins at the middle where it can.
		whom = term.Pad(whom, min(room, p.width/2-9-2))
		p.line(p.paint(dim, what) + p.paint(opposite(s), whom) + "  " + p.paint(dim, came))
		return
	}
	p.line(p.paint(dim, what) + p.paint(opposite(s), term.ClipMiddle(whom, p.width-9, p.dots())))
	if came != "" {
		p.wrapped(strings.Repeat(" ", 11), plain, came, dim, 3)
	}
}

// opposite keeps far peers strong.
func opposite(s style) style {
	if s == plain {
		return bold
	}
	return plain
}

// peerName is the name of a peer, with its address, or its address alone.
func peerName(p insight.Peer) string {
	name := p.Addr
	switch n := len(p.Names); {
	case n == 1:
		name = p.Names[0] + " (" + p.Addr + ")"
	case n > 1:
		name = fmt.Sprintf("%s and %d more (%s)", p.Names[0], n-1, p.Addr)
	}
	if p.Proxied {
		name += ", by the proxy"
	}
	return name
}

// contacts are the ports and results, or with many ports how many.
func contacts(p insight.Peer, times string) string {
	results := func(list []insight.Contact) string {
		var names []string
		counts := map[string]uint64{}
		for _, c := range list {
			if counts[c.Result] == 0 {
				names = append(names, c.Result)
			}
			counts[c.Result] += max(c.Count, 1)
		}
		for i, name := range names {
			if n := counts[name]; n > 1 {
				names[i] = fmt.Sprintf("%s %s%s", name, times, number(n))
			}
		}
		return strings.Join(names, ", ")
	}
	if p.Scope == insight.Local {
		return results(p.Contacts)
	}
	if p.Ports <= shownContacts {
		var parts []string
		for len(p.Contacts) > 0 { // by port and protocol
			first, n := p.Contacts[0], 1
			for n < len(p.Contacts) && p.Contacts[n].Dst == first.Dst && p.Contacts[n].Protocol == first.Protocol {
				n++
			}
			port := ""
			if i := strings.LastIndexByte(first.Dst, ':'); i >= 0 {
				port = first.Dst[i:]
			}
			parts = append(parts, strings.TrimSpace(port+" "+first.Protocol+" "+results(p.Contacts[:n])))
			p.Contacts = p.Contacts[n:]
		}
		return strings.Join(parts, "; ")
	}
	byProtocol := map[string][]insight.Contact{}
	var order []string
	for _, c := range p.Contacts {
		if byProtocol[c.Protocol] == nil {
			order = append(order, c.Protocol)
		}
		byProtocol[c.Protocol] = append(byProtocol[c.Protocol], c)
	}
	parts := []string{number(p.Ports) + " ports"}
	for _, protocol := range order {
		parts = append(parts, protocol+" "+results(byProtocol[protocol]))
	}
	return strings.Join(parts, "; ")
}
