package show

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glasshouse/internal/term"
	"glasshouse/receipt"
)

const (
	shownGaps    = 16 // kinds
	shownDetails = 4  // of a kind
)

// observation is how it was seen, and what was not.
func (p *page) observation(r *receipt.Receipt) {
	p.heading("HOW IT WAS SEEN", "")
	obs := r.Observation
	if obs.Mode != "" && obs.Mode != "none" {
		text := fmt.Sprintf("%s: %s of %s events received, %s repeats folded", p.clean(obs.Mode), number(obs.Events.Received), number(obs.Events.Emitted), number(obs.Events.Folded))
		for _, reason := range slices.Sorted(maps.Keys(obs.Events.Lost)) {
			text += fmt.Sprintf(", %s lost (%s)", number(obs.Events.Lost[reason]), p.clean(reason))
		}
		if obs.Backpressure.Freezes > 0 {
			text += fmt.Sprintf(", held up for %d ms", obs.Backpressure.FrozenMS)
		}
		p.wrapped("", plain, text, plain, 4)
	}
	for _, h := range obs.Hooks {
		if !h.Attached {
			text := "hook not attached: " + h.Name
			if h.Error != nil {
				text += ": " + *h.Error
			}
			p.wrapped("", plain, p.clean(text), red, 2)
		}
	}
	p.output(r)
	if n := len(r.Redactions); n > 0 {
		p.wrapped("", plain, fmt.Sprintf("%s taken out of arguments: [redacted:N] stands in their place", secretsText(n)), plain, 2)
	}
	if vm := r.Execution.VM; vm != nil {
		text := fmt.Sprintf("in a virtual machine: %s %s, %s, up after %d ms; what it did is what the guest says", vm.Monitor, vm.MonitorVersion, vm.Accelerator, vm.BootMS)
		p.wrapped("", plain, p.clean(text), plain, 2)
		if vm.MonitorError != nil {
			p.wrapped("", plain, p.clean("the machine's monitor ended: "+*vm.MonitorError), red, 2)
		}
	}
	p.gaps(r)
	text := "receipt " + p.clean(r.ReceiptVersion)
	for _, part := range []string{r.Environment.OS + "/" + r.Environment.Arch, r.Environment.Kernel, r.Execution.Backend, r.ExecutionID} {
		if part != "" && part != "/" {
			text += ", " + p.clean(part)
		}
	}
	p.wrapped("", plain, text, dim, 3)
}

func secretsText(n int) string {
	if n == 1 {
		return "1 secret was"
	}
	return number(n) + " secrets were"
}

// output is what the command wrote to its standard streams.
func (p *page) output(r *receipt.Receipt) {
	type stream struct {
		name string
		size *uint64
		hash *string
	}
	a := &r.Artifacts
	streams := []stream{{"stdout", a.StdoutBytes, a.StdoutHash}, {"stderr", a.StderrBytes, a.StderrHash}}
	if a.StdoutHash != nil && a.StderrHash != nil && *a.StdoutHash == *a.StderrHash && a.StdoutBytes != nil && *a.StdoutBytes > 0 {
		// One for both, as after 2>&1.
		streams = []stream{{"stdout and stderr the same,", a.StdoutBytes, a.StdoutHash}}
	}
	var parts []string
	for _, s := range streams {
		switch {
		case s.size == nil:
		case *s.size == 0 || s.hash == nil:
			parts = append(parts, s.name+" "+size(*s.size))
		default:
			parts = append(parts, s.name+" "+size(*s.size)+" sha256:"+p.clean(term.Clip(*s.hash, 12, "")))
		}
	}
	if len(parts) > 0 {
		p.wrapped("", plain, "output: "+strings.Join(parts, ", "), plain, 2)
	}
}

func (p *page) gaps(r *receipt.Receipt) {
	gaps := r.Observation.Gaps
	if len(gaps) == 0 {
		return
	}
	details := map[string][]string{}
	var kinds []string
	for _, g := range gaps {
		if details[g.Kind] == nil {
			kinds = append(kinds, g.Kind)
		}
		text := p.clean(g.Detail)
		if g.Count > 1 {
			text += fmt.Sprintf(" (%s%s)", p.times(), number(g.Count))
		}
		details[g.Kind] = append(details[g.Kind], text)
	}
	slices.Sort(kinds)
	p.line("not seen, or not for certain:")
	wide := 0
	for _, kind := range kinds {
		wide = max(wide, term.Width(p.clean(kind)))
	}
	wide = min(wide, p.width/3)
	for _, kind := range kinds[:min(len(kinds), shownGaps)] {
		list := details[kind]
		text := strings.Join(list[:min(len(list), shownDetails)], "; ")
		if more := len(list) - shownDetails; more > 0 {
			text += fmt.Sprintf("; %s %s more", p.dots(), number(more))
		}
		name := term.Pad(term.Clip(p.clean(kind), wide, p.dots()), wide)
		p.wrapped("  "+name+"  ", yellow, text, dim, 4)
	}
	p.more(2, len(kinds)-shownGaps, "kind", "kinds", "")
}
