//go:build !amd64

package qemu

// counterKHz is not known: this host's processors have no such counter.
func counterKHz() uint64 { return 0 }
