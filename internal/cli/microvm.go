package cli

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"glasshouse/audit"
	"glasshouse/backend/microvm"
	"glasshouse/backend/microvm/engine"
	"glasshouse/backend/microvm/firecracker"
	"glasshouse/backend/microvm/image"
	"glasshouse/backend/microvm/proxy"
	"glasshouse/backend/microvm/qemu"
	"glasshouse/guest"
	"glasshouse/internal/agent"
	"glasshouse/receipt"
	"glasshouse/runner"
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

// vmFlags are those that only a virtual machine has a use for.
type vmFlags struct {
	image     string
	memory    byteSize
	cpus      int
	workspace string
	apply     bool
	virtiofs  bool
	net       string
	allow     []string
	boot      duration
}

func (f *vmFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.image, "image", "", "boot from the image in `DIR` (default: that of the state folder, where glasshouse image build puts it)")
	flags.Var(&f.memory, "memory", "the machine's memory: `SIZE`, such as 2G (default 512M)")
	flags.IntVar(&f.cpus, "cpus", 1, "the machine's processors: `N`")
	f.boot = duration(2 * time.Minute)
	flags.Var(&f.boot, "boot-timeout", "give up a machine whose recorder has not called after this `DURATION`")
	flags.StringVar(&f.workspace, "workspace", "", "send `DIR` into the machine, as /workspace, and bring back what became of it")
	flags.BoolVar(&f.virtiofs, "virtiofs", false, "share the workspace with the machine instead of sending it in: as root, with QEMU and virtiofsd")
	flags.BoolVar(&f.apply, "apply", false, "change the workspace as the command did, if it exits with 0")
	flags.StringVar(&f.net, "net", netNone, "the machine's way out: none, or a proxy to what --net-allow names: `none|proxy`")
	flags.StringArrayVar(&f.allow, "net-allow", nil, "let the proxy reach `HOST[:PORT]`: a name, *.NAME, an address or a network; ports 80 and 443 without PORT; can be repeated")
}

// names are those of the flags.
func (*vmFlags) names() []string {
	return []string{"image", "memory", "cpus", "boot-timeout", "workspace", "virtiofs", "apply", "net", "net-allow"}
}

// The values of --net.
const (
	netNone  = "none"
	netProxy = "proxy"
)

const (
	defaultMemory = 512 << 20
	leastMemory   = 128 << 20
	// workspaceLimit bounds what comes back of a workspace.
	workspaceLimit = 4 << 30
	guestWorkspace = "/workspace"
)

// machine is a run's virtual machine, and what is made ready for it.
type machine struct {
	*microvm.Backend
	image *image.Image
	flags *vmFlags
	// folder is the workspace, as a path that means the same elsewhere; kept is what
	// came back of it, nil if none is sent.
	folder string
	kept   *changes
	old    string // where an earlier run's may lie, if nothing is kept of this one's
}

// inMachine has the run take place in a virtual machine.
func (a *app) inMachine(cmd *cobra.Command, f *runFlags, env settings, spec *runner.Spec) (err error) {
	m := &machine{flags: &f.vm}
	defer func() {
		if err != nil {
			m.discard()
		}
	}()
	way, err := a.proxy(cmd, f)
	if err != nil {
		return err
	}
	dir := f.vm.image
	if dir == "" {
		if dir, err = imageDir(); err != nil {
			return err
		}
	}
	if m.image, err = image.Open(dir); err != nil {
		return err
	}
	if !f.quiet {
		fmt.Fprint(a.stderr, otherBuild(m.image, image.OwnBuildID()))
	}
	memory := int64(f.vm.memory)
	switch {
	case memory == 0:
		memory = defaultMemory
	case memory < leastMemory:
		return usageError(cmd, errors.New("--memory: less than 128M boots no machine"))
	}
	if f.vm.cpus < 1 || f.vm.cpus > 64 {
		return usageError(cmd, fmt.Errorf("--cpus %d: it must be 1 to 64", f.vm.cpus))
	}
	if f.vm.boot <= 0 {
		return usageError(cmd, fmt.Errorf("--boot-timeout %s: it must be longer than nothing", time.Duration(f.vm.boot)))
	}
	w, err := m.workspace(cmd, f)
	if err != nil {
		return err
	}
	state, err := stateDir()
	if err != nil {
		state = "" // what the probe of KVM finds is not kept
	}
	boot, sums, err := m.files(f)
	if err != nil {
		return err
	}
	var vmm engine.Engine = qemu.New(qemu.Config{State: state})
	if f.backend == "firecracker" {
		vmm = firecracker.Engine{}
	}
	boot.CommandLine = "glasshouse.root=" + m.image.RootFSType + " -- " + guest.Command
	boot.MemoryMiB, boot.CPUs = int(memory>>20), f.vm.cpus
	if w.Share {
		boot.Share = w.Dir
	}
	m.Backend = microvm.New(microvm.Config{
		Engine:    vmm,
		Machine:   boot,
		Sums:      sums,
		Workspace: w, Proxy: way, BootLimit: time.Duration(f.vm.boot),
		User: cmp.Or(f.user, m.image.Config.User), Hostname: "glasshouse", Version: version(),
		Strict: f.strict, WaitTree: f.wait == "tree", KillSurvivors: f.killSurvivors,
		Observe: f.observe != observeNone, CaptureArgv: env.captureArgv, NoBrake: f.noPressure, RingSize: int(f.ringSize),
	})
	spec.Backend, spec.Provenance = m, "guest"
	// The recorder inside does these.
	spec.Strict, spec.WaitTree, spec.KillSurvivors = false, false, false
	spec.Dir = cmp.Or(f.chdir, w.Guest, m.image.Config.WorkingDir)
	spec.Env = overlay(nil, m.image.Config.Env)
	if f.envFile != "" {
		vars, err := readEnvFile(f.envFile)
		if err != nil {
			return err
		}
		spec.Env = overlay(spec.Env, vars)
	}
	return nil
}

// otherBuild is a line which says that another glasshouse than this one records in
// the image's machines, though they speak the same; "" if it is this one.
func otherBuild(m *image.Image, build string) string {
	if m.OfThisBuild(version(), build) {
		return ""
	}
	return fmt.Sprintf("glasshouse: another build of glasshouse than this one records in image %s%s\n",
		printable(m.Dir), inline("glasshouse image build makes it anew"))
}

// proxy is what --net asks for; nil is no network.
func (a *app) proxy(cmd *cobra.Command, f *runFlags) (*proxy.Proxy, error) {
	switch f.vm.net {
	case netProxy:
	case netNone:
		if len(f.vm.allow) > 0 {
			return nil, usageError(cmd, errors.New("--net-allow needs --net proxy"))
		}
		return nil, nil
	default:
		return nil, usageError(cmd, fmt.Errorf("--net %s: it must be none or proxy", printable(f.vm.net)))
	}
	var rules proxy.Rules
	for _, s := range f.vm.allow {
		r, err := proxy.ParseRule(s)
		if err != nil {
			return nil, usageError(cmd, fmt.Errorf("--net-allow %w", err))
		}
		rules = append(rules, r...)
	}
	if len(rules) == 0 {
		fmt.Fprintln(a.stderr, "glasshouse: --net proxy without --net-allow refuses everything; what is asked for will be in the receipt")
	}
	return proxy.New(rules), nil
}

// files are those that the machine boots from, and the SHA-256 that they were
// built with; one that the command line names has none.
func (m *machine) files(f *runFlags) (engine.Machine, map[string]string, error) {
	parts := m.image.Parts
	kernel := parts.Kernel
	if f.backend == "firecracker" {
		if kernel = parts.KernelELF; kernel == nil {
			return engine.Machine{}, nil, &hinted{
				fmt.Errorf("image %s has no kernel that Firecracker can boot", m.image.Dir), "glasshouse image build --kernel with another kernel, or --backend qemu",
			}
		}
	} else if elf := parts.KernelELF; elf != nil && qemu.BootsELF(m.image.Path(elf)) {
		kernel = elf
	}
	sums := map[string]string{}
	pick := func(name, given string, p *image.Part) string {
		if given != "" {
			return given
		}
		sums[name] = p.SHA256
		return m.image.Path(p)
	}
	return engine.Machine{
		Kernel: pick("kernel", f.kernel, kernel), Initramfs: pick("initramfs", "", parts.Initramfs), RootFS: pick("rootfs", f.rootfs, parts.RootFS),
	}, sums, nil
}

// discard forgets what came back, and lets the image go.
func (m *machine) discard() {
	if m.kept != nil {
		m.kept.discard()
		m.kept = nil
	}
	if m.image != nil {
		_ = m.image.Close()
		m.image = nil
	}
}

// describe writes into a receipt what the host knows of a machine that ended. It
// comes before secrets are taken out: a command can ask the proxy for a host whose
// name has one.
func (m *machine) describe(rec *receipt.Receipt) {
	rec.Environment.Sandbox.Network = "disabled"
	r := m.Report()
	if r == nil {
		return
	}
	vm := &receipt.VM{
		Monitor: receipt.Text(r.Engine.Path), MonitorVersion: receipt.Text(r.Engine.Version), Accelerator: r.Engine.Accelerator,
		BootMS: r.Boot.Milliseconds(), BytesToGuest: r.Sent, BytesFromGuest: r.Received, Image: []receipt.Part{},
	}
	if r.End != "" {
		vm.MonitorError = &r.End
	}
	for _, p := range r.Image {
		vm.Image = append(vm.Image, receipt.Part{Name: p.Name, SHA256: p.SHA256, Bytes: p.Bytes})
	}
	if m.kept != nil {
		vm.Workspace = m.became(r.Workspace)
	}
	rec.Execution.VM = vm
	for _, g := range r.Gaps {
		rec.Observation.AddGap(receipt.Gap(g))
	}
	rec.Execution.Guest = make([]receipt.Duty, 0, len(r.Duties))
	for _, d := range r.Duties {
		duty := receipt.Duty{Name: d.Name, Outcome: d.Outcome, Count: d.Count}
		if d.Error != "" {
			duty.Error = &d.Error
		}
		rec.Execution.Guest = append(rec.Execution.Guest, duty)
	}
	if r.Proxy != nil {
		rec.Environment.Sandbox.Network = "enabled"
		tellProxy(rec, r.Proxy)
	}
}

// tellProxy writes down what was asked of the proxy: each request among what the
// host knows, and what came of it among the attempts.
func tellProxy(rec *receipt.Receipt, r *proxy.Report) {
	p := &receipt.Proxy{Allow: r.Allow, Requests: make([]receipt.ProxyRequest, 0, len(r.Requests)), Omitted: r.Omitted}
	for _, q := range r.Requests {
		out := receipt.ProxyRequest{
			At: receipt.At(q.At), Kind: q.Kind, Host: q.Host, Port: int(q.Port), Result: q.Result,
			BytesSent: q.Sent, BytesReceived: q.Received, DurationMS: q.Took.Milliseconds(),
		}
		if q.Address.IsValid() {
			address := q.Address.String()
			out.Address = &address
		}
		if q.Reason != "" {
			out.Reason = &q.Reason
		}
		p.Requests = append(p.Requests, out)
	}
	rec.Execution.VM.Proxy = p
	for _, a := range r.Attempts {
		out := receipt.Attempt{Dst: a.Dst, Protocol: "tcp", Result: a.Result, Policy: "allowed", Count: a.Count, Source: receipt.SourceProxy}
		if a.Result == "denied" {
			out.Policy = "denied"
		}
		if a.Host != "" {
			out.Host = &a.Host
		}
		rec.Network.Attempts = append(rec.Network.Attempts, out)
	}
	gap := func(n uint64, detail string) {
		if n > 0 {
			rec.Observation.Gaps = append(rec.Observation.Gaps, receipt.Gap{Kind: receipt.GapProxy, Detail: detail, Count: n})
		}
	}
	gap(r.Omitted, "requests to the proxy beyond those that are listed one by one: what came of them is in network.attempts")
	gap(r.Untold, "requests to the proxy that had too many different ends: they are in no list")
}

// collectors are those that the run may watch with.
func (m *machine) collectors(f *runFlags) []audit.Collector {
	if f.observe == observeNone {
		return nil
	}
	return []audit.Collector{m.Collector()}
}
