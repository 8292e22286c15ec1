package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// section is one of an ELF file that a test makes.
type section struct {
	name string
	data string
}

// makeELF makes as much of an ELF file as readers look at.
func makeELF(kind elf.Type, machine elf.Machine, progs []elf.ProgType, sections ...section) []byte {
	const headerSize, progSize, sectionSize = 64, 56, 64
	var names, data bytes.Buffer
	names.WriteByte(0)
	at := uint64(headerSize + progSize*len(progs))
	table := []elf.Section64{{}}
	for _, s := range append(sections, section{".shstrtab", ""}) {
		table = append(table, elf.Section64{
			Name: uint32(names.Len()), Type: uint32(elf.SHT_PROGBITS), Off: at + uint64(data.Len()), Size: uint64(len(s.data)),
		})
		names.WriteString(s.name + "\x00")
		data.WriteString(s.data)
	}
	last := &table[len(table)-1]
	last.Type, last.Off, last.Size = uint32(elf.SHT_STRTAB), at+uint64(data.Len()), uint64(names.Len())
	data.Write(names.Bytes())

	h := elf.Header64{
		Type: uint16(kind), Machine: uint16(machine), Version: 1, Phoff: headerSize, Shoff: at + uint64(data.Len()),
		Ehsize: headerSize, Phentsize: progSize, Phnum: uint16(len(progs)),
		Shentsize: sectionSize, Shnum: uint16(len(table)), Shstrndx: uint16(len(table) - 1),
	}
	copy(h.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	var out bytes.Buffer
	write := func(v any) {
		if err := binary.Write(&out, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	write(h)
	for _, p := range progs {
		write(elf.Prog64{Type: uint32(p)})
	}
	out.Write(data.Bytes())
	write(table)
	return out.Bytes()
}

const testRelease = "6.1.0-1-test"

// makeModule is a module with this in its .modinfo.
func makeModule(release string, info ...string) []byte {
	info = append(info, "vermagic="+release+" SMP mod_unload ")
	return makeELF(elf.ET_REL, elf.EM_X86_64, nil, section{".modinfo", strings.Join(info, "\x00") + "\x00"})
}

// makeBzImage puts a payload where the boot protocol says.
func makeBzImage(version string, payload []byte) []byte {
	const sects = 2
	b := make([]byte, (sects+1)*setupSectorSize)
	b[offSetupSects] = sects
	copy(b[offMagic:], "HdrS")
	binary.LittleEndian.PutUint16(b[offVersion:], 0x20f)
	const text = 0x300
	binary.LittleEndian.PutUint16(b[offKernelVersion:], text-setupSectorSize)
	copy(b[text:], version+"\x00")
	const code = "what unpacks it"
	binary.LittleEndian.PutUint32(b[offPayload:], uint32(len(code)))
	binary.LittleEndian.PutUint32(b[offPayloadLength:], uint32(len(payload)))
	return append(append(append(b, code...), payload...), "the rest"...)
}

func testKernelELF() []byte {
	return makeELF(elf.ET_EXEC, elf.EM_X86_64, []elf.ProgType{elf.PT_LOAD}, section{".text", "the kernel proper"})
}

// withSize is what a kernel's payload ends with, unless it is of gzip.
func withSize(packed []byte, size int) []byte {
	return binary.LittleEndian.AppendUint32(packed, uint32(size))
}

func packGzip(data []byte) []byte {
	return packed(data, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

func packZstd(data []byte) []byte {
	return packed(data, func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w)
		if err != nil {
			panic(err)
		}
		return z
	})
}

func packLZ4(data []byte) []byte {
	return packed(data, func(w io.Writer) io.WriteCloser {
		z := lz4.NewWriter(w)
		if err := z.Apply(lz4.LegacyOption(true)); err != nil {
			panic(err)
		}
		return z
	})
}

func packed(data []byte, open func(io.Writer) io.WriteCloser) []byte {
	var out bytes.Buffer
	w := open(&out)
	if _, err := w.Write(data); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// entry is one of a tar that a test makes.
type entry struct {
	tar.Header
	content string
}

func file(name, content string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, content}
}

func dir(name string) entry {
	return entry{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, ""}
}

func symlink(name, target string) entry {
	return entry{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, ""}
}

func hardlink(name, target string) entry {
	return entry{tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}, ""}
}

func makeTar(entries ...entry) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		e.Size, e.ModTime = int64(len(e.content)), time.Unix(1700000000, 0)
		if err := w.WriteHeader(&e.Header); err != nil {
			panic(fmt.Errorf("%q: %w", e.Name, err))
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// member is one of an archive of ar.
type member struct {
	name string
	data []byte
}

func makeAr(members ...member) []byte {
	out := bytes.NewBufferString(arMagic)
	for _, m := range members {
		fmt.Fprintf(out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		out.Write(m.data)
		if len(m.data)%2 == 1 {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

func makeDeb(files ...entry) []byte {
	return makeAr(
		member{"debian-binary", []byte("2.0\n")},
		member{"control.tar.gz", packGzip(makeTar(file("./control", "Package: linux-image-test\nVersion: 6.1.0-1\nDescription: x\n  Version: no\n")))},
		member{"data.tar.zst", packZstd(makeTar(files...))},
	)
}

func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// complains says whether an error is the one that is wanted, "" for none.
func complains(err error, want string) bool {
	if err == nil || want == "" {
		return err == nil && want == ""
	}
	return strings.Contains(err.Error(), want)
}
