package receipt

import (
	"encoding/base64"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// A plan appends the value that stands at a place in memory as JSON, as
// encoding/json would with an indentation of two spaces. It is made once for a
// type and a depth, so that what a million values have in common is worked out
// once. The value has to be of that type.
type plan func(e *encoder, at unsafe.Pointer)

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
		return func(e *encoder, at unsafe.Pointer) { e.buf = appendString(e.buf, *(*string)(at)) }
	case kind == reflect.Bool:
		return func(e *encoder, at unsafe.Pointer) { e.buf = strconv.AppendBool(e.buf, *(*bool)(at)) }
	case kind == reflect.Int:
		return appendInt[int]
	case kind == reflect.Int32:
		return appendInt[int32]
	case kind == reflect.Int64:
		return appendInt[int64]
	case kind == reflect.Uint32:
		return appendUint[uint32]
	case kind == reflect.Uint64:
		return appendUint[uint64]
	}
	panic(fmt.Sprintf("no receipt has a %s", typ))
}

func appendInt[T int | int32 | int64](e *encoder, at unsafe.Pointer) {
	e.buf = strconv.AppendInt(e.buf, int64(*(*T)(at)), 10)
}

func appendUint[T uint32 | uint64](e *encoder, at unsafe.Pointer) {
	e.buf = strconv.AppendUint(e.buf, uint64(*(*T)(at)), 10)
}

// newline is the line's end and the indentation of the next.
func newline(depth int) string { return "\n" + strings.Repeat("  ", depth) }

type member struct {
	offset uintptr
	name   string
	key    string                    // as it is written, with the line's end before it
	omit   func(unsafe.Pointer) bool // nil for what is never left out
	plan   plan
}

func objectPlan(typ reflect.Type, depth int) plan {
	members := make([]member, typ.NumField())
	for i := range members {
		field := typ.Field(i)
		name, opts, _ := strings.Cut(field.Tag.Get("json"), ",")
		members[i] = member{
			offset: field.Offset, name: name,
			key:  newline(depth+1) + string(appendString(nil, name)) + ": ",
			plan: planOf(field.Type, depth+1),
		}
		if opts == "omitempty" {
			members[i].omit = emptyOf(field.Type)
		}
	}
	end := newline(depth) + "}"
	return func(e *encoder, at unsafe.Pointer) {
		e.buf = append(e.buf, '{')
		some := false
		for i := range members {
			m := &members[i]
			field := unsafe.Add(at, m.offset)
			if m.omit != nil && m.omit(field) {
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

// emptyOf tells whether a value is one that omitempty leaves out.
func emptyOf(typ reflect.Type) func(at unsafe.Pointer) bool {
	switch typ.Kind() {
	case reflect.Slice:
		return func(at unsafe.Pointer) bool { return len(*(*list)(at)) == 0 }
	case reflect.String:
		return func(at unsafe.Pointer) bool { return *(*string)(at) == "" }
	case reflect.Bool:
		return func(at unsafe.Pointer) bool { return !*(*bool)(at) }
	case reflect.Pointer:
		return func(at unsafe.Pointer) bool { return *(*unsafe.Pointer)(at) == nil }
	}
	panic(fmt.Sprintf("no receipt leaves out a %s", typ))
}

func pointerPlan(typ reflect.Type, depth int) plan {
	to := planOf(typ.Elem(), depth)
	return func(e *encoder, at unsafe.Pointer) {
		if p := *(*unsafe.Pointer)(at); p != nil {
			to(e, p)
		} else {
			e.buf = append(e.buf, "null"...)
		}
	}
}

// list is a slice of anything, good for its length and where it begins.
type list []struct{}

func listPlan(typ reflect.Type, depth int) plan {
	el := elements{
		plan: planOf(typ.Elem(), depth+1), size: typ.Elem().Size(), between: newline(depth + 1),
	}
	end := newline(depth) + "]"
	return func(e *encoder, at unsafe.Pointer) {
		l := *(*list)(at)
		if l == nil {
			e.buf = append(e.buf, "null"...)
			return
		}
		e.buf = append(e.buf, '[')
		e.list(&el, unsafe.Pointer(unsafe.SliceData(l)), len(l))
		e.buf = append(e.buf, ending(len(l) > 0, end)...)
	}
}

func countsPlan(depth int) plan {
	between, end := newline(depth+1), newline(depth)+"}"
	return func(e *encoder, at unsafe.Pointer) {
		counts := *(*map[string]uint64)(at)
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

func appendTime(e *encoder, at unsafe.Pointer) {
	text, err := (*Time)(at).MarshalJSON()
	if err != nil && e.err == nil {
		e.err = err
	}
	e.buf = append(e.buf, text...)
}

func appendBytes(e *encoder, at unsafe.Pointer) {
	b := *(*[]byte)(at)
	if b == nil {
		e.buf = append(e.buf, "null"...)
		return
	}
	e.buf = append(e.buf, '"')
	e.buf = base64.StdEncoding.AppendEncode(e.buf, b)
	e.buf = append(e.buf, '"')
}
