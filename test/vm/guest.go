package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// machine is how QEMU is an architecture.
type machine struct {
	qemu    string
	pkg     string // of Debian that has it
	args    []string
	console string // as the kernel calls it
	cc      string // the C compiler
	ccPkgs  string // of Debian that have it
}

var machines = map[string]machine{
	// Not microvm, which boots half a second faster: it has no clock for the
	// kernel to measure the processor's by, and on a busy machine boots hang
	// in that. The serial line needs no module.
	"amd64": {"qemu-system-x86_64", "qemu-system-x86", []string{"-M", "q35", "-cpu", "max"}, "ttyS0", "gcc", "gcc and libc6-dev"},
	// Not "max": to sign pointers, as that does, is slow to emulate.
	"arm64": {"qemu-system-aarch64", "qemu-system-arm", []string{"-M", "virt", "-cpu", "cortex-a72"}, "ttyAMA0", "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu and libc6-dev-arm64-cross"},
}

// guestMemory in MiB: the file system lies in it.
const guestMemory = 1536

// kernelParameters: warnings go to the console, where the tests print too. A
// guest that stumbles ends, and says where each of its processors was; but a
// processor that gets no time from this machine has not stumbled yet.
// Waiting for a grace period is most of what attaching a program takes.
const kernelParameters = "loglevel=5 oops=panic panic=-1 reboot=t random.trust_cpu=on rcupdate.rcu_expedited=1 " +
	"watchdog_thresh=60 softlockup_panic=1 softlockup_all_cpu_backtrace=1"

// boot runs a guest to its end and writes what it prints to console. A guest
// that panics ends at once, and like any other: what it printed tells.
func boot(ctx context.Context, arch, image, initramfs string, console io.Writer) error {
	m := machines[arch]
	args := append([]string{}, m.args...)
	args = append(args,
		// One thread for both processors: with a thread each, QEMU (7.2) now and
		// then keeps running code that the kernel has patched on the other one,
		// and the guest hangs.
		"-accel", "tcg,thread=single", "-smp", "2", "-m", fmt.Sprint(guestMemory),
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", image, "-initrd", initramfs,
		"-append", "console="+m.console+" "+kernelParameters,
	)
	cmd := exec.CommandContext(ctx, m.qemu, args...)
	cmd.Stdout, cmd.Stderr = console, console
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w (Debian's package %s has it)", err, m.pkg)
	}
	return err
}
