package process

import (
	"bytes"
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// identify names a process that cannot have been reaped yet.
func identify(pid int) identity {
	_, start, _ := readStat(pid)
	return identity{pid: pid, start: start}
}

// killDescendants ends root and all who descend from it. They are stopped
// first, parents before children, until a look at /proc finds no more: a
// process that has stopped cannot fork, and one whose parent lives can be
// found.
func killDescendants(root identity) {
	if _, start, err := readStat(root.pid); err != nil || start != root.start {
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
		if ppid, start, err := readStat(pid); err == nil && byPID[ppid] {
			found = append(found, identity{pid: pid, start: start})
		}
	}
	return found
}

// send signals p, and nobody who got its number after it.
func send(p identity, sig unix.Signal) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.3
		if _, start, err := readStat(p.pid); err == nil && start == p.start {
			_ = unix.Kill(p.pid, sig)
		}
		return
	}
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if _, start, err := readStat(p.pid); err == nil && start == p.start {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}

var errStat = errors.New("malformed /proc/PID/stat")

// readStat returns the parent and the start time (clock ticks since boot).
func readStat(pid int) (ppid int, start uint64, err error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, err
	}
	return parseStat(data)
}

func parseStat(data []byte) (ppid int, start uint64, err error) {
	// The name, in parentheses, may itself hold spaces and parentheses.
	_, rest, ok := bytes.Cut(data[max(0, bytes.LastIndexByte(data, ')')):], []byte(") "))
	fields := bytes.Fields(rest)
	const ppidField, startField = 4 - 3, 22 - 3 // numbered from 1; state is 3
	if !ok || len(fields) <= startField {
		return 0, 0, errStat
	}
	if ppid, err = strconv.Atoi(string(fields[ppidField])); err != nil {
		return 0, 0, errStat
	}
	if start, err = strconv.ParseUint(string(fields[startField]), 10, 64); err != nil {
		return 0, 0, errStat
	}
	return ppid, start, nil
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
