package receipt

import (
	"io"

	"glasshouse/internal/files"
)

// WriteFile writes r to path, whole or not at all, in the way of files.Replace.
// Errors name path and wrap the system's error.
func WriteFile(path string, r *Receipt) error {
	return files.Replace(path, func(w io.Writer) error { return Encode(w, r) })
}
