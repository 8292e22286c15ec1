//go:build linux && (amd64 || arm64)

package ebpf

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

const objectHint = "build it with scripts/build-ebpf.sh, or unset GLASSHOUSE_BPF_DIR"

// loadSpec reads the object: the embedded one, or the one in dir.
func loadSpec(dir string) (*ebpf.CollectionSpec, error) {
	if dir == "" {
		return withoutLines(_ProbesBytes)
	}
	return loadSpecWithLines(dir)
}

// loadPrograms reads the object, without the programs that the options do not
// ask for. Nobody changes which there are afterwards: they are read by several.
func loadPrograms(opts Options) (*ebpf.CollectionSpec, error) {
	spec, err := loadSpec(opts.ObjectDir)
	if err == nil && !opts.Objects {
		for _, name := range objectHooks {
			delete(spec.Programs, name)
		}
	}
	return spec, err
}

func loadSpecWithLines(dir string) (*ebpf.CollectionSpec, error) {
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

	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count the CPUs: %w", err)
	}
	folds := foldsOfCPU(cpus)
	spec.Maps[probesMapFolds].MaxEntries = uint32(cpus) * folds

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
	argv, objects := uint32(0), uint32(0)
	if opts.CaptureArgv {
		argv = 1
	}
	if opts.Objects {
		objects = 1
	} else {
		spec.Maps[probesMapFounds].MaxEntries = 1
	}
	for name, value := range map[string]any{
		probesVarCaptureArgv:  argv,
		probesVarFindsObjects: objects,
		probesVarPidnsInum:    pidns,
		probesVarMntnsInum:    mntns,
		probesVarWakeupBytes:  uint64(wakeMark(ring)),
		probesVarHashSeed:     binary.LittleEndian.Uint64(seed[:]) | 1,
		probesVarCalls:        callRows(),
		probesVarFoldPlaces:   folds,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// foldsOfCPU is how many events of one CPU can be folded at a time: a power of
// two. All CPUs together have as many as two would have, and each at least some.
func foldsOfCPU(cpus int) uint32 {
	n := uint32(16384)
	for n > 1024 && int(n)*cpus > 2*16384 {
		n /= 2
	}
	return n
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
