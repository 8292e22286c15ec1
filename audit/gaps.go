package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glasshouse/receipt"
)

type unrecordedRow struct {
	detail string
	calls  []string
}

// unrecorded are the system calls that change or move files, sockets,
// privileges or other processes and that are not recorded as events: a receipt
// names them, with how often they were called, so that nobody takes the lists
// for all there was. A call that is recorded one day loses its row.
//
// Not here: calls that only lower rights (seccomp, prctl), and ioctl, whose
// meaning its name does not tell: the one that sets the flags of a file is recorded.
var unrecorded = []unrecordedRow{
	{"message queue made or opened", words("mq_open")},
	{"message queue removed", words("mq_unlink")},
	{"message sent to a queue of System V", words("msgsnd")},
	{"memory of System V shared", words("shmat")},
	{"queue, semaphore or memory of System V used, by a 32-bit call", words("ipc")},
	{"bytes read and written behind the call", words("io_submit")},
	{"mount prepared or reconfigured", words("open_tree open_tree_attr fsopen fsconfig fsmount fspick")},
	{"root folder changed", words("chroot")},

	{"user or group changed", words("setuid setgid setreuid setregid setresuid setresgid " +
		"setfsuid setfsgid setgroups setuid32 setgid32 setreuid32 setregid32 setresuid32 setresgid32 " +
		"setfsuid32 setfsgid32 setgroups32")},
	{"capabilities changed", words("capset")},
	{"namespace changed", words("setns unshare")},
	{"keys changed", words("add_key request_key keyctl")},

	{"other process controlled", words("ptrace")},
	{"other process's memory written", words("process_vm_writev process_madvise")},
	{"other process's descriptor taken", words("pidfd_getfd")},
	{"signal sent", words("kill tkill tgkill pidfd_send_signal rt_sigqueueinfo rt_tgsigqueueinfo")},

	{"kernel programs or objects of bpf", words("bpf")},
	{"kernel modules or kernel changed", words("init_module finit_module delete_module kexec_load kexec_file_load")},
	{"machine settings changed", words("reboot sethostname setdomainname settimeofday stime " +
		"clock_settime clock_settime64 swapon swapoff acct quotactl quotactl_fd")},
}

// Unrecorded tells whether a receipt names a call among what was not recorded,
// with its count.
func Unrecorded(call string) bool {
	return slices.ContainsFunc(unrecorded, func(row unrecordedRow) bool { return slices.Contains(row.calls, call) })
}

func words(s string) []string { return strings.Fields(s) }

type gapKey struct{ kind, detail string }

// gapSet counts gaps by kind and detail.
type gapSet map[gapKey]uint64

func (s gapSet) add(kind, detail string, n uint64) {
	key := gapKey{kind, detail}
	s[key] = addSat(s[key], n)
}

func (s gapSet) clone() gapSet { return maps.Clone(s) }

func (s gapSet) rows() []receipt.Gap {
	rows := make([]receipt.Gap, 0, len(s))
	for key, n := range s {
		rows = append(rows, receipt.Gap{Kind: key.kind, Detail: key.detail, Count: n})
	}
	return rows
}

func (s gapSet) addUnrecorded(calls []SyscallCount) {
	counts := make(map[string]uint64, len(calls))
	for _, c := range calls {
		counts[c.Name] = addSat(counts[c.Name], c.Count)
	}
	for _, row := range unrecorded {
		for _, call := range row.calls {
			if n := counts[call]; n > 0 {
				s.add(receipt.GapNotRecorded, call+": "+row.detail, n)
			}
		}
	}
}

// observe fills in how well the run was seen, all but gaps and survivors.
func observe(o *receipt.Observation, sum Summary) {
	o.Mode = sum.Mode
	if o.Mode == "" {
		o.Mode = "none"
	}
	o.Events = receipt.Events{
		Emitted: sum.Emitted, Received: sum.Received, Folded: sum.Folded, Lost: maps.Clone(sum.Lost),
	}
	o.Backpressure = receipt.Backpressure{Freezes: sum.Holds, FrozenMS: sum.Held.Milliseconds()}
	o.Hooks = make([]receipt.Hook, 0, len(sum.Hooks))
	for _, h := range sum.Hooks {
		row := receipt.Hook{Name: h.Name, Attached: h.Attached}
		if h.Err != "" {
			row.Error = &h.Err
		}
		o.Hooks = append(o.Hooks, row)
	}

	reasons := incompleteReasons(sum)
	if o.Mode == "none" {
		reasons = []string{"nothing was observed"}
		if o.Reason != nil { // the caller knows why
			reasons = []string{*o.Reason}
		}
	}
	o.Complete = len(reasons) == 0
	o.Reason = nil
	if !o.Complete {
		reason := strings.Join(reasons, "; ")
		o.Reason = &reason
	}
}

// incompleteReasons are the reasons why an observation is not complete.
func incompleteReasons(sum Summary) []string {
	var (
		reasons []string
		lost    uint64
		where   []string
	)
	for _, name := range slices.Sorted(maps.Keys(sum.Lost)) {
		if n := sum.Lost[name]; n > 0 {
			lost = addSat(lost, n)
			where = append(where, fmt.Sprintf("%s %d", name, n))
		}
	}
	if lost > 0 {
		reasons = append(reasons, fmt.Sprintf("%d events were lost (%s)", lost, strings.Join(where, ", ")))
	}
	if booked := addSat(sum.Received, lost); sum.Emitted != booked {
		reasons = append(reasons, fmt.Sprintf("%d events were emitted, but %d received or lost", sum.Emitted, booked))
	}
	if sum.Missing != lost {
		reasons = append(reasons, fmt.Sprintf("%d events are missing by their numbers, but %d were lost", sum.Missing, lost))
	}
	reasons = append(reasons, sum.Doubts...)
	var detached []string
	for _, h := range sum.Hooks {
		if !h.Attached {
			detached = append(detached, h.Name)
		}
	}
	if len(detached) > 0 {
		slices.Sort(detached)
		reasons = append(reasons, fmt.Sprintf("%d of %d hooks were not attached (%s)",
			len(detached), len(sum.Hooks), strings.Join(detached, ", ")))
	}
	return reasons
}
