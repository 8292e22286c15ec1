//go:build linux

package ebpf

import (
	"runtime"
	"strconv"
	"sync"

	"github.com/elastic/go-seccomp-bpf/arch"

	"glasshouse/audit/calls"
)

// The indices of the kernel side's tables: CALLS_* of bpf/event.h.
const (
	callsNative = 0
	callsCompat = 1024
	callsX32    = 1536
	// callsSocket is where the calls begin that i386's socketcall stands for.
	callsSocket = 2240
	callsOther  = 2303
	// callsURing is where the operations of io_uring begin, by opcode.
	callsURing = 2304
	callsLen   = 2560
)

type abi struct {
	base  int
	size  int
	names map[int]string
	// unnamed prefixes the number of a call that the table does not know.
	unnamed string
}

var abis = sync.OnceValue(func() []abi {
	if runtime.GOARCH == "arm64" {
		return []abi{
			{callsNative, callsCompat - callsNative, calls.Names(arch.AARCH64), "syscall_"},
			{callsCompat, callsX32 - callsCompat, calls.Names(arch.ARM), "syscall_arm_"},
		}
	}
	return []abi{
		{callsNative, callsCompat - callsNative, calls.Names(arch.X86_64), "syscall_"},
		{callsCompat, callsX32 - callsCompat, calls.Names(arch.I386), "syscall_i386_"},
		{callsX32, callsSocket - callsX32, calls.Names(arch.X32), "syscall_x32_"},
		{callsSocket, callsOther - callsSocket, calls.Socket, "socketcall_"},
	}
})

// callRows is the content of the kernel side's table of calls.
func callRows() []calls.Call {
	rows := make([]calls.Call, callsLen)
	for _, a := range abis() {
		for nr, name := range a.names {
			if nr < 0 || nr >= a.size {
				continue
			}
			rows[a.base+nr] = calls.Of(name)
		}
	}
	for opcode := range uringOps {
		rows[callsURing+opcode] = uringRow(uint32(opcode))
	}
	return rows
}

// callName is the name behind an index of the kernel side's tables.
func callName(index int) string {
	for _, a := range abis() {
		if index < a.base || index >= a.base+a.size {
			continue
		}
		nr := index - a.base
		if name, ok := a.names[nr]; ok {
			return name
		}
		return a.unnamed + strconv.Itoa(nr)
	}
	return "syscall_unknown"
}
