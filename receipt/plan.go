package receipt

import (
	"encoding/base64"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A plan appends a value of one type as JSON, as encoding/json would with an
// indentation of two spaces. It is made once for a type and a depth, so that
// what a million values have in common is worked out once.
type plan func(e *encoder, v reflect.Value)

// planOf knows the kinds of types that a receipt is made of.
func planOf(typ reflect.Type, depth int) plan {
	switch kind := typ.Kind(); {
	case typ == timeType:
		return appendTime
	case kind == reflect.Struct:
		return objectPlan(typ, depth)
	case kind == reflect.Pointer:
		return pointerPlan(typ, depth)
	case kind == reflect.Slice && typ.Elem().Kind() == reflect.Uint8:
		return appendBytes
	case kind == reflect.Slice:
		return listPlan(typ, depth)
	case typ == reflect.TypeFor[map[string]uint64]():
		return countsPlan(depth)
	case kind == reflect.String:
		return func(e *encoder, v reflect.Value) { e.buf = appendString(e.buf, v.String()) }
	case kind == reflect.Bool:
		return func(e *encoder, v reflect.Value) { e.buf = strconv.AppendBool(e.buf, v.Bool()) }
	case reflect.Zero(typ).CanInt():
		return func(e *encoder, v reflect.Value) { e.buf = strconv.AppendInt(e.buf, v.Int(), 10) }
	case reflect.Zero(typ).CanUint():
		return func(e *encoder, v reflect.Value) { e.buf = strconv.AppendUint(e.buf, v.Uint(), 10) }
	}
	panic(fmt.Sprintf("no receipt has a %s", typ))
}

// newline is the line's end and the indentation of the next.
func newline(depth int) string { return "\n" + strings.Repeat("  ", depth) }

type member struct {
	field int
	name  string
	key   string // as it is written, with the line's end before it
	omit  bool   // if it is empty
	plan  plan
}

func objectPlan(typ reflect.Type, depth int) plan {
	members := make([]member, typ.NumField())
	for i := range members {
		name, opts, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		members[i] = member{
			field: i, name: name, omit: opts == "omitempty",
			key:  newline(depth+1) + string(appendString(nil, name)) + ": ",
			plan: planOf(typ.Field(i).Type, depth+1),
		}
	}
	end := newline(depth) + "}"
	return func(e *encoder, v reflect.Value) {
		e.buf = append(e.buf, '{')
		some := false
		for i := range members {
			m := &members[i]
			field := v.Field(m.field)
			if m.omit && empty(field) {
				continue
			}
			if some {
				e.buf = append(e.buf, ',')
			}
			some = true
			e.buf = append(e.buf, m.key...)
			before := e.err
			m.plan(e, field)
			if before == nil && e.err != nil {
				e.err = fmt.Errorf("%s: %w", m.name, e.err)
			}
		}
		e.buf = append(e.buf, ending(some, end)...)
	}
}

// ending is how an object or list ends: on a line of its own, unless it is empty.
func ending(some bool, end string) string {
	if some {
		return end
	}
	return end[len(end)-1:]
}

// empty is what omitempty leaves out.
func empty(v reflect.Value) bool {
	if k := v.Kind(); k == reflect.Slice || k == reflect.Map {
		return v.Len() == 0
	}
	return v.IsZero()
}

func pointerPlan(typ reflect.Type, depth int) plan {
	to := planOf(typ.Elem(), depth)
	return func(e *encoder, v reflect.Value) {
		if v.IsNil() {
			e.buf = append(e.buf, "null"...)
			return
		}
		to(e, v.Elem())
	}
}

func listPlan(typ reflect.Type, depth int) plan {
	element := planOf(typ.Elem(), depth+1)
	between, end := newline(depth+1), newline(depth)+"]"
	return func(e *encoder, v reflect.Value) {
		if v.IsNil() {
			e.buf = append(e.buf, "null"...)
			return
		}
		e.buf = append(e.buf, '[')
		e.list(v, between, element)
		e.buf = append(e.buf, ending(v.Len() > 0, end)...)
	}
}

func countsPlan(depth int) plan {
	between, end := newline(depth+1), newline(depth)+"}"
	return func(e *encoder, v reflect.Value) {
		counts := v.Interface().(map[string]uint64)
		if counts == nil {
			e.buf = append(e.buf, "null"...)
			return
		}
		e.buf = append(e.buf, '{')
		for i, name := range slices.Sorted(maps.Keys(counts)) {
			if i > 0 {
				e.buf = append(e.buf, ',')
			}
			e.buf = append(e.buf, between...)
			e.buf = append(appendString(e.buf, name), ": "...)
			e.buf = strconv.AppendUint(e.buf, counts[name], 10)
		}
		e.buf = append(e.buf, ending(len(counts) > 0, end)...)
	}
}

func appendTime(e *encoder, v reflect.Value) {
	text, err := v.Interface().(Time).MarshalJSON()
	if err != nil && e.err == nil {
		e.err = err
	}
	e.buf = append(e.buf, text...)
}

func appendBytes(e *encoder, v reflect.Value) {
	if v.IsNil() {
		e.buf = append(e.buf, "null"...)
		return
	}
	e.buf = append(e.buf, '"')
	e.buf = base64.StdEncoding.AppendEncode(e.buf, v.Bytes())
	e.buf = append(e.buf, '"')
}
