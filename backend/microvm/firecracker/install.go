package firecracker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// oldest is the first Firecracker that tells the guest of its devices by ACPI.
// Before, it did so on the command line alone, which the kernels of
// distributions do not look for. All else that is used here is older: the
// entropy device came with 1.4.
var oldest = version{1, 8, 0}

// Oldest is the first version that will do.
var Oldest = oldest.String()

// Why there is no jailer, where that is no error.
const (
	NotWanted    = "it is not wanted"
	NotRoot      = "it takes root"
	NotInstalled = "it is not installed"
)

// Installation is what there is on this machine to boot with.
type Installation struct {
	Program  string // Firecracker's path, of the file itself
	Version  string // as it says
	Jailer   string // the jailer's path; "" if Firecracker is to run without
	Unjailed string // why there is none: one of the constants
}

// Installed finds Firecracker, and its jailer, and sees whether this process
// may use KVM. Its errors are *Error.
func (e Engine) Installed(ctx context.Context) (Installation, error) {
	program, err := lookUp(or(e.Program, "firecracker"))
	if err != nil {
		return Installation{}, &Error{Reason: "no Firecracker", Err: err,
			Hint: fmt.Sprintf("install Firecracker %s or newer, as firecracker in PATH", oldest)}
	}
	in := Installation{Program: program}
	v, said, err := e.versionOf(ctx, program, "Firecracker")
	if err != nil {
		return in, &Error{Reason: "the version of " + program, Err: err,
			Hint: fmt.Sprintf("see whether %s --version runs, and is that of a Firecracker", program)}
	}
	in.Version = said
	if v.before(oldest) {
		return in, &Error{Reason: fmt.Sprintf("%s is version %s, and %s is the oldest that will do", program, said, oldest),
			Hint: fmt.Sprintf("install Firecracker %s or newer", oldest)}
	}
	if err := e.findJailer(ctx, &in); err != nil {
		return in, err
	}
	return in, openKVM(or(e.kvm, "/dev/kvm"))
}

func (e Engine) findJailer(ctx context.Context, in *Installation) error {
	root := os.Geteuid() == 0
	switch {
	case e.Jailer == NoJailer:
		in.Unjailed = NotWanted
		return nil
	case !root && e.Jailer == "":
		in.Unjailed = NotRoot
		return nil
	case !root:
		return &Error{Reason: "a jailer takes root", Hint: "run glasshouse as root, or without the jailer"}
	}
	names := []string{e.Jailer}
	if e.Jailer == "" {
		// Releases name both after version and architecture.
		dir, base := filepath.Split(in.Program)
		names = []string{dir + strings.Replace(base, "firecracker", "jailer", 1), dir + "jailer", "jailer"}
	}
	var path string
	var err error
	for _, name := range names {
		if path, err = lookUp(name); err == nil && path != in.Program {
			break
		}
		path = ""
	}
	switch {
	case path != "":
	case e.Jailer == "":
		in.Unjailed = NotInstalled
		return nil
	default:
		return &Error{Reason: "no jailer", Err: err, Hint: "install the jailer of Firecracker " + in.Version + ", or do without"}
	}
	_, said, err := e.versionOf(ctx, path, "Jailer")
	if err == nil && said != in.Version {
		err = fmt.Errorf("it is version %s, Firecracker is %s", said, in.Version)
	}
	if err != nil {
		return &Error{Reason: "the jailer " + path, Err: err,
			Hint: "install Firecracker and jailer of one release"}
	}
	in.Jailer = path
	return nil
}

// lookUp finds a program, and the file itself behind symbolic links: the
// jailer names the jail after it.
func lookUp(name string) (string, error) {
	path, err := exec.LookPath(name)
	var failed *exec.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the name, quoted
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// openKVM does what Firecracker will do first.
func openKVM(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		return f.Close()
	}
	e := &Error{Reason: path, Err: cause(err), Hint: "enable virtualization, and load its module: modprobe kvm_intel, or kvm_amd"}
	if errors.Is(err, fs.ErrPermission) {
		e.Hint = "join the group kvm: sudo usermod -aG kvm $USER, and log in again"
	}
	return e
}

// maxVersionOutput is more than either program prints.
const maxVersionOutput = 4096

// versionOf asks a program for its version: "Firecracker v1.8.0" and the like
// in the first line of its output.
func (e Engine) versionOf(ctx context.Context, path, name string) (version, string, error) {
	limit := e.waits().version
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit))
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.WaitDelay = limit // should it have children that hold the output
	out := newTail(maxVersionOutput)
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return version{}, "", err
	}
	line, _, _ := strings.Cut(out.String(), "\n")
	said, ok := strings.CutPrefix(line, name+" v")
	v, err := parseVersion(said)
	if !ok || err != nil {
		return version{}, "", fmt.Errorf(`--version says "%s"`, clip(line, 80))
	}
	return v, strings.TrimSpace(said), nil
}

type version [3]int // major, minor, patch

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

func (v version) before(w version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

// parseVersion takes what may follow the three numbers, such as -dev, for
// nothing.
func parseVersion(s string) (version, error) {
	var v version
	core, _, _ := strings.Cut(strings.TrimSpace(s), "-")
	parts := strings.Split(core, ".")
	if len(parts) != len(v) {
		return version{}, fmt.Errorf("%q is not a version", clip(s, 40))
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return version{}, fmt.Errorf("%q is not a version", clip(s, 40))
		}
		v[i] = int(n)
	}
	return v, nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func clip(s string, most int) string {
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
