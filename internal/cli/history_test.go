package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glasshouse/receipt"
	"glasshouse/store"
)

// A file wins over an ID; an ID, or a part of one, is looked for in the history.
func TestReceiptPath(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	t.Chdir(t.TempDir())
	history := store.New(filepath.Join(state, "glasshouse"))
	for _, id := range []string{"20260101-000000-0000001a", "20260101-000000-0000002b"} {
		rec := &receipt.Receipt{ReceiptVersion: receipt.Version, ExecutionID: id}
		var b bytes.Buffer
		if err := receipt.Encode(&b, rec); err != nil {
			t.Fatal(err)
		}
		if err := history.Add(id, &b, nil); err != nil {
			t.Fatal(err)
		}
	}
	a := &app{}
	for _, name := range []string{"20260101-000000-0000002b", "2b"} {
		rec, err := a.readReceipt(name)
		if err != nil || rec.ExecutionID != "20260101-000000-0000002b" {
			t.Errorf("%s: %v, %v", name, rec, err)
		}
	}
	for name, want := range map[string]string{
		"20260101":     `"20260101" stands for 2 receipts: 20260101-000000-0000001a, 20260101-000000-0000002b`,
		"3c":           "3c: no such file, and no receipt of that ID",
		"receipt.json": "receipt.json: no such file",
	} {
		_, err := a.readReceipt(name)
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
		if !strings.HasPrefix(want, `"`) && !strings.Contains(hintOf(err), "glasshouse log") {
			t.Errorf("%s: hint %q", name, hintOf(err))
		}
	}
	if err := os.WriteFile("2b", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if path, err := a.receiptPath("2b"); path != "2b" || err != nil {
		t.Errorf("got %s, %v", path, err)
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"90m":                  now.Add(-90 * time.Minute),
		"7d":                   now.Add(-7 * 24 * time.Hour),
		"2w":                   now.Add(-14 * 24 * time.Hour),
		"0s":                   now,
		"2026-01-31":           time.Date(2026, 1, 31, 0, 0, 0, 0, time.Local),
		"2026-01-31T12:00:00Z": time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
	} {
		if got, err := moment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "d", "-1d", "+1d", "1.5d", " 1d", "99999999999999999d", "-2h", "7", "yesterday", "2026-02-30"} {
		if got, err := moment(bad, now); err == nil {
			t.Errorf("%q: got %v", bad, got)
		}
	}
}

func TestParseKeep(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	got, err := parseKeep([]string{"3", "12h", "10", "2d"}, now)
	if want := (store.Keep{Newest: 10, Since: now.Add(-48 * time.Hour)}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := parseKeep([]string{"0"}, now); err != nil || got != (store.Keep{}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range [][]string{nil, {""}, {"-1"}, {"1", "x"}, {"2026-01-01"}} {
		if got, err := parseKeep(bad, now); err == nil {
			t.Errorf("%q: got %+v", bad, got)
		}
	}
}

// Nothing from a receipt gets to a terminal as it is, and no line is too long.
func TestLogLine(t *testing.T) {
	evil := "SIG\x1b[2J"
	e := store.Entry{
		ID: "20260101-000000-0000001a", StartedAt: receipt.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.Local)),
		DurationMS: 83_000, ExitCode: 137, Signal: &evil, Complete: true,
		Command: "rm \x1b[31m\n" + strings.Repeat("x", 200),
	}
	text, err := logLine(120)(&e)
	if err != nil {
		t.Fatal(err)
	}
	want := `20260101-000000-0000001a  2026-01-01 00:00:00  SIG\x1b[2J    1m23s  complete      rm \x1b[31m\nxxx`
	if !strings.HasPrefix(string(text), want) || !strings.HasSuffix(string(text), "x...") || len(text) != 120 {
		t.Errorf("got  %q\nwant %q and more, to 120", text, want)
	}
	for _, columns := range []int{81, 99} {
		text, _ = logLine(columns)(&e)
		if want := `20260101-000000-0000001a  SIG\x1b[2J    1m23s  complete      rm \x1b[31m\n`; !strings.HasPrefix(string(text), want) || len(text) != columns {
			t.Errorf("got  %q\nwant %q and more, to %d", text, want, columns)
		}
	}
	if text, _ = logLine(0)(&e); !strings.HasSuffix(string(text), strings.Repeat("x", 200)) {
		t.Errorf("cut where there is no terminal: %q", text)
	}
	evil = strings.Repeat("SIG", 1000)
	if text, _ = logLine(0)(&e); len(text) > 400 {
		t.Errorf("a foreign signal is printed whole: %d bytes", len(text))
	}
	e.Signal, e.ExitCode, e.Complete, e.Mode, e.Command, e.DurationMS = nil, 0, false, "none", "true", 5
	if text, _ = logLine(0)(&e); string(text) != "20260101-000000-0000001a  2026-01-01 00:00:00  exit 0        5ms  not observed  true" {
		t.Errorf("got %q", text)
	}
	e = store.Entry{ID: e.ID, StartedAt: e.StartedAt, Unreadable: "not a \x1b receipt"}
	if text, _ = logLine(0)(&e); string(text) != `20260101-000000-0000001a  2026-01-01 00:00:00  unreadable: not a \x1b receipt` {
		t.Errorf("got %q", text)
	}
}
