package qemu

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

func note(name string, kind uint32, content string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(name)+1))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
	b = binary.LittleEndian.AppendUint32(b, kind)
	for _, s := range []string{name + "\x00", content} {
		b = append(b, s...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	return b
}

func TestHasNote(t *testing.T) {
	pvh := note("Xen", pvhEntry, "\x00\x00\x00\x01")
	for name, c := range map[string]struct {
		notes []byte
		want  bool
	}{
		"alone":         {pvh, true},
		"behind others": {append(note("GNU", 3, "build"), pvh...), true},
		"none":          {nil, false},
		"another kind":  {note("Xen", 5, "x"), false},
		"another owner": {note("GNU", pvhEntry, "x"), false},
		"cut":           {pvh[:len(pvh)-2], false},
		"endless":       {[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x12\x00\x00\x00Xen\x00"), false},
	} {
		if got := hasNote(c.notes, binary.LittleEndian, "Xen", pvhEntry); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestBootsELF(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kernel")
	if err := os.WriteFile(file, []byte("\x7fELF and no more"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, file + "-nope", self} {
		if BootsELF(path) {
			t.Errorf("%s is said to be a kernel", path)
		}
	}
}
