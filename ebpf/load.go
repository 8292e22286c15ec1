//go:build linux && (amd64 || arm64)

package ebpf

import (
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sync/errgroup"

	"glasshouse/audit"
)

// loadInto loads what of spec this kernel can run. A kernel whose io_uring is
// built otherwise than the programs expect refuses these, and gets the others.
func loadInto(spec *ebpf.CollectionSpec) (p *probes, err error) {
	types := btf.NewCache()
	kernel, err := types.Kernel()
	if err != nil {
		return nil, err
	}
	if err := fitURing(spec, kernel); err != nil {
		return nil, err
	}
	err = raisingMemlock(func() (err error) {
		p, err = loadAll(spec, types)
		return err
	})
	if err != nil {
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

// loadAll makes the maps and then loads the programs side by side: to verify
// them is most of what a start costs, and each is verified for itself.
func loadAll(spec *ebpf.CollectionSpec, types *btf.Cache) (*probes, error) {
	alone := spec.Copy()
	clear(alone.Programs)
	loaded, err := ebpf.NewCollectionWithOptions(alone, ebpf.CollectionOptions{Cache: types})
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
			prog, err := loadProgram(spec, name, loaded.Maps, types)
			mu.Lock()
			defer mu.Unlock()
			var verifier *ebpf.VerifierError
			switch {
			case err == nil:
				p.programs[name] = prog
			case slices.Contains(uringHooks, name) && errors.As(err, &verifier):
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
		// All or none: one alone would tell of beginnings without ends.
		for _, name := range uringHooks {
			if s := spec.Programs[name]; s != nil {
				p.hooks = append(p.hooks, audit.Hook{Name: hookName(s.AttachTo), Err: refused.Error()})
			}
			if prog := p.programs[name]; prog != nil {
				_ = prog.Close()
				delete(p.programs, name)
			}
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

func loadProgram(spec *ebpf.CollectionSpec, name string, with map[string]*ebpf.Map, types *btf.Cache) (*ebpf.Program, error) {
	alone := spec.Copy()
	maps.DeleteFunc(alone.Programs, func(other string, _ *ebpf.ProgramSpec) bool { return other != name })
	c, err := ebpf.NewCollectionWithOptions(alone, ebpf.CollectionOptions{Cache: types, MapReplacements: with})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.DetachProgram(name), nil
}
