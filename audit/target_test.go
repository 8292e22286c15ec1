package audit

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestTargetName(t *testing.T) {
	for _, tt := range []struct{ base, requested, want string }{
		{"/tmp", "a", "/tmp/a"},
		{"/tmp", "./a//b/.", "/tmp/a/b"},
		{"/tmp", "a/", "/tmp/a"},
		{"/", "/etc/x", "/etc/x"},
		{"/jail", "/etc/x", "/jail/etc/x"}, // the process's root is elsewhere
		{"/jail", "/../x", "/jail/x"},
		{"/etc/ssl", "../x", "/etc/x"},
		{"/etc/ssl", "../../../x", "/x"},
		{"/etc", "a/../b", "/etc/a/../b"}, // a may be a symbolic link
		{"/etc", "..", "/"},
		{"/etc", ".", "/etc"},
		{"/etc", "", "/etc"},
		{"/", "", "/"},
		{"/", "..", "/"},
		{"/tmp", "new\nline", "/tmp/new\nline"},
		{"/tmp", "\xff", "/tmp/\xff"},
	} {
		if got := (Target{Base: Path{Name: tt.base}, Requested: tt.requested}).Name(); got != tt.want {
			t.Errorf("%q + %q = %q, want %q", tt.base, tt.requested, got, tt.want)
		}
	}
	jailed := Target{Base: Path{Name: "/srv/jail/a", Root: "/srv/jail"}, Requested: "../../../x"}
	if got := jailed.Name(); got != "/srv/jail/x" {
		t.Errorf("above a root: %q", got)
	}
}

// The short way leads where the long one does.
func TestTargetNamePlain(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	parts := []string{"/", "/", ".", "..", "a", "b.c", "...", ".d"}
	for range 20000 {
		var name string
		for range 1 + rng.IntN(6) {
			name += parts[rng.IntN(len(parts))]
		}
		if !plainName(name) {
			continue
		}
		for part := range strings.SplitSeq(strings.TrimPrefix(name, "/"), "/") {
			if part == "" || part == "." || part == ".." {
				t.Fatalf("%q is not plain", name)
			}
		}
		for _, base := range []string{"", "/", "/w", "/w/"} {
			got := Target{Base: Path{Name: base}, Requested: name}.Name()
			long := Target{Base: Path{Name: base}, Requested: name + "/"}.Name()
			if got != long {
				t.Fatalf("%q in %q is %q, with a slash %q", name, base, got, long)
			}
		}
	}
	for _, name := range []string{"", "/", ".", "a/", "a//b", "./a", "a/..", "//a"} {
		if plainName(name) {
			t.Errorf("%q is plain", name)
		}
	}
}
