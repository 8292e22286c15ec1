// Package firecracker is an engine that boots machines with Firecracker.
//
// It starts one Firecracker a machine, as root in a jail of Firecracker's
// jailer where that is installed, configures it over its API, and takes the
// one call that the guest makes over vsock. When glasshouse dies, so does
// Firecracker.
package firecracker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"glasshouse/backend/microvm/engine"
)

// NoJailer is an Engine.Jailer that does without.
const NoJailer = "none"

// Engine boots machines with Firecracker. The zero value looks for all that
// it needs.
type Engine struct {
	// Program is Firecracker's name or path; "" is firecracker.
	Program string

	// Jailer is the jailer's name or path, or NoJailer. "" is the one beside
	// Program or in PATH if glasshouse is root; if there is none, Firecracker
	// runs without.
	Jailer string

	patience patience // zero is the default's
	kvm      string   // "" is /dev/kvm
}

var _ engine.Engine = Engine{}

// Name is firecracker.
func (Engine) Name() string { return "firecracker" }

// patience is for how long things are waited for.
type patience struct {
	version time.Duration // a program's answer to --version
	socket  time.Duration // from the start to an API that can be dialled
	call    time.Duration // of the API
	start   time.Duration // the call that starts the guest: it reads kernel and initramfs
	drain   time.Duration // from the end to the last of the output
}

var defaultPatience = patience{
	version: 5 * time.Second,
	socket:  10 * time.Second,
	call:    10 * time.Second,
	start:   time.Minute,
	drain:   time.Second,
}

func (e Engine) waits() patience {
	if e.patience == (patience{}) {
		return defaultPatience
	}
	return e.patience
}

// Error says why a machine cannot be booted.
type Error struct {
	Reason string
	Hint   string // what would help; "" if nothing is known to
	Err    error  // nil if the reason is all
}

func (e *Error) Error() string {
	if e.Err == nil {
		return "firecracker: " + e.Reason
	}
	return fmt.Sprintf("firecracker: %s: %v", e.Reason, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Why a file cannot be booted from, apart from what the system says.
var (
	ErrNoPath     = errors.New("no path given")
	ErrDirectory  = errors.New("is a directory")
	ErrNotRegular = errors.New("is not a regular file")
	ErrEmptyFile  = errors.New("is empty")
)

const (
	maxCPUs        = 32
	maxCommandLine = 2048 - 1 // of which devices take a part, as Firecracker adds them
)

// ownParameters of the kernel are those without which a guest of Firecracker is
// mute, slow or never ends. A reset by the keyboard controller is how a guest
// ends there; a kernel that stumbles takes it, too. Waiting for a grace period is
// most of what attaching a program takes.
func ownParameters() string {
	const all = "console=ttyS0 loglevel=4 panic=-1 oops=panic reboot=k random.trust_cpu=on " +
		"rcupdate.rcu_expedited=1 rcupdate.rcu_normal_after_boot=0 pci=off"
	if runtime.GOARCH == "amd64" {
		// Nor is there a mouse to be looked for.
		return all + " i8042.noaux i8042.nomux i8042.dumbkbd"
	}
	return all
}

// commandLine puts the engine's own parameters first: what follows " -- " is
// for the guest's first process.
func commandLine(m engine.Machine) string {
	return strings.TrimRight(ownParameters()+" "+m.CommandLine, " ")
}

// check finds what Firecracker would refuse, or would understand in another
// way than it is meant.
func check(m engine.Machine) error {
	switch line := commandLine(m); {
	case m.CPUs < 1 || m.CPUs > maxCPUs:
		return &Error{Reason: fmt.Sprintf("%d CPUs", m.CPUs), Hint: fmt.Sprintf("give the guest 1 to %d", maxCPUs)}
	case m.MemoryMiB < 1:
		return &Error{Reason: fmt.Sprintf("%d MiB of memory", m.MemoryMiB), Hint: "give the guest 128 MiB or more"}
	case m.Share != "":
		return &Error{Reason: "a shared folder", Hint: "Firecracker has no virtiofs, QEMU has"}
	case strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }):
		return &Error{Reason: "the kernel's command line holds more than printable ASCII"}
	case len(line) > maxCommandLine:
		return &Error{Reason: fmt.Sprintf("the kernel's command line takes %d bytes of %d", len(line), maxCommandLine)}
	}
	for _, image := range []struct {
		part, path string
		optional   bool
	}{
		{"kernel", m.Kernel, false},
		{"initramfs", m.Initramfs, true},
		{"root file system", m.RootFS, true},
	} {
		if image.path == "" && image.optional {
			continue
		}
		if err := checkImage(image.path); err != nil {
			return &Error{Reason: strings.TrimRight(image.part+" "+image.path, " "), Err: err}
		}
	}
	return nil
}

// checkImage opens regular files alone: to open a fifo would block, and to
// open a device can do something.
func checkImage(path string) error {
	if path == "" {
		return ErrNoPath
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return cause(err)
	case info.IsDir():
		return ErrDirectory
	case !info.Mode().IsRegular():
		return ErrNotRegular
	case info.Size() == 0:
		return ErrEmptyFile
	}
	f, err := os.Open(path)
	if err != nil {
		return cause(err)
	}
	return f.Close()
}

// cause leaves out the path, which has been named already.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
