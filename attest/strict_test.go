package attest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestUniqueKeys(t *testing.T) {
	many := func(last string) string {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, `"key%d":0,`, i)
		}
		return "{" + b.String() + last + ":0}"
	}
	for _, text := range []string{
		`{}`, `[]`, `"a"`, `1`, `{"a":1,"b":{"a":1}}`, `[{"a":1},{"a":1}]`, `{"a":["a","a"],"b":"a"}`,
		`{"a":":","b":"\":"}`, `{"a\"":1,"a":2}`, `{"a" : {"b":1} , "b" : 2}`, `{"":1}`, many(`"key100"`),
		`{"a":{"x":1},"b":{"x":1}}`,
	} {
		if err := uniqueKeys([]byte(text)); err != nil {
			t.Errorf("%.100s: %v", text, err)
		}
	}
	for _, text := range []string{
		`{"a":1,"a":1}`, `{"a":1,"b":2,"A":3}`, `[{"x":{"a":1,"a":2}}]`, `{"a":{},"a":[]}`, `{"a":1,"\u0061":2}`,
		`{"":1,"":2}`, "{\"a\" :1,\n\"a\"\t:2}", many(`"key0"`), many(`"key99"`), many(`"KEY50"`), "{\"k\":1,\"\u212a\":2}",
		`{"a\"":1,"a\"":2}`, `{"a":{"b":1},"c":[{}],"a":1}`,
	} {
		if err := uniqueKeys([]byte(text)); err == nil || !strings.HasSuffix(err.Error(), "is there twice") {
			t.Errorf("%.100s: %v", text, err)
		}
	}
}

// One object with very many keys must not take the square of their number.
func TestUniqueKeysIsQuick(t *testing.T) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range 300_000 {
		fmt.Fprintf(&b, `"%d":0,`, i)
	}
	b.WriteString(`"x":0}`)
	began := time.Now()
	if err := uniqueKeys(b.Bytes()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("%v", took)
	}
}

func FuzzUniqueKeys(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":1,"B":"\":"}],"\u0061":{}}`))
	f.Add([]byte(`[{"a":1},{"a":{"a":"a"}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) || !bytes.Equal(data, bytes.ToValidUTF8(data, nil)) {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		want := plainUnique(t, dec)
		if err := uniqueKeys(data); (err == nil) != want {
			t.Fatalf("%q: %v, want unique: %v", data, err, want)
		}
	})
}

// plainUnique reads one value token by token.
func plainUnique(t *testing.T, dec *json.Decoder) bool {
	tok, err := dec.Token()
	if err != nil {
		t.Skip(err) // nested too deeply for the decoder
	}
	unique := true
	var keys []string
	switch tok {
	case json.Delim('{'):
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				t.Skip(err)
			}
			for _, other := range keys {
				unique = unique && !strings.EqualFold(other, key.(string))
			}
			keys = append(keys, key.(string))
			unique = plainUnique(t, dec) && unique
		}
	case json.Delim('['):
		for dec.More() {
			unique = plainUnique(t, dec) && unique
		}
	default:
		return true
	}
	if _, err := dec.Token(); err != nil {
		t.Skip(err)
	}
	return unique
}

func TestAgrees(t *testing.T) {
	for _, c := range []struct{ says, other, want string }{
		{`{}`, `{"a":1}`, ""},
		{`{"a":1}`, `{"b":2,"a":1}`, ""},
		{`{"a":[1,{"b":null}]}`, `{"a":[1,{"b":null,"c":1}]}`, ""},
		{`{"a":18446744073709551615}`, `{"a":18446744073709551615}`, ""},
		{`{"a":18446744073709551615}`, `{"a":18446744073709551614}`, "a is 18446744073709551615, not 18446744073709551614"},
		{`{"a":1}`, `{}`, "a is not known"},
		{`{"a":{"b":1}}`, `{"a":{"b":2}}`, "a.b is 1, not 2"},
		{`{"a":{"b":1}}`, `{"a":[1]}`, `a is {"b":1}, not [1]`},
		{`{"a":[1]}`, `{"a":{}}`, `a is [1], not {}`},
		{`{"a":[1]}`, `{"a":[1,2]}`, `a is [1], not [1,2]`},
		{`{"a":[1,2]}`, `{"a":[1,3]}`, `a[1] is 2, not 3`},
		{`{"a":null}`, `{"a":""}`, `a is null, not ""`},
		{`{"a":1}`, `{"a":"1"}`, `a is 1, not "1"`},
		{`{"a":1}`, `{"a":{}}`, `a is 1, not {}`},
	} {
		err := agrees("", []byte(c.says), []byte(c.other))
		if got := fmt.Sprint(err); err == nil && c.want != "" || err != nil && got != c.want {
			t.Errorf("%s in %s: %v, want %q", c.says, c.other, err, c.want)
		}
	}
}
