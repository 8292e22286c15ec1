package compare

import (
	"strconv"
	"strings"
	"time"
)

// exact replaces what is known to be volatile, not guessed: numbers of
// processes, times of the run, and UUIDs.
func (s *scene) exact(text string) string {
	var out strings.Builder
	done, changed := 0, false
	put := func(from, to int, mark string) {
		out.WriteString(text[done:from])
		out.WriteString(mark)
		done, changed = to, true
	}
	for i := 0; i < len(text); {
		if strings.HasPrefix(text[i:], "/proc/") {
			n := len("/proc/") + digits(text[i+len("/proc/"):])
			put(i, i+n, s.procPath(text[i:i+n]))
			i += n
			continue
		}
		if n := uuid(text, i); n > 0 {
			put(i, i+n, uuidMark)
			i += n
			continue
		}
		n := digits(text[i:])
		if n == 0 {
			i++
			continue
		}
		switch t := s.timeAt(text[i:]); {
		case t > 0:
			put(i, i+t, timeMark)
			i += t
		case n >= shortestPID && s.pids[text[i:i+n]]:
			put(i, i+n, pidMark)
			i += n
		default:
			i += n
		}
	}
	if !changed {
		return text
	}
	out.WriteString(text[done:])
	return out.String()
}

// shortestPID is how many digits a number must have to be taken for that of a
// process outside of /proc.
const shortestPID = 3

// uuid is the length of the UUID at i: 36, or 0.
func uuid(s string, i int) int {
	const n = 36
	if i+n > len(s) || i > 0 && isAlnum(s[i-1]) || i+n < len(s) && isAlnum(s[i+n]) {
		return 0
	}
	for j := range n {
		c := s[i+j]
		switch j {
		case 8, 13, 18, 23:
			if c != '-' {
				return 0
			}
		default:
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
	}
	return n
}

func isAlnum(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

const dateLayout = "20060102"

// timeAt is how long the time is that s begins with, if it is one of the run:
// seconds, milli-, micro- or nanoseconds since 1970, or a date with or without
// a time of day.
func (s *scene) timeAt(text string) int {
	n := digits(text)
	switch n {
	case 10, 13, 16, 19:
		if v, err := strconv.ParseInt(text[:n], 10, 64); err == nil {
			unit := int64(1)
			for range n - 10 {
				unit *= 10
			}
			// In seconds, so that nothing overflows.
			sec := v / unit
			if sec >= s.from.Unix() && sec <= s.to.Unix() {
				return n
			}
		}
	}
	// 20260102T030405, 2026-01-02_03:04
	var date [3]string
	rest := text
	for i, width := range [3]int{4, 2, 2} {
		if i > 0 && rest != "" && strings.IndexByte("-_.", rest[0]) >= 0 {
			rest = rest[1:]
		}
		if digits(rest) < width {
			return 0
		}
		date[i], rest = rest[:width], rest[width:]
	}
	day, err := time.Parse(dateLayout, date[0]+date[1]+date[2])
	// Wherever on earth: local time is up to 14 hours off.
	if err != nil || day.Before(s.from.Add(-40*time.Hour)) || day.After(s.to.Add(40*time.Hour)) {
		return 0
	}
	dayEnd := len(text) - len(rest)
	// A time of day, if there is one.
	clock := rest
	if clock != "" && strings.IndexByte("-_.T ", clock[0]) >= 0 {
		clock = clock[1:]
	}
	parts := 0
	for parts < 3 && digits(clock) >= 2 {
		clock = clock[2:]
		parts++
		if parts < 3 && len(clock) > 2 && strings.IndexByte("-_.:", clock[0]) >= 0 && isDigit(clock[1]) && isDigit(clock[2]) {
			clock = clock[1:]
		}
	}
	if parts >= 2 && digits(clock) == 0 {
		return len(text) - len(clock)
	}
	if digits(rest) > 0 {
		return 0 // a longer number
	}
	return dayEnd
}
