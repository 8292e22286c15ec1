//go:build linux && (amd64 || arm64)

package ptrace

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

// An order is what the recorder wants of the tracer, in JSON.
type order struct {
	// Seize: trace this process, which stands stopped behind its exec.
	Seize int `json:",omitempty"`
	// Adopt: take the place of a tracer that was killed, for these processes: let
	// pass whatever the filter stops.
	Adopt []int `json:",omitempty"`
	// Dead: this process did not survive its exec; Signal ended it.
	Dead   int `json:",omitempty"`
	Signal int `json:",omitempty"`

	ParentPID   int    `json:",omitempty"` // the recorder
	ParentStart uint64 `json:",omitempty"`
	// Sample: send the books as they are.
	Sample bool `json:",omitempty"`
	// Stop: send the books, and record no more.
	Stop bool `json:",omitempty"`
	// Left: there is no recorder any more.
	Left bool `json:"-"`
}

// takeOrders passes orders on until there are no more. They come from the recorder,
// and are as long as they have to be: one may name all processes of a run.
func takeOrders(r io.Reader, pass func(order)) {
	for orders := json.NewDecoder(r); ; {
		var o order
		if orders.Decode(&o) != nil {
			return
		}
		pass(o)
	}
}

// The kinds of frames that the tracer sends: the kind, a length of four bytes,
// and so much.
const (
	frameRecord = 'r' // one record
	frameAnswer = 'a' // to Seize and Dead, and at the start: a failure in JSON, empty if there is none
	frameBooks  = 'b' // audit.Summary in JSON, the last frame
	frameSample = 's' // likewise, of a run that goes on
)

// frameMax is more than any record takes.
const frameMax = 16 << 20

// sender sends frames.
type sender struct {
	mu   sync.Mutex
	w    *bufio.Writer
	buf  []byte
	gone bool // nobody reads any more
}

// flushPause is how long a record may wait for others.
const flushPause = 20 * time.Millisecond

func newSender(w io.Writer) *sender {
	return &sender{w: bufio.NewWriterSize(w, 64<<10)}
}

func (s *sender) flush() {
	if s.w.Buffered() > 0 && !s.gone {
		s.gone = s.w.Flush() != nil
	}
}

// record sends a record. It waits for the recorder if that lags behind, and the
// traced thread, which stands still, with it.
func (s *sender) record(r *audit.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w.Buffered() == 0 {
		time.AfterFunc(flushPause, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.flush()
		})
	}
	s.buf = r.AppendFramed(append(s.buf[:0], frameRecord))
	s.write(s.buf)
}

func (s *sender) write(b []byte) {
	if s.gone {
		return
	}
	if _, err := s.w.Write(b); err != nil {
		s.gone = true
	}
}

// frame sends a frame at once.
func (s *sender) frame(kind byte, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(append(binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(data))), data...))
	s.flush()
}

// failure is an error of the tracer's, in JSON and back.
type failure struct {
	Text  string
	Errno unix.Errno // what the kernel said; 0 if it was not the kernel
}

func (f *failure) Error() string { return f.Text }

func (f *failure) Unwrap() error {
	if f.Errno == 0 {
		return nil
	}
	return f.Errno
}

func (s *sender) answer(err error) {
	if err == nil {
		s.frame(frameAnswer, nil)
		return
	}
	f := failure{Text: err.Error()}
	errors.As(err, &f.Errno)
	s.json(frameAnswer, f)
}

func (s *sender) books(kind byte, sum audit.Summary) {
	s.json(kind, sum)
}

func (s *sender) json(kind byte, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // it holds nothing that JSON cannot say
	}
	s.frame(kind, data)
}

// readFrame reads a frame into buf, which it may replace.
func readFrame(r *bufio.Reader, buf *[]byte) (kind byte, data []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.LittleEndian.Uint32(head[1:])
	if size > frameMax {
		return 0, nil, fmt.Errorf("a frame of %d bytes", size)
	}
	if uint32(cap(*buf)) < size {
		*buf = make([]byte, size)
	}
	data = (*buf)[:size]
	if _, err := io.ReadFull(r, data); err != nil {
		return 0, nil, fmt.Errorf("a frame that is not whole: %w", err)
	}
	return head[0], data, nil
}
