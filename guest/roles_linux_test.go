package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary plays the recorder in namespaces of its own.
const (
	roleVar  = "GLASSHOUSE_TEST_ROLE"
	imageVar = "GLASSHOUSE_TEST_IMAGES" // counts the images of the role "early"
)

var roles = map[string]func() error{
	"setup":     setupRole,
	"occupied":  occupiedRole,
	"noproc":    noProcRole,
	"foreign":   foreignRole,
	"early":     earlyRole,
	"starved":   starvedRole,
	"races":     racesRole,
	"subreaper": subreaperRole,
}

func TestMain(m *testing.M) {
	name := os.Getenv(roleVar)
	if name == "" {
		os.Exit(m.Run())
	}
	role, ok := roles[name]
	if !ok {
		fmt.Println("no such role:", name)
		os.Exit(1)
	}
	if err := role(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// bare takes mounts away. Nothing of it reaches the machine: it begins by
// cutting this mount namespace loose.
func bare(targets ...string) error {
	if os.Getpid() != 1 {
		return errors.New("not in a namespace")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, target := range targets {
		for unix.Unmount(target, unix.MNT_DETACH) == nil {
		}
	}
	return nil
}

// result is a Step as JSON.
type result struct {
	Name    string
	Outcome Outcome
	Err     string
}

func show(reports ...Report) error {
	var all []result
	for _, report := range reports {
		if !report.Init {
			return errors.New("the report does not know of PID 1")
		}
		for _, s := range report.Steps {
			r := result{Name: s.Name, Outcome: s.Outcome}
			if s.Err != nil {
				r.Err = s.Err.Error()
			}
			all = append(all, r)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

// limitMemlock sets a limit that only CAP_SYS_RESOURCE can lift.
func limitMemlock() error {
	return unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 1 << 15, Max: 1 << 16})
}

func setupRole() error {
	if err := errors.Join(bare("/proc", "/sys"), limitMemlock()); err != nil {
		return err
	}
	first, err := Setup()
	if err != nil {
		return err
	}
	// What the report says is there must be usable.
	for _, path := range []string{
		"/proc/self/status", "/sys/kernel", "/sys/kernel/tracing/events", "/sys/fs/cgroup/cgroup.procs",
	} {
		if _, err := os.Stat(path); err != nil {
			return err
		}
	}
	if err := os.Mkdir("/sys/fs/bpf/test", 0o700); err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return err
	}
	if last := first.Steps[len(first.Steps)-1]; (last.Outcome == Done) != (limit.Cur == unix.RLIM_INFINITY) || limit.Cur != limit.Max {
		return fmt.Errorf("memlock is %d of %d after %v", limit.Cur, limit.Max, last)
	}
	second, err := Setup()
	if err != nil {
		return err
	}
	return show(first, second)
}

func occupiedRole() error {
	if err := errors.Join(bare("/proc", "/sys"), limitMemlock()); err != nil {
		return err
	}
	// sysfs brings the folder that is to be occupied.
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, ""); err != nil {
		return err
	}
	report, err := Setup()
	if err != nil {
		return err
	}
	for i, s := range report.Steps {
		if s.Name == "mount sysfs on /sys" && s.Outcome == Already {
			report.Steps[i].Outcome = Done // mounted by this role
		}
	}
	return show(report)
}

func noProcRole() error {
	if err := bare("/proc"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "glasshouse-guest")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, ""); err != nil {
		return err
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	root, err := os.Open("/")
	if err != nil {
		return err
	}
	defer root.Close()
	if err := unix.Chroot(dir); err != nil {
		return err
	}
	_, err = Setup()
	fmt.Println(err)
	// Back out, for the folder to be removed.
	return errors.Join(root.Chdir(), unix.Chroot("."))
}

func foreignRole() error {
	if err := bare(); err != nil {
		return err
	}
	_, err := Setup()
	fmt.Println(err)
	return nil
}

func earlyRole() error {
	images := os.Getenv(imageVar) + "x"
	if err := os.Setenv(imageVar, images); err != nil {
		return err
	}
	if len(images) == 1 {
		if err := bare("/proc"); err != nil {
			return err
		}
		if procFS.there() {
			return errors.New("/proc is still there")
		}
	}
	if err := EarlyInit(); err != nil {
		return err
	}
	_, marked := os.LookupEnv(marker)
	fmt.Printf("images %d, pid %d, proc %v, early %v, marker %v, args %q\n",
		len(images), os.Getpid(), procFS.there(), mountedEarly, marked, os.Args[1:])
	return nil
}

func startShell(script string, files ...*os.File) (*os.Process, error) {
	return os.StartProcess("/bin/sh", []string{"sh", "-c", script}, &os.ProcAttr{
		Files: append([]*os.File{nil, os.Stdout, os.Stderr}, files...),
	})
}

func eventually(what string, ok func() bool) error {
	for begin := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			return fmt.Errorf("%s: did not happen", what)
		}
	}
	return nil
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// starvedRole: the command is a zombie, the oldest child and not waited for,
// while 200 orphans end at once behind it.
func starvedRole() error {
	if err := bare("/proc"); err != nil {
		return err
	}
	if _, err := Setup(); err != nil {
		return err
	}
	reaper, err := StartReaper()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	var root *os.Process
	err = reaper.Own(func() (int, error) {
		root, err = startShell("i=0; while [ $i -lt 200 ]; do cat <&3 & i=$((i+1)); done; exit 7", r)
		if err != nil {
			return 0, err
		}
		return root.Pid, nil
	})
	if err != nil {
		return err
	}
	r.Close()
	if err := eventually("the end of the command", func() bool { return zombie(root.Pid) }); err != nil {
		return err
	}
	if n := len(children()); n != 201 {
		return fmt.Errorf("%d children before", n)
	}
	w.Close() // ends them all
	if err := eventually("reaping", func() bool { return reaper.Reaped() == 200 }); err != nil {
		return fmt.Errorf("%w: %d reaped", err, reaper.Reaped())
	}
	if left := children(); len(left) != 1 || left[0] != root.Pid || !zombie(root.Pid) {
		return fmt.Errorf("children left: %v, the command is %d", left, root.Pid)
	}
	state, err := root.Wait()
	if err != nil {
		return err
	}
	if state.ExitCode() != 7 {
		return fmt.Errorf("exit code %d", state.ExitCode())
	}
	reaper.Disown(root.Pid)
	if n := reaper.Stop(); n != 200 {
		return fmt.Errorf("%d reaped", n)
	}
	fmt.Println("ok")
	return nil
}

// racesRole: no exit code is stolen from commands that end at once and leave
// orphans which end at the same time.
func racesRole() error {
	if err := bare("/proc"); err != nil {
		return err
	}
	if _, err := Setup(); err != nil {
		return err
	}
	reaper, err := StartReaper()
	if err != nil {
		return err
	}
	const rounds = 100
	for i := range rounds {
		var root *os.Process
		err := reaper.Own(func() (int, error) {
			var err error
			root, err = startShell(fmt.Sprintf("true & exit %d", i))
			if err != nil {
				return 0, err
			}
			return root.Pid, nil
		})
		if err != nil {
			return err
		}
		state, err := root.Wait()
		if err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
		if state.ExitCode() != i {
			return fmt.Errorf("round %d: exit code %d", i, state.ExitCode())
		}
		reaper.Disown(root.Pid)
	}
	if err := eventually("reaping", func() bool { return len(children()) == 0 }); err != nil {
		return err
	}
	if n := reaper.Stop(); n != rounds {
		return fmt.Errorf("%d orphans reaped", n)
	}
	fmt.Println("ok")
	return nil
}

func subreaperRole() error {
	reaper, err := StartReaper()
	if err != nil {
		return err
	}
	var root *os.Process
	err = reaper.Own(func() (int, error) {
		root, err = startShell("sleep 0.1 & exit 3")
		if err != nil {
			return 0, err
		}
		return root.Pid, nil
	})
	if err != nil {
		return err
	}
	state, err := root.Wait()
	if err != nil || state.ExitCode() != 3 {
		return fmt.Errorf("%v, %w", state, err)
	}
	reaper.Disown(root.Pid)
	if err := eventually("reaping", func() bool { return reaper.Reaped() == 1 }); err != nil {
		return err
	}
	reaper.Stop()
	fmt.Println("ok")
	return nil
}
