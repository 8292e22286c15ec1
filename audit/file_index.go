package audit

import "hash/maphash"

// fileIndex finds files by their names. There can be millions: a map that
// holds the names as well takes several times the memory, all of which the
// garbage collector has to look at, and the time to move them as it grows.
type fileIndex struct {
	seed  maphash.Seed
	slots []fileSlot // a power of two of them, at most three quarters in use
	files fileList
}

// fileSlot is one place of the index. The hash's last bits tell the first place
// in which a file may be found; if others have that, it is in the next.
type fileSlot struct {
	hash uint32
	file uint32 // its place in the list, counted from 1; 0: free
}

func newFileIndex() fileIndex {
	return fileIndex{seed: maphash.MakeSeed(), slots: make([]fileSlot, 1024)}
}

// get returns the file of that name, a new one if there is none.
func (x *fileIndex) get(name fileName) *file {
	hash := uint32(maphash.String(x.seed, name.path))
	slot := x.search(hash, func(f *file) bool { return f.name() == name })
	if slot.file != 0 {
		return x.files.at(slot.file - 1)
	}
	f := x.files.add()
	f.path = name.path
	f.set(fileCutName, name.cut)
	f.set(fileOtherNS, name.otherNS)
	*slot = fileSlot{hash, x.files.len}
	if int(x.files.len) > len(x.slots)/4*3 {
		x.grow()
	}
	return f
}

// search returns the slot of the file that is it, or else a free one.
func (x *fileIndex) search(hash uint32, is func(*file) bool) *fileSlot {
	mask := uint32(len(x.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		slot := &x.slots[i]
		if slot.file == 0 || slot.hash == hash && is(x.files.at(slot.file-1)) {
			return slot
		}
	}
}

func (x *fileIndex) grow() {
	old := x.slots
	x.slots = make([]fileSlot, 2*len(old))
	for _, slot := range old {
		if slot.file != 0 {
			*x.search(slot.hash, func(*file) bool { return false }) = slot
		}
	}
}

// fileList holds files in the order in which they were met. They stay where
// they are.
type fileList struct {
	parts [][]file
	len   uint32
}

const filePart = 128

func (l *fileList) at(i uint32) *file { return &l.parts[i/filePart][i%filePart] }

func (l *fileList) add() *file {
	if l.len%filePart == 0 {
		l.parts = append(l.parts, make([]file, filePart))
	}
	l.len++
	return l.at(l.len - 1)
}
