package compare

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"glasshouse/receipt"
	"glasshouse/receipt/address"
)

// words are names that a run made up, and what each is shown as.
type words map[string]string

// path replaces whole parts of a path.
func (w words) path(p string) string {
	if len(w) == 0 || p == "" {
		return p
	}
	return w.replace(p, func(c byte) bool { return c == '/' })
}

// text replaces whole words of an argument or a sentence.
func (w words) text(s string) string {
	if len(w) == 0 || s == "" {
		return s
	}
	return w.replace(s, func(c byte) bool {
		return c <= ' ' || strings.IndexByte("/\"'`=:,;()[]{}<>|&$?*!\\@", c) >= 0
	})
}

func (w words) replace(s string, between func(byte) bool) string {
	var out []byte // nil as long as nothing was replaced
	done := 0
	for i := 0; i < len(s); {
		if between(s[i]) {
			i++
			continue
		}
		end := i + 1
		for end < len(s) && !between(s[end]) {
			end++
		}
		if as, ok := w[s[i:end]]; ok {
			out = append(append(out, s[done:i]...), as...)
			done = end
		}
		i = end
	}
	if out == nil {
		return s
	}
	return string(append(out, s[done:]...))
}

// birth is what is known of a name that a run made.
type birth int

const (
	there birth = iota // at the end
	gone               // at the end
	tried              // only: nothing came of it
)

// bornIn are the names that a run made or tried.
func bornIn(rec *receipt.Receipt, s *scene) map[string]birth {
	fs := &rec.Filesystem
	born := make(map[string]birth, len(fs.Created)+len(fs.Renames)+len(fs.Failed))
	for _, f := range fs.Failed {
		born[s.path(f.Path)] = tried
	}
	for _, c := range fs.Created {
		born[s.path(c.Path)] = there
	}
	for _, r := range fs.Renames {
		born[s.path(r.To)] = there
	}
	for _, d := range fs.Deletes {
		d = s.path(d)
		if _, ok := born[d]; ok {
			born[d] = gone
		}
	}
	for _, l := range rec.Network.Listens {
		// An abstract name is gone when its socket is.
		if address.Parse(l.Addr).Abstract() {
			born[unixAddr(l.Addr)] = gone
		}
	}
	return born
}

// renamer replaces the names that one run made up. Without a scene it replaces
// words alone.
type renamer struct {
	words words
	scene *scene
	fixed map[string]bool // arguments that the other run has, too
}

// pair finds out which names each of two runs made up. A name that both have
// is none of these.
func pair(b, a *run) (ours, theirs *renamer) {
	ours = &renamer{words: words{}, scene: b.scene, fixed: arguments(a)}
	theirs = &renamer{words: words{}, scene: a.scene, fixed: arguments(b)}
	left, right := newborn(b, a), newborn(a, b)
	// Folders first: what is in them is compared once they go by one name.
	for len(left) > 0 && len(right) > 0 {
		depth := min(left[0].depth, right[0].depth)
		var l, r []newName
		l, left = split(left, depth)
		r, right = split(right, depth)
		match(l, r, ours, theirs)
	}
	return ours, theirs
}

func arguments(r *run) map[string]bool {
	set := map[string]bool{}
	for i := range r.facts {
		for _, arg := range r.facts[i].Argv {
			set[arg] = true
		}
	}
	return set
}

// newName is a path that one run made or tried and the other did not.
type newName struct {
	parent, base string
	depth        int
	birth        birth
}

// newborn are by depth.
func newborn(of, other *run) []newName {
	var list []newName
	for p, birth := range of.born {
		if _, both := other.born[p]; both {
			continue
		}
		i := strings.LastIndexByte(p, '/')
		list = append(list, newName{p[:max(i, 0)], p[i+1:], strings.Count(p, "/"), birth})
	}
	slices.SortFunc(list, func(a, b newName) int {
		return cmp.Or(cmp.Compare(a.depth, b.depth), cmp.Compare(a.parent, b.parent), cmp.Compare(a.base, b.base))
	})
	return list
}

func split(list []newName, depth int) (at, below []newName) {
	n, _ := slices.BinarySearchFunc(list, depth+1, func(e newName, d int) int { return cmp.Compare(e.depth, d) })
	return list[:n], list[n:]
}

// match finds words among the names of one depth.
func match(l, r []newName, ours, theirs *renamer) {
	ls, rs := candidates(l, ours), candidates(r, theirs)
	common := func(name func(*candidate) string, same func(*candidate)) {
		seen := make(map[place]bool, len(rs))
		key := func(c *candidate) place { return place{c.parent, name(c)} }
		for i := range rs {
			seen[key(&rs[i])] = false
		}
		for i := range ls {
			if _, ok := seen[key(&ls[i])]; ok {
				seen[key(&ls[i])] = true
				same(&ls[i])
			}
		}
		for i := range rs {
			if seen[key(&rs[i])] {
				same(&rs[i])
			}
		}
	}
	// Names that are the same now that their folders are.
	common(func(c *candidate) string { return c.base }, func(c *candidate) { c.settled = true })
	// Names that are the same but for process numbers, times and UUIDs.
	for _, side := range []struct {
		list []candidate
		by   *renamer
	}{{ls, ours}, {rs, theirs}} {
		for i := range side.list {
			side.list[i].exact = side.by.scene.exact(side.list[i].base)
		}
	}
	common(func(c *candidate) string { return c.exact }, func(c *candidate) {
		if !c.settled {
			c.settled, c.as = true, c.exact
		}
	})
	matchRandom(ls, rs)
	for i := range ls {
		ls[i].tell(ours)
	}
	for i := range rs {
		rs[i].tell(theirs)
	}
}

type place struct{ folder, name string }

// candidate is a name that might be made up.
type candidate struct {
	parent  string // as it is shown
	base    string
	exact   string // base without what is known to be volatile
	trust   trust
	settled bool
	as      string // what base is shown as, if it is made up
}

func candidates(list []newName, by *renamer) []candidate {
	out := make([]candidate, len(list))
	parent, as := "", ""
	for i, n := range list {
		if n.parent != parent { // which is seldom, as they are sorted
			parent, as = n.parent, by.words.path(n.parent)
		}
		c := candidate{parent: as, base: n.base}
		switch {
		case n.birth == tried:
			c.trust = unproven
		case n.birth == gone:
			c.trust = temporary
		case temporaryFolder(c.parent):
			c.trust = lasting
		}
		out[i] = c
	}
	return out
}

func (c *candidate) tell(r *renamer) {
	if c.as == "" || c.as == c.base {
		return
	}
	if _, ok := r.words[c.base]; !ok {
		r.words[c.base] = c.as
	}
}

// temporaryFolder tells whether programs make up names in a folder: those that
// are for it, and those with a made-up name.
func temporaryFolder(p string) bool {
	switch p {
	case "/tmp", "/var/tmp", "/dev/shm":
		return true
	}
	return strings.HasSuffix(path.Base(p), tmpMark) || strings.Contains(p, tmpMark)
}

// fact replaces names in a fact.
func (r *renamer) fact(f *Fact) Fact {
	out := *f
	switch f.Class {
	case Outcome, Gap:
		out.Detail = r.text(f.Detail)
	case User, Asked, Secret, SyscallDenied, Syscall, Output:
	case Ran:
		out.Name, out.Other, out.Detail = r.words.path(f.Name), r.words.path(f.Other), r.words.path(f.Detail)
		out.Argv = r.args(f.Argv)
	default:
		out.Name, out.Other = r.words.path(f.Name), r.words.path(f.Other)
		out.Argv = r.args(f.Argv)
	}
	return out
}

func (r *renamer) args(argv []string) []string {
	var out []string // nil as long as nothing was replaced
	for i, arg := range argv {
		if r.fixed[arg] {
			continue
		}
		if as := r.text(arg); as != arg {
			if out == nil {
				out = slices.Clone(argv)
			}
			out[i] = as
		}
	}
	if out == nil {
		return argv
	}
	return out
}

func (r *renamer) text(s string) string {
	s = r.words.text(s)
	if r.scene != nil {
		s = r.scene.exact(s)
	}
	return s
}
