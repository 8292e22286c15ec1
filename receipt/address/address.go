// Package address takes the addresses of a receipt apart, as docs/RECEIPT.md
// describes them under network.attempts.
package address

import (
	"net/netip"
	"strings"
)

// Address is one of "192.0.2.1:80", "[2001:db8::1]:80", "unix:/path" and
// "unix:@abstract". Anything else, such as "vsock", is the zero Address.
type Address struct {
	IP   netip.Addr // valid for internet addresses alone
	Port uint16
	Unix bool
	Path string // of a unix socket; "" if it has no name
}

// Parse never fails: what it cannot take apart is the zero Address.
func Parse(s string) Address {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return Address{Unix: true, Path: path}
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return Address{IP: a.Addr(), Port: a.Port()}
	}
	return Address{}
}

// Local says whether the address is one of the machine itself.
func (a Address) Local() bool { return a.Unix || a.IP.IsLoopback() }
