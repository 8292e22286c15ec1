package audit

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// sortByPath sorts a list by the elements' paths, and where they are equal by
// compare. Long lists of paths that begin alike are sorted by eight bytes at a
// time, from where they differ on: comparing whole strings, which lie
// anywhere in memory, takes several times as long.
func sortByPath[T any](list []T, path func(*T) string, compare func(a, b *T) int) {
	s := pathSorter[T]{list, path, compare, make([]place, len(list))}
	places := make([]place, len(list))
	for i := range places {
		places[i].at = uint32(i)
	}
	s.sort(places, 0)
	sorted := make([]T, len(list))
	for i, p := range places {
		sorted[i] = list[p.at]
	}
	copy(list, sorted)
}

type pathSorter[T any] struct {
	list    []T
	path    func(*T) string
	compare func(a, b *T) int
	spare   []place
}

// place is an element of the list, and eight bytes of its path.
type place struct {
	word uint64
	at   uint32
}

func (s *pathSorter[T]) at(p place) string { return s.path(&s.list[p.at]) }

// sort sorts places whose paths are alike up to depth.
func (s *pathSorter[T]) sort(places []place, depth int) {
	const few = 16
	if len(places) <= few {
		s.compareAll(places)
		return
	}
	first := s.at(places[0])
	alike := len(first)
	for _, p := range places[1:] {
		path := s.at(p)
		n := depth
		for n < min(alike, len(path)) && path[n] == first[n] {
			n++
		}
		alike = n
	}
	for i, p := range places {
		places[i].word = word(s.at(p)[alike:])
	}
	s.sortWords(places)
	for len(places) > 0 {
		n := 1
		for n < len(places) && places[n].word == places[0].word {
			n++
		}
		if n > 1 {
			s.sortAlike(places[:n], alike+8)
		}
		places = places[n:]
	}
}

// sortAlike sorts places whose words are equal.
func (s *pathSorter[T]) sortAlike(places []place, depth int) {
	for _, p := range places {
		if len(s.at(p)) < depth { // the words do not tell a path's end from a NUL
			s.compareAll(places)
			return
		}
	}
	s.sort(places, depth)
}

// sortWords sorts by the words: by one byte after the other, from the last on,
// of those in which they differ.
func (s *pathSorter[T]) sortWords(places []place) {
	const few = 256
	if len(places) <= few {
		slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.word, b.word) })
		return
	}
	var differ uint64
	for _, p := range places {
		differ |= p.word ^ places[0].word
	}
	from, to := places, s.spare[:len(places)]
	for shift := 0; shift < 64; shift += 8 {
		if differ>>shift&0xff == 0 {
			continue
		}
		var next [256]int // where the next place with that byte goes
		for _, p := range from {
			next[byte(p.word>>shift)]++
		}
		sum := 0
		for i, n := range next {
			next[i] = sum
			sum += n
		}
		for _, p := range from {
			n := &next[byte(p.word>>shift)]
			to[*n] = p
			*n++
		}
		from, to = to, from
	}
	copy(places, from) // onto themselves after an even number of rounds
}

func (s *pathSorter[T]) compareAll(places []place) {
	slices.SortFunc(places, func(a, b place) int {
		if c := cmp.Compare(s.at(a), s.at(b)); c != 0 {
			return c
		}
		return s.compare(&s.list[a.at], &s.list[b.at])
	})
}

// word is the first eight bytes of s, which compare as s does.
func word(s string) uint64 {
	var b [8]byte
	copy(b[:], s)
	return binary.BigEndian.Uint64(b[:])
}
