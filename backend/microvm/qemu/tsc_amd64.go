package qemu

import (
	"sync"
	"time"
)

// counter is the processor's time stamp counter.
func counter() uint64

// counterKHz is how fast it counts. An emulated machine shows its guest this
// counter, and has nothing reliable to measure it by: a guest that tries hangs
// now and then on a busy host. 0 is not known.
var counterKHz = sync.OnceValue(func() uint64 {
	const span = 20 * time.Millisecond
	// The clock is read between two looks at the counter. Of several tries that
	// is the best which was interrupted least.
	look := func() (at time.Time, n, width uint64) {
		for range 16 {
			before := counter()
			now := time.Now()
			after := counter()
			if w := after - before; width == 0 || w < width {
				at, n, width = now, before+w/2, w
			}
		}
		return at, n, width
	}
	t0, n0, _ := look()
	time.Sleep(span)
	t1, n1, _ := look()
	if n1 <= n0 {
		return 0
	}
	return (n1 - n0) * uint64(time.Millisecond) / uint64(t1.Sub(t0))
})
