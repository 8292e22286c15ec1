package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Errors of Read. What is wrong behind the open record is no error: it is cut.
var (
	ErrNotJournal = errors.New("not a journal")
	ErrNoOpen     = errors.New("the journal has no whole open record")
)

// A VersionError is a journal of a version that this package cannot read.
type VersionError struct{ Version uint32 }

func (e *VersionError) Error() string {
	return fmt.Sprintf("journal version %d is not supported: known is %d", e.Version, Version)
}

// Frame is one whole frame, its place in the chain checked.
type Frame struct {
	Kind   Kind
	Time   time.Time // when it was written
	Offset int64     // of its first byte in the file
	// Value is a pointer to the type that Kind is said to hold, or Records,
	// valid until the visit ends; nil for a kind that is not known.
	Value any
}

// Contents is what Read found.
type Contents struct {
	Open    *Open
	End     *End      // nil: the run has no end
	Last    time.Time // of the last whole frame
	Frames  int       // whole ones, the open record included
	Size    int64     // bytes up to the end of the last whole frame
	Unknown int       // frames of a kind that is not known
	Cut     *Cut      // nil: nothing was cut
}

// Cut is what was left out at the end of a journal.
type Cut struct {
	Offset int64  // the first byte left out
	Bytes  int64  // how many there were
	Reason string // one lowercase line
}

func (c *Cut) String() string {
	return fmt.Sprintf("cut at byte %d (%s), %d bytes left out", c.Offset, c.Reason, c.Bytes)
}

// Read reads a journal and calls visit for each frame in order, the open record
// first, up to the last whole one. A tail that is torn, or that does not
// continue the chain, is cut: it stands in Contents.Cut. Memory is bounded by
// the largest frame.
//
// The error wraps ErrNotJournal or ErrNoOpen, or is a *VersionError, or what
// visit returned.
func Read(r io.Reader, visit func(Frame) error) (*Contents, error) {
	rd := &reader{in: bufio.NewReaderSize(r, 64<<10)}
	if err := rd.fileHeader(); err != nil {
		return nil, err
	}
	c := &Contents{}
	for {
		f, err := rd.frame()
		if err == nil {
			err = c.fits(f)
		}
		if err == io.EOF && c.Open != nil {
			return c, nil
		}
		if c.Open == nil && err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoOpen, err)
		}
		if err != nil {
			c.Cut = &Cut{Offset: c.Size, Bytes: rd.offset - c.Size + rd.rest(), Reason: err.Error()}
			return c, nil
		}
		c.take(f, rd.offset)
		if err := visit(f); err != nil {
			return nil, err
		}
	}
}

// fits tells whether a frame may stand where it does.
func (c *Contents) fits(f Frame) error {
	switch {
	case c.End != nil:
		return errors.New("it goes on behind the closing record")
	case c.Open == nil && f.Kind != KindOpen:
		return fmt.Errorf("it begins with a frame of kind %d", f.Kind)
	case c.Open != nil && f.Kind == KindOpen:
		return errors.New("a second open record")
	}
	return nil
}

func (c *Contents) take(f Frame, end int64) {
	c.Frames++
	c.Size, c.Last = end, f.Time
	switch v := f.Value.(type) {
	case *Open:
		c.Open = v
	case *End:
		c.End = v
	case nil:
		c.Unknown++
	}
}

// ReadOpen reads the open record alone. Its errors are those of Read.
func ReadOpen(r io.Reader) (*Open, error) {
	var open *Open
	enough := errors.New("enough")
	_, err := Read(r, func(f Frame) error {
		open, _ = f.Value.(*Open)
		return enough
	})
	if err != enough {
		return nil, err
	}
	return open, nil
}

type reader struct {
	in     *bufio.Reader
	offset int64 // of the next byte
	chain  chain
	buf    bytes.Buffer
}

func (r *reader) fileHeader() error {
	b := make([]byte, fileHeaderSize)
	n, err := io.ReadFull(r.in, b)
	r.offset += int64(n)
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return fmt.Errorf("%w: %d bytes", ErrNotJournal, n)
	case err != nil:
		return err
	case string(b[:len(magic)]) != magic:
		return ErrNotJournal
	}
	if v := binary.LittleEndian.Uint32(b[len(magic):]); v != Version {
		return &VersionError{v}
	}
	r.chain.begin()
	return nil
}

// frame reads the next whole frame. It returns io.EOF where the file ends
// behind one.
func (r *reader) frame() (Frame, error) {
	f := Frame{Offset: r.offset}
	var head [headerSize]byte
	n, err := io.ReadFull(r.in, head[:])
	r.offset += int64(n)
	if err != nil {
		return f, torn(err)
	}
	h, err := parseHeader(head[:])
	if err != nil {
		return f, err
	}
	// The buffer grows with what is there, not with what is claimed.
	r.buf.Reset()
	copied, err := io.CopyN(&r.buf, r.in, int64(h.length)+chainSize)
	r.offset += copied
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return f, torn(err)
	}
	payload, sum := r.buf.Bytes()[:h.length], r.buf.Bytes()[h.length:]
	next := r.chain
	next.add(head[:], payload)
	if !bytes.Equal(next[:], sum) {
		return f, errors.New("a frame does not continue the chain of hashes")
	}
	f.Kind, f.Time = h.kind, h.at()
	if f.Value, err = decode(h.kind, payload); err != nil {
		return f, fmt.Errorf("a frame of kind %d: %w", h.kind, err)
	}
	r.chain = next
	return f, nil
}

func torn(err error) error {
	if err == io.ErrUnexpectedEOF {
		return errors.New("it ends within a frame")
	}
	return err
}

// rest counts what was not read.
func (r *reader) rest() int64 {
	n, _ := io.Copy(io.Discard, r.in) // an error ends it as an end would
	return n
}

func decode(kind Kind, payload []byte) (any, error) {
	var v any
	switch kind {
	case KindOpen:
		v = new(Open)
	case KindRecords:
		return Records(payload), Records(payload).Each(func([]byte) {})
	case KindStarting:
		v = new(Starting)
	case KindStarted:
		v = new(Started)
	case KindExited:
		v = new(Exited)
	case KindSums:
		v = new(Sums)
	case KindStopped:
		v = new(Stopped)
	case KindEnd:
		v = new(End)
	case KindAbandoned:
		v = new(Abandoned)
	default:
		return nil, nil
	}
	if err := json.Unmarshal(payload, v); err != nil {
		return nil, err
	}
	return v, nil
}
