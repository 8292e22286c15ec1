package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// decode reads one JSON value into v, which check then has to be content with.
// It does not take what two readers could understand differently, as
// encoding/json does: a key twice, a key in other letters, null for a value,
// unknown keys.
func decode(data []byte, v any, check func() error) error {
	// Go makes U+FFFD of what is no UTF-8, and then cannot tell it from that.
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return notJSON(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("there is more behind its end")
	}
	// Before anything is done that takes more memory than v.
	if err := check(); err != nil {
		return err
	}
	if err := uniqueKeys(data); err != nil {
		return err
	}
	understood, err := marshal(v)
	if err != nil {
		return err
	}
	return agrees("", data, understood)
}

// notJSON says what the end of the input means, and cuts what was taken from the
// input: that can be as long as the whole.
func notJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is cut off")
	}
	if text := err.Error(); len(text) > maxReason {
		return errors.New(strings.ToValidUTF8(text[:maxReason], "") + "...")
	}
	return err
}

// maxReason is how much is said of why something is not what it should be, in
// bytes.
const maxReason = 300

// agrees tells whether all that one JSON value says is said by another, too.
// The other may have more keys.
func agrees(path string, says, other []byte) error {
	a, err := tree(says)
	if err != nil {
		return err
	}
	b, err := tree(other)
	if err != nil {
		return err
	}
	return within(path, a, b)
}

func tree(data []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber() // an inode does not fit into a float64
	return v, dec.Decode(&v)
}

func within(path string, a, b any) error {
	switch a := a.(type) {
	case map[string]any:
		bs, ok := b.(map[string]any)
		if !ok {
			return differs(path, a, b)
		}
		for _, k := range slices.Sorted(maps.Keys(a)) {
			v := a[k]
			other, ok := bs[k]
			if !ok {
				return fmt.Errorf("%s is not known", at(path, k))
			}
			if err := within(at(path, k), v, other); err != nil {
				return err
			}
		}
		return nil
	case []any:
		bs, ok := b.([]any)
		if !ok || len(a) != len(bs) {
			return differs(path, a, b)
		}
		for i, v := range a {
			if err := within(fmt.Sprintf("%s[%d]", path, i), v, bs[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if a != b {
		return differs(path, a, b)
	}
	return nil
}

func at(path, key string) string {
	if path == "" {
		return fmt.Sprintf("%.100s", key)
	}
	return fmt.Sprintf("%s.%.100s", path, key)
}

func differs(path string, a, b any) error {
	show := func(v any) string {
		text, err := marshal(v)
		if err != nil {
			return "?"
		}
		if len(text) > 100 {
			return string(text[:100]) + "..."
		}
		return string(text)
	}
	return fmt.Errorf("%s is %s, not %s", path, show(a), show(b))
}

// uniqueKeys tells whether an object in data, which is valid JSON, has a key
// twice, in whatever letters: some readers take the first, others the last.
func uniqueKeys(data []byte) error {
	var open []*object // a list is nil
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{':
			open = append(open, &object{})
		case '[':
			open = append(open, nil)
		case '}', ']':
			open = open[:len(open)-1]
		case '"':
			end := stringEnd(data, i)
			if follows(data[end:], ':') {
				if !open[len(open)-1].add(data[i:end]) {
					return fmt.Errorf("the key %.100s is there twice", data[i:end])
				}
			}
			i = end - 1
		}
	}
	return nil
}

// stringEnd is the place behind the string that begins at from.
func stringEnd(data []byte, from int) int {
	for i := from + 1; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

func follows(data []byte, c byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && data[0] == c
}

// object holds the keys of one that is being read. Most have few.
type object struct {
	few  [][]byte
	many map[string]bool // in folded letters; nil while there are few
}

const fewKeys = 32

// add takes a key, with its quotes, and tells whether it is a new one.
func (o *object) add(quoted []byte) bool {
	key := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(key, '\\') >= 0 {
		var s string
		if json.Unmarshal(quoted, &s) == nil {
			key = []byte(s)
		}
	}
	if o.many == nil && len(o.few) < fewKeys {
		for _, other := range o.few {
			if bytes.EqualFold(key, other) {
				return false
			}
		}
		o.few = append(o.few, key)
		return true
	}
	if o.many == nil {
		o.many = map[string]bool{}
		for _, other := range o.few {
			o.many[fold(other)] = true
		}
	}
	name := fold(key)
	if o.many[name] {
		return false
	}
	o.many[name] = true
	return true
}

// fold gives keys that differ in case alone the same form.
func fold(key []byte) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r { // round once, at the least of them
				return next
			}
			r = next
		}
	}, string(key))
}
