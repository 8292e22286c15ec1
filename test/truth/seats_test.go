//go:build linux

package truth

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"glasshouse/receipt"
)

// Of so many threads at a time some share the place at which a thread is found.
const crowd = 1000

func init() {
	workloads["crowd"] = func([]string) {
		var ready, done sync.WaitGroup
		gate := make(chan struct{})
		ready.Add(crowd)
		for i := range crowd {
			done.Go(func() {
				runtime.LockOSThread() // never unlocked: the thread ends with its function
				ready.Done()
				<-gate
				fd, err := unix.Open("file"+strconv.Itoa(i), unix.O_RDONLY|unix.O_CREAT, 0o600)
				check(err)
				unix.Close(fd)
				_, err = unix.Open(fmt.Sprintf("none%d", i), unix.O_RDONLY, 0)
				expect(err, unix.ENOENT)
				check(unix.Mkdir("dir"+strconv.Itoa(i), 0o700))
			})
		}
		ready.Wait()
		close(gate)
		done.Wait()
	}
}

func TestCrowd(t *testing.T) {
	dir := tempDir(t)
	r := record(t, workload("crowd"), in(dir))
	complete(t, r)
	failed := make(map[string]uint64)
	for _, f := range r.Filesystem.Failed {
		failed[f.Op+" "+f.Path] += f.Count
	}
	created := make(map[string]string)
	for _, c := range r.Filesystem.Created {
		created[c.Path] = c.Kind
	}
	for i := range crowd {
		if f := file(t, r, filepath.Join(dir, "file"+strconv.Itoa(i))); f.Opens != 1 {
			t.Errorf("%s: %d opens", f.Path, f.Opens)
		}
		if n := failed["open "+filepath.Join(dir, "none"+strconv.Itoa(i))]; n != 1 {
			t.Errorf("none%d: %d failures", i, n)
		}
		if kind := created[filepath.Join(dir, "dir"+strconv.Itoa(i))]; kind != "dir" {
			t.Errorf("dir%d: created %q", i, kind)
		}
	}
	if n := r.Syscalls.Counts["mkdirat"] + r.Syscalls.Counts["mkdir"]; n != crowd {
		t.Errorf("%d folders were made", n)
	}
	for _, g := range r.Observation.Gaps {
		if g.Kind == receipt.GapAnswered || g.Kind == receipt.GapMapFull {
			t.Errorf("gap %s: %s (%d)", g.Kind, g.Detail, g.Count)
		}
	}
}

func init() {
	workloads["ends-among-threads"] = func([]string) {
		for range 100 {
			check(exec.Command(workload("end-among-threads")[0], workload("end-among-threads")[1:]...).Run())
		}
	}
	workloads["end-among-threads"] = func([]string) {
		var ready sync.WaitGroup
		for range 8 {
			ready.Add(1)
			go func() {
				runtime.LockOSThread()
				ready.Done()
				for {
					unix.Getpgid(0)
				}
			}()
		}
		ready.Wait()
	}
}

// A thread that is not recorded may get the kernel stack of one that was.
func TestStacksChangeHands(t *testing.T) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			var threads sync.WaitGroup
			for range 16 {
				threads.Go(func() {
					runtime.LockOSThread()
					var info unix.Sysinfo_t
					for range 10 {
						unix.Sysinfo(&info)
					}
				})
			}
			threads.Wait()
		}
	}()
	r := record(t, workload("ends-among-threads"))
	close(stop)
	<-done
	complete(t, r)
	if n := r.Syscalls.Counts["sysinfo"]; n != 0 {
		t.Errorf("%d calls of threads that are not of the run", n)
	}
}
