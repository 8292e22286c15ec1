package journal

import (
	"os"
	"strings"

	"glasshouse/internal/procfs"
)

// self names this process, and the boot and PID namespace that it lives in.
func self() (p Process, boot, namespace string) {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // "" matches nothing
	namespace, _ = os.Readlink("/proc/self/ns/pid")
	return Process{PID: os.Getpid(), Start: startOf(os.Getpid())}, strings.TrimSpace(string(id)), namespace
}

// startOf is when a process started, in clock ticks since boot; 0 if there is
// none.
func startOf(pid int) uint64 {
	stat, _ := procfs.ReadStat(pid)
	return stat.Start
}
