//go:build unix

package runner_test

import (
	"bytes"
	"context"
	"testing"

	"glasshouse/backend/fake"
	"glasshouse/journal"
	"glasshouse/receipt"
	"glasshouse/runner"
)

// Redact gets the bytes that were passed, before they become text, once, in a
// run as in a recovery; the identity of the run is over what it leaves.
func TestRedact(t *testing.T) {
	calls := 0
	redact := func(rec *receipt.Receipt) {
		if calls++; rec.Command.Argv[1] != "\xff\\" {
			t.Errorf("the argument is %q by then", rec.Command.Argv[1])
		}
		rec.Command.Argv[1] = "gone"
	}
	b := &fake.Backend{}
	spec := runner.Spec{
		Backend: b, Argv: []string{"x", "\xff\\"}, Redact: redact,
		Journal: journal.New(journal.Options{State: t.TempDir()}),
	}
	rec, err := runner.Run(context.Background(), spec)
	if err != nil || calls != 1 {
		t.Fatalf("%v, %d calls", err, calls)
	}
	if err := spec.Journal.Remove(); err != nil {
		t.Error(err)
	}
	if want := receipt.ExecutionID(rec.Timestamp.Time, b.PID(), []string{"x", "gone"}); rec.Command.Argv[1] != "gone" || rec.ExecutionID != want {
		t.Errorf("%q, id %s", rec.Command.Argv, rec.ExecutionID)
	}
	if spec.Argv[1] != "\xff\\" {
		t.Errorf("the command's argv has become %q", spec.Argv)
	}

	data := written(t, journal.Open{Layout: layout, Argv: []journal.Text{"x", "\xff\\"}}, nil)
	back, err := runner.Recover(bytes.NewReader(data), layout, redact)
	if err != nil || calls != 2 {
		t.Fatalf("%v, %d calls", err, calls)
	}
	if want := receipt.ExecutionID(back.Timestamp.Time, 0, []string{"x", "gone"}); back.Command.Argv[1] != "gone" || back.ExecutionID != want {
		t.Errorf("%q, id %s", back.Command.Argv, back.ExecutionID)
	}
}
