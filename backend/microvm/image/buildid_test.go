package image

import (
	"bytes"
	"debug/elf"
	"runtime"
	"testing"
)

// buildNote is the section in which a program says its build ID.
func buildNote(id string) section {
	return section{".note.go.buildid", "\x04\x00\x00\x00" + string([]byte{byte(len(id)), 0, 0, 0}) + "\x04\x00\x00\x00Go\x00\x00" + id}
}

func TestBuildID(t *testing.T) {
	if runtime.GOOS == "linux" && OwnBuildID() == "" {
		t.Error("this program has none")
	}
	for want, s := range map[string]section{
		"a/b/c": buildNote("a/b/c"),
		"":      {".note.go.buildid", buildNote("a/b/c").data[:18]},
	} {
		if got := buildID(bytes.NewReader(makeELF(elf.ET_EXEC, elf.EM_X86_64, nil, s))); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, none := range [][]byte{nil, []byte("text"), makeELF(elf.ET_EXEC, elf.EM_X86_64, nil)} {
		if got := buildID(bytes.NewReader(none)); got != "" {
			t.Errorf("%q", got)
		}
	}
}

func TestOfThisBuild(t *testing.T) {
	m := Manifest{GlasshouseVersion: "devel", GlasshouseBuild: "a"}
	for _, c := range []struct {
		version, build string
		want           bool
	}{{"devel", "a", true}, {"devel", "b", false}, {"v1", "a", false}, {"devel", "", true}} {
		if got := m.OfThisBuild(c.version, c.build); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	// It is older than such IDs are.
	m.GlasshouseBuild = ""
	if m.OfThisBuild("devel", "a") {
		t.Error("an image that does not know")
	}
}
