package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
	"glasshouse/internal/procfs"
	"glasshouse/receipt"
)

// leftovers is what is left of a run on the machine.
type leftovers struct {
	known   []audit.ProcessID  // processes that the journal tells of
	unknown []receipt.Survivor // others in the run's cgroup
	fate    string             // of the processes, in one line
	notes   []string           // what else was found
}

func (rc *recovery) leftovers() (l leftovers) {
	running := rc.aggregator.Running()
	sameBoot, sameNamespace := rc.open.Here()
	switch {
	case !sameBoot:
		l.fate = "the machine has been started anew since: none of the run's processes is left, and how they ended is not known"
		return l
	case !sameNamespace:
		l.fate = "what became of the run's processes cannot be told from another PID namespace"
		return l
	}
	group, note := rc.group()
	if note != "" {
		l.notes = append(l.notes, note)
	}
	if group != "" {
		switch frozen, err := thaw(group); {
		case err != nil:
			l.notes = append(l.notes, "whether the run's processes were left frozen is not known, or they still are: "+err.Error())
		case frozen:
			l.notes = append(l.notes, "the run's processes were left frozen, and were thawed at the recovery")
		}
	}
	seen := map[int]bool{}
	for _, p := range running {
		if startedAt(p.PID, p.Start) && !zombie(int(p.PID)) {
			l.known = append(l.known, p)
			seen[int(p.PID)] = true
		}
	}
	for _, pid := range members(group) {
		if !seen[pid] && !zombie(pid) {
			exe, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe") // "" for what has none
			l.unknown = append(l.unknown, receipt.Survivor{PID: int32(pid), Exe: exe})
		}
	}
	if group != "" {
		prune(group)
	}
	l.fate = fate(len(running), len(l.known), len(l.unknown))
	return l
}

func fate(running, known, unknown int) string {
	text := fmt.Sprintf("of %d processes that had not ended by then %d still ran at the recovery", running, known)
	if gone := running - known; gone > 0 {
		text += fmt.Sprintf("; how the other %d ended is not known", gone)
	}
	if unknown > 0 {
		text += fmt.Sprintf("; %d that the journal does not tell of ran in the run's cgroup", unknown)
	}
	return text
}

// group is the run's cgroup if it is still there. The journal may have been
// written by anybody: only a group that bears the recorder's name is touched.
func (rc *recovery) group() (dir, note string) {
	dir = string(rc.open.Cgroup)
	if dir == "" {
		return "", ""
	}
	name := fmt.Sprintf("glasshouse-%d-", rc.open.Recorder.PID)
	if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || !strings.HasPrefix(filepath.Base(dir), name) {
		return "", "the cgroup that the journal names is none that its recorder would have made"
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		return "", ""
	}
	return dir, ""
}

// thaw reports whether the group was frozen; without an error it no longer is.
// A group that is gone was not.
func thaw(group string) (bool, error) {
	file := filepath.Join(group, "cgroup.freeze")
	now, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return false, nil
	}
	if err != nil || strings.TrimSpace(string(now)) != "1" {
		return false, err
	}
	return true, writeExisting(file, "0")
}

func writeExisting(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// groups are a cgroup and all below it, parents first.
func groups(top string) []string {
	var dirs []string
	if top == "" {
		return nil
	}
	_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil // what cannot be read, or has gone, has nobody in it
	})
	return dirs
}

// members are the processes in a cgroup and below.
func members(top string) []int {
	var pids []int
	for _, dir := range groups(top) {
		data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

// prune removes the groups that nobody is in; the kernel refuses the others.
func prune(top string) {
	for _, dir := range slices.Backward(groups(top)) {
		_ = unix.Rmdir(dir)
	}
}

// zombie tells whether a process has ended and waits for its parent, or is gone.
func zombie(pid int) bool {
	stat, err := procfs.ReadStat(pid)
	return err != nil || stat.State == 'Z' || stat.State == 'X'
}
