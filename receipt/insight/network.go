package insight

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"glasshouse/receipt"
	"glasshouse/receipt/address"
)

// Scope is how far away an address is.
type Scope string

// The scopes, in the order in which lists have them.
const (
	Remote   Scope = "remote"   // another machine, or any (0.0.0.0), or not known
	Loopback Scope = "loopback" // this machine, over the internet's protocols
	Local    Scope = "local"    // a unix socket
)

func (s Scope) rank() int { return slices.Index([]Scope{Remote, Loopback, Local}, s) }

// Network is who was talked to.
type Network struct {
	Peers     []Peer     // remote ones first, then by address
	Listeners []Listener // likewise
	Questions []Question // to name servers, by name
	Sent      uint64     // bytes
	Received  uint64     // bytes
}

// Peer is an address that was to be reached, without its port.
type Peer struct {
	Addr     string   // "192.0.2.1", "2001:db8::1", "unix:/path", "vsock"; a name if a proxy reached no address for it
	Scope    Scope    //
	Names    []string // what name servers had called it, sorted, an inference; or what a proxy was asked for
	Contacts []Contact
	Ports    int  // how many different ones
	Proxied  bool // a proxy outside was asked for it: it is one of the network there
}

// Contact is an attempt to reach a peer, with one result.
type Contact struct {
	Dst      string // as in the receipt: with the port
	Protocol string
	Result   string
	Count    uint64
}

// Listener is an address that was listened on.
type Listener struct {
	Addr     string // as in the receipt: with the port
	Protocol string
	Scope    Scope
	Accepted uint64   // connections
	From     []string // the peers of these, without ports, sorted
}

// Question is a name that name servers were asked for.
type Question struct {
	Name  string
	Types []string // sorted
	Count uint64
}

// NetworkOf puts together what several processes did with the same peers.
func NetworkOf(r *receipt.Receipt) Network {
	n := &r.Network
	return Network{peersOf(n.Attempts), listenersOf(n), questionsOf(n.DNS), n.BytesSent, n.BytesReceived}
}

func peersOf(attempts []receipt.Attempt) []Peer {
	type key struct {
		addr    string
		proxied bool
	}
	peers := map[key]*Peer{}
	type contact struct {
		dst, protocol, result string
		proxied               bool
	}
	contacts := map[contact]*Contact{}
	by := map[*Contact]*Peer{}
	for i := range attempts {
		at := &attempts[i]
		addr, scope := scopeOf(at.Dst)
		proxied := at.Source == receipt.SourceProxy
		if proxied {
			scope = Remote // the host is beyond the machine that ran the command
			if at.Host != nil && strings.HasPrefix(addr, *at.Host+":") {
				addr = *at.Host
			}
		}
		p := peers[key{addr, proxied}]
		if p == nil {
			p = &Peer{Addr: addr, Scope: scope, Proxied: proxied}
			peers[key{addr, proxied}] = p
		}
		if at.Host != nil && *at.Host != addr {
			p.Names = append(p.Names, *at.Host)
		}
		same := contact{at.Dst, at.Protocol, at.Result, proxied}
		c := contacts[same]
		if c == nil {
			c = &Contact{Dst: at.Dst, Protocol: at.Protocol, Result: at.Result}
			contacts[same], by[c] = c, p
		}
		c.Count = plus(c.Count, at.Count)
	}
	for c, p := range by {
		p.Contacts = append(p.Contacts, *c)
	}
	out := make([]Peer, 0, len(peers))
	for _, p := range peers {
		p.Names = set(p.Names)
		slices.SortFunc(p.Contacts, func(a, b Contact) int {
			return cmp.Or(cmp.Compare(a.Dst, b.Dst), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Result, b.Result))
		})
		for i, c := range p.Contacts {
			if i == 0 || c.Dst != p.Contacts[i-1].Dst {
				p.Ports++
			}
		}
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b Peer) int {
		order := cmp.Or(cmp.Compare(a.Scope.rank(), b.Scope.rank()), cmp.Compare(a.Addr, b.Addr))
		if order == 0 && a.Proxied != b.Proxied {
			order = map[bool]int{true: 1, false: -1}[a.Proxied]
		}
		return order
	})
	return out
}

func listenersOf(n *receipt.Network) []Listener {
	type key struct{ addr, protocol string }
	listeners := map[key]*Listener{}
	get := func(addr, protocol string) *Listener {
		k := key{addr, protocol}
		if listeners[k] == nil {
			_, scope := scopeOf(addr)
			listeners[k] = &Listener{Addr: addr, Protocol: protocol, Scope: scope}
		}
		return listeners[k]
	}
	for _, l := range n.Listens {
		get(l.Addr, l.Protocol)
	}
	for _, a := range n.Accepts {
		// Who listens on 0.0.0.0:80 is called at another address. Where no
		// such listener is known either, it stands for itself.
		addr := a.Addr
		if at := address.Parse(a.Addr); at.IP.IsValid() && listeners[key{addr, a.Protocol}] == nil {
			for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
				if wild := netip.AddrPortFrom(any, at.Port).String(); listeners[key{wild, a.Protocol}] != nil {
					addr = wild
				}
			}
		}
		l := get(addr, a.Protocol)
		l.Accepted = plus(l.Accepted, a.Count)
		src, _ := scopeOf(a.Src)
		l.From = append(l.From, src)
	}
	out := make([]Listener, 0, len(listeners))
	for _, l := range listeners {
		l.From = set(l.From)
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b Listener) int {
		return cmp.Or(cmp.Compare(a.Scope.rank(), b.Scope.rank()), cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Protocol, b.Protocol))
	})
	return out
}

func questionsOf(asked []receipt.DNSQuery) []Question {
	questions := map[string]*Question{}
	for i := range asked {
		q := questions[asked[i].Name]
		if q == nil {
			q = &Question{Name: asked[i].Name}
			questions[q.Name] = q
		}
		q.Types = append(q.Types, asked[i].Type)
		q.Count = plus(q.Count, asked[i].Count)
	}
	out := make([]Question, 0, len(questions))
	for _, q := range questions {
		q.Types = set(q.Types)
		out = append(out, *q)
	}
	slices.SortFunc(out, func(a, b Question) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// set is a list in order, each once.
func set(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// scopeOf is an address of a receipt without its port, and how far it is.
func scopeOf(dst string) (string, Scope) {
	at := address.Parse(dst)
	switch {
	case at.Unix:
		return dst, Local
	case !at.IP.IsValid():
		return dst, Remote
	case at.Local():
		return at.IP.String(), Loopback
	}
	return at.IP.String(), Remote
}
