//go:build !linux

package doctor

import (
	"runtime"

	"glasshouse/ebpf"
)

// Here is a machine on which nothing can be observed.
func Here(ebpf.Options, string) Machine { return Machine{OS: runtime.GOOS} }
