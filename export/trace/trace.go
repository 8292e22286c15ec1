// Package trace is not written yet.
package trace

import (
	"errors"
	"io"

	"glasshouse/receipt"
)

// Write writes r.
func Write(w io.Writer, r *receipt.Receipt) error { return errors.New("not written yet") }
