package ebpf

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
)

// eventHeader is where the form of the records is decided: their layout, and
// the numbers of their types, operations and flags.
//
//go:embed bpf/event.h
var eventHeader []byte

// Layout names the form of the records that collectors of this build take from
// the ring. A change to bpf/event.h is another form, be it of a comment:
// records that were kept are rather refused than misread.
func Layout() string {
	sum := sha256.Sum256(eventHeader)
	return "ebpf-" + hex.EncodeToString(sum[:8])
}
