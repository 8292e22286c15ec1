//go:build unix

package runner_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
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

// hider puts stars in the place of one secret.
type hider string

func (h hider) Argv(argv []byte) []byte { return h.Bytes(argv) }

func (h hider) Bytes(data []byte) []byte {
	return bytes.ReplaceAll(data, []byte(h), bytes.Repeat([]byte("*"), len(h)))
}

// named is a backend that knows where the command's program is.
type named struct {
	*fake.Backend
	exe string
}

func (n named) Executable() string { return n.exe }

// What the journal says of a command beside its arguments, and of what became
// of it, can hold their secrets as well.
func TestJournalIsMasked(t *testing.T) {
	const secret = "Zq9xKvUe"
	dir := filepath.Join(t.TempDir(), secret)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*fake.Backend{
		{StartErr: errors.New("start /no/" + secret)},
		{WaitErr: errors.New("wait for " + secret)},
	} {
		spec := runner.Spec{
			Backend: named{b, "/no/" + secret}, Argv: []string{"/no/" + secret}, Dir: dir, Mask: hider(secret),
			Journal: journal.New(journal.Options{State: t.TempDir()}),
		}
		rec, err := runner.Run(context.Background(), spec)
		if rec == nil || err == nil || !strings.Contains(err.Error(), secret) {
			t.Fatalf("the run itself knows it: %v", err)
		}
		path, err := spec.Journal.Keep(journal.End{})
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(data, []byte(secret)); at >= 0 {
			t.Errorf("the journal has it: %q", data[max(at-40, 0):min(at+20, len(data))])
		}
		if !bytes.Contains(data, []byte("/no/********")) {
			t.Errorf("the journal does not tell what was started: %q", data)
		}
	}
}
