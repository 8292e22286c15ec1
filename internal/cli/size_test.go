package cli

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestRingSize(t *testing.T) {
	page := os.Getpagesize()
	for text, want := range map[string]int{
		strconv.Itoa(page): page,
		"4M":               4 << 20,
		"4m":               4 << 20,
		"4096K":            4 << 20,
		"4194304":          4 << 20,
		"1G":               1 << 30,
		"256k":             256 << 10,
	} {
		var s ringSize
		if err := s.Set(text); err != nil || int(s) != want {
			t.Errorf("%q is %d, %v; want %d", text, s, err, want)
		}
		var again ringSize
		if err := again.Set(s.String()); err != nil || again != s {
			t.Errorf("%q is written %q", text, s.String())
		}
	}
	for _, text := range []string{
		"", "0", "1", strconv.Itoa(page / 2), strconv.Itoa(page + 1), "3M", "2G", "1T", "4MB", "4 M", "-4M", "+4M", "4.0M",
		"0x1000000", "K", "18446744073709551616", "4194304G", "17179869184G", "M4", "4KM",
	} {
		var s ringSize
		err := s.Set(text)
		if err == nil || s != 0 {
			t.Errorf("%q is taken for %d", text, s)
		} else if !strings.Contains(err.Error(), "a power of two from "+sizeText(page)+" to 1G") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "1500": 1500, "512M": 512 << 20, "2g": 2 << 30, "16T": 16 << 40} {
		var s byteSize
		if err := s.Set(text); err != nil || int64(s) != want || s.String() != strconv.FormatInt(want, 10) {
			t.Errorf("%q is %s, %v; want %d", text, &s, err, want)
		}
	}
	for _, text := range []string{"", "0", "0M", "-1", "+1", "1.5G", "17T", "16777217T", "18446744073709551616", "T", "1 G", "1GB"} {
		var s byteSize
		if err := s.Set(text); err == nil || s != 0 {
			t.Errorf("%q is taken for %d", text, s)
		}
	}
}
