// Package cpiotest reads archives in tests.
package cpiotest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Entries reads an archive as the kernel does; each line has an entry's mode,
// its name and, quoted, its content.
func Entries(t testing.TB, b []byte) []string {
	t.Helper()
	var out []string
	at := 0
	take := func(n int) string {
		if at+n > len(b) {
			t.Fatalf("cut at %d of %d bytes", at, len(b))
		}
		at += n
		return string(b[at-n : at])
	}
	for {
		if at%4 != 0 {
			t.Fatalf("a header at %d", at)
		}
		if magic := take(6); magic != "070701" {
			t.Fatalf("magic %q", magic)
		}
		var f [13]int
		for i := range f {
			n, err := strconv.ParseUint(take(8), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			f[i] = int(n)
		}
		name := take(f[11])
		at = (at + 3) &^ 3
		content := take(f[6])
		at = (at + 3) &^ 3
		if !strings.HasSuffix(name, "\x00") {
			t.Fatalf("name %q has no end", name)
		}
		name = strings.TrimSuffix(name, "\x00")
		if name == "TRAILER!!!" {
			if at != len(b) {
				t.Errorf("%d bytes after the end", len(b)-at)
			}
			return out
		}
		out = append(out, fmt.Sprintf("%06o %s %q", f[1], name, content))
	}
}
