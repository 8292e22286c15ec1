package receipt

import (
	"fmt"
	"io"
	"reflect"
	"sync"
	"unsafe"
)

// Encode normalises r and writes it as JSON: indented by two spaces, without
// HTML escaping, with a newline at the end. The same receipt always gives the
// same bytes.
//
// Long lists are encoded in parts, on all cores, and written as they are done:
// a receipt of a million files needs little more memory than the receipt itself.
func Encode(w io.Writer, r *Receipt) error {
	r.Normalize()
	e := encoder{parts: &pipeline{w: w}}
	receiptPlan()(&e, unsafe.Pointer(r))
	e.buf = append(e.buf, '\n')
	writeErr := e.parts.finish(e.buf)
	if err := e.parts.failed(e.err); err != nil {
		return fmt.Errorf("encode receipt: %w", err)
	}
	if writeErr != nil {
		return fmt.Errorf("write receipt: %w", writeErr)
	}
	return nil
}

// receiptPlan is made by the first who needs it.
var receiptPlan = sync.OnceValue(func() plan { return planOf(reflect.TypeFor[Receipt](), 0) })

// encoder gathers JSON.
type encoder struct {
	buf []byte
	err error // the first

	// parts takes what can be written and made apart; nil in a part.
	parts *pipeline
}

// partLen is how many elements of a long list are one part.
const partLen = 256

// elements is how those of a list are written.
type elements struct {
	plan    plan
	size    uintptr // of one in memory
	between string  // before each
}

// some appends some elements of the list that begins at first.
func (e *encoder) some(el *elements, first unsafe.Pointer, from, to int) {
	for i := from; i < to; i++ {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.buf = append(e.buf, el.between...)
		el.plan(e, unsafe.Add(first, uintptr(i)*el.size))
	}
}

// list appends n elements, in parts if these are many.
func (e *encoder) list(el *elements, first unsafe.Pointer, n int) {
	if e.parts == nil || n < 2*partLen {
		e.some(el, first, 0, n)
		return
	}
	e.buf = e.parts.put(e.buf)
	for from := 0; from < n; from += partLen {
		e.parts.make(func(part *encoder) { part.some(el, first, from, min(from+partLen, n)) })
	}
}
