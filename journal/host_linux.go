package journal

import (
	"bytes"
	"os"
	"strconv"
	"strings"
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
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name, in parentheses, may itself hold spaces and parentheses. After
	// it come the fields from the third on, and the start is the 22nd.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0
	}
	start, _ := strconv.ParseUint(string(fields[19]), 10, 64)
	return start
}
