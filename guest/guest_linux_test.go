package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func steps(t *testing.T, out []byte) []result {
	t.Helper()
	var got []result
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return got
}

// play runs the test binary in a role, as PID 1 of a PID namespace and in a
// mount namespace of its own, without a controlling terminal.
func play(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Setsid:     true,
	}
	return cmd
}

// started skips the test where namespaces are not allowed, which they must be
// in CI.
func started(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	err := cmd.Start()
	if errors.Is(err, unix.EPERM) && os.Getenv("CI") == "" {
		t.Skipf("needs root for namespaces: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func output(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout = &out
	started(t, cmd)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	return out.Bytes()
}

func TestSetup(t *testing.T) {
	got := steps(t, output(t, play(t, "setup")))
	names := []string{
		"mount proc on /proc", "mount sysfs on /sys", "mount bpf on /sys/fs/bpf",
		"mount tracefs on /sys/kernel/tracing", "mount cgroup2 on /sys/fs/cgroup",
	}
	memlock := memlockStep(t)
	var want []result
	for _, name := range names {
		want = append(want, result{name, Done, ""})
	}
	want = append(want, memlock)
	for _, name := range names { // the second time
		want = append(want, result{name, Already, ""})
	}
	if memlock.Outcome == Done {
		memlock.Outcome = Already
	}
	want = append(want, memlock)
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestSetupOccupiedCgroup(t *testing.T) {
	for _, s := range steps(t, output(t, play(t, "occupied"))) {
		want := result{s.Name, Done, ""}
		if s.Name == "raise memlock" {
			want = memlockStep(t)
		}
		if s.Name == "mount cgroup2 on /sys/fs/cgroup" {
			want = result{s.Name, Failed, "tmpfs is mounted there"}
		}
		if s != want {
			t.Errorf("got %v, want %v", s, want)
		}
	}
}

func TestSetupWithoutProc(t *testing.T) {
	out := strings.TrimSpace(string(output(t, play(t, "noproc"))))
	if want := "mount proc on /proc: mkdir /proc: read-only file system"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestSetupForeignProc(t *testing.T) {
	out := strings.TrimSpace(string(output(t, play(t, "foreign"))))
	if want := "mount proc on /proc: " + errForeignProc.Error(); out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestEarlyInit(t *testing.T) {
	got := string(output(t, play(t, "early", "run", "--guest", "--", "a b")))
	want := `images 2, pid 1, proc true, early true, marker false, args ["run" "--guest" "--" "a b"]` + "\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Not asked for: nothing happens.
	got = string(output(t, play(t, "early", "run", "--", "--guest")))
	want = `images 1, pid 1, proc false, early false, marker false, args ["run" "--" "--guest"]` + "\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEarlyInitElsewhere(t *testing.T) {
	t.Setenv(marker, "1")
	if err := EarlyInit(); err != nil {
		t.Fatal(err)
	}
	if _, left := os.LookupEnv(marker); left {
		t.Error("the marker is left")
	}
}

func TestGuestAsked(t *testing.T) {
	for args, want := range map[string]bool{
		"":                              false,
		"glasshouse":                    false,
		"glasshouse run --guest":        true,
		"glasshouse --guest=true":       true,
		"glasshouse run --guest=1 -- x": true,
		"glasshouse run --guest=false":  false,
		"glasshouse run -- x --guest":   false,
		"--guest run":                   false,
	} {
		if got := guestAsked(strings.Fields(args)); got != want {
			t.Errorf("%q: %v", args, got)
		}
	}
}

func TestReaper(t *testing.T) {
	for _, role := range []string{"starved", "races"} {
		t.Run(role, func(t *testing.T) {
			if out := string(output(t, play(t, role))); out != "ok\n" {
				t.Error(out)
			}
		})
	}
}

// TestSubreaper needs no rights: it is not PID 1.
func TestSubreaper(t *testing.T) {
	cmd := play(t, "subreaper")
	cmd.SysProcAttr = nil
	if out := string(output(t, cmd)); out != "ok\n" {
		t.Error(out)
	}
}

func TestStep(t *testing.T) {
	report := Report{Steps: []Step{{"a", Done, nil}, {"b", Failed, errors.New("why")}}}
	failed := report.Failures()
	if len(failed) != 1 || failed[0].String() != "b: failed: why" || report.Steps[0].String() != "a: done" {
		t.Errorf("got %v", failed)
	}
}

// memlockStep is what raising the limit comes to with the capabilities that
// a child of this process has.
func memlockStep(t *testing.T) result {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var caps uint64
	if _, list, ok := strings.Cut(string(status), "\nCapEff:\t"); !ok {
		t.Fatal("no capabilities in /proc/self/status")
	} else if _, err := fmt.Sscanf(list, "%x", &caps); err != nil {
		t.Fatal(err)
	}
	if caps&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		return result{"raise memlock", Done, ""}
	}
	return result{"raise memlock", Failed, "limited to 65536 bytes: operation not permitted"}
}
