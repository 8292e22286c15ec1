package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"glasshouse/receipt"
	"glasshouse/receipt/address"
	"glasshouse/receipt/insight"
)

const (
	maxNames = 3  // named in a line of the summary; the rest is a number
	maxName  = 60 // characters of one name
)

// summary is what a user sees after a run, a few lines that a receipt bears
// out. written tells whether the receipt got to output.
func summary(rec *receipt.Receipt, output string, written bool) string {
	var b strings.Builder
	line := func(key, text string) { fmt.Fprintf(&b, "  %-10s %s\n", key, text) }

	b.WriteString("glasshouse:\n")
	line("outcome", outcome(rec))
	if rec.Observation.Mode != "none" && started(rec) {
		line("processes", fmt.Sprint(len(rec.ProcessTree))+survivors(rec))
		line("written", names(rec.Filesystem.Writes))
		line("deleted", names(rec.Filesystem.Deletes))
		line("hosts", names(hosts(rec)))
	}
	if vm := rec.Execution.VM; vm != nil && started(rec) {
		for _, text := range refusals(rec) {
			line("proxy", text)
		}
		if vm.Workspace != nil {
			line("workspace", printable(insight.Fate(vm.Workspace)))
		}
	}
	line("events", events(rec))
	if len(rec.Redactions) > 0 {
		line("redacted", redactions(rec))
	}
	switch {
	case !written:
		line("receipt", "not written")
	case output == "-":
		line("receipt", "on stdout")
	default:
		line("receipt", printable(output))
	}
	return b.String()
}

// started tells whether there was a command at all.
func started(rec *receipt.Receipt) bool {
	return rec.Outcome.Error == nil || rec.Resources.Processes > 0
}

func outcome(rec *receipt.Receipt) string {
	if !started(rec) {
		return fmt.Sprintf("exit code %d, the command was not started", rec.Outcome.ExitCode)
	}
	text := fmt.Sprintf("exit code %d", rec.Outcome.ExitCode)
	if rec.Outcome.Signal != nil {
		text += " (" + printable(*rec.Outcome.Signal) + ")"
	}
	took := time.Duration(rec.Timing.DurationMS) * time.Millisecond
	text += fmt.Sprintf(" after %s", took)
	if rec.Outcome.Error != nil {
		text += ": " + clip(printable(*rec.Outcome.Error), 2*maxName)
	}
	return text
}

func survivors(rec *receipt.Receipt) string {
	n := len(rec.Observation.Survivors)
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d still running", n)
}

// names is a number and the first few of a list.
func names(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d: %s", len(list), first(list))
}

// first is the first few of a list.
func first(list []string) string {
	shown := make([]string, 0, maxNames)
	for _, s := range list[:min(len(list), maxNames)] {
		shown = append(shown, shorten(printable(s), maxName))
	}
	text := strings.Join(shown, ", ")
	if more := len(list) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// refusals are the first few reasons for which the proxy passed requests on to
// nobody.
func refusals(rec *receipt.Receipt) []string {
	var list []string
	all := insight.Refusals(rec)
	for _, r := range all[:min(len(all), maxNames)] {
		list = append(list, fmt.Sprintf("%s %s: %s", first(r.Hosts), r.Result, clip(printable(r.Reason), 2*maxName)))
	}
	if more := len(all) - len(list); more > 0 {
		list = append(list, count(more, "more reason", "more reasons"))
	}
	return list
}

// hosts are the peers beyond this machine's unix sockets, with what came of
// each, in the order of the receipt.
func hosts(rec *receipt.Receipt) []string {
	var list []string
	for _, at := range rec.Network.Attempts {
		if address.Parse(at.Dst).Unix {
			continue
		}
		if text := at.Dst + " " + at.Result; !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

func events(rec *receipt.Receipt) string {
	obs := rec.Observation
	if obs.Mode == "none" {
		return "not observed" + because(obs.Reason)
	}
	var lost uint64
	for _, n := range obs.Events.Lost {
		lost += n
	}
	switch {
	case obs.Complete && obs.Mode == "ptrace":
		return fmt.Sprintf("%d, complete as far as ptrace sees", obs.Events.Received) + fallback(obs.Gaps)
	case obs.Complete:
		return fmt.Sprintf("%d, complete", obs.Events.Received)
	case lost > 0:
		return fmt.Sprintf("%d, %d LOST", obs.Events.Received, lost) + because(obs.Reason)
	default:
		return fmt.Sprintf("%d, NOT complete", obs.Events.Received) + because(obs.Reason)
	}
}

// fallback is why the run was not observed in a better way.
func fallback(gaps []receipt.Gap) string {
	for _, g := range gaps {
		if g.Kind == receipt.GapFallback {
			return "; eBPF: " + clip(printable(g.Detail), 2*maxName)
		}
	}
	return ""
}

func because(reason *string) string {
	if reason == nil {
		return ""
	}
	return ": " + clip(printable(*reason), 2*maxName)
}
