//go:build linux

package truth

import (
	"fmt"
	"os"
	"path/filepath"
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
	dir := tempDir(t)
	r := record(t, workload("many"), in(dir), func(_ *runner.Spec, o *ebpf.Options) { o.RingSize = os.Getpagesize() })
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
	object := "probes_x86_bpfel.o"
	if _, err := os.Stat("../../ebpf/" + object); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("../../ebpf/" + object)
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	from := func(_ *runner.Spec, o *ebpf.Options) { o.ObjectDir = dir }
	blind := func(want string) {
		t.Helper()
		r := record(t, []string{"/bin/true"}, from, func(s *runner.Spec, _ *ebpf.Options) { s.Unavailable = nil })
		_ = want
		if r.Observation.Mode != "none" || r.Observation.Reason == nil {
			t.Errorf("observation %+v", r.Observation)
		}
	}
	blind("no object")
	write(t, filepath.Join(dir, object), "not an object")
	blind("not a BPF object")
	write(t, filepath.Join(dir, object), string(content))
	r := record(t, []string{"/bin/true"}, from)
	complete(t, r)
}
