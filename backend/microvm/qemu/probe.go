package qemu

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"glasshouse/internal/files"
)

// A /dev/kvm that opens need not boot a guest: on a host that is a guest itself
// it may be refused, or hang. So a kernel is booted without anything else, which
// panics when it finds no root and ends at once. What came of it is kept until
// the host boots anew or has another QEMU.

// probeLimit is far above the tenths of a second that the probe takes where KVM
// works.
const probeLimit = 5 * time.Second

// proof is what the kernel prints first.
var proof = []byte("Linux version")

// finding is what a probe found.
type finding struct {
	BootID  string `json:"boot_id"`
	Program string `json:"program"`
	Version string `json:"version"`
	Works   bool   `json:"works"`
}

// accelerator is the better one that works here.
func (e *Engine) accelerator(ctx context.Context, path, version, kernel string) string {
	if !usable() {
		return TCG
	}
	if was := found(e.cfg.State); was != nil && was.Program == path && was.Version == version {
		return named(was.Works)
	}
	now := finding{BootID: bootID(), Program: path, Version: version, Works: boots(ctx, path, kernel)}
	if e.cfg.State != "" && ctx.Err() == nil {
		if b, err := json.Marshal(now); err == nil {
			_ = keep(findingFile(e.cfg.State), b) // the next run finds out anew
		}
	}
	return named(now.Works)
}

// Tried tells what came of the probe if there was one since the host booted: whether
// KVM boots a guest.
func Tried(state string) (works, known bool) {
	was := found(state)
	return was != nil && was.Works, was != nil
}

// found is what a probe has found since the host booted; nil if there was none.
func found(state string) *finding {
	if state == "" {
		return nil
	}
	b, err := os.ReadFile(findingFile(state))
	if err != nil {
		return nil
	}
	var was finding
	if json.Unmarshal(b, &was) != nil || was.BootID == "" || was.BootID != bootID() {
		return nil
	}
	return &was
}

func findingFile(state string) string { return filepath.Join(state, "kvm.json") }

func named(works bool) string {
	if works {
		return KVM
	}
	return TCG
}

// keep replaces a file, in a folder that it makes if need be.
func keep(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return files.Replace(file, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// boots tells whether a kernel gets to run under KVM.
func boots(ctx context.Context, path, kernel string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, path,
		"-M", machineType+withoutTimers, "-accel", "kvm", "-cpu", "host", "-m", "128",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", kernel, "-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1 reboot=t")
	cmd.Stdout = &out
	_ = cmd.Run() // how it ended does not matter
	return bytes.Contains(out.Bytes(), proof)
}

// bootID is new with each boot of the host; "" if it cannot be told.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}
