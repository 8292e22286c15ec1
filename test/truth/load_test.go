//go:build linux

package truth

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
	"glasshouse/ebpf"
	"glasshouse/receipt"
	"glasshouse/runner"
)

// fourMiB is half of the ring that a run gets.
func fourMiB(_ *runner.Spec, o *ebpf.Options) { o.RingSize = 4 << 20 }

// tiny is the least that a ring can be.
func tiny(_ *runner.Spec, o *ebpf.Options) { o.RingSize = os.Getpagesize() }

func noBackpressure(s *runner.Spec, _ *ebpf.Options) { s.NoBackpressure = true }

// first gives the recorder a CPU when it needs one, as it has in a command.
func first(_ *runner.Spec, o *ebpf.Options) { o.Priority = true }

// slow makes a recorder that is slower than any command: by a millisecond for
// eight events, and with -short, where the machine and so the command may be
// an emulated one, for each.
func slow(s *runner.Spec, _ *ebpf.Options) {
	n, every := 0, 8
	if testing.Short() {
		every = 1
	}
	s.Tap = func(audit.Event) {
		if n++; n%every == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func arg(args []string, i int) int {
	n, err := strconv.Atoi(args[i])
	check(err)
	return n
}

func init() {
	// opens FILES ROUNDS THREADS: each thread opens its share of the files.
	workloads["open-many"] = func(args []string) {
		files, rounds, threads := arg(args, 0), arg(args, 1), arg(args, 2)
		var wg sync.WaitGroup
		for thread := range threads {
			wg.Go(func() {
				runtime.LockOSThread()
				for range rounds {
					for i := thread; i < files; i += threads {
						fd, err := unix.Openat(unix.AT_FDCWD, fileName(i), unix.O_RDONLY, 0)
						check(err)
						check(unix.Close(fd))
					}
				}
			})
		}
		wg.Wait()
	}
	// bomb PROCESSES ATONCE: forks, and each child exits with a code that its
	// number tells, once ATONCE of them are there.
	workloads["bomb"] = func(args []string) {
		processes, atOnce := arg(args, 0), arg(args, 1)
		for begun := 0; begun < processes; begun += atOnce {
			var gate [2]int
			check(unix.Pipe2(gate[:], unix.O_CLOEXEC))
			for i := range atOnce {
				check(forkAndExit(gate, uintptr((begun+i)%8)))
			}
			check(unix.Close(gate[0]))
			check(unix.Close(gate[1])) // opens the gate
			for range atOnce {
				_, err := unix.Wait4(-1, nil, 0, nil)
				check(err)
			}
		}
	}
}

// forkAndExit makes a process that exits once the gate has no writer. It
// must not do anything that needs Go's runtime: only this thread is forked.
//
//go:norace
//go:nosplit
func forkAndExit(gate [2]int, code uintptr) error {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		unix.RawSyscall(unix.SYS_CLOSE, uintptr(gate[1]), 0, 0)
		unix.RawSyscall(unix.SYS_READ, uintptr(gate[0]), 0, 0)
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, code, 0, 0)
		}
	}
	return nil
}

func fileName(i int) string { return fmt.Sprintf("%02d/f%d", i%100, i) }

// size is that of a load: smaller with -short.
func size(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

func makeFiles(t *testing.T, n int) string {
	t.Helper()
	dir := tempDir(t)
	for i := range n {
		if i < 100 {
			if err := os.Mkdir(filepath.Join(dir, fmt.Sprintf("%02d", i)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		write(t, filepath.Join(dir, fileName(i)), "")
	}
	return dir
}

func opened(dir string, r recording) (files map[string]uint64, total uint64) {
	files = map[string]uint64{}
	for _, f := range r.Filesystem.Files {
		if rest, ok := strings.CutPrefix(f.Path, dir+"/"); ok {
			files[rest] += f.Opens
			total += f.Opens
		}
	}
	return files, total
}

// A million opens of 100,000 files by eight threads: each is in the receipt.
func TestLoadOpens(t *testing.T) {
	files, rounds, threads := size(100_000), 10, 8
	dir := makeFiles(t, files)
	r := record(t, workload("open-many", strconv.Itoa(files), strconv.Itoa(rounds), strconv.Itoa(threads)), in(dir), fourMiB, first)
	complete(t, r)
	counts, total := opened(dir, r)
	if len(counts) != files || total != uint64(files*rounds) {
		t.Errorf("%d opens of %d files", total, len(counts))
	}
	for name, n := range counts {
		if n != uint64(rounds) {
			t.Fatalf("%s was opened %d times", name, n)
		}
	}
	if e := r.Observation.Events; e.Emitted+e.Folded < total {
		t.Errorf("%d events", e.Emitted)
	}
	t.Logf("%+v, %+v, %d ms", r.Observation.Events, r.Observation.Backpressure, r.DurationMS)
}

// 20,000 short processes, and the same all alive at once: each is in the
// receipt, with its exit code.
func TestLoadForks(t *testing.T) {
	processes := size(20_000)
	for _, atOnce := range []int{100, processes} {
		t.Run(strconv.Itoa(atOnce), func(t *testing.T) {
			r := record(t, workload("bomb", strconv.Itoa(processes), strconv.Itoa(atOnce)), fourMiB, first)
			complete(t, r)
			codes := map[int]int{}
			for _, p := range r.ProcessTree {
				if p.ExitCode == nil {
					t.Fatalf("%+v", p)
				}
				codes[*p.ExitCode]++
			}
			codes[0]-- // the root
			for code := range 8 {
				if codes[code] != processes/8 {
					t.Errorf("%d processes exited with %d", codes[code], code)
				}
			}
			if len(r.ProcessTree) != processes+1 {
				t.Errorf("%d processes", len(r.ProcessTree))
			}
			t.Logf("%+v, %+v, %d ms", r.Observation.Events, r.Observation.Backpressure, r.DurationMS)
		})
	}
}

// A recorder that is slower than the command freezes it, and loses nothing.
func TestBackpressure(t *testing.T) {
	needEBPF(t)
	files := 20_000
	if testing.Short() {
		files = 10_000
	}
	dir := makeFiles(t, files)
	for _, ring := range []int{1 << 20, 512 << 10} {
		t.Run(strconv.Itoa(ring), func(t *testing.T) {
			of := func(_ *runner.Spec, o *ebpf.Options) { o.RingSize = ring }
			r := record(t, workload("open-many", strconv.Itoa(files), "1", "8"), in(dir), of, slow, first)
			needFreezer(t, r)
			complete(t, r)
			if counts, total := opened(dir, r); len(counts) != files || total != uint64(files) {
				t.Errorf("%d opens of %d files", total, len(counts))
			}
			b := r.Observation.Backpressure
			if b.Freezes == 0 || b.FrozenMS <= 0 || b.FrozenMS > r.DurationMS {
				t.Errorf("%+v of %d ms", b, r.DurationMS)
			}
			for _, g := range r.Observation.Gaps {
				if g.Kind == "backpressure" {
					t.Errorf("%+v", g)
				}
			}
			t.Logf("%+v, %+v, %d ms", r.Observation.Events, b, r.DurationMS)
		})
	}
}

// needFreezer skips where there is no cgroup to freeze, which is the typed
// reason of the gap, and for no other reason.
func needFreezer(t *testing.T, r recording) {
	t.Helper()
	for _, g := range r.Observation.Gaps {
		if g.Kind == "cgroup" && os.Getenv("CI") == "" {
			t.Skip(g.Detail)
		}
	}
}

// Without back-pressure a tiny ring loses events, and each is counted: the
// calls that were made are known, so is what is in the receipt, and the rest
// is the loss.
func TestLossIsExact(t *testing.T) {
	needEBPF(t)
	const files = 20_000
	dir := makeFiles(t, files)
	argv := workload("open-many", strconv.Itoa(files), "1", "8")
	whole := record(t, argv, in(dir))
	complete(t, whole)
	// What the workload does besides: loading, threads, its end.
	besides := whole.Observation.Events.Emitted - files

	r := record(t, argv, in(dir), tiny, noBackpressure, slow)
	o := r.Observation
	counts, total := opened(dir, r)
	lost := o.Events.Lost["ring_full"]
	if o.Complete || lost == 0 || len(o.Events.Lost) != 1 || o.Events.Emitted != o.Events.Received+lost {
		t.Fatalf("%+v", o)
	}
	if o.Reason == nil || !strings.Contains(*o.Reason, fmt.Sprintf("%d events were lost (ring_full %d)", lost, lost)) {
		t.Errorf("reason %q", deref(o.Reason))
	}
	if o.Backpressure != (receipt.Backpressure{}) {
		t.Errorf("%+v", o.Backpressure)
	}
	// A few of the besides may be folded or not, as what came before was lost.
	if missing := files - total; lost < missing || lost > missing+2*besides {
		t.Errorf("%d lost, but %d of %d opens are missing, and %d events besides", lost, missing, files, besides)
	}
	if uint64(len(counts)) != total || total == 0 {
		t.Errorf("%d opens of %d files", total, len(counts))
	}
	if n := r.Syscalls.Counts["openat"]; n != whole.Syscalls.Counts["openat"] {
		t.Errorf("%d calls of openat, %d with a larger ring", n, whole.Syscalls.Counts["openat"])
	}
}
