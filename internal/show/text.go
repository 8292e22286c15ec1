package show

import (
	"fmt"
	"strconv"
)

// number is 1234567 as "1,234,567".
func number[T int | uint64](n T) string {
	digits := strconv.FormatUint(uint64(max(n, 0)), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// size is a number of bytes in short: "39 B", "1.4 MiB".
func size(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/(1<<10), 0
	for f >= 1000 && unit < 5 {
		f, unit = f/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTPE"[unit])
}

// some is a count for a column, of at most five cells: nothing is a dash.
func some(n int, dash string) string {
	switch {
	case n == 0:
		return dash
	case n < 10_000:
		return number(n)
	case n < 1_000_000:
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprintf("%dM", n/1_000_000)
}
