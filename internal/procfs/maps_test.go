package procfs

import (
	"strings"
	"testing"
)

func TestMapped(t *testing.T) {
	m := Mapped{map[file]bool{}, map[string]bool{}}
	if !m.read(strings.NewReader(`00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon
7f0000000000-7f0000001000 rw-s 00000000 08:02 11                         /w/shared
7f0000001000-7f0000002000 r--s 00000000 08:02 12                         /w/read
7f0000002000-7f0000003000 rw-p 00000000 08:02 13                         /w/private
7f0000003000-7f0000004000 -w-s 00001000 103:1a 18446744073709551615      /w/two  words\012and a line
7f0000004000-7f0000005000 rw-s 00000000 00:01 77                         /w/gone (deleted)
7f0000005000-7f0000006000 rw-s 00000000 00:00 0
7f0000006000-7f0000007000 rw-s 00000000 00:0e 1035                       anon_inode:[perf_event]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
x rw-s
x rw-s 0 zz:1 5 /w/malformed
`)) {
		t.Error("nothing was read")
	}
	for _, c := range []struct {
		path         string
		major, minor uint32
		inode        uint64
		want         bool
	}{
		{"/elsewhere", 8, 2, 11, true},
		{"/w/shared", 0, 0, 0, true},
		{"/w/read", 8, 2, 12, false},
		{"/w/private", 8, 2, 13, false},
		{"/elsewhere", 0x103, 0x1a, 1<<64 - 1, true},
		{"/w/two  words\nand a line", 0, 0, 0, true},
		{"/w/gone", 0, 1, 77, true},
		{"/w/gone", 8, 2, 99, false}, // another file by that name
		{"", 0, 0, 0, false},
		{"/w/malformed", 0, 1, 5, false},
	} {
		if got := m.Has(c.path, c.major, c.minor, c.inode); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
	if m.read(strings.NewReader("")) {
		t.Error("a process without memory has some")
	}
}
