package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"glasshouse/receipt"
	"glasshouse/redact"
	"glasshouse/runner"
)

// redactFlags say which secrets are taken out of a receipt before it is
// written.
type redactFlags struct {
	patterns []string
	none     bool

	redactor *redact.Redactor // nil if nothing is to be redacted
}

// redactHelp documents the flags.
const redactHelp = `Secrets in arguments (tokens of known issuers, --password=..., NAME_TOKEN=...,
credentials in URLs and headers, and the like) are replaced by [redacted:1] and
so on before the receipt is written, wherever in it they stand. Its redactions
say where and by which rule, with a salted commitment by which who knows a
secret can prove that it was the one. --redact names more: a glob, such as
'*hunter2*', redacts each argument that it matches as a whole, a regular
expression between slashes, such as '/^pin=(\d+)$/', what it matches in an
argument, or what its first group does.`

func (f *redactFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.patterns, "redact", nil, "redact arguments that match `GLOB|/REGEXP/`, too; can be repeated")
	flags.BoolVar(&f.none, "no-redact", false, "leave secrets in the receipt")
}

// check makes the redactor, or says what is wrong with the flags.
func (f *redactFlags) check(cmd *cobra.Command) error {
	if f.none {
		if len(f.patterns) > 0 {
			return usageError(cmd, errors.New("--redact and --no-redact exclude each other"))
		}
		return nil
	}
	r, err := redact.New(redact.Options{Patterns: f.patterns})
	if err != nil {
		return usageError(cmd, fmt.Errorf("--redact: %w", err))
	}
	f.redactor = r
	return nil
}

// receipt is what redacts a receipt; nil if nothing does.
func (f *redactFlags) receipt() func(*receipt.Receipt) {
	if f.redactor == nil {
		return nil
	}
	return f.redactor.Receipt
}

// mask is what masks secrets in a journal; nil if nothing does.
func (f *redactFlags) mask() runner.Masker {
	if f.redactor == nil {
		return nil
	}
	return f.redactor.Masker()
}

// error is err without the secrets of the receipt.
func (f *redactFlags) error(err error) error {
	if err == nil || f.redactor == nil {
		return err
	}
	if text := f.redactor.Text(err.Error()); text != err.Error() {
		return &reworded{err, text}
	}
	return err
}

// reworded is an error that says it in another way.
type reworded struct {
	err  error
	text string
}

func (e *reworded) Error() string { return e.text }
func (e *reworded) Unwrap() error { return e.err }

// redactions is a line of the summary.
func redactions(rec *receipt.Receipt) string {
	places := 0
	for _, r := range rec.Redactions {
		places += len(r.Places)
	}
	return count(len(rec.Redactions), "value", "values") + " in " + count(places, "place", "places")
}
