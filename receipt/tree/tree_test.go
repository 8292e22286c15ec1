package tree

import (
	"testing"
	"time"

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

// A process that had ended forked nobody: who did is not in the receipt. The
// list of an edited receipt can be in any order.
func TestParentsOfTheirTime(t *testing.T) {
	at := func(ms int64) receipt.Time { return receipt.At(time.UnixMilli(ms)) }
	procs := []receipt.Process{
		{PID: 11, PPID: 10, StartTime: 2, StartedAt: at(2), EndedAt: new(at(3))}, // 0: of 3, which stands behind it
		{PID: 12, PPID: 11, StartTime: 4, StartedAt: at(4)},                      // 1: that 11 had ended
		{PID: 13, PPID: 11, StartTime: 3, StartedAt: at(3)},                      // 2: it had not
		{PID: 10, PPID: 9, StartTime: 1, StartedAt: at(1)},                       // 3
	}
	if diff := cmp.Diff([]int{3, None, 0, None}, Parents(procs)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{3, 0, 2, 1}, Order(procs)); diff != "" {
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
