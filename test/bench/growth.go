package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// size is what a run with that many events took.
type size struct {
	Events  int     `json:"events"`
	What    string  `json:"what"`
	Seconds float64 `json:"glasshouse_s"`
	Bare    float64 `json:"bare_s"`
	PerUs   float64 `json:"us_per_event"` // more than bare
	PeakKiB int     `json:"peak_kib"`
	Receipt int64   `json:"receipt_bytes"`
}

// growth opens more and more different files, and one file more and more often.
func (b *bench) growth() (sizes []size, err error) {
	fmt.Printf("%-16s %9s %9s %11s %12s %9s %11s\n", "work", "events", "bare", "glasshouse", "us/event", "peak", "receipt")
	for _, what := range []string{"files", "opens"} {
		for n := 1000; n <= 1_000_000; n *= 10 {
			s, err := b.grown(what, n)
			if err != nil {
				return sizes, err
			}
			sizes = append(sizes, s)
			fmt.Printf("%-16s %9d %7.3f s %9.3f s %12.2f %5d MiB %7.1f MiB\n",
				s.What, s.Events, s.Bare, s.Seconds, s.PerUs, s.PeakKiB>>10, float64(s.Receipt)/(1<<20))
		}
	}
	return sizes, nil
}

func (b *bench) grown(what string, n int) (s size, err error) {
	s = size{Events: n, What: what}
	arg := b.work
	if what == "files" {
		arg = filepath.Join(b.dir, "grown")
		if err := os.MkdirAll(arg, 0o755); err != nil {
			return s, err
		}
		if err := quiet(exec.Command(b.work, "make", strconv.Itoa(n), arg)); err != nil {
			return s, err
		}
	}
	argv := []string{b.work, what, strconv.Itoa(n), arg}
	var bare, recorded []time.Duration
	for range b.rounds {
		x, err := measure(argv)
		if err != nil {
			return s, err
		}
		y, err := measure(b.recorded(argv))
		if err != nil {
			return s, err
		}
		bare, recorded = append(bare, x.took), append(recorded, y.took)
		s.PeakKiB = max(s.PeakKiB, y.peak)
	}
	s.Bare, s.Seconds = seconds(median(bare)), seconds(median(recorded))
	s.PerUs = (s.Seconds - s.Bare) * 1e6 / float64(n)
	info, err := os.Stat(filepath.Join(b.dir, "receipt.json"))
	if err == nil {
		s.Receipt = info.Size()
	}
	return s, err
}

// await waits for a file, and takes it away.
func await(name string) error {
	for range 1000 {
		if os.Remove(name) == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("the recorded command did not begin within 10 s")
}
