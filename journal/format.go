// Package journal is the log that a run writes while it goes on, so that a
// recorder that is killed leaves evidence: docs/JOURNAL.md describes the
// format. It knows nothing of what the records mean.
//
// A Writer belongs to a recorder that lives. What a dead one left is found
// with List, taken with Claim, and read with Read.
package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Version is the version of the format. A reader refuses any other.
const Version = 1

// Kind tells what a frame holds. Numbers are never used again.
type Kind uint16

// The kinds of frames. Readers skip those that they do not know.
const (
	KindOpen      Kind = 1 // Open, always and only the first
	KindRecords   Kind = 2 // records of the BPF ring, of the layout that Open names
	KindStarting  Kind = 3 // Starting
	KindStarted   Kind = 4 // Started
	KindExited    Kind = 5 // Exited
	KindSums      Kind = 6 // Sums
	KindStopped   Kind = 7 // Stopped
	KindEnd       Kind = 8 // End, always the last
	KindAbandoned Kind = 9 // Abandoned
)

// What a frame may hold at most, in bytes. An open record holds the command's
// arguments, of which the kernel allows 6 MiB; in JSON a byte can take six.
const (
	maxPayload = 1 << 20
	maxOpen    = 64 << 20
)

func (k Kind) limit() int {
	if k == KindOpen {
		return maxOpen
	}
	return maxPayload
}

// magic begins the file; the version, as 32 bits, follows.
const magic = "glassjournal"

const (
	fileHeaderSize = len(magic) + 4
	headerSize     = 16
	chainSize      = sha256.Size
)

func fileHeader() []byte {
	return binary.LittleEndian.AppendUint32([]byte(magic), Version)
}

// header begins a frame: kind and a zero (16 bits each), the length of the
// payload (32), and the time (64, ns since 1970, signed). All little-endian.
type header struct {
	kind   Kind
	length uint32
	time   int64
}

func (h header) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(h.kind))
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, h.length)
	return binary.LittleEndian.AppendUint64(b, uint64(h.time))
}

func parseHeader(b []byte) (header, error) {
	h := header{
		kind:   Kind(binary.LittleEndian.Uint16(b)),
		length: binary.LittleEndian.Uint32(b[4:]),
		time:   int64(binary.LittleEndian.Uint64(b[8:])),
	}
	switch {
	case h.kind == 0 || b[2] != 0 || b[3] != 0:
		return h, errors.New("no frame begins here")
	case int64(h.length) > int64(h.kind.limit()):
		return h, fmt.Errorf("a frame of kind %d with %d bytes", h.kind, h.length)
	}
	return h, nil
}

// chain is the SHA-256 over the chain before, the header and the payload. The
// chain before the first frame is that of the file's header alone.
type chain [chainSize]byte

func (c *chain) begin() { *c = sha256.Sum256(fileHeader()) }

func (c *chain) add(header, payload []byte) {
	h := sha256.New()
	h.Write(c[:])
	h.Write(header)
	h.Write(payload)
	h.Sum(c[:0])
}

// appendRecord adds one record to the payload of KindRecords: its length (32
// bits), then its bytes.
func appendRecord(payload, record []byte) []byte {
	payload = binary.LittleEndian.AppendUint32(payload, uint32(len(record)))
	return append(payload, record...)
}

// Records is the payload of KindRecords.
type Records []byte

// Each calls f for each record. The bytes are valid until f returns.
func (r Records) Each(f func(record []byte)) error {
	for len(r) > 0 {
		if len(r) < 4 {
			return errors.New("a record's length is cut")
		}
		n := binary.LittleEndian.Uint32(r)
		r = r[4:]
		if uint64(n) > uint64(len(r)) {
			return fmt.Errorf("a record of %d bytes where %d are left", n, len(r))
		}
		f(r[:n:n])
		r = r[n:]
	}
	return nil
}

func (h header) at() time.Time { return time.Unix(0, h.time).UTC() }
