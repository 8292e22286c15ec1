package audit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"glasshouse/receipt"
	"glasshouse/receipt/receipttest"
)

var boot = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Made-up processes: the recorder, the root and its children.
var (
	recorder = ProcessID{90, 1}
	root     = ProcessID{100, 1000}
	child    = ProcessID{101, 2000}
	grand    = ProcessID{102, 3000}
)

func by(p ProcessID, time uint64) Header {
	return Header{Time: time, Seq: time, Process: p, TID: p.PID}
}

func at(ns uint64) receipt.Time { return receipt.At(boot.Add(time.Duration(ns))) }

func ptr[T any](v T) *T { return &v }

// in is a name in a folder, or from the root if it is absolute.
func in(folder, name string) Target {
	if strings.HasPrefix(name, "/") {
		folder = "/"
	}
	return Target{Base: Path{Name: folder}, Requested: name}
}

// fold is what the events alone amount to.
func fold(t *testing.T, events ...Event) *receipt.Receipt {
	t.Helper()
	return fill(t, events, Summary{Mode: "ebpf"}, nil)
}

func fill(t *testing.T, events []Event, sum Summary, alive []ProcessID) *receipt.Receipt {
	t.Helper()
	sum.Alive = alive
	return filled(t, aggregated(events), sum)
}

func aggregated(events []Event) *Aggregator {
	a := NewAggregator()
	for _, e := range events {
		a.Add(e)
	}
	return a
}

// filled is a receipt with what was aggregated, which has to be valid.
func filled(t *testing.T, a *Aggregator, sum Summary) *receipt.Receipt {
	t.Helper()
	a.Fill(receipttest.New(), sum, boot) // changes nothing of the next
	r := receipttest.New()
	a.Fill(r, sum, boot)
	receipttest.Validate(t, r)
	return r
}

// check compares all of a part of the receipt: nothing missing, nothing invented.
func check[T any](t *testing.T, name string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func exec(p ProcessID, time uint64, exe string, argv ...string) *Exec {
	return &Exec{
		Header: by(p, time), Parent: recorder, UID: 7, GID: 8,
		Exe: Path{Name: exe}, WorkingDir: Path{Name: "/w"}, Requested: exe, Argv: argv,
	}
}

func TestProcesses(t *testing.T) {
	script := exec(grand, 3200, "/bin/dash", "sh", "./x")
	script.Requested, script.Interp, script.Truncated = "./x", "/bin/sh", true
	noArgv := exec(grand, 3100, "/bin/a")
	noArgv.NoArgv = true
	r := fill(t, []Event{
		exec(root, 1001, "/bin/sh", "sh", "-c", ""),
		&Fork{Header: by(root, 2000), Child: child, UID: 7, GID: 8},
		exec(root, 2500, "/bin/bash", "bash"),
		&Fork{Header: by(child, 3000), Child: grand, UID: 5, GID: 6},
		noArgv,
		script,
		&Exit{Header: by(grand, 3300), Status: 3 << 8, CPUTime: 5_999_999, MaxRSS: 20, ReadBytes: 1, WriteBytes: 2},
		&Exit{Header: by(child, 4000), Status: 9 | 0x80, CPUTime: 1_000_001, MaxRSS: 30, ReadBytes: 10, WriteBytes: 20},
	}, Summary{Mode: "ebpf"}, []ProcessID{root})

	check(t, "process_tree", r.ProcessTree, []receipt.Process{
		{
			PID: 100, PPID: 90, Exe: "/bin/bash", Argv: []string{"bash"}, WorkingDir: "/w",
			StartTime: 1000, StartedAt: at(1000), UID: 7, GID: 8,
			Execs: []receipt.Exec{
				{Exe: "/bin/sh", Argv: []string{"sh", "-c", ""}, WorkingDir: "/w", At: at(1001)},
				{Exe: "/bin/bash", Argv: []string{"bash"}, WorkingDir: "/w", At: at(2500)},
			},
		},
		{ // keeps the image that its creator had when it forked
			PID: 101, PPID: 100, Exe: "/bin/sh", Argv: []string{"sh", "-c", ""}, WorkingDir: "/w",
			StartTime: 2000, StartedAt: at(2000), EndedAt: ptr(at(4000)), UID: 7, GID: 8,
			Signal: ptr("SIGKILL"), CPUTimeMS: 1, MaxRSSKB: 30,
		},
		{
			PID: 102, PPID: 101, Exe: "/bin/dash", Argv: []string{"sh", "./x"}, WorkingDir: "/w",
			StartTime: 3000, StartedAt: at(3000), EndedAt: ptr(at(3300)), UID: 7, GID: 8,
			ExitCode: ptr(3), CPUTimeMS: 5, MaxRSSKB: 20, ArgvTruncated: true,
			Execs: []receipt.Exec{
				{Exe: "/bin/a", WorkingDir: "/w", At: at(3100)},
				{
					Exe: "/bin/dash", Argv: []string{"sh", "./x"}, WorkingDir: "/w", At: at(3200),
					Requested: "./x", Interpreter: ptr("/bin/sh"), ArgvTruncated: true,
				},
			},
		},
	})
	check(t, "resources", r.Resources, receipt.Resources{
		CPUTimeMS: 7, MaxRSSKB: 30, IOReadBytes: 11, IOWriteBytes: 22, Processes: 3,
	})
	check(t, "survivors", r.Observation.Survivors, []receipt.Survivor{{PID: 100, Exe: "/bin/bash"}})
	check(t, "gaps", r.Observation.Gaps, []receipt.Gap{
		{Kind: "argv", Detail: "argument capture was off", Count: 1},
		{Kind: "core_dump", Detail: "the kernel dumped the memory of processes that a signal ended, as /proc/sys/kernel/core_pattern says", Count: 1},
		{Kind: "survivors", Detail: "processes outlived the recording; what they did afterwards is not in it", Count: 1},
	})
	check(t, "processes", r.Processes, []receipt.LegacyProc{
		{PID: 100, PPID: 90, Cmd: "bash"}, {PID: 101, PPID: 100, Cmd: "sh -c "}, {PID: 102, PPID: 101, Cmd: "sh ./x"},
	})
	check(t, "files", r.Filesystem.Files, []receipt.FileEntry{
		{Path: "/bin/a", Executed: true, Source: "kernel"},
		{Path: "/bin/bash", Executed: true, Source: "kernel"},
		{Path: "/bin/dash", Executed: true, Source: "kernel"},
		{Path: "/bin/sh", Executed: true, Source: "kernel"},
	})
	check(t, "reads", r.Filesystem.Reads, nil)
}

// A process number that is used again is another process.
func TestProcessNumberReused(t *testing.T) {
	again := ProcessID{child.PID, 5000}
	r := fold(t,
		&Fork{Header: by(root, 2000), Child: child},
		&Exit{Header: by(child, 2100), Status: 1 << 8},
		&Fork{Header: by(root, 5000), Child: again},
		&Exit{Header: by(again, 5100), Status: 2 << 8},
	)
	if len(r.ProcessTree) != 2 || *r.ProcessTree[0].ExitCode != 1 || *r.ProcessTree[1].ExitCode != 2 {
		t.Errorf("got %+v", r.ProcessTree)
	}
}

// What acts was there, also when its fork did not arrive; who created the root
// is no part of the run.
func TestProcessWithoutFork(t *testing.T) {
	for name, event := range map[string]Event{
		"exec":        exec(child, 1, "/x"),
		"exit":        &Exit{Header: by(child, 1)},
		"open":        &Open{Header: by(child, 1), Path: Path{Name: "/x"}},
		"unlink":      &FileOp{Header: by(child, 1), Op: "unlink", Path: in("/", "x")},
		"connect":     &Connect{Header: by(child, 1), Result: ResultFailed},
		"failed exec": &ExecFailed{Header: by(child, 1), Errno: 2},
		"fork":        &Fork{Header: by(recorder, 1), Child: child},
	} {
		r := fold(t, event)
		if len(r.ProcessTree) != 1 || r.ProcessTree[0].PID != child.PID {
			t.Errorf("%s: %+v", name, r.ProcessTree)
		}
	}
	r := fill(t, nil, Summary{Mode: "ebpf"}, []ProcessID{child, child})
	if len(r.ProcessTree) != 1 || len(r.Observation.Survivors) != 1 {
		t.Errorf("alive alone: %+v, %+v", r.ProcessTree, r.Observation.Survivors)
	}
	r = fill(t, []Event{&Exit{Header: by(child, 1)}}, Summary{Mode: "ebpf"}, []ProcessID{child})
	if len(r.Observation.Survivors) != 0 {
		t.Errorf("it exited, and is a survivor: %+v", r.Observation.Survivors)
	}
}

func TestWaitStatus(t *testing.T) {
	for status, want := range map[int32]string{
		0: "0", 42 << 8: "42", 255 << 8: "255", 15: "SIGTERM", 11 | 0x80: "SIGSEGV",
		34: "SIGRTMIN", 36: "SIGRTMIN+2", 64: "SIGRTMIN+30", 33: "SIG33", 65: "SIG65",
		0x137f: "neither", 0xffff: "neither",
	} {
		code, signal := waitStatus(status)
		got := "neither"
		if code != nil {
			got = fmt.Sprint(*code)
		}
		if signal != nil {
			got = *signal
		}
		if got != want {
			t.Errorf("status %#x: %s, want %s", status, got, want)
		}
	}
}

func TestExecFailures(t *testing.T) {
	fail := func(p ProcessID, path string, errno int32, argv ...string) *ExecFailed {
		return &ExecFailed{Header: by(p, 1), Path: in("/w", path), Errno: errno, Argv: argv}
	}
	cut := fail(root, "", 14)
	cut.Path.Cut, cut.Truncated = true, true
	r := fold(t,
		fail(root, "/bin/x", 2, "x"), fail(root, "/bin/x", 2, "x"), fail(child, "/bin/x", 2, "x"),
		fail(root, "x", 13, "x", ""), fail(root, "x", 13, "x"), fail(root, "x", 13), fail(root, "x", 13, ""),
		fail(root, "x", 13, "", ""), fail(root, "x", 999), cut,
	)
	check(t, "exec_failures", r.ExecFailures, []receipt.ExecFail{
		{PID: 100, Path: "/bin/x", Argv: []string{"x"}, Errno: "ENOENT", Count: 2},
		{PID: 101, Path: "/bin/x", Argv: []string{"x"}, Errno: "ENOENT", Count: 1},
		{PID: 100, Path: "/w", Errno: "EFAULT", Count: 1, PathCut: true, ArgvTruncated: true},
		{PID: 100, Path: "/w/x", Errno: "EACCES", Count: 1},
		{PID: 100, Path: "/w/x", Argv: []string{""}, Errno: "EACCES", Count: 1},
		{PID: 100, Path: "/w/x", Argv: []string{"", ""}, Errno: "EACCES", Count: 1},
		{PID: 100, Path: "/w/x", Argv: []string{"x"}, Errno: "EACCES", Count: 1},
		{PID: 100, Path: "/w/x", Argv: []string{"x", ""}, Errno: "EACCES", Count: 1},
		{PID: 100, Path: "/w/x", Errno: "errno 999", Count: 1},
	})
	check(t, "files", r.Filesystem.Files, nil)
}

func open_(time uint64, path, requested string, mode OpenMode) *Open {
	return &Open{
		Header: by(root, time), ID: RepeatID(time), Path: Path{Name: path}, Requested: requested,
		Mode: mode, Kind: KindFile,
	}
}

func TestOpens(t *testing.T) {
	var (
		read    = OpenMode{Read: true}
		write   = OpenMode{Write: true}
		made    = OpenMode{Read: true, Created: true}
		emptied = OpenMode{Truncated: true}
		both    = OpenMode{Read: true, Write: true}
	)
	cutPath := open_(9, "/r", "r", write)
	cutPath.Path.Cut = true
	gone := open_(10, "/gone", "/proc/self/fd/3", read)
	gone.Path.Deleted = true
	r := fold(t,
		open_(1, "/r", "/r", read), open_(2, "/r", "../r", read), open_(3, "/w", "", write),
		open_(4, "/made", "made", made), open_(5, "/emptied", "/emptied", emptied), open_(6, "/both", "/both", both),
		open_(7, "/path", "/path", OpenMode{PathOnly: true, Read: true, Write: true, Created: true}),
		open_(8, "pipe:[1]", "/dev/fd/3", both), cutPath, gone,
		open_(11, "/\xff", "\xff", read),
		&Repeat{ID: 1, Count: 10}, &Repeat{ID: 2, Count: 100}, &Repeat{ID: 77, Count: 5},
	)
	check(t, "files", r.Filesystem.Files, []receipt.FileEntry{
		{Path: "/\\xff", PathBytes: []byte("/\xff"), Requested: []string{`\xff`}, Opens: 1, Read: true, Source: "kernel"},
		{Path: "/both", Opens: 1, Read: true, Written: true, Source: "kernel"},
		{Path: "/emptied", Opens: 1, Written: true, Source: "kernel"},
		{Path: "/gone", Requested: []string{"/proc/self/fd/3"}, Opens: 1, Read: true, Source: "kernel", Deleted: true},
		{Path: "/made", Requested: []string{"made"}, Opens: 1, Read: true, Written: true, Source: "kernel"},
		{Path: "/path", Opens: 1, Source: "kernel"},
		{Path: "/r", Requested: []string{"../r"}, Opens: 112, Read: true, Source: "kernel"},
		{Path: "/r", PathCut: true, Requested: []string{"r"}, Opens: 1, Written: true, Source: "kernel"},
		{Path: "/w", Opens: 1, Written: true, Source: "kernel"},
		{Path: "pipe:[1]", Requested: []string{"/dev/fd/3"}, Opens: 1, Read: true, Written: true, Source: "kernel"},
	})
	check(t, "reads", r.Filesystem.Reads, []string{"/\\xff", "/both", "/gone", "/made", "/r"})
	check(t, "writes", r.Filesystem.Writes, []string{"/both", "/emptied", "/made", "/w"})
	check(t, "read", r.Filesystem.Read, r.Filesystem.Reads)
	check(t, "written", r.Filesystem.Written, r.Filesystem.Writes)
	check(t, "deletes", r.Filesystem.Deletes, nil)
	check(t, "created", r.Filesystem.Created, []receipt.Created{{Path: "/made", Kind: "file", Source: "kernel"}})
	check(t, "gaps", r.Observation.Gaps, []receipt.Gap{
		{Kind: "path_cut", Detail: "open", Count: 1},
		{Kind: "repeats", Detail: "repeats of events that did not arrive", Count: 5},
	})
}

func TestFileOps(t *testing.T) {
	op := func(time uint64, op string, path Target, to ...Target) *FileOp {
		e := &FileOp{Header: by(root, time), Op: op, Path: path}
		if len(to) > 0 {
			e.To = to[0]
		}
		return e
	}
	swap := op(9, "rename", in("/s", "a"), in("/s", "b"))
	swap.Exchange = true
	unread := op(10, "unlink", Target{Base: Path{Name: "/u"}, Cut: true})
	halfBase := op(11, "rename", Target{Base: Path{Name: "/h", Cut: true}, Requested: "a"}, in("/h", "to"))
	raced := op(12, "unlink", Target{Base: Path{Name: "/raced"}, Requested: "x", Raced: true})
	r := fold(t,
		open_(1, "/d/kept", "", OpenMode{Write: true, Created: true}),
		open_(2, "/d/gone", "", OpenMode{Read: true}),
		op(3, "unlink", in("/d", "gone")),
		op(4, "unlink", in("/d", "./kept")),
		open_(5, "/d/kept", "", OpenMode{Write: true, Created: true}),
		op(6, "rmdir", in("/d", "../e/")),
		op(7, "rename", in("/", "/from"), in("/d", "to")),
		op(8, "rename", in("/same", "x"), in("/", "/same/x")),
		swap, unread, halfBase, raced,
	)
	check(t, "files", r.Filesystem.Files, []receipt.FileEntry{
		{Path: "/d/gone", Requested: []string{"gone"}, Opens: 1, Read: true, Source: "kernel", Deleted: true},
		{Path: "/d/kept", Requested: []string{"./kept"}, Opens: 2, Written: true, Source: "kernel"},
		{Path: "/d/to", Requested: []string{"to"}, Written: true, Source: "lexical"},
		{Path: "/e", Requested: []string{"../e/"}, Source: "lexical", Deleted: true},
		{Path: "/from", Source: "lexical", Deleted: true},
		{Path: "/h/to", Requested: []string{"to"}, Written: true, Source: "lexical"},
		{Path: "/raced/x", Requested: []string{"x"}, Source: "lexical", Deleted: true},
		{Path: "/s/a", Requested: []string{"a"}, Written: true, Source: "lexical"},
		{Path: "/s/b", Requested: []string{"b"}, Written: true, Source: "lexical"},
	})
	check(t, "deletes", r.Filesystem.Deletes, []string{"/d/gone", "/d/kept", "/e", "/from", "/raced/x"})
	check(t, "writes", r.Filesystem.Writes, []string{"/d/kept", "/d/to", "/h/to", "/s/a", "/s/b"})
	check(t, "renames", r.Filesystem.Renames, []receipt.Rename{
		{From: "/from", To: "/d/to", Source: "lexical"},
		{From: "/s/a", To: "/s/b", Source: "lexical"},
		{From: "/s/b", To: "/s/a", Source: "lexical"},
	})
	check(t, "created", r.Filesystem.Created, []receipt.Created{{Path: "/d/kept", Kind: "file", Source: "kernel"}})
	check(t, "failed", r.Filesystem.Failed, nil)
	check(t, "gaps", r.Observation.Gaps, []receipt.Gap{
		{Kind: "path_cut", Detail: "rename", Count: 1},
		{Kind: "path_cut", Detail: "unlink", Count: 1},
		{Kind: "raced", Detail: "unlink", Count: 1},
	})
}

func TestFailedOps(t *testing.T) {
	fail := func(id RepeatID, op string, errno int32, path Target) *FileOp {
		return &FileOp{Header: by(root, 1), ID: id, Op: op, Errno: errno, Path: path}
	}
	rename := fail(5, "rename", 18, in("/w", "a"))
	rename.To = in("/other", "b")
	r := fold(t,
		fail(1, "open", 2, in("/w", "x")), fail(2, "open", 2, in("/", "/w/x")),
		fail(3, "open", 13, in("/w", "x")), fail(4, "unlink", 2, in("/w", "x")), rename,
		fail(6, "open", 14, Target{Base: Path{Name: "/w"}, Cut: true}),
		&Repeat{ID: 1, Count: 5}, &Repeat{ID: 4, Count: 1}, &Repeat{ID: 4, Count: 1},
	)
	check(t, "failed", r.Filesystem.Failed, []receipt.FailedOp{
		{Op: "open", Path: "/w", Errno: "EFAULT", Count: 1, PathCut: true},
		{Op: "rename", Path: "/w/a", To: "/other/b", Errno: "EXDEV", Count: 1},
		{Op: "open", Path: "/w/x", Errno: "EACCES", Count: 1},
		{Op: "open", Path: "/w/x", Errno: "ENOENT", Count: 7},
		{Op: "unlink", Path: "/w/x", Errno: "ENOENT", Count: 3},
	})
	check(t, "files", r.Filesystem.Files, nil)
	check(t, "deletes", r.Filesystem.Deletes, nil)
}

func connectTo(p ProcessID, time, socket uint64, dst, result string) *Connect {
	return &Connect{Header: by(p, time), ID: RepeatID(time), Socket: socket, Protocol: "tcp", Dst: dst, Result: result}
}

func done(time, socket uint64, result string) *ConnectDone {
	return &ConnectDone{Header: by(root, time), Socket: socket, Result: result}
}

func TestNetwork(t *testing.T) {
	unixTo := func(time uint64, dst, result string) *Connect {
		e := connectTo(root, time, 0, dst, result)
		e.Protocol = "unix"
		return e
	}
	own := unixTo(25, "unix:/run/docker.sock", "connected")
	own.Own = true
	const late = 60 * uint64(time.Second)
	r := fill(t, []Event{
		connectTo(root, 1, 0, "1.1.1.1:1", "refused"), connectTo(root, 2, 0, "1.1.1.1:1", "refused"),
		connectTo(child, 3, 0, "1.1.1.1:1", "refused"),
		&Repeat{ID: 2, Count: 3},
		connectTo(root, 4, 7, "[::1]:2", "in_progress"), done(5, 7, "connected"),
		connectTo(root, 6, 7, "[::1]:3", "in_progress"), done(7, 7, "timeout"), // the number is used again
		connectTo(root, 8, 8, "2.2.2.2:2", "in_progress"), // never answered
		done(9, 9, "reset"), connectTo(root, 10, 9, "3.3.3.3:3", "in_progress"), // answered on the way
		done(11, 10, "refused"), connectTo(root, 11+late, 10, "4.4.4.4:4", "in_progress"), // not its answer
		unixTo(20, "unix:/run/docker.sock", "connected"), unixTo(21, "unix:/run/docker.sock", "connected"),
		unixTo(22, "unix:/run/nscd", "failed"), unixTo(23, "unix:@bus", "sent"), unixTo(24, "unix:", "connected"),
		own,
	}, Summary{Mode: "ebpf", BytesSent: 5, BytesReceived: 6}, nil)
	row := func(dst, protocol, result string, pid int32, n uint64) receipt.Attempt {
		return receipt.Attempt{Dst: dst, Protocol: protocol, Result: result, PID: pid, Count: n}
	}
	check(t, "attempts", r.Network.Attempts, []receipt.Attempt{
		row("1.1.1.1:1", "tcp", "refused", 100, 5),
		row("1.1.1.1:1", "tcp", "refused", 101, 1),
		row("2.2.2.2:2", "tcp", "in_progress", 100, 1),
		row("3.3.3.3:3", "tcp", "reset", 100, 1),
		row("4.4.4.4:4", "tcp", "in_progress", 100, 1),
		row("[::1]:2", "tcp", "connected", 100, 1),
		row("[::1]:3", "tcp", "timeout", 100, 1),
		row("unix:", "unix", "connected", 100, 1),
		row("unix:/run/docker.sock", "unix", "connected", 100, 3),
		row("unix:/run/nscd", "unix", "failed", 100, 1),
		row("unix:@bus", "unix", "sent", 100, 1),
	})
	var connections []receipt.Connection
	for _, a := range r.Network.Attempts {
		if a.PID == 100 {
			connections = append(connections, receipt.Connection{Dst: a.Dst, Protocol: a.Protocol, Attempted: true})
		}
	}
	check(t, "connections", r.Network.Connections, connections)
	check(t, "gaps", r.Observation.Gaps, []receipt.Gap{
		{Kind: "connect", Detail: "outcomes of connection attempts that did not arrive", Count: 1},
		{Kind: "daemon", Detail: "unix:/run/docker.sock", Count: 2},
		{Kind: "daemon", Detail: "unix:@bus", Count: 1},
	})
	if r.Network.BytesSent != 5 || r.Network.BytesReceived != 6 {
		t.Errorf("bytes: %d, %d", r.Network.BytesSent, r.Network.BytesReceived)
	}
}

// Attempts that were answered are not kept until the end.
func TestNetworkSettles(t *testing.T) {
	a := NewAggregator()
	const n = 50_000
	second := uint64(time.Second)
	for i := range uint64(n) {
		a.Add(connectTo(root, i*second/100, i+1, "1.1.1.1:1", "in_progress"))
		if i%10 != 0 {
			a.Add(done(i*second/100+5, i+1, "connected"))
		}
		if i%10 == 5 {
			a.Add(done(i*second/100+6, i+1, "reset")) // of an attempt that was lost
		}
	}
	if waiting := len(a.network.waiting); waiting < n/10 || waiting > n/4 {
		t.Errorf("%d sockets wait", waiting)
	}
	for range 2 { // Fill changes nothing
		r := filled(t, a, Summary{})
		check(t, "attempts", r.Network.Attempts, []receipt.Attempt{
			{Dst: "1.1.1.1:1", Protocol: "tcp", Result: "connected", PID: 100, Count: n * 9 / 10},
			{Dst: "1.1.1.1:1", Protocol: "tcp", Result: "in_progress", PID: 100, Count: n / 10},
		})
		check(t, "gaps", r.Observation.Gaps, []receipt.Gap{
			{Kind: "connect", Detail: "outcomes of connection attempts that did not arrive", Count: n / 10},
		})
	}
}

func TestSyscalls(t *testing.T) {
	r := fill(t, nil, Summary{Mode: "ebpf", Syscalls: []SyscallCount{
		{"openat", 5, true}, {"openat2", 1, false}, {"creat", 2, false}, {"open", 10, false}, {"open", 20, true},
		{"connect", 3, true}, {"chroot", 4, false}, {"chmod", 0, false}, {"read", 9, false},
	}}, nil)
	check(t, "syscalls", r.Syscalls, receipt.Syscalls{
		Counts: map[string]uint64{
			"open": 38, "openat": 5, "openat2": 1, "creat": 2, "connect": 3, "execve": 0,
			"chroot": 4, "chmod": 0, "read": 9,
		},
		Denied: []string{"connect", "open", "openat"},
	})
	check(t, "gaps", r.Observation.Gaps, []receipt.Gap{
		{Kind: "not_recorded", Detail: "chroot: root folder changed", Count: 4},
	})
}

// With every field of every kind of event at odd values, nothing panics and a
// receipt comes out that can be encoded.
func TestOddEvents(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	kinds := []func() Event{
		func() Event { return new(Fork) }, func() Event { return new(Exec) }, func() Event { return new(ExecFailed) },
		func() Event { return new(Exit) }, func() Event { return new(Open) }, func() Event { return new(FileOp) },
		func() Event { return new(Connect) }, func() Event { return new(ConnectDone) }, func() Event { return new(Repeat) },
		func() Event { return new(Bind) }, func() Event { return new(Client) }, func() Event { return new(Listen) },
		func() Event { return new(Accept) }, func() Event { return new(DNS) },
		func() Event { return new(FileIO) }, func() Event { return new(Mapping) },
	}
	for range 200 {
		var events []Event
		for range 100 {
			e := kinds[rng.IntN(len(kinds))]()
			odd(rng, reflect.ValueOf(e).Elem())
			events = append(events, e)
		}
		r := &receipt.Receipt{}
		aggregated(events).Fill(r, Summary{
			Emitted: math.MaxUint64, Lost: map[string]uint64{"a": math.MaxUint64, "b": math.MaxUint64},
			Alive: []ProcessID{{}, {-1, 5}, {math.MaxInt32, math.MaxUint64}, {1, 1}},
		}, boot)
		if err := receipt.Encode(discard{}, r); err != nil {
			t.Fatal(err)
		}
		if r.Observation.Complete {
			t.Fatal("complete")
		}
		for _, p := range r.ProcessTree {
			if p.PID <= 0 {
				t.Fatalf("process %d", p.PID)
			}
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func odd(rng *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			odd(rng, v.Field(i))
		}
	case reflect.Bool:
		v.SetBool(rng.IntN(3) == 0)
	case reflect.String:
		texts := []string{"", "/", "..", "a", "/\xff", "//../x/", "unlink", "rename", "link", "mount", "chmod", "symlink", "unix:", "in_progress", "\x00"}
		v.SetString(texts[rng.IntN(len(texts))])
	case reflect.Slice:
		for range rng.IntN(3) {
			v.Set(reflect.Append(v, reflect.New(v.Type().Elem()).Elem()))
		}
	case reflect.Int32:
		v.SetInt([]int64{0, 1, 2, -1, math.MaxInt32, math.MinInt32}[rng.IntN(6)])
	case reflect.Uint16, reflect.Uint32:
		v.SetUint([]uint64{0, 1, math.MaxUint16}[rng.IntN(3)])
	case reflect.Uint64:
		v.SetUint([]uint64{0, 1, 2, 3, math.MaxInt64, math.MaxUint64}[rng.IntN(6)])
	}
}

// A run on four CPUs is folded to the same receipt however the CPUs' streams
// interleave.
func TestOrderBetweenCPUs(t *testing.T) {
	streams := run(4)
	want := ""
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 50 {
		left := make([][]Event, len(streams))
		copy(left, streams)
		var events []Event
		for len(left) > 0 {
			i := rng.IntN(len(left))
			// Now and then a burst of one CPU, as rings are drained.
			for range min(1+rng.IntN(20), len(left[i])) {
				events = append(events, left[i][0])
				left[i] = left[i][1:]
			}
			if len(left[i]) == 0 {
				left = append(left[:i:i], left[i+1:]...)
			}
		}
		r := fill(t, events, Summary{Mode: "ebpf"}, []ProcessID{root})
		var b text
		if err := receipt.Encode(&b, r); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			want = string(b)
			if len(r.ProcessTree) < 10 || len(r.Filesystem.Renames) == 0 || len(r.Network.Attempts) < 3 {
				t.Fatalf("not much of a run:\n%s", want)
			}
		} else if diff := cmp.Diff(want, string(b)); diff != "" {
			t.Fatalf("round %d (-first +this):\n%s", round, diff)
		}
	}
}

type text []byte

func (b *text) Write(p []byte) (int, error) { *b = append(*b, p...); return len(p), nil }

// run makes up a run: the events by CPU.
func run(cpus int) [][]Event {
	rng := rand.New(rand.NewPCG(5, 6))
	streams := make([][]Event, cpus)
	now := uint64(1000)
	emit := func(e Event) {
		h := e.Head()
		h.CPU = uint16(rng.IntN(cpus))
		h.Seq = uint64(len(streams[h.CPU]))
		streams[h.CPU] = append(streams[h.CPU], e)
	}
	emit(exec(root, now, "/bin/sh", "sh"))
	processes := []ProcessID{root}
	ids := []RepeatID{}
	for i := range 2000 {
		now += uint64(1 + rng.IntN(1000))
		p := processes[rng.IntN(len(processes))]
		h := by(p, now)
		id := RepeatID(i + 1)
		name := fmt.Sprintf("f%d", rng.IntN(10))
		switch rng.IntN(10) {
		case 0:
			next := ProcessID{int32(200 + i), now}
			processes = append(processes, next)
			emit(&Fork{Header: h, Child: next, UID: uint32(rng.IntN(3))})
		case 1:
			emit(exec(p, now, "/bin/"+name, name, fmt.Sprint(i)))
		case 2:
			if len(processes) > 5 {
				last := processes[len(processes)-1]
				processes = processes[:len(processes)-1]
				emit(&Exit{Header: by(last, now), Status: int32(rng.IntN(2) << 8), CPUTime: 1e6, MaxRSS: uint64(i)})
			}
		case 3, 4:
			emit(&Open{
				Header: h, ID: id, Path: Path{Name: "/w/" + name}, Requested: name, Kind: KindFile,
				Mode: OpenMode{Read: rng.IntN(2) == 0, Created: rng.IntN(2) == 0},
			})
			ids = append(ids, id)
		case 5:
			emit(&FileOp{Header: h, Op: "unlink", Path: in("/w", name)})
		case 6:
			emit(&FileOp{Header: h, Op: "rename", Path: in("/w", name), To: in("/w", "f0"), Exchange: rng.IntN(2) == 0})
		case 7:
			emit(&FileOp{Header: h, ID: id, Op: "open", Errno: 2, Path: in("/w", name)})
			ids = append(ids, id)
		case 8:
			socket := uint64(1 + rng.IntN(3))
			emit(&Connect{Header: h, ID: id, Socket: socket, Protocol: "tcp", Dst: name, Result: ResultInProgress})
			now++
			if rng.IntN(3) > 0 {
				emit(&ConnectDone{Header: by(p, now), Socket: socket, Result: ResultConnected})
			}
		case 9:
			emit(&ExecFailed{Header: h, Errno: 2, Path: in("/w", name), Argv: []string{name}})
		}
	}
	for _, id := range ids {
		emit(&Repeat{Header: by(ProcessID{}, now), ID: id, Count: uint64(rng.IntN(3))})
	}
	return streams
}

// The last repeat of an event ends what is kept of it, also if it comes first.
func TestLastRepeat(t *testing.T) {
	a := NewAggregator()
	open := func(id RepeatID, path string) *Open {
		return &Open{Header: by(root, 1), ID: id, Path: Path{Name: path}, Mode: OpenMode{Read: true}}
	}
	for _, e := range []Event{
		open(1, "/a"), &Repeat{ID: 1, Count: 2}, &Repeat{ID: 1, Count: 3, Last: true},
		&Repeat{ID: 2, Last: true}, open(2, "/b"),
		&Repeat{ID: 3, Count: 4, Last: true}, open(3, "/c"),
		open(4, "/d"), &Repeat{ID: 4, Last: true},
		open(0, "/e"),
		open(6, "/f"),
		&Repeat{ID: 7, Count: 5}, &Repeat{ID: 8, Last: true}, // of what was lost
	} {
		a.Add(e)
	}
	if len(a.repeats.tallies) != 1 || len(a.repeats.early) != 2 {
		t.Errorf("%d events may be repeated, %d were before they came", len(a.repeats.tallies), len(a.repeats.early))
	}
	r := filled(t, a, Summary{Mode: "ebpf"})
	var opens []uint64
	for _, f := range r.Filesystem.Files {
		opens = append(opens, f.Opens)
	}
	check(t, "opens", opens, []uint64{6, 1, 5, 1, 1, 1})
	check(t, "gaps", r.Observation.Gaps, []receipt.Gap{{Kind: "repeats", Detail: "repeats of events that did not arrive", Count: 5}})
}

// Memory grows with distinct files, not with events, and each costs little.
func TestAggregatorGrowth(t *testing.T) {
	a := NewAggregator()
	open := func(file, id int) {
		a.Add(&Open{
			Header: by(root, uint64(id)), ID: RepeatID(id), Path: Path{Name: fmt.Sprintf("/folder/file-%06d", file)},
			Requested: fmt.Sprintf("file-%06d", file), Mode: OpenMode{Read: true}, Kind: KindFile,
		})
	}
	const files = 100_000
	before := heap()
	for i := range files {
		open(i, i+1)
	}
	full := heap()
	if each := (full - before) / files; each > 250 {
		t.Errorf("%d bytes for each file", each)
	}
	for i := range 5 * files {
		open(i%files, 1+i%files)
		a.Add(&Repeat{ID: RepeatID(1 + i%files), Count: 3})
		a.Add(&Exit{Header: by(root, uint64(i))})
	}
	if again := heap(); again > full+full/10 {
		t.Errorf("%d bytes, and %d after more events of the same", full, again)
	}
	r := &receipt.Receipt{}
	a.Fill(r, Summary{}, boot)
	r.Normalize()
	if len(r.Filesystem.Files) != files || r.Filesystem.Files[0].Opens != 6+5*3 {
		t.Errorf("%d files, the first with %d opens", len(r.Filesystem.Files), r.Filesystem.Files[0].Opens)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestRuntime(t *testing.T) {
	for want, all := range map[string][][]string{
		"unknown":    {nil, {}, {""}, {"/"}, {"ls"}, {"python-config"}, {"env"}, {"env", "A=b"}, {"env", "-i", "sh"}, {"3.11"}},
		"python3.x":  {{"python3"}, {"/usr/bin/python3", "x.py"}, {"env", "python3"}, {"/usr/bin/env", "A=b", "B=", "python3"}},
		"python2.x":  {{"python2"}},
		"python3.11": {{"/opt/python3.11"}},
		"python":     {{"python"}, {"python.exe"}},
		"node":       {{"node"}, {"nodejs"}, {"node18"}, {"npx", "x"}},
		"ruby":       {{"ruby3.1"}},
		"perl":       {{"/usr/bin/perl5.36.0"}},
		"bash":       {{"bash", "-c", "python3"}},
		"sh":         {{"/bin/sh"}},
		"go":         {{"go", "run"}},
		"java":       {{"java"}},
	} {
		for _, argv := range all {
			if got := Runtime(argv); got != want {
				t.Errorf("Runtime(%q) = %q, want %q", argv, got, want)
			}
		}
	}
}

// However many large execs a run makes, what is kept of them is bounded, and
// what was cut says so.
func TestArgvBudget(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	var events []Event
	for i := range uint64(80) {
		events = append(events, exec(ProcessID{int32(1000 + i), 1}, 10+i, "/bin/a", "a", fmt.Sprint(i), big))
	}
	events = append(events,
		&ExecFailed{Header: by(root, 200), Errno: 7, Path: in("/", "b"), Argv: []string{"b", big}},
		exec(child, 201, "/bin/small", "small", "one"))
	r := &receipt.Receipt{} // of 200 MB as JSON, which would take seconds to validate
	aggregated(events).Fill(r, Summary{Mode: "ebpf"}, boot)
	r.Normalize()
	kept, cut := 0, 0
	for _, p := range r.ProcessTree {
		for _, arg := range p.Argv {
			kept += len(arg) + 1
		}
		if p.ArgvTruncated {
			cut++
			if len(p.Argv) != 2 || p.Argv[0] != "a" {
				t.Fatalf("%q", p.Argv)
			}
		}
	}
	if kept > argvMax || kept < argvMax-1<<21 || cut < 16 || cut > 18 {
		t.Errorf("%d bytes kept, %d execs cut", kept, cut)
	}
	if f := r.ExecFailures; len(f) != 1 || !f[0].ArgvTruncated || len(f[0].Argv) != 1 {
		t.Errorf("failed: %+v", f)
	}
	if last := r.ProcessTree[len(r.ProcessTree)-1]; last.ArgvTruncated || len(last.Argv) != 2 {
		t.Errorf("a small one beyond: %+v", last)
	}
	check(t, "gaps", r.Observation.Gaps, []receipt.Gap{
		{Kind: "argv", Detail: "arguments beyond the first 64 MiB of the run were cut", Count: uint64(cut) + 1},
	})
}
