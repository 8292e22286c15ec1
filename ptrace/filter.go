//go:build linux && (amd64 || arm64)

package ptrace

import (
	"fmt"
	"maps"
	"runtime"
	"slices"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"glasshouse/audit"
	"glasshouse/audit/calls"
)

// What struct seccomp_data of include/uapi/linux/seccomp.h has where.
const (
	dataNumber = 0
	dataArch   = 4
)

// traceMark tells the stops of this filter from those of another, which the kernel
// would answer with ENOSYS if there were no tracer.
const traceMark = 0x6748

// x32Bit marks calls of that ABI; they have the audit number of amd64.
const x32Bit = 0x40000000

// abi is one way in which a program of this machine can call the kernel.
type abi struct {
	info  *arch.Info
	names map[int]string     // of all calls, by number
	calls map[uint64]watched // those at which the filter stops
	wide  bool               // its pointers have 64 bits
}

// watched is a call that the filter stops.
type watched struct {
	calls.Call
	name string
}

func newABI(info *arch.Info, wide bool) *abi {
	a := &abi{info: info, names: calls.Names(info), wide: wide, calls: map[uint64]watched{}}
	for nr, name := range a.names {
		if row := calls.Of(name); stops(name, row) {
			a.calls[uint64(nr)] = watched{row, name}
		}
	}
	return a
}

// name is that of a call by its number, which may say that it is one of x32.
func (a *abi) name(nr uint64) string { return a.names[int(nr&^x32Bit)] }

// The ABIs of this machine. Which one a call is of, the kernel tells by the
// number of the architecture, and x32 by a bit of the call's.
var native, compat, x32 = machine()

func machine() (native, compat, x32 *abi) {
	if runtime.GOARCH == "arm64" {
		return newABI(arch.AARCH64, true), newABI(arch.ARM, false), nil
	}
	return newABI(arch.X86_64, true), newABI(arch.I386, false), newABI(arch.X32, true)
}

// stops tells whether the filter stops a call of that name.
func stops(name string, row calls.Call) bool {
	switch row.Op {
	case audit.OpNone:
		switch name {
		case "socketcall", "io_uring_setup", "seccomp", "prctl", "personality", "getsockopt":
			return true
		}
		return audit.Unrecorded(name)
	case audit.OpFork, audit.OpNoReturn, audit.OpClose, audit.OpShare:
		// Forks and ends are told without; what a descriptor stands for is
		// looked up each time.
		return name == "clone" || name == "clone3" || audit.Unrecorded(name)
	}
	return true
}

// A condition is what an argument must have for a call to be stopped.
type condition struct {
	arg  uint32
	test bpf.JumpTest
	val  uint32
}

// conditions are those of calls that mostly do not matter; one has to hold.
func conditions(w watched) []condition {
	switch {
	case w.name == "clone":
		return []condition{{0, bpf.JumpBitsSet, unix.CLONE_UNTRACED | unix.CLONE_NEWNS | unix.CLONE_NEWUSER}}
	case w.name == "getsockopt":
		return []condition{{2, bpf.JumpEqual, unix.SO_ERROR}}
	case w.name == "prctl":
		return []condition{{0, bpf.JumpEqual, unix.PR_SET_SECCOMP}, {0, bpf.JumpEqual, unix.PR_SET_DUMPABLE}}
	case w.Op == audit.OpMmap:
		return []condition{{2, bpf.JumpBitsSet, unix.PROT_EXEC}, {3, bpf.JumpBitsSet, unix.MAP_SHARED}}
	case w.Op == audit.OpMprotect:
		return []condition{{2, bpf.JumpBitsSet, unix.PROT_EXEC}}
	case w.Op == audit.OpIoctl:
		return []condition{{1, bpf.JumpEqual, fsIocSetFlags}, {1, bpf.JumpEqual, fsIocSetFlags32}, {1, bpf.JumpEqual, fsIocSetXattr}}
	}
	return nil
}

// The ioctls of include/uapi/linux/fs.h that set the flags of a file.
const (
	fsIocSetFlags   = 0x40086602
	fsIocSetFlags32 = 0x40046602
	fsIocSetXattr   = 0x401c5820
)

// assemble makes the filter. denyIOURing has a program that wants a ring told
// that the kernel knows none, so that it does without.
func assemble(denyIOURing bool) ([]bpf.RawInstruction, error) {
	var program []bpf.Instruction
	for _, a := range []*abi{native, compat} {
		part, err := a.assemble(denyIOURing)
		if err != nil {
			return nil, err
		}
		program = append(program, part...)
	}
	program = append(program, bpf.RetConstant{Val: uint32(seccomp.ActionAllow)})
	return bpf.Assemble(program)
}

func (a *abi) assemble(denyIOURing bool) ([]bpf.Instruction, error) {
	p := seccomp.NewProgram()
	trace, deny := p.NewLabel(), p.NewLabel()
	if a == native && x32 != nil {
		p.JmpIfTrue(bpf.JumpGreaterOrEqual, x32Bit, trace) // seldom, and sorted out by the tracer
	}
	// Those with conditions last: they load arguments over the number.
	numbers := slices.SortedFunc(maps.Keys(a.calls), func(x, y uint64) int {
		return cmpConditions(a.calls[x], a.calls[y], int(x)-int(y))
	})
	for _, nr := range numbers {
		w := a.calls[nr]
		if w.name == "io_uring_setup" && denyIOURing {
			p.JmpIfTrue(bpf.JumpEqual, uint32(nr), deny)
			continue
		}
		some := conditions(w)
		if len(some) == 0 || a == compat && w.name == "mmap" { // whose arguments lie in memory
			p.JmpIfTrue(bpf.JumpEqual, uint32(nr), trace)
			continue
		}
		next := p.NewLabel()
		p.JmpIfTrue(bpf.JumpNotEqual, uint32(nr), next)
		for _, c := range some {
			p.LdLo(c.arg)
			p.JmpIfTrue(c.test, c.val, trace)
		}
		p.Ret(seccomp.ActionAllow)
		p.SetLabel(next)
	}
	p.Ret(seccomp.ActionAllow)
	p.SetLabel(deny)
	p.Ret(seccomp.ActionErrno | seccomp.Action(unix.ENOSYS))
	p.SetLabel(trace)
	p.Ret(seccomp.ActionTrace | traceMark)
	body, err := p.Assemble()
	if err != nil {
		return nil, fmt.Errorf("assemble the filter of %s: %w", a.info.Name, err)
	}
	head := []bpf.Instruction{
		bpf.LoadAbsolute{Off: dataArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(a.info.ID), SkipTrue: 1},
		bpf.Jump{Skip: uint32(len(body) + 1)},
		bpf.LoadAbsolute{Off: dataNumber, Size: 4},
	}
	return append(head, body...), nil
}

func cmpConditions(a, b watched, otherwise int) int {
	x, y := len(conditions(a)), len(conditions(b))
	switch {
	case x == 0 && y > 0:
		return -1
	case x > 0 && y == 0:
		return 1
	}
	return otherwise
}
