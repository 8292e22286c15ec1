package term

import (
	"strings"

	"github.com/rivo/uniseg"
)

// Width is how many cells a printable text takes.
func Width(s string) int {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return uniseg.StringWidth(s)
		}
	}
	return len(s)
}

// Clip keeps the beginning of a printable text within so many cells, and puts
// dots in the place of the rest.
func Clip(s string, cells int, dots string) string {
	if fits(s, cells) {
		return s
	}
	if cells < Width(dots) {
		return ""
	}
	return head(s, cells-Width(dots)) + dots
}

// ClipMiddle keeps both ends of a printable text within so many cells: the end
// of a path says more than its beginning, and gets most.
func ClipMiddle(s string, cells int, dots string) string {
	if fits(s, cells) {
		return s
	}
	room := cells - Width(dots)
	if room < 0 {
		return ""
	}
	// The last name is kept whole if a little more fits; else what fits.
	end := tail(s, room-min(8, room/3))
	if i := strings.IndexByte(end, '/'); i >= 0 {
		end = end[i:]
	} else {
		end = tail(s, room-room/3)
	}
	return head(s, room-Width(end)) + dots + end
}

// Pad fills a text up with spaces to so many cells.
func Pad(s string, cells int) string {
	return s + strings.Repeat(" ", max(0, cells-Width(s)))
}

// Wrap breaks a printable text at spaces into lines of at most so many cells.
// A word that is longer is broken as well.
func Wrap(s string, cells int) []string {
	var lines []string
	line, used := "", 0
	flush := func() {
		if used > 0 {
			lines = append(lines, line)
			line, used = "", 0
		}
	}
	for word := range strings.FieldsSeq(s) {
		w := Width(word)
		if used > 0 && used+1+w <= cells {
			line, used = line+" "+word, used+1+w
			continue
		}
		flush()
		for w > cells {
			part := head(word, cells)
			if part == "" { // not even one character fits
				return lines
			}
			lines = append(lines, part)
			word = word[len(part):]
			w = Width(word)
		}
		line, used = word, w
	}
	flush()
	return lines
}

// fits does not look at all of a text that is far too long.
func fits(s string, cells int) bool {
	return len(s) <= cells || len(head(s, cells)) == len(s)
}

// head is the longest beginning of whole characters that takes at most so many
// cells.
func head(s string, cells int) string {
	used, state, rest := 0, -1, s
	for len(rest) > 0 {
		_, next, w, st := uniseg.FirstGraphemeClusterInString(rest, state)
		if used+w > cells {
			break
		}
		used, state, rest = used+w, st, next
	}
	return s[:len(s)-len(rest)]
}

// tail is the longest end of whole characters that takes at most so many cells.
func tail(s string, cells int) string {
	// Characters are found from the front; no more of it than can matter.
	const most = 64 // bytes of a character, and more than there are after Printable
	from := 0
	if len(s) > (cells+2)*most {
		from = len(s) - (cells+2)*most
		for from < len(s) && s[from]&0xc0 == 0x80 {
			from++
		}
	}
	type char struct{ at, w int }
	var chars []char
	state, rest := -1, s[from:]
	for len(rest) > 0 {
		_, next, w, st := uniseg.FirstGraphemeClusterInString(rest, state)
		chars = append(chars, char{len(s) - len(rest), w})
		state, rest = st, next
	}
	at, used := len(s), 0
	for i := len(chars) - 1; i >= 0 && used+chars[i].w <= cells; i-- {
		at, used = chars[i].at, used+chars[i].w
	}
	return s[at:]
}
