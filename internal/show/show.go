// Package show lays a receipt out for people to read.
package show

import (
	"fmt"
	"strings"

	"glasshouse/internal/term"
	"glasshouse/receipt"
	"glasshouse/receipt/insight"
)

// Options say what the reader's terminal can do.
type Options struct {
	Width   int  // cells of a line; taken as from 32 to 120
	Color   bool // ANSI colours
	Unicode bool // characters other than ASCII
}

const (
	narrowest = 32
	widest    = 120 // longer lines are hard to follow
)

// Page is a receipt as text, the most important first, of some hundred lines at
// most. No line is wider than o.Width, and none holds a character that is not
// printable, but for colours.
func Page(r *receipt.Receipt, o Options) string {
	p := &page{width: min(max(o.Width, narrowest), widest), color: o.Color, unicode: o.Unicode}
	in := insight.Of(r)
	p.verdict(r, in.Verdict)
	p.findings(r, in.Findings)
	p.processes(r, in.Processes)
	p.files(in.Folders)
	p.workspace(r)
	p.network(r, in.Network)
	p.observation(r)
	return p.b.String()
}

// page is the text so far.
type page struct {
	b       strings.Builder
	width   int
	color   bool
	unicode bool
}

// style is a colour, or how strong a text is.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

func (p *page) paint(s style, text string) string {
	if !p.color || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// clean makes text from the receipt safe to print.
func (p *page) clean(s string) string {
	if p.unicode {
		return term.Printable(s)
	}
	return term.PrintableASCII(s)
}

// glyph is a character, or what stands for it in ASCII.
func (p *page) glyph(unicode, ascii string) string {
	if p.unicode {
		return unicode
	}
	return ascii
}

func (p *page) dots() string  { return p.glyph("…", "...") }
func (p *page) times() string { return p.glyph("×", "x") }

func (p *page) line(text string) {
	p.b.WriteString(text)
	p.b.WriteByte('\n')
}

// heading begins a section. The text beside the title is dim.
func (p *page) heading(title, beside string) {
	p.line("")
	if beside = term.Clip(beside, p.width-len(title)-2, p.dots()); beside != "" {
		beside = "  " + p.paint(dim, beside)
	}
	p.line(p.paint(bold, title) + beside)
}

// wrapped writes a printable text with a mark before it, in at most so many
// lines, the further ones indented as far.
func (p *page) wrapped(mark string, ms style, text string, s style, most int) {
	indent := term.Width(mark)
	lines := term.Wrap(term.Clip(text, most*p.width, p.dots()), p.width-indent)
	if len(lines) > most {
		lines = lines[:most]
		lines[most-1] = term.Clip(lines[most-1]+" "+p.dots(), p.width-indent, p.dots())
	}
	for i, l := range lines {
		if i == 0 {
			l = p.paint(ms, mark) + p.paint(s, l)
		} else {
			l = strings.Repeat(" ", indent) + p.paint(s, l)
		}
		p.line(l)
	}
}

// more says what was left out, and which flag shows it.
func (p *page) more(indent int, n int, one, many, flag string) {
	if n <= 0 {
		return
	}
	what := many
	if n == 1 {
		what = one
	}
	text := strings.TrimSpace(fmt.Sprintf("%s and %s more %s", p.dots(), number(n), what))
	if flag != "" {
		text += " (--" + flag + " lists all)"
	}
	p.line(strings.Repeat(" ", indent) + p.paint(dim, term.Clip(text, p.width-indent, p.dots())))
}

// verdict is what one wants to know first.
func (p *page) verdict(r *receipt.Receipt, v insight.Verdict) {
	p.wrapped("$ ", dim, p.clean(term.CommandLine(r.Command.Argv, 16*p.width)), bold, 3)
	var where []string
	if r.Command.WorkingDir != "" {
		where = append(where, "in "+p.clean(r.Command.WorkingDir))
	}
	if r.Command.User != "" {
		where = append(where, "as "+p.clean(r.Command.User))
	} else if r.ReceiptVersion != "v0.2" {
		where = append(where, fmt.Sprintf("as user %d", r.Command.UID))
	}
	if at := r.Timing.StartedAt; !at.IsZero() {
		where = append(where, "on "+at.Format("2006-01-02 15:04:05")+" UTC")
	}
	if len(where) > 0 {
		p.wrapped("  ", plain, strings.Join(where, ", "), dim, 3)
	}
	p.line("")

	mark, s := p.glyph("✓", "ok"), green
	if !v.Succeeded {
		mark, s = p.glyph("✗", "no"), red
	}
	p.wrapped(mark+" ", s, p.clean(v.Ended), plain, 5)
	mark, s = p.glyph("✓", "ok"), green
	if v.Sight != insight.Complete {
		mark, s = p.glyph("✗", "no"), red
	}
	seen := v.Seen
	if n := len(r.Observation.Gaps); n > 0 && v.Sight == insight.Complete {
		seen += "; what could not be seen stands at the end"
	}
	p.wrapped(mark+" ", s, p.clean(seen), plain, 5)
}

const (
	shownPaths = 3 // of one finding, a line each
	shownItems = 6 // of one finding about something else
)

func (p *page) findings(r *receipt.Receipt, list []insight.Finding) {
	list = insight.Besides(list)
	if len(list) == 0 {
		if r.Observation.Mode != "none" && r.Observation.Mode != "" {
			p.heading("UNUSUAL", "nothing")
		}
		return
	}
	p.heading("UNUSUAL", "")
	for _, f := range list {
		mark, s := "!", yellow
		if f.Severity == insight.Notice {
			mark, s = p.glyph("·", "-"), dim
		}
		text := f.Text
		if items := insight.Shorten(f, shownItems, ""); !f.Paths && len(items.Shown) > 0 {
			text += ": " + strings.Join(items.Shown, ", ")
			if items.Left > 0 {
				text += fmt.Sprintf(" and %s more", number(items.Left))
			}
		}
		p.wrapped(mark+" ", s, p.clean(text), plain, 4)
		if !f.Paths {
			continue
		}
		items := insight.Shorten(f, shownPaths, r.Command.WorkingDir)
		for _, item := range items.Shown {
			p.line("    " + p.paint(dim, term.ClipMiddle(p.clean(item), p.width-4, p.dots())))
		}
		p.more(4, items.Left, "", "", "")
	}
}
