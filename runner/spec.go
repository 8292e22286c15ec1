// Package runner conducts one run: it prepares a backend, attaches a
// collector, starts the command, waits, drains the collector, cleans up, and
// hands back the receipt. It is the Go API of glasshouse.
package runner

import (
	"errors"
	"io"
	"os"
	"time"

	"glasshouse/audit"
	"glasshouse/backend"
	"glasshouse/journal"
	"glasshouse/receipt"
)

// Spec is one run. Argv and Backend must be set; the zero value of anything
// else is a sensible default.
type Spec struct {
	Backend backend.Backend
	// Collector watches the run. If it is nil or unavailable the command runs
	// all the same, and the receipt says that nothing was observed.
	Collector audit.Collector
	// Fallbacks are tried in their order if Collector is unavailable.
	Fallbacks []audit.Collector

	Argv []string
	Dir  string        // working directory; "" is the current one
	Env  []string      // KEY=VALUE; nil is the current environment
	User *backend.User // nil is the current user

	Stdin io.Reader // nil is /dev/null
	// Stdout and Stderr: a terminal is inherited as it is. To anything else
	// the output is copied, counted and hashed on its way. nil discards it.
	Stdout, Stderr io.Writer

	// Strict refuses to run a command that cannot be fully observed.
	Strict bool
	// Timeout kills the whole tree after this time; 0 is never.
	Timeout time.Duration
	// WaitTree waits for all that the command started, not for its root alone.
	WaitTree bool
	// KillSurvivors kills what is left of the tree when the waiting is over.
	KillSurvivors bool

	// NoBackpressure lets events be lost rather than hold the command up while
	// the collector catches up.
	NoBackpressure bool

	// Signals that the caller caught. They are forwarded to the command where
	// the kernel did not deliver them to it anyway. The caller's handler must
	// stay in place until the receipt is written, or a second Ctrl-C would
	// take the receipt away. nil: the run knows of no signals.
	Signals <-chan os.Signal

	// Unavailable is called before the command starts if it is not going to
	// be observed, with the reason.
	Unavailable func(error)

	// Journal is written while the run goes on, so that a killed recorder
	// leaves evidence. Run opens it and leaves the end to the caller, who alone
	// knows when the receipt is safe: Keep, Remove or Abandon. nil: no journal.
	Journal *journal.Writer
	// JournalFailed is called before the command starts if there will be no
	// journal, with the reason. The run goes on, and the receipt says so.
	JournalFailed func(error)

	// Redact takes the secrets out of the receipt, in place. It is called once,
	// when the receipt is filled in and its strings are still the bytes that the
	// kernel gave, not yet their text form. nil leaves everything in.
	Redact func(*receipt.Receipt)
	// Mask takes the secrets out of what the journal gets. nil leaves them in.
	Mask Masker

	// Tap sees every event before the aggregator does, for diagnostics.
	Tap audit.Sink

	Provenance string        // host (the default) or guest
	Version    string        // of glasshouse, for the receipt
	Gaps       []receipt.Gap // what the caller knows cannot be seen
}

// A Masker makes as many bytes without secrets of bytes that may hold some. It
// returns what it was given, as it is, or a copy, and is used by one goroutine
// at a time.
type Masker interface {
	Argv(argv []byte) []byte // arguments, each followed by a NUL but perhaps the last
	Bytes(data []byte) []byte
}

// ErrNotObservable is what a Strict run ends with if nothing was run because
// it could not have been fully observed.
var ErrNotObservable = errors.New("the command was not run because it cannot be fully observed")

// TimeoutError says that the run took longer than Spec.Timeout.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return "timed out after " + e.After.String() }

// Timeout makes the error a timeout in the sense of package net.
func (e *TimeoutError) Timeout() bool { return true }
