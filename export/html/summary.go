package html

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"glasshouse/internal/term"
	"glasshouse/receipt"
	"glasshouse/receipt/insight"
)

// What the head of the report shows at most: it is there before any script
// runs, and has to stay small.
const (
	maxRows    = 500
	maxCommand = 2000 // characters
	maxItems   = 8    // of a finding
)

// summary is the part of the report that is HTML. All its text is printable.
type summary struct {
	Command  string
	Verdict  []mark
	Notes    []note
	Facts    []fact
	Watched  bool // so that nothing unusual means something
	Unusual  []finding
	Gaps     table
	Others   table // survivors
	Hooks    table
	Syscalls table
	Secrets  table
	Refusals table // of a machine's proxy
	Changes  table // of a workspace
	Machine  []fact
	Version  string
	ID       string

	Workspace string // what became of it; "" if there is none
}

// mark is one word of the verdict; class is good, bad or warn.
type mark struct{ Class, Text string }

// note is a sentence that has to be read.
type note struct{ Title, Text string }

type fact struct{ Name, Value string }

// finding is something unusual; class is warning or notice.
type finding struct {
	Class, Text string
	Items       []string
	More        int
}

// table is a list of which the first rows are shown.
type table struct {
	Columns []string
	Rows    [][]string
	More    int
}

func summaryOf(r *receipt.Receipt) *summary {
	s := &summary{
		Command: printable(clip(term.CommandLine(r.Command.Argv, maxCommand), maxCommand)),
		Version: printable(r.Environment.GlasshouseVersion),
		ID:      printable(r.ExecutionID),
	}
	if s.Command == "" {
		s.Command = "(no command)"
	}
	s.Verdict = verdict(r)
	s.Notes = notes(r)
	s.Facts = facts(r)
	s.Watched = r.Observation.Mode != "none" && r.Observation.Mode != ""
	s.Unusual = unusual(r)
	s.Machine = machine(r)
	if vm := r.Execution.VM; vm != nil && vm.Workspace != nil {
		s.Workspace = printable(clip(vm.Workspace.Path+": "+insight.Fate(vm.Workspace), maxCommand))
		s.Changes = changes(vm.Workspace)
	}
	s.Refusals = tableOf([]string{"Asked for", "Result", "Reason"}, insight.Refusals(r), func(f insight.Refusal) []string {
		return []string{strings.Join(f.Hosts, ", "), f.Result, f.Reason}
	})

	o := &r.Observation
	s.Gaps = tableOf([]string{"Kind", "What exactly", "Times"}, o.Gaps, func(g receipt.Gap) []string {
		return []string{g.Kind, g.Detail, number(g.Count)}
	})
	s.Others = tableOf([]string{"Process", "Image"}, o.Survivors, func(p receipt.Survivor) []string {
		return []string{strconv.Itoa(int(p.PID)), p.Exe}
	})
	s.Hooks = tableOf([]string{"Hook", "Attached", "Error"}, o.Hooks, func(h receipt.Hook) []string {
		attached := "no"
		if h.Attached {
			attached = "yes"
		}
		return []string{h.Name, attached, deref(h.Error)}
	})
	s.Secrets = tableOf([]string{"In its place", "Recognised by", "Places", "Commitment"}, r.Redactions, func(d receipt.Redaction) []string {
		return []string{fmt.Sprintf("[redacted:%d]", d.ID), d.Rule, strconv.Itoa(len(d.Places)), d.Commitment}
	})
	var calls []string
	for _, name := range slices.Sorted(maps.Keys(r.Syscalls.Counts)) {
		if r.Syscalls.Counts[name] > 0 {
			calls = append(calls, name)
		}
	}
	slices.SortStableFunc(calls, func(a, b string) int {
		return cmp.Compare(r.Syscalls.Counts[b], r.Syscalls.Counts[a])
	})
	s.Syscalls = tableOf([]string{"Call", "Times", "Denied"}, calls, func(name string) []string {
		denied := ""
		if slices.Contains(r.Syscalls.Denied, name) {
			denied = "at least once"
		}
		return []string{name, number(r.Syscalls.Counts[name]), denied}
	})
	return s
}

func verdict(r *receipt.Receipt) []mark {
	var list []mark
	add := func(class, format string, args ...any) {
		list = append(list, mark{class, printable(fmt.Sprintf(format, args...))})
	}
	switch {
	case r.Outcome.Signal != nil:
		add("bad", "exit code %d, %s", r.Outcome.ExitCode, *r.Outcome.Signal)
	case r.Outcome.ExitCode != 0 || r.Outcome.Error != nil:
		add("bad", "exit code %d", r.Outcome.ExitCode)
	default:
		add("good", "exit code 0")
	}
	switch {
	case r.Observation.Mode == "none":
		add("bad", "not observed")
	case r.Observation.Complete:
		add("good", "complete")
	default:
		add("bad", "not complete")
	}
	if n := len(r.Observation.Gaps); n > 0 {
		add("warn", "%s not seen", counted(n, "kind of thing", "kinds of things"))
	}
	if n := len(r.Redactions); n > 0 {
		add("warn", "%s taken out", counted(n, "secret", "secrets"))
	}
	if n := len(r.Observation.Survivors); n > 0 {
		add("warn", "%d still running", n)
	}
	return list
}

func notes(r *receipt.Receipt) []note {
	var list []note
	add := func(title, text string) {
		list = append(list, note{title, printable(clip(text, maxCommand))})
	}
	if r.Outcome.Error != nil {
		add("The run went wrong", *r.Outcome.Error)
	}
	o := &r.Observation
	reason := deref(o.Reason)
	if reason == "" {
		reason = "the receipt does not say why"
	}
	switch {
	case o.Mode == "none":
		add("Nothing was observed: the lists below are empty for that reason", reason)
	case !o.Complete:
		add("The recording is not complete", reason)
	}
	for _, why := range slices.Sorted(maps.Keys(o.Events.Lost)) {
		if n := o.Events.Lost[why]; n > 0 {
			add("Events lost", number(n)+", "+why)
		}
	}
	return list
}

// unusual leaves out what has a table of its own.
func unusual(r *receipt.Receipt) []finding {
	var list []finding
	for _, f := range insight.Besides(insight.Findings(r), "gaps", "secrets") {
		items := insight.Shorten(f, maxItems, r.Command.WorkingDir)
		row := finding{Class: string(f.Severity), Text: printable(f.Text), More: items.Left}
		for _, item := range items.Shown {
			row.Items = append(row.Items, printable(clip(item, maxCommand)))
		}
		list = append(list, row)
	}
	return list
}

func facts(r *receipt.Receipt) []fact {
	var list []fact
	add := func(name, value string) { list = append(list, fact{name, printable(value)}) }
	add("Started", r.Timing.StartedAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	add("Took", milliseconds(r.Timing.DurationMS))
	add("CPU time", milliseconds(r.Timing.CPUTimeMS))
	add("User", user(r.Command))
	add("Folder", r.Command.WorkingDir)
	if r.Observation.Mode == "none" {
		return list
	}
	e, fs, n := &r.Observation.Events, &r.Filesystem, &r.Network
	add("Processes", grouped(len(r.ProcessTree)))
	add("Files read", grouped(max(len(fs.Reads), len(fs.Read))))
	add("Files written", grouped(max(len(fs.Writes), len(fs.Written))))
	add("Files deleted", grouped(len(fs.Deletes)))
	add("Addresses tried", grouped(len(n.Attempts)))
	add("Sent, received", size(n.BytesSent)+", "+size(n.BytesReceived))
	add("Most memory", size(uint64(max(r.Resources.MaxRSSKB, 0))<<10))
	add("Events", number(e.Received)+" of "+number(e.Emitted)+" arrived")
	if b := r.Observation.Backpressure; b.Freezes > 0 {
		add("Held up", milliseconds(b.FrozenMS)+" in "+counted(int(b.Freezes), "freeze", "freezes"))
	}
	return list
}

func machine(r *receipt.Receipt) []fact {
	var list []fact
	add := func(name, value string) {
		if value != "" {
			list = append(list, fact{name, printable(value)})
		}
	}
	env, x, a := &r.Environment, &r.Execution, &r.Artifacts
	add("System", strings.TrimSpace(env.OS+" "+env.Arch))
	add("Kernel", env.Kernel)
	add("Ran by", x.Backend)
	add("Isolation", x.Isolation)
	add("Receipt made in", x.Provenance)
	add("Observed by", r.Observation.Mode)
	add("Network", env.Sandbox.Network)
	add("Program", r.Command.Exe)
	add("Standard output, SHA-256", deref(a.StdoutHash))
	add("Standard error, SHA-256", deref(a.StderrHash))
	for _, d := range x.Guest {
		text := d.Outcome
		if d.Error != nil {
			text += ": " + *d.Error
		}
		add("Guest: "+printable(d.Name), text)
	}
	if vm := x.VM; vm != nil {
		add("Virtual machine", fmt.Sprintf("%s %s (%s), up after %d ms", vm.Monitor, vm.MonitorVersion, vm.Accelerator, vm.BootMS))
		add("Virtual machine's end", deref(vm.MonitorError))
		for _, part := range vm.Image {
			add("Guest's "+printable(part.Name)+", SHA-256", part.SHA256)
		}
	}
	return list
}

// changes are those of a workspace, by name.
func changes(w *receipt.Workspace) table {
	type change struct{ path, what string }
	var list []change
	for _, c := range []struct {
		paths []string
		what  string
	}{{w.Added, "added"}, {w.Changed, "changed"}, {w.Deleted, "deleted"}} {
		for _, path := range c.paths {
			list = append(list, change{path, c.what})
		}
	}
	for _, f := range w.Refused {
		list = append(list, change{f.Path, "refused: " + f.Reason})
	}
	slices.SortStableFunc(list, func(a, b change) int { return cmp.Compare(a.path, b.path) })
	return tableOf([]string{"Path", "What became of it"}, list, func(c change) []string { return []string{c.path, c.what} })
}

func tableOf[T any](columns []string, list []T, row func(T) []string) table {
	t := table{Columns: columns, More: max(0, len(list)-maxRows)}
	for _, v := range list[:min(len(list), maxRows)] {
		cells := row(v)
		for i := range cells {
			cells[i] = printable(clip(cells[i], maxCommand))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

func user(c receipt.Command) string {
	id := fmt.Sprintf("%d:%d", c.UID, c.GID)
	if c.User == "" {
		return id
	}
	return c.User + " (" + id + ")"
}

// milliseconds is written as the script does.
func milliseconds(n int64) string {
	switch {
	case n >= 60_000:
		return fmt.Sprintf("%d min %.1f s", n/60_000, float64(n%60_000)/1000)
	case n >= 1000:
		return fmt.Sprintf("%.2f s", float64(n)/1000)
	default:
		return fmt.Sprintf("%d ms", n)
	}
}

// size is in the units of IEC 80000-13.
func size(n uint64) string {
	if n < 1024 {
		return strconv.FormatUint(n, 10) + " B"
	}
	v, unit := float64(n)/1024, 0
	for v >= 1024 && unit < len("KMGTPE")-1 {
		v, unit = v/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTPE"[unit])
}

func grouped(n int) string { return number(uint64(n)) }

// number has its digits in groups of three.
func number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

func clip(s string, limit int) string {
	n := 0
	for i := range s {
		if n++; n > limit {
			return s[:i] + "... (cut here, not in the receipt)"
		}
	}
	return s
}

func printable(s string) string { return term.Printable(s) }

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
