package proxy

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// host is whom a request names: a name, or an address.
type host struct {
	name string // lowercase, without the last dot; "" for an address
	ip   netip.Addr
}

func (h host) String() string {
	if h.name == "" {
		return h.ip.String()
	}
	return h.name
}

// at is the host with a port.
func (h host) at(port uint16) string {
	return net.JoinHostPort(h.String(), strconv.Itoa(int(port)))
}

var (
	errNoHost   = errors.New("no host is named")
	errOddIP    = errors.New("it looks like an address and is none in the usual form, such as 192.0.2.1")
	errZone     = errors.New("an address with a zone")
	errNotASCII = errors.New("a name that is not ASCII: write it as in DNS, with xn--")
	errBadName  = errors.New("it is no name of a host")
)

// parseHost takes a host without a port, and IPv6 without brackets. There is one
// form of each, and what programs read differently is none: resolvers take 127.1
// and 0x7f000001 for addresses, others for names.
func parseHost(s string) (host, error) {
	if s == "" {
		return host{}, errNoHost
	}
	if ip, err := netip.ParseAddr(s); err == nil {
		if ip.Zone() != "" {
			return host{}, errZone
		}
		return host{ip: ip.Unmap()}, nil
	}
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 {
		return host{}, errBadName
	}
	name := []byte(s)
	for i, c := range name {
		switch {
		case c >= 'A' && c <= 'Z':
			name[i] = c + 'a' - 'A'
		case c >= 0x80:
			return host{}, errNotASCII
		}
	}
	labels := strings.Split(string(name), ".")
	for _, label := range labels {
		if !isLabel(label) {
			return host{}, errBadName
		}
	}
	if last := labels[len(labels)-1]; isNumber(last) {
		return host{}, errOddIP
	}
	return host{name: string(name)}, nil
}

// isLabel is for one part of a name. An underscore stands in none of a host, and
// in some of hosts all the same.
func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// isNumber says whether a resolver might take a name that ends so for an address.
func isNumber(label string) bool {
	if strings.HasPrefix(label, "0x") {
		return true
	}
	return strings.Trim(label, "0123456789") == ""
}

// parseTarget takes the authority of a request: HOST or HOST:PORT. Without a port
// it is the standard one; if that is 0 there has to be one.
func parseTarget(authority string, standard uint16) (host, uint16, error) {
	name, port := authority, ""
	if rest, ok := strings.CutPrefix(authority, "["); ok {
		var after string
		if name, after, ok = strings.Cut(rest, "]"); !ok || after != "" && after[0] != ':' || !strings.Contains(name, ":") {
			return host{}, 0, errBadName
		}
		port = strings.TrimPrefix(after, ":")
	} else if strings.Count(authority, ":") == 1 {
		name, port, _ = strings.Cut(authority, ":")
	} else if strings.Contains(authority, ":") {
		return host{}, 0, errBadName // IPv6 without brackets
	}
	h, err := parseHost(name)
	if err != nil {
		return host{}, 0, err
	}
	if port == "" && standard != 0 {
		return h, standard, nil
	}
	if port == "" {
		return host{}, 0, errors.New("no port is named")
	}
	n, err := parsePort(port)
	return h, n, err
}
