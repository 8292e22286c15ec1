package guest

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// filesystem is one that Setup mounts.
type filesystem struct {
	kind, target string
	magic        int64 // what statfs says when it is there
	flags        uintptr
	options      string
}

const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

var (
	procFS   = filesystem{"proc", "/proc", unix.PROC_SUPER_MAGIC, quiet, ""}
	cgroup2  = filesystem{"cgroup2", "/sys/fs/cgroup", unix.CGROUP2_SUPER_MAGIC, quiet, ""}
	otherFSs = []filesystem{
		{"sysfs", "/sys", unix.SYSFS_MAGIC, quiet, ""},
		{"bpf", "/sys/fs/bpf", unix.BPF_FS_MAGIC, quiet, "mode=0700"},
		{"tracefs", "/sys/kernel/tracing", unix.TRACEFS_MAGIC, quiet, "mode=0700"},
	}
)

// Setup mounts proc, sysfs, bpf, tracefs and cgroup2 where they are missing,
// and lifts the limit of locked memory, which kernels before 5.11 count BPF
// maps against. The report says how each step went. Only /proc cannot be done
// without: its failure is the error.
func Setup() (Report, error) {
	report := Report{Init: os.Getpid() == 1}
	step := func(name string, outcome Outcome, err error) {
		if err != nil {
			outcome = Failed
		}
		report.Steps = append(report.Steps, Step{Name: name, Outcome: outcome, Err: err})
	}

	outcome, err := setupProc()
	step(procFS.String(), outcome, err)
	if err != nil {
		return report, fmt.Errorf("%s: %w", procFS, err)
	}
	for _, fs := range otherFSs {
		outcome, err := fs.ensure()
		step(fs.String(), outcome, err)
	}
	outcome, err = setupCgroup()
	step(cgroup2.String(), outcome, err)
	outcome, err = raiseMemlock()
	step("raise memlock", outcome, err)
	return report, nil
}

func (fs filesystem) String() string { return "mount " + fs.kind + " on " + fs.target }

// there asks the target itself: before /proc there is no list of mounts.
func (fs filesystem) there() bool {
	var st unix.Statfs_t
	return unix.Statfs(fs.target, &st) == nil && int64(st.Type) == fs.magic
}

func (fs filesystem) ensure() (Outcome, error) {
	if fs.there() {
		return Already, nil
	}
	if err := os.MkdirAll(fs.target, 0o755); err != nil {
		return Failed, err
	}
	if err := unix.Mount(fs.kind, fs.target, fs.kind, fs.flags, fs.options); err != nil {
		return Failed, explain(fs, err)
	}
	return Done, nil
}

func explain(fs filesystem, err error) error {
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("the kernel has no %s filesystem: %w", fs.kind, err)
	}
	return err
}

// errForeignProc is not remedied by mounting over it: in a mount namespace
// that is not ours alone that would take /proc from everybody else.
var errForeignProc = errors.New("/proc belongs to another pid namespace (unshare --mount-proc gives one of its own)")

func setupProc() (Outcome, error) {
	outcome, err := procFS.ensure()
	if err != nil {
		return outcome, err
	}
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return Failed, errForeignProc
	}
	if mountedEarly {
		outcome = Done
	}
	return outcome, nil
}

// setupCgroup is content with a cgroup2 hierarchy anywhere, and leaves a
// /sys/fs/cgroup that is used for something else alone.
func setupCgroup() (Outcome, error) {
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return Failed, fmt.Errorf("list mounts: %w", err)
	}
	var occupant string
	for _, m := range mounts {
		switch {
		case m.FSType == cgroup2.kind:
			return Already, nil
		case m.Mountpoint == cgroup2.target:
			occupant = m.FSType
		}
	}
	if occupant != "" {
		return Failed, fmt.Errorf("%s is mounted there", occupant)
	}
	return cgroup2.ensure()
}

func raiseMemlock() (Outcome, error) {
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &now); err != nil {
		return Failed, err
	}
	if now == unlimited {
		return Already, nil
	}
	err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unlimited)
	if err == nil {
		return Done, nil
	}
	// Without CAP_SYS_RESOURCE, as far as it goes.
	if now.Cur < now.Max {
		now.Cur = now.Max
		_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &now)
	}
	return Failed, fmt.Errorf("limited to %d bytes: %w", now.Cur, err)
}
