package term

import (
	"math"
	"testing"
)

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		argv  []string
		limit int
		want  string
	}{
		{nil, math.MaxInt, ""},
		{[]string{"go", "build", "-o=x", "./..."}, math.MaxInt, "go build -o=x ./..."},
		{[]string{"sh", "-c", "echo it's; exit 3", ""}, math.MaxInt, `sh -c 'echo it'\''s; exit 3' ''`},
		{[]string{"a\nb", "$x", "*", "~"}, math.MaxInt, "'a\nb' '$x' '*' '~'"},
		{[]string{"abc", "def", "ghi"}, 5, "abc def ..."},
		{[]string{"abcdefgh", "i"}, 5, "abcde ..."},
	} {
		if got := CommandLine(tc.argv, tc.limit); got != tc.want {
			t.Errorf("%q: got %s, want %s", tc.argv, got, tc.want)
		}
	}
}
