package term

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	marks := strings.Repeat("\u0301", maxMarks)
	for in, want := range map[string]string{
		"/plain/päth":                 "/plain/päth",
		"a\x1b[2Jb":                   `a\x1b[2Jb`,
		"bad\xffbyte":                 `bad\xffbyte`,
		"\u009b31m":                   `\u009b31m`,
		"\u202egnp":                   `\u202egnp`,
		"\ufffd is printed":           "\ufffd is printed",
		"tab\there\n":                 `tab\there\n`,
		"e" + marks:                   "e" + marks,
		"e" + marks + "\u0302x\u0301": "e" + marks + `\u0302x` + "\u0301",
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"plain ~": "plain ~", "é日": `\u00e9\u65e5`, "\x7f\xff": `\x7f\xff`, "\ufffd": `\ufffd`} {
		if got := PrintableASCII(in); got != want {
			t.Errorf("ASCII of %q: got %q, want %q", in, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	for _, tc := range []struct {
		s      string
		cells  int
		clip   string
		middle string
	}{
		{"short", 5, "short", "short"},
		{"/usr/lib/python3/os.py", 12, "/usr/lib/py…", "/usr/…/os.py"},
		{"/usr/lib/python3/os.py", 16, "/usr/lib/python…", "/usr/lib/…/os.py"},
		{"日本語の名前", 12, "日本語の名前", "日本語の名前"},
		{"日本語の名前", 8, "日本語…", "日…名前"},
		{"eeee\u0301\u0301eeee", 5, "eeee\u0301\u0301…", "e…eee"},
		{"long", 1, "…", "…"},
		{"long", 0, "", ""},
	} {
		if got := Clip(tc.s, tc.cells, "…"); got != tc.clip {
			t.Errorf("clip %q to %d: %q, want %q", tc.s, tc.cells, got, tc.clip)
		}
		if got := ClipMiddle(tc.s, tc.cells, "…"); got != tc.middle {
			t.Errorf("clip the middle of %q to %d: %q, want %q", tc.s, tc.cells, got, tc.middle)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, tc := range []struct {
		s    string
		want []string
	}{
		{"", nil},
		{"one two three four", []string{"one two", "three", "four"}},
		{"  one   two ", []string{"one two"}},
		{"abcdefghijk l", []string{"abcdefgh", "ijk l"}},
		{"日本語の名前 x", []string{"日本語の", "名前 x"}},
	} {
		if got := Wrap(tc.s, 8); !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, want %q", tc.s, got, tc.want)
		}
	}
	if got := Wrap("日", 1); got != nil {
		t.Errorf("what does not fit: %q", got)
	}
}

// FuzzFit shows that text that was fitted fits, is printable, and consists of
// its own ends.
func FuzzFit(f *testing.F) {
	f.Add("/usr/lib/python3/os.py", 7)
	f.Add("日本語\x1b[31m\u0301\u0301\xff", 5)
	f.Add("\u1100\u1100\u1161\U0001f1e6\U0001f1e7\ufe0f", 3)
	f.Fuzz(func(t *testing.T, raw string, cells int) {
		cells = max(0, min(cells, 300))
		for _, s := range []string{Printable(raw), PrintableASCII(raw)} {
			if Printable(s) != s || !utf8.ValidString(s) {
				t.Fatalf("%q is not printable", s)
			}
			for _, dots := range []string{"…", "..."} {
				clip, middle := Clip(s, cells, dots), ClipMiddle(s, cells, dots)
				for _, got := range []string{clip, middle} {
					if Width(got) > cells {
						t.Errorf("%q takes %d cells, not %d", got, Width(got), cells)
					}
				}
				if Width(s) <= cells && (clip != s || middle != s) {
					t.Errorf("%q fits into %d and was cut to %q and %q", s, cells, clip, middle)
				}
				if clip != s && !strings.HasPrefix(s, strings.TrimSuffix(clip, dots)) {
					t.Errorf("%q does not begin %q", clip, s)
				}
			}
			for _, line := range Wrap(s, max(cells, 2)) {
				if Width(line) > max(cells, 2) {
					t.Errorf("line %q takes %d cells", line, Width(line))
				}
			}
		}
	})
}
