package image

import (
	"bytes"
	"debug/elf"
	"strings"
	"testing"

	"glasshouse/internal/cpio/cpiotest"
)

func TestInitramfs(t *testing.T) {
	var out bytes.Buffer
	if err := writeInitramfs(&out, []byte("glasshouse"), []module{{"virtio", []byte("v")}, {"ext4", []byte("e")}}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`100755 init "glasshouse"`,
		`040755 dev ""`, `040755 newroot ""`, `040755 proc ""`, `040755 run ""`, `040755 sys ""`, `040755 tmp ""`,
		`040755 modules ""`, `100644 modules/virtio.ko "v"`, `100644 modules/ext4.ko "e"`,
		`100644 modules/order "virtio.ko\next4.ko\n"`,
	}
	if got := cpiotest.Entries(t, out.Bytes()); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestCheckInit(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		program    []byte
	}{
		{"static", "", makeELF(elf.ET_EXEC, elf.EM_X86_64, []elf.ProgType{elf.PT_LOAD})},
		{"static at any address", "", makeELF(elf.ET_DYN, elf.EM_X86_64, []elf.ProgType{elf.PT_LOAD, elf.PT_DYNAMIC})},
		{"dynamic", "CGO_ENABLED=0", makeELF(elf.ET_DYN, elf.EM_X86_64, []elf.ProgType{elf.PT_INTERP, elf.PT_LOAD, elf.PT_DYNAMIC})},
		{"another machine", "EM_AARCH64", makeELF(elf.ET_EXEC, elf.EM_AARCH64, []elf.ProgType{elf.PT_LOAD})},
		{"of Windows", "not a program for Linux", []byte("MZ" + strings.Repeat("\x00", 100))},
	} {
		if err := checkInit(tc.program); !complains(err, tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}
}
