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

// WithPort is the address with another text in the place of the port.
func (a Address) WithPort(port string) string {
	if a.IP.Is6() {
		return "[" + a.IP.String() + "]:" + port
	}
	return a.IP.String() + ":" + port
}

// Abstract says whether it is a unix socket's without a file.
func (a Address) Abstract() bool { return strings.HasPrefix(a.Path, "@") }

// Local says whether the address is one of the machine itself.
func (a Address) Local() bool { return a.Unix || a.IP.Unmap().IsLoopback() }
