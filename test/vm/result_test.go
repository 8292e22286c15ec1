package main

import (
	"fmt"
	"strings"
	"testing"
)

const (
	begin = "@matrix begin a|\n"
	end   = "@matrix end a|\n"
	done  = "@matrix done |6.1.0\n"
)

// What a guest printed is a success only where everything says so.
func TestReader(t *testing.T) {
	pass := "\x16--- PASS: TestA (0.00s)\n"
	for _, tc := range []struct {
		name, output string
		want         string // closing line, then problems of the suite, then the guest's
	}{
		{"green", begin + pass + end + done, "1 passed, 0 failed, 0 skipped [] <nil>"},
		{"carriage returns", strings.ReplaceAll(begin+pass+end+done, "\n", "\r\n"), "1 passed, 0 failed, 0 skipped [] <nil>"},
		{"half a line before", begin + "half" + pass + end + done, "1 passed, 0 failed, 0 skipped [] <nil>"},
		{"subtest", begin + "\x16    --- PASS: TestA/b (0.00s)\n" + pass + end + done, "2 passed, 0 failed, 0 skipped [] <nil>"},
		{"failed", begin + pass + "\x16--- FAIL: TestB (0.00s)\n@matrix end a|exit status 1\n" + done, "1 passed, 1 failed, 0 skipped [exit status 1] <nil>"},
		{"failed and exit 0", begin + pass + "\x16--- FAIL: TestB (0.00s)\n" + end + done, "1 passed, 1 failed, 0 skipped [has failed tests and says that it has none] <nil>"},
		{"skipped", begin + pass + "\x16--- SKIP: TestB (0.00s)\n" + end + done, "1 passed, 0 failed, 1 skipped [TestB was skipped, and has to run] <nil>"},
		{"may skip", begin + pass + "\x16--- SKIP: TestMay (0.00s)\n" + end + done, "1 passed, 0 failed, 1 skipped [] <nil>"},
		{"a test says so itself", begin + "--- PASS: TestA (0.00s)\n" + end + done, "0 passed, 0 failed, 0 skipped [ran no test] <nil>"},
		{"no test", begin + end + done, "0 passed, 0 failed, 0 skipped [ran no test] <nil>"},
		{"panic of the kernel", begin + pass + "Kernel panic - not syncing\n", "1 passed, 0 failed, 0 skipped [did not end] ended without a result"},
		{"nothing", "", "0 passed, 0 failed, 0 skipped [was not run] ended without a result"},
		{"suite left out", done, "0 passed, 0 failed, 0 skipped [was not run] <nil>"},
		{"no end of line", begin + pass + end + strings.TrimSpace(done), "1 passed, 0 failed, 0 skipped [] <nil>"},
		{"init failed", "@matrix failed |no proc\n", "0 passed, 0 failed, 0 skipped [was not run] no proc"},
		{"reset after the suite", begin + pass + end, "1 passed, 0 failed, 0 skipped [] ended without a result"},
		{"unknown suite", "@matrix begin b|\n" + pass + "@matrix end b|\n" + begin + pass + end + done, "1 passed, 0 failed, 0 skipped [] <nil>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := kernel{name: "6.1"}
			s := suite{name: "a", maySkip: map[string]string{"6.1/TestMay": "because", "5.10/TestB": "not here"}}
			for _, piece := range []int{1, 7, 4096} {
				r := newReader([]suite{s})
				for rest := tc.output; rest != ""; rest = rest[min(piece, len(rest)):] {
					if n, err := r.Write([]byte(rest[:min(piece, len(rest))])); n != min(piece, len(rest)) || err != nil {
						t.Fatal(n, err)
					}
				}
				err := r.close()
				o := r.outcomes["a"]
				if got := fmt.Sprint(o, " ", o.problems(k, s, false, false), " ", err); got != tc.want {
					t.Errorf("in pieces of %d: got %q, want %q", piece, got, tc.want)
				}
			}
		})
	}
}

// Where tests are selected a suite may have none; where the machine is not
// the matrix's own it may skip.
func TestProblems(t *testing.T) {
	k, s := kernel{name: "6.1"}, suite{name: "a"}
	o := &outcome{begun: true, ended: true}
	if got := o.problems(k, s, true, false); len(got) != 0 {
		t.Error(got)
	}
	o = &outcome{begun: true, ended: true, passed: 1, skipped: []string{"TestB"}}
	if got := o.problems(k, s, false, true); len(got) != 0 {
		t.Error(got)
	}
}

func TestLineIsBounded(t *testing.T) {
	r := newReader(nil)
	piece := []byte(strings.Repeat("x", 1<<16))
	for range 100 {
		if _, err := r.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.partial) > lineMax {
		t.Errorf("%d bytes kept", len(r.partial))
	}
}

func TestFailures(t *testing.T) {
	o := &outcome{}
	o.log.WriteString("=== RUN   TestA\n--- PASS: TestA (0.00s)\n\n    x_test.go:1: why\n--- FAIL: TestB (0.00s)\nFAIL\n")
	if got, want := o.failures(), "    x_test.go:1: why\n--- FAIL: TestB (0.00s)\nFAIL\n"; got != want {
		t.Errorf("got %q", got)
	}
}
