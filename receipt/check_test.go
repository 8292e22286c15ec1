package receipt

import (
	"strings"
	"testing"
	"time"
)

// sound has at least two elements in every list, and no contradiction.
func sound(t testing.TB) *Receipt {
	t.Helper()
	r := full()
	r.Outcome = Outcome{ExitCode: 137, Signal: ptr("SIGKILL")}
	r.Timing = Timing{DurationMS: 12, CPUTimeMS: 3, StartedAt: r.Timestamp, EndedAt: r.Timestamp}
	r.Observation = Observation{
		Mode: "ebpf", Complete: true,
		Events:    Events{Emitted: 3, Received: 3},
		Hooks:     []Hook{{Name: "a", Attached: true}, {Name: "b", Attached: true}},
		Gaps:      []Gap{{"a", "1", 1}, {"a", "2", 1}},
		Survivors: []Survivor{{8, "/a"}, {9, "/b"}},
	}
	r.ProcessTree = []Process{
		{PID: 2, PPID: 1, StartTime: 10, Exe: "/bin/a"}, // by the recorder, which is 1
		{PID: 3, PPID: 2, StartTime: 20, Argv: []string{"b", "c"}, ExitCode: ptr(0)},
		{PID: 4, PPID: 3, StartTime: 30, Signal: ptr("SIGKILL")},
		{PID: 2, PPID: 4, StartTime: 40}, // the number again
		{PID: 5, PPID: 1, StartTime: 50}, // CLONE_PARENT
		{PID: 6, PPID: 0, StartTime: 60}, // its fork was lost
	}
	fs := &r.Filesystem
	fs.Reads, fs.Writes, fs.Deletes = []string{"/a", "/b"}, []string{"/a", "/w"}, []string{"/c", "/d"}
	fs.PolicyViolations = []string{"/p", "/q"}
	fs.Mounts = []Mount{{Op: "mount", Path: "/m"}, {Op: "umount", Path: "/m"}}
	fs.Files = []FileEntry{
		{Path: "/a", Requested: []string{"./a", "a"}},
		{Path: "/w", Written: true, Final: &Final{Inode: 1}},
	}
	r.Syscalls = Syscalls{
		Counts: map[string]uint64{"execve": 1, "connect": 1, "open": 7, "openat": 2, "openat2": 3, "creat": 1},
		Denied: []string{"connect", "open"},
	}
	r.Resources = Resources{CPUTimeMS: 3, Processes: 6}
	r.Redactions = []Redaction{{ID: 1}, {ID: 2}}
	return again(t, r)
}

// again is r as a reader has it.
func again(t testing.TB, r *Receipt) *Receipt {
	t.Helper()
	read, err := Read(strings.NewReader(encode(t, r)))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestCheckSound(t *testing.T) {
	incomplete := sound(t)
	incomplete.Observation.Complete, incomplete.Observation.Reason = false, ptr("events were lost")
	incomplete.Observation.Events = Events{Emitted: 9, Received: 3, Lost: map[string]uint64{"ring_full": 5}}
	incomplete.Observation.Hooks[0] = Hook{Name: "a", Error: ptr("no")}
	incomplete.ProcessTree[2].PPID = 99 // whose events were lost
	incomplete.legacy()

	blind := &Receipt{
		Timestamp: At(start), Timing: Timing{StartedAt: At(start)}, Outcome: Outcome{ExitCode: 1, Error: ptr("no")},
		Observation: Observation{Mode: "none", Reason: ptr("no right to")},
		Resources:   Resources{Processes: 1},
		Syscalls:    Syscalls{Denied: []string{"open"}},
	}
	for name, r := range map[string]*Receipt{"sound": sound(t), "incomplete": incomplete, "blind": again(t, blind)} {
		if problems := Check(r); problems != nil {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

// Each change is found, as what it is, and nothing else is.
func TestCheck(t *testing.T) {
	swap := func(list []string) { list[0], list[1] = list[1], list[0] }
	for _, c := range []struct {
		name, where, what string
		change            func(r *Receipt)
	}{
		{"old", "receipt_version", "v0.2 does not say enough", func(r *Receipt) { r.ReceiptVersion = "v0.2" }},

		{"exit code", "exit_code", "3, but outcome.exit_code is 137", func(r *Receipt) { r.ExitCode = 3 }},
		{"too large", "outcome.exit_code", "256 is outside", func(r *Receipt) { r.Outcome.ExitCode, r.ExitCode = 256, 256 }},
		{"negative", "outcome.exit_code", "-1 is outside", func(r *Receipt) { r.Outcome, r.ExitCode = Outcome{ExitCode: -1}, -1 }},
		{"signal", "outcome.exit_code", `0, although "SIGKILL"`, func(r *Receipt) { r.Outcome.ExitCode, r.ExitCode = 0, 0 }},
		{"duration", "duration_ms", "11, but timing.duration_ms is 12", func(r *Receipt) { r.DurationMS-- }},
		{"timestamp", "timing.started_at", "but the timestamp is", func(r *Receipt) { r.Timestamp.Time = r.Timestamp.Add(time.Nanosecond) }},
		{"cpu time", "timing.cpu_time_ms", "4, but", func(r *Receipt) { r.Timing.CPUTimeMS++ }},

		{"blind", "observation.complete", "nothing was observed", func(r *Receipt) {
			r.Observation.Mode = "none"
			r.ProcessTree, r.Processes, r.Filesystem.Files, r.Network.Attempts, r.Network.Connections = nil, nil, nil, nil, nil
		}},
		{"books", "observation.complete", "4 events were emitted and 3 received", func(r *Receipt) { r.Observation.Events.Emitted = 4 }},
		{"more than there were", "observation.complete", "2 events were emitted and 3 received", func(r *Receipt) { r.Observation.Events.Emitted = 2 }},
		{"lost", "observation.complete", "events were lost", func(r *Receipt) {
			r.Observation.Events = Events{Emitted: 4, Received: 3, Lost: map[string]uint64{"ring_full": 1}}
		}},
		{"books that overflow", "observation.complete", "events were lost", func(r *Receipt) {
			r.Observation.Events.Lost = map[string]uint64{"a": 1 << 63, "b": 1 << 63}
		}},
		{"reason", "observation.reason", "there is one", func(r *Receipt) { r.Observation.Reason = ptr("why") }},
		{"no reason", "observation.reason", "null", func(r *Receipt) { r.Observation.Complete = false }},
		{"hook", "observation.complete", `"b" was not attached`, func(r *Receipt) { r.Observation.Hooks[1] = Hook{Name: "b", Error: ptr("no")} }},
		{"hook with an error", "observation.hooks", `"b": attached is true`, func(r *Receipt) { r.Observation.Hooks[1].Error = ptr("no") }},

		{"orphan", "process_tree", "process 5 has the parent 98", func(r *Receipt) { r.ProcessTree[4].PPID = 98; r.legacy() }},
		{"parent from later", "process_tree", "process 3 has the parent 6", func(r *Receipt) { r.ProcessTree[1].PPID = 6; r.legacy() }},
		{"two ends", "process_tree", "process 3 both exited", func(r *Receipt) { r.ProcessTree[1].Signal = ptr("SIGHUP") }},
		{"same process", "process_tree", "element 1 is there twice", func(r *Receipt) {
			r.ProcessTree[2].PID, r.ProcessTree[2].PPID, r.ProcessTree[2].StartTime = 3, 2, 20
			r.ProcessTree[3].PPID = 3
			r.legacy()
		}},
		{"number of processes", "resources.processes", "5, but process_tree has 6", func(r *Receipt) { r.Resources.Processes-- }},
		{"seen by nobody", "observation.mode", "none, but", func(r *Receipt) {
			r.Observation.Mode, r.Observation.Complete, r.Observation.Reason = "none", false, ptr("no")
		}},
		{"open", "syscalls.counts", "open is 5, but openat, openat2 and creat are 6", func(r *Receipt) { r.Syscalls.Counts["open"] = 5 }},
		{"no count", "syscalls.counts", "connect is missing", func(r *Receipt) { delete(r.Syscalls.Counts, "connect"); r.Syscalls.Denied = nil }},
		{"denied", "syscalls.denied", `"xyz" was never called`, func(r *Receipt) { r.Syscalls.Denied[1] = "xyz" }},
		{"final", "filesystem.files", `"/w" has a final`, func(r *Receipt) { r.Filesystem.Files[1].Written = false }},

		{"processes", "processes", "not the same as process_tree", func(r *Receipt) { r.Processes[1].Cmd = "b" }},
		{"fewer processes", "processes", "not the same as process_tree", func(r *Receipt) { r.Processes = r.Processes[1:] }},
		{"read", "filesystem.read", "not the same as filesystem.reads", func(r *Receipt) { r.Filesystem.Read = nil }},
		{"written", "filesystem.written", "not the same as filesystem.writes", func(r *Receipt) { r.Filesystem.Written[0] = "/0" }},
		{"connections", "network.connections", "not the same as network.attempts", func(r *Receipt) { r.Network.Connections[0].Attempted = false }},

		{"hooks", "observation.hooks", "element 0 stands before", func(r *Receipt) { flip(r.Observation.Hooks) }},
		{"gaps", "observation.gaps", "element 0 stands before", func(r *Receipt) { flip(r.Observation.Gaps) }},
		{"survivors", "observation.survivors", "element 0 stands before", func(r *Receipt) { flip(r.Observation.Survivors) }},
		{"tree", "process_tree", "element 4 stands before", func(r *Receipt) { flip(r.ProcessTree[4:]); r.legacy() }},
		{"exec failures", "exec_failures", "element 0 stands before", func(r *Receipt) { flip(r.ExecFailures) }},
		{"reads", "filesystem.reads", "element 0 stands before", func(r *Receipt) { swap(r.Filesystem.Reads); r.legacy() }},
		{"reads twice", "filesystem.reads", "element 0 is there twice", func(r *Receipt) { r.Filesystem.Reads[1] = "/a"; r.legacy() }},
		{"writes", "filesystem.writes", "element 0 stands before", func(r *Receipt) { swap(r.Filesystem.Writes); r.legacy() }},
		{"deletes", "filesystem.deletes", "element 0 stands before", func(r *Receipt) { swap(r.Filesystem.Deletes) }},
		{"violations", "filesystem.policy_violations", "element 0 stands before", func(r *Receipt) { swap(r.Filesystem.PolicyViolations) }},
		{"renames", "filesystem.renames", "element 0 stands before", func(r *Receipt) { flip(r.Filesystem.Renames) }},
		{"created", "filesystem.created", "element 0 stands before", func(r *Receipt) { flip(r.Filesystem.Created) }},
		{"changed", "filesystem.changed", "element 0 stands before", func(r *Receipt) { flip(r.Filesystem.Changed) }},
		{"changed twice", "filesystem.changed", "element 0 is there twice", func(r *Receipt) { r.Filesystem.Changed[1] = r.Filesystem.Changed[0] }},
		{"mounts", "filesystem.mounts", "element 0 stands before", func(r *Receipt) { flip(r.Filesystem.Mounts) }},
		{"failed", "filesystem.failed", "element 0 stands before", func(r *Receipt) { flip(r.Filesystem.Failed) }},
		{"files", "filesystem.files", "element 0 stands before", func(r *Receipt) { flip(r.Filesystem.Files) }},
		{"requested", "filesystem.files", "element 0 stands before", func(r *Receipt) { swap(r.Filesystem.Files[0].Requested) }},
		{"attempts", "network.attempts", "element 1 stands before", func(r *Receipt) { flip(r.Network.Attempts[1:]) }},
		{"listens", "network.listens", "element 0 stands before", func(r *Receipt) { flip(r.Network.Listens) }},
		{"accepts", "network.accepts", "element 0 stands before", func(r *Receipt) { flip(r.Network.Accepts) }},
		{"dns", "network.dns", "element 0 stands before", func(r *Receipt) { flip(r.Network.DNS) }},
		{"denied in disorder", "syscalls.denied", "element 0 stands before", func(r *Receipt) { swap(r.Syscalls.Denied) }},
		{"redactions", "redactions", "element 0 stands before", func(r *Receipt) { flip(r.Redactions) }},
	} {
		r := sound(t)
		c.change(r)
		problems := Check(r)
		if len(problems) != 1 || problems[0].Where != c.where || !strings.Contains(problems[0].What, c.what) {
			t.Errorf("%s: %q, want one problem of %s with %q", c.name, problems, c.where, c.what)
		}
	}
}

func flip[T any](list []T) { list[0], list[1] = list[1], list[0] }

// What Encode makes of anything has its lists in order and its old keys right.
func TestCheckEncoded(t *testing.T) {
	r := again(t, full())
	for _, p := range Check(r) {
		if strings.Contains(p.What, "element") || strings.Contains(p.What, "the same") {
			t.Error(p)
		}
	}
}

// What the proxy of a virtual machine tells was not observed in there.
func TestCheckProxyAlone(t *testing.T) {
	for source, sound := range map[string]bool{SourceProxy: true, "": false} {
		r := &Receipt{
			Outcome: Outcome{}, Observation: Observation{Mode: "none", Reason: ptr("no collector was asked for")},
			Network: Network{Attempts: []Attempt{{Dst: "a:80", Protocol: "tcp", Result: "denied", Count: 1, Source: source}}},
		}
		r.Normalize()
		if problems := Check(r); (len(problems) == 0) != sound {
			t.Errorf("source %q: %v", source, problems)
		}
	}
}
