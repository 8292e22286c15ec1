//go:build linux

package recorded

import (
	cmp_ "cmp"
	"os"
	"testing"

	"glasshouse/backend/microvm"
	"glasshouse/backend/microvm/engine"
	"glasshouse/backend/microvm/image"
	"glasshouse/backend/microvm/qemu"
	"glasshouse/ebpf"
	"glasshouse/receipt"
	"glasshouse/runner"
)

// Backend is what runs the workloads: process, or what GLASSHOUSE_TEST_BACKEND
// says. With qemu each gets a machine of its own, which boots from the image that
// GLASSHOUSE_TEST_IMAGE names.
var Backend = cmp_.Or(os.Getenv("GLASSHOUSE_TEST_BACKEND"), "process")

// Folder is what a machine gets of this one: a folder, at the same path.
var Folder string

// inMachine has a run take place in a virtual machine. What it returns adds to
// the receipt what the recorder inside has told.
func inMachine(t *testing.T, spec *runner.Spec, probes ebpf.Options) (told func(*receipt.Receipt)) {
	t.Helper()
	img, err := image.Open(os.Getenv("GLASSHOUSE_TEST_IMAGE"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = img.Close() })
	const memory = 512
	b := microvm.New(microvm.Config{
		Engine: qemu.New(qemu.Config{State: Folder}),
		Machine: engine.Machine{
			Kernel: img.Path(img.Parts.Kernel), Initramfs: img.Path(img.Parts.Initramfs), RootFS: img.Path(img.Parts.RootFS),
			CommandLine: "glasshouse.root=" + img.RootFSType + " -- guest", MemoryMiB: memory, CPUs: 1,
		},
		Workspace: microvm.Workspace{Dir: Folder, Guest: Folder, Keep: discard{}, Limit: memory << 20},
		Hostname:  "glasshouse", Version: "test",
		WaitTree: spec.WaitTree, KillSurvivors: spec.KillSurvivors,
		Observe: true, CaptureArgv: probes.CaptureArgv, RingSize: probes.RingSize,
	})
	spec.Backend, spec.Collector, spec.Provenance = b, b.Collector(), "guest"
	spec.WaitTree, spec.KillSurvivors = false, false // the recorder inside does both
	return func(rec *receipt.Receipt) {
		if r := b.Report(); r != nil {
			for _, g := range r.Gaps {
				rec.Observation.AddGap(receipt.Gap(g))
			}
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
