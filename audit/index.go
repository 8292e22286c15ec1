package audit

import "hash/maphash"

// index finds values by names that they hold. There can be millions: a map that
// holds the names as well takes several times the memory, all of which the
// garbage collector has to look at, and the time to move them as it grows.
type index[T any] struct {
	seed  maphash.Seed
	slots []slot // a power of two of them, at most three quarters in use
	all   list[T]
}

// slot is one place of an index. The hash's last bits tell the first place in
// which a value may be found; if others have that, it is in the next.
type slot struct {
	hash uint32
	at   uint32 // in the list, counted from 1; 0: free
}

func newIndex[T any]() index[T] {
	return index[T]{seed: maphash.MakeSeed(), slots: make([]slot, 64)}
}

// get returns the value that is the one, or else a new one, which the caller
// then makes that. Equal values have equal names, and few others have the same.
func (x *index[T]) get(name, second string, is func(*T) bool) (value *T, found bool) {
	hash := x.hash(name, second)
	s := x.search(hash, is)
	if s.at != 0 {
		return x.all.at(s.at - 1), true
	}
	value = x.all.add()
	*s = slot{hash, x.all.len}
	if int(x.all.len) > len(x.slots)/4*3 {
		x.grow()
	}
	return value, false
}

func (x *index[T]) hash(name, second string) uint32 {
	h := maphash.String(x.seed, name)
	if second != "" {
		h = 3*h + maphash.String(x.seed, second)
	}
	return uint32(h)
}

// search returns the slot of the value that is the one, or else a free one.
func (x *index[T]) search(hash uint32, is func(*T) bool) *slot {
	mask := uint32(len(x.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &x.slots[i]
		if s.at == 0 || s.hash == hash && is(x.all.at(s.at-1)) {
			return s
		}
	}
}

func (x *index[T]) grow() {
	old := x.slots
	x.slots = make([]slot, 2*len(old))
	for _, s := range old {
		if s.at != 0 {
			*x.search(s.hash, func(*T) bool { return false }) = s
		}
	}
}

// list holds values in the order in which they were added. They stay where
// they are.
type list[T any] struct {
	parts [][]T
	len   uint32
}

const listPart = 128

func (l *list[T]) at(i uint32) *T { return &l.parts[i/listPart][i%listPart] }

func (l *list[T]) add() *T {
	if l.len%listPart == 0 {
		l.parts = append(l.parts, make([]T, listPart))
	}
	l.len++
	return l.at(l.len - 1)
}

// each calls f for all values.
func (l *list[T]) each(f func(*T)) {
	for i := range l.len {
		f(l.at(i))
	}
}
