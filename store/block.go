package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"strings"
	"unsafe"
)

// A block holds the paths of some receipts. A path is a folder and a name, both
// numbers in the block's dictionaries; so names that recur are there once, and
// a search looks through short texts and then for numbers:
//
//	names, dirs   the dictionaries: each entry ends with a zero byte
//	lists         for each receipt: its number, the length of what follows, and
//	              for each folder: its number, the length of what follows, and
//	              the numbers of the names
//
// All numbers are varints; lengths are of bytes. A receipt may have several
// lists, in any blocks.
type block struct {
	names, dirs []byte
	lists       []byte
}

func (b block) list() [parts][]byte {
	return [parts][]byte{namesPart: b.names, dirsPart: b.dirs, listsPart: b.lists}
}

// maxBlock is where a block is full: bytes of each part. One more list may go
// beyond it, of maxList paths.
const (
	maxBlock = 1 << 20
	maxList  = 1 << 14
)

var errCorrupt = errors.New("the index is corrupt")

// builder fills a block.
type builder struct {
	block
	nameIDs, dirIDs map[string]uint32
	list            []place
}

type place struct{ dir, name uint32 }

func newBuilder() *builder {
	return &builder{nameIDs: map[string]uint32{}, dirIDs: map[string]uint32{}}
}

// resume goes on with a block that is not full.
func resume(b block) *builder {
	return &builder{block: b, nameIDs: numbersOf(b.names), dirIDs: numbersOf(b.dirs)}
}

func numbersOf(dictionary []byte) map[string]uint32 {
	ids := map[string]uint32{}
	for text := string(dictionary); text != ""; {
		var entry string
		entry, text, _ = strings.Cut(text, "\x00")
		ids[entry] = uint32(len(ids))
	}
	return ids
}

// add takes a path into the list that is being made.
func (b *builder) add(path string) {
	dir, name := split(path)
	b.list = append(b.list, place{intern(&b.dirs, b.dirIDs, dir), intern(&b.names, b.nameIDs, name)})
}

func intern(dictionary *[]byte, ids map[string]uint32, entry string) uint32 {
	id, ok := ids[entry]
	if !ok {
		id = uint32(len(ids))
		ids[strings.Clone(entry)] = id
		*dictionary = append(append(*dictionary, entry...), 0)
	}
	return id
}

// listFull tells that endList is due.
func (b *builder) listFull() bool { return len(b.list) >= maxList }

// endList makes what was added a list of a receipt.
func (b *builder) endList(receipt uint64) {
	slices.SortFunc(b.list, func(x, y place) int {
		return cmp.Or(cmp.Compare(x.dir, y.dir), cmp.Compare(x.name, y.name))
	})
	list := slices.Compact(b.list)
	var out, rest []byte
	for i, p := range list {
		rest = binary.AppendUvarint(rest, uint64(p.name))
		if i+1 == len(list) || list[i+1].dir != p.dir {
			out = appendPair(out, uint64(p.dir), rest)
			rest = rest[:0]
		}
	}
	if len(out) > 0 {
		b.lists = appendPair(b.lists, receipt, out)
	}
	b.list = b.list[:0]
}

// appendPair appends what numbers.each reads.
func appendPair(to []byte, number uint64, rest []byte) []byte {
	to = binary.AppendUvarint(to, number)
	to = binary.AppendUvarint(to, uint64(len(rest)))
	return append(to, rest...)
}

// full tells that the block is large enough.
func (b *block) full() bool {
	return max(len(b.names), len(b.dirs), len(b.lists)) >= maxBlock
}

// numbers are varints.
type numbers []byte

// number reads the varint at a place and returns the next place; 0 if there is
// none.
func (n numbers) number(at int) (v uint64, next int) {
	if at < len(n) && n[at] < 0x80 {
		return uint64(n[at]), at + 1
	}
	v, size := binary.Uvarint(n[min(at, len(n)):])
	if size <= 0 {
		return 0, 0
	}
	return v, at + size
}

// each calls f for each pair of a number and the bytes whose length follows
// it, until f returns false. It tells whether the numbers were sound.
func (n numbers) each(f func(number uint64, rest numbers) bool) bool {
	for at := 0; at < len(n); {
		v, next := n.number(at)
		size, begin := n.number(next)
		if next == 0 || begin == 0 || size > uint64(len(n)-begin) {
			return false
		}
		at = begin + int(size)
		if !f(v, n[begin:at]) {
			return true
		}
	}
	return true
}

// set is one of numbers.
type set []uint64

func (s set) has(n uint64) bool { return n/64 < uint64(len(s)) && s[n/64]>>(n%64)&1 != 0 }

func (s *set) add(n uint64) {
	for n/64 >= uint64(len(*s)) {
		*s = append(*s, 0)
	}
	(*s)[n/64] |= 1 << (n % 64)
}

func union(sets []set) (all set) {
	for _, s := range sets {
		all = append(all, make(set, max(0, len(s)-len(all)))...)
		for i, word := range s {
			all[i] |= word
		}
	}
	return all
}

// numbers lists them in order.
func (s set) numbers() []uint64 {
	list := []uint64{}
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			list = append(list, uint64(i)*64+uint64(bits.TrailingZeros64(word)))
		}
	}
	return list
}

// choice is what of a dictionary fits: everything, a set, or, where that is
// most of it, what is found to fit when it is asked for.
type choice struct {
	all bool
	set set

	text  string
	ends  []uint32 // of the entries in text; nil for a set
	match func(string) bool
}

func (c *choice) none() bool { return !c.all && c.ends == nil && len(c.set) == 0 }

func (c *choice) has(n uint64) bool {
	switch {
	case c.all:
		return true
	case c.ends == nil:
		return c.set.has(n)
	case n >= uint64(len(c.ends)):
		return false
	}
	begin := uint32(0)
	if n > 0 {
		begin = c.ends[n-1] + 1
	}
	return c.match(c.text[begin:c.ends[n]])
}

// sample is how many entries tell whether most of a dictionary fits.
const sample = 2048

// choose finds the entries of a dictionary that hold the literal and match.
func choose(dictionary []byte, literal string, match func(string) bool) choice {
	c := choice{match: match, text: unsafe.String(unsafe.SliceData(dictionary), len(dictionary))} // not written to meanwhile
	at, id, hits := 0, uint64(0), 0                                                               // of an entry's beginning
	for at < len(c.text) {
		hit := strings.Index(c.text[at:], literal)
		if hit < 0 {
			return c
		}
		// Entries that were passed over.
		id += uint64(strings.Count(c.text[at:at+hit], "\x00"))
		at += strings.LastIndexByte(c.text[at:at+hit], 0) + 1
		size := strings.IndexByte(c.text[at:], 0)
		if size < 0 {
			return c
		}
		if match(c.text[at : at+size]) {
			c.set.add(id)
			if hits++; hits == sample/2 && id < sample {
				c.index()
				return c
			}
		}
		at += size + 1
		id++
	}
	return c
}

// index finds where the entries are.
func (c *choice) index() {
	c.ends = make([]uint32, 0, len(c.text)/16)
	for at := 0; ; {
		size := strings.IndexByte(c.text[at:], 0)
		if size < 0 {
			return
		}
		at += size + 1
		c.ends = append(c.ends, uint32(at-1))
	}
}

// source is where a search reads the parts of a block.
type source interface {
	size(part int) int // in bytes
	part(part int) ([]byte, error)
}

// search adds the receipts to found that have a path in a block which fits;
// last is the greatest number of a receipt. It reads no part that it does not
// need, and the shorter dictionary first: if nothing in it fits, nothing does.
func search(g *Glob, last uint64, found *set, from source) error {
	dirLiteral, nameLiteral := g.literals()
	names, dirs := choice{all: g.anyName()}, choice{all: g.anyDir()}
	order := [2]int{namesPart, dirsPart}
	if from.size(dirsPart) < from.size(namesPart) {
		order = [2]int{dirsPart, namesPart}
	}
	for _, part := range order {
		c, literal, match := &names, nameLiteral, g.matchName
		if part == dirsPart {
			c, literal, match = &dirs, dirLiteral, g.matchDir
		}
		if c.all {
			continue
		}
		text, err := from.part(part)
		if err != nil {
			return err
		}
		if *c = choose(text, literal, match); c.none() {
			return nil
		}
	}
	lists, err := from.part(listsPart)
	if err != nil {
		return err
	}
	sound, few := true, names.few()
	sound = numbers(lists).each(func(receipt uint64, list numbers) bool {
		if receipt > last {
			sound = false
		} else if !found.has(receipt) && list.mayHold(few) {
			fits, ok := list.holds(&dirs, &names)
			if fits {
				found.add(receipt)
			}
			sound = ok
		}
		return sound
	}) && sound
	if !sound {
		return errCorrupt
	}
	return nil
}

// few are the numbers that fit, as a list has them; nil if they are many.
func (c *choice) few() (list [][]byte) {
	if c.all || c.ends != nil {
		return nil
	}
	for i, word := range c.set {
		for ; word != 0; word &= word - 1 {
			if len(list) == maxFew {
				return nil
			}
			list = append(list, binary.AppendUvarint(nil, uint64(i)*64+uint64(bits.TrailingZeros64(word))))
		}
	}
	return list
}

// maxFew is how many numbers are looked for sooner than a list is taken apart.
const maxFew = 32

// mayHold tells whether it is worth the while to look into a list: the bytes of
// one of few numbers are in it. They may be there by chance.
func (n numbers) mayHold(few [][]byte) bool {
	return few == nil || slices.ContainsFunc(few, func(number []byte) bool { return bytes.Contains(n, number) })
}

// holds tells whether a receipt's list has a path of a folder and a name that
// fit. It is what a search of many receipts does most, so it is written out.
func (n numbers) holds(dirs, names *choice) (fits, sound bool) {
	sound = n.each(func(dir uint64, rest numbers) bool {
		if !dirs.has(dir) {
			return true
		}
		if names.all {
			fits = true
			return false
		}
		var name, shift uint64
		for _, c := range rest {
			name |= uint64(c&0x7f) << (shift & 63)
			if c >= 0x80 {
				shift += 7
				continue
			}
			if names.has(name) {
				fits = true
				return false
			}
			name, shift = 0, 0
		}
		return true
	})
	return fits, sound
}

// tellsOf tells whether the block has a list of one of some receipts.
func (b *block) tellsOf(some set) (tells bool, err error) {
	if !numbers(b.lists).each(func(receipt uint64, _ numbers) bool {
		tells = some.has(receipt)
		return !tells
	}) {
		return false, errCorrupt
	}
	return tells, nil
}

// each calls f for each path of each list.
func (b *block) each(f func(receipt uint64, path string) error) error {
	names := strings.Split(string(b.names), "\x00")
	dirs := strings.Split(string(b.dirs), "\x00")
	var err error
	sound := numbers(b.lists).each(func(receipt uint64, list numbers) bool {
		sound := list.each(func(dir uint64, rest numbers) bool {
			for at := 0; at < len(rest) && err == nil; {
				var name uint64
				name, at = rest.number(at)
				if at == 0 || name >= uint64(len(names)) || dir >= uint64(len(dirs)) {
					err = errCorrupt
				} else {
					err = f(receipt, dirs[dir]+"/"+names[name])
				}
			}
			return err == nil
		})
		if !sound && err == nil {
			err = errCorrupt
		}
		return err == nil
	})
	if !sound && err == nil {
		err = errCorrupt
	}
	return err
}
