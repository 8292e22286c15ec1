//go:build linux && (amd64 || arm64)

package ebpf

import (
	"bytes"
	"debug/elf"
	"fmt"

	"github.com/cilium/ebpf"
)

// withoutLines reads an object, but for what it says of the lines of source
// that its instructions come from: that is a third of the work, here and when
// a program is loaded, and the kernel needs it only to tell why it refuses one.
func withoutLines(object []byte) (*ebpf.CollectionSpec, error) {
	file, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("read the object: %w", err)
	}
	// The section begins with struct btf_ext_header, and what it says of lines
	// with the size of a record.
	const lineInfoLen, recordSize = 20, 4
	if s := file.Section(".BTF.ext"); s != nil && s.Size >= lineInfoLen+4 {
		object = bytes.Clone(object)
		le.PutUint32(object[s.Offset+lineInfoLen:], recordSize)
	}
	return ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
}
