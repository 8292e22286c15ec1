package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// row is what came of a workload. Times in seconds, medians.
type row struct {
	Name     string  `json:"name"`
	What     string  `json:"what"`
	Rounds   int     `json:"rounds"`
	Bare     float64 `json:"bare_s"`
	Recorded float64 `json:"glasshouse_s"`
	Ratio    float64 `json:"ratio"`           // of the medians
	Paired   float64 `json:"ratio_paired"`    // median of the ratios of each round
	Limit    float64 `json:"limit,omitempty"` // of the ratio, or of the seconds of "start"
	PeakKiB  int     `json:"peak_kib"`        // of the recorder, the highest seen
	Strace   float64 `json:"ratio_strace,omitempty"`
}

const bystander = "bystander"

// compare runs the workloads and prints a table.
func (b *bench) compare(only string) (rows []row, err error) {
	run, err := selected(only)
	if err != nil {
		return nil, err
	}
	fmt.Printf("%-40s %7s %9s %11s %6s %7s %6s %8s %7s\n",
		"work", "rounds", "bare", "glasshouse", "ratio", "paired", "limit", "peak", "strace")
	for _, w := range run {
		r, err := b.one(w)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", w.name, err)
		}
		rows = append(rows, r)
		r.print()
	}
	if only == "" || strings.Contains(","+only+",", ","+bystander+",") {
		r, err := b.bystander()
		if err != nil {
			return rows, fmt.Errorf("%s: %w", bystander, err)
		}
		rows = append(rows, r)
		r.print()
	}
	return rows, nil
}

func (r row) print() {
	limit, strace := "", ""
	if r.Limit > 0 {
		limit = strconv.FormatFloat(r.Limit, 'g', 4, 64)
	}
	if r.Strace > 0 {
		strace = strconv.FormatFloat(r.Strace, 'f', 2, 64)
	}
	unit := "s"
	bare, recorded := r.Bare, r.Recorded
	if r.Name == bystander {
		unit, bare, recorded = "ns", bare*1e9, recorded*1e9
	}
	fmt.Printf("%-40s %7d %7.3f %-2s %8.3f %-2s %6.2f %7.2f %6s %4d MiB %6s\n",
		r.What, r.Rounds, bare, unit, recorded, unit, r.Ratio, r.Paired, limit, r.PeakKiB>>10, strace)
}

// one measures a workload: bare and recorded in turn.
func (b *bench) one(w workload) (r row, err error) {
	r = row{Name: w.name, What: w.what, Limit: w.limit, Rounds: b.rounds}
	if w.rounds > 0 && (w.rounds < r.Rounds || w.name == "start") {
		r.Rounds = w.rounds
	}
	argv := w.argv(b, 1)
	var bare, recorded []time.Duration
	var ratios []float64
	for range r.Rounds {
		x, err := b.sample(w, argv)
		if err != nil {
			return r, err
		}
		y, err := b.sample(w, b.recorded(argv))
		if err != nil {
			return r, err
		}
		bare, recorded = append(bare, x.took), append(recorded, y.took)
		ratios = append(ratios, y.took.Seconds()/x.took.Seconds())
		r.PeakKiB = max(r.PeakKiB, y.peak)
	}
	r.Bare, r.Recorded = seconds(median(bare)), seconds(median(recorded))
	r.Ratio, r.Paired = r.Recorded/r.Bare, median(ratios)
	if b.strace == "" {
		return r, nil
	}
	argv = w.argv(b, w.part)
	x, err := b.sample(w, argv)
	if err != nil {
		return r, err
	}
	y, err := b.sample(w, b.traced(argv))
	r.Strace = y.took.Seconds() / x.took.Seconds()
	return r, err
}

func (b *bench) sample(w workload, argv []string) (sample, error) {
	if w.prepare != nil {
		if err := w.prepare(b); err != nil {
			return sample{}, err
		}
	}
	return measure(argv)
}

// bystander measures the fastest system call of a process that is not recorded,
// without a run and while one goes on.
func (b *bench) bystander() (r row, err error) {
	r = row{Name: bystander, What: "getppid of another process", Limit: 1.9, Rounds: b.rounds}
	var alone, beside []float64
	var ratios []float64
	for range r.Rounds {
		x, err := b.latency()
		if err != nil {
			return r, err
		}
		y, err := b.whileRecording(b.latency)
		if err != nil {
			return r, err
		}
		alone, beside, ratios = append(alone, x), append(beside, y), append(ratios, y/x)
	}
	r.Bare, r.Recorded, r.Paired = median(alone)/1e9, median(beside)/1e9, median(ratios)
	r.Ratio = r.Recorded / r.Bare
	return r, nil
}

// latency is the time of a getppid in ns.
func (b *bench) latency() (float64, error) {
	out, err := exec.Command(b.work, "latency", "3000000").Output()
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}

// whileRecording calls f while a run waits for nothing.
func (b *bench) whileRecording(f func() (float64, error)) (v float64, err error) {
	started := filepath.Join(b.dir, "started")
	argv := b.recorded([]string{"sh", "-c", "echo > " + started + "; exec cat"})
	cmd := exec.Command(argv[0], argv[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	if err = await(started); err == nil {
		v, err = f()
	}
	_ = in.Close() // cat ends
	if waitErr := cmd.Wait(); err == nil {
		err = waitErr
	}
	return v, err
}
