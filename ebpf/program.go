//go:build linux && (amd64 || arm64)

package ebpf

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// programLoader loads programs, with those of the maps that they name.
type programLoader struct {
	maps   func() (*ebpf.Collection, error) // a program is made ready while these are
	kernel *kernelTypes
	// For the library:
	lines func() (*ebpf.CollectionSpec, error) // the programs again, with their lines of source
	cache *btf.Cache                           // of the kernel's types, all of them
}

// load loads one program. The library would look for its tracepoint among all
// of the kernel's types, look into those of the modules, and try out what this
// kernel can do: it gets the programs that the kernel did not take without
// that, and finds out why. What one needs may be in a module.
func (l programLoader) load(spec *ebpf.ProgramSpec) (*ebpf.Program, error) {
	if spec.AttachType == ebpf.AttachTraceFEntry && l.kernel.ids[spec.AttachTo] == 0 {
		return nil, fmt.Errorf("the kernel has no function %s", spec.AttachTo)
	}
	p, err := l.loadRelocated(spec)
	if err == nil {
		return p, nil
	}
	if _, err := l.maps(); err != nil {
		return nil, err // no program will be taken
	}
	lines, err := l.lines()
	if err != nil {
		return nil, err
	}
	spec = lines.Programs[spec.Name].Copy()
	if err := l.addMaps(spec.Instructions); err != nil {
		return nil, err
	}
	// A collection, for a program alone reads the kernel's types for itself.
	c, err := ebpf.NewCollectionWithOptions(
		&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{spec.Name: spec}, ByteOrder: spec.ByteOrder},
		ebpf.CollectionOptions{Cache: l.cache},
	)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.DetachProgram(spec.Name), nil
}

// addMaps gives the instructions the maps that they name.
func (l programLoader) addMaps(insns asm.Instructions) error {
	made, err := l.maps()
	if err != nil {
		return err
	}
	for i := range insns {
		ins := &insns[i]
		if !ins.IsLoadFromMap() || ins.Reference() == "" {
			continue
		}
		m := made.Maps[ins.Reference()]
		if m == nil {
			return fmt.Errorf("map %s is missing", ins.Reference())
		}
		if err := ins.AssociateMap(m); err != nil {
			return fmt.Errorf("map %s: %w", ins.Reference(), err)
		}
	}
	return nil
}

// loadRelocated loads a program with the kernel's types at hand.
func (l programLoader) loadRelocated(spec *ebpf.ProgramSpec) (*ebpf.Program, error) {
	var types btf.Builder
	insns, err := l.relocate(spec, &types)
	if err != nil {
		return nil, fmt.Errorf("relocate %s: %w", spec.Name, err)
	}
	funcs, _, err := btf.MarshalExtInfos(insns, &types)
	if err != nil {
		return nil, err
	}
	handle, err := btf.NewHandle(&types)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	if err := l.addMaps(insns); err != nil {
		return nil, fmt.Errorf("program %s: %w", spec.Name, err)
	}
	code := bytes.NewBuffer(make([]byte, 0, insns.Size()))
	if err := insns.Marshal(code, spec.ByteOrder); err != nil {
		return nil, err
	}
	attr := progLoad{
		kind:         uint32(spec.Type),
		insnCount:    uint32(code.Len() / asm.InstructionSize),
		insns:        unsafe.SliceData(code.Bytes()),
		license:      unsafe.SliceData(append([]byte(spec.License), 0)),
		attachType:   uint32(spec.AttachType),
		btf:          uint32(handle.FD()),
		funcInfoSize: btf.FuncInfoSize,
		funcInfo:     unsafe.SliceData(funcs),
		funcCount:    uint32(len(funcs)) / btf.FuncInfoSize,
	}
	copy(attr.name[:len(attr.name)-1], spec.Name)
	switch {
	case spec.AttachType == ebpf.AttachTraceFEntry:
		attr.attachBTF = uint32(l.kernel.ids[spec.AttachTo])
	case spec.Type == ebpf.Tracing:
		attr.attachBTF = uint32(l.kernel.ids[tracepointType(spec.AttachTo)])
	}
	fd, err := attr.load()
	runtime.KeepAlive(insns) // and so the maps
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", spec.Name, err)
	}
	return ebpf.NewProgramFromFD(fd)
}

// relocate returns the program's instructions as the kernel's types want them.
func (l programLoader) relocate(spec *ebpf.ProgramSpec, types *btf.Builder) (asm.Instructions, error) {
	var (
		insns       = slices.Clone(spec.Instructions)
		relocations []*btf.CORERelocation
		relocated   []*asm.Instruction
	)
	for i := range insns {
		if r := btf.CORERelocationMetadata(&insns[i]); r != nil {
			relocations = append(relocations, r)
			relocated = append(relocated, &insns[i])
		}
	}
	fixups, err := btf.CORERelocate(relocations, []*btf.Spec{l.kernel.Spec}, spec.ByteOrder, types.Add)
	if err != nil {
		return nil, err
	}
	for i, fixup := range fixups {
		if err := fixup.Apply(relocated[i]); err != nil {
			return nil, err
		}
	}
	return insns, nil
}

// progLoad is what the kernel's BPF_PROG_LOAD takes, as of Linux 5.5: the
// first members of union bpf_attr.
type progLoad struct {
	kind, insnCount          uint32
	insns, license           *byte
	logLevel, logSize        uint32
	log                      *byte
	kernelVersion, flags     uint32
	name                     [16]byte
	ifindex, attachType, btf uint32
	funcInfoSize             uint32
	funcInfo                 *byte
	funcCount, lineInfoSize  uint32
	lineInfo                 *byte
	lineCount, attachBTF     uint32
}

// load returns the program's descriptor. A signal breaks the verifier off,
// and Go's runtime makes some.
func (a *progLoad) load() (fd int, err error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EAGAIN:
			continue
		}
		return -1, errno
	}
}
