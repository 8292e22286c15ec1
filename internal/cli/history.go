package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"glasshouse/journal"
	"glasshouse/receipt"
	"glasshouse/runner"
	"glasshouse/store"
)

func openStore() (*store.Store, error) {
	state, err := stateDir()
	if err != nil {
		return nil, err
	}
	return store.New(state), nil
}

// runID is the name of a run in the history: that of its journal, if it had
// one.
func runID(spec runner.Spec, rec *receipt.Receipt) string {
	if j := spec.Journal; j != nil && j.Run() != "" {
		return j.Run()
	}
	return store.IDOf(rec)
}

// recoveredID is runID for a run that left its journal alone. Somebody may have
// changed what that says.
func recoveredID(o *journal.Open, rec *receipt.Receipt) string {
	if store.IsID(o.Run) {
		return o.Run
	}
	return store.IDOf(rec)
}

// keeping is a receipt on its way into the history. It is encoded there, once,
// and copied from there to where the user wants it: what is kept cannot be
// anything else than what the recorder made, whoever changes the other file.
type keeping struct {
	id    string
	draft *store.Draft // nil if there is none
	err   error        // why
	early bool         // err came before there was a file
}

// newKeeping returns nil if none is wanted.
func newKeeping(unwanted bool, id string, rec *receipt.Receipt) *keeping {
	if unwanted {
		return nil
	}
	k := &keeping{id: id}
	history, err := openStore()
	if err == nil {
		k.draft, err = history.Create()
	}
	if err != nil {
		k.err, k.early = err, true
		return k
	}
	if err := receipt.Encode(k.draft, rec); err != nil {
		k.draft.Discard()
		k.draft, k.err = nil, err
		return k
	}
	k.draft.Written()
	return k
}

// reader is what was encoded, from its beginning; nil if nothing was.
func (k *keeping) reader() io.Reader {
	if k == nil || k.draft == nil {
		return nil
	}
	if _, err := k.draft.Seek(0, io.SeekStart); err != nil {
		return nil
	}
	return k.draft
}

// end gives the receipt its place, with its signature if it has one.
func (k *keeping) end(bundle []byte) error {
	if k == nil {
		return nil
	}
	if k.draft == nil {
		return k.err
	}
	return k.draft.Keep(k.id, bundle)
}

// kept returns whether a receipt is in the history, by the error of its end. If
// that failed a line says so, unless one has said that the state folder is of no
// use. A run that is in the history already, and was recovered after that, stays
// as it is.
func (a *app) kept(k *keeping, err error) bool {
	if err != nil && !errors.Is(err, fs.ErrExist) && !(k.early && a.unjournaled) {
		fmt.Fprintf(a.stderr, "glasshouse: the receipt is not kept in the history: %s%s\n", printable(err.Error()), inline(stateRemedy(err)))
	}
	return k != nil && err == nil
}
