package receipt

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// docs/RECEIPT.md has a row for each key of each object, and no others, in the
// order in which they are written, and says which may be missing or null.
func TestDocumentNamesEveryKey(t *testing.T) {
	data, err := os.ReadFile("../docs/RECEIPT.md")
	if err != nil {
		t.Fatal(err)
	}
	got := documented(string(data))
	want := map[string][]string{}
	collect(reflect.TypeFor[Receipt](), "", want)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("sections (-receipt +document):\n%s", diff)
	}
	for section, keys := range want {
		if diff := cmp.Diff(keys, got[section]); diff != "" {
			t.Errorf("section %q (-receipt +document):\n%s", section, diff)
		}
	}
}

// docs/RECEIPT.md has a row for each kind of gap, and no others, in the order
// of the constants.
func TestDocumentNamesEveryGap(t *testing.T) {
	data, err := os.ReadFile("../docs/RECEIPT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(data), "\n| kind | what is behind it |\n|---|---|\n")
	if !ok {
		t.Fatal("the document has no table of kinds")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var got []string
	for row := range strings.SplitSeq(table, "\n") {
		kind, _, ok := strings.Cut(strings.TrimPrefix(row, "| `"), "` | ")
		if !ok {
			t.Errorf("a row without a kind: %.40s", row)
		}
		got = append(got, kind)
	}
	if diff := cmp.Diff(gapKinds(t), got); diff != "" {
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

// collect gathers what each object holds: keys with their types.
func collect(typ reflect.Type, at string, into map[string][]string) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		key, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		row := key + " " + typeName(f.Type)
		if opts == "omitempty" {
			row += " optional"
		}
		into[at] = append(into[at], row)

		inner, name := f.Type, strings.TrimPrefix(at+"."+key, ".")
		if inner.Kind() == reflect.Slice {
			inner, name = inner.Elem(), name+"[]"
		}
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != timeType {
			collect(inner, name, into)
		}
	}
}

func typeName(typ reflect.Type) string {
	switch {
	case typ == timeType:
		return "time"
	case typ.Kind() == reflect.Pointer && typ.Elem().Kind() == reflect.Struct && typ.Elem() != timeType:
		return typeName(typ.Elem()) // left out rather than null
	case typ.Kind() == reflect.Pointer:
		return typeName(typ.Elem()) + " or `null`"
	case typ == reflect.TypeFor[[]byte](), typ.Kind() == reflect.String:
		return "string"
	case typ.Kind() == reflect.Slice:
		return "list"
	case typ.Kind() == reflect.Bool:
		return "bool"
	case typ.Kind() == reflect.Struct, typ.Kind() == reflect.Map:
		return "object"
	default:
		return "number"
	}
}

var (
	heading = regexp.MustCompile("^##+ (?:`(.+)`|(Top level))$")
	keyRow  = regexp.MustCompile("^\\| `([a-z0-9_]+)` \\| ([^|]+) \\| (optional: )?")
)

// documented gathers the same from the document: the tables whose second
// column is the type.
func documented(text string) map[string][]string {
	rows := map[string][]string{}
	var section string
	var ofKeys bool
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := heading.FindStringSubmatch(line); m != nil {
			section = m[1]
		}
		if !strings.HasPrefix(line, "|") {
			ofKeys = false
		}
		if line == "| key | type | meaning |" {
			ofKeys = true
		}
		if m := keyRow.FindStringSubmatch(line); m != nil && ofKeys {
			row := m[1] + " " + m[2]
			if m[3] != "" {
				row += " optional"
			}
			rows[section] = append(rows[section], row)
		}
	}
	return rows
}
