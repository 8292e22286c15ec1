package process

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"glasshouse/internal/procfs"
)

// identify names a process that cannot have been reaped yet.
func identify(pid int) identity {
	stat, _ := procfs.ReadStat(pid)
	return identity{pid: pid, start: stat.Start}
}

// killDescendants ends root and all who descend from it. They are stopped
// first, parents before children, until a look at /proc finds no more: a
// process that has stopped cannot fork, and one whose parent lives can be
// found.
func killDescendants(root identity) {
	if !there(root) {
		return
	}
	tree := []identity{root}
	known := map[identity]bool{root: true}
	send(root, unix.SIGSTOP)
	for more := true; more; {
		more = false
		for _, p := range childrenOf(known) {
			if !known[p] {
				known[p] = true
				tree = append(tree, p)
				send(p, unix.SIGSTOP)
				more = true
			}
		}
	}
	for _, p := range tree {
		send(p, unix.SIGKILL)
	}
}

// childrenOf lists the processes whose parent is one of the given.
func childrenOf(parents map[identity]bool) []identity {
	byPID := make(map[int]bool, len(parents))
	for p := range parents {
		byPID[p.pid] = true
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var found []identity
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if stat, err := procfs.ReadStat(pid); err == nil && byPID[stat.Parent] {
			found = append(found, identity{pid: pid, start: stat.Start})
		}
	}
	return found
}

// send signals p, and nobody who got its number after it.
func send(p identity, sig unix.Signal) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.3
		if there(p) {
			_ = unix.Kill(p.pid, sig)
		}
		return
	}
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if there(p) {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}

// there tells whether p's number is still p's.
func there(p identity) bool {
	stat, err := procfs.ReadStat(p.pid)
	return err == nil && stat.Start == p.start
}

// ownPeak is the recorder's peak of resident memory in KiB; 0 if unknown.
func ownPeak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	peak, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return peak
}

// sysAttr is how the child is to be made.
func (b *Backend) sysAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: credential(b.cmd.User), Ptrace: b.stopAtExec}
}
