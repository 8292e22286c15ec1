package receipt_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glasshouse/receipt/receipttest"
)

// docs/RECEIPT.md, of which the schema is made, has a row for each kind of gap,
// and no others, in the order of the constants.
func TestDocumentNamesEveryGap(t *testing.T) {
	if diff := cmp.Diff(gapKinds(t), receipttest.Values(t, "observation.gaps[].kind")); diff != "" {
		t.Errorf("kinds (-receipt +document):\n%s", diff)
	}
}

// gapKinds are the values of the constants in gaps.go, read from the source: a
// list of them in the code would be one more place to forget.
func gapKinds(t *testing.T) (kinds []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "gaps.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			kind, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
			if err != nil || !strings.HasPrefix(name.Name, "Gap") {
				t.Errorf("%s is no kind of gap", name)
			}
			kinds = append(kinds, kind)
		}
		return false
	})
	return kinds
}

// A blank line ends a table of Markdown: rows behind it are no table any more.
func TestDocumentTablesAreWhole(t *testing.T) {
	for _, page := range []string{"../docs/RECEIPT.md", "../README.md", "../ARCHITECTURE.md"} {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(data), "\n")
		for i, line := range lines[:len(lines)-1] {
			begins := strings.HasPrefix(line, "|") && (i == 0 || !strings.HasPrefix(lines[i-1], "|"))
			if begins && !strings.HasPrefix(lines[i+1], "|---") {
				t.Errorf("%s:%d: a row without a table: %.40s", page, i+1, line)
			}
		}
	}
}
