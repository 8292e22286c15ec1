package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"glasshouse/journal"
	"glasshouse/receipt"
	"glasshouse/runner"
)

// forsakenLimit bounds how many journals a run looks at before it starts.
const forsakenLimit = 100

// stateRemedy is for who has a home that is not his own, as accounts of services
// have.
func stateRemedy(err error) string {
	if hint := hintOf(err); hint != "" || !errors.Is(err, fs.ErrPermission) {
		return hint
	}
	return "set XDG_STATE_HOME to a folder of your own, or give --no-journal --no-store"
}

func stateDir() (string, error) {
	dir, err := journal.StateDir(os.Getenv, os.Geteuid(), os.UserHomeDir)
	if err != nil {
		err = &hinted{fmt.Errorf("no state folder: %w", err), "set HOME, or XDG_STATE_HOME to a folder of your own"}
	}
	return dir, err
}

// journal gives the run a journal, unless the user wants none.
func (a *app) journal(spec *runner.Spec, f *runFlags, output string) {
	if f.noJournal {
		return
	}
	spec.JournalFailed = a.notJournaled
	state, err := stateDir()
	if err != nil {
		a.notJournaled(err)
		spec.Gaps = append(spec.Gaps, receipt.Gap{
			Kind: receipt.GapJournal, Detail: "a killed recorder would have left nothing: " + err.Error(), Count: 1,
		})
		return
	}
	if n := journal.Forsaken(state, forsakenLimit); n > 0 && !f.quiet {
		fmt.Fprintf(a.stderr, "glasshouse: %s left no receipt: see glasshouse recover\n", count(n, "earlier run", "earlier runs"))
	}
	spec.Journal = journal.New(journal.Options{State: state, Output: output})
}

// notJournaled is told before the command starts, like notObserved.
func (a *app) notJournaled(err error) {
	a.unjournaled = true
	fmt.Fprintf(a.stderr, "glasshouse: no journal, a killed recorder would leave nothing: %s%s\n", printable(err.Error()), inline(stateRemedy(err)))
}

// endJournal takes the journal of a run away, for its receipt is written, or
// keeps it if that was asked for. The journal of a run whose receipt could not
// be written, not even into the history, stays, to be recovered.
func (a *app) endJournal(spec runner.Spec, f *runFlags, rec *receipt.Receipt, writeErr error) error {
	j := spec.Journal
	switch {
	case j == nil || j.Run() == "":
		return nil
	case writeErr != nil:
		if err := j.Abandon(writeErr.Error()); err != nil {
			return err
		}
		fmt.Fprintf(a.stderr, "hint: glasshouse recover %s makes a receipt from the journal\n", j.Run())
		return nil
	case !f.keepJournal:
		return j.Remove()
	}
	sum := sha256.New()
	if err := receipt.Encode(sum, rec); err != nil {
		return err
	}
	path, err := j.Keep(journal.End{
		ExitCode: rec.Outcome.ExitCode,
		Complete: rec.Observation.Complete,
		Received: rec.Observation.Events.Received,
		Receipt:  hex.EncodeToString(sum.Sum(nil)),
	})
	if err == nil && !f.quiet {
		fmt.Fprintf(a.stderr, "  %-10s %s\n", "journal", printable(path))
	}
	return err
}
