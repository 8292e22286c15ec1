package github

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
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

func printable(s string) string {
	var b strings.Builder
	n := 0 // characters in b
	for _, r := range s {
		shown := string(r)
		if !unicode.IsPrint(r) {
			q := strconv.QuoteRune(r)
			shown = q[1 : len(q)-1]
		}
		if n += utf8.RuneCountInString(shown); n > maxText {
			b.WriteString("...")
			break
		}
		b.WriteString(shown)
	}
	return b.String()
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
