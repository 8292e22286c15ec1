package tree

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"glasshouse/receipt"
)

func TestParents(t *testing.T) {
	procs := []receipt.Process{
		{PID: 10, PPID: 9},  // 0: the root; its parent is outside
		{PID: 11, PPID: 10}, // 1
		{PID: 12, PPID: 11}, // 2: of the first 11
		{PID: 11, PPID: 10}, // 3: the number again
		{PID: 13, PPID: 11}, // 4: of the second 11
		{PID: 14, PPID: 0},  // 5: its fork was lost
		{PID: 15, PPID: 15}, // 6: what no kernel says
		{PID: 16, PPID: 17}, // 7: a parent that came later is none
		{PID: 17, PPID: 16}, // 8
	}
	want := []int{None, 0, 1, 0, 3, None, None, None, 7}
	if diff := cmp.Diff(want, Parents(procs)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestByPID(t *testing.T) {
	byPID := ByPID([]receipt.Process{{PID: 1}, {PID: 2}, {PID: 1}, {PID: 1}})
	for pid, want := range map[int32]int{1: None, 2: 1, 3: None} {
		if got := Find(byPID, pid); got != want {
			t.Errorf("Find(%d) = %d, want %d", pid, got, want)
		}
	}
}
