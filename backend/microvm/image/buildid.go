package image

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"runtime"
)

// buildIDType is that of the note, of the owner Go, in which the linker says what a
// program was made of: another one for every change of it.
const buildIDType = 4

// buildID is that of a program; "" if it says none.
func buildID(program io.ReaderAt) string {
	f, err := elf.NewFile(program)
	if err != nil {
		return ""
	}
	s := f.Section(".note.go.buildid")
	if s == nil || s.Size > 4096 {
		return ""
	}
	note, err := s.Data()
	if err != nil || len(note) < 16 {
		return ""
	}
	size, kind, id := f.ByteOrder.Uint32(note[4:]), f.ByteOrder.Uint32(note[8:]), note[16:]
	if kind != buildIDType || !bytes.Equal(note[12:16], []byte("Go\x00\x00")) || uint64(size) > uint64(len(id)) {
		return ""
	}
	return string(id[:size])
}

// OwnBuildID is that of the program that runs; "" if it says none.
func OwnBuildID() string {
	file := "/proc/self/exe" // another program may have its name by now
	if runtime.GOOS != "linux" {
		var err error
		if file, err = os.Executable(); err != nil {
			return ""
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	return buildID(f)
}

// OfThisBuild tells whether the glasshouse in an image is the one that runs, of
// which these are the version and the build ID. Where that has no build ID the
// version has to do.
func (m *Manifest) OfThisBuild(version, buildID string) bool {
	return m.GlasshouseVersion == version && (buildID == "" || m.GlasshouseBuild == buildID)
}
