//go:build linux && (amd64 || arm64)

package ptrace

import (
	"testing"

	"golang.org/x/sys/unix"

	"glasshouse/audit/calls"
)

// What the kernel takes an int from has an upper half that it does not look at.
func TestUpperHalves(t *testing.T) {
	const upper = 1 << 32
	for _, c := range []struct {
		name          string
		arg           uint64
		filters, exec uint64
	}{
		{"seccomp", unix.SECCOMP_SET_MODE_FILTER, 1, 0},
		{"seccomp", upper | unix.SECCOMP_SET_MODE_FILTER, 1, 0},
		{"seccomp", unix.SECCOMP_GET_ACTION_AVAIL, 0, 0},
		{"personality", 0x0400000, 0, 1},
		{"personality", upper | 0x0400000, 0, 1},
		{"personality", 0xffffffff, 0, 0}, // asks
		{"personality", ^uint64(0), 0, 0},
		{"personality", 0, 0, 0},
	} {
		var tr tracer
		tr.leavesOther(&thread{process: &process{}}, &call{watched: watched{calls.Of(c.name), c.name}, args: [6]uint64{c.arg}}, 0)
		if got := tr.books; got.filters != c.filters || got.AnonymousExec != c.exec {
			t.Errorf("%s(%#x): %d filters, %d executable", c.name, c.arg, got.filters, got.AnonymousExec)
		}
	}
}
