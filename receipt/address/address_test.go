package address

import (
	"net/netip"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		in    string
		want  Address
		local bool
	}{
		{"192.0.2.1:80", Address{IP: netip.MustParseAddr("192.0.2.1"), Port: 80}, false},
		{"127.0.0.53:53", Address{IP: netip.MustParseAddr("127.0.0.53"), Port: 53}, true},
		{"0.0.0.0:0", Address{IP: netip.IPv4Unspecified()}, false},
		{"[2001:db8::1]:65535", Address{IP: netip.MustParseAddr("2001:db8::1"), Port: 65535}, false},
		{"[::1]:1", Address{IP: netip.IPv6Loopback(), Port: 1}, true},
		{"[::ffff:127.0.0.1]:1", Address{IP: netip.MustParseAddr("::ffff:127.0.0.1"), Port: 1}, true},
		{"[fe80::1%eth0]:22", Address{IP: netip.MustParseAddr("fe80::1%eth0"), Port: 22}, false},
		{"unix:/run/a:b", Address{Unix: true, Path: "/run/a:b"}, true},
		{"unix:@abstract", Address{Unix: true, Path: "@abstract"}, true},
		{"unix:", Address{Unix: true}, true},
		{"vsock", Address{}, false},
		{"", Address{}, false},
		{"192.0.2.1", Address{}, false},
		{"192.0.2.1:65536", Address{}, false},
		{"example.com:80", Address{}, false},
	} {
		got := Parse(tc.in)
		if got != tc.want || got.Local() != tc.local {
			t.Errorf("Parse(%q) = %+v, local %v; want %+v, %v", tc.in, got, got.Local(), tc.want, tc.local)
		}
	}
}

func TestWithPort(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:80":       "192.0.2.1:x",
		"[2001:db8::1]:443":  "[2001:db8::1]:x",
		"[fe80::1%eth0]:22":  "[fe80::1%eth0]:x",
		"[::ffff:1.2.3.4]:5": "[::ffff:1.2.3.4]:x",
	} {
		if got := Parse(in).WithPort("x"); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
