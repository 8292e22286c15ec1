//go:build linux && !amd64

package firecracker_test

// legacyCalls are those that newer architectures never had.
var legacyCalls []uint32
