//go:build linux || darwin

package attest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glasshouse/journal"
)

// keep writes the journal of a run and returns its path.
func keep(t *testing.T, state string, end *journal.End) string {
	t.Helper()
	w := journal.New(journal.Options{State: state})
	if err := w.Open(journal.Open{Layout: "l", Receipt: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Synced(); err != nil {
		t.Fatal(err)
	}
	w.Record([]byte("a record"))
	if end == nil {
		if err := w.Abandon("why"); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(state, "runs", w.Run()+".journal")
	}
	path, err := w.Keep(*end)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVerifyJournal(t *testing.T) {
	run := signFiles(t)
	s, _ := run.statement(t)
	good := journal.End{Complete: true, Received: run.rec.Observation.Events.Received, Receipt: s.Subject[0].Digest.SHA256}
	foreign, liar := good, good
	foreign.Receipt = sha("another")
	liar.ExitCode = 1
	state := filepath.Join(t.TempDir(), "state")

	status := func(o Options) string {
		t.Helper()
		report, _ := run.verify(t, func(to *Options) { to.State, to.Journal = o.State, o.Journal })
		for _, c := range report.Checks {
			if c.Name == "journal" {
				return c.Status + " " + c.Detail
			}
		}
		return ""
	}
	check := func(name string, o Options, want string) {
		t.Helper()
		if got := status(o); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %q", name, got, want)
		}
	}
	check("no state", Options{}, "skip no state folder to look for one in")
	check("no state folder", Options{State: state}, "skip none that names this receipt is kept below "+state+"; ")
	other := keep(t, state, &foreign)
	check("another run's", Options{State: state}, "skip none that names this receipt is kept below "+state)
	check("another run's, by name", Options{Journal: other}, "fail "+other+": it is of another receipt: that has the SHA-256 "+sha("another"))
	check("without an end", Options{Journal: keep(t, state, nil)}, ": it has no closing record, so nothing ties it to a receipt")
	check("that says something else", Options{Journal: keep(t, state, &liar)}, ": its closing record does not say what the receipt says")
	check("no journal", Options{Journal: run.path}, ": not a journal")

	state = filepath.Join(t.TempDir(), "state")
	keep(t, state, &foreign)
	path := keep(t, state, &good)
	for range 5 {
		keep(t, state, &foreign)
	}
	check("found", Options{State: state}, "ok "+path+": the chain of 3 frames is whole, and its closing record names this receipt")
	check("named", Options{Journal: path}, "ok "+path)

	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Replace(data, []byte("a record"), []byte("A record"), 1)
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	check("changed", Options{State: state}, "a frame does not continue the chain of hashes")
	if err := os.WriteFile(path, append(data, 'x'), 0o600); err != nil {
		t.Fatal(err)
	}
	check("longer", Options{State: state}, "it ends within a frame")
}
