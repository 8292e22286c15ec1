//go:build linux && (amd64 || arm64)

package ebpf

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

// load loads the object, and says what is wrong with one that is not the
// embedded one.
func load(o object) (p *probes, err error) {
	types := soon(o.kernelTypes)
	err = raisingMemlock(func() (err error) {
		p, err = o.load(types)
		return err
	})
	var refused *ebpf.VerifierError
	var unavailable *audit.UnavailableError
	switch {
	case o.opts.ObjectDir != "" && errors.As(err, &refused):
		err = &audit.UnavailableError{
			Reason: "the kernel refused the object of " + o.opts.ObjectDir, Hint: objectHint, Err: err,
		}
	case err != nil && !errors.As(err, &unavailable):
		err = fmt.Errorf("load probes: %w", err)
	}
	return p, err
}

// object is one that is being read. What its functions return they wait for.
type object struct {
	opts Options
	spec func() (*ebpf.CollectionSpec, error)
	// lines is spec, with what that leaves out of the lines of source.
	lines func() (*ebpf.CollectionSpec, error)
}

// read begins to read the object in Options.ObjectDir, or the embedded one.
// It looks at nothing else: in a guest nothing may be mounted yet.
func read(opts Options) object {
	return object{
		opts:  opts,
		spec:  soon(func() (*ebpf.CollectionSpec, error) { return loadPrograms(opts) }),
		lines: sync.OnceValues(func() (*ebpf.CollectionSpec, error) { return loadSpecWithLines(opts.ObjectDir) }),
	}
}

// kernelTypes reads of the kernel's types what the object names.
func (o object) kernelTypes() (*kernelTypes, error) {
	all, err := openKernelBTF()
	if err != nil {
		return nil, err
	}
	defer all.close()
	spec, err := o.spec()
	if err != nil {
		return nil, err
	}
	names, err := kernelNames(spec)
	if err != nil {
		return nil, err
	}
	types, err := all.cut(names)
	if err != nil {
		return nil, err
	}
	var wanted []string
	if o.opts.Objects {
		wanted = objectHooks
	}
	functions, err := all.functions(wanted)
	if err != nil {
		return nil, err
	}
	maps.Copy(types.ids, functions)
	return types, nil
}

// soon calls f beside what goes on, and returns what waits for its result.
func soon[T any](f func() (T, error)) func() (T, error) {
	result := sync.OnceValues(f)
	go result()
	return result
}

// load loads what of the object this kernel can run. A kernel whose io_uring
// is built otherwise than the programs expect refuses these, and gets the others.
func (o object) load(kernelTypes func() (*kernelTypes, error)) (p *probes, err error) {
	spec, err := o.spec()
	if err != nil {
		return nil, err
	}
	if err := configure(spec, o.opts); err != nil {
		return nil, err
	}
	tables := soon(func() (map[string]*ebpf.Map, error) { return makeTables(spec) })
	defer func() {
		made, _ := tables()
		for _, m := range made {
			_ = m.Close() // the probes have their own
		}
	}()
	types, err := kernelTypes()
	if err != nil {
		return nil, err
	}
	if err := fitKernel(types.Spec).apply(spec); err != nil {
		return nil, err
	}
	maps := soon(func() (*ebpf.Collection, error) {
		made, err := tables()
		if err != nil {
			return nil, err
		}
		return ebpf.NewCollectionWithOptions(
			&ebpf.CollectionSpec{Maps: spec.Maps, Variables: spec.Variables, Types: spec.Types, ByteOrder: spec.ByteOrder},
			ebpf.CollectionOptions{MapReplacements: made},
		)
	})
	if p, err = loadAll(spec, programLoader{maps, types, o.lines, btf.NewCache()}); err != nil {
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

// kernelNames are the names of all that is to be known of the kernel's types:
// they are among those of the object's own.
func kernelNames(spec *ebpf.CollectionSpec) (map[string]bool, error) {
	names := map[string]bool{helpersType: true}
	for t, err := range spec.Types.All() {
		if err != nil {
			return nil, fmt.Errorf("read the object's types: %w", err)
		}
		if name := t.TypeName(); name != "" {
			names[string(essential([]byte(name)))] = true
		}
	}
	for _, p := range spec.Programs {
		names[tracepointType(p.AttachTo)] = true
	}
	return names, nil
}

// tracepointType is the name of the type that says what a tracepoint's
// arguments are.
func tracepointType(tracepoint string) string { return "btf_trace_" + tracepoint }

// helpersType is the enum of what programs may call.
const helpersType = "bpf_func_id"

// kernelFit says what of the programs fits a kernel.
type kernelFit struct {
	uring     uringFit
	typedTask bool
}

func fitKernel(kernel *btf.Spec) kernelFit {
	fit := kernelFit{uring: fitURing(kernel)}
	var helpers *btf.Enum
	if kernel.TypeByName(helpersType, &helpers) == nil {
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

// makeTables makes the maps but for those behind variables, which the kernel's
// types have a say in. It takes some milliseconds where a map begins with many
// free entries, or with a great buffer.
func makeTables(spec *ebpf.CollectionSpec) (map[string]*ebpf.Map, error) {
	var (
		tables = make(map[string]*ebpf.Map)
		mu     sync.Mutex // guards tables
		group  errgroup.Group
	)
	group.SetLimit(runtime.NumCPU())
	for name, m := range spec.Maps {
		if strings.HasPrefix(name, ".") {
			continue // a section of variables
		}
		group.Go(func() error {
			table, err := ebpf.NewMap(m)
			if err != nil {
				return fmt.Errorf("map %s: %w", name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			tables[name] = table
			return nil
		})
	}
	err := group.Wait()
	return tables, err
}

// loadAll loads the programs side by side: to verify them is most of what a
// start costs, and each is verified for itself.
func loadAll(spec *ebpf.CollectionSpec, loader programLoader) (*probes, error) {
	var (
		programs = make(map[string]*ebpf.Program)
		mu       sync.Mutex // guards what follows
		refused  error      // of the programs on io_uring
		group    errgroup.Group
	)
	group.SetLimit(runtime.NumCPU())
	for _, name := range bySize(spec) {
		group.Go(func() error {
			prog, err := loader.load(spec.Programs[name])
			mu.Lock()
			defer mu.Unlock()
			var verifier *ebpf.VerifierError
			switch {
			case err == nil:
				programs[name] = prog
			case isURing(name) && errors.As(err, &verifier):
				refused = err
				err = nil
			case isObject(name):
				err = nil // the paths are those of the names then, and say so
			}
			return err
		})
	}
	err := group.Wait()
	loaded, mapsErr := loader.maps()
	if mapsErr != nil {
		return nil, mapsErr
	}
	p := &probes{loaded: loaded, programs: programs}
	if err != nil {
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
