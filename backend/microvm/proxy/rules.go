package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Rules say who may be reached.
type Rules []rule

// rule allows a name, or the addresses of a network, at some ports.
type rule struct {
	name     string // "" for a network; "*" is any name
	below    bool   // the names below it, not itself
	network  netip.Prefix
	ports    []uint16 // none: any
	asParsed string
}

// usualPorts are those of a rule that names none: whoever allows a site means
// the web's.
var usualPorts = []uint16{80, 443}

// ParseRule takes HOST[:PORT]: a name, *.NAME for all below it, * for all names,
// an IP address, or a network as 192.0.2.0/24. IPv6 takes brackets where a port
// follows. Without a port it is 80 and 443; a port of * is any.
func ParseRule(s string) (Rules, error) {
	host, port, err := splitRule(s)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", s, err)
	}
	r := rule{ports: usualPorts, asParsed: host}
	switch {
	case port == "*":
		r.ports = nil
	case port != "":
		n, err := parsePort(port)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
		r.ports = []uint16{n}
	}
	if err := r.setHost(host); err != nil {
		return nil, fmt.Errorf("%q: %w", s, err)
	}
	if port != "" {
		if strings.Contains(r.asParsed, ":") {
			r.asParsed = "[" + r.asParsed + "]"
		}
		r.asParsed += ":" + port
	}
	return Rules{r}, nil
}

// splitRule takes the port off.
func splitRule(s string) (host, port string, err error) {
	if strings.Contains(s, "://") {
		return "", "", errors.New("it must be HOST[:PORT], not a URL")
	}
	if rest, ok := strings.CutPrefix(s, "["); ok {
		host, rest, ok = strings.Cut(rest, "]")
		if !ok || rest != "" && rest[0] != ':' || rest == ":" {
			return "", "", errors.New("it must be [ADDRESS] or [ADDRESS]:PORT")
		}
		return host, strings.TrimPrefix(rest, ":"), nil
	}
	switch strings.Count(s, ":") {
	case 0:
		return s, "", nil
	case 1:
		host, port, _ = strings.Cut(s, ":")
		if port == "" {
			return "", "", errors.New("there is no port behind the colon")
		}
		return host, port, nil
	}
	return s, "", nil // an IPv6 address, or nothing
}

func (r *rule) setHost(host string) error {
	if host == "*" {
		r.name = host
		return nil
	}
	if strings.Contains(host, "/") {
		p, err := netip.ParsePrefix(host)
		if err != nil || p.Addr().Is4In6() {
			return errors.New("it is no network such as 192.0.2.0/24")
		}
		r.network = p.Masked()
		r.asParsed = r.network.String()
		return nil
	}
	name, below := strings.CutPrefix(host, "*.")
	h, err := parseHost(name)
	if err != nil {
		return err
	}
	if h.ip.IsValid() {
		if below {
			return errors.New("there are no names below an address")
		}
		r.network = netip.PrefixFrom(h.ip, h.ip.BitLen())
		r.asParsed = h.ip.String()
		return nil
	}
	r.name, r.below, r.asParsed = h.name, below, h.name
	if below {
		r.asParsed = "*." + h.name
	}
	return nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '+' {
		return 0, fmt.Errorf("%.20q is no port: it must be 1 to 65535", s)
	}
	return uint16(n), nil
}

// Strings are the rules as they were understood.
func (rs Rules) Strings() []string {
	out := make([]string, len(rs))
	for i, r := range rs {
		out[i] = r.asParsed
	}
	return out
}

func (r *rule) port(n uint16) bool { return r.ports == nil || slices.Contains(r.ports, n) }

// named says whether a name may be asked for.
func (rs Rules) named(name string, port uint16) bool {
	return slices.ContainsFunc(rs, func(r rule) bool {
		switch {
		case r.name == "" || !r.port(port):
			return false
		case r.name == "*":
			return true
		case r.below:
			return strings.HasSuffix(name, "."+r.name)
		}
		return name == r.name
	})
}

// listed says whether an address may be reached because a rule names it or its
// network. One that is the host's own, or of a network that is not everybody's,
// has to be meant: a network that reaches further does not allow it.
func (rs Rules) listed(ip netip.Addr, port uint16, own func(netip.Addr) bool) bool {
	return slices.ContainsFunc(rs, func(r rule) bool {
		if r.name != "" || !r.port(port) || !r.network.Contains(ip) {
			return false
		}
		return r.network.IsSingleIP() || special(r.network) || !special(netip.PrefixFrom(ip, ip.BitLen())) && !own(ip)
	})
}

// specials are the networks that lead to the host itself, to what is near it, or
// to nobody in particular: those of IANA's registries that are not for everybody,
// and those that have an IPv4 address in them.
var specials = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	"5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// special says whether all of a network is in one of them.
func special(p netip.Prefix) bool {
	return slices.ContainsFunc(specials, func(s netip.Prefix) bool { return s.Bits() <= p.Bits() && s.Contains(p.Addr()) })
}
