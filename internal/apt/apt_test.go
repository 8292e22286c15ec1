package apt

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	const stanza = `Package: linux-image-cloud-amd64
Version: 6.1.1-1
Depends: linux-image-6.1.0-1-cloud-amd64 (= 6.1.1-1), kmod:any | busybox, libc6
Description: a kernel
 SHA256: not this one
SHA256: 0123abcd

Package: linux-image-cloud-amd64
Version: 5.10
`
	want := Package{
		Name: "linux-image-cloud-amd64", Version: "6.1.1-1", SHA256: "0123abcd",
		Depends: []string{"linux-image-6.1.0-1-cloud-amd64", "kmod", "libc6"},
	}
	if diff := cmp.Diff(want, parse(stanza)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Package{}, parse("")); diff != "" {
		t.Error(diff)
	}
}

func TestCodename(t *testing.T) {
	for _, tc := range []struct{ content, want, err string }{
		{"PRETTY_NAME=\"Debian\"\nVERSION_CODENAME=trixie\nID=debian\n", "trixie", ""},
		{"VERSION_CODENAME='bookworm'\nID=\"debian\"", "bookworm", ""},
		{"VERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n", "", `f: it is of "ubuntu", not of debian`},
		{"ID=debian\n", "", "f: no VERSION_CODENAME"}, // unstable has none
		{"", "", `f: it is of "", not of debian`},
	} {
		got, err := codename("f", tc.content)
		if said := ""; err != nil {
			said = err.Error()
			if said != tc.err {
				t.Errorf("%q: %s, want %s", tc.content, said, tc.err)
			}
		} else if got != tc.want || tc.err != "" {
			t.Errorf("%q: got %q, want %q %s", tc.content, got, tc.want, tc.err)
		}
	}
}

func TestSourcesList(t *testing.T) {
	const targets = `Other|main|http://other.example/
Debian|contrib|http://contrib.example/
Debian|main|http://debian.example/debian/
Debian|main|http://debian.example/second/
Debian-Security|main|http://debian.example/security/
`
	const from = "deb [signed-by=" + debianKeyring + "] http://debian.example/"
	for _, tc := range []struct {
		name, targets, want string
		suites              []string
	}{
		{"one", targets, from + "debian/ bookworm main\n", []string{"bookworm"}},
		{"security", targets, from + "debian/ bookworm main\n" + from + "security/ bookworm-security main\n", []string{"bookworm", "bookworm-security"}},
		{"no security", "Debian|main|http://debian.example/debian/\n", from + "debian/ sid main\n", []string{"sid", "sid-security"}},
		{"none", "Ubuntu|main|http://ubuntu.example/\n", "", []string{"bookworm"}},
	} {
		got, err := sourcesList(tc.targets, tc.suites)
		if got != tc.want || (err == nil) == (tc.want == "") {
			t.Errorf("%s: got %q, %v", tc.name, got, err)
		}
	}
}
