package show

import (
	"fmt"
	"strings"

	"glasshouse/internal/term"
	"glasshouse/receipt"
	"glasshouse/receipt/insight"
)

const (
	shownRefused = 3 // paths of a workspace
	shownReasons = 6 // that a proxy had
	shownHosts   = 6 // that it refused for one
)

// workspace is what became of a folder that was sent into a machine.
func (p *page) workspace(r *receipt.Receipt) {
	vm := r.Execution.VM
	if vm == nil || vm.Workspace == nil {
		return
	}
	w := vm.Workspace
	p.heading("WORKSPACE", term.ClipMiddle(p.clean(w.Path), p.width-len("WORKSPACE")-2, p.dots()))
	p.wrapped("", plain, p.clean(insight.Fate(w)), plain, 4)
	for _, f := range w.Refused[:min(len(w.Refused), shownRefused)] {
		p.wrapped("  refused ", yellow, p.clean(f.Path+": "+f.Reason), dim, 2)
	}
	p.more(2, len(w.Refused)-shownRefused, "", "", "")
}

// refusals are why the machine's proxy passed requests on to nobody.
func (p *page) refusals(r *receipt.Receipt) {
	list := insight.Refusals(r)
	for _, f := range list[:min(len(list), shownReasons)] {
		hosts := strings.Join(f.Hosts[:min(len(f.Hosts), shownHosts)], ", ")
		if more := len(f.Hosts) - shownHosts; more > 0 {
			hosts += fmt.Sprintf(" and %s more", number(more))
		}
		p.wrapped(term.Pad("proxy", 9), dim, p.clean(hosts+" "+f.Result+": "+f.Reason), plain, 4)
	}
	p.more(9, len(list)-shownReasons, "reason", "reasons", "")
}
