package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/backend"
)

const unprivilegedVar = "GLASSHOUSE_TEST_UNPRIVILEGED"

func TestMain(m *testing.M) {
	if os.Getenv(unprivilegedVar) != "" {
		unprivileged()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func killPID(t *testing.T, text string) {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatalf("not a pid: %q", text)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
}

func alive(t *testing.T, text string) bool {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(text) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(rest, []byte("Z"))
}

func waitGone(t *testing.T, pid string) {
	t.Helper()
	for begin := time.Now(); alive(t, pid); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 5*time.Second {
			killPID(t, pid)
			t.Errorf("process %s lives", pid)
			return
		}
	}
}

// grouped skips the test where this machine has no cgroup to give, which a CI
// host must have.
func grouped(t *testing.T) {
	t.Helper()
	g, err := newGroup()
	if err == nil {
		if err := g.remove(); err != nil {
			t.Fatal(err)
		}
		return
	}
	if os.Getenv("CI") != "" || !errors.Is(err, fs.ErrPermission) && !errors.Is(err, unix.EROFS) {
		t.Fatal(err)
	}
	t.Skip(err)
}

// TestForksOnCallingThread: niceness is a thread's own on Linux, and a child
// has that of the thread that forked it.
func TestForksOnCallingThread(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with us
		if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 7); err != nil {
			t.Error(err)
			return
		}
		if _, out := run(t, New(), backend.Command{Argv: []string{"nice"}}); out != "7\n" {
			t.Errorf("niceness %q", out)
		}
	}()
	<-done
}

// TestInherits compares the command with the recorder.
func TestInherits(t *testing.T) {
	_, out := run(t, New(), shell("cat /proc/self/status; echo; cat /proc/self/stat; ls /proc/self/fd; cat /proc/self/fdinfo/1"))
	own, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	field := func(status, name string) string {
		m := regexp.MustCompile(`(?m)^` + name + `:\s*(\S+)$`).FindStringSubmatch(status)
		if m == nil {
			t.Fatalf("no %s in %s", name, status)
		}
		return m[1]
	}
	const none = "0000000000000000"
	for name, want := range map[string]string{
		"SigBlk": none,
		"SigCgt": none,
		"SigIgn": field(string(own), "SigIgn"),
	} {
		if got := field(out, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	_, out, _ = strings.Cut(out, "\n\n")
	stat := strings.Fields(out[strings.LastIndexByte(out, ')'):])
	if pgrp, session := stat[3], stat[4]; pgrp != strconv.Itoa(unix.Getpgrp()) {
		t.Errorf("process group %s, session %s, ours %d", pgrp, session, unix.Getpgrp())
	}
	// A reader of the command's stdout must not find it non-blocking.
	flags, err := strconv.ParseUint(field(out, "flags"), 8, 32)
	if err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags of stdout %o, %v", flags, err)
	}
}

// TestNoStrayDescriptors: the command gets its three streams and what the
// recorder was itself given to pass on, but nothing that was opened here.
func TestNoStrayDescriptors(t *testing.T) {
	inherited := map[string]bool{"0": true, "1": true, "2": true}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fd, _ := strconv.Atoi(e.Name())
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			inherited[e.Name()] = true
		}
	}
	b := New()
	start(t, b, backend.Command{Argv: []string{"sleep", "300"}, Stdin: strings.NewReader("x"), Stdout: &bytes.Buffer{}})
	var stray []string
	for begin := time.Now(); time.Since(begin) < 2*time.Second; time.Sleep(10 * time.Millisecond) {
		stray = nil // the loader opens libraries for a moment
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.PID()))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !inherited[e.Name()] {
				stray = append(stray, e.Name())
			}
		}
		if len(entries) >= 3 && stray == nil {
			return
		}
	}
	t.Errorf("descriptors %v", stray)
}

// TestMaxRSS: the recorder's own memory is not taken for the command's.
func TestMaxRSS(t *testing.T) {
	ballast := bytes.Repeat([]byte("x"), 64<<20)
	exit, _ := run(t, New(), backend.Command{Argv: []string{"true"}})
	if exit.MaxRSS != 0 {
		t.Errorf("true used %d KiB, this test %d", exit.MaxRSS, ownPeak())
	}
	runtime.KeepAlive(ballast)
}

func TestRealTimeSignal(t *testing.T) {
	exit, _ := run(t, New(), backend.Command{Argv: []string{"sh", "-c", "kill -36 $$"}})
	if exit.Code != 128+36 || exit.Signal != "SIGRTMIN+2" {
		t.Errorf("exit %+v", exit)
	}
}

func TestCgroup(t *testing.T) {
	grouped(t)
	b := New()
	var out bytes.Buffer
	cmd := shell("cat /proc/self/cgroup")
	cmd.Stdout = &out
	start(t, b, cmd)
	group := b.Cgroup()
	if group == "" || b.CgroupError() != nil {
		t.Fatalf("cgroup %q, %v", group, b.CgroupError())
	}
	if _, err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if name := filepath.Base(group); !regexp.MustCompile(`(?m)^0::/.*` + name + `$`).MatchString(out.String()) {
		t.Errorf("the command is not in %s: %s", group, &out)
	}
	if err := b.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(group); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", group, err)
	}
}

// TestCgroupSurvivor: who outlives the run goes on, frozen or not, and the
// group is removed.
func TestCgroupSurvivor(t *testing.T) {
	grouped(t)
	b := New()
	var out bytes.Buffer
	cmd := shell("sleep 300 >/dev/null & echo $!")
	cmd.Stdout = &out
	start(t, b, cmd)
	if _, err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer killPID(t, out.String())
	if err := b.group.write("cgroup.freeze", "1"); err != nil {
		t.Fatal(err)
	}
	// Groups below without anybody in them are no hindrance.
	if err := os.MkdirAll(filepath.Join(b.Cgroup(), "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := b.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.Cgroup()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", b.Cgroup(), err)
	}
	if !alive(t, out.String()) {
		t.Error("the survivor is dead")
	}
}

// TestCgroupDivided: groups that the command has made and uses stay.
func TestCgroupDivided(t *testing.T) {
	grouped(t)
	b := New()
	var out bytes.Buffer
	cmd := shell("read group; mkdir $group/inner; sleep 300 >/dev/null & echo $! | tee $group/inner/cgroup.procs")
	cmd.Stdout = &out
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	cmd.Stdin = r
	if err := b.Prepare(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(w, b.Cgroup())
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Cleanup(t.Context()); err == nil || !strings.Contains(err.Error(), b.Cgroup()) {
		t.Errorf("cleanup: %v", err)
	}
	if !alive(t, out.String()) {
		t.Error("the survivor is dead")
	}
	// Leave the machine as it was.
	if err := b.group.kill(); err != nil {
		t.Fatal(err)
	}
	if err := b.group.remove(); err != nil {
		t.Fatal(err)
	}
	waitGone(t, out.String())
}

// TestKillEach is the way without cgroup.kill, against a tree that grows.
func TestKillEach(t *testing.T) {
	grouped(t)
	b := New()
	cmd := shell("mkdir $0/inner; sleep 300 & echo $! >$0/inner/cgroup.procs; echo $!; setsid sh -c 'while :; do sleep 0.01 & done' & wait")
	if err := b.Prepare(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	b.cmd.Argv = append(b.cmd.Argv, b.Cgroup())
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		if pids, _ := procsOf(filepath.Join(b.Cgroup(), "inner")); len(pids) == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := b.group.killEach(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if populated, err := b.group.populated(); err != nil || populated {
		t.Errorf("populated %v, %v", populated, err)
	}
	if exit, err := b.Wait(t.Context()); err != nil || exit.Signal != "SIGKILL" {
		t.Errorf("exit %+v, %v", exit, err)
	}
	if err := b.Cleanup(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestGroupRefused: where the kernel does not start in the group, the command
// runs without.
func TestGroupRefused(t *testing.T) {
	grouped(t)
	b := New()
	if err := b.Prepare(t.Context(), shell("exit 6")); err != nil {
		t.Fatal(err)
	}
	// A group that is gone is one way to be refused.
	if err := b.group.remove(); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.Cgroup() != "" || b.CgroupError() == nil {
		t.Errorf("cgroup %q, %v", b.Cgroup(), b.CgroupError())
	}
	if exit, err := b.Wait(t.Context()); err != nil || exit.Code != 6 {
		t.Errorf("exit %+v, %v", exit, err)
	}
	if err := b.Cleanup(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestExecFailsInGroup: an error of the command's is not taken for the
// group's, or the command would be tried twice.
func TestExecFailsInGroup(t *testing.T) {
	grouped(t)
	b := New()
	if err := b.Prepare(t.Context(), backend.Command{Argv: []string{"/"}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); !errors.Is(err, unix.EACCES) {
		t.Fatal(err)
	}
	if b.Cgroup() == "" || b.CgroupError() != nil {
		t.Errorf("cgroup %q, %v", b.Cgroup(), b.CgroupError())
	}
	if err := b.Cleanup(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestKillDescendants is KillTree without a cgroup.
func TestKillDescendants(t *testing.T) {
	b := New()
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := b.Prepare(t.Context(), backend.Command{
		Argv:   []string{"sh", "-c", "sh -c 'setsid sh -c \"sleep 300; true\" & echo $!; wait' & wait"},
		Stdout: w,
	}); err != nil {
		t.Fatal(err)
	}
	if b.group != nil {
		if err := b.group.remove(); err != nil {
			t.Fatal(err)
		}
		b.group = nil
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Close()
	line := make([]byte, 32)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	pid := string(line[:n])
	if err := b.KillTree(); err != nil {
		t.Fatal(err)
	}
	if exit, err := b.Wait(t.Context()); err != nil || exit.Signal != "SIGKILL" {
		t.Errorf("exit %+v, %v", exit, err)
	}
	waitGone(t, pid)
	if err := b.KillTree(); !errors.Is(err, errNoGroup) {
		t.Errorf("after the end: %v", err)
	}
	if err := b.Cleanup(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestUnenterablePath: who may enter which folder of PATH, only the exec as
// that user tells.
func TestUnenterablePath(t *testing.T) {
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script(t, filepath.Join(dir, "closed/tool"), "#!/bin/sh\nexit 20\n", 0o755)
	script(t, filepath.Join(dir, "open/tool"), "#!/bin/sh\nexit 21\n", 0o755)
	if err := os.Chmod(filepath.Join(dir, "closed"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := backend.Command{
		Argv: []string{"tool"},
		Env:  []string{"PATH=" + dir + "/closed:" + dir + "/open"},
		User: &backend.User{UID: 65532, GID: 65532},
	}
	b := New()
	if err := b.Prepare(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	err := b.Start(t.Context())
	if errors.Is(err, unix.EPERM) && os.Getenv("CI") == "" {
		t.Skipf("needs root: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := b.Wait(t.Context()); err != nil || exit.Code != 21 || b.Executable() != dir+"/open/tool" {
		t.Errorf("exit %+v of %s, %v", exit, b.Executable(), err)
	}
	if err := b.Cleanup(t.Context()); err != nil {
		t.Error(err)
	}
	cmd.Env = []string{"PATH=" + dir + "/closed"}
	b = New()
	if err := b.Prepare(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); !errors.Is(err, unix.EACCES) {
		t.Errorf("got %v", err)
	}
	if err := b.Cleanup(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestUnprivileged: without the right to make a cgroup or to become another
// user the command runs all the same.
func TestUnprivileged(t *testing.T) {
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	cmd := exec.Command("/proc/self/fd/3") // wherever the binary lies
	cmd.ExtraFiles = []*os.File{exe}
	cmd.Env = append(os.Environ(), unprivilegedVar+"=1")
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := "own user: {7 }, cgroup \"\", permission denied\n" +
		"other user: run as user 0: fork/exec /bin/true: operation not permitted\n"
	if string(out) != want {
		t.Errorf("got:\n%swant:\n%s", out, want)
	}
}

func unprivileged() {
	ctx := context.Background()
	b := New()
	cmd := shell("exit 7")
	cmd.User = &backend.User{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	if err := errors.Join(b.Prepare(ctx, cmd), b.Start(ctx)); err != nil {
		fmt.Println(err)
		return
	}
	exit, err := b.Wait(ctx)
	if err := errors.Join(err, b.Cleanup(ctx)); err != nil {
		fmt.Println(err)
		return
	}
	why := b.CgroupError()
	if errors.Is(why, fs.ErrPermission) {
		why = errors.New("permission denied")
	}
	fmt.Printf("own user: {%d %s}, cgroup %q, %v\n", exit.Code, exit.Signal, b.Cgroup(), why)

	b = New()
	cmd = backend.Command{Argv: []string{"/bin/true"}, User: &backend.User{}}
	if err := b.Prepare(ctx, cmd); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("other user: %v\n", b.Start(ctx))
	_ = b.Cleanup(ctx)
}
