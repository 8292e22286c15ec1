// Package ebpf is the collector that watches with eBPF programs: it loads
// and attaches them, reads their ring, and keeps their books.
//
// It is the only package that imports cilium/ebpf.
package ebpf

import "io"

// Options of a collector.
type Options struct {
	// CaptureArgv records the arguments of programs.
	CaptureArgv bool
	// ObjectDir is a folder to load the object from instead of the binary:
	// probes_x86_bpfel.o or probes_arm64_bpfel.o.
	ObjectDir string
	// DebugEvents gets a line for each of the first events; nil for none.
	DebugEvents io.Writer
	// RingSize in bytes, a power of two and whole pages; 0 is the default.
	RingSize int
	// Objects has the paths of what is made, removed or renamed taken from the objects
	// that the kernel finds, where they would be those of the names that were
	// passed. It takes programs on functions of the kernel; without one that
	// cannot be loaded the paths say that they are those of names.
	Objects bool
	// Priority raises this process above others while the ring fills, so that
	// its reader gets a CPU when it needs one. It is for a process that does
	// nothing else. What Launch starts is not raised.
	Priority bool
}

// defaultRingSize holds what a busy machine emits while the reader is not
// scheduled for some tens of milliseconds.
const defaultRingSize = 8 << 20
