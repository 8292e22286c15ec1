// Package rights knows what keeps a process from using eBPF, and what would help.
package rights

// Linux are the rights of a process that matter to eBPF.
type Linux struct {
	// UserNamespace: it is in another user namespace than the machine's own, where
	// capabilities are none to the kernel as a whole.
	UserNamespace bool
	// Bounded: it cannot get the capabilities, not even as root, as in a container.
	Bounded bool
	// Capable: it has them.
	Capable bool
}

// Remedy is how to get the right to load eBPF programs.
func (l Linux) Remedy() string {
	switch {
	case l.UserNamespace:
		return "run outside of the user namespace, as root or with CAP_BPF and CAP_PERFMON"
	case l.Bounded:
		return "give the container CAP_BPF and CAP_PERFMON (--cap-add BPF --cap-add PERFMON), and run as its root"
	}
	return "run as root, or with CAP_BPF and CAP_PERFMON"
}
