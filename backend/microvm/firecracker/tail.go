package firecracker

import (
	"strings"
	"sync"

	"glasshouse/internal/term"
)

// tail keeps the end of what is written to it.
type tail struct {
	most int

	mu  sync.Mutex
	buf []byte // twice as much as is kept, at most
	cut bool
}

func newTail(most int) *tail { return &tail{most: most} }

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	if len(p) > t.most {
		p, t.cut = p[len(p)-t.most:], true
	}
	if len(t.buf)+len(p) > 2*t.most {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-t.most:]...)
		t.cut = true
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// String is the end as lines of printable text, no longer than is kept.
func (t *tail) String() string {
	t.mu.Lock()
	text, cut := string(t.buf), t.cut
	t.mu.Unlock()
	if len(text) > t.most {
		text, cut = text[len(text)-t.most:], true
	}
	if cut {
		text = fromLine(text)
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		// A serial line ends with a carriage return, or several.
		b.WriteString(term.Printable(strings.TrimRight(line, "\r\n")))
		b.WriteByte('\n')
	}
	text = b.String()
	if len(text) > t.most { // what is not printable takes more room
		text = fromLine(text[len(text)-t.most:])
	}
	return text
}

// fromLine leaves out the end of a line whose beginning is not there, unless
// that is all.
func fromLine(text string) string {
	if _, rest, ok := strings.Cut(text, "\n"); ok && rest != "" {
		return rest
	}
	return text
}

// last is the last lines that are not empty, in one.
func last(text string, lines int) string {
	var found []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			found = append(found, line)
		}
	}
	return strings.Join(found[max(0, len(found)-lines):], "; ")
}
