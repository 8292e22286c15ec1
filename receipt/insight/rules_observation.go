package insight

import (
	"strings"

	"glasshouse/receipt"
)

// observationRules tell of what was not seen.
var observationRules = []rule{
	{Rule{"not_observed", Warning, "Nothing was watched: observation.mode is none."}, notObserved},
	{Rule{"incomplete", Warning, "Something was watched, and observation.complete is false."}, incomplete},
	{Rule{"survivors", Warning, "Processes outlived the recording, or were killed by the recorder at its end."}, survivors},
	{Rule{"core_dumps", Warning, "The memory of processes that a signal ended was dumped: a gap says so."}, gapRule(receipt.GapCoreDump, "the memory of processes that a signal ended was dumped")},
	{Rule{"services", Warning, "Services were reached over unix sockets that no process of the run listened at: the gap daemon."}, gapRule(receipt.GapDaemon, "services outside of the run were reached, and may have worked for it unseen")},
	{Rule{"guest_duties", Warning, "The recorder failed in a duty of a guest's first process."}, guestDuties},
}

// lastRules are of little weight, and hold for many runs.
var lastRules = []rule{
	{Rule{"gaps", Notice, "There are things that could not be seen, other than those that a finding of its own tells of."}, gaps},
	{Rule{"secrets", Notice, "Secrets were recognised in arguments and taken out of the receipt."}, secrets},
}

func notObserved(f *facts) hit {
	if f.Observation.Mode != "none" {
		return hit{}
	}
	return hit{text: "nothing was observed: that something is not listed does not mean that it did not happen"}
}

func incomplete(f *facts) hit {
	if f.Observation.Complete || f.Observation.Mode == "none" || f.Observation.Mode == "" {
		return hit{}
	}
	return hit{text: "not all was observed" + because(f.Observation.Reason)}
}

func survivors(f *facts) hit {
	var items []string
	for _, s := range f.Observation.Survivors {
		items = append(items, pidText(s.PID)+" "+s.Exe)
	}
	var killed uint64
	for _, g := range f.Observation.Gaps {
		if g.Kind == receipt.GapKilled {
			killed = plus(killed, g.Count)
		}
	}
	switch {
	case len(items) > 0:
		return hit{text: count(len(items), "process", "processes") + " outlived the recording", items: items}
	case killed > 0:
		return hit{text: count(killed, "process outlived the command and was", "processes outlived the command and were") + " killed by the recorder"}
	}
	return hit{}
}

func guestDuties(f *facts) hit {
	var items []string
	for _, d := range f.Execution.Guest {
		if d.Outcome == "failed" {
			items = append(items, d.Name)
		}
	}
	return about(items, func(n int) string { return count(n, "duty", "duties") + " of a guest's first process failed" })
}

// gapRule is for a kind of gap that is a finding of its own.
func gapRule(kind, text string) func(*facts) hit {
	return func(f *facts) hit {
		return about(f.gapDetails(kind), func(int) string { return text })
	}
}

// gapDetails are the details of a kind of gap.
func (f *facts) gapDetails(kind string) []string {
	var list []string
	for _, g := range f.Observation.Gaps {
		if g.Kind == kind {
			list = append(list, g.Detail)
		}
	}
	return set(list)
}

// toldElsewhere are the kinds of gaps of which other findings tell.
var toldElsewhere = strings.Join([]string{"",
	receipt.GapCoreDump, receipt.GapDaemon, receipt.GapSurvivors, receipt.GapKilled, ""}, " ")

func gaps(f *facts) hit {
	var kinds []string
	for _, g := range f.Observation.Gaps {
		if !strings.Contains(toldElsewhere, " "+g.Kind+" ") {
			kinds = append(kinds, g.Kind)
		}
	}
	return about(set(kinds), func(n int) string { return count(n, "kind of thing", "kinds of things") + " could not be seen" })
}

func secrets(f *facts) hit {
	var rules []string
	for _, r := range f.Redactions {
		rules = append(rules, r.Rule)
	}
	n := len(rules)
	return about(set(rules), func(int) string { return count(n, "secret was", "secrets were") + " taken out of arguments" })
}
