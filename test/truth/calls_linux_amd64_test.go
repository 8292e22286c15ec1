package truth

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Calls that newer machines do without; package unix makes newer ones of them.
const oldCalls = 1

func creat(path string) (int, error) { return nameCall(unix.SYS_CREAT, path, 0o600) }

func oldOpen(path string, flags int) (int, error) {
	return nameCall(unix.SYS_OPEN, path, uintptr(flags))
}

func nameCall(nr uintptr, path string, arg uintptr) (int, error) {
	p, err := unix.BytePtrFromString(path)
	check(err)
	r, _, errno := unix.Syscall(nr, uintptr(unsafe.Pointer(p)), arg, 0)
	return int(r), result(errno)
}
