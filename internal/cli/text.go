package cli

import (
	"strconv"

	"glasshouse/internal/term"
)

// printable makes text from outside safe to show on a terminal.
func printable(s string) string { return term.Printable(s) }

// shorten keeps a printable string within limit characters. The end of a path
// says more than its beginning.
func shorten(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return "..." + string(r[len(r)-limit+3:])
	}
	return s
}

// clip keeps a printable sentence within limit characters. Its beginning says
// what it is about.
func clip(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit-3]) + "..."
	}
	return s
}

// count is "1 file" or "2 files".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
