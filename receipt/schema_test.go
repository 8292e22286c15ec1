package receipt_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"glasshouse/receipt"
	"glasshouse/receipt/receipttest"
)

// good is a valid receipt with something in every key, as plain values.
func good(t *testing.T) map[string]any {
	t.Helper()
	var b bytes.Buffer
	if err := receipt.Encode(&b, receipt.Full()); err != nil {
		t.Fatal(err)
	}
	if err := receipttest.Check(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(&b)
	dec.UseNumber() // 2^64-1 is no float64
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// refused fails the test unless a receipt is refused for what stands at one
// place, and for nothing else.
func refused(t *testing.T, rec any, at string) {
	t.Helper()
	data, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	err = receipttest.Check(data)
	if err == nil {
		t.Error("it is valid")
		return
	}
	if places := strings.Count(err.Error(), "- at '"); places != 1 || !strings.Contains(err.Error(), "- at '"+at+"': ") {
		t.Errorf("want one complaint at %s, got %v", at, err)
	}
}

// place is the object or list that holds what a JSON pointer leads to, and its key there.
func place(t *testing.T, rec any, pointer string) (holder any, key string) {
	t.Helper()
	keys := strings.Split(pointer, "/")[1:]
	for _, key := range keys[:len(keys)-1] {
		switch v := rec.(type) {
		case map[string]any:
			rec = v[key]
		case []any:
			rec = v[index(t, v, key)]
		}
	}
	return rec, keys[len(keys)-1]
}

func index(t *testing.T, list []any, key string) int {
	t.Helper()
	var i int
	if _, err := fmt.Sscan(key, &i); err != nil || i >= len(list) {
		t.Fatalf("no element %s in a list of %d", key, len(list))
	}
	return i
}

func set(t *testing.T, rec any, pointer string, value any) {
	t.Helper()
	switch holder, key := place(t, rec, pointer); v := holder.(type) {
	case map[string]any:
		v[key] = value
	case []any:
		v[index(t, v, key)] = value
	default:
		t.Fatalf("%s leads nowhere", pointer)
	}
}

// What is wrong is refused, at its place.
func TestSchemaRefuses(t *testing.T) {
	for _, c := range []struct {
		at    string
		value any
	}{
		// Wrong types.
		{"/command", nil},
		{"/command/argv", nil},
		{"/command/argv", "sh"},
		{"/command/argv/0", 1},
		{"/command/user", nil},
		{"/command/uid", "0"},
		{"/command/uid", 0.5},
		{"/outcome/signal", 9},
		{"/observation/complete", "true"},
		{"/observation/complete", nil},
		{"/observation/events/lost", nil},
		{"/observation/events/lost", []any{}},
		{"/observation/events/lost/ring_full", -1},
		{"/observation/gaps", nil},
		{"/observation/gaps/0", "root"},
		{"/process_tree", map[string]any{}},
		{"/process_tree/0/execs", nil},
		{"/filesystem/reads", nil},
		{"/filesystem/read/0", nil},
		{"/filesystem/files/0/final", nil}, // left out rather than null
		{"/network/attempts/0/host", 1},
		{"/syscalls/counts/openat", -1},
		{"/redactions", nil},
		// Numbers that cannot be.
		{"/command/uid", -1},
		{"/command/gid", uint64(1 << 32)},
		{"/process_tree/0/pid", 1 << 31},
		{"/process_tree/0/ppid", -1},
		{"/process_tree/0/start_time", new(big.Int).Lsh(big.NewInt(1), 64)},
		{"/artifacts/stdout_bytes", new(big.Int).Lsh(big.NewInt(1), 64)},
		{"/timing/duration_ms", uint64(1 << 63)},
		{"/outcome/exit_code", 256},
		{"/exit_code", -1},
		{"/process_tree/1/exit_code", 256},
		{"/resources/processes", -1},
		{"/redactions/0/id", 0},
		// Times.
		{"/timestamp", ""},
		{"/timestamp", "2026-01-02T03:04:05Z"},
		{"/timestamp", "2026-01-02T03:04:05.60000000Z"},
		{"/timestamp", "2026-01-02T03:04:05.6000000000Z"},
		{"/timestamp", "2026-01-02T03:04:05.600000000+01:00"},
		{"/timestamp", "2026-01-02 03:04:05.600000000Z"},
		{"/timestamp", "2026-02-30T03:04:05.600000000Z"},
		{"/timestamp", "2026-01-02T25:04:05.600000000Z"},
		{"/timing/ended_at", nil},
		{"/process_tree/0/ended_at", 1},
		{"/process_tree/0/ended_at", "yesterday"},
		// Text of a form.
		{"/receipt_version", "v0.2"},
		{"/receipt_version", "v0.31"},
		{"/receipt_version", "v0x3"},
		{"/execution_id", ""},
		{"/execution_id", strings.Repeat("0", 63)},
		{"/execution_id", strings.Repeat("0F", 32)},
		{"/artifacts/stderr_hash", "x"},
		{"/redactions/0/salt", strings.Repeat("0", 31)},
		{"/redactions/0/commitment", strings.Repeat("0", 65)},
		{"/redactions/0/places/0", "command/argv/1"},
		{"/filesystem/files/0/path_bytes", "x"},
		{"/filesystem/reads/0", "a"},
		{"/filesystem/deletes/0", "[redacted]/a"},
		// Values of no set.
		{"/execution/backend", ""},
		{"/execution/isolation", "some"},
		{"/execution/provenance", "Host"},
		{"/execution/guest/0/outcome", "undone"},
		{"/execution/vm/accelerator", "fast"},
		{"/execution/vm/image/0/name", "disk"},
		{"/execution/vm/image/0/sha256", "0"},
		{"/observation/mode", nil},
		{"/observation/mode", "eBPF"},
		{"/filesystem/renames/0/source", "guess"},
		{"/filesystem/created/0/kind", "folder"},
		{"/filesystem/created/0/source", ""},
		{"/filesystem/changed/0/what", "name"},
		{"/filesystem/changed/0/source", ""},
		{"/filesystem/mounts/0/op", "remount"},
		{"/filesystem/mounts/0/source", ""},
		{"/filesystem/files/0/source", ""},
		{"/network/attempts/0/result", "ok"},
		{"/network/connections/0/attempted", false},
		{"/environment/sandbox/network", "on"},
		// Left out where it says nothing.
		{"/filesystem/files/0/path_cut", false},
		{"/filesystem/files/0/requested", []any{}},
		{"/filesystem/files/0/path_bytes", ""},
		{"/filesystem/failed/0/to", ""},
		// Each once.
		{"/filesystem/reads", []any{"/a", "/a"}},
		{"/syscalls/denied", []any{"a", "a"}},
	} {
		t.Run(fmt.Sprint(c.at, " ", c.value), func(t *testing.T) {
			rec := good(t)
			set(t, rec, c.at, c.value)
			refused(t, rec, c.at)
		})
	}
	for _, rec := range []any{nil, 1, "x", []any{}} {
		refused(t, rec, "")
	}
	if err := receipttest.Check([]byte("{")); err == nil {
		t.Error("half a receipt is valid")
	}
}

// What may be is not refused.
func TestSchemaAccepts(t *testing.T) {
	for at, value := range map[string]any{
		"/receipt_version":            "v0.3.1",
		"/a_later_key":                1,
		"/network/a_later_key":        nil,
		"/process_tree/0/a_later_key": []any{nil},
		"/observation/gaps/0/kind":    "a later kind",
		"/outcome/signal":             nil,
		"/process_tree/0/pid":         1<<31 - 1,
		"/command/uid":                1<<32 - 1,
		"/process_tree/0/start_time":  json.Number("18446744073709551615"),
		"/timestamp":                  "0000-02-29T23:59:59.999999999Z",
		"/filesystem/deletes/0":       "[redacted:12]/a",
		"/redactions/0/places":        []any{"/command/argv/1", "/syscalls/counts/a~1b~0"},
	} {
		rec := good(t)
		set(t, rec, at, value)
		data, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		if err := receipttest.Check(data); err != nil {
			t.Errorf("%s is %v: %v", at, value, err)
		}
	}
	receipttest.Validate(t, receipttest.New())
}

// Each key that is not optional has to be there, in each object of the receipt,
// and no list is null.
func TestSchemaRequires(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(receipt.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	unseen := map[string]bool{}
	for _, key := range properties(schema, "") {
		unseen[key] = true
	}
	objects(schema, good(t), "", "", func(schema, object map[string]any, pointer, path string) {
		required := schema["required"].([]any)
		for key, s := range schema["properties"].(map[string]any) {
			at := pointer + "/" + key
			if slices.Contains(required, any(key)) {
				rec := good(t)
				holder, _ := place(t, rec, at)
				delete(holder.(map[string]any), key)
				refused(t, rec, pointer)
			}
			if s.(map[string]any)["type"] == "array" {
				rec := good(t)
				set(t, rec, at, nil)
				refused(t, rec, at)
			}
			if _, ok := object[key]; ok {
				delete(unseen, path+"."+key)
			}
		}
	})
	if len(unseen) > 0 {
		t.Errorf("the receipt of this test does not have %v", slices.Sorted(maps.Keys(unseen)))
	}
}

// properties are the keys of all objects that a schema knows.
func properties(schema map[string]any, path string) (all []string) {
	if items, ok := schema["items"].(map[string]any); ok {
		schema, path = items, path+"[]"
	}
	keys, _ := schema["properties"].(map[string]any)
	for key, s := range keys {
		all = append(all, path+"."+key)
		all = append(all, properties(s.(map[string]any), path+"."+key)...)
	}
	return all
}

// objects calls f for each object of a receipt that a schema knows the keys of.
func objects(schema map[string]any, v any, pointer, path string, f func(schema, object map[string]any, pointer, path string)) {
	switch v := v.(type) {
	case map[string]any:
		keys, ok := schema["properties"].(map[string]any)
		if !ok {
			return // of counts
		}
		f(schema, v, pointer, path)
		for key, s := range keys {
			objects(s.(map[string]any), v[key], pointer+"/"+key, path+"."+key, f)
		}
	case []any:
		for i, e := range v {
			objects(schema["items"].(map[string]any), e, fmt.Sprint(pointer, "/", i), path+"[]", f)
		}
	}
}
