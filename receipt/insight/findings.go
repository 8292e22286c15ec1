package insight

import (
	"fmt"
	"slices"
	"sync"

	"glasshouse/receipt"
)

// Severity is how much a finding should worry.
type Severity string

// The severities.
const (
	Warning Severity = "warning" // look at it
	Notice  Severity = "notice"  // often so, and good to know
)

// Finding is something unusual that a receipt tells of. That there is none
// does not mean that there was none: see Verdict.Seen and the gaps.
type Finding struct {
	Kind     string // one of Rules
	Severity Severity
	Text     string   // what, without the items: no capital letter, no full stop
	Items    []string // paths, addresses or names that it is about, sorted
	Paths    bool     // Items are paths
}

// Rule is what a kind of finding means.
type Rule struct {
	Kind     string
	Severity Severity
	Doc      string // when there is such a finding, in one sentence
}

// Rules are all kinds of findings, in the order in which Findings has them.
func Rules() []Rule {
	list := make([]Rule, 0, len(rules()))
	for _, r := range rules() {
		list = append(list, r.Rule)
	}
	return list
}

// rule looks for one thing. find returns a zero hit where there is nothing.
type rule struct {
	Rule
	find func(*facts) hit
}

// hit is what a rule found: text is empty if nothing was.
type hit struct {
	text  string
	items []string
	paths bool
}

// Findings applies all rules: at most one finding of each kind, warnings first.
func Findings(r *receipt.Receipt) []Finding {
	return findingsOf(&facts{Receipt: r, work: r.Command.WorkingDir, paths: Files(r), tree: Processes(r), net: NetworkOf(r)})
}

func findingsOf(f *facts) []Finding {
	found := []Finding{}
	for _, severity := range []Severity{Warning, Notice} {
		for _, rule := range rules() {
			if rule.Severity != severity {
				continue
			}
			if h := rule.find(f); h.text != "" {
				found = append(found, Finding{rule.Kind, rule.Severity, h.text, h.items, h.paths})
			}
		}
	}
	return found
}

// rules is the table. A kind keeps its name for good.
var rules = sync.OnceValue(func() []rule {
	return slices.Concat(observationRules, processRules, fileRules, networkRules, lastRules)
})

// facts is what rules need of a receipt, worked out once.
type facts struct {
	*receipt.Receipt
	work  string
	paths []File // by path
	tree  Tree
	net   Network
}

// pathsWhere are the paths for which ok holds, in order.
func (f *facts) pathsWhere(ok func(File) bool) []string {
	var list []string
	for _, file := range f.paths {
		if ok(file) {
			list = append(list, file.Path)
		}
	}
	return list
}

// about makes a hit of items, none if there are no items.
func about(items []string, text func(n int) string) hit {
	if len(items) == 0 {
		return hit{}
	}
	return hit{text: text(len(items)), items: items}
}

// aboutPaths is about for paths: one for one of them, many, with %s for how
// many, for more.
func aboutPaths(paths []string, one, many string) hit {
	h := about(paths, func(n int) string {
		if n == 1 {
			return one
		}
		return fmt.Sprintf(many, number(n))
	})
	h.paths = true
	return h
}

// Besides are the findings that the verdict has not told of already, without
// those of the given kinds.
func Besides(list []Finding, kinds ...string) []Finding {
	told := append([]string{"not_observed", "incomplete"}, kinds...)
	left := []Finding{}
	for _, f := range list {
		if !slices.Contains(told, f.Kind) {
			left = append(left, f)
		}
	}
	return left
}

// Excerpt is a part of a finding's items.
type Excerpt struct {
	Shown []string
	Left  int // items that Shown does not tell of
}

// Shorten is at most n lines that tell of a finding's items: these themselves,
// or for more paths the folders that they are in, with how many. work is the
// command's working directory.
func Shorten(f Finding, n int, work string) Excerpt {
	if len(f.Items) <= n {
		return Excerpt{f.Items, 0}
	}
	if !f.Paths {
		return Excerpt{f.Items[:n], len(f.Items) - n}
	}
	type group struct {
		folder string
		n      int
	}
	groups := map[string]*group{}
	var order []*group
	for _, p := range f.Items {
		key := groupOf(p, work)
		g := groups[key]
		if g == nil {
			g = &group{folder: parent(p)}
			groups[key] = g
			order = append(order, g)
		}
		if key != "" {
			g.folder = commonFolder(g.folder, parent(p))
		}
		g.n++
	}
	slices.SortStableFunc(order, func(a, b *group) int { return b.n - a.n })
	var e Excerpt
	for i, g := range order {
		if i >= n {
			e.Left += g.n
			continue
		}
		e.Shown = append(e.Shown, fmt.Sprintf("%s in %s", number(g.n), g.folder))
	}
	return e
}
