package github

import (
	"strings"

	"glasshouse/internal/term"
)

// code is s as a code span. What cannot be printed, such as a line break or
// what turns the direction of writing, is escaped as Go would.
func code(s string) string {
	text := printable(s)
	if text == "" {
		return "(empty)"
	}
	fence := strings.Repeat("`", longestRun(text, '`')+1)
	if strings.Trim(text, " `") != text {
		text = " " + text + " " // which a reader takes off again
	}
	return fence + text + fence
}

// printable is cut before it is escaped, as it can be megabytes, and after.
func printable(s string) string {
	text, cut := first(s)
	text, again := first(term.Printable(text))
	if cut || again {
		text += "..."
	}
	return text
}

// first is the beginning of s, and whether there is more.
func first(s string) (string, bool) {
	n := 0
	for i := range s {
		if n++; n > maxText {
			return s[:i], true
		}
	}
	return s, false
}

func longestRun(s string, c byte) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != c {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
