//go:build linux

package adversary

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// The tests whose rows are workloads.
var tables = map[string][]row{"TestFiles": fileRows, "TestProcesses": processRows, "TestNetwork": networkRows, "TestSideDoors": doorRows}

// coverage is where the table lies.
const coverage = "../../docs/COVERAGE.md"

var named = regexp.MustCompile("`(Test[A-Za-z0-9]+)(?:/([a-z0-9-]+))?`")

// The table names tests that there are, and every workload of this package.
func TestCoverage(t *testing.T) {
	page, err := os.ReadFile(coverage)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, m := range named.FindAllSubmatch(page, -1) {
		test, sub := string(m[1]), string(m[2])
		found[test+"/"+sub] = true
		switch rows, ok := tables[test]; {
		case ok && !slices.ContainsFunc(rows, func(r row) bool { return r.name == sub }):
			t.Errorf("%s has no row %q", test, sub)
		case !ok && !defined(t, test):
			t.Errorf("there is no test %s", test)
		}
	}
	if len(found) < 20 {
		t.Errorf("the page names %d tests", len(found))
	}
	for test, rows := range tables {
		for _, r := range rows {
			if !found[test+"/"+r.name] {
				t.Errorf("%s/%s is not in the table", test, r.name)
			}
		}
	}
}

// defined tells whether a package that runs workloads has a test of that name.
func defined(t *testing.T, name string) bool {
	t.Helper()
	for _, pattern := range []string{"*_test.go", "../truth/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if regexp.MustCompile(`(?m)^func ` + name + `\(`).Match(source) {
				return true
			}
		}
	}
	return false
}
