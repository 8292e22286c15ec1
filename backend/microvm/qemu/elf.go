package qemu

import (
	"debug/elf"
	"encoding/binary"
	"io"
)

// pvhEntry is the type of the note, of the owner Xen, by which an uncompressed
// kernel says where it can be entered: XEN_ELFNOTE_PHYS32_ENTRY in the kernel's
// include/xen/interface/elfnote.h.
const pvhEntry = 18

// notesLimit bounds what is read of a kernel's notes, in bytes.
const notesLimit = 1 << 20

// BootsELF tells whether QEMU can boot the uncompressed kernel in a file: it saves
// a guest the unpacking, which takes an emulated one a second.
func BootsELF(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		notes, err := io.ReadAll(io.LimitReader(p.Open(), notesLimit))
		if err == nil && hasNote(notes, f.ByteOrder, "Xen", pvhEntry) {
			return true
		}
	}
	return false
}

// hasNote looks for a note among some: each is the lengths of its name and its
// content, its type, and both of these, filled up to multiples of 4 bytes.
func hasNote(notes []byte, order binary.ByteOrder, name string, kind uint32) bool {
	for len(notes) >= 12 {
		nameSize, size, of := order.Uint32(notes), order.Uint32(notes[4:]), order.Uint32(notes[8:])
		notes = notes[12:]
		nameEnd := (uint64(nameSize) + 3) &^ 3
		end := nameEnd + (uint64(size)+3)&^3
		if end > uint64(len(notes)) {
			return false
		}
		if of == kind && string(notes[:nameSize]) == name+"\x00" {
			return true
		}
		notes = notes[end:]
	}
	return false
}
