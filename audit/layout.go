package audit

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
)

// wireSource is where the form of the records is decided: their layout, and the
// numbers of their types, operations and flags. Tests of package ebpf compare it
// with what the kernel's programs make.
//
//go:embed wire.go
var wireSource []byte

// Layout names the form of the records that collectors of this build make. A
// change to wire.go is another form, be it of a comment: records that were kept
// are rather refused than misread.
func Layout() string {
	sum := sha256.Sum256(wireSource)
	return "records-" + hex.EncodeToString(sum[:8])
}
