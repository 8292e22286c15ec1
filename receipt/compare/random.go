package compare

import (
	"math/bits"
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

// shortest numbers that are taken for random: Go's are of up to ten digits.
const (
	shortestTemporary = 7
	shortestLasting   = 9
)

// tails are the lengths of the random part that makers use: mkstemp(3) and its
// like 6, Python 8, mktemp(1) 10.
var tails = [...]int{6, 8, 10}

// Bounds of what a random part of another length can be: a hexadecimal number,
// most often.
const (
	shortestRun = 7
	longestRun  = 64
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
		if n := end - i; n >= shortestRun && n <= longestRun && !isTail(n) {
			cut(i, end, n)
			runs++
		}
		for j := i; j < end && runs < maxSuffixes; {
			n := digits(name[j:end])
			if n >= least {
				cut(j, j+n, 0)
				runs++
			}
			j += max(n, 1)
		}
		i = end
	}
}

func isTail(n int) bool {
	for _, t := range tails {
		if n == t {
			return true
		}
	}
	return false
}

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
	changes int    // between sorts of characters, in all random parts together
	first   string // random part
	same    uint64 // at which places all have the character of the first
	upper   bool
	lower   bool
	lasting bool
}

func (b *bucket) add(side int, random string, t trust) {
	if b.names == [2]int{} {
		b.first, b.same = random, ^uint64(0)
	}
	b.names[side]++
	b.lasting = b.lasting || t == lasting
	if len(random) > longestRun {
		return // a number
	}
	for i := range len(random) {
		switch c := random[i]; {
		case c >= 'A' && c <= 'Z':
			b.upper = true
		case c >= 'a' && c <= 'z':
			b.lower = true
		}
		if i > 0 && sortOf(random[i]) != sortOf(random[i-1]) {
			b.changes++
		}
		if i < len(b.first) && random[i] != b.first[i] {
			b.same &^= 1 << i
		}
	}
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
// nearly everywhere, and go from letters to digits and back as words do not.
// For what is still there at the end it takes more to believe it.
func (b *bucket) random(n int) bool {
	total := b.names[0] + b.names[1]
	if b.names[0] == 0 || b.names[1] == 0 {
		return false
	}
	if n == 0 {
		return true
	}
	if bits.OnesCount64(b.same&(1<<n-1)) > max(2, n/4) {
		return false
	}
	if !b.lasting {
		return b.changes*8 >= total*max(8, n)
	}
	if n == 6 && !(b.upper && b.lower) {
		return false
	}
	return b.changes*10 >= total*max(15, 2*n)
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
	each(func(_ int, c *candidate) {
		var best shape
		support := 0
		c.shapes(func(s shape, _ string) {
			b := buckets[s]
			if b == nil || !b.random(s.n) {
				return
			}
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
