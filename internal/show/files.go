package show

import (
	"strings"

	"glasshouse/internal/term"
	"glasshouse/receipt/insight"
)

const (
	changedFolders = 12 // with files that were changed
	readFolders    = 8  // with files that were only read
	shownFiles     = 8  // of the working directory or a folder in it
	shownElsewhere = 3  // of another folder
)

func (p *page) files(folders []insight.Folder) {
	if len(folders) == 0 {
		return
	}
	shown, legend := pick(folders), ""
	for _, f := range shown {
		if kept, _ := changes(f); len(kept) > 0 {
			legend = "+ made, ~ written, - deleted"
		}
	}
	looks, wrote, removed := p.fileColumns("read", "run", "written", "deleted")
	p.columns("FILES", legend, looks+wrote+removed)
	for _, f := range shown {
		p.folder(f)
	}
	p.more(0, len(folders)-len(shown), "folder", "folders", "paths")
}

// pick takes the folders that there are lines for.
func pick(folders []insight.Folder) (shown []*insight.Folder) {
	var changed, looked int
	for i := range folders {
		f, n, most := &folders[i], &looked, readFolders
		if len(f.Changed) > 0 {
			n, most = &changed, changedFolders
		}
		if *n < most {
			*n++
			shown = append(shown, f)
		}
	}
	return shown
}

// changes are the files of a folder that have lines of their own. What was made and
// is gone again is a number alone.
func changes(f *insight.Folder) (kept []insight.File, passing int) {
	for _, file := range f.Changed {
		if file.Marks.Has(insight.Own|insight.Gone) || file.Marks.Has(insight.Gone) && !file.Marks.Has(insight.Deleted) {
			passing++
		} else {
			kept = append(kept, file)
		}
	}
	return kept, passing
}

// fileColumns are the columns at the right, with the space before them. A
// narrow terminal has no room for all.
func (p *page) fileColumns(read, run, written, deleted string) (looked, wrote, removed string) {
	if p.width < 60 {
		return pad(read, 6), pad(written, 9), pad(deleted, 9)
	}
	return pad(read, 8) + pad(run, 6), pad(written, 9), pad(deleted, 9)
}

func (p *page) folder(f *insight.Folder) {
	name, s := p.clean(f.Path), plain
	switch {
	case f.Place == insight.Nowhere:
		name, s = "pipes, memory and the like", dim
	case len(f.Changed) == 0 && f.Place != insight.Working:
		s = dim
	}
	dash := p.glyph("–", "-")
	looks, wrote, removed := p.fileColumns(some(f.Read, dash), some(f.Executed, dash), some(f.Written, dash), some(f.Deleted, dash))
	room := p.width - term.Width(looks+wrote+removed)
	name = term.ClipMiddle(name, room, p.dots())
	p.line(p.paint(s, term.Pad(name, room)) + p.paint(dim, looks) +
		p.paint(strong(f.Written, yellow), wrote) + p.paint(strong(f.Deleted, red), removed))
	if len(f.Changed) == 0 {
		return
	}
	kept, passing := changes(f)
	most := shownFiles
	if f.Place != insight.Working {
		most = shownElsewhere
	}
	for _, file := range kept[:min(len(kept), most)] {
		mark, s := p.mark(file.Marks)
		path := strings.TrimPrefix(strings.TrimPrefix(file.Path, f.Path), "/")
		if path == "" {
			path = "."
		}
		p.line("  " + p.paint(s, mark) + " " + term.ClipMiddle(p.clean(path), p.width-4, p.dots()))
	}
	p.more(4, len(kept)-most, "", "", "")
	if passing > 0 {
		text := number(passing) + " made and gone again by the end"
		p.line("    " + p.paint(dim, term.Clip(text, p.width-4, p.dots())))
	}
}

// mark says in one character what became of a file.
func (p *page) mark(m insight.Marks) (string, style) {
	switch {
	case m.Has(insight.Gone), m.Has(insight.Deleted) && !m.Has(insight.Written):
		return "-", red
	case m.Has(insight.Created):
		return "+", green
	}
	return "~", yellow
}

func strong(n int, s style) style {
	if n == 0 {
		return dim
	}
	return s
}

// pad puts spaces before a text up to so many cells.
func pad(s string, cells int) string {
	return strings.Repeat(" ", max(0, cells-term.Width(s))) + s
}
