package redact

import (
	"cmp"
	"slices"
	"strings"
)

// Secrets are looked for outside of the places in which a rule recognised them
// if they are long enough not to stand anywhere by accident.
const (
	minHunted = 8
	// headLen: of a longer secret its beginning alone is hidden as well, as far
	// as it agrees, for arguments and paths get cut.
	headLen = 64
)

// hunted tells whether a secret is looked for everywhere. A word or a date of
// eight characters is a poor secret, and no reason to hide each path that
// holds it.
func hunted(value string) bool {
	switch {
	case len(value) < minHunted:
		return false
	case len(value) >= 2*minHunted:
		return !isPath(value)
	case strings.Trim(value, "abcdefghijklmnopqrstuvwxyz") == "", strings.Trim(value, "0123456789-") == "" && len(value) < 12:
		return false
	}
	return !isPath(value)
}

// finder finds the known secrets in a string, in a time that grows with the
// string alone, whatever they are.
type finder struct {
	needles []needle // sorted by text
	begins  [1 << 10]uint64
}

type needle struct {
	text   string
	secret *secret
	// short is the longest other needle of less than headLen that this one begins
	// with; -1 for none.
	short int
}

func newFinder(needles []needle) *finder {
	slices.SortFunc(needles, func(a, b needle) int {
		// Of one form of two secrets, the one that it is the value of.
		return cmp.Or(strings.Compare(a.text, b.text), cmp.Compare(len(a.secret.value), len(b.secret.value)), strings.Compare(a.secret.value, b.secret.value))
	})
	needles = slices.CompactFunc(needles, func(a, b needle) bool { return a.text == b.text })
	f := &finder{needles: needles}
	var open []int // the short needles that begin the latest one
	for i := range needles {
		n := &needles[i]
		for len(open) > 0 && !strings.HasPrefix(n.text, needles[open[len(open)-1]].text) {
			open = open[:len(open)-1]
		}
		n.short = -1
		if len(open) > 0 {
			n.short = open[len(open)-1]
		}
		if len(n.text) < headLen {
			open = append(open, i)
		}
		var window uint64
		for k := range minHunted {
			window = window>>8 | uint64(n.text[k])<<56
		}
		h := hash(window)
		f.begins[h/64] |= 1 << (h % 64)
	}
	return f
}

func hash(window uint64) uint64 { return window * 0x9e3779b97f4a7c15 >> 48 }

// next finds the first secret in s at from or later, and of those that begin
// there the longest.
func (f *finder) next(s string, from int) (begin, end int, found *secret) {
	if len(f.needles) == 0 || len(s)-from < minHunted {
		return 0, 0, nil
	}
	var window uint64
	for i := from; i < len(s); i++ {
		window = window>>8 | uint64(s[i])<<56
		if i-from < minHunted-1 {
			continue
		}
		if h := hash(window); f.begins[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		begin := i - minHunted + 1
		if n, found := f.match(s[begin:]); found != nil {
			return begin, begin + n, found
		}
	}
	return 0, 0, nil
}

// replace puts redactions in the place of the secrets in s. use is called with
// each before its number is taken.
func (f *finder) replace(s string, use func(*secret)) string {
	begin, end, sec := f.next(s, 0)
	if sec == nil {
		return s
	}
	var b strings.Builder
	done := 0
	for ; sec != nil; begin, end, sec = f.next(s, done) {
		use(sec)
		b.WriteString(s[done:begin])
		b.WriteString(marker(sec.id))
		done = end
	}
	return b.String() + s[done:]
}

// match returns how much of the beginning of s is a secret.
func (f *finder) match(s string) (int, *secret) {
	// Those that agree with s the longest are its neighbours in the order.
	i, _ := f.search(s)
	best, at := 0, -1
	for k := max(i-1, 0); k <= i && k < len(f.needles); k++ {
		if n := common(f.needles[k].text, s); at < 0 || n > best {
			best, at = n, k
		}
	}
	for at >= 0 {
		n := &f.needles[at]
		if agree := min(best, len(n.text)); agree >= min(headLen, len(n.text)) {
			if i, ok := f.search(s[:agree]); ok {
				n = &f.needles[i] // of those that begin alike, the whole one
			}
			return agree, n.secret
		}
		at = n.short
	}
	return 0, nil
}

// search returns where s is, or would be.
func (f *finder) search(s string) (int, bool) {
	return slices.BinarySearchFunc(f.needles, s, func(n needle, s string) int { return strings.Compare(n.text, s) })
}

// common is the length of the longest common beginning.
func common(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
