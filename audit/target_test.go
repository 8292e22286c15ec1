package audit

import "testing"

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
