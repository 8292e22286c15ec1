package calls

import (
	"maps"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"

	"glasshouse/audit"
)

// A name that no machine has would leave its call unrecorded, and say nothing.
func TestNamesAreKnown(t *testing.T) {
	known := map[string]bool{}
	for _, a := range []*arch.Info{arch.X86_64, arch.I386, arch.AARCH64, arch.ARM} {
		for _, name := range Names(a) {
			known[name] = true
		}
	}
	for _, name := range Socket {
		known[name] = true
	}
	for name := range maps.Keys(Table) {
		if !known[name] {
			t.Errorf("no machine has %s", name)
		}
	}
	for name, other := range Aliases {
		if !known[name] {
			t.Errorf("no machine has %s", name)
		}
		if _, ok := Table[other]; !ok {
			t.Errorf("%s stands for %s, which is not in the table", name, other)
		}
		if _, ok := Table[name]; ok {
			t.Errorf("%s is in the table and stands for %s", name, other)
		}
	}
}

// What a row says of the arguments goes together.
func TestRows(t *testing.T) {
	for name, c := range Table {
		for _, arg := range []uint8{c.Path[0], c.Path[1], c.Dir[0], c.Dir[1], c.Flags, c.Out, c.In, c.FD} {
			if arg > 6 {
				t.Errorf("%s has an argument %d", name, arg)
			}
		}
		for i := range c.Path {
			if c.Dir[i] != 0 && c.Path[i] == 0 {
				t.Errorf("%s: a folder without a name", name)
			}
			if c.Dir[i] != 0 && c.Dir[i] == c.Path[i] {
				t.Errorf("%s: argument %d is a folder and a name", name, c.Dir[i])
			}
		}
		switch {
		case c.Op == audit.OpNone:
			t.Errorf("%s is no operation", name)
		case c.FD != 0 && c.Path[0] != 0:
			t.Errorf("%s has a descriptor in the place of its name, and a name", name)
		case c.FlagsAt != 0 && c.Flags == 0:
			t.Errorf("%s: flags that nothing points to", name)
		case c.Op == audit.OpMove && c.Out == 0 && c.In == 0:
			t.Errorf("%s moves bytes from nowhere to nowhere", name)
		}
	}
}

func TestOf(t *testing.T) {
	for name, want := range map[string]audit.Op{"openat": audit.OpOpen, "lchown32": audit.OpChown, "getppid": audit.OpNone, "": audit.OpNone} {
		if got := Of(name).Op; got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
	if Of("lchown32").NoFollow == 0 {
		t.Error("lchown32 follows links")
	}
}
