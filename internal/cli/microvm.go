package cli

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"glasshouse/backend/microvm"
	"glasshouse/backend/microvm/engine"
	"glasshouse/backend/microvm/qemu"
	"glasshouse/guest"
	"glasshouse/internal/agent"
	"glasshouse/receipt"
)

// guestCommand is what the kernel of a microVM starts.
func (a *app) guestCommand() *cobra.Command {
	return &cobra.Command{
		Use:    guest.Command,
		Short:  "Be the first process of a microVM",
		Hidden: true,
		Args:   noArgs,
		Run:    func(*cobra.Command, []string) { agent.Main(version()) },
	}
}

type manifest struct {
	Parts map[string]struct {
		File string `json:"file"`
	} `json:"parts"`
	RootFSType string `json:"rootfs_type"`
	Config     struct {
		Env        []string `json:"env"`
		WorkingDir string   `json:"working_dir"`
		User       string   `json:"user"`
	} `json:"config"`
}

func (f *runFlags) microVM(env settings) (*microvm.Backend, *manifest, error) {
	b, err := os.ReadFile(filepath.Join(f.image, "manifest.json"))
	if err != nil {
		return nil, nil, err
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, nil, err
	}
	state, err := stateDir()
	if err != nil {
		state = "" // the probe is repeated
	}
	part := func(name string) string { return filepath.Join(f.image, m.Parts[name].File) }
	return microvm.New(microvm.Config{
		Engine: qemu.New(qemu.Config{State: state}),
		Machine: engine.Machine{
			Kernel: part("kernel"), Initramfs: part("initramfs"), RootFS: part("rootfs"),
			CommandLine: "glasshouse.root=" + m.RootFSType + " -- " + guest.Command,
			MemoryMiB:   512, CPUs: 1,
		},
		User: f.user, Hostname: "glasshouse", Version: version(),
		Strict: f.strict, WaitTree: f.wait == "tree", KillSurvivors: f.killSurvivors,
		Observe: f.observe != observeNone, CaptureArgv: env.captureArgv, NoBrake: f.noPressure, RingSize: int(f.ringSize),
	}), &m, nil
}

// describe writes into a receipt what the host knows of a machine that ended.
func describe(rec *receipt.Receipt, b *microvm.Backend) {
	r := b.Report()
	rec.Environment.Sandbox.Network = "disabled"
	if r == nil {
		return
	}
	vm := &receipt.VM{
		Monitor: r.Engine.Path, MonitorVersion: r.Engine.Version, Accelerator: r.Engine.Accelerator,
		BootMS: r.Boot.Milliseconds(), BytesToGuest: r.Sent, BytesFromGuest: r.Received, Image: []receipt.Part{},
	}
	if r.End != "" {
		vm.MonitorError = &r.End
	}
	for _, p := range r.Image {
		vm.Image = append(vm.Image, receipt.Part{Name: p.Name, SHA256: p.SHA256, Bytes: p.Bytes})
	}
	rec.Execution.VM = vm
	rec.Execution.Guest = make([]receipt.Duty, 0, len(r.Duties))
	for _, d := range r.Duties {
		duty := receipt.Duty{Name: d.Name, Outcome: d.Outcome, Count: d.Count}
		if d.Error != "" {
			duty.Error = &d.Error
		}
		rec.Execution.Guest = append(rec.Execution.Guest, duty)
	}
}
