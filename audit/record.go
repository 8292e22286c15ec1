package audit

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unsafe"
)

// Record makes a record as the kernel side does, for collectors that look from
// user space: what they see goes the same way as what the kernel sends.
type Record struct {
	Head WireHead
	segs [RecordSegments][]byte
}

// Reset empties the record for an event of a type.
func (r *Record) Reset(kind uint8, op Op) {
	*r = Record{Head: WireHead{Type: kind, Op: uint8(op)}}
	for i := range r.Head.Seg {
		r.Head.Seg[i].Root = NoRoot
	}
}

// SetBody sets one of the Wire bodies, the one that belongs to the type.
func SetBody[T any](r *Record, body T) {
	if unsafe.Sizeof(body) > unsafe.Sizeof(r.Head.Body) {
		panic(fmt.Sprintf("a body of %d bytes", unsafe.Sizeof(body)))
	}
	r.Head.Body = [6]uint64{}
	*(*T)(unsafe.Pointer(&r.Head.Body)) = body
}

// Segment sets a run of bytes. What is longer than a record can say is cut, and
// said to be.
func (r *Record) Segment(i int, data []byte, flags uint16) {
	if len(data) > segmentMax {
		data, flags = data[:segmentMax], flags|SegCut
	}
	r.segs[i] = data
	r.Head.Seg[i].Len = uint16(len(data))
	r.Head.Seg[i].Flags |= flags
}

// segmentMax leaves the longest record well below what a journal takes.
const segmentMax = 32 << 10

// Path sets a segment to an absolute path. Of one that is longer than a record
// can say the end is kept.
func (r *Record) Path(i int, path string, flags uint16) {
	if len(path) > segmentMax {
		path, flags = path[len(path)-segmentMax:], flags|SegCut
		_, path, _ = strings.Cut(path, "/")
	}
	r.Segment(i, namesOf(path), flags)
}

// Root says that the process's own root is the folder root, which is path of
// segment i or one above it.
func (r *Record) Root(i int, path, root string) {
	if root == "/" || root == "" {
		return
	}
	if path == root || strings.HasPrefix(path, root+"/") {
		r.Head.Seg[i].Root = uint16(len(r.segs[i]) - len(namesOf(root)))
	}
}

// namesOf are the names of a path from the leaf up, each with a NUL.
func namesOf(path string) []byte {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	names := make([]byte, 0, len(path)+1)
	for len(path) > 0 {
		i := strings.LastIndexByte(path, '/')
		names = append(append(names, path[i+1:]...), 0)
		path = path[:max(i, 0)]
	}
	return names
}

// Append appends the record's bytes.
func (r *Record) Append(buf []byte) []byte {
	head := unsafe.Slice((*byte)(unsafe.Pointer(&r.Head)), unsafe.Sizeof(r.Head))
	buf = append(buf, head...)
	for _, s := range r.segs {
		buf = append(buf, s...)
	}
	return buf
}

// AppendFramed appends the record behind its length, a little-endian uint32.
func (r *Record) AppendFramed(buf []byte) []byte {
	at := len(buf)
	buf = r.Append(append(buf, 0, 0, 0, 0))
	size := len(buf) - at - 4
	if size > math.MaxInt32 {
		panic("a record too large") // segments are bounded
	}
	binary.LittleEndian.PutUint32(buf[at:], uint32(size))
	return buf
}
