// Package qemu boots virtual machines with QEMU's machine type microvm, under
// KVM where a probe boot proves that it works, and else emulated (TCG).
package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"glasshouse/backend/microvm/engine"
)

// Accelerators.
const (
	KVM = "kvm"
	TCG = "tcg"
)

// Config is the zero value for most.
type Config struct {
	Path        string // of the program; "" is looked up in PATH
	Accelerator string // KVM, TCG; "" is the better one that works
	State       string // folder in which what the probe found is kept; "" is nowhere
}

// Engine boots machines with QEMU.
type Engine struct{ cfg Config }

// New returns an engine.
func New(cfg Config) *Engine { return &Engine{cfg} }

// Name is qemu.
func (*Engine) Name() string { return "qemu" }

// machineType leaves away what a Linux of today does not need of a PC, but for
// the serial line, which is the console.
const machineType = "microvm,acpi=on,rtc=on,isa-serial=on,auto-kernel-cmdline=off"

// timers are what a guest measures its processor's clock by, where it is not
// told how fast that is.
const (
	withTimers    = ",pit=on,pic=on"
	withoutTimers = ",pit=off,pic=off"
)

// kernelParameters: a kernel that stumbles ends the machine. Waiting for a grace
// period is most of what attaching a program takes.
const kernelParameters = "console=ttyS0 loglevel=4 panic=-1 oops=panic reboot=t random.trust_cpu=on " +
	"rcupdate.rcu_expedited=1 rcupdate.rcu_normal_after_boot=0"

// Boot starts QEMU. See engine.Engine.
func (e *Engine) Boot(ctx context.Context, m engine.Machine) (engine.VM, error) {
	path, err := e.program()
	if err != nil {
		return nil, err
	}
	version, err := programVersion(ctx, path)
	if err != nil {
		return nil, err
	}
	accelerator := e.cfg.Accelerator
	if accelerator == "" {
		accelerator = e.accelerator(ctx, path, version, m.Kernel)
	}
	socket := filepath.Join(m.Dir, "channel.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen for the machine: %w", err)
	}
	args := arguments(m, accelerator, socket)
	var shared *daemon
	if m.Share != "" {
		var at string
		if shared, at, err = share(ctx, m.Share, m.Dir); err != nil {
			_ = l.Close()
			return nil, err
		}
		args = append(args, shareArguments(m, at)...)
	}
	vm, err := engine.Spawn(path, args, l)
	if err != nil {
		if shared != nil {
			shared.kill()
		}
		_ = l.Close()
		return nil, err
	}
	vm.Says(engine.Facts{Path: path, Version: version, Accelerator: accelerator})
	if shared != nil {
		return shared.with(vm), nil
	}
	return vm, nil
}

// shareArguments are for a folder that is served at a socket: by somebody who has
// to see the guest's memory, and knows nothing of devices before virtio 1.0.
func shareArguments(m engine.Machine, socket string) []string {
	return []string{
		"-global", "virtio-mmio.force-legacy=false",
		"-object", fmt.Sprintf("memory-backend-memfd,id=memory,size=%dM,share=on", m.MemoryMiB), "-machine", "memory-backend=memory",
		"-chardev", "socket,id=share,path=" + escape(socket),
		"-device", "vhost-user-fs-device,chardev=share,tag=" + engine.ShareTag,
	}
}

func (e *Engine) program() (string, error) {
	name := e.cfg.Path
	if name == "" {
		name = "qemu-system-x86_64"
	}
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		return "", &engine.MissingError{Program: name, Hint: "Debian's package qemu-system-x86 has it"}
	}
	return path, err
}

// versionLine is what QEMU says, such as "QEMU emulator version 7.2.17 (Debian …)".
var versionLine = regexp.MustCompile(`version ([0-9]+(?:\.[0-9]+)+)`)

func programVersion(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s does not say its version", path)
	}
	return string(m[1]), nil
}

func arguments(m engine.Machine, accelerator, socket string) []string {
	machine, accel, cpu, clock := machineType+withoutTimers, "kvm", "host", ""
	if accelerator == TCG {
		// One thread for all processors: with a thread each, QEMU (7.2) now and
		// then keeps running code that the kernel has patched on another one,
		// and the guest hangs.
		accel, cpu = "tcg,thread=single", "max"
		if khz := counterKHz(); khz > 0 {
			clock = fmt.Sprintf(" tsc_early_khz=%d tsc=reliable", khz)
		} else {
			machine = machineType + withTimers
		}
	}
	args := []string{
		"-M", machine, "-accel", accel, "-cpu", cpu,
		"-smp", fmt.Sprint(max(m.CPUs, 1)), "-m", fmt.Sprint(m.MemoryMiB),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-serial", "stdio",
		"-kernel", m.Kernel, "-initrd", m.Initramfs,
		"-append", kernelParameters + clock + " " + m.CommandLine,
		"-device", "virtio-rng-device",
	}
	if m.RootFS != "" {
		args = append(args,
			"-drive", "id=root,if=none,format=raw,readonly=on,file="+escape(m.RootFS),
			"-device", "virtio-blk-device,drive=root")
	}
	return append(args,
		"-chardev", "socket,id=channel,path="+escape(socket),
		"-device", "virtio-serial-device", "-device", "virtserialport,chardev=channel,name="+engine.SerialPort)
}

// escape doubles the commas of a value of an option.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// usable tells whether /dev/kvm can be opened at all.
func usable() bool {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}
