package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"os"

	"golang.org/x/term"

	"glasshouse/backend"
)

// stream is one output of the command: a terminal that it inherits, or a
// copy that is counted and hashed on its way through.
type stream struct {
	out  io.Writer
	hash hash.Hash // nil if the command inherits out
	n    uint64
}

func newStream(w io.Writer) *stream {
	if w == nil {
		w = io.Discard
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &stream{out: w}
	}
	return &stream{out: w, hash: sha256.New()}
}

// newStreams returns those of stdout and stderr: one for both where they are
// the same, so that what the command writes keeps its order.
func newStreams(stdout, stderr io.Writer) (*stream, *stream) {
	out := newStream(stdout)
	if out.hash != nil && backend.SameWriter(stdout, stderr) {
		return out, out
	}
	a, isFile := stdout.(*os.File)
	b, areFiles := stderr.(*os.File)
	if isFile && areFiles && out.hash != nil && sameOutput(a, b) {
		return out, out
	}
	return out, newStream(stderr)
}

// writer is what the backend gets. A terminal must stay an *os.File for the
// command to find it a terminal.
func (s *stream) writer() io.Writer {
	if s.hash == nil {
		return s.out
	}
	return s
}

// Write counts what the command wrote, whether or not it can be passed on:
// the receipt is about the command, not about who reads its output.
func (s *stream) Write(p []byte) (int, error) {
	s.hash.Write(p)
	s.n += uint64(len(p))
	return s.out.Write(p)
}

// sums returns the receipt's hash and byte count. It may be called once the
// backend's Wait has returned.
func (s *stream) sums() (*string, *uint64) {
	if s.hash == nil {
		return nil, nil
	}
	sum, n := hex.EncodeToString(s.hash.Sum(nil)), s.n
	return &sum, &n
}
