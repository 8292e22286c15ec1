//go:build linux && (amd64 || arm64)

package ebpf

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"glasshouse/audit"
)

type fakeBrake struct {
	done                string // h for Hold, r for Release
	holdErr, releaseErr error
}

func (b *fakeBrake) Hold() error    { b.done += "h"; return b.holdErr }
func (b *fakeBrake) Release() error { b.done += "r"; return b.releaseErr }

func levels(p *pressure, percent ...int) {
	for _, n := range percent {
		p.at(n * 2 * p.high / 100)
	}
}

func TestPressure(t *testing.T) {
	broken := errors.New("broken")
	for _, tc := range []struct {
		name   string
		brake  fakeBrake
		levels []int
		done   string
		holds  uint64
		gap    string
	}{
		{"never", fakeBrake{}, []int{0, 49, 10, 49}, "", 0, ""},
		{"once", fakeBrake{}, []int{49, 50, 60, 100, 50, 13, 12, 0, 49}, "hr", 1, ""},
		{"again", fakeBrake{}, []int{50, 12, 13, 49, 50, 0}, "hrhr", 2, ""},
		{"at the end", fakeBrake{}, []int{50, 40}, "hr", 1, ""},
		{"no hold", fakeBrake{holdErr: broken}, []int{50, 60, 0, 50}, "hr", 0, "broken"},
		{"no release", fakeBrake{releaseErr: broken}, []int{50, 12, 11}, "hrrr", 1, "broken"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p pressure
			p.marks(64 << 10)
			p.use(&tc.brake)
			levels(&p, tc.levels...)
			p.end()
			levels(&p, 50, 0) // the end is for good
			var s audit.Summary
			p.report(&s)
			if tc.brake.done != tc.done || s.Holds != tc.holds || (s.Held > 0) != (tc.holds > 0 && tc.brake.releaseErr == nil) {
				t.Errorf("%s, %+v", tc.brake.done, s)
			}
			if tc.gap == "" && len(s.Gaps) > 0 || tc.gap != "" && (len(s.Gaps) != 1 || !strings.Contains(s.Gaps[0].Detail, tc.gap)) {
				t.Errorf("%+v", s.Gaps)
			}
		})
	}
}

// A watch that comes too late must not leave the run held with nobody to
// release it.
func TestPressureLook(t *testing.T) {
	var b fakeBrake
	var p pressure
	p.marks(64 << 10)
	p.use(&b)
	levels := []int{p.high, 0}
	p.look(func() int { n := levels[0]; levels = levels[1:]; return n }, p.at)
	if b.done != "hr" {
		t.Error(b.done)
	}
}

// Loss is a gap of the back-pressure only where there was some.
func TestPressureLoss(t *testing.T) {
	for _, with := range []bool{false, true} {
		var p pressure
		p.marks(64 << 10)
		if with {
			p.use(&fakeBrake{})
		}
		levels(&p, 100, 0)
		p.end()
		s := audit.Summary{Lost: map[string]uint64{"ring_full": 1}}
		p.report(&s)
		if len(s.Gaps) > 0 != with {
			t.Errorf("%v: %+v", with, s.Gaps)
		}
	}
}

// A process that could not be marked is one event, and what it did is more.
func TestMapFullIsAGap(t *testing.T) {
	c := counters{Emitted: [streams]uint64{1, 0}, MapFull: 1}
	s := totals{c}.summary(audit.NewDecoder(os.Getpagesize()))
	if s.Lost["map_full"] != 1 || s.Missing != 1 || len(s.Gaps) != 1 || s.Gaps[0].Kind != "map_full" || s.Gaps[0].Count != 1 {
		t.Errorf("%+v", s)
	}
}

// TestPriority: threads of this process are raised, those made later as well,
// and the one that forks the command is not.
func TestPriority(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := priority{allowed: true}
	p.raise()
	defer p.end()
	if !p.raised {
		if os.Getenv("CI") == "" && os.Geteuid() != 0 {
			t.Skip("no right to real-time scheduling")
		}
		t.Fatal("not raised")
	}
	if err := p.lowered(func() error {
		p.raise() // by the reader
		if policy := schedPolicy(0); policy != schedOther {
			t.Errorf("policy %d where the command is forked", policy)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	p.raise()
	p.relax() // too early
	started, quit := make(chan int), make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with us
		started <- schedPolicy(0)
		<-quit
	}()
	if policy := <-started; policy != schedFIFO {
		t.Errorf("policy %d of another thread", policy)
	}
	policies(t, schedFIFO)
	p.last = p.last.Add(-2 * calm)
	p.relax()
	policies(t, schedOther)
	p.raise()
	policies(t, schedFIFO)
	p.end()
	policies(t, schedOther)
	close(quit)
	p.raise() // the end is for good
	policies(t, schedOther)
}

func policies(t *testing.T, want int) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		if policy := schedPolicy(tid); policy != want && policy != -1 {
			t.Errorf("policy %d of thread %d, want %d", policy, tid, want)
		}
	}
}
