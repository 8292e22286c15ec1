package receipt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	return fmt.Sprintf("receipt version %q is not supported: known are v0.2 to %s and later v0 versions", e.Version, Version)
}

// Read reads one receipt, of v0.2 or a later v0 version: later ones only add
// keys, and keys that are not known here are ignored. Nothing but white space
// may follow it. The error wraps ErrTooLarge or ErrNotReceipt, or is a
// *VersionError, or comes from r.
//
// The receipt is as it was written, not normalised.
func Read(r io.Reader) (*Receipt, error) { return read(r, MaxSize) }

func read(r io.Reader, maxSize int) (*Receipt, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(maxSize)+1))
	if err != nil {
		return nil, fmt.Errorf("read receipt: %w", err)
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, maxSize)
	}
	return Parse(data)
}

// Parse is Read for what is in memory already, of any size.
func Parse(data []byte) (*Receipt, error) {
	var head struct {
		Version *string `json:"receipt_version"`
	}
	// This first pass also rejects what is not JSON, or more than one value.
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotReceipt, err)
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
		return nil, fmt.Errorf("%w: %w", ErrNotReceipt, err)
	}
	for _, f := range rec.Filesystem.Files {
		if f.PathBytes != nil && Text(string(f.PathBytes)) != f.Path {
			return nil, fmt.Errorf("%w: path_bytes of %q are of another path", ErrNotReceipt, f.Path)
		}
	}
	return rec, nil
}

// CheckVersion tells whether Read can read a receipt that has this in its
// receipt_version; if not, the error is a *VersionError.
func CheckVersion(version string) error {
	if !readable(version) {
		return &VersionError{version}
	}
	return nil
}

// readable accepts v0.2, v0.3, ... and v0.3.1.
func readable(version string) bool {
	minor, ok := strings.CutPrefix(version, "v0.")
	if !ok {
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
