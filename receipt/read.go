package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// What a receipt to be read may hold at most. The bytes alone do not bound the
// memory, since "{}," is three bytes of JSON and hundreds of a process.
const (
	MaxSize    = 1 << 30  // bytes
	maxEntries = 4 << 20  // elements of all lists but strings
	maxMembers = 64 << 20 // keys of all objects
)

// Errors of Read.
var (
	ErrTooLarge   = errors.New("receipt is too large")
	ErrNotReceipt = errors.New("not a receipt")
)

// A VersionError is a receipt of a version that this package cannot read.
type VersionError struct{ Version string }

func (e *VersionError) Error() string {
	return fmt.Sprintf("receipt version %.40q is not supported: known are v0.2 to %s and later v0 versions", e.Version, Version)
}

// Read reads one receipt, of v0.2 or a later v0 version: later ones only add
// keys, and keys that are not known here are ignored. Nothing but white space
// may follow it. The error wraps ErrTooLarge or ErrNotReceipt, or is a
// *VersionError, or comes from r.
//
// The receipt is as it was written, not normalised.
func Read(r io.Reader) (*Receipt, error) { return read(r, MaxSize) }

func read(r io.Reader, maxSize int64) (*Receipt, error) {
	data, err := readBytes(r, maxSize)
	if err != nil {
		return nil, err
	}
	return Parse(data)
}

// ReadBytes reads what Parse takes, to the end. Its errors are those of Read;
// that it returns none does not make a receipt of the bytes.
func ReadBytes(r io.Reader) ([]byte, error) { return readBytes(r, MaxSize) }

// The sizes of what is read at once where the end is not known.
const (
	minChunk = 64 << 10
	maxChunk = 16 << 20
)

// readBytes takes no more memory for what it refuses than for what it returns.
// A buffer that grows would take twice as much.
func readBytes(r io.Reader, maxSize int64) ([]byte, error) {
	size := leftOf(r)
	if size > maxSize {
		return nil, tooLarge(maxSize)
	}
	r = io.LimitReader(r, maxSize+1)
	var chunks [][]byte
	// One byte more, to see the end.
	for next, total := max(size+1, minChunk), int64(0); ; next = min(2*next, maxChunk) {
		chunk := make([]byte, min(next, maxSize+1-total))
		n, err := io.ReadFull(r, chunk)
		chunks, total = append(chunks, chunk[:n]), total+int64(n)
		switch {
		case total > maxSize:
			return nil, tooLarge(maxSize)
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			if len(chunks) == 1 {
				return chunks[0], nil
			}
			return slices.Concat(chunks...), nil
		case err != nil:
			return nil, fmt.Errorf("read receipt: %w", err)
		}
		if len(chunks) == 1 && !mayBeObject(chunk) {
			return nil, notObject()
		}
	}
}

func notObject() error { return fmt.Errorf("%w: it does not begin with {", ErrNotReceipt) }

func tooLarge(maxSize int64) error { return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, maxSize) }

// leftOf is how much is left to read of a regular file; 0 if that is not known.
func leftOf(r io.Reader) int64 {
	f, ok := r.(interface {
		io.Seeker
		Stat() (fs.FileInfo, error)
	})
	if !ok {
		return 0
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0
	}
	return max(info.Size()-at, 0)
}

// mayBeObject tells whether data can be the beginning of a JSON object.
func mayBeObject(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) == 0 || data[0] == '{'
}

// Parse is Read for what is in memory already, of any size.
func Parse(data []byte) (*Receipt, error) {
	var head struct {
		Version *string `json:"receipt_version"`
	}
	switch {
	case len(data) == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrNotReceipt)
	case !mayBeObject(data):
		return nil, notObject()
	}
	// This first pass also rejects what is not JSON, or more than one value.
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, malformed(err)
	}
	if head.Version == nil {
		return nil, fmt.Errorf("%w: no receipt_version", ErrNotReceipt)
	}
	if err := CheckVersion(*head.Version); err != nil {
		return nil, err
	}
	if err := checkSize(data); err != nil {
		return nil, err
	}
	rec := new(Receipt)
	if err := json.Unmarshal(data, rec); err != nil {
		return nil, malformed(err)
	}
	for _, f := range rec.Filesystem.Files {
		if f.PathBytes != nil && Text(string(f.PathBytes)) != f.Path {
			return nil, fmt.Errorf("%w: path_bytes of %.200q are of another path", ErrNotReceipt, f.Path)
		}
	}
	return rec, nil
}

// maxReason is how much is said of why something is no receipt, in bytes. What
// the JSON holds can be in it: a number or a time as long as a receipt may be.
const maxReason = 300

func malformed(err error) error {
	if text := err.Error(); len(text) > maxReason {
		err = errors.New(strings.ToValidUTF8(text[:maxReason], "") + "...")
	}
	return fmt.Errorf("%w: %w", ErrNotReceipt, err)
}

// CheckVersion tells whether Read can read a receipt that has this in its
// receipt_version; if not, the error is a *VersionError.
func CheckVersion(version string) error {
	if !readable(version) {
		return &VersionError{version}
	}
	return nil
}

// maxVersion is as long as a version gets whose parts are numbers of 16 bits:
// with zeros before these it could be of any length.
const maxVersion = len("v0.65535.65535")

// readable accepts v0.2, v0.3, ... and v0.3.1.
func readable(version string) bool {
	minor, ok := strings.CutPrefix(version, "v0.")
	if !ok || len(version) > maxVersion {
		return false
	}
	minor, patch, hasPatch := strings.Cut(minor, ".")
	if hasPatch {
		if _, err := strconv.ParseUint(patch, 10, 16); err != nil {
			return false
		}
	}
	n, err := strconv.ParseUint(minor, 10, 16)
	return err == nil && n >= 2
}

// checkSize counts what valid JSON holds without building it.
func checkSize(data []byte) error {
	var (
		lists    []bool // for each open object or list: is it a list
		entries  int
		members  int
		inString bool
	)
	for i := 0; i < len(data); i++ {
		c := data[i]
		if inString {
			switch c {
			case '\\':
				i++
			case '"':
				inString = false
			}
			continue
		}
		switch c {
		case '"':
			inString = true
		case '[', '{':
			lists = append(lists, c == '[')
		case ']', '}':
			lists = lists[:len(lists)-1]
		case ':':
			members++
		}
		// An element begins after a list's bracket or comma. Strings cost
		// about what their JSON does and are not counted.
		if (c == '[' || c == ',') && len(lists) > 0 && lists[len(lists)-1] && !stringFollows(data[i+1:]) {
			entries++
		}
		if entries > maxEntries {
			return fmt.Errorf("%w: more than %d list entries", ErrTooLarge, maxEntries)
		}
		if members > maxMembers {
			return fmt.Errorf("%w: more than %d keys", ErrTooLarge, maxMembers)
		}
	}
	return nil
}

func stringFollows(data []byte) bool {
	for _, c := range data {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == '"'
		}
	}
	return false
}
