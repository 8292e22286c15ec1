// Package term fits text from outside into a terminal: without what would move
// its cursor, and into so many cells.
package term

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many combining characters may follow each other. More would
// spread over other lines.
const maxMarks = 8

// Printable makes text from outside safe to show on a terminal: a file may
// have a name that moves the cursor or sets the title. What is no printable
// character is shown as Go would escape it.
func Printable(s string) string {
	return escape(s, func(r rune) bool {
		return r < utf8.RuneSelf && ' ' <= r && r <= '~' || r >= utf8.RuneSelf && unicode.IsPrint(r)
	})
}

// PrintableASCII is Printable for terminals that show nothing but ASCII.
func PrintableASCII(s string) string {
	return escape(s, func(r rune) bool { return ' ' <= r && r <= '~' })
}

func escape(s string, plain func(rune) bool) string {
	marks := 0
	keep := func(r rune) bool {
		if r < 0x300 || !unicode.Is(unicode.M, r) {
			marks = 0
			return plain(r)
		}
		marks++
		return marks <= maxMarks && plain(r)
	}
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || !keep(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	marks = 0
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x`)
			b.WriteByte("0123456789abcdef"[s[0]>>4])
			b.WriteByte("0123456789abcdef"[s[0]&15])
		case keep(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	return b.String()
}
