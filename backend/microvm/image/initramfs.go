package image

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"glasshouse/internal/cpio"
)

// initMax is the most that the first process of a guest may have in bytes.
const initMax = 512 << 20

// checkInit says why a program cannot be the first process of a guest, where
// no library is and nothing that would load one.
func checkInit(program []byte) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("not a program for Linux: %w", err)
	}
	if f.Machine != elf.EM_X86_64 || f.Class != elf.ELFCLASS64 {
		return fmt.Errorf("a program for %s: guests are %s", f.Machine, elf.EM_X86_64)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("not a static program: build it with CGO_ENABLED=0")
		}
	}
	return nil
}

// guestFolders are what the first process mounts file systems on.
var guestFolders = []string{"/dev", "/newroot", "/proc", "/run", "/sys", "/tmp"}

// writeInitramfs writes the file system that a guest boots with: the first
// process, and modules with the order in which it has to load them.
func writeInitramfs(w io.Writer, init []byte, mods []module) error {
	a := cpio.NewWriter(w)
	a.File("/init", 0o755, init)
	for _, dir := range guestFolders {
		a.Dir(dir)
	}
	var order strings.Builder
	for _, m := range mods {
		file := m.name + ".ko"
		a.File(path.Join("/modules", file), 0o644, m.content)
		order.WriteString(file + "\n")
	}
	a.File("/modules/order", 0o644, []byte(order.String()))
	return a.Close()
}
