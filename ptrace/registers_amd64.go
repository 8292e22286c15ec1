//go:build linux

package ptrace

import "golang.org/x/sys/unix"

// registers are those of a thread, whatever the width of its program.
type registers struct{ unix.PtraceRegsAmd64 }

func (r *registers) get(pid int) error { return unix.PtraceGetRegsAmd64(pid, &r.PtraceRegsAmd64) }
func (r *registers) set(pid int) error { return unix.PtraceSetRegsAmd64(pid, &r.PtraceRegsAmd64) }

func (r *registers) pc() uint64 { return r.Rip }
func (r *registers) sp() uint64 { return r.Rsp }

// user32 is the code segment of 32-bit programs: __USER32_CS of arch/x86/include/asm/segment.h.
const user32 = 0x23

// abi is how the program calls the kernel, and the instruction for it.
func (r *registers) abi() (*abi, []byte) {
	if r.Cs == user32 {
		return compat, []byte{0xcd, 0x80} // int $0x80
	}
	return native, []byte{0x0f, 0x05} // syscall
}

func (r *registers) prepare(a *abi, nr uint64, args []uint64) {
	r.Rax, r.Orig_rax = nr, ^uint64(0) // -1: no call that a signal could begin again
	at := r.args(a)
	for i, v := range args {
		*at[i] = v
	}
}

// args are the registers of a call's arguments.
func (r *registers) args(a *abi) [6]*uint64 {
	if a == compat {
		return [6]*uint64{&r.Rbx, &r.Rcx, &r.Rdx, &r.Rsi, &r.Rdi, &r.Rbp}
	}
	return [6]*uint64{&r.Rdi, &r.Rsi, &r.Rdx, &r.R10, &r.R8, &r.R9}
}

func (r *registers) result(a *abi) int64 {
	if a == compat {
		return int64(int32(r.Rax))
	}
	return int64(r.Rax)
}

// call is the call that a thread is in, and its first argument.
func (r *registers) call() (a *abi, nr, first uint64) {
	a, _ = r.abi()
	return a, r.Orig_rax, *r.args(a)[0]
}

// skip has the call at whose entry a thread stands end in ENOSYS.
func skip(tid int) {
	var r registers
	if r.get(tid) != nil {
		return
	}
	const enosys = unix.ENOSYS
	r.Orig_rax, r.Rax = ^uint64(0), ^uint64(enosys-1)
	_ = r.set(tid)
}

// setArg changes an argument of the call at whose entry a thread stands.
func setArg(tid int, a *abi, i int, v uint64) {
	var r registers
	if r.get(tid) != nil {
		return
	}
	*r.args(a)[i] = v
	_ = r.set(tid)
}
