package doctor

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"glasshouse/audit"
	"glasshouse/backend/microvm/firecracker"
	"glasshouse/internal/rights"
)

// healthy is a machine on which all is as it should be.
func healthy() Machine {
	return Machine{
		OS:      "linux",
		Release: "6.12.3-amd64",
		Root: fstest.MapFS{
			"sys/kernel/btf/vmlinux":              {},
			"sys/kernel/security/lockdown":        {Data: []byte("none [integrity] confidentiality\n")},
			"proc/sys/kernel/perf_event_paranoid": {Data: []byte("2\n")},
			"proc/self/cgroup":                    {Data: []byte("1:name=systemd:/\n0::/user.slice\n")},
			"proc/self/mountinfo":                 {Data: []byte(mountinfo)},
		},
		Capable:  func(int) (bool, error) { return true, nil },
		Writable: func(string) error { return nil },
		RingBuf:  func() error { return nil },
		Trace:    func() error { return nil },

		BootsGuest: func() (works, known bool) { return true, true },
		Firecracker: func(context.Context) (firecracker.Installation, error) {
			return firecracker.Installation{Program: "/bin/firecracker", Version: "1.10.1", Jailer: "/bin/jailer"}, nil
		},
		Trial: func(context.Context) ([]audit.Hook, error) {
			return []audit.Hook{{Name: "sys_enter", Attached: true}}, nil
		},
	}
}

const mountinfo = `31 1 8:1 / / rw - ext4 /dev/sda1 rw
33 31 0:12 / /sys/kernel/tracing rw,relatime shared:3 - tracefs tracefs rw
41 31 0:38 / /sys/fs/cgroup/a\040b rw,relatime - cgroup2 cgroup2 rw
`

func find(t *testing.T, d Diagnosis, name string) Check {
	t.Helper()
	for _, c := range d.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %q in %v", name, d.Checks)
	return Check{}
}

func TestHealthy(t *testing.T) {
	d := Diagnose(context.Background(), healthy())
	if d.Mode != "ebpf" {
		t.Error("a healthy machine cannot observe")
	}
	for _, c := range d.Checks {
		if c.Status != OK || c.Remedy != "" {
			t.Errorf("%+v on a healthy machine", c)
		}
		if c.Name == "" || c.Found == "" || c.Needed == "" {
			t.Errorf("%+v leaves something unsaid", c)
		}
	}
	if got := find(t, d, "cgroup v2").Found; got != "/sys/fs/cgroup/a b/user.slice" {
		t.Errorf("cgroup: %q", got)
	}
	if got := find(t, d, "lockdown").Found; got != "integrity" {
		t.Errorf("lockdown: %q", got)
	}
	if got := find(t, d, "tracefs").Found; got != "/sys/kernel/tracing" {
		t.Errorf("tracefs: %q", got)
	}
}

func TestAilments(t *testing.T) {
	set := func(name, text string) func(*Machine) {
		return func(m *Machine) { m.Root.(fstest.MapFS)[name] = &fstest.MapFile{Data: []byte(text)} }
	}
	remove := func(name string) func(*Machine) {
		return func(m *Machine) { delete(m.Root.(fstest.MapFS), name) }
	}
	only := func(numbers ...int) func(*Machine) {
		return func(m *Machine) {
			m.Capable = func(n int) (bool, error) {
				for _, have := range numbers {
					if n == have {
						return true, nil
					}
				}
				return false, nil
			}
		}
	}
	vmm := func(in firecracker.Installation, err error) []func(*Machine) {
		return []func(*Machine){func(m *Machine) {
			m.Firecracker = func(context.Context) (firecracker.Installation, error) { return in, err }
		}}
	}
	release := func(r string) func(*Machine) { return func(m *Machine) { m.Release = r } }
	trace := func(err error) func(*Machine) { return func(m *Machine) { m.Trace = func() error { return err } } }
	trial := func(hooks []audit.Hook, err error) func(*Machine) {
		return func(m *Machine) {
			m.Trial = func(context.Context) ([]audit.Hook, error) { return hooks, err }
		}
	}
	confined := func(r rights.Linux) func(*Machine) { return func(m *Machine) { m.Rights = r } }
	for _, tc := range []struct {
		name   string
		change []func(*Machine)
		check  string
		status Status
		found  string // a part of it
		remedy string // a part of it
	}{
		{"old kernel", []func(*Machine){release("5.4.0-42")}, "kernel", Fail, "5.4.0-42", "newer kernel"},
		{"oldest kernel", []func(*Machine){release("5.8.0")}, "kernel", OK, "5.8.0", ""},
		{"kernel of two parts", []func(*Machine){release("6.1-rc3")}, "kernel", OK, "6.1", ""},
		{"odd kernel", []func(*Machine){release("next")}, "kernel", Warn, "unknown", "trial"},
		{"no btf", []func(*Machine){remove("sys/kernel/btf/vmlinux")}, "btf", Fail, "no /sys", "CONFIG_DEBUG_INFO_BTF"},
		{"ring buffer forbidden", []func(*Machine){func(m *Machine) { m.RingBuf = func() error { return syscall.EPERM } }},
			"ring buffer", Warn, "not permitted", "root"},
		{"no ring buffer", []func(*Machine){func(m *Machine) { m.RingBuf = func() error { return errors.New("unknown map type") } }},
			"ring buffer", Fail, "unknown map type", "5.8"},
		{"no tracefs", []func(*Machine){remove("proc/self/mountinfo")}, "tracefs", OK, "not mounted", ""},
		{"no capability", []func(*Machine){only()}, "capabilities", Fail, "none", "root"},
		{"half the capabilities", []func(*Machine){only(capBPF)}, "capabilities", Fail, "CAP_BPF", "cap_perfmon"},
		{"just enough", []func(*Machine){only(capBPF, capPerfmon)}, "capabilities", OK, "CAP_BPF, CAP_PERFMON", ""},
		{"admin", []func(*Machine){only(capSysAdmin)}, "capabilities", OK, "CAP_SYS_ADMIN", ""},
		{"capabilities of a user namespace", []func(*Machine){confined(rights.Linux{UserNamespace: true})},
			"capabilities", Fail, "CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_RESOURCE, in a user namespace", "outside of the user namespace"},
		{"container", []func(*Machine){only(), confined(rights.Linux{Bounded: true})}, "capabilities", Fail, "none", "--cap-add BPF"},
		{"memlock", []func(*Machine){only(capBPF, capPerfmon), release("5.10.0")}, "capabilities", Warn, "CAP_BPF", "memlock"},
		{"lockdown", []func(*Machine){set("sys/kernel/security/lockdown", "none integrity [confidentiality]\n")},
			"lockdown", Fail, "confidentiality", "lockdown"},
		{"no securityfs", []func(*Machine){remove("sys/kernel/security/lockdown")}, "lockdown", OK, "none", ""},
		{"paranoid", []func(*Machine){set("proc/sys/kernel/perf_event_paranoid", "4\n"), only()},
			"perf_event_paranoid", Warn, "4", "root"},
		{"paranoid, in a user namespace", []func(*Machine){confined(rights.Linux{UserNamespace: true})},
			"perf_event_paranoid", Warn, "2", "outside of the user namespace"},
		{"paranoid, but capable", []func(*Machine){set("proc/sys/kernel/perf_event_paranoid", "4\n"), only(capPerfmon)},
			"perf_event_paranoid", OK, "4", ""},
		{"no cgroup v2", []func(*Machine){set("proc/self/mountinfo", "")}, "cgroup v2", Warn, "not mounted", "mount -t cgroup2"},
		{"cgroup v2 of others", []func(*Machine){func(m *Machine) { m.Writable = func(string) error { return syscall.EACCES } }},
			"cgroup v2", Warn, "permission denied", "delegated"},
		{"no kvm", []func(*Machine){func(m *Machine) { m.Writable = func(string) error { return syscall.ENOENT } }},
			"kvm", Warn, "no such file", "modprobe"},
		{"kvm untried", []func(*Machine){func(m *Machine) { m.BootsGuest = func() (works, known bool) { return false, false } }},
			"kvm", OK, "/dev/kvm, untried", ""},
		{"kvm that boots nothing", []func(*Machine){func(m *Machine) { m.BootsGuest = func() (works, known bool) { return false, true } }},
			"kvm", Warn, "has booted no guest", "nested"},
		{"kvm of others", []func(*Machine){func(m *Machine) { m.Writable = func(string) error { return syscall.EACCES } }},
			"kvm", Warn, "permission denied", "group kvm"},
		{"firecracker, jailed", nil, "firecracker", OK, "1.10.1, /bin/firecracker, jailed by /bin/jailer", ""},
		{"no root", vmm(firecracker.Installation{Program: "/fc", Version: "1.8.0", Unjailed: "it takes root"}, nil),
			"firecracker", OK, "1.8.0, /fc, without a jail: it takes root", ""},
		{"no jailer", vmm(firecracker.Installation{Program: "/fc", Version: "1.8.0", Unjailed: firecracker.NotInstalled}, nil),
			"firecracker", Warn, "without a jail", "install the jailer of Firecracker 1.8.0"},
		{"no firecracker", vmm(firecracker.Installation{}, &firecracker.Error{Reason: "none", Hint: "get one", Err: fs.ErrNotExist}),
			"firecracker", Warn, "none: file does not exist", "get one"},
		{"no idea", vmm(firecracker.Installation{}, &firecracker.Error{Reason: "none"}), "firecracker", Warn, "none", "the error"},
		{"wsl", []func(*Machine){release("5.15.90.1-microsoft-standard-WSL2")}, "wsl", Warn, "yes", "force"},
		{"a hook refused", []func(*Machine){trial([]audit.Hook{{Name: "a", Attached: true}, {Name: "b", Err: "no such"}}, nil)},
			"trial", Warn, "1 of 2 hooks attached; not: b (no such)", "complete"},
		{"trial refused", []func(*Machine){trial(nil, &audit.UnavailableError{Reason: "no right", Hint: "be root", Err: fs.ErrPermission})},
			"trial", Fail, "no right", "be root"},
		{"trial refused, without a cause", []func(*Machine){trial(nil, &audit.UnavailableError{Reason: "who knows", Hint: "run glasshouse doctor", Err: fs.ErrPermission})},
			"trial", Fail, "who knows", "see the checks above"},
		{"trial fails", []func(*Machine){trial(nil, errors.New("boom"))}, "trial", Fail, "boom", "checks above"},
		{"tracing refused", []func(*Machine){trace(&audit.UnavailableError{Reason: "no right", Hint: "add a right"})},
			"ptrace", Fail, "no right", "add a right"},
		{"tracing fails", []func(*Machine){trace(errors.New("boom"))}, "ptrace", Fail, "boom", "trace their children"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := healthy()
			for _, change := range tc.change {
				change(&m)
			}
			d := Diagnose(context.Background(), m)
			c := find(t, d, tc.check)
			if c.Status != tc.status || !strings.Contains(c.Found, tc.found) || !strings.Contains(c.Remedy, tc.remedy) {
				t.Errorf("got %+v, want %s, found %q, remedy %q", c, tc.status, tc.found, tc.remedy)
			}
			if (c.Status == OK) != (c.Remedy == "") {
				t.Errorf("%+v: a remedy belongs to what is not ok, and to that alone", c)
			}
			want := "ebpf"
			if tc.check == "trial" && tc.status == Fail {
				want = "ptrace"
			}
			if d.Mode != want {
				t.Errorf("observes with %s, the trial says %s", d.Mode, want)
			}
		})
	}
}

// Where neither works nothing is observed.
func TestNeither(t *testing.T) {
	m := healthy()
	m.Trial = func(context.Context) ([]audit.Hook, error) { return nil, fs.ErrPermission }
	m.Trace = func() error { return fs.ErrPermission }
	if d := Diagnose(context.Background(), m); d.Mode != "none" {
		t.Errorf("observes with %s", d.Mode)
	}
}

func TestElsewhere(t *testing.T) {
	d := Diagnose(context.Background(), Machine{OS: "plan9"})
	if d.Mode != "none" || len(d.Checks) != 1 || d.Checks[0].Status != Fail {
		t.Errorf("got %+v", d)
	}
}
