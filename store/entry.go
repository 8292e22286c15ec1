package store

import (
	"strconv"
	"strings"
	"time"

	"glasshouse/receipt"
)

// Entry is what the history knows of one receipt.
type Entry struct {
	ID         string
	Bytes      int64  // of the receipt
	Signed     bool   // whether a bundle lies beside it; nobody has verified it
	Unreadable string // why the receipt cannot be read; what follows is unknown then, but for StartedAt

	ExecutionID string
	StartedAt   receipt.Time
	DurationMS  int64
	ExitCode    int
	Signal      *string
	Error       *string
	Mode        string
	Complete    bool
	Command     string // the arguments, joined by spaces
	Argv        string // the arguments as a JSON list of strings
	ArgvCut     bool   // only the beginning of the arguments is kept
}

func (e *Entry) failed() bool { return e.ExitCode != 0 || e.Signal != nil || e.Error != nil }

// pack is the entry as the index keeps it: its fields, each with a zero byte
// behind it. No text has one.
func (e *Entry) pack() string {
	var b strings.Builder
	for _, field := range []string{
		e.ID, strconv.FormatInt(e.Bytes, 10), strconv.FormatBool(e.Signed), e.Unreadable,
		e.ExecutionID, strconv.FormatInt(e.StartedAt.UnixNano(), 10), strconv.FormatInt(e.DurationMS, 10), strconv.Itoa(e.ExitCode),
		packOptional(e.Signal), packOptional(e.Error), e.Mode, strconv.FormatBool(e.Complete),
		e.Command, e.Argv, strconv.FormatBool(e.ArgvCut),
	} {
		b.WriteString(strings.ReplaceAll(field, "\x00", "\ufffd"))
		b.WriteByte(0)
	}
	return b.String()
}

// unpack is the reverse. Its error is errCorrupt.
func unpack(text string) (e Entry, err error) {
	next := func() (field string) {
		var ok bool
		if field, text, ok = strings.Cut(text, "\x00"); !ok {
			err = errCorrupt
		}
		return field
	}
	number := func() int64 {
		n, bad := strconv.ParseInt(next(), 10, 64)
		if bad != nil {
			err = errCorrupt
		}
		return n
	}
	e.ID, e.Bytes, e.Signed, e.Unreadable = next(), number(), next() == "true", next()
	e.ExecutionID, e.StartedAt = next(), receipt.At(time.Unix(0, number()))
	e.DurationMS, e.ExitCode = number(), int(number())
	e.Signal, e.Error = unpackOptional(next()), unpackOptional(next())
	e.Mode, e.Complete = next(), next() == "true"
	e.Command, e.Argv, e.ArgvCut = next(), next(), next() == "true"
	return e, err
}

// packOptional tells null from an empty text.
func packOptional(s *string) string {
	if s == nil {
		return ""
	}
	return "+" + *s
}

func unpackOptional(s string) *string {
	if s == "" {
		return nil
	}
	s = s[1:]
	return &s
}
