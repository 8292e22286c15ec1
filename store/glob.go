package store

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Glob is a pattern of paths. In a component *, ? and [...] are those of
// path.Match; a component ** stands for any number of components, none
// included, and at the end for all below. A pattern that does not begin with /
// may begin at any component, and one that ends in / means all below.
type Glob struct {
	dirs []string // the components before the last
	name string   // the last; ** for anything at any depth

	// Of a name with one * and nothing else that is special: what stands before
	// and behind it. Most are such, and path.Match takes ten times as long.
	simple     bool
	head, tail string
}

// ParseGlob returns an error for what can match no path of a receipt.
func ParseGlob(pattern string) (Glob, error) {
	bad := func(why string) (Glob, error) {
		return Glob{}, fmt.Errorf("pattern %q: %s", pattern, why)
	}
	if pattern == "" {
		return bad("it is empty")
	}
	text := pattern
	if strings.HasSuffix(text, "/") {
		text += "**"
	}
	text, rooted := strings.CutPrefix(text, "/")
	parts := strings.Split(text, "/")
	for _, part := range parts {
		switch part {
		case "":
			return bad("it has an empty component")
		case ".", "..":
			return bad("paths in receipts are absolute and have no . or ..")
		}
		if _, err := path.Match(part, ""); err != nil {
			return bad("syntax error in " + part)
		}
	}
	if !rooted {
		parts = slices.Insert(parts, 0, "**")
	}
	g := Glob{dirs: parts[:len(parts)-1], name: parts[len(parts)-1]}
	if g.name == "**" {
		g.dirs = parts // the folder itself is any that the whole fits
	}
	if !strings.ContainsAny(g.name, `?[\`) {
		var rest string
		if g.head, rest, g.simple = strings.Cut(g.name, "*"); strings.Contains(rest, "*") {
			g.simple = false
		}
		g.tail = rest
	}
	return g, nil
}

// split takes an absolute path apart: "/usr/lib" is "/usr" and "lib", "/etc"
// is "" and "etc".
func split(p string) (dir, name string) {
	i := strings.LastIndexByte(p, '/')
	return p[:i], p[i+1:]
}

// matchName tells whether the last component fits.
func (g *Glob) matchName(name string) bool {
	if g.anyName() {
		return true
	}
	if g.simple {
		return len(name) >= len(g.head)+len(g.tail) && strings.HasPrefix(name, g.head) && strings.HasSuffix(name, g.tail)
	}
	ok, _ := path.Match(g.name, name) // the syntax was checked
	return ok
}

func (g *Glob) anyName() bool { return g.name == "*" || g.name == "**" }
func (g *Glob) anyDir() bool {
	return len(g.dirs) > 0 && !slices.ContainsFunc(g.dirs, func(d string) bool { return d != "**" })
}

// matchDir tells whether what is before the last component fits.
func (g *Glob) matchDir(dir string) bool {
	pattern := g.dirs
	var resume []string // behind the last **
	var from string     // what that was tried on; "" at the end
	for {
		if len(pattern) > 0 && pattern[0] == "**" {
			pattern = pattern[1:]
			resume, from = pattern, dir
			if len(pattern) == 0 {
				return true
			}
			continue
		}
		if len(pattern) == 0 && dir == "" {
			return true
		}
		if len(pattern) > 0 && dir != "" {
			first, rest := component(dir)
			if ok, _ := path.Match(pattern[0], first); ok {
				pattern, dir = pattern[1:], rest
				continue
			}
		}
		// The last ** takes one more. An earlier one need not: whatever it
		// could take, the last can.
		if resume == nil || from == "" {
			return false
		}
		_, from = component(from)
		pattern, dir = resume, from
	}
}

// component is the first of "/usr/lib", and "/lib".
func component(dir string) (first, rest string) {
	dir = dir[1:]
	if i := strings.IndexByte(dir, '/'); i >= 0 {
		return dir[:i], dir[i:]
	}
	return dir, ""
}

// literals are the longest text that each name, and each folder, has to hold
// to fit: looked for before the pattern is tried.
func (g *Glob) literals() (dir, name string) {
	name = longest(g.name)
	var run string
	take := func() {
		if len(run) > len(dir) {
			dir = run
		}
		run = ""
	}
	for _, part := range g.dirs {
		if strings.ContainsAny(part, `*?[\`) {
			take()
			run = longest(part)
			take()
			continue
		}
		run += "/" + part
	}
	take()
	return dir, name
}

// longest is the longest literal of one component's pattern. One with a class
// or an escape is not looked into.
func longest(part string) string {
	if strings.ContainsAny(part, `[\`) {
		return ""
	}
	var best string
	for _, run := range strings.FieldsFunc(part, func(r rune) bool { return r == '*' || r == '?' }) {
		if len(run) > len(best) {
			best = run
		}
	}
	return best
}
