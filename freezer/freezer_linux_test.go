package freezer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const limit = 10 * time.Second

// holderName is argv[0] of this test as a program that holds the group given
// in argv[1], says so, and waits to be killed.
const holderName = "holder"

func TestMain(m *testing.M) {
	if os.Args[0] == holderName {
		f := New(os.Args[1], nil)
		if err := f.Hold(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held")
		time.Sleep(10 * limit)
		_ = f.Close()
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestHold: the held stand still, nobody is told, and they go on.
func TestHold(t *testing.T) {
	dir := newGroup(t)
	child := startChild(t, dir)
	f := New(dir, nil)
	if err := f.Release(); err != nil {
		t.Errorf("release before any hold: %v", err)
	}
	if f.guard != nil {
		t.Error("a guard that nobody needs yet")
	}
	for range 2 {
		for range 2 { // holding the held is nothing
			if err := f.Hold(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "frozen", func() bool { return frozen(t, dir) })
		if child.counts(t) {
			t.Error("a held process goes on")
		}
		if pid, err := unix.Wait4(child.pid, nil, unix.WUNTRACED|unix.WCONTINUED|unix.WNOHANG, nil); pid != 0 || err != nil {
			t.Errorf("wait reports %d, %v", pid, err)
		}
		for range 2 {
			if err := f.Release(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "going on", func() bool { return child.counts(t) })
	}
	if pid, err := unix.Wait4(child.pid, nil, unix.WUNTRACED|unix.WCONTINUED|unix.WNOHANG, nil); pid != 0 || err != nil {
		t.Errorf("wait reports %d, %v", pid, err)
	}
	pid := f.guard.proc.Pid
	if sid, err := unix.Getsid(pid); sid != pid || err != nil {
		t.Errorf("the guard %d is in session %d, %v", pid, sid, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("the guard outlives Close: %v", err)
	}
}

// TestClose releases.
func TestClose(t *testing.T) {
	dir := newGroup(t)
	child := startChild(t, dir)
	f := New(dir, nil)
	if err := f.Hold(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "frozen", func() bool { return frozen(t, dir) })
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "going on", func() bool { return child.counts(t) })
}

// TestKillHeld: SIGKILL ends the held.
func TestKillHeld(t *testing.T) {
	dir := newGroup(t)
	child := startChild(t, dir)
	f := New(dir, nil)
	defer f.Close()
	if err := f.Hold(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "frozen", func() bool { return frozen(t, dir) })
	if err := unix.Kill(child.pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := child.cmd.Process.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestGuard: when the holder is killed, the held go on.
func TestGuard(t *testing.T) {
	dir := newGroup(t)
	child := startChild(t, dir)
	holder := &exec.Cmd{Path: "/proc/self/exe", Args: []string{holderName, dir}}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer holder.Process.Kill()
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the holder says %q", line)
	}
	eventually(t, "frozen", func() bool { return frozen(t, dir) })
	guard := childOf(t, holder.Process.Pid)
	eventually(t, "a guard that stands", func() bool { return ignores(guard, unix.SIGTERM) })
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		if err := unix.Kill(guard, sig); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	if child.counts(t) {
		t.Fatal("nothing is held any more")
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	eventually(t, "going on", func() bool { return child.counts(t) })
	eventually(t, "the guard's end", func() bool { return !running(guard) })
}

// TestNoGroup: an error, and no guard.
func TestNoGroup(t *testing.T) {
	f := New(t.TempDir(), nil)
	if err := f.Hold(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("hold: %v", err)
	}
	if err := errors.Join(f.Release(), f.Close()); err != nil || f.guard != nil {
		t.Errorf("%v, guard %v", err, f.guard)
	}
}

// TestGroupGone: there is nobody to release.
func TestGroupGone(t *testing.T) {
	dir := newGroup(t)
	f := New(dir, nil)
	if err := f.Hold(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Rmdir(dir); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Release(), f.Close()); err != nil {
		t.Error(err)
	}
}

type keeper struct{ owned, disowned []int }

func (k *keeper) Own(start func() (int, error)) error {
	pid, err := start()
	k.owned = append(k.owned, pid)
	return err
}

func (k *keeper) Disown(pid int) { k.disowned = append(k.disowned, pid) }

// TestKeeper is told of the guard.
func TestKeeper(t *testing.T) {
	var k keeper
	f := New(newGroup(t), &k)
	if err := f.Hold(); err != nil {
		t.Fatal(err)
	}
	pid := f.guard.proc.Pid
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(k.owned, k.disowned) != fmt.Sprint([]int{pid}, []int{pid}) {
		t.Errorf("%+v, guard %d", k, pid)
	}
}

// newGroup makes a cgroup below the one that the test is in. It skips where
// the machine has none to give, or not to this user, and for no other reason.
func newGroup(t *testing.T) string {
	t.Helper()
	dir, err := makeGroup()
	if err != nil {
		lacking := errors.Is(err, errNoCgroup) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS)
		if lacking && os.Getenv("CI") == "" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.freeze"), []byte("0"), 0)
		eventually(t, "the group empty", func() bool {
			err := unix.Rmdir(dir)
			return err == nil || err == unix.ENOENT
		})
	})
	return dir
}

var errNoCgroup = errors.New("no cgroup v2")

func makeGroup() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	own := ""
	for line := range strings.Lines(string(groups)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			own = strings.TrimSpace(path)
		}
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if own != "" && strings.Contains(line, " - cgroup2 ") && fields[3] == "/" {
			dir, err := os.MkdirTemp(filepath.Join(fields[4], own), "freezer-test-")
			return dir, err
		}
	}
	return "", errNoCgroup
}

type child struct {
	cmd *exec.Cmd
	pid int
	out *os.File
}

// startChild starts a process in the group that counts in a file.
func startChild(t *testing.T, dir string) *child {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "count"))
	if err != nil {
		t.Fatal(err)
	}
	c := &child{out: out, cmd: exec.Command("/bin/sh", "-c", "while echo; do sleep 0.01; done")}
	c.cmd.Stdout = out
	group, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	c.cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.pid = c.cmd.Process.Pid
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		_ = out.Close()
	})
	eventually(t, "a child that counts", func() bool { return c.counts(t) })
	return c
}

// counts tells if the child has counted during a moment.
func (c *child) counts(t *testing.T) bool {
	t.Helper()
	size := func() int64 {
		n, err := c.out.Seek(0, io.SeekEnd)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := size()
	time.Sleep(60 * time.Millisecond)
	return size() > before
}

func frozen(t *testing.T, dir string) bool {
	t.Helper()
	events, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(events), "frozen 1\n")
}

func childOf(t *testing.T, parent int) int {
	t.Helper()
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		stat, _ := os.ReadFile(name)
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			return pid
		}
	}
	t.Fatalf("process %d has no child", parent)
	return 0
}

// ignores tells if a process ignores a signal.
func ignores(pid int, sig unix.Signal) bool {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "SigIgn:\t")
	hex, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(hex, 16, 64)
	return err == nil && mask&(1<<(sig-1)) != 0
}

// running: a zombie that nobody reaps has ended.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s after %v", what, limit)
		}
	}
}
