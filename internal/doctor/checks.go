package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"glasshouse/audit"
	"glasshouse/backend/microvm/firecracker"
)

// asRoot is how to get the right to use eBPF.
func (m Machine) asRoot() string {
	if m.Rights.UserNamespace || m.Rights.Bounded {
		return m.Rights.Remedy()
	}
	return "run glasshouse as root, or: sudo setcap cap_bpf,cap_perfmon+ep $(command -v glasshouse)"
}

// kernel: typed tracepoints came with 5.5, the ring buffer and CAP_BPF with 5.8.
func (m Machine) kernel() Check {
	c := Check{Name: "kernel", Found: m.Release, Needed: "5.8 or newer", Status: OK}
	major, minor, ok := parseRelease(m.Release)
	switch {
	case !ok:
		c.Status = Warn
		c.Found = fmt.Sprintf("an unknown version %q", m.Release)
		c.Remedy = "see whether the trial below succeeds"
	case major < 5 || major == 5 && minor < 8:
		c.Status = Fail
		c.Remedy = "boot a newer kernel"
	}
	return c
}

// parseRelease reads the beginning of what uname -r prints.
func parseRelease(release string) (major, minor int, ok bool) {
	first, rest, found := strings.Cut(release, ".")
	if !found {
		return 0, 0, false
	}
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		rest = rest[:end]
	}
	major, err1 := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(rest)
	return major, minor, err1 == nil && err2 == nil
}

func (m Machine) btf() Check {
	const file = "sys/kernel/btf/vmlinux"
	c := Check{Name: "btf", Needed: "/" + file + ", readable", Status: OK}
	f, err := m.Root.Open(file)
	switch {
	case err == nil:
		f.Close()
		c.Found = "/" + file
	case errors.Is(err, fs.ErrNotExist):
		c.Status = Fail
		c.Found = "no /" + file
		c.Remedy = "boot a kernel that was built with CONFIG_DEBUG_INFO_BTF=y, and mount sysfs on /sys"
	default:
		c.Status = Fail
		c.Found = reason(err)
		c.Remedy = m.asRoot()
	}
	return c
}

func (m Machine) ringBuffer() Check {
	c := Check{Name: "ring buffer", Needed: "BPF_MAP_TYPE_RINGBUF (5.8)", Status: OK}
	err := m.RingBuf()
	switch {
	case err == nil:
		c.Found = "made one"
	case errors.Is(err, fs.ErrPermission):
		c.Status = Warn
		c.Found = "may not make one: " + err.Error()
		c.Remedy = m.asRoot()
	default:
		c.Status = Fail
		c.Found = err.Error()
		c.Remedy = "boot kernel 5.8 or newer"
	}
	return c
}

// tracefs is looked at because other tools need it, and because people expect
// it to matter: typed tracepoints are found through BTF.
func (m Machine) tracefs() Check {
	c := Check{Name: "tracefs", Needed: "nothing: the hooks are found through BTF", Status: OK, Found: "not mounted"}
	if mounts := m.mounts("tracefs"); len(mounts) > 0 {
		c.Found = mounts[0]
	}
	return c
}

// Numbers of linux/capability.h.
const (
	capSysAdmin    = 21
	capSysResource = 24
	capPerfmon     = 38
	capBPF         = 39
)

func (m Machine) capabilities() Check {
	c := Check{Name: "capabilities", Needed: "CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN", Status: OK}
	wanted := []struct {
		name   string
		number int
	}{
		{"CAP_BPF", capBPF}, {"CAP_PERFMON", capPerfmon}, {"CAP_SYS_ADMIN", capSysAdmin}, {"CAP_SYS_RESOURCE", capSysResource},
	}
	has := map[int]bool{}
	var found []string
	for _, w := range wanted {
		ok, err := m.Capable(w.number)
		if err != nil {
			c.Status = Warn
			c.Found = "unknown: " + err.Error()
			c.Remedy = "see whether the trial below succeeds"
			return c
		}
		if has[w.number] = ok; ok {
			found = append(found, w.name)
		}
	}
	c.Found = "none of them"
	if len(found) > 0 {
		c.Found = strings.Join(found, ", ")
	}
	major, minor, known := parseRelease(m.Release)
	// Maps were charged to RLIMIT_MEMLOCK until 5.11.
	memlock := known && (major < 5 || major == 5 && minor < 11)
	if memlock {
		c.Needed += "; CAP_SYS_RESOURCE before kernel 5.11"
	}
	switch {
	case m.Rights.UserNamespace:
		c.Status = Fail
		c.Found += ", in a user namespace, where they do not count for eBPF"
		c.Remedy = m.asRoot()
	case !has[capSysAdmin] && !(has[capBPF] && has[capPerfmon]):
		c.Status = Fail
		c.Remedy = m.asRoot()
	case memlock && !has[capSysResource]:
		c.Status = Warn
		c.Remedy = "raise the memlock limit (ulimit -l unlimited), or run glasshouse as root"
	}
	return c
}

// lockdown in the mode "confidentiality" forbids programs to read the kernel.
func (m Machine) lockdown() Check {
	c := Check{Name: "lockdown", Needed: "none or integrity", Status: OK, Found: "none"}
	text, err := fs.ReadFile(m.Root, "sys/kernel/security/lockdown")
	if errors.Is(err, fs.ErrNotExist) {
		c.Found = "none (not in this kernel, or securityfs is not mounted)"
		return c
	}
	if err != nil {
		c.Status = Warn
		c.Found = "unknown: " + reason(err)
		c.Remedy = "see whether the trial below succeeds"
		return c
	}
	// The mode in force stands in brackets: "none [integrity] confidentiality".
	if _, after, ok := strings.Cut(string(text), "["); ok {
		c.Found, _, _ = strings.Cut(after, "]")
	}
	if c.Found == "confidentiality" {
		c.Status = Fail
		c.Remedy = "boot without lockdown=confidentiality"
	}
	return c
}

func (m Machine) perfEventParanoid() Check {
	c := Check{Name: "perf_event_paranoid", Needed: "any value with CAP_PERFMON or CAP_SYS_ADMIN", Status: OK}
	text, err := fs.ReadFile(m.Root, "proc/sys/kernel/perf_event_paranoid")
	if err != nil {
		c.Status = Warn
		c.Found = "unknown: " + reason(err)
		c.Remedy = "mount proc on /proc"
		return c
	}
	c.Found = strings.TrimSpace(string(text))
	perfmon, err1 := m.Capable(capPerfmon)
	admin, err2 := m.Capable(capSysAdmin)
	if err1 != nil || err2 != nil || !perfmon && !admin || m.Rights.UserNamespace {
		c.Status = Warn
		c.Found += ", and neither capability that counts"
		c.Remedy = m.asRoot()
	}
	return c
}

// cgroup: without a group of its own a run cannot be killed or frozen whole.
func (m Machine) cgroup() Check {
	c := Check{Name: "cgroup v2", Needed: "mounted, and this process's group writable", Status: OK}
	mounts := m.mounts("cgroup2")
	if len(mounts) == 0 {
		c.Status = Warn
		c.Found = "not mounted"
		c.Remedy = "mount -t cgroup2 none /sys/fs/cgroup"
		return c
	}
	dir := path.Join(mounts[0], m.ownCgroup())
	c.Found = dir
	if err := m.Writable(dir); err != nil {
		c.Status = Warn
		c.Found += ": " + reason(err)
		c.Remedy = "run glasshouse as root, or in a delegated group: systemd-run --user --scope -p Delegate=yes glasshouse ..."
	}
	return c
}

// ownCgroup is this process's group in the v2 hierarchy: the line "0::/path".
func (m Machine) ownCgroup() string {
	text, err := fs.ReadFile(m.Root, "proc/self/cgroup")
	if err != nil {
		return "/"
	}
	for line := range strings.Lines(string(text)) {
		if group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return group
		}
	}
	return "/"
}

func (m Machine) kvm() Check {
	c := Check{Name: "kvm", Needed: "/dev/kvm, writable, for commands in a virtual machine alone", Status: OK, Found: "/dev/kvm"}
	if err := m.Writable("/dev/kvm"); err != nil {
		c.Status = Warn
		c.Found = "/dev/kvm: " + reason(err)
		c.Remedy = "enable virtualization (modprobe kvm), and join the group kvm"
		if errors.Is(err, fs.ErrPermission) {
			c.Remedy = "join the group kvm"
		}
		return c
	}
	switch works, known := m.BootsGuest(); {
	case !known:
		c.Found += ", untried: the first run with --backend qemu tries it"
	case !works:
		c.Status = Warn
		c.Found += " opens, and has booted no guest: QEMU emulates the processor instead"
		c.Remedy = "on a machine that is a guest itself enable nested virtualization on its host"
	default:
		c.Found += ", which has booted a guest"
	}
	return c
}

// firecracker needs KVM too; neither a module for vsock nor a network.
func (m Machine) firecracker(ctx context.Context) Check {
	c := Check{Name: "firecracker", Needed: firecracker.Oldest + " or newer, and for root its jailer, for commands in its machines alone", Status: OK}
	in, err := m.Firecracker(ctx)
	if err != nil {
		c.Status = Warn
		c.Found = strings.TrimPrefix(err.Error(), "firecracker: ")
		c.Remedy = "see the error"
		var ours *firecracker.Error
		if errors.As(err, &ours) && ours.Hint != "" {
			c.Remedy = ours.Hint
		}
		return c
	}
	c.Found = in.Version + ", " + in.Program
	switch {
	case in.Jailer != "":
		c.Found += ", jailed by " + in.Jailer
	case in.Unjailed == firecracker.NotInstalled:
		c.Status = Warn
		c.Found += ", run by root without a jail: there is no jailer"
		c.Remedy = "install the jailer of Firecracker " + in.Version + " beside it"
	default:
		c.Found += ", without a jail: " + in.Unjailed
	}
	return c
}

func (m Machine) wsl() Check {
	c := Check{Name: "wsl", Needed: "no", Status: OK, Found: "no"}
	if strings.Contains(strings.ToLower(m.Release), "microsoft") {
		c.Status = Warn
		c.Found = "yes: arguments of programs are not recorded"
		c.Remedy = "set GLASSHOUSE_CAPTURE_ARGV=force to record them"
	}
	return c
}

// trial gives the verdict.
func (m Machine) trial(ctx context.Context) (Check, bool) {
	c := Check{Name: "trial", Needed: "all programs load and attach", Status: OK}
	hooks, err := m.Trial(ctx)
	if err != nil {
		c.Status = Fail
		c.Found = err.Error()
		c.Remedy = remedy(err, "see the checks above")
		return c, false
	}
	var missing []string
	for _, h := range hooks {
		if !h.Attached {
			missing = append(missing, h.Name+" ("+h.Err+")")
		}
	}
	c.Found = fmt.Sprintf("%d of %d hooks attached", len(hooks)-len(missing), len(hooks))
	if len(missing) > 0 {
		c.Status = Warn
		c.Found += "; not: " + strings.Join(missing, ", ")
		c.Remedy = "receipts will not be complete; a newer kernel may help"
	}
	return c, len(hooks) > len(missing)
}

func (m Machine) trace() (Check, bool) {
	c := Check{Name: "ptrace", Needed: "a process can be traced, where eBPF cannot be used", Status: OK, Found: "a process was traced"}
	err := m.Trace()
	if err == nil {
		return c, true
	}
	c.Status, c.Found = Fail, err.Error()
	c.Remedy = remedy(err, "let processes trace their children")
	return c, false
}

// remedy is the hint of an error, unless that leads back here.
func remedy(err error, otherwise string) string {
	var unavailable *audit.UnavailableError
	if errors.As(err, &unavailable) && unavailable.Hint != "" && !strings.HasPrefix(unavailable.Hint, "run glasshouse doctor") {
		return unavailable.Hint
	}
	return otherwise
}

// mounts lists where file systems of a type are mounted, from
// /proc/self/mountinfo: the type follows the field "-".
func (m Machine) mounts(fstype string) []string {
	text, err := fs.ReadFile(m.Root, "proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		for i := 6; i+1 < len(fields); i++ {
			if fields[i] == "-" {
				if fields[i+1] == fstype {
					found = append(found, unescape.Replace(fields[4]))
				}
				break
			}
		}
	}
	return found
}

// unescape undoes what the kernel does to blanks in mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// reason is an error without the name of what it is about.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
