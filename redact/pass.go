package redact

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"glasshouse/receipt"
)

// pass is one redaction of one receipt.
type pass struct {
	*Redactor
	rec   *receipt.Receipt
	known int                // redactions that were there before
	found map[*string][]span // in arguments, by rules; in order, without overlaps
}

// arguments looks for secrets in all arguments.
func (p *pass) arguments() {
	p.argv(p.rec.Command.Argv)
	for i := range p.rec.ProcessTree {
		proc := &p.rec.ProcessTree[i]
		for k := range proc.Execs {
			p.argv(proc.Execs[k].Argv)
		}
		if n := len(proc.Execs); n > 0 && slices.Equal(proc.Execs[n-1].Argv, proc.Argv) {
			p.same(proc.Argv, proc.Execs[n-1].Argv)
		} else {
			p.argv(proc.Argv)
		}
	}
	for i := range p.rec.ExecFailures {
		p.argv(p.rec.ExecFailures[i].Argv)
	}
}

// same takes over what was found in an equal list.
func (p *pass) same(argv, other []string) {
	for i := range other {
		if list, ok := p.found[&other[i]]; ok {
			p.found[&argv[i]] = list
		}
	}
}

// argv looks for secrets in the arguments of one command.
func (p *pass) argv(argv []string) {
	c := command{}
	prose, isScript := false, false
	for i, arg := range argv {
		arg = p.masked(arg)
		var list []span
		add := func(from, to int, rule string) { list = append(list, span{from, to, rule}) }
		for _, re := range p.patterns {
			list = append(list, spans(re, arg, RulePattern)...)
		}
		c.word(arg, add)
		blanks := strings.ContainsAny(arg, " \t\n")
		t := text{s: arg, script: blanks && isScript, shapes: shapesByPair(), isHeader: i > 0 && (argv[i-1] == "-H" || argv[i-1] == "--header")}
		t.scan()
		list = append(list, t.out...)
		if blanks && !prose && strings.IndexByte(arg, '-') >= 0 {
			script(arg, 0, 0, add)
		}
		if i == 0 {
			isScript = runsScripts(arg)
		}
		isScript = isScript && runsScripts(argv[0]) || takesScript(arg)
		prose = takesProse(arg)
		if len(list) > 0 {
			p.keep(&argv[i], list)
		}
	}
}

// runsScripts tells programs that hand arguments to a shell.
func runsScripts(program string) bool {
	switch filepath.Base(program) {
	case "ssh", "watch", "eval", "parallel", "xargs", "mosh":
		return true
	}
	return false
}

// takesScript tells -c, -lc and the like.
func takesScript(flag string) bool {
	return len(flag) >= 2 && len(flag) <= 6 && flag[0] == '-' && flag[1] != '-' && flag[len(flag)-1] == 'c'
}

// takesProse tells flags of which the value is for people to read: a flag that
// it mentions has no value.
func takesProse(flag string) bool {
	switch flag {
	case "-m", "-am", "--message", "--title", "--body", "--description", "--notes", "--subject":
		return true
	}
	return false
}

// keep remembers what was found in an argument: the outermost of what overlaps
// is replaced, but a token within it is a secret of its own elsewhere.
func (p *pass) keep(arg *string, list []span) {
	slices.SortStableFunc(list, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to), cmp.Compare(rank(a.rule), rank(b.rule)))
	})
	var kept []span
	for _, s := range p.unmarked(*arg, list) {
		p.note((*arg)[s.from:s.to], s.rule)
		if n := len(kept); n > 0 && s.to <= kept[n-1].to {
			continue
		}
		kept = append(kept, s)
	}
	p.found[arg] = kept
}

// rank: of the rules that found the same, the one that says the most. That of
// the user goes before.
func rank(rule string) int {
	switch rule {
	case RulePattern:
		return 0
	case "flag", "assignment", "json", "header", "authorization", "cookie", "url-password", "url-token":
		return 2
	}
	return 1
}

// masked puts what no rule takes for a secret in the place of what was redacted
// before.
func (p *pass) masked(arg string) string {
	if p.known == 0 {
		return arg
	}
	b := []byte(arg)
	for begin, end, id := markerAt(arg, 0); begin >= 0; begin, end, id = markerAt(arg, end) {
		for i := begin; i < end && 1 <= id && id <= p.known; i++ {
			b[i] = '*'
		}
	}
	return string(b)
}

// unmarked cuts out what was redacted before.
func (p *pass) unmarked(arg string, list []span) []span {
	if p.known == 0 {
		return list
	}
	for begin, end, id := markerAt(arg, 0); begin >= 0; begin, end, id = markerAt(arg, end) {
		if id < 1 || id > p.known {
			continue
		}
		var rest []span
		for _, s := range list {
			if s.to <= begin || s.from >= end {
				rest = append(rest, s)
				continue
			}
			if s.from < begin {
				rest = append(rest, span{s.from, begin, s.rule})
			}
			if end < s.to {
				rest = append(rest, span{end, s.to, s.rule})
			}
		}
		list = rest
	}
	return list
}

// note makes a value known as a secret.
func (p *pass) note(value, rule string) {
	if _, ok := p.secrets[value]; !ok {
		p.secrets[strings.Clone(value)] = &secret{value: strings.Clone(value), rule: rule}
	}
}

// replace puts the redactions into one string.
func (p *pass) replace(s *string) {
	rules := p.found[s]
	if len(rules) == 0 && len(p.finder.needles) == 0 && !strings.Contains(*s, markerBegin) {
		return // as most are
	}
	next := p.parts(*s, rules)
	from, to, sec := next()
	if sec == nil {
		p.replaceText(s)
		return
	}
	var b strings.Builder
	done := 0
	for ; sec != nil; from, to, sec = next() {
		b.WriteString((*s)[done:max(from, done)])
		p.commit(p.rec, sec)
		b.WriteString(marker(sec.id))
		done = max(to, done)
	}
	b.WriteString((*s)[done:])
	*s = b.String()
	p.replaceText(s)
}

// replaceText looks at the text form of a string that is no text.
func (p *pass) replaceText(s *string) {
	if receipt.IsText(*s) {
		return
	}
	text := receipt.Text(*s)
	if replaced := p.finder.replace(text, func(sec *secret) { p.commit(p.rec, sec) }); replaced != text {
		*s = replaced
	}
}

// parts returns a function that tells the next secret in s: what a rule has
// found there, what is known from elsewhere, and what only looks like a
// redaction. Two may overlap; none lies within another.
func (p *pass) parts(s string, rules []span) func() (from, to int, sec *secret) {
	list := make([]found, 0, len(rules))
	for _, r := range rules {
		list = append(list, found{r.from, r.to, p.secrets[s[r.from:r.to]]})
	}
	var old []span
	for begin, end, id := markerAt(s, 0); begin >= 0; begin, end, id = markerAt(s, end) {
		if 1 <= id && id <= p.known {
			old = append(old, span{from: begin, to: end})
			continue
		}
		p.note(s[begin:end], RuleMarker)
		list = append(list, found{begin, end, p.secrets[s[begin:end]]})
	}
	for from := 0; ; {
		begin, end, sec := p.finder.next(s, from)
		if sec == nil {
			break
		}
		from = end
		if !slices.ContainsFunc(old, func(o span) bool { return begin < o.to && o.from < end }) {
			list = append(list, found{begin, end, sec})
		}
	}
	slices.SortStableFunc(list, func(a, b found) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to)) })
	covered := 0
	return func() (int, int, *secret) {
		for len(list) > 0 {
			f := list[0]
			list = list[1:]
			if f.to > covered {
				covered = f.to
				return f.from, f.to, f.secret
			}
		}
		return 0, 0, nil
	}
}

type found struct {
	from, to int
	secret   *secret
}
