//go:build linux && (amd64 || arm64)

package ebpf

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

// load loads what loadObject does, and says what is wrong with an object that is
// not the embedded one.
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

// loadObject loads what of the object in dir, or of the embedded one, this
// kernel can run. A kernel whose io_uring is built otherwise than the programs
// expect refuses these, and gets the others.
//
// The kernel's own types take as long to read as the object and the greater
// maps to make, and the programs need both.
func loadObject(opts Options) (p *probes, err error) {
	var (
		types  = btf.NewCache()
		fits   kernelFit
		spec   *ebpf.CollectionSpec
		tables map[string]*ebpf.Map
		group  errgroup.Group
	)
	group.Go(func() error {
		kernel, err := types.Kernel()
		if err == nil {
			fits = fitKernel(kernel)
		}
		return err
	})
	group.Go(func() (err error) {
		if spec, err = loadSpec(opts.ObjectDir); err != nil {
			return err
		}
		if err = configure(spec, opts); err != nil {
			return err
		}
		tables, err = makeTables(spec)
		return err
	})
	err = group.Wait()
	defer func() {
		for _, m := range tables {
			_ = m.Close() // the probes have their own
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := fits.apply(spec); err != nil {
		return nil, err
	}
	if p, err = loadAll(spec, tables, types); err != nil {
		return nil, err
	}
	var objects struct {
		probesMaps
		probesVariables
	}
	if err := p.loaded.Assign(&objects); err != nil {
		p.close()
		return nil, err
	}
	p.probesMaps, p.probesVariables = objects.probesMaps, objects.probesVariables
	return p, nil
}

// kernelFit says what of the programs fits a kernel.
type kernelFit struct {
	uring     uringFit
	typedTask bool
}

func fitKernel(kernel *btf.Spec) kernelFit {
	fit := kernelFit{uring: fitURing(kernel)}
	var helpers *btf.Enum
	if kernel.TypeByName("bpf_func_id", &helpers) == nil {
		fit.typedTask = slices.ContainsFunc(helpers.Values, func(v btf.EnumValue) bool {
			return v.Name == "BPF_FUNC_get_current_task_btf"
		})
	}
	return fit
}

// apply makes spec one that fits.
func (fit kernelFit) apply(spec *ebpf.CollectionSpec) error {
	typed := uint32(0)
	if fit.typedTask {
		typed = 1
	}
	if err := spec.Variables[probesVarTypedTask].Set(typed); err != nil {
		return fmt.Errorf("set %s: %w", probesVarTypedTask, err)
	}
	return fit.uring.apply(spec)
}

// makeTables makes the maps that begin with many free entries, or with a great
// buffer: the kernel takes longer for these than for all others.
func makeTables(spec *ebpf.CollectionSpec) (map[string]*ebpf.Map, error) {
	tables := make(map[string]*ebpf.Map)
	for name, m := range spec.Maps {
		if m.Type != ebpf.Hash && m.Type != ebpf.LRUHash && m.Type != ebpf.RingBuf {
			continue
		}
		table, err := ebpf.NewMap(m)
		if err != nil {
			return tables, fmt.Errorf("map %s: %w", name, err)
		}
		tables[name] = table
	}
	return tables, nil
}

// loadAll makes the other maps and then loads the programs side by side: to
// verify them is most of what a start costs, and each is verified for itself.
func loadAll(spec *ebpf.CollectionSpec, tables map[string]*ebpf.Map, types *btf.Cache) (*probes, error) {
	loaded, err := ebpf.NewCollectionWithOptions(
		&ebpf.CollectionSpec{Maps: spec.Maps, Variables: spec.Variables, Types: spec.Types, ByteOrder: spec.ByteOrder},
		ebpf.CollectionOptions{Cache: types, MapReplacements: tables},
	)
	if err != nil {
		return nil, err
	}
	p := &probes{loaded: loaded, programs: make(map[string]*ebpf.Program)}
	var (
		mu      sync.Mutex // guards what follows
		refused error      // of the programs on io_uring
		group   errgroup.Group
	)
	group.SetLimit(runtime.NumCPU())
	for _, name := range bySize(spec) {
		group.Go(func() error {
			prog, err := loadProgram(spec.Programs[name], loaded.Maps, types)
			mu.Lock()
			defer mu.Unlock()
			var verifier *ebpf.VerifierError
			switch {
			case err == nil:
				p.programs[name] = prog
			case isURing(name) && errors.As(err, &verifier):
				refused = err
				err = nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		p.close()
		return nil, err
	}
	if refused != nil {
		p.leaveURing(spec, refused)
	}
	if teller := p.programs[probesProgIoUringTell]; teller != nil {
		if err := loaded.Maps[probesMapUringTellers].Put(uint32(0), teller); err != nil {
			p.close()
			return nil, fmt.Errorf("put %s into %s: %w", probesProgIoUringTell, probesMapUringTellers, err)
		}
	}
	return p, nil
}

// bySize lists the programs, the longest first: it is under way the longest.
func bySize(spec *ebpf.CollectionSpec) []string {
	return slices.SortedFunc(maps.Keys(spec.Programs), func(a, b string) int {
		return len(spec.Programs[b].Instructions) - len(spec.Programs[a].Instructions)
	})
}

// loadProgram loads one program with those of the maps that it names.
func loadProgram(spec *ebpf.ProgramSpec, made map[string]*ebpf.Map, types *btf.Cache) (*ebpf.Program, error) {
	for i := range spec.Instructions {
		ins := &spec.Instructions[i]
		if !ins.IsLoadFromMap() || ins.Reference() == "" {
			continue
		}
		if err := ins.AssociateMap(made[ins.Reference()]); err != nil {
			return nil, fmt.Errorf("program %s: map %s: %w", spec.Name, ins.Reference(), err)
		}
	}
	// A collection, for a program alone reads the kernel's types for itself.
	c, err := ebpf.NewCollectionWithOptions(
		&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{spec.Name: spec}, ByteOrder: spec.ByteOrder},
		ebpf.CollectionOptions{Cache: types},
	)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.DetachProgram(spec.Name), nil
}

// HaveRingBuf tells if the kernel has ring buffers, by making one.
func HaveRingBuf() error {
	return raisingMemlock(func() error { return features.HaveMapType(ebpf.RingBuf) })
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
