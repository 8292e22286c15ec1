package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseEnv(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string
		err        string
	}{
		{"empty", "", nil, ""},
		{"plain", "A=1\nB=two words\n", []string{"A=1", "B=two words"}, ""},
		{"comments", "# A=0\n\n  # B=0\n \t\nC=3 # no comment here", []string{"C=3 # no comment here"}, ""},
		{"as it stands", "A=\"q\"\nB=$A\nC=a=b\nD=\n", []string{`A="q"`, "B=$A", "C=a=b", "D="}, ""},
		{"from Windows", "A=1\r\nB=2\r\n", []string{"A=1", "B=2"}, ""},
		{"no =", "A=1\n\nnonsense\n", nil, "f:3: no ="},
		{"no name", "=1\n", nil, "f:1:"},
		{"a blank in the name", "export A=1\n", nil, `f:1: "export A"`},
		{"NUL", "A=\x00\n", nil, "f:1: a NUL"},
		{"too large", strings.Repeat("A="+strings.Repeat("x", 1<<20)+"\n", 17), nil, "larger than 16 MiB"},
		{"too long a line", "A=" + strings.Repeat("x", maxEnvFile), nil, "too long"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseEnv("f", strings.NewReader(tc.text))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOverlay(t *testing.T) {
	got := overlay([]string{"A=1", "B=2", "A=3"}, []string{"C=4", "A=5", "C=6"})
	if diff := cmp.Diff([]string{"B=2", "C=6", "A=5"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
