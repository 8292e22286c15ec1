package proxy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func parse(t testing.TB, list ...string) (rules Rules) {
	t.Helper()
	for _, s := range list {
		r, err := ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r...)
	}
	return rules
}

func nobody(netip.Addr) bool { return false }

func TestRules(t *testing.T) {
	for _, c := range []struct {
		rule, as string
		yes, no  []string // HOST:PORT
	}{
		{"Example.ORG.", "example.org", []string{"example.org:80", "example.org:443"},
			[]string{"example.org:8080", "example.org:22", "www.example.org:80", "xexample.org:80", "example.or:80", "org:80"}},
		{"example.org:8080", "example.org:8080", []string{"example.org:8080"}, []string{"example.org:80", "example.org:443"}},
		{"example.org:*", "example.org:*", []string{"example.org:1", "example.org:65535"}, []string{"example.com:1"}},
		{"*.example.org", "*.example.org", []string{"a.example.org:80", "a.b.example.org:443"},
			[]string{"example.org:80", "aexample.org:80", "example.org.evil:80", "a.example.org:81"}},
		{"*", "*", []string{"a:80", "b.c:443"}, []string{"a:81", "8.8.8.8:80", "[2600::1]:80"}},
		{"8.8.8.8", "8.8.8.8", []string{"8.8.8.8:80"}, []string{"8.8.8.9:80", "8.8.8.8:81", "8.8.8.8.example:80"}},
		{"[::ffff:8.8.8.8]:53", "8.8.8.8:53", []string{"8.8.8.8:53", "[::ffff:8.8.8.8]:53"}, []string{"8.8.8.8:80"}},
		{"2600:0::1", "2600::1", []string{"[2600::1]:443"}, []string{"[2600::2]:443"}},
		{"[2600::/16]:99", "[2600::/16]:99", []string{"[2600::2]:99"}, []string{"[2601::2]:99", "[2600::2]:443"}},
		{"127.0.0.1:8080", "127.0.0.1:8080", []string{"127.0.0.1:8080"}, []string{"127.0.0.1:80", "127.0.0.2:8080", "localhost:8080"}},
		{"10.1.2.3/8", "10.0.0.0/8", []string{"10.9.9.9:80"}, []string{"11.0.0.1:80"}},
		// Everything is not the host's own and near networks.
		{"0.0.0.0/0:*", "0.0.0.0/0:*", []string{"8.8.8.8:1"},
			[]string{"127.0.0.1:1", "10.0.0.1:1", "192.168.0.1:1", "169.254.169.254:80", "0.0.0.0:1", "100.64.0.1:1", "224.0.0.1:1", "255.255.255.255:1"}},
		{"[::/0]:*", "[::/0]:*", []string{"[2600::1]:1"},
			[]string{"[::1]:1", "[::]:1", "[fe80::1]:1", "[fd00::1]:1", "[64:ff9b::7f00:1]:1", "[2002:7f00:1::]:1", "[::ffff:127.0.0.1]:1", "[ff02::1]:1"}},
	} {
		rules := parse(t, c.rule)
		if got := rules.Strings(); !slices.Equal(got, []string{c.as}) {
			t.Errorf("%s: understood as %q, want %s", c.rule, got, c.as)
		}
		if again := parse(t, c.as).Strings(); !slices.Equal(again, []string{c.as}) {
			t.Errorf("%s: what it was understood as is understood as %q", c.rule, again)
		}
		allowed := func(s string) bool {
			h, port, err := parseTarget(s, 0)
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			if h.name != "" {
				return rules.named(h.name, port)
			}
			return rules.listed(h.ip, port, nobody)
		}
		for _, s := range c.yes {
			if !allowed(s) {
				t.Errorf("%s: %s is refused", c.rule, s)
			}
		}
		for _, s := range c.no {
			if allowed(s) {
				t.Errorf("%s: %s is allowed", c.rule, s)
			}
		}
	}
}

// An address of the host's own is nobody else's, public or not.
func TestOwnAddress(t *testing.T) {
	own := func(ip netip.Addr) bool { return ip == netip.MustParseAddr("8.8.8.8") }
	for rule, want := range map[string]bool{"8.0.0.0/8": false, "8.8.8.8/31": false, "8.8.8.8": true, "8.8.8.8/32": true} {
		if got := parse(t, rule).listed(netip.MustParseAddr("8.8.8.8"), 80, own); got != want {
			t.Errorf("%s: %v", rule, got)
		}
	}
}

func TestBadRules(t *testing.T) {
	for rule, want := range map[string]string{
		"":                      "no host is named",
		"*.":                    "no host is named",
		"http://example.org":    "not a URL",
		"http://example.org:80": "not a URL",
		"example.org:":          "no port behind the colon",
		"example.org:0":         "is no port",
		"example.org:65536":     "is no port",
		"example.org:http":      "is no port",
		"a b":                   "it is no name of a host",
		"*.1.2.3.4":             "no names below an address",
		"a.*.org":               "it is no name of a host",
		"bücher.example":        "write it as in DNS, with xn--",
		"2130706433":            "none in the usual form",
		"127.1":                 "none in the usual form",
		"0x7f.1":                "none in the usual form",
		"0x7f000001":            "none in the usual form",
		"10.0.0.0/33":           "it is no network",
		"::ffff:10.0.0.0/104":   "it is no network",
		"[::1":                  "it must be [ADDRESS]",
		"[::1]80":               "it must be [ADDRESS]",
		"[::1]:":                "it must be [ADDRESS]",
		"fe80::1%eth0":          "zone",
		"user@example.org":      "it is no name of a host",
	} {
		if _, err := ParseRule(rule); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", rule, err, want)
		}
	}
}

func TestTargets(t *testing.T) {
	for in, want := range map[string]string{
		"example.org:443":          "example.org:443",
		"EXAMPLE.org.:443":         "example.org:443",
		"example.org":              "example.org:80",
		"example.org:":             "example.org:80",
		"xn--bcher-kva.example:80": "xn--bcher-kva.example:80",
		"_dmarc.a:1":               "_dmarc.a:1",
		"192.0.2.1:80":             "192.0.2.1:80",
		"[::1]":                    "[::1]:80",
		"[0:0::1]:8":               "[::1]:8",
		"[::ffff:127.0.0.1]:8":     "127.0.0.1:8",
		"[::ffff:7f00:1]:8":        "127.0.0.1:8",
		"":                         "",
		":80":                      "",
		"2130706433:80":            "",
		"0x7f.1:80":                "",
		"0x7f000001:80":            "",
		"017700000001:80":          "",
		"127.1:80":                 "",
		"127.0.0.1.:80":            "",
		"127.0.0.01:80":            "",
		"1.2.3.4.5:80":             "",
		"::1:80":                   "",
		"[::1%25lo]:80":            "",
		"[fe80::1%lo]:80":          "",
		"[127.0.0.1]:80":           "",
		"[example.org]:80":         "",
		"[::1]x:80":                "",
		"[::1":                     "",
		"example.org:80:80":        "",
		"example.org:+80":          "",
		"example.org:080a":         "",
		"example.org:99999":        "",
		"example..org:80":          "",
		".example.org:80":          "",
		"example.org..:80":         "",
		"-a.org:80":                "",
		"exämple.org:80":           "",
		"ex\x00ample.org:80":       "",
		"example.org/x:80":         "",
		"a@example.org:80":         "",
		strings.Repeat("a", 64):    "",
		strings.Repeat("a.", 128):  "",
	} {
		h, port, err := parseTarget(in, 80)
		got := ""
		if err == nil {
			got = h.at(port)
		}
		if got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	if _, _, err := parseTarget("example.org", 0); err == nil {
		t.Error("no port is a port")
	}
}

// What is taken has one form, which is taken again, and is no text that other
// programs read otherwise.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"example.org:443", "[::1]:80", "0x7f.1", "127.0.0.1:1", "a.b.", "[::ffff:1.2.3.4]:1", "xn--a:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, port, err := parseTarget(s, 80)
		if err != nil {
			return
		}
		again, port2, err := parseTarget(h.at(port), 0)
		if err != nil || again != h || port2 != port {
			t.Fatalf("%q is %q, which is %q, %v", s, h.at(port), again.at(port2), err)
		}
		if h.ip.IsValid() && (h.ip.Is4In6() || h.ip.Zone() != "") {
			t.Fatalf("%q is %v", s, h.ip)
		}
		if strings.ContainsAny(h.name, "/@:%? \t\r\n\x00") || strings.ToLower(h.name) != h.name {
			t.Fatalf("%q is %q", s, h.name)
		}
	})
}
