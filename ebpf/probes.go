//go:build linux && (amd64 || arm64)

package ebpf

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

// probes are the loaded programs and maps, and their attachments.
type probes struct {
	probesMaps
	probesVariables
	programs map[string]*ebpf.Program
	loaded   *ebpf.Collection // closes the maps
	links    []link.Link      // held: a link that is collected detaches
	hooks    []audit.Hook
}

// HaveRingBuf tells if the kernel has ring buffers, by making one.
func HaveRingBuf() error {
	return raisingMemlock(func() error { return features.HaveMapType(ebpf.RingBuf) })
}

func load(opts Options) (p *probes, err error) {
	err = raisingMemlock(func() (err error) {
		p, err = loadObject(opts)
		return err
	})
	var refused *ebpf.VerifierError
	var unavailable *audit.UnavailableError
	switch {
	case opts.ObjectDir != "" && errors.As(err, &refused):
		err = &audit.UnavailableError{
			Reason: "the kernel refused the object of " + opts.ObjectDir, Hint: objectHint, Err: err,
		}
	case err != nil && !errors.As(err, &unavailable):
		err = fmt.Errorf("load probes: %w", err)
	}
	return p, err
}

// hookName is the section of the object that a program stands in: they have
// the names of their tracepoints.
func hookName(program string, kind ebpf.ProgramType) string {
	if kind == ebpf.RawTracepoint {
		return "raw_tp/" + program
	}
	return "tp_btf/" + program
}

const objectHint = "build it with scripts/build-ebpf.sh, or unset GLASSHOUSE_BPF_DIR"

// loadSpec reads the object: the embedded one, or the one in dir.
func loadSpec(dir string) (*ebpf.CollectionSpec, error) {
	if dir == "" {
		return loadProbes()
	}
	name := filepath.Join(dir, objectName())
	if info, err := os.Stat(name); err != nil {
		return nil, &audit.UnavailableError{Reason: "no object to load", Hint: objectHint, Err: err}
	} else if !info.Mode().IsRegular() {
		return nil, &audit.UnavailableError{Reason: "no object to load", Hint: objectHint, Err: fmt.Errorf("%s is not a file", name)}
	}
	spec, err := ebpf.LoadCollectionSpec(name)
	if err != nil {
		return nil, &audit.UnavailableError{Reason: name + " is not a BPF object", Hint: objectHint, Err: err}
	}
	if err := checkObject(spec); err != nil {
		return nil, &audit.UnavailableError{Reason: name + " is not an object of this glasshouse", Hint: objectHint, Err: err}
	}
	return spec, nil
}

func objectName() string {
	if runtime.GOARCH == "arm64" {
		return "probes_arm64_bpfel.o"
	}
	return "probes_x86_bpfel.o"
}

// configure sets what must be known before the programs are verified.
func configure(spec *ebpf.CollectionSpec, opts Options) error {
	ring := opts.RingSize
	if ring == 0 {
		ring = defaultRingSize
	}
	if ring < os.Getpagesize() || ring&(ring-1) != 0 {
		return fmt.Errorf("ring size %d: not a power of two of at least a page", ring)
	}
	spec.Maps[probesMapRing].MaxEntries = uint32(ring)

	pidns, err := namespace("pid")
	if err != nil {
		return err
	}
	mntns, err := namespace("mnt")
	if err != nil {
		return err
	}
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return err
	}
	argv := uint32(0)
	if opts.CaptureArgv {
		argv = 1
	}
	for name, value := range map[string]any{
		probesVarCaptureArgv: argv,
		probesVarPidnsInum:   pidns,
		probesVarMntnsInum:   mntns,
		probesVarWakeupBytes: uint64(wakeMark(ring)),
		probesVarHashSeed:    binary.LittleEndian.Uint64(seed[:]) | 1,
		probesVarCalls:       callRows(),
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// namespace is the number of the recorder's namespace of that kind.
func namespace(kind string) (uint32, error) {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/"+kind, &ns); err != nil {
		return 0, &audit.UnavailableError{
			Reason: "the recorder's " + kind + " namespace cannot be read", Hint: "mount /proc", Err: err,
		}
	}
	return uint32(ns.Ino), nil
}

// hook is a program that is attached to the tracepoint of its name. Without an
// optional one the recording is incomplete, and says so; without another there is none.
type hook struct {
	program  string
	prog     *ebpf.Program
	optional bool
}

// order lists the programs in the order in which they are attached: no mark is
// made before its end would be seen.
func (p *probes) order() []hook {
	var hooks []hook
	add := func(optional bool, names ...string) {
		for _, name := range names {
			if prog := p.programs[name]; prog != nil {
				hooks = append(hooks, hook{name, prog, optional})
			}
		}
	}
	add(false, probesProgSchedProcessExit)
	add(true, probesProgInetSockSetState)
	add(true, uringHooks...)
	add(false, probesProgSysExit, probesProgSysEnter, probesProgSchedProcessExec, probesProgTaskNewtask)
	return hooks
}

// attach attaches all programs. It notes each in p.hooks and returns the
// first error of one that is not optional.
func (p *probes) attach() error {
	var first error
	for _, h := range p.order() {
		noted := audit.Hook{Name: hookName(h.program, h.prog.Type())}
		l, err := h.attach()
		if err != nil {
			noted.Err = err.Error()
			if first == nil && !h.optional {
				first = fmt.Errorf("attach %s: %w", noted.Name, err)
			}
		} else {
			noted.Attached = true
			p.links = append(p.links, l)
		}
		p.hooks = append(p.hooks, noted)
	}
	return first
}

func (h hook) attach() (link.Link, error) {
	if h.prog.Type() == ebpf.RawTracepoint {
		return link.AttachRawTracepoint(link.RawTracepointOptions{Name: h.program, Program: h.prog})
	}
	return link.AttachTracing(link.TracingOptions{Program: h.prog, AttachType: ebpf.AttachTraceRawTp})
}

func (p *probes) detach() error {
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.Close())
	}
	p.links = nil
	return errors.Join(errs...)
}

func (p *probes) close() {
	_ = p.detach()
	_ = p.probesMaps.Close()
	for _, prog := range p.programs {
		_ = prog.Close()
	}
	p.loaded.Close()
}

// raisingMemlock calls load, and again with RLIMIT_MEMLOCK out of the way if
// that is what failed it: before Linux 5.11 maps count against it. The limit
// is put back, for the command inherits it.
func raisingMemlock(load func() error) error {
	err := load()
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	var old unix.Rlimit
	all := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &all, &old) != nil {
		return err
	}
	err = load()
	if putBack := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &old, nil); putBack != nil {
		err = errors.Join(err, fmt.Errorf("put back the memlock limit: %w", putBack))
	}
	return err
}
