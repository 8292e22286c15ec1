package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is one run of a command.
type sample struct {
	took time.Duration
	peak int // KiB of memory of the first process: the recorder's, if there is one
}

// measure runs a command whose output goes through a pipe to nowhere.
func measure(argv []string) (s sample, err error) {
	var stderr bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout = onlyWriter{io.Discard} // else its descriptor would be /dev/null's
	cmd.Stderr = &stderr
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return s, err
	}
	peak := watch(cmd.Process.Pid)
	err = cmd.Wait()
	s.took = time.Since(begin)
	s.peak = peak()
	if err != nil {
		return s, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(stderr.String()))
	}
	return s, nil
}

type onlyWriter struct{ io.Writer }

// watch looks from time to time how much memory a process has had at most. The
// kernel's own sum for a dead one takes its children along.
func watch(pid int) (peak func() int) {
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		last := 0
		for {
			if kib := highWater(pid); kib > 0 {
				last = kib
			}
			select {
			case <-stop:
				done <- last
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int { close(stop); return <-done }
}

// highWater is VmHWM of proc_pid_status(5).
func highWater(pid int) int {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "\nVmHWM:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.Atoi(fields[0])
	return kib
}

// recorded is a command under glasshouse.
func (b *bench) recorded(argv []string) []string {
	return append([]string{b.glasshouse, "run", "-q", "--observe", b.observe, "-o", filepath.Join(b.dir, "receipt.json"), "--"}, argv...)
}

// traced is a command under strace.
func (b *bench) traced(argv []string) []string {
	return append([]string{b.strace, "-f", "-o", filepath.Join(b.dir, "trace"), "--"}, argv...)
}

func median[T int | float64 | time.Duration](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

func seconds(d time.Duration) float64 { return d.Round(10 * time.Microsecond).Seconds() }
