package audit

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Names are told apart, and found again however many there are.
func TestFileIndex(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	x := newFileIndex()
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
	if int(x.files.len) != len(known) || len(x.slots)/4*3 < len(known) {
		t.Errorf("%d files for %d names, in %d slots", x.files.len, len(known), len(x.slots))
	}
	// Names of one hash.
	same := newFileIndex()
	for i := range 100 {
		slot := same.search(7, func(f *file) bool { return f.path == fmt.Sprint(i) })
		if slot.file != 0 {
			t.Fatalf("%d is there already", i)
		}
		same.files.add().path = fmt.Sprint(i)
		*slot = fileSlot{7, same.files.len}
	}
	if slot := same.search(7, func(f *file) bool { return f.path == "42" }); slot.file != 43 {
		t.Errorf("42 is file %d", slot.file)
	}
}
