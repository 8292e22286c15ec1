package audit

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSortByPath(t *testing.T) {
	type row struct {
		path string
		tie  int
	}
	compare := func(a, b row) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.tie, b.tie)) }
	parts := []string{"/usr/", "lib", "library-with-a-long-name", "/", "a", "\x00", "\xff", "0", "12345678", ""}
	rng := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{0, 1, 2, 16, 17, 100, 5000} {
		list := make([]row, n)
		for i := range list {
			list[i].tie = rng.IntN(3)
			for range rng.IntN(6) {
				list[i].path += parts[rng.IntN(len(parts))]
			}
		}
		want := slices.Clone(list)
		slices.SortFunc(want, compare)
		sortByPath(list, func(r *row) string { return r.path }, func(a, b *row) int { return cmp.Compare(a.tie, b.tie) })
		if !slices.Equal(list, want) {
			t.Errorf("%d rows are not sorted", n)
		}
	}
}
