//go:build linux

package ptrace

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// registers are those of a thread: struct user_pt_regs of
// arch/arm64/include/uapi/asm/ptrace.h.
type registers struct {
	Regs          [31]uint64
	Sp, Pc, State uint64
}

func (r *registers) transfer(request, pid int) error {
	v := unix.Iovec{Base: (*byte)(unsafe.Pointer(r)), Len: uint64(unsafe.Sizeof(*r))}
	return ptrace(request, pid, unix.NT_PRSTATUS, uintptr(unsafe.Pointer(&v)))
}

func (r *registers) get(pid int) error { return r.transfer(unix.PTRACE_GETREGSET, pid) }
func (r *registers) set(pid int) error { return r.transfer(unix.PTRACE_SETREGSET, pid) }

func (r *registers) pc() uint64 { return r.Pc }
func (r *registers) sp() uint64 { return r.Sp }

// abi is how the program calls the kernel, and the instruction for it. Programs
// of 32 bits have another set of registers, which is not written here.
func (r *registers) abi() (*abi, []byte) { return native, []byte{0x01, 0x00, 0x00, 0xd4} } // svc #0

func (r *registers) prepare(_ *abi, nr uint64, args []uint64) {
	r.Regs[8] = nr
	copy(r.Regs[:], args)
}

func (r *registers) result(*abi) int64 { return int64(r.Regs[0]) }

// call is the call that a thread is in, and its first argument.
func (r *registers) call() (a *abi, nr, first uint64) { return native, r.Regs[8], r.Regs[0] }

// skip has the call at whose entry a thread stands end in ENOSYS.
func skip(tid int) {
	const enosys, systemCall = unix.ENOSYS, 0x404 // NT_ARM_SYSTEM_CALL
	var r registers
	if r.get(tid) != nil {
		return
	}
	r.Regs[0] = ^uint64(enosys - 1)
	_ = r.set(tid)
	none := int32(-1)
	v := unix.Iovec{Base: (*byte)(unsafe.Pointer(&none)), Len: uint64(unsafe.Sizeof(none))}
	_ = ptrace(unix.PTRACE_SETREGSET, tid, systemCall, uintptr(unsafe.Pointer(&v)))
}

// setArg changes an argument of the call at whose entry a thread stands.
func setArg(tid int, _ *abi, i int, v uint64) {
	var r registers
	if r.get(tid) == nil {
		r.Regs[i] = v
		_ = r.set(tid)
	}
}
