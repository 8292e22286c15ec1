// Package receipttest checks the receipts that tests make against the JSON
// Schema of a receipt, with a validator that knows nothing of package receipt.
package receipttest

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"glasshouse/receipt"
)

// compiled is made by the first who needs it.
var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	const url = "urn:glasshouse:receipt"
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(receipt.Schema()))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat() // which 2020-12 leaves to the validator
	if err := c.AddResource(url, schema); err != nil {
		return nil, err
	}
	return c.Compile(url)
})

// Check returns an error that says what of a receipt's JSON is not as the
// schema has it, and where.
func Check(data []byte) error {
	schema, err := compiled()
	if err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// Validate fails the test if the receipt, once it is written, is not valid. It
// normalises the receipt. Of each list it looks at the first 4,096 elements: a
// hundred thousand files would take two seconds, and in a guest a minute.
func Validate(t testing.TB, rec *receipt.Receipt) {
	t.Helper()
	rec.Normalize()
	short := *rec
	shorten(reflect.ValueOf(&short).Elem(), 4096)
	var b bytes.Buffer
	if err := receipt.Encode(&b, &short); err != nil {
		t.Error(err)
	} else if err := Check(b.Bytes()); err != nil {
		t.Errorf("the receipt is not valid: %.2000v", err)
	}
}

// shorten cuts the lists of a struct, and of the structs in it.
func shorten(v reflect.Value, limit int) {
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			if field.CanSet() {
				shorten(field, limit)
			}
		}
	case reflect.Slice:
		if v.Len() > limit {
			v.Set(v.Slice(0, limit))
		}
	}
}

// New is a receipt that is valid and has nothing in it.
func New() *receipt.Receipt {
	at := time.Date(2026, time.January, 2, 3, 4, 5, 600_000_000, time.UTC)
	rec := &receipt.Receipt{
		ExecutionID: receipt.ExecutionID(at, 1, nil),
		Timestamp:   receipt.At(at),
		Timing:      receipt.Timing{StartedAt: receipt.At(at), EndedAt: receipt.At(at)},
		Execution:   receipt.Execution{Backend: "process", Isolation: "none", Provenance: "host"},
		Observation: receipt.Observation{Mode: "none"},
		Environment: receipt.Environment{Sandbox: receipt.Sandbox{Network: "enabled"}},
	}
	rec.Normalize()
	return rec
}

// Values are those that the schema names for a key: all, or, where a later
// version may add others, those of this one. The elements of a list are its
// name with "[]", as in network.attempts[].result.
func Values(t testing.TB, path string) []string {
	t.Helper()
	schema, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	for key := range strings.SplitSeq(path, ".") {
		key, list := strings.CutSuffix(key, "[]")
		if schema = schema.Properties[key]; schema != nil && list {
			schema = schema.Items2020
		}
		if schema == nil {
			t.Fatalf("%s: the schema has no %s", path, key)
		}
	}
	named := schema.Examples
	if schema.Enum != nil {
		named = schema.Enum.Values
	}
	values := make([]string, len(named))
	for i, v := range named {
		values[i] = v.(string)
	}
	return values
}
