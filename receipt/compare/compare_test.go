package compare

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"glasshouse/receipt"
)

// bare is the receipt of a run that did nothing and was wholly seen.
func bare() *receipt.Receipt {
	start := receipt.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	rec := &receipt.Receipt{ReceiptVersion: receipt.Version}
	rec.Timing = receipt.Timing{StartedAt: start, EndedAt: receipt.At(start.Add(2 * time.Second))}
	rec.Observation.Mode, rec.Observation.Complete = "ebpf", true
	return rec
}

// rich did a bit of everything.
func rich() *receipt.Receipt {
	rec := bare()
	at := func(ms int) receipt.Time {
		return receipt.At(rec.Timing.StartedAt.Add(time.Duration(ms) * time.Millisecond))
	}
	rec.Command = receipt.Command{Argv: []string{"sh", "-c", "x"}, Exe: "/bin/sh", WorkingDir: "/work", UID: 7, GID: 7}
	proc := func(pid, ppid int32, ms int, exe string, argv ...string) receipt.Process {
		zero := 0
		return receipt.Process{PID: pid, PPID: ppid, Exe: exe, Argv: argv, WorkingDir: "/work", StartTime: uint64(ms),
			StartedAt: at(ms), UID: 7, GID: 7, ExitCode: &zero,
			Execs: []receipt.Exec{{Exe: exe, Argv: argv, WorkingDir: "/work", At: at(ms + 1)}}}
	}
	rec.ProcessTree = []receipt.Process{
		proc(100, 1, 0, "/bin/sh", "sh", "-c", "x"),
		proc(101, 100, 10, "/bin/cat", "cat", "f"),
		proc(102, 100, 20, "/bin/rm", "rm", "g"),
	}
	fs := &rec.Filesystem
	fs.Reads = []string{"/work/f"}
	fs.Writes = []string{"/work/g", "/work/h"}
	fs.Deletes = []string{"/work/g"}
	fs.Created = []receipt.Created{{Path: "/work/g", Kind: "file"}}
	fs.Changed = []receipt.Changed{{Path: "/work/h", What: "mode"}}
	fs.Files = []receipt.FileEntry{{Path: "/work/f", Read: true}, {Path: "/work/g", Written: true}, {Path: "/work/h", Written: true}}
	rec.Network.Attempts = []receipt.Attempt{{Dst: "192.0.2.1:80", Protocol: "tcp", Result: "connected", PID: 101, Count: 1}}
	rec.Syscalls.Counts = map[string]uint64{"execve": 3, "open": 4, "openat": 4, "connect": 1}
	return rec
}

// differ lists what b did and a did not, a line each.
func differ(a, b *receipt.Receipt) []string { return lines(result(a, b).Differences) }

func result(a, b *receipt.Receipt) Result {
	c := New("b", b)
	c.Baseline("a", a)
	return c.Result()
}

func lines(facts []Fact) []string {
	var list []string
	for _, f := range facts {
		list = append(list, fmt.Sprintf("%s %s|%s|%s|%s", f.Class, f.Name, strings.Join(f.Argv, " "), f.Other, f.Detail))
	}
	return list
}

func ptr[T any](v T) *T { return &v }

func TestClasses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(rec *receipt.Receipt)
		more   []string // what the changed one did besides
		less   []string // what it did not do
	}{
		{"nothing", func(*receipt.Receipt) {}, nil, nil},
		{"another exit code", func(rec *receipt.Receipt) { rec.Outcome.ExitCode = 3 },
			[]string{"outcome exit code 3|||"}, []string{"outcome exit code 0|||"}},
		{"a signal", func(rec *receipt.Receipt) { rec.Outcome = receipt.Outcome{ExitCode: 137, Signal: ptr("SIGKILL")} },
			[]string{"outcome signal SIGKILL|||"}, []string{"outcome exit code 0|||"}},
		{"an error", func(rec *receipt.Receipt) { rec.Outcome.Error = ptr("time limit") },
			[]string{"outcome error|||time limit"}, nil},
		{"another user", func(rec *receipt.Receipt) { rec.ProcessTree[2].UID = 0 },
			[]string{"user uid 0 gid 7|||"}, nil},
		{"one more command", func(rec *receipt.Receipt) {
			p := rec.ProcessTree[2]
			p.PID, p.StartTime, p.Exe, p.Argv = 103, 30, "/bin/id", []string{"id", "-u"}
			p.Execs = []receipt.Exec{{Exe: p.Exe, Argv: p.Argv, WorkingDir: "/work", At: p.StartedAt}}
			rec.ProcessTree = append(rec.ProcessTree, p)
		}, []string{"ran /bin/id|id -u|/bin/sh|"}, nil},
		{"the same command once more", func(rec *receipt.Receipt) {
			p := rec.ProcessTree[2]
			p.PID, p.StartTime = 103, 30
			rec.ProcessTree = append(rec.ProcessTree, p)
		}, nil, nil},
		{"in another order", func(rec *receipt.Receipt) {
			slices.Reverse(rec.ProcessTree[1:])
			for i := range rec.ProcessTree {
				rec.ProcessTree[i].StartTime = uint64(10 * i)
			}
		}, nil, nil},
		{"another argument", func(rec *receipt.Receipt) {
			rec.ProcessTree[2].Argv = []string{"rm", "-f", "g"}
		}, []string{"ran /bin/rm|rm -f g|/bin/sh|"}, []string{"ran /bin/rm|rm g|/bin/sh|"}},
		{"arguments that read alike", func(rec *receipt.Receipt) {
			rec.ProcessTree[1].Argv = []string{"cat f"}
		}, []string{"ran /bin/cat|cat f|/bin/sh|"}, []string{"ran /bin/cat|cat f|/bin/sh|"}},
		{"by another", func(rec *receipt.Receipt) {
			rec.ProcessTree[2].PPID = 101
		}, []string{"ran /bin/rm|rm g|/bin/cat|"}, []string{"ran /bin/rm|rm g|/bin/sh|"}},
		{"by one who had the number of another that had ended", func(rec *receipt.Receipt) {
			end := receipt.At(rec.ProcessTree[2].StartedAt.Add(-1))
			rec.ProcessTree[1].EndedAt = &end
			rec.ProcessTree[2].PPID = 101
		}, []string{"ran /bin/rm|rm g||"}, []string{"ran /bin/rm|rm g|/bin/sh|"}},
		{"in another folder", func(rec *receipt.Receipt) {
			rec.ProcessTree[2].Execs[0].WorkingDir = "/etc"
		}, []string{"ran /bin/rm|rm g|/bin/sh|/etc"}, []string{"ran /bin/rm|rm g|/bin/sh|"}},
		{"by the image that the parent had then", func(rec *receipt.Receipt) {
			rec.ProcessTree[0].Execs = append(rec.ProcessTree[0].Execs,
				receipt.Exec{Exe: "/bin/late", Argv: []string{"sh", "-c", "x"}, WorkingDir: "/work", At: rec.ProcessTree[2].StartedAt})
		}, []string{"ran /bin/late|sh -c x|/bin/sh|", "ran /bin/rm|rm g|/bin/late|"}, []string{"ran /bin/rm|rm g|/bin/sh|"}},
		{"a fork", func(rec *receipt.Receipt) {
			rec.ProcessTree = append(rec.ProcessTree, receipt.Process{PID: 103, PPID: 101, Exe: "/bin/cat", Argv: []string{"cat", "f"}, StartTime: 30, UID: 7, GID: 7, ExitCode: ptr(0)})
		}, []string{"forked /bin/cat|cat f||"}, nil},
		{"a child that fails", func(rec *receipt.Receipt) { rec.ProcessTree[1].ExitCode = ptr(1) },
			[]string{"ended /bin/cat|cat f||exit code 1"}, []string{"ended /bin/cat|cat f||exit code 0"}},
		{"a failed exec", func(rec *receipt.Receipt) {
			rec.ExecFailures = []receipt.ExecFail{{PID: 101, Path: "/nope", Argv: []string{"nope"}, Errno: "ENOENT", Count: 1}}
		}, []string{"exec_failed /nope|nope||ENOENT"}, nil},
		{"a survivor", func(rec *receipt.Receipt) {
			rec.Observation.Survivors = []receipt.Survivor{{PID: 102, Exe: "/bin/rm"}}
		}, []string{"survived /bin/rm|||"}, nil},
		{"a read", func(rec *receipt.Receipt) { rec.Filesystem.Reads = []string{"/etc/shadow", "/work/f"} },
			[]string{"read /etc/shadow|||"}, nil},
		{"a write", func(rec *receipt.Receipt) {
			rec.Filesystem.Writes = append(rec.Filesystem.Writes, "/work/i")
		}, []string{"written /work/i|||"}, nil},
		{"a new file", func(rec *receipt.Receipt) {
			rec.Filesystem.Writes = append(rec.Filesystem.Writes, "/work/i")
			rec.Filesystem.Created = append(rec.Filesystem.Created, receipt.Created{Path: "/work/i", Kind: "file"})
		}, []string{"created /work/i|||file"}, nil},
		{"a link", func(rec *receipt.Receipt) {
			rec.Filesystem.Created = append(rec.Filesystem.Created, receipt.Created{Path: "/work/i", Kind: "symlink", Target: ptr("/etc")})
		}, []string{"created /work/i||/etc|symlink"}, nil},
		{"a deletion", func(rec *receipt.Receipt) { rec.Filesystem.Deletes = append(rec.Filesystem.Deletes, "/work/h") },
			[]string{"deleted /work/h|||"}, nil},
		{"a rename", func(rec *receipt.Receipt) {
			rec.Filesystem.Renames = []receipt.Rename{{From: "/work/h", To: "/work/j"}}
			rec.Filesystem.Deletes = append(rec.Filesystem.Deletes, "/work/h")
			rec.Filesystem.Writes = append(rec.Filesystem.Writes, "/work/j")
		}, []string{"renamed /work/h||/work/j|"}, nil},
		{"a change", func(rec *receipt.Receipt) {
			rec.Filesystem.Changed = append(rec.Filesystem.Changed, receipt.Changed{Path: "/work/h", What: "owner"})
		}, []string{"changed /work/h|||owner"}, nil},
		{"a library", func(rec *receipt.Receipt) {
			rec.Filesystem.Reads = append(rec.Filesystem.Reads, "/lib/evil.so")
			rec.Filesystem.Files = append(rec.Filesystem.Files, receipt.FileEntry{Path: "/lib/evil.so", Read: true, MappedExec: true})
		}, []string{"mapped /lib/evil.so|||"}, nil},
		{"a shared mapping", func(rec *receipt.Receipt) { rec.Filesystem.Files[1].MappedShared = true },
			[]string{"shared /work/g|||"}, nil},
		{"a pipe", func(rec *receipt.Receipt) {
			rec.Filesystem.Files = append(rec.Filesystem.Files, receipt.FileEntry{Path: "pipe:[77]", Read: true, Written: true})
		}, []string{"written pipe:[<n>]|||", "read pipe:[<n>]|||"}, nil},
		{"a path that was cut", func(rec *receipt.Receipt) {
			rec.Filesystem.Files = append(rec.Filesystem.Files, receipt.FileEntry{Path: "/work/long", PathCut: true, Written: true})
		}, []string{"written /work/long...|||"}, nil},
		{"a failed operation", func(rec *receipt.Receipt) {
			rec.Filesystem.Failed = []receipt.FailedOp{{Op: "unlink", Path: "/etc/passwd", Errno: "EACCES", Count: 1}}
		}, []string{"failed /etc/passwd|||unlink EACCES"}, nil},
		{"a mount", func(rec *receipt.Receipt) {
			rec.Filesystem.Mounts = []receipt.Mount{{Op: "mount", Path: "/mnt", From: ptr("tmpfs")}}
		}, []string{"mounted /mnt||tmpfs|mount"}, nil},
		{"a violation", func(rec *receipt.Receipt) { rec.Filesystem.PolicyViolations = []string{"/etc"} },
			[]string{"violated /etc|||"}, nil},
		{"another port", func(rec *receipt.Receipt) { rec.Network.Attempts[0].Dst = "192.0.2.1:81" },
			[]string{"attempted 192.0.2.1:81|||tcp connected"}, []string{"attempted 192.0.2.1:80|||tcp connected"}},
		{"another result", func(rec *receipt.Receipt) { rec.Network.Attempts[0].Result = "refused" },
			[]string{"attempted 192.0.2.1:80|||tcp refused"}, []string{"attempted 192.0.2.1:80|||tcp connected"}},
		{"by name", func(rec *receipt.Receipt) { rec.Network.Attempts[0].Host = ptr("example.invalid") },
			[]string{"attempted example.invalid:80|||tcp connected"}, []string{"attempted 192.0.2.1:80|||tcp connected"}},
		{"a listener", func(rec *receipt.Receipt) {
			rec.Network.Listens = []receipt.Listen{{Addr: "0.0.0.0:4444", Protocol: "tcp", PID: 101}}
		}, []string{"listened 0.0.0.0:4444|||tcp"}, nil},
		{"a caller", func(rec *receipt.Receipt) {
			rec.Network.Accepts = []receipt.Accept{{Src: "192.0.2.9:51000", Addr: "192.0.2.2:22", Protocol: "tcp", PID: 101}}
		}, []string{"accepted 192.0.2.2:22||192.0.2.9:<port>|tcp"}, nil},
		{"a question", func(rec *receipt.Receipt) {
			rec.Network.DNS = []receipt.DNSQuery{{Name: "example.invalid", Type: "A", Server: "192.0.2.53:53", PID: 101, Count: 1}}
		}, []string{"asked example.invalid||192.0.2.53:53|A"}, nil},
		{"a secret", func(rec *receipt.Receipt) { rec.Redactions = []receipt.Redaction{{ID: 1, Rule: "password"}} },
			[]string{"secret password|||"}, nil},
		{"a gap", func(rec *receipt.Receipt) {
			rec.Observation.Gaps = []receipt.Gap{{Kind: "daemon", Detail: "unix:/run/docker.sock", Count: 1}}
		}, []string{"gap daemon|||unix:/run/docker.sock"}, nil},
		{"a system call", func(rec *receipt.Receipt) { rec.Syscalls.Counts["ptrace"] = 1 },
			[]string{"syscall ptrace|||"}, nil},
		{"more calls", func(rec *receipt.Receipt) { rec.Syscalls.Counts["execve"] = 99 }, nil, nil},
		{"the sum of the opens", func(rec *receipt.Receipt) { rec.Syscalls.Counts["open"] = 5 },
			[]string{"syscall open|||"}, nil},
		{"a denied call", func(rec *receipt.Receipt) { rec.Syscalls.Denied = []string{"connect"} },
			[]string{"syscall_denied connect|||"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			changed := rich()
			tc.change(changed)
			if got := differ(rich(), changed); !slices.Equal(got, tc.more) {
				t.Errorf("more:\n got %q\nwant %q", got, tc.more)
			}
			if got := differ(changed, rich()); !slices.Equal(got, tc.less) {
				t.Errorf("less:\n got %q\nwant %q", got, tc.less)
			}
			if got := differ(changed, changed); len(got) > 0 {
				t.Errorf("from itself: %q", got)
			}
		})
	}
}

// What is volatile by nature, and what only looks so.
func TestNumbers(t *testing.T) {
	attempt := func(dst, result string, listens ...string) func(rec *receipt.Receipt) {
		return func(rec *receipt.Receipt) {
			rec.Network.Attempts = []receipt.Attempt{{Dst: dst, Protocol: "tcp", Result: result, PID: 100}}
			for _, l := range listens {
				rec.Network.Listens = append(rec.Network.Listens, receipt.Listen{Addr: l, Protocol: "tcp", PID: 100})
			}
		}
	}
	proxied := func(dst, result string) func(rec *receipt.Receipt) {
		return func(rec *receipt.Receipt) {
			rec.Network.Attempts = []receipt.Attempt{{Dst: dst, Protocol: "tcp", Result: result, Source: receipt.SourceProxy}}
		}
	}
	read := func(path string) func(rec *receipt.Receipt) {
		return func(rec *receipt.Receipt) { rec.Filesystem.Reads = []string{path} }
	}
	arg := func(args ...string) func(rec *receipt.Receipt) {
		return func(rec *receipt.Receipt) { rec.ProcessTree[1].Argv = args }
	}
	for _, tc := range []struct {
		name string
		a, b func(rec *receipt.Receipt)
		same bool
	}{
		{"a process of the run's own", read("/proc/100/status"), read("/proc/1100/status"), true},
		{"two strangers", read("/proc/5/stat"), read("/proc/6/stat"), true},
		{"own and stranger", read("/proc/100/environ"), read("/proc/100/environ"), false},
		{"stranger and init", read("/proc/5/environ"), read("/proc/1/environ"), false},
		{"threads", read("/proc/100/task/103/comm"), read("/proc/1100/task/1999/comm"), true},
		{"no process", read("/proc/meminfo"), read("/proc/mounts"), false},
		{"terminals", read("/dev/pts/3"), read("/dev/pts/4"), true},
		{"files without a name", read("/tmp/#42"), read("/tmp/#43"), true},
		{"a port of its own", attempt("127.0.0.1:40000", "connected", "127.0.0.1:40000"), attempt("127.0.0.1:50000", "connected", "127.0.0.1:50000"), true},
		{"a port of its own on all addresses", attempt("127.0.0.1:40000", "connected", "0.0.0.0:40000"), attempt("127.0.0.1:50000", "connected", "0.0.0.0:50000"), true},
		{"a service here", attempt("127.0.0.1:40000", "connected"), attempt("127.0.0.1:50000", "connected"), false},
		{"nobody here", attempt("[::1]:40000", "refused"), attempt("[::1]:50000", "refused"), true},
		{"nobody on the host", proxied("[::1]:40000", "refused"), proxied("[::1]:50000", "refused"), false},
		{"nobody at a low port", attempt("[::1]:4000", "refused"), attempt("[::1]:5000", "refused"), false},
		{"nobody there", attempt("192.0.2.1:40000", "refused"), attempt("192.0.2.1:50000", "refused"), false},
		{"its own port elsewhere", attempt("192.0.2.1:40000", "connected", "0.0.0.0:40000"), attempt("192.0.2.1:50000", "connected", "0.0.0.0:50000"), false},
		{"abstract names with numbers", attempt("unix:@x-100", "connected", "unix:@x-100"), attempt("unix:@x-1100", "connected", "unix:@x-1100"), true},
		{"abstract names of the kernel's", attempt("unix:@0001f", "connected"), attempt("unix:@00a20", "connected"), true},
		{"abstract names", attempt("unix:@good", "connected", "unix:@good"), attempt("unix:@evil", "connected", "unix:@evil"), false},
		{"numbers in arguments", arg("kill", "-0", "100"), arg("kill", "-0", "1100"), true},
		{"other numbers in arguments", arg("kill", "5"), arg("kill", "6"), false},
		{"numbers that are everybody's", arg("seq", "100", "/proc/self/fd/5"), arg("seq", "100", "/proc/self/fd/5"), true},
		{"a path in /proc", arg("cat", "/proc/4711/stat"), arg("cat", "/proc/4712/stat"), true},
		{"a time", arg("date", "-d", "@1767323045"), arg("date", "-d", "@1767323046"), true},
		{"another time", arg("date", "-d", "@1467323045"), arg("date", "-d", "@1467323046"), false},
		{"secrets by number", arg("x", "[redacted:1]"), arg("x", "[redacted:2]"), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := rich(), rich()
			for i := range b.ProcessTree {
				b.ProcessTree[i].PID += 1000
				if b.ProcessTree[i].PPID > 1 {
					b.ProcessTree[i].PPID += 1000
				}
			}
			a.Filesystem.Files, b.Filesystem.Files = nil, nil
			tc.a(a)
			tc.b(b)
			if got := differ(a, b); (len(got) == 0) != tc.same {
				t.Errorf("B did besides: %q", got)
			}
			if got := differ(b, a); (len(got) == 0) != tc.same {
				t.Errorf("A did besides: %q", got)
			}
		})
	}
}

func TestTimingDoesNotCount(t *testing.T) {
	b := rich()
	b.Syscalls.Counts["futex"] = 3
	b.Syscalls.Counts["exit"] = 1 // of a thread; exit_group may be faster
	b.Observation.Gaps = []receipt.Gap{{Kind: "raced", Detail: "open", Count: 1}}
	a := rich()
	a.Artifacts.StdoutHash, b.Artifacts.StdoutHash = ptr("aa"), ptr("bb")
	b.Artifacts.StderrHash = ptr("cc") // a's went to a terminal
	res := result(a, b)
	if len(res.Differences) > 0 {
		t.Errorf("differences: %q", lines(res.Differences))
	}
	if got, want := lines(res.Timing), []string{"gap raced|||open", "syscall exit|||", "syscall futex|||", "output stdout|||sha256 bb"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSeveralBaselines(t *testing.T) {
	b := made("-/tmp/tmp.Ab12Cd34Ef", "/work/x", "/work/y", "/work/z")
	c := New("b", b)
	c.Baseline("1", made("-/tmp/tmp.Qw98Er76Ty", "/work/x"))
	c.Baseline("2", made("/work/y"))
	if got, want := lines(c.Result().Differences), []string{"created /work/z|||file"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCaveats(t *testing.T) {
	whole, part, blind, older := rich(), rich(), rich(), rich()
	part.Observation.Complete, part.Observation.Reason = false, ptr("lost 3")
	blind.Observation.Mode, blind.Observation.Complete = "none", false
	older.Environment.GlasshouseVersion = "0.1"
	for _, tc := range []struct {
		a, b     *receipt.Receipt
		complete bool
		caveats  []Caveat
	}{
		{whole, whole, true, []Caveat{}},
		{part, whole, true, []Caveat{{"a", "the recording is not complete: lost 3"}}},
		{whole, part, false, []Caveat{{"b", "the recording is not complete: lost 3"}}},
		{whole, blind, false, []Caveat{{"b", "nothing was observed"}}},
		{older, whole, true, []Caveat{{"a", "made by glasshouse 0.1, receipt v0.3, not by glasshouse , receipt v0.3, which may see more"}}},
	} {
		res := result(tc.a, tc.b)
		if res.Complete != tc.complete || !slices.Equal(res.Caveats, tc.caveats) {
			t.Errorf("got %v, %q, want %v, %q", res.Complete, res.Caveats, tc.complete, tc.caveats)
		}
	}
}

// renumbered is what one workload leaves with the numbers, times and names
// that a seed gives.
func renumbered(seed uint64) *receipt.Receipt {
	r := rand.New(rand.NewPCG(seed, 0))
	rec := rich()
	first := 1000 + r.Int32N(1000000)
	shift := time.Duration(r.Int64N(int64(1000 * 24 * time.Hour)))
	move := func(t *receipt.Time) { *t = receipt.At(t.Add(shift)) }
	move(&rec.Timing.StartedAt)
	move(&rec.Timing.EndedAt)
	pid := func(n int32) int32 { return first + 3*n }
	for i := range rec.ProcessTree {
		p := &rec.ProcessTree[i]
		p.PID, p.PPID = pid(p.PID), pid(p.PPID)
		p.StartTime += uint64(shift)
		move(&p.StartedAt)
		for j := range p.Execs {
			move(&p.Execs[j].At)
		}
	}
	// Made-up names that cannot be taken for words, nor have much in common by
	// chance; TestMakers has the others.
	letters, numerals := alnum[26:39], "01234"
	if seed%2 == 1 {
		letters, numerals = alnum[39:52], "56789"
	}
	python := "/tmp/sneaky-" + draw(r, letters, 3) + draw(r, numerals, 2) + draw(r, letters, 3)
	shell := "/tmp/tmp." + draw(r, letters, 4) + draw(r, numerals, 2) + draw(r, letters, 4)
	build := fmt.Sprint("/tmp/go-build", 100000000+r.Uint32N(4e9))
	now := rec.Timing.StartedAt
	log := fmt.Sprintf("/work/log-%s-%d.txt", now.Format("20060102T150405"), pid(101))
	stamp := fmt.Sprint("/work/at-", now.UnixMilli())
	port := 32768 + r.IntN(1000)
	addr := fmt.Sprint("127.0.0.1:", port)
	nobody := fmt.Sprint("127.0.0.1:", port+7000)
	abstract := fmt.Sprint("unix:@demo-", pid(100))

	rec.ProcessTree[1].Argv = []string{"cat", build + "/b001/x.o", "-trimpath=" + build + "=>;" + python, fmt.Sprint(pid(102)), log}
	rec.ProcessTree[1].Execs[0].WorkingDir = python
	rec.ExecFailures = []receipt.ExecFail{{Path: python + "/no-helper", Argv: []string{python + "/no-helper"}, Errno: "ENOENT"}}
	fs := &rec.Filesystem
	gone := []string{python, python + "/notes", build, build + "/b001", build + "/b001/x.o", shell}
	stay := []string{log, stamp}
	for _, p := range slices.Concat(gone, stay) {
		fs.Created = append(fs.Created, receipt.Created{Path: p, Kind: "file"})
		fs.Writes = append(fs.Writes, p)
		fs.Files = append(fs.Files, receipt.FileEntry{Path: p, Written: true, MappedShared: true, BytesWritten: r.Uint64()})
	}
	fs.Deletes = append(fs.Deletes, gone...)
	fs.Reads = append(fs.Reads, fmt.Sprintf("/proc/%d/comm", pid(101)), fmt.Sprintf("/proc/%d/stat", pid(500)))
	fs.Renames = []receipt.Rename{{From: shell, To: "/work/done"}}
	fs.Changed = append(fs.Changed, receipt.Changed{Path: python + "/notes", What: "mode"})
	fs.Failed = []receipt.FailedOp{{Op: "open", Path: python + "/missing", Errno: "ENOENT"}}
	fs.Files = append(fs.Files, receipt.FileEntry{Path: fmt.Sprintf("pipe:[%d]", r.Uint32()), Read: true})
	net := &rec.Network
	net.Listens = []receipt.Listen{{Addr: addr, Protocol: "tcp"}, {Addr: abstract, Protocol: "unix"}, {Addr: "unix:" + python + "/sock", Protocol: "unix"}}
	net.Attempts = append(net.Attempts, receipt.Attempt{Dst: addr, Protocol: "tcp", Result: "connected"}, receipt.Attempt{Dst: abstract, Protocol: "unix", Result: "connected"},
		receipt.Attempt{Dst: nobody, Protocol: "tcp", Result: "refused"}, receipt.Attempt{Dst: "unix:" + python + "/sock", Protocol: "unix", Result: "connected"})
	net.Accepts = []receipt.Accept{{Src: fmt.Sprint("127.0.0.1:", 33000+r.IntN(9000)), Addr: addr, Protocol: "tcp"}}
	rec.Syscalls.Counts["openat"] += uint64(r.IntN(9))
	rec.Syscalls.Counts["open"] = rec.Syscalls.Counts["openat"]
	return rec
}

// Equal runs leave equal receipts but for what a seed decides, and one more
// deed is the only difference.
func TestEqualRuns(t *testing.T) {
	for seed := range uint64(2000) {
		a, b := renumbered(2*seed), renumbered(2*seed+1)
		if got := differ(a, b); len(got) > 0 {
			t.Fatalf("seed %d: %q", seed, got)
		}
		b.Filesystem.Writes = append(b.Filesystem.Writes, "/etc/passwd")
		if got, want := differ(a, b), []string{"written /etc/passwd|||"}; !slices.Equal(got, want) {
			t.Fatalf("seed %d: got %q, want %q", seed, got, want)
		}
		if got := differ(b, a); len(got) > 0 {
			t.Fatalf("seed %d: %q", seed, got)
		}
	}
}

// A difference in a made-up folder shows the folder's family, not its name.
func TestShownNames(t *testing.T) {
	a, b := made("-/tmp/tmp.Ab12Cd34Ef"), made("-/tmp/tmp.Xy98Zw76Uv", "-/tmp/tmp.Xy98Zw76Uv/more")
	b.ProcessTree = []receipt.Process{{PID: 1, Execs: []receipt.Exec{{}}, Argv: []string{"cat", "--in=/tmp/tmp.Xy98Zw76Uv/more"}}}
	want := []string{
		"user uid 0 gid 0|||",
		"ran |cat --in=/tmp/tmp.<tmp>/more||",
		"created /tmp/tmp.<tmp>/more|||file",
		"deleted /tmp/tmp.<tmp>/more|||",
	}
	if got := differ(a, b); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzCompare(f *testing.F) {
	seed := func(rec *receipt.Receipt) {
		var b bytes.Buffer
		if err := receipt.Encode(&b, rec); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	seed(bare())
	seed(rich())
	seed(renumbered(1))
	f.Add([]byte(`{"receipt_version":"v0.2","process_tree":[{"pid":1,"ppid":1,"execs":[{"at":"0001-01-01T00:00:00Z"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := receipt.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		if got := differ(rec, rec); len(got) > 0 {
			t.Errorf("from itself: %q", got)
		}
		other := renumbered(2)
		differ(rec, other)
		differ(other, rec)
	})
}
