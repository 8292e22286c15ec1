package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"glasshouse/receipt"
)

var timeType = reflect.TypeFor[receipt.Time]()

// generator makes the schema. What it has used is taken out of its tables: what
// is left at the end belongs to no key.
type generator struct {
	document map[string][]row
	closed   map[string]bool
	rules    map[string]object
	errs     []error
}

func (g *generator) failf(format string, args ...any) {
	g.errs = append(g.errs, fmt.Errorf(format, args...))
}

// schemaOf returns the schema of a receipt. It fails where the document's
// tables are not those of the types: each key of each object, in the order in
// which they are written, with its type and whether it is optional.
func schemaOf(document string) (object, error) {
	g := &generator{document: parse(document), closed: map[string]bool{}, rules: maps.Clone(rules)}
	for _, path := range closed {
		g.closed[path] = true
	}
	schema := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", "urn:glasshouse:receipt:" + receipt.Version},
		{"$comment", "Made by schemagen from the types of package receipt and docs/RECEIPT.md, which says more. Do not edit."},
		{"title", "glasshouse receipt " + receipt.Version},
		{"description", "What one command did, how it ended, and what the recorder could not see. A later v0 version may add keys."},
	}
	schema = append(schema, g.object(reflect.TypeFor[receipt.Receipt](), "")...)
	for _, left := range slices.Sorted(maps.Keys(g.document)) {
		g.failf("the document has a section %q, and a receipt has no such object", left)
	}
	for _, left := range slices.Sorted(maps.Keys(g.rules)) {
		g.failf("there is a rule for %s, and a receipt has no such key", left)
	}
	for _, left := range slices.Sorted(maps.Keys(g.closed)) {
		g.failf("%s is to have a set of values, and a receipt has no such key", left)
	}
	return schema, errors.Join(g.errs...)
}

// object is the schema of a struct, whose keys the section of that name
// explains.
func (g *generator) object(typ reflect.Type, section string) object {
	rows := g.document[section]
	delete(g.document, section)
	if typ.NumField() != len(rows) {
		g.failf("section %q has %d keys, and the object %d", section, len(rows), typ.NumField())
	}
	var properties object
	required := []string{}
	for i := range min(typ.NumField(), len(rows)) {
		field := typ.Field(i)
		key, opts, _ := strings.Cut(field.Tag.Get("json"), ",")
		optional := opts == "omitempty"
		if want := (row{key: key, typ: typeName(field.Type), optional: optional}); want.String() != rows[i].String() {
			g.failf("section %q, row %d is %q, and the key %q", section, i+1, rows[i], want)
			break
		}
		if !optional {
			required = append(required, key)
		}
		path := strings.TrimPrefix(section+"."+key, ".")
		s := object{{"description", rows[i].meaning}}
		s = append(s, g.value(field.Type, path, optional)...)
		properties = append(properties, member{key, g.values(s, path, rows[i])})
	}
	return object{{"type", "object"}, {"required", required}, {"properties", properties}}
}

// value is the schema of what a key or an element of a list holds.
func (g *generator) value(typ reflect.Type, path string, optional bool) object {
	nullable := typ.Kind() == reflect.Pointer && !optional
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	var s object
	switch kind := typ.Kind(); {
	case typ == timeType:
		s = append(object{{"type", "string"}}, rfc3339...)
	case kind == reflect.Struct:
		s = g.object(typ, path)
	case kind == reflect.Slice && typ.Elem().Kind() == reflect.Uint8:
		s = append(object{{"type", "string"}, {"minLength", 1}}, encoded...)
	case kind == reflect.Slice:
		s = object{{"type", "array"}}
		if optional {
			s = s.set("minItems", 1)
		}
		s = s.set("items", g.value(typ.Elem(), path+"[]", false))
	case kind == reflect.Map:
		s = object{{"type", "object"}, {"additionalProperties", g.value(typ.Elem(), path+"{}", false)}}
	case kind == reflect.String:
		s = object{{"type", "string"}}
		if optional {
			s = s.set("minLength", 1)
		}
	case kind == reflect.Bool:
		s = object{{"type", "boolean"}}
		if optional {
			s = s.set("const", true)
		}
	default:
		s = object{{"type", "integer"}, {"minimum", 0}, {"maximum", largest(typ)}}
	}
	for _, m := range g.rules[path] {
		s = s.set(m.key, m.value)
	}
	delete(g.rules, path)
	if nullable {
		s[0].value = []any{s[0].value, "null"}
	}
	return s
}

// values adds those that the document names: all that there can be, or, where
// a later version may add others, examples.
func (g *generator) values(s object, path string, r row) object {
	named := r.named()
	switch {
	case g.closed[path] && len(named) < 2:
		g.failf("the document does not say which values %s can have", path)
	case g.closed[path]:
		s = s.set("enum", named)
	case r.values != nil:
		s = s.set("examples", named)
	}
	delete(g.closed, path)
	return s
}

// largest is what a receipt's numbers can be at most: none is negative.
func largest(typ reflect.Type) uint64 {
	if typ.Kind() == reflect.Int { // of 32 bits on some machines, and in a receipt the same on all
		return math.MaxInt64
	}
	switch bits := typ.Bits(); typ.Kind() {
	case reflect.Int32, reflect.Int64:
		return 1<<(bits-1) - 1
	case reflect.Uint32, reflect.Uint64:
		return math.MaxUint64 >> (64 - bits)
	}
	panic(fmt.Sprintf("no receipt has a %s", typ))
}

// typeName is what the document calls a type.
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
