package redact

import (
	"reflect"
	"strconv"
	"strings"
	"sync"

	"glasshouse/receipt"
)

// A walk visits the strings of a receipt that can hold what the command said,
// in the order in which they are written.
type walk struct {
	visit func(s *string)
	path  []step // to the string that is visited
}

// A step is one part of a JSON pointer: a key, or an index where that is "".
type step struct {
	key   string
	index int
}

// pointer is where the walk is, as of RFC 6901.
func (w *walk) pointer() string {
	var b []byte
	for _, s := range w.path {
		b = append(b, '/')
		if s.key == "" {
			b = strconv.AppendInt(b, int64(s.index), 10)
		} else {
			b = append(b, s.key...) // no key of a receipt's types has a ~ or a /
		}
	}
	return string(b)
}

// ownWords are the keys of strings that are the recorder's own words, chosen
// from a list or computed: no secret can get into them.
var ownWords = map[string]bool{
	"receipt_version": true, "execution_id": true, "redactions": true, "signal": true, "backend": true, "isolation": true, "provenance": true,
	"outcome": true, "mode": true, "kind": true, "errno": true, "op": true, "source": true, "what": true, "protocol": true, "result": true,
	"type": true, "denied": true, "os": true, "arch": true, "kernel": true, "glasshouse_version": true, "sandbox": true,
	"stdout_hash": true, "stderr_hash": true,
}

// A visitor is made once for a type; nil for one without strings.
type visitor func(w *walk, v reflect.Value)

var visitReceipt = sync.OnceValue(func() visitor { return visitorOf(reflect.TypeFor[receipt.Receipt]()) })

func (w *walk) receipt(rec *receipt.Receipt) { visitReceipt()(w, reflect.ValueOf(rec).Elem()) }

func visitorOf(typ reflect.Type) visitor {
	switch typ.Kind() {
	case reflect.String:
		return func(w *walk, v reflect.Value) { w.visit(v.Addr().Interface().(*string)) }
	case reflect.Pointer:
		to := visitorOf(typ.Elem())
		if to == nil {
			return nil
		}
		return func(w *walk, v reflect.Value) {
			if !v.IsNil() {
				to(w, v.Elem())
			}
		}
	case reflect.Slice:
		return sliceVisitor(typ)
	case reflect.Struct:
		return structVisitor(typ)
	}
	return nil
}

func structVisitor(typ reflect.Type) visitor {
	type part struct {
		field int
		key   string
		visit visitor
	}
	var parts []part
	for i := range typ.NumField() {
		key, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		// The outcome of a duty is a word, that of the run an object.
		own := ownWords[key] && (key != "outcome" || typ.Field(i).Type.Kind() == reflect.String)
		if visit := visitorOf(typ.Field(i).Type); visit != nil && !own {
			parts = append(parts, part{i, key, visit})
		}
	}
	if parts == nil {
		return nil
	}
	return func(w *walk, v reflect.Value) {
		w.path = append(w.path, step{})
		for _, p := range parts {
			w.path[len(w.path)-1].key = p.key
			p.visit(w, v.Field(p.field))
		}
		w.path = w.path[:len(w.path)-1]
	}
}

func sliceVisitor(typ reflect.Type) visitor {
	switch typ {
	case reflect.TypeFor[[]string]():
		return func(w *walk, v reflect.Value) { w.strings(*v.Addr().Interface().(*[]string)) }
	case reflect.TypeFor[[]receipt.FileEntry]():
		return func(w *walk, v reflect.Value) { w.files(*v.Addr().Interface().(*[]receipt.FileEntry)) }
	}
	visit := visitorOf(typ.Elem())
	if visit == nil {
		return nil
	}
	return func(w *walk, v reflect.Value) {
		w.path = append(w.path, step{})
		for i := range v.Len() {
			w.path[len(w.path)-1].index = i
			visit(w, v.Index(i))
		}
		w.path = w.path[:len(w.path)-1]
	}
}

func (w *walk) strings(list []string) {
	w.path = append(w.path, step{})
	for i := range list {
		w.path[len(w.path)-1].index = i
		w.visit(&list[i])
	}
	w.path = w.path[:len(w.path)-1]
}

// files are most of a large receipt, and spared the reflection. The exact
// bytes of a path go with it: see receipt.Normalize.
func (w *walk) files(list []receipt.FileEntry) {
	w.path = append(w.path, step{}, step{})
	top := len(w.path) - 1
	for i := range list {
		f := &list[i]
		w.path[top-1].index = i
		w.path[top].key = "path"
		if path := f.Path; f.PathBytes == nil {
			w.visit(&f.Path)
		} else if raw := string(f.PathBytes); raw != "" {
			if w.visit(&raw); raw != string(f.PathBytes) {
				f.Path, f.PathBytes = raw, nil
			} else if w.visit(&f.Path); f.Path != path {
				f.PathBytes = nil
			}
		}
		if len(f.Requested) > 0 {
			w.path[top].key = "requested"
			w.strings(f.Requested)
		}
	}
	w.path = w.path[:top-1]
}
