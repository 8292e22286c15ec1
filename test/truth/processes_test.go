//go:build linux

package truth

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/ebpf"
	"glasshouse/receipt"
	"glasshouse/runner"
	"glasshouse/test/recorded"
)

func init() {
	workloads["exit"] = func(args []string) {
		code, err := strconv.Atoi(args[0])
		check(err)
		os.Exit(code)
	}
	workloads["die"] = func(args []string) {
		sig, err := strconv.Atoi(args[0])
		check(err)
		check(unix.Kill(os.Getpid(), unix.Signal(sig)))
		time.Sleep(time.Minute)
	}
	// Runs each argument list (split at "--") as a child, one after the other.
	workloads["children"] = func(args []string) {
		for argv := range splitAt(args, "--") {
			// Not package os: it may fork once more, to see if pidfds work.
			pid, err := syscall.ForkExec(argv[0], argv, nil)
			check(err)
			_, err = syscall.Wait4(pid, nil, 0, nil)
			check(err)
			fmt.Println(pid)
		}
	}
}

func splitAt(args []string, sep string) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		for len(args) > 0 {
			i := slices.Index(args, sep)
			if i < 0 {
				i = len(args)
			}
			if !yield(args[:i]) {
				return
			}
			args = args[min(i+1, len(args)):]
		}
	}
}

func byPID(t *testing.T, r recording, pid string) receipt.Process {
	t.Helper()
	for _, p := range r.ProcessTree {
		if strconv.Itoa(int(p.PID)) == pid {
			return p
		}
	}
	t.Fatalf("no process %s among %d", pid, len(r.ProcessTree))
	return receipt.Process{}
}

func TestExits(t *testing.T) {
	args := []string{"/bin/sh", "-c", "kill -36 $$"}
	for _, child := range []string{"die 15", "die 9", "exit 255", "exit 7", "exit 0"} {
		name, arg, _ := strings.Cut(child, " ")
		args = append(append(workload(name, arg), "--"), args...)
	}
	r := record(t, workload("children", args...))
	complete(t, r)
	pids := strings.Fields(r.stdout)
	if len(r.ProcessTree) != 7 {
		t.Errorf("%d processes, want 7", len(r.ProcessTree))
	}
	top := root(t, r)
	for i, want := range []string{"exit 0", "exit 7", "exit 255", "SIGKILL", "SIGTERM", "SIGRTMIN+2"} {
		p := byPID(t, r, pids[i])
		if ending(p) != want {
			t.Errorf("process %s: %s, want %s", pids[i], ending(p), want)
		}
		if p.PPID != top.PID || i < 5 && p.Exe != self || p.EndedAt == nil || p.StartTime <= top.StartTime {
			t.Errorf("process %s: %+v", pids[i], p)
		}
	}
	if ending(top) != "exit 0" {
		t.Errorf("root: %s", ending(top))
	}
}

func TestArgv(t *testing.T) {
	dir := tempDir(t)
	script := filepath.Join(dir, "script")
	write(t, script, "#!/bin/sh -e\nexit 4\n")
	big := strings.Repeat("x", 100_000)
	args := []string{"", "two words", "new\nline", "ü", "-flag", "", big, big + "y"}
	r := record(t, append([]string{"/bin/true"}, args...))
	complete(t, r)
	same(t, "argv", append([]string{"/bin/true"}, args...), root(t, r).Argv)

	var many []string
	for i := range 15 {
		many = append(many, strings.Repeat(strconv.Itoa(i%10), 120_000)) // 1.8 MB of 2
	}
	r = record(t, append([]string{"/bin/true"}, many...))
	complete(t, r)
	if p := root(t, r); p.ArgvTruncated || !slices.Equal(p.Argv[1:], many) {
		t.Errorf("argv of %d strings, truncated %v", len(p.Argv), p.ArgvTruncated)
	}

	r = record(t, []string{script, "a b"}, in(dir))
	p := root(t, r)
	sh, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if p.Exe != sh || ending(p) != "exit 4" || p.WorkingDir != dir {
		t.Errorf("script: %+v", p)
	}
	same(t, "script's argv", []string{"/bin/sh", "-e", script, "a b"}, p.Argv)
	if e := p.Execs[0]; len(p.Execs) != 1 || e.Interpreter == nil || *e.Interpreter != "/bin/sh" || e.Requested != script {
		t.Errorf("script's execs: %+v", p.Execs)
	}

	r = record(t, []string{"/bin/true", "secret"}, func(_ *runner.Spec, o *ebpf.Options) { o.CaptureArgv = false })
	if p := root(t, r); len(p.Argv) != 0 || p.Exe == "" {
		t.Errorf("argv off: %+v", p)
	}
}

func init() {
	workloads["execs"] = func(args []string) {
		expect(unix.Exec("./none", []string{"claims", "a b"}, nil), unix.ENOENT)
		expect(unix.Exec("./none", []string{"claims", "a b"}, nil), unix.ENOENT)
		expect(unix.Exec("plain", []string{"plain"}, nil), unix.EACCES)
		expect(unix.Exec(".", []string{}, nil), unix.EACCES)
		// A thread that is not the leader takes the process over.
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			done <- unix.Exec("/bin/sh", []string{"not-sh", "-c", "exec /bin/true after"}, []string{"A=b"})
		}()
		check(<-done)
	}
}

func TestExecs(t *testing.T) {
	dir := tempDir(t)
	write(t, filepath.Join(dir, "plain"), "")
	if err := os.Chmod(filepath.Join(dir, "plain"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := record(t, workload("execs"), in(dir))
	complete(t, r)
	var got []string
	for _, f := range r.ExecFailures {
		got = append(got, fmt.Sprintf("%s %q %s %d", strings.TrimPrefix(f.Path, dir), f.Argv, f.Errno, f.Count))
	}
	same(t, "exec failures", []string{` [] EACCES 1`, `/none ["claims" "a b"] ENOENT 2`, `/plain ["plain"] EACCES 1`}, got)
	if len(r.ProcessTree) != 1 {
		t.Fatalf("%d processes: a thread is none", len(r.ProcessTree))
	}
	p := root(t, r)
	var execs []string
	for _, e := range p.Execs {
		execs = append(execs, filepath.Base(e.Exe)+" "+strings.Join(e.Argv, " "))
	}
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "execs", []string{
		filepath.Base(self) + " " + strings.Join(workload("execs"), " "),
		filepath.Base(shell) + " not-sh -c exec /bin/true after", "true /bin/true after",
	}, execs)
	if ending(p) != "exit 0" || filepath.Base(p.Exe) != "true" {
		t.Errorf("%+v", p)
	}
	if r.Syscalls.Counts["execve"] != 7 {
		t.Errorf("%d calls of execve, want 7", r.Syscalls.Counts["execve"])
	}
}

func init() {
	workloads["memfd"] = func([]string) {
		fd, err := unix.MemfdCreate("image", 0)
		check(err)
		image, err := os.ReadFile("/bin/true")
		check(err)
		_, err = unix.Write(fd, image)
		check(err)
		check(unix.Exec("/proc/self/fd/"+strconv.Itoa(fd), []string{"innocent"}, nil))
	}
	workloads["leader-exits"] = func([]string) {
		started := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(started)
			time.Sleep(50 * time.Millisecond)
			touch(unix.AT_FDCWD, "after-the-leader", unix.O_WRONLY|unix.O_CREAT)
			os.Exit(3)
		}()
		<-started
		unix.Syscall(unix.SYS_EXIT, 5, 0, 0) // this thread alone
	}
	workloads["counts"] = func([]string) {
		for range 1234 {
			unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		}
		unix.RawSyscall(unix.SYS_KILL, 1<<22+1, 0, 0)
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno == 0 && pid == 0 {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 6, 0, 0)
		}
		check(result(errno))
		_, err := unix.Wait4(int(pid), nil, 0, nil)
		check(err)
	}
}

func TestExecOfMemfd(t *testing.T) {
	r := record(t, workload("memfd"))
	complete(t, r)
	if p := root(t, r); p.Exe != "memfd:image" || ending(p) != "exit 0" || p.Argv[0] != "innocent" {
		t.Errorf("%+v", p)
	}
}

func TestLeaderExitsFirst(t *testing.T) {
	dir := tempDir(t)
	r := record(t, workload("leader-exits"), in(dir))
	complete(t, r)
	same(t, "writes", []string{"after-the-leader"}, under(dir, r.Filesystem.Writes))
	if p := root(t, r); len(r.ProcessTree) != 1 || ending(p) != "exit 3" {
		t.Errorf("%d processes, the root %s", len(r.ProcessTree), ending(p))
	}
}

func TestCounts(t *testing.T) {
	r := record(t, workload("counts"))
	complete(t, r)
	// Go starts its threads with clone3 where it can, and with clone else.
	if recorded.Observe == "ptrace" { // which counts what it stops at
		if c := r.Syscalls.Counts; c["kill"] != 1 || c["execve"] != 1 {
			t.Errorf("%v", c)
		}
	} else if c := r.Syscalls.Counts; c["getppid"] != 1234 || c["kill"] != 1 || c["exit_group"] != 2 || c["execve"] != 1 || c["clone"] == 0 {
		t.Errorf("%v", c)
	}
	if len(r.ProcessTree) != 2 || ending(r.ProcessTree[1]) != "exit 6" || r.ProcessTree[1].Exe != self {
		t.Errorf("%+v", r.ProcessTree)
	}
}

func TestManyProcesses(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 300
	}
	r := record(t, []string{"/bin/sh", "-c", fmt.Sprint("i=0; while [ $i -lt ", n, " ]; do /bin/true; i=$((i+1)); done")})
	complete(t, r)
	if len(r.ProcessTree) != n+1 || int(r.Resources.Processes) != n+1 {
		t.Fatalf("%d processes", len(r.ProcessTree))
	}
	for _, p := range r.ProcessTree {
		if ending(p) != "exit 0" {
			t.Fatalf("%+v", p)
		}
	}
	if c := r.Syscalls.Counts; int(c["execve"]) != n+1 || recorded.Observe == "ebpf" && int(c["exit_group"]) != n+1 {
		t.Errorf("counts %v", r.Syscalls.Counts)
	}
}

func TestResources(t *testing.T) {
	r := record(t, []string{"/bin/sh", "-c", `x=$(head -c 30000000 /dev/zero | tr '\0' x); i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done`})
	complete(t, r)
	if p := root(t, r); p.MaxRSSKB < 30_000 || p.CPUTimeMS < 50 || p.CPUTimeMS > r.Timing.DurationMS+100 {
		t.Errorf("%d KiB, %d ms of CPU in %d ms", p.MaxRSSKB, p.CPUTimeMS, r.Timing.DurationMS)
	}
	if r.Timing.CPUTimeMS < 50 || r.Timing.CPUTimeMS != r.Resources.CPUTimeMS {
		t.Errorf("timing %+v, resources %+v", r.Timing, r.Resources)
	}
	// The recorder's own memory is not the command's.
	if r = record(t, []string{"/bin/true"}); root(t, r).MaxRSSKB > 8000 || root(t, r).MaxRSSKB == 0 {
		t.Errorf("/bin/true took %d KiB", root(t, r).MaxRSSKB)
	}
}

func init() {
	workloads["spends-in-threads"] = func([]string) {
		held := make([]byte, 40<<20)
		for i := range held {
			held[i] = 1
		}
		var threads sync.WaitGroup
		for range 4 {
			threads.Go(func() {
				runtime.LockOSThread()
				for began := time.Now(); time.Since(began) < 200*time.Millisecond; {
				}
			})
		}
		threads.Wait()
		runtime.KeepAlive(held)
	}
}

// What threads spent counts, though all end at once.
func TestResourcesOfThreads(t *testing.T) {
	r := record(t, workload("spends-in-threads"))
	complete(t, r)
	if p := root(t, r); p.MaxRSSKB < 40_000 || p.CPUTimeMS < 100 {
		t.Errorf("%d KiB, %d ms of CPU", p.MaxRSSKB, p.CPUTimeMS)
	}
}

// In a PID namespace of its own a process has two numbers; the receipt has
// the one that the recorder knows it by.
func TestPIDNamespace(t *testing.T) {
	needRoot(t)
	r := record(t, []string{"unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", "echo $$; cat /proc/self/comm >/dev/null; exit 5"})
	complete(t, r)
	if strings.TrimSpace(r.stdout) != "1" {
		t.Fatalf("the shell was %q", r.stdout)
	}
	top := root(t, r)
	if len(r.ProcessTree) != 3 || ending(top) != "exit 5" || r.ProcessTree[1].PPID != top.PID || r.ProcessTree[1].PID <= 2 {
		t.Errorf("%+v", r.ProcessTree)
	}
}

func TestMissingBinary(t *testing.T) {
	r := record(t, []string{"/bin/does-not-exist"})
	if r.Outcome.ExitCode != 1 || r.Outcome.Error == nil || *r.Outcome.Error != "fork/exec /bin/does-not-exist: no such file or directory" {
		t.Errorf("outcome %+v", r.Outcome)
	}
	if recorded.Observe == "ptrace" && len(r.ExecFailures) == 0 {
		return // there was nobody to trace yet; the outcome says it
	}
	if len(r.ProcessTree) != 0 || len(r.Filesystem.Files) != 0 || len(r.ExecFailures) != 1 || r.ExecFailures[0].Errno != "ENOENT" {
		t.Errorf("processes %+v, failures %+v", r.ProcessTree, r.ExecFailures)
	}
}

func TestSurvivor(t *testing.T) {
	const command = "sleep 30 >/dev/null 2>&1 & echo $!"
	r := record(t, []string{"/bin/sh", "-c", command})
	pid, err := strconv.Atoi(strings.TrimSpace(r.stdout))
	if err != nil {
		t.Fatal(err)
	}
	complete(t, r)
	if len(r.Observation.Survivors) != 1 || int(r.Observation.Survivors[0].PID) != pid {
		t.Errorf("survivors %+v", r.Observation.Survivors)
	}
	if p := byPID(t, r, strconv.Itoa(pid)); ending(p) != "runs" || p.EndedAt != nil {
		t.Errorf("%+v", p)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("the survivor did not survive: %v", err)
	}

	r = record(t, []string{"/bin/sh", "-c", command}, func(s *runner.Spec, _ *ebpf.Options) { s.KillSurvivors = true })
	if p := byPID(t, r, strings.TrimSpace(r.stdout)); ending(p) != "SIGKILL" || len(r.Observation.Survivors) != 0 {
		t.Errorf("%s, survivors %+v", ending(p), r.Observation.Survivors)
	}

	r = record(t, []string{"/bin/sh", "-c", "(sleep 0.3; exit 9) >/dev/null & echo $!"}, func(s *runner.Spec, _ *ebpf.Options) { s.WaitTree = true })
	if p := byPID(t, r, strings.TrimSpace(r.stdout)); ending(p) != "exit 9" {
		t.Errorf("%s, survivors %+v", ending(p), r.Observation.Survivors)
	}
}

func init() {
	workloads["dumps"] = func([]string) {
		check(unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}))
		check(unix.Exec("/bin/sh", []string{"sh", "-c", "kill -ABRT $$"}, os.Environ()))
	}
}

// The kernel writes a core file by itself: no call of the process tells of it.
func TestCoreDump(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	r := record(t, workload("dumps"), in(dir))
	complete(t, r)
	if p := root(t, r); ending(p) != "SIGABRT" {
		t.Errorf("%+v", p)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	// A pattern that names another folder or a program leaves nothing here.
	if strings.ContainsAny(string(pattern), "/|") {
		return
	}
	if len(files) != 1 || len(gapsOf(r, "core_dump")) != 1 {
		t.Errorf("%d files, gaps %+v", len(files), r.Observation.Gaps)
	}
}
