//go:build linux && (amd64 || arm64)

package ptrace

import (
	"encoding/binary"
	"testing"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// verdict runs the filter on a call. The machine of package bpf reads numbers
// in the order of networks.
func verdict(t *testing.T, vm *bpf.VM, arch uint32, nr uint64, args ...uint64) seccomp.Action {
	t.Helper()
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[dataNumber:], uint32(nr))
	binary.BigEndian.PutUint32(data[dataArch:], arch)
	for i, v := range args {
		binary.BigEndian.PutUint32(data[16+8*i:], uint32(v)) // the low half, on little-endian machines
		binary.BigEndian.PutUint32(data[20+8*i:], uint32(v>>32))
	}
	n, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return seccomp.Action(uint32(n))
}

func filterVM(t *testing.T, deny bool) *bpf.VM {
	t.Helper()
	raw, err := assemble(deny)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 4096 { // BPF_MAXINSNS
		t.Fatalf("%d instructions", len(raw))
	}
	program, all := bpf.Disassemble(raw)
	if !all {
		t.Fatal("not disassembled")
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// The filter stops at the calls of the table and at no others, in each ABI.
func TestFilter(t *testing.T) {
	vm := filterVM(t, false)
	for _, a := range []*abi{native, compat} {
		arch := uint32(a.info.ID)
		stopped := 0
		for nr := range uint64(1024) {
			w, listed := a.calls[nr]
			got := verdict(t, vm, arch, nr, 0, 0, 0, 0, 0, 0)
			conditional := len(conditions(w)) > 0 && !(a == compat && w.name == "mmap")
			switch {
			case !listed && got != seccomp.ActionAllow:
				t.Errorf("%s %d: %v", a.info.Name, nr, got)
			case listed && !conditional && got != seccomp.ActionTrace|traceMark:
				t.Errorf("%s %s: %v", a.info.Name, w.name, got)
			case listed && conditional && got != seccomp.ActionAllow:
				t.Errorf("%s %s of zeros: %v", a.info.Name, w.name, got)
			case listed:
				stopped++
			}
			for _, c := range conditions(w) {
				args := make([]uint64, 6)
				args[c.arg] = uint64(c.val)
				if got := verdict(t, vm, arch, nr, args...); got != seccomp.ActionTrace|traceMark {
					t.Errorf("%s %s(%#x): %v", a.info.Name, w.name, args, got)
				}
			}
		}
		if stopped < 80 {
			t.Errorf("%s: %d calls", a.info.Name, stopped)
		}
	}
	for _, name := range []string{"getppid", "futex", "nanosleep", "brk", "munmap", "close", "poll", "epoll_wait"} {
		if nr, ok := native.info.SyscallNames[name]; ok && verdict(t, vm, uint32(native.info.ID), uint64(nr)) != seccomp.ActionAllow {
			t.Errorf("%s is stopped", name)
		}
	}
	if got := verdict(t, vm, 0x12345678, 1); got != seccomp.ActionAllow {
		t.Errorf("an unknown machine: %v", got)
	}
	if x32 != nil {
		if got := verdict(t, vm, uint32(native.info.ID), x32Bit|39); got != seccomp.ActionTrace|traceMark {
			t.Errorf("x32: %v", got)
		}
	}
}

func TestFilterDenies(t *testing.T) {
	for deny, want := range map[bool]seccomp.Action{false: seccomp.ActionTrace | traceMark, true: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)} {
		vm := filterVM(t, deny)
		for _, a := range []*abi{native, compat} {
			if got := verdict(t, vm, uint32(a.info.ID), uint64(a.info.SyscallNames["io_uring_setup"])); got != want {
				t.Errorf("%s, %v: %#x, want %#x", a.info.Name, deny, got, want)
			}
		}
	}
}
