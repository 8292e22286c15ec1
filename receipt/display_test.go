package receipt

import "testing"

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"plain é 世 <b>":            "plain é 世 <b>",
		"a\nb\tc\x1b[31m\x00":      `a\nb\tc\x1b[31m\x00`,
		"\u202egnp\u2066\u2028":    `\u202egnp\u2066\u2028`,
		"no\u00a0break\ufeff":      `no\u00a0break\ufeff`,
		"caf\xe9":                  `caf\xe9`,
		"\ufffd":                   "\ufffd",
		"\U000e0041 \U0010ffff \\": `\U000e0041 \U0010ffff \`,
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		argv []string
		want string
	}{
		{nil, ""},
		{[]string{"go", "build", "-o=x", "./..."}, "go build -o=x ./..."},
		{[]string{"sh", "-c", "echo it's; exit 3", ""}, `sh -c 'echo it'\''s; exit 3' ''`},
		{[]string{"a\nb", "$x", "*", "~"}, "'a\nb' '$x' '*' '~'"},
	} {
		if got := CommandLine(tc.argv); got != tc.want {
			t.Errorf("%q: got %s, want %s", tc.argv, got, tc.want)
		}
	}
}
