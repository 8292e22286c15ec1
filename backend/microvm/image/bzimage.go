package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Where the kernel's document on its x86 boot protocol puts things.
const (
	offSetupSects    = 0x1f1
	offMagic         = 0x202
	offVersion       = 0x206
	offKernelVersion = 0x20e
	offPayload       = 0x248
	offPayloadLength = 0x24c
	setupSectorSize  = 512
)

const (
	kernelMax    = 256 << 20 // bytes of a kernel's file
	kernelELFMax = 512 << 20
)

var errNoBzImage = errors.New("not a bzImage")

// bzImage is a kernel as distributions have it, checked as far as it is used.
type bzImage struct {
	data    []byte
	release string // as uname has it
}

func parseBzImage(data []byte) (*bzImage, error) {
	switch {
	case bytes.HasPrefix(data, []byte(elf.ELFMAG)):
		return nil, fmt.Errorf("%w but an ELF file: the bzImage that it was packed into is needed", errNoBzImage)
	case len(data) < offPayloadLength+4 || string(data[offMagic:offMagic+4]) != "HdrS":
		return nil, errNoBzImage
	}
	if v := binary.LittleEndian.Uint16(data[offVersion:]); v < 0x208 {
		return nil, fmt.Errorf("%w that tells where its payload is: boot protocol %d.%02d, 2.08 is needed", errNoBzImage, v>>8, v&0xff)
	}
	b := &bzImage{data: data}
	// The text is 512 bytes, the boot sector, from where the field says.
	at := int(binary.LittleEndian.Uint16(data[offKernelVersion:])) + setupSectorSize
	if at == setupSectorSize || at >= len(data) {
		return nil, fmt.Errorf("%w with a version", errNoBzImage)
	}
	text, _, ended := bytes.Cut(data[at:min(len(data), at+256)], []byte{0})
	words := strings.Fields(string(text))
	if !ended || len(words) == 0 {
		return nil, fmt.Errorf("%w with a version", errNoBzImage)
	}
	if b.release = words[0]; !isRelease(b.release) {
		return nil, fmt.Errorf("the kernel's release is %q", b.release)
	}
	return b, nil
}

// isRelease says whether a kernel's release is one, and the name of a folder.
func isRelease(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, ".") != "" && strings.Trim(s,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+~") == ""
}

// elf unpacks the kernel proper.
func (b *bzImage) elf() ([]byte, error) {
	sects := int64(b.data[offSetupSects])
	if sects == 0 {
		sects = 4
	}
	from := (sects+1)*setupSectorSize + int64(binary.LittleEndian.Uint32(b.data[offPayload:]))
	to := from + int64(binary.LittleEndian.Uint32(b.data[offPayloadLength:]))
	if to > int64(len(b.data)) || to-from < 8 {
		return nil, fmt.Errorf("the payload is at %d to %d of %d bytes", from, to, len(b.data))
	}
	payload := b.data[from:to]
	switch compression(payload) {
	case "":
		if !bytes.HasPrefix(payload, []byte(elf.ELFMAG)) {
			return nil, errCompression
		}
	case "gzip": // has the size of what is in it in itself
	default:
		payload = payload[:len(payload)-4] // the size of what is in it
	}
	out, err := unpacked(payload, kernelELFMax)
	if err != nil {
		return nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(out))
	if err != nil {
		return nil, err
	}
	if f.Machine != elf.EM_X86_64 || f.Type != elf.ET_EXEC {
		return nil, fmt.Errorf("%s %s, want a program for x86-64", f.Machine, f.Type)
	}
	return out, nil
}
