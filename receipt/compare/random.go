package compare

import (
	"math/bits"
	"slices"
	"strings"
	"time"
)

// trust is how readily a name is taken for a made-up one.
type trust int

const (
	deliberate trust = iota // only what is known is normalised
	unproven                // goes by a shape that others of the names have
	lasting                 // in a folder for such names, but still there at the end
	temporary               // gone at the end
)

// shape is what the names have in common that one maker makes up in one place.
type shape struct {
	parent, prefix, suffix string
	n                      int // how long the random part is; 0 for a number
}

func (s shape) name() string { return s.prefix + tmpMark + s.suffix }

// The shortest numbers that are taken for random: Go's are of up to ten digits.
const (
	shortestTemporary = 7
	shortestLasting   = 8
)

// tails are the lengths of the random part that makers use: mkstemp(3) and its
// like 6, Python 8, mktemp(1) 10.
var tails = [...]int{6, 8, 10}

// A random part of another length is a hexadecimal number, or long.
const (
	shortestHex     = 7
	shortestAddress = 8 // in memory, behind 0x, as in the names of GnuPG's locks
	shortestRun     = 16
	longestRun      = 64
)

// suffixes of a name that are tried: .c, .tar.gz, -lock
const (
	maxSuffixes = 4
	maxSuffix   = 24
)

// shapes calls f with each way to take a name apart, and with the random part.
func (c *candidate) shapes(f func(shape, string)) {
	name := c.exact
	cut := func(from, to, n int) {
		f(shape{c.parent, name[:from], name[to:], n}, name[from:to])
	}
	// A random part at the end, or before a suffix.
	found := 0
	for end := len(name); end > 0 && found < maxSuffixes && len(name)-end <= maxSuffix; end-- {
		if end < len(name) && isAlnum(name[end]) {
			continue
		}
		found++
		for _, n := range tails {
			if end >= n && allRandom(name[end-n:end]) {
				cut(end-n, end, n)
			}
		}
	}
	// Numbers and runs, wherever they are.
	least := shortestTemporary
	if c.trust == lasting {
		least = shortestLasting
	}
	runs := 0
	for i := 0; i < len(name) && runs < maxSuffixes; {
		if !isAlnum(name[i]) {
			i++
			continue
		}
		end := i
		for end < len(name) && isAlnum(name[end]) {
			end++
		}
		if n := end - i; n <= longestRun && !isTail(n) && (n >= shortestRun || n >= shortestHex && isHex(name[i:end])) {
			cut(i, end, n)
			runs++
		}
		if from := i + strings.Index(name[i:end], "0x") + len("0x"); from > i+1 && c.trust != lasting && end-from >= shortestAddress && isHex(name[from:end]) {
			cut(from, end, 0)
			runs++
		}
		for j := i; j < end && runs < maxSuffixes; {
			n := digits(name[j:end])
			if n >= least && !isDate(name[j:j+n]) {
				cut(j, j+n, 0)
				runs++
			}
			j += max(n, 1)
		}
		i = end
	}
}

// isDate tells whether digits are those of a day of this century or the last.
func isDate(s string) bool {
	if len(s) != len(dateLayout) || s[:2] != "19" && s[:2] != "20" {
		return false
	}
	_, err := time.Parse(dateLayout, s)
	return err == nil
}

func isTail(n int) bool { return slices.Contains(tails[:], n) }

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

func allRandom(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '_' {
			return false
		}
	}
	return true
}

// bucket is all that is known of one shape.
type bucket struct {
	names   [2]int // on each side
	changes int    // in all random parts together
	first   string // random part
	same    uint64 // at which places all have the character of the first
	upper   bool
	lower   bool
	lasting bool // a name of these
}

func (b *bucket) add(side int, random string, t trust) {
	if b.names == [2]int{} {
		b.first, b.same = random, ^uint64(0)
	}
	b.names[side]++
	b.lasting = b.lasting || t == lasting
	b.changes += changes(random)
	for i := range min(len(random), longestRun) {
		switch c := random[i]; {
		case c >= 'A' && c <= 'Z':
			b.upper = true
		case c >= 'a' && c <= 'z':
			b.lower = true
		}
		if i < len(b.first) && random[i] != b.first[i] {
			b.same &^= 1 << i
		}
	}
}

// changes counts how often a letter follows a digit and the like, as it does
// less often in what somebody chose.
func changes(random string) int {
	n := 0
	for i := 1; i < len(random); i++ {
		if sortOf(random[i]) != sortOf(random[i-1]) {
			n++
		}
	}
	return n
}

func sortOf(c byte) int {
	switch {
	case isDigit(c):
		return 0
	case c >= 'a' && c <= 'z':
		return 1
	case c >= 'A' && c <= 'Z':
		return 2
	}
	return 3
}

// random tells whether the parts look as if nobody chose them: they differ
// nearly everywhere, and have changes. For what is still there at the end it
// takes more to believe it.
func (b *bucket) random(s shape) bool {
	total := b.names[0] + b.names[1]
	switch {
	case b.names[0] == 0 || b.names[1] == 0:
		return false
	case s.n == 0:
		return true
	case bits.OnesCount64(b.same&(1<<s.n-1)) > max(2, s.n/4):
		return false
	case !isTail(s.n):
		return b.changes*8 >= total*s.n
	case !b.lasting && s.prefix == python:
		return true
	case !b.lasting || s.prefix == python:
		return b.changes*2 >= total
	case s.n == tails[0] && !(b.upper && b.lower):
		return false
	}
	return b.changes >= total
}

// python begins the names of its tempfile.
const python = "tmp"

// holds tells whether one of the names is made up as the others are. Where
// nothing but the place connects them, one more than the other run has must
// look so by itself.
func (b *bucket) holds(s shape, side int, random string, t trust) bool {
	if len(s.prefix) >= 2 || s.n == 0 {
		return true
	}
	switch n := changes(random); {
	case t == lasting:
		return n >= 2
	case b.names[side] > b.names[1-side]:
		return n >= 1
	}
	return true
}

// matchRandom settles the names that have one shape on both sides and differ in
// a random part.
func matchRandom(ls, rs []candidate) {
	buckets := map[shape]*bucket{}
	sides := [2][]candidate{ls, rs}
	each := func(f func(side int, c *candidate)) {
		for side, list := range sides {
			for i := range list {
				if c := &list[i]; !c.settled && c.trust != deliberate {
					f(side, c)
				}
			}
		}
	}
	each(func(side int, c *candidate) {
		if c.trust == unproven {
			return
		}
		c.shapes(func(s shape, random string) {
			b := buckets[s]
			if b == nil {
				b = new(bucket)
				buckets[s] = b
			}
			b.add(side, random, c.trust)
		})
	})
	each(func(side int, c *candidate) {
		var best shape
		support := 0
		c.shapes(func(s shape, random string) {
			b := buckets[s]
			if b == nil || !b.random(s) || !b.holds(s, side, random, c.trust) {
				return
			}
			// What holds for most, and takes least of the name.
			total := b.names[0] + b.names[1]
			if total > support || total == support && len(s.prefix)+len(s.suffix) > len(best.prefix)+len(best.suffix) {
				best, support = s, total
			}
		})
		if support > 0 {
			c.as = best.name()
		}
	})
}
