package receipt

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Encode normalises r and writes it as JSON: indented by two spaces, without
// HTML escaping, with a newline at the end. The same receipt always gives the
// same bytes.
//
// Lists are written one element at a time, so a receipt of a million files
// needs little more memory than the receipt itself.
func Encode(w io.Writer, r *Receipt) error {
	r.Normalize()
	out := bufio.NewWriterSize(w, 64<<10)
	e := encoder{w: out}
	if err := e.value(reflect.ValueOf(r).Elem(), 0); err != nil {
		return fmt.Errorf("encode receipt: %w", err)
	}
	out.WriteByte('\n') // bufio keeps the first error for Flush
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write receipt: %w", err)
	}
	return nil
}

// encoder writes the receipt's sections and their lists piece by piece, and
// leaves each piece to encoding/json.
type encoder struct {
	w      *bufio.Writer
	buf    bytes.Buffer
	levels []*json.Encoder // by depth of indentation
}

// sectionDepth is how deep value looks into structs for lists. Below it a
// value is one piece.
const sectionDepth = 2

func (e *encoder) value(v reflect.Value, depth int) error {
	switch {
	case v.Kind() == reflect.Struct && v.Type() != timeType && depth < sectionDepth:
		return e.object(v, depth)
	case v.Kind() == reflect.Slice && v.Len() > 0:
		return e.list(v, depth)
	default:
		return e.piece(v, depth)
	}
}

func (e *encoder) object(v reflect.Value, depth int) error {
	e.w.WriteByte('{')
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("json")
		e.newline(i, depth+1)
		fmt.Fprintf(e.w, "%q: ", name)
		if err := e.value(v.Field(i), depth+1); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	e.newline(0, depth)
	return e.w.WriteByte('}')
}

func (e *encoder) list(v reflect.Value, depth int) error {
	e.w.WriteByte('[')
	for i := range v.Len() {
		e.newline(i, depth+1)
		if err := e.piece(v.Index(i), depth+1); err != nil {
			return err
		}
	}
	e.newline(0, depth)
	return e.w.WriteByte(']')
}

// newline ends the line, after a comma if something of the same object or
// list came before.
func (e *encoder) newline(before, depth int) {
	if before > 0 {
		e.w.WriteByte(',')
	}
	e.w.WriteByte('\n')
	for range depth {
		e.w.WriteString("  ")
	}
}

func (e *encoder) piece(v reflect.Value, depth int) error {
	for len(e.levels) <= depth {
		enc := json.NewEncoder(&e.buf)
		enc.SetEscapeHTML(false)
		enc.SetIndent(strings.Repeat("  ", len(e.levels)), "  ")
		e.levels = append(e.levels, enc)
	}
	e.buf.Reset()
	if err := e.levels[depth].Encode(v.Addr().Interface()); err != nil {
		return err
	}
	_, err := e.w.Write(bytes.TrimSuffix(e.buf.Bytes(), []byte("\n")))
	return err
}
