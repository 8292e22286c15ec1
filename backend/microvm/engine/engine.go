// Package engine is the contract between the microVM backend and what boots
// its machines.
package engine

import (
	"context"
	"net"
	"time"
)

// Machine is what to boot.
type Machine struct {
	Kernel      string // file: the ELF in a bzImage, or for QEMU the bzImage, which takes longer
	Initramfs   string // file
	RootFS      string // file: /dev/vda of the guest, read-only; "" is none
	Share       string // folder that the guest gets to see, read-only, as the virtio file system ShareTag; "" is none
	CommandLine string // kernel parameters, beside those that the engine needs itself
	MemoryMiB   int
	CPUs        int
	Dir         string // a private folder for sockets and logs, which the caller removes
}

// ShareTag is what a guest mounts a shared folder by.
const ShareTag = "workspace"

// Where a guest calls: the virtio-serial port of this name, or where there is none,
// this port of vsock's context 2, the host.
const (
	SerialPort = "glasshouse"
	VsockPort  = 1024
)

// Engine boots machines.
type Engine interface {
	// Name is the receipt's execution.backend: qemu, firecracker.
	Name() string

	// Boot starts a machine. A done ctx ends the attempt, not the machine. On
	// error nothing is left running.
	Boot(ctx context.Context, m Machine) (VM, error)
}

// VM is a machine that was started.
type VM interface {
	// Accept waits for the guest to call, once. It fails if the machine ends
	// before.
	Accept(ctx context.Context) (net.Conn, error)

	// Done is closed when the monitor of the machine, the VMM, has ended. Err
	// tells how, from then on: nil is exit code 0, which a guest that panicked
	// may come to as well.
	Done() <-chan struct{}
	Err() error

	// Kill ends the VMM at once; Done follows. Safe more than once.
	Kill()

	// Console is the end of what the guest's kernel printed and the VMM said:
	// lines of printable text, 64 KiB at most.
	Console() string

	// Facts is what the VMM alone knows.
	Facts() Facts
}

// Facts are for the receipt.
type Facts struct {
	Path        string    // of the VMM's program
	Version     string    // as it says itself
	Accelerator string    // kvm, tcg
	Started     time.Time // when the VMM was: what was found out before is not the machine's time
}
