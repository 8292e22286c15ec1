package image

import (
	"bytes"
	"debug/elf"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// packedXZ is testKernelELF by xz --check=crc32 --x86 --lzma2, as the kernel's
// build does it.
const packedXZ = "/Td6WFoAAAFpIt42AgEEACEBEACLIW9J4AFZAFpdAD+RRYRoPYmm2orMk+JO8e3vZxg2gbsuUjIZL6QGPJf8DvIUiBM7CSXH/zPklequWSaG5WcbppSqY7+LZ5HF/ZUleT8qz5pZNBxMwGQ8FQ/o6niAeROcmQYgAAAAAPWRZA8AAXLaAgAAAGTX8+w+MA2LAgAAAAABWVo="

func TestBzImage(t *testing.T) {
	kernel := testKernelELF()
	xz, err := base64.StdEncoding.DecodeString(packedXZ)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		payload []byte
	}{
		{"gzip", packGzip(kernel)},
		{"zstd", withSize(packZstd(kernel), len(kernel))},
		{"lz4", withSize(packLZ4(kernel), len(kernel))},
		{"xz", withSize(xz, len(kernel))},
		{"as it is", kernel},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, err := parseBzImage(makeBzImage(testRelease+" (a@b) #1 SMP", tc.payload))
			if err != nil {
				t.Fatal(err)
			}
			if b.release != testRelease {
				t.Errorf("release %q", b.release)
			}
			got, err := b.elf()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, kernel) {
				t.Errorf("got %d bytes, want these %d", len(got), len(kernel))
			}
		})
	}
}

func TestBzImageErrors(t *testing.T) {
	good := makeBzImage(testRelease, packGzip(testKernelELF()))
	with := func(change func([]byte)) []byte {
		b := bytes.Clone(good)
		change(b)
		return b
	}
	for _, tc := range []struct {
		name, want string
		data       []byte
	}{
		{"good", "", good},
		{"empty", "not a bzImage", nil},
		{"text", "not a bzImage", []byte(strings.Repeat("kernel ", 1000))},
		{"the ELF file", "but an ELF file", testKernelELF()},
		{"short", "not a bzImage", good[:offPayloadLength+3]},
		{"old", "boot protocol 2.07", with(func(b []byte) { b[offVersion] = 7 })},
		{"no version", "with a version", with(func(b []byte) { b[offKernelVersion], b[offKernelVersion+1] = 0, 0 })},
		{"version beyond the end", "with a version", with(func(b []byte) { b[offKernelVersion], b[offKernelVersion+1] = 0xff, 0xff })},
		{"a release that is a path", "release is \"../x\"", makeBzImage("../x", nil)},
		{"release ..", "release is \"..\"", makeBzImage("..", nil)},
		{"payload beyond the end", "the payload is at", with(func(b []byte) { binary.LittleEndian.PutUint32(b[offPayloadLength:], 1<<31) })},
		{"payload far off", "the payload is at", with(func(b []byte) { binary.LittleEndian.PutUint32(b[offPayload:], 1<<32-1) })},
		{"no payload", "the payload is at", with(func(b []byte) { binary.LittleEndian.PutUint32(b[offPayloadLength:], 0) })},
		{"damaged payload", "flate", with(func(b []byte) { copy(b[bytes.Index(b, []byte("\x1f\x8b\x08"))+12:], "damaged") })},
		{"lzma", errCompression.Error(), makeBzImage(testRelease, []byte("\x5d\x00\x00\x00\x01abcdefgh"))},
		{"unknown", errCompression.Error(), makeBzImage(testRelease, []byte("abcdefghijkl"))},
		{"another machine", "EM_AARCH64", makeBzImage(testRelease, packGzip(makeELF(elf.ET_EXEC, elf.EM_AARCH64, nil)))},
		{"a module", "ET_REL", makeBzImage(testRelease, packGzip(makeELF(elf.ET_REL, elf.EM_X86_64, nil)))},
		{"no ELF file", "bad magic", makeBzImage(testRelease, packGzip([]byte("a kernel of another kind")))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, err := parseBzImage(tc.data)
			if err == nil {
				_, err = b.elf()
			}
			if !complains(err, tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// A few bytes can stand for more than there is room for.
func TestUnpackedIsBounded(t *testing.T) {
	bomb := packGzip(make([]byte, 1<<20))
	if _, err := unpacked(bomb, 1<<20-1); !complains(err, "more than") {
		t.Error(err)
	}
	if out, err := unpacked(bomb, 1<<20); err != nil || len(out) != 1<<20 {
		t.Error(len(out), err)
	}
	if _, err := unpacked([]byte("\x5d\x00\x00abc"), 10); !errors.Is(err, errCompression) {
		t.Error(err)
	}
}

func FuzzBzImage(f *testing.F) {
	kernel := testKernelELF()
	f.Add(makeBzImage(testRelease, packGzip(kernel)))
	f.Add(makeBzImage(testRelease, withSize(packLZ4(kernel), len(kernel))))
	f.Add(makeBzImage(testRelease, withSize(packZstd(kernel), len(kernel))))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := parseBzImage(data)
		if err != nil {
			return
		}
		if !isRelease(b.release) {
			t.Errorf("release %q", b.release)
		}
		if out, err := b.elf(); err == nil && !bytes.HasPrefix(out, []byte(elf.ELFMAG)) {
			t.Errorf("%q is no ELF file", out[:min(16, len(out))])
		}
	})
}
