//go:build linux

package microvm

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"glasshouse/backend/microvm/channel"
	"glasshouse/backend/microvm/engine"
	bootimage "glasshouse/backend/microvm/image"
	"glasshouse/backend/microvm/qemu"
)

// most is what a run may take beside its machine.
const most = 500 * time.Millisecond

// What the host does before the monitor starts and after it has ended is little,
// and so is what a run takes longer than the same machine under a host that only
// answers.
func TestOverhead(t *testing.T) {
	const least, runs = 3, 8
	dir := t.TempDir()
	monitor, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Fatal(err)
	}
	// It takes down when the monitor of a machine with a channel was there.
	script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *id=channel*) ;; *) exec %[1]s \"$@\" ;; esac\ndate +%%s%%N >%[2]s/begin\n%[1]s \"$@\"\ncode=$?\ndate +%%s%%N >%[2]s/end\nexit $code\n", monitor, dir)
	if err := os.WriteFile(filepath.Join(dir, "qemu-system-x86_64"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	noted := func(name string) int64 {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	run(t, "", nil, "true") // finds out about KVM, and reads the image once
	var beside, whole, bare []time.Duration
	// The least of each: the rest is what else this host does, and on a busy one it
	// takes some runs to see it.
	for i := range runs {
		r := run(t, "", nil, "true")
		if r.code != 0 {
			t.Fatalf("%d, %s", r.code, r.stderr)
		}
		machine := time.Duration(noted("end") - noted("begin"))
		beside, whole, bare = append(beside, r.took-machine), append(whole, r.took), append(bare, alone(t, monitor, r.Execution.VM.Accelerator))
		t.Logf("the whole run took %v, the machine %v, its boot %d ms; with a host that only answers %v", r.took, machine, r.Execution.VM.BootMS, bare[i])
		before, more := slices.Min(beside), slices.Min(whole)-slices.Min(bare)
		switch {
		case i+1 < least:
		case before <= most && more <= most:
			t.Logf("beside its machine a run takes %v; %v more than the bare machine", before, more)
			return
		case i+1 == runs:
			t.Errorf("beside its machine a run takes %v; %v more than the bare machine: %v is the most", before, more, most)
		}
	}
}

// alone is how long the same machine takes for the same command, with a host that
// answers it and does nothing else.
func alone(t *testing.T, monitor, accelerator string) time.Duration {
	t.Helper()
	img, err := bootimage.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	kernel := img.Parts.Kernel
	if elf := img.Parts.KernelELF; elf != nil && qemu.BootsELF(img.Path(elf)) {
		kernel = elf
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	begin := time.Now()
	vm, err := qemu.New(qemu.Config{Path: monitor, Accelerator: accelerator}).Boot(ctx, engine.Machine{
		Kernel: img.Path(kernel), Initramfs: img.Path(img.Parts.Initramfs), RootFS: img.Path(img.Parts.RootFS),
		CommandLine: "glasshouse.root=" + img.RootFSType + " -- guest", MemoryMiB: 512, CPUs: 1, Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Kill()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v: %s", err, vm.Console())
		}
	}
	c, err := vm.Accept(ctx)
	must(err)
	conn, err := channel.Host(c)
	must(err)
	control, err := conn.Accept(channel.Control)
	must(err)
	guest := channel.NewMessages(control)
	hear := func() (m channel.ToHost) {
		must(guest.Receive(&m))
		return m
	}
	hear()
	must(guest.Send(&channel.ToGuest{Spec: &channel.Spec{Argv: [][]byte{[]byte("true")}, Env: [][]byte{[]byte("PATH=/usr/bin:/bin")}, Observe: true, CaptureArgv: true, Now: time.Now()}}))
	for _, name := range []string{channel.Stdout, channel.Stderr, channel.Records} {
		s, err := conn.Accept(name)
		must(err)
		go func() { _, _ = io.Copy(io.Discard, s) }()
	}
	hear()
	must(guest.Send(&channel.ToGuest{Start: &channel.Start{}}))
	for {
		if m := hear(); m.Failed != nil {
			t.Fatal(m.Failed.Reason)
		} else if m.Result != nil {
			break
		}
	}
	must(guest.Send(&channel.ToGuest{Ack: &channel.Ack{}}))
	<-vm.Done()
	return time.Since(begin)
}
