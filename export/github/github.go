// Package github writes a receipt as a job summary for GitHub Actions: the
// Markdown that a step appends to the file $GITHUB_STEP_SUMMARY
// (docs.github.com/actions, "Adding a job summary").
package github

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"glasshouse/internal/term"
	"glasshouse/receipt"
	"glasshouse/receipt/insight"
)

// A summary larger than 1 MiB is dropped as a whole. These keep it below, even
// if each character takes four bytes.
const (
	maxEntries = 50  // of a list; the rest is a number
	maxText    = 300 // characters of a name or a command
	maxItems   = 5   // of a finding
)

// Write writes r as GitHub Flavored Markdown, of less than 1 MiB. Longer lists
// and texts are cut, which is said in their place. What a receipt quotes from
// the command stands in code spans, where nothing is markup, a mention or a
// link.
func Write(w io.Writer, r *receipt.Receipt) error {
	out := bufio.NewWriter(w) // keeps the first error
	fmt.Fprintf(out, "## glasshouse: %s\n\n", outcome(r))
	fmt.Fprintf(out, "%s\n\n", code(term.CommandLine(r.Command.Argv, maxText)))
	if r.Outcome.Error != nil {
		fmt.Fprintf(out, "**Error:** %s\n\n", code(*r.Outcome.Error))
	}
	fmt.Fprintf(out, "%s\n\n", verdict(&r.Observation))
	unusual(out, r)
	counts(out, r)
	for _, s := range sections(r) {
		s.write(out)
	}
	if r.ExecutionID != "" {
		fmt.Fprintf(out, "Receipt %s, by glasshouse %s.\n", code(r.ExecutionID), code(r.Environment.GlasshouseVersion))
	}
	return out.Flush()
}

func outcome(r *receipt.Receipt) string {
	text := fmt.Sprintf("exit code %d", r.Outcome.ExitCode)
	if r.Outcome.Signal != nil {
		text += " (" + code(*r.Outcome.Signal) + ")"
	}
	return text + " after " + (time.Duration(r.Timing.DurationMS) * time.Millisecond).String()
}

func verdict(o *receipt.Observation) string {
	var lost uint64
	for _, n := range o.Events.Lost {
		lost += n
	}
	text := fmt.Sprintf("**Complete:** all %d events arrived.", o.Events.Received)
	switch {
	case o.Mode == "ptrace" && o.Complete:
		text = fmt.Sprintf("**Complete** as far as ptrace sees: all %d events arrived.", o.Events.Received)
	case o.Mode == "none":
		text = "**Not observed:** nothing but the outcome is known."
	case !o.Complete:
		text = fmt.Sprintf("**Not complete:** %d events arrived, %d are known to be lost.", o.Events.Received, lost)
	}
	if o.Reason != nil {
		text += " " + code(*o.Reason)
	}
	return text
}

// unusual leaves out what has a list or a number of its own. The texts of
// findings are glasshouse's, their items are the run's.
func unusual(out io.Writer, r *receipt.Receipt) {
	list := insight.Besides(insight.Findings(r), "gaps", "secrets")
	if len(list) == 0 {
		return
	}
	fmt.Fprint(out, "**Unusual:**\n\n")
	for _, f := range list {
		text := f.Text
		if f.Severity == insight.Warning {
			text = "**" + text + "**"
		}
		items := insight.Shorten(f, maxItems, r.Command.WorkingDir)
		for i, item := range items.Shown {
			if i == 0 {
				text += ": "
			} else {
				text += ", "
			}
			text += code(item)
		}
		if items.Left > 0 {
			text += fmt.Sprintf(" and %d more", items.Left)
		}
		fmt.Fprintf(out, "- %s\n", text)
	}
	fmt.Fprintln(out)
}

func counts(out io.Writer, r *receipt.Receipt) {
	fmt.Fprint(out, "| | |\n|---|---:|\n")
	row := func(title string, value any) { fmt.Fprintf(out, "| %s | %v |\n", title, value) }
	if r.Observation.Mode != "none" {
		row("Processes", len(r.ProcessTree))
		row("Files read", len(r.Filesystem.Reads))
		row("Files written", len(r.Filesystem.Writes))
		row("Files deleted", len(r.Filesystem.Deletes))
		row("Bytes sent", r.Network.BytesSent)
		row("Bytes received", r.Network.BytesReceived)
		row("Kinds of things not seen", len(r.Observation.Gaps))
	}
	row("Secrets taken out of the receipt", len(r.Redactions))
	row("CPU time", time.Duration(r.Timing.CPUTimeMS)*time.Millisecond)
	row("Most memory of one process (KiB)", r.Resources.MaxRSSKB)
	fmt.Fprintln(out)
}

// section is a list that unfolds.
type section struct {
	title string
	n     int
	entry func(i int) string
}

func (s section) write(out io.Writer) {
	if s.n == 0 {
		return
	}
	fmt.Fprintf(out, "<details>\n<summary>%s: %d</summary>\n\n", s.title, s.n)
	for i := range min(s.n, maxEntries) {
		fmt.Fprintf(out, "- %s\n", s.entry(i))
	}
	if more := s.n - maxEntries; more > 0 {
		fmt.Fprintf(out, "\nand %d more, which the receipt has.\n", more)
	}
	fmt.Fprint(out, "\n</details>\n\n")
}

func sections(r *receipt.Receipt) []section {
	o, fs, n := &r.Observation, &r.Filesystem, &r.Network
	failed, missing := failedProcesses(r), failedExecs(r)
	paths := func(title string, list []string) section {
		return section{title, len(list), func(i int) string { return code(list[i]) }}
	}
	return []section{
		{"What was not seen", len(o.Gaps), func(i int) string {
			g := o.Gaps[i]
			return code(g.Kind) + ": " + code(g.Detail) + times(g.Count)
		}},
		{"Processes that failed", len(failed), func(i int) string {
			p := failed[i]
			return fmt.Sprintf("%s: %s, pid %d", ending(p), code(title(p)), p.PID)
		}},
		{"Programs that could not be started", len(missing), func(i int) string {
			f := missing[i]
			return code(f.Errno) + ": " + code(f.Path) + times(f.Count)
		}},
		paths("Files written", fs.Writes),
		paths("Files deleted", fs.Deletes),
		{"Addresses tried", len(n.Attempts), func(i int) string {
			a := n.Attempts[i]
			text := code(a.Dst) + ", " + code(a.Protocol)
			if a.Source == receipt.SourceProxy {
				text += ", by the proxy"
			}
			if a.Host != nil {
				text += ", asked for as " + code(*a.Host)
			}
			return text + ": " + code(a.Result) + times(a.Count)
		}},
		{"Still running at the end", len(o.Survivors), func(i int) string {
			s := o.Survivors[i]
			return fmt.Sprintf("%s, pid %d", code(s.Exe), s.PID)
		}},
	}
}

func times(n uint64) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(", %d times", n)
}

func failedProcesses(r *receipt.Receipt) []*receipt.Process {
	var list []*receipt.Process
	for i := range r.ProcessTree {
		p := &r.ProcessTree[i]
		if p.Signal != nil || p.ExitCode != nil && *p.ExitCode != 0 {
			list = append(list, p)
		}
	}
	return list
}

// failedExecs adds up the failures of all processes, and those with other
// arguments.
func failedExecs(r *receipt.Receipt) []receipt.ExecFail {
	type key struct{ path, errno string }
	index := map[key]int{}
	var list []receipt.ExecFail
	for _, f := range r.ExecFailures {
		k := key{f.Path, f.Errno}
		if i, ok := index[k]; ok {
			list[i].Count += f.Count
			continue
		}
		index[k] = len(list)
		list = append(list, f)
	}
	return list
}

func ending(p *receipt.Process) string {
	if p.Signal != nil {
		return code(*p.Signal)
	}
	return fmt.Sprintf("exit code %d", *p.ExitCode)
}

func title(p *receipt.Process) string {
	if len(p.Argv) == 0 {
		return p.Exe
	}
	return term.CommandLine(p.Argv, maxText)
}
