package receipt

import (
	"unicode/utf8"
)

// appendString appends s as a JSON string, with the escapes of encoding/json
// without those for HTML.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	begin := 0 // of what has not been appended
	for i := 0; i < len(s); {
		c := s[i]
		if plainByte[c] {
			i++
			continue
		}
		size, escape := 1, ""
		if c < utf8.RuneSelf {
			escape = byteEscapes[c]
		} else {
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size == 1 {
				escape = `\ufffd`
			} else if r == '\u2028' {
				escape = `\u2028`
			} else if r == '\u2029' {
				escape = `\u2029`
			}
		}
		if escape != "" {
			b = append(append(b, s[begin:i]...), escape...)
			begin = i + size
		}
		i += size
	}
	return append(append(b, s[begin:]...), '"')
}

// plainByte are the bytes that stand for themselves.
var plainByte = func() (plain [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// byteEscapes are the other bytes of ASCII.
var byteEscapes = func() (escapes [utf8.RuneSelf]string) {
	for c := range byte(' ') {
		escapes[c] = `\u00` + hexDigits[c>>4:c>>4+1] + hexDigits[c&15:c&15+1]
	}
	for c, escape := range map[byte]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`} {
		escapes[c] = escape
	}
	return escapes
}()
