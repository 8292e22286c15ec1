package receipt

import (
	"strings"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// IsText reports whether raw is valid UTF-8, and so its own text form.
func IsText(raw string) bool { return utf8.ValidString(raw) }

// Text is the text form of the kernel's bytes. Valid UTF-8 stays as it is.
// In anything else each invalid byte becomes \xHH and each backslash \\.
//
// Two different strings can have one text form (a name may really contain
// the four characters \xff), so where the exact bytes matter they have to
// stand beside it.
func Text(raw string) string {
	if IsText(raw) {
		return raw
	}
	var b strings.Builder
	b.Grow(len(raw) + 8)
	for i := 0; i < len(raw); {
		r, size := utf8.DecodeRuneInString(raw[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x`)
			b.WriteByte(hexDigits[raw[i]>>4])
			b.WriteByte(hexDigits[raw[i]&15])
		case r == '\\':
			b.WriteString(`\\`)
		default:
			b.WriteString(raw[i : i+size])
		}
		i += size
	}
	return b.String()
}
