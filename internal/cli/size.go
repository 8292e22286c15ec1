package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ringSize is a flag: bytes, or with the suffix K, M or G for the powers of
// 1024. 0 is what it is without the flag.
type ringSize int

const ringSizeMax = 1 << 30

// Type names the kind of value in the help, where the usage does not.
func (*ringSize) Type() string { return "size" }

func (s *ringSize) String() string {
	if *s == 0 {
		return ""
	}
	return sizeText(int(*s))
}

// Set takes a power of two from a page, the least that a ring can be, up.
func (s *ringSize) Set(text string) error {
	digits, unit := text, 1
	for suffix, factor := range map[string]int{"K": 1 << 10, "M": 1 << 20, "G": 1 << 30} {
		if rest, ok := strings.CutSuffix(strings.ToUpper(text), suffix); ok {
			digits, unit = rest, factor
		}
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	size := n * uint64(unit) // below 2^62
	page := os.Getpagesize()
	if err != nil || size < uint64(page) || size > ringSizeMax || size&(size-1) != 0 {
		return fmt.Errorf("it must be a power of two from %s to %s", sizeText(page), sizeText(ringSizeMax))
	}
	*s = ringSize(size)
	return nil
}

func sizeText(n int) string {
	for i, suffix := range []string{"G", "M", "K"} {
		if unit := 1 << (30 - 10*i); n%unit == 0 && n > 0 {
			return strconv.Itoa(n/unit) + suffix
		}
	}
	return strconv.Itoa(n)
}
