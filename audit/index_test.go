package audit

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Names are told apart, and found again however many there are.
func TestIndex(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	x := newFileTable()
	known := map[fileName]*file{}
	for range 50_000 {
		name := fileName{fmt.Sprintf("/%d", rng.IntN(10_000)), rng.IntN(4) == 0, rng.IntN(4) == 0}
		f := x.get(name)
		if was := known[name]; was != nil && was != f {
			t.Fatalf("%v is in two places", name)
		}
		if f.name() != name {
			t.Fatalf("%v is %v", name, f.name())
		}
		known[name] = f
	}
	if int(x.files.all.len) != len(known) || len(x.files.slots)/4*3 < len(known) {
		t.Errorf("%d files for %d names, in %d slots", x.files.all.len, len(known), len(x.files.slots))
	}
	// Values of one hash.
	same := newIndex[int]()
	for i := range 100 {
		n, found := same.get("name", "", func(n *int) bool { return *n == i })
		if found {
			t.Fatalf("%d is there already", i)
		}
		*n = i
	}
	if n, found := same.get("name", "", func(n *int) bool { return *n == 42 }); !found || *n != 42 {
		t.Errorf("42 is %d, %v", *n, found)
	}
}
