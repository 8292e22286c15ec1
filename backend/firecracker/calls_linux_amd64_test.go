package firecracker_test

import "golang.org/x/sys/unix"

// legacyCalls are those that newer architectures never had.
var legacyCalls = []uint32{unix.SYS_OPEN, unix.SYS_CREAT, unix.SYS_FORK, unix.SYS_VFORK}
