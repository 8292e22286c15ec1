package show

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"glasshouse/internal/term"
	"glasshouse/receipt"
	"glasshouse/receipt/insight"
)

// shownRows is how many lines the tree has, about.
const shownRows = 30

func (p *page) processes(r *receipt.Receipt, t insight.Tree) {
	if len(r.ProcessTree) == 0 {
		return
	}
	rows := t.Rows(r, shownRows)

	beside := number(len(r.ProcessTree))
	if cpu := r.Resources.CPUTimeMS; cpu > 0 {
		beside += fmt.Sprintf(", %s CPU", insight.Duration(time.Duration(min(cpu, 1<<40))*time.Millisecond))
	}
	if rss := r.Resources.MaxRSSKB; rss > 0 {
		beside += fmt.Sprintf(", peak %s", size(uint64(rss)<<10))
	}
	pidCell, endCell, tookCell := p.processCells("pid", "exit", "time")
	p.columns("PROCESSES", beside, pidCell+endCell+tookCell)

	legend := false
	var open []bool // for each level: does another row with the same parent follow
	for _, row := range rows {
		indent := p.branch(&open, row)
		if row.Cut > 0 {
			text := p.dots() + " and " + number(row.Cut) + " more (--processes lists all)"
			p.line(p.paint(dim, indent+term.Clip(text, p.width-term.Width(indent), p.dots())))
			continue
		}
		p.process(r, t, row, indent)
		legend = legend || row.Hidden > 0
	}
	if legend {
		p.line(p.paint(dim, term.Clip("+N: N more below it, which have no line here (--processes lists all)", p.width, p.dots())))
	}
}

// processCells are the columns at the right, with the space before them. A
// narrow terminal has no room for process numbers.
func (p *page) processCells(pid, end, took string) (pidCell, endCell, tookCell string) {
	if p.width >= 60 {
		pidCell = pad(pid, 9)
	}
	return pidCell, pad(end, 10), pad(took, 10)
}

// columns is a heading with the names of columns at the right.
func (p *page) columns(title, beside, names string) {
	p.line("")
	room := p.width - term.Width(names)
	beside = term.Clip(beside, room-len(title)-2, p.dots())
	if beside != "" {
		beside = "  " + beside
	}
	p.line(p.paint(bold, title) + p.paint(dim, term.Pad(beside, room-len(title))+names))
}

// branch is what a tree has before a name. Deep rows do not move out of the
// line.
func (p *page) branch(open *[]bool, row insight.Row) string {
	*open = append((*open)[:min(row.Depth, len(*open))], !row.Last)
	if row.Depth == 0 {
		return ""
	}
	levels := (*open)[1:row.Depth]
	var b strings.Builder
	if most := p.width / 12; len(levels) > most {
		levels = levels[len(levels)-most:]
		b.WriteString(p.glyph("…", "."))
	}
	for _, more := range levels {
		if more {
			b.WriteString(p.glyph("│ ", "|  "))
		} else {
			b.WriteString(p.glyph("  ", "   "))
		}
	}
	if row.Last {
		b.WriteString(p.glyph("└ ", "`- "))
	} else {
		b.WriteString(p.glyph("├ ", "|- "))
	}
	return b.String()
}

func (p *page) process(r *receipt.Receipt, t insight.Tree, row insight.Row, indent string) {
	proc, node := &r.ProcessTree[row.Process], t.Nodes[row.Process]
	end := p.clean(insight.End(proc, node))
	endStyle := plain
	switch {
	case proc.Signal != nil || node.Survived:
		endStyle = red
	case proc.ExitCode == nil:
		endStyle = yellow
	case *proc.ExitCode != 0:
		endStyle = yellow
	default:
		endStyle = dim
	}
	took := ""
	if node.Ended && proc.EndedAt != nil {
		took = insight.Duration(row.Longest)
		if row.Count > 1 {
			took = p.glyph("≤ ", "<=") + took
		}
	}
	pid := strconv.Itoa(int(proc.PID))
	if row.Count > 1 {
		pid = ""
	}
	end = term.Clip(end, 8, ".")
	took = term.Clip(took, 8, ".")
	pidCell, endCell, tookCell := p.processCells(pid, end, took)

	before, after := "", ""
	if row.Count > 1 {
		before = number(row.Count) + " " + p.times() + " "
	}
	if node.User != nil {
		after = fmt.Sprintf(" [user %d]", *node.User)
	}
	if row.Hidden > 0 {
		after += fmt.Sprintf(" (+%s)", number(row.Hidden))
	}
	name := p.clean(programName(proc, node, row.Same, 2*p.width))
	room := p.width - term.Width(indent) - term.Width(pidCell+endCell+tookCell)
	if room < 20 { // what it ran as counts for less than what it was
		after = ""
	}
	before = term.Clip(before, room, "")
	room -= term.Width(before) + term.Width(after)
	name = term.Clip(name, room, p.dots())
	space := strings.Repeat(" ", room-term.Width(name))
	if took == "" {
		tookCell = "" // no spaces at the end of a line
	}
	p.line(p.paint(dim, indent) + p.paint(bold, before) + name + p.paint(dim, after) + space +
		p.paint(dim, pidCell) + p.paint(endStyle, endCell) + p.paint(dim, tookCell))
}

// programName is the program without its folder and, if all processes that a
// row stands for have the same, its arguments.
func programName(proc *receipt.Process, node insight.Node, same bool, limit int) string {
	name := insight.Program(proc)
	switch {
	case node.Forked:
		return name + " (fork)"
	case !same:
		return name
	case len(proc.Argv) > 1:
		return name + " " + term.CommandLine(proc.Argv[1:], 4*limit)
	}
	return name
}
