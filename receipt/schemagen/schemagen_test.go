package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glasshouse/receipt"
)

func document(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/RECEIPT.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The types, the document and the schema say the same.
func TestSchemaIsUpToDate(t *testing.T) {
	want, err := generate(document(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(receipt.Schema())); diff != "" {
		t.Errorf("run go generate ./receipt (-wanted +committed):\n%s", diff)
	}
}

// A document that does not have a row for each key, and no others, in the order
// in which they are written, with type and what may be missing, makes no schema.
func TestDocumentIsChecked(t *testing.T) {
	good := document(t)
	for name, c := range map[string]struct{ old, new, want string }{
		"no row":          {"| `gid` | number | the group that it began as |\n", "", `section "command" has 5 keys, and the object 6`},
		"another row":     {"| `gid` | number | the group that it began as |\n", "| `gid` | number | x |\n| `pid` | number | y |\n", `section "command" has 7 keys`},
		"another type":    {"| `gid` | number | the group that", "| `gid` | string | the group that", `section "command", row 5 is "gid string", and the key "gid number"`},
		"another order":   {"| `sandbox` | object | what the command was denied |\n| `kernel` | string | the kernel's release |\n", "| `kernel` | string | the kernel's release |\n| `sandbox` | object | what the command was denied |\n", `section "environment", row 4`},
		"not optional":    {"| `to` | string | optional: ", "| `to` | string | ", `"to string", and the key "to string optional"`},
		"optional":        {"| `from` | string | the old path |", "| `from` | string | optional: the old path |", `"from string optional", and the key "from string"`},
		"never null":      {"| `reason` | string or `null` | why it is not", "| `reason` | string | why it is not", `"reason string", and the key "reason string or ` + "`null`"},
		"no section":      {"### `network.dns[]`\n", "", `section "network.dns[]" has 0 keys`},
		"another section": {"## `redactions[]`\n", "## `secrets[]`\n", `the document has a section "secrets[]"`},
		"no values":       {"| `what` | string | `mode`, `owner`", "| `what` | string | mode |\n\n| x | `owner`", "does not say which values filesystem.changed[].what can have"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Count(good, c.old) != 1 {
				t.Fatalf("the document has %q %d times", c.old, strings.Count(good, c.old))
			}
			_, err := generate(strings.Replace(good, c.old, c.new, 1))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A rule for a key that is no more does not stay behind.
func TestRulesAreChecked(t *testing.T) {
	good := document(t)
	rules["no.such"], closed = sum, append(closed, "nor.this")
	defer func() { delete(rules, "no.such"); closed = closed[:len(closed)-1] }()
	_, err := generate(good)
	const want = "there is a rule for no.such, and a receipt has no such key\nnor.this is to have a set of values, and a receipt has no such key"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
