package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
)

// fits is what a Glob means, written for clarity.
func fits(pattern, p string) bool {
	if strings.HasSuffix(pattern, "/") {
		pattern += "**"
	}
	rest, rooted := strings.CutPrefix(pattern, "/")
	parts := strings.Split(rest, "/")
	if !rooted {
		parts = append([]string{"**"}, parts...)
	}
	if parts[len(parts)-1] == "**" {
		parts = append(parts, "*") // below, at any depth
	}
	return fitParts(parts, strings.Split(p[1:], "/"))
}

func fitParts(pattern, p []string) bool {
	if len(pattern) == 0 || len(p) == 0 && pattern[0] != "**" {
		return len(pattern) == len(p)
	}
	if pattern[0] == "**" {
		return fitParts(pattern[1:], p) || len(p) > 0 && fitParts(pattern, p[1:])
	}
	ok, _ := path.Match(pattern[0], p[0])
	return ok && fitParts(pattern[1:], p[1:])
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern  string
		yes, not string
	}{
		{"/etc/passwd", "/etc/passwd", "/etc/passwd- /x/etc/passwd /etc"},
		{"/etc/*", "/etc/passwd", "/etc/ssl/cert /etc /etcetera"},
		{"/etc/**", "/etc/passwd /etc/ssl/cert", "/etc /etcetera"},
		{"/etc/", "/etc/passwd /etc/ssl/cert", "/etc"},
		{"/**/x", "/x /a/x /a/b/x", "/xx /x/a"},
		{"/a/**/b/**/c", "/a/b/c /a/1/b/2/3/c /a/b/b/c", "/a/c /b/c /a/b"},
		{"*.key", "/a.key /b/c/d.key /.key", "/a.keys /a.key/b"},
		{"*/secret.txt", "/a/secret.txt /a/b/secret.txt", "/secret.txt"},
		{"src/*.go", "/src/a.go /x/src/a.go", "/src/x/a.go /asrc/a.go"},
		{"a?[0-9]", "/ab1 /x/ax9", "/ab /abc"},
		{`\*`, "/* /a/*", "/a"},
		{"a*b*c", "/abc /axbxc", "/ab /acb"},
		{"a*a", "/aa /aba", "/a"},
		{"**", "/ /a /a/b", ""},
		{"/", "/a /a/b /", ""},
		{"/*", "/a /", "/a/b"},
	} {
		g, err := ParseGlob(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range strings.Fields(c.yes) {
			if dir, name := split(p); !g.matchDir(dir) || !g.matchName(name) || !fits(c.pattern, p) {
				t.Errorf("%s does not match %s", c.pattern, p)
			}
		}
		for _, p := range strings.Fields(c.not) {
			if dir, name := split(p); g.matchDir(dir) && g.matchName(name) || fits(c.pattern, p) {
				t.Errorf("%s matches %s", c.pattern, p)
			}
		}
	}
	for _, bad := range []string{"", "//", "a//b", "./a", "../a", "/a/..", "[a", "/a[/b", `a\`} {
		if _, err := ParseGlob(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// randomPath is of few letters, so that much is nearly alike.
func randomPath(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(4) {
		b.WriteByte('/')
		for range 1 + r.IntN(3) {
			b.WriteByte("abc"[r.IntN(3)])
		}
	}
	return b.String()
}

func randomPattern(r *rand.Rand) string {
	parts := strings.Split(randomPath(r)[1:], "/")
	for i := range parts {
		switch r.IntN(6) {
		case 0:
			parts[i] = "**"
		case 1:
			parts[i] = "*"
		case 2:
			parts[i] = "*" + parts[i]
		case 3:
			parts[i] = parts[i][:1] + "*" + parts[i][1:]
		}
	}
	return []string{"", "/"}[r.IntN(2)] + strings.Join(parts, "/") + []string{"", "", "", "/"}[r.IntN(4)]
}

// A search finds what looking at each path finds, and blocks say what was put
// in, in whatever pieces.
func TestSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		lists := make([][]string, 1+r.IntN(20))
		b := newBuilder()
		for n := range lists {
			for range r.IntN(30) {
				lists[n] = append(lists[n], randomPath(r))
			}
			half := r.IntN(len(lists[n]) + 1)
			for i, p := range lists[n] {
				if i == half {
					b.endList(uint64(n))
				}
				b.add(p)
			}
			b.endList(uint64(n))
			if r.IntN(5) == 0 {
				b = resume(b.block)
			}
		}
		told := make([][]string, len(lists))
		if err := b.each(func(n uint64, p string) error { told[n] = append(told[n], p); return nil }); err != nil {
			t.Fatal(err)
		}
		for n := range lists {
			want, got := slices.Clone(lists[n]), told[n]
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(slices.Compact(want), slices.Compact(got)) {
				t.Fatalf("list %d: got %q, want %q", n, got, want)
			}
		}
		for range 20 {
			pattern := randomPattern(r)
			g, err := ParseGlob(pattern)
			if err != nil {
				t.Fatalf("%s: %v", pattern, err)
			}
			var found set
			if err := search(&g, 20, &found, b.block); err != nil {
				t.Fatal(err)
			}
			for n, list := range lists {
				want := slices.ContainsFunc(list, func(p string) bool { return fits(pattern, p) })
				if found.has(uint64(n)) != want {
					t.Fatalf("%s: receipt %d with %q: found %v", pattern, n, list, !want)
				}
			}
		}
	}
}

func (b block) size(part int) int             { return len(b.list()[part]) }
func (b block) part(part int) ([]byte, error) { return b.list()[part], nil }

// Where most names fit they are not looked at one by one.
func TestSearchBroad(t *testing.T) {
	b := newBuilder()
	for n := range uint64(3 * sample) {
		b.add(fmt.Sprintf("/d/%d.o", n))
		if n%7 == 0 {
			b.add(fmt.Sprintf("/d/%d.c", n))
		}
		b.endList(n)
	}
	b.add("/d/x.c")
	b.endList(3 * sample)
	g, _ := ParseGlob("*.o")
	if c := choose(b.names, ".o", g.matchName); c.ends == nil {
		t.Error("most fit, but all were looked at")
	}
	var found set
	if err := search(&g, 3*sample, &found, b.block); err != nil {
		t.Fatal(err)
	}
	if n := len(found.numbers()); n != 3*sample || found.has(3*sample) {
		t.Errorf("%d found, want %d", n, 3*sample)
	}
}

// A damaged block is an error or gives something, but is survived.
func FuzzBlock(f *testing.F) {
	b := newBuilder()
	for n := range uint64(3) {
		b.add("/etc/passwd")
		b.add(fmt.Sprintf("/home/%d/x", n))
		b.endList(n)
	}
	f.Add(b.names, b.dirs, b.lists)
	f.Add([]byte("a\x00b"), []byte("\x00/x\x00"), []byte{1, 3, 0, 1, 0})
	f.Fuzz(func(t *testing.T, names, dirs, lists []byte) {
		b := block{names, dirs, lists}
		for _, pattern := range []string{"/etc/**", "*a*", "**", "/*/x"} {
			g, _ := ParseGlob(pattern)
			var found set
			if err := search(&g, 100, &found, b); err != nil && !errors.Is(err, errCorrupt) {
				t.Fatal(err)
			}
		}
		if err := b.each(func(uint64, string) error { return nil }); err != nil && !errors.Is(err, errCorrupt) {
			t.Fatal(err)
		}
		_ = resume(b)
	})
}
