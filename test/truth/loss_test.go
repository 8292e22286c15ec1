//go:build linux

package truth

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"glasshouse/ebpf"
	"glasshouse/runner"
)

func init() {
	workloads["many"] = func([]string) {
		for i := range 20000 {
			touch(unix.AT_FDCWD, fmt.Sprint("f", i), unix.O_WRONLY|unix.O_CREAT)
		}
	}
}

// A ring that is far too small loses events. The receipt says so, and the
// books balance to the last one.
func TestLossIsCounted(t *testing.T) {
	needEBPF(t)
	dir := tempDir(t)
	r := record(t, workload("many"), in(dir), tiny, noBackpressure)
	o := r.Observation
	lost := uint64(0)
	for _, n := range o.Events.Lost {
		lost += n
	}
	if o.Complete || o.Reason == nil || lost == 0 || o.Events.Lost["ring_full"] != lost || o.Events.Emitted != o.Events.Received+lost {
		t.Errorf("%+v", o)
	}
	if len(r.Filesystem.Created) >= 20000 || o.Events.Emitted < 20000 {
		t.Errorf("%d created, %+v", len(r.Filesystem.Created), o.Events)
	}
}

// With the ring that a run gets, nothing is lost.
func TestNothingIsLost(t *testing.T) {
	dir := tempDir(t)
	r := record(t, workload("many"), in(dir))
	complete(t, r)
	if n := len(under(dir, r.Filesystem.Writes)); n != 20000 {
		t.Errorf("%d files written", n)
	}
}

// GLASSHOUSE_BPF_DIR: the object from a folder works like the embedded one,
// and one that is none says so.
func TestObjectDir(t *testing.T) {
	needEBPF(t)
	object := map[string]string{"amd64": "probes_x86_bpfel.o", "arm64": "probes_arm64_bpfel.o"}[runtime.GOARCH]
	content, err := os.ReadFile("../../ebpf/" + object)
	if err != nil {
		t.Fatal(err)
	}
	record(t, []string{"/bin/true"}) // skips where there are no probes anyway
	dir := tempDir(t)
	path := filepath.Join(dir, object)
	from := func(s *runner.Spec, o *ebpf.Options) {
		o.ObjectDir = dir
		s.Unavailable = nil
	}
	blind := func(want string) {
		t.Helper()
		r := record(t, []string{"/bin/true"}, from)
		if o := r.Observation; o.Mode != "none" || o.Complete || o.Reason == nil || !strings.Contains(*o.Reason, want) || r.Outcome.ExitCode != 0 {
			t.Errorf("exit code %d, mode %s, reason %q, want %q", r.Outcome.ExitCode, o.Mode, deref(o.Reason), want)
		}
	}
	blind("no object to load: stat " + path)
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	blind(path + " is not a file")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, "not an object")
	blind(path + " is not a BPF object")
	// The object for another machine.
	other := map[string]string{"amd64": "probes_arm64_bpfel.o", "arm64": "probes_x86_bpfel.o"}[runtime.GOARCH]
	foreign, err := os.ReadFile("../../ebpf/" + other)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(foreign))
	blind("the kernel refused the object of " + dir)
	write(t, path, string(content))
	complete(t, record(t, []string{"/bin/true"}, from))
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
