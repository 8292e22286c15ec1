package cli

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// parseSize reads bytes, or with the suffix K, M, G or T for the powers of 1024.
func parseSize(text string) (size uint64, ok bool) {
	digits, shift := text, 0
	for i, suffix := range []string{"K", "M", "G", "T"} {
		if rest, has := strings.CutSuffix(strings.ToUpper(text), suffix); has {
			digits, shift = rest, 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n << shift, err == nil && n <= math.MaxUint64>>shift
}

// ringSize is a flag: a size as parseSize reads it. 0 is what it is without the
// flag.
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
	size, ok := parseSize(text)
	page := os.Getpagesize()
	if !ok || size < uint64(page) || size > ringSizeMax || size&(size-1) != 0 {
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

// byteSize is a flag: any size as parseSize reads it, but 0, which is what it is
// without the flag.
type byteSize int64

const byteSizeMax = 16 << 40

// Type names the kind of value in the help, where the usage does not.
func (*byteSize) Type() string { return "size" }

func (s *byteSize) String() string {
	if *s == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*s), 10)
}

func (s *byteSize) Set(text string) error {
	size, ok := parseSize(text)
	if !ok || size < 1 || size > byteSizeMax {
		return errors.New("it must be a size such as 512M, up to 16T")
	}
	*s = byteSize(size)
	return nil
}
