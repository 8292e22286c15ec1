package cli

import (
	"strings"
	"testing"

	"glasshouse/receipt"
)

func ptr[T any](v T) *T { return &v }

func observed() *receipt.Receipt {
	rec := &receipt.Receipt{}
	rec.Outcome.ExitCode = 2
	rec.Timing.DurationMS = 1234
	rec.Observation = receipt.Observation{Mode: "ebpf", Complete: true, Events: receipt.Events{Emitted: 9, Received: 9}}
	rec.ProcessTree = make([]receipt.Process, 3)
	rec.Filesystem.Writes = []string{"/a", "/b", "/c", "/d", "/e"}
	rec.Network.Attempts = []receipt.Attempt{
		{Dst: "127.0.0.1:80", Result: "refused", PID: 1},
		{Dst: "127.0.0.1:80", Result: "refused", PID: 2},
		{Dst: "unix:/run/x", Result: "connected"},
		{Dst: "[::1]:53", Result: "sent"},
	}
	return rec
}

func TestSummary(t *testing.T) {
	const want = `glasshouse:
  outcome    exit code 2 after 1.234s
  processes  3
  written    5: /a, /b, /c and 2 more
  deleted    none
  hosts      2: 127.0.0.1:80 refused, [::1]:53 sent
  events     9, complete
  receipt    receipt.json
`
	if got := summary(observed(), "receipt.json", true); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestSummaryLines(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*receipt.Receipt)
		want   string
	}{
		{"signal", func(r *receipt.Receipt) { r.Outcome.ExitCode, r.Outcome.Signal = 137, ptr("SIGKILL") },
			"outcome    exit code 137 (SIGKILL) after 1.234s\n"},
		{"error", func(r *receipt.Receipt) { r.Outcome.Error, r.Resources.Processes = ptr("timed out after 2s"), 3 },
			"after 1.234s: timed out after 2s\n"},
		{"long error", func(r *receipt.Receipt) {
			r.Outcome.Error, r.Resources.Processes = ptr("no such thing: "+strings.Repeat("x", 200)), 3
		}, ": no such thing: " + strings.Repeat("x", 102) + "...\n"},
		{"not started", func(r *receipt.Receipt) { r.Outcome.ExitCode, r.Outcome.Error = 1, ptr("no such file") },
			"glasshouse:\n  outcome    exit code 1, the command was not started\n  events     9, complete\n"},
		{"redacted", func(r *receipt.Receipt) {
			r.Redactions = []receipt.Redaction{{ID: 1, Places: []string{"/a", "/b"}}, {ID: 2, Places: []string{"/a"}}}
		}, "  redacted   2 values in 3 places\n  receipt "},
		{"lost", func(r *receipt.Receipt) {
			r.Observation.Complete = false
			r.Observation.Events.Lost = map[string]uint64{"ring_full": 3, "map_full": 1}
			r.Observation.Reason = ptr("events were lost")
		}, "events     9, 4 LOST: events were lost\n"},
		{"incomplete", func(r *receipt.Receipt) {
			r.Observation.Complete = false
			r.Observation.Reason = ptr("a hook is missing")
		}, "events     9, NOT complete: a hook is missing\n"},
		{"survivors", func(r *receipt.Receipt) { r.Observation.Survivors = make([]receipt.Survivor, 2) },
			"processes  3, 2 still running\n"},
		{"hostile name", func(r *receipt.Receipt) { r.Filesystem.Deletes = []string{"/\x1b]0;owned\x07\u202e\n/x"} },
			`deleted    1: /\x1b]0;owned\a\u202e\n/x` + "\n"},
		{"long name", func(r *receipt.Receipt) { r.Filesystem.Deletes = []string{"/" + strings.Repeat("d", 100) + "/end"} },
			"deleted    1: ..." + strings.Repeat("d", 53) + "/end\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := observed()
			tc.change(rec)
			if got := summary(rec, "r", true); !strings.Contains(got, tc.want) {
				t.Errorf("got:\n%swithout %q", got, tc.want)
			}
		})
	}
}

// What became of a workspace, and why the proxy passed nothing on, one should not have
// to look for.
func TestSummaryOfMachine(t *testing.T) {
	rec := observed()
	rec.Execution.VM = &receipt.VM{
		Workspace: &receipt.Workspace{Added: []string{"a"}, Deleted: []string{"b", "c"}, Kept: ptr("/r\x1b.tar")},
		Proxy:     &receipt.Proxy{},
	}
	for _, q := range [][3]string{
		{"d.example", "denied", "no --net-allow names it"}, {"c.example", "denied", "no --net-allow names it"}, {"b.example", "denied", "no --net-allow names it"},
		{"a.example", "denied", "no --net-allow names it"}, {"e.example", "failed", "no such\nhost"}, {"f.example", "failed", "x"}, {"f.example", "failed", "y"}, {"f.example", "failed", "z"},
	} {
		rec.Execution.VM.Proxy.Requests = append(rec.Execution.VM.Proxy.Requests, receipt.ProxyRequest{Host: q[0], Port: 80, Result: q[1], Reason: &q[2]})
	}
	const want = `, [::1]:53 sent
  proxy      a.example:80, b.example:80, c.example:80 and 1 more denied: no --net-allow names it
  proxy      e.example:80 failed: no such\nhost
  proxy      f.example:80 failed: x
  proxy      2 more reasons
  workspace  1 added, 2 deleted; not applied, kept in /r\x1b.tar
  events     9, complete
`
	if got := summary(rec, "receipt.json", true); !strings.Contains(got, want) {
		t.Errorf("got:\n%s\nwithout:\n%s", got, want)
	}
	rec.Observation.Mode = "none"
	if got := summary(rec, "receipt.json", true); !strings.Contains(got, "  workspace  1 added") || strings.Contains(got, "hosts") {
		t.Errorf("not observed: got:\n%s", got)
	}
	rec.Outcome.Error = ptr("no such file") // there was no command
	if got := summary(rec, "receipt.json", true); strings.Contains(got, "  workspace") {
		t.Errorf("not started: got:\n%s", got)
	}
}

func TestSummaryOfNothing(t *testing.T) {
	rec := &receipt.Receipt{}
	rec.Observation = receipt.Observation{Mode: "none", Reason: ptr("no right")}
	const want = `glasshouse:
  outcome    exit code 0 after 0s
  events     not observed: no right
  receipt    not written
`
	if got := summary(rec, "r", false); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"/plain/päth":       "/plain/päth",
		"a\x1b[2Jb":         `a\x1b[2Jb`,
		"bad\xffbyte":       `bad\xffbyte`,
		"\u009b31m":         `\u009b31m`,
		"\ufffd is printed": "\ufffd is printed",
		"tab\there":         `tab\there`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
