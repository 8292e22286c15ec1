//go:build linux

package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"

	"glasshouse/receipt"
	testrecorded "glasshouse/test/recorded"
)

// traced runs glasshouse with ptrace, in a folder of its own, and returns the
// receipt and what was printed.
func traced(t *testing.T, flags []string, argv ...string) (*receipt.Receipt, string) {
	t.Helper()
	dir := t.TempDir()
	args := append([]string{"run", "-q", "--no-store", "--observe", "ptrace", "-o", "receipt.json"}, flags...)
	cmd := exec.Command(binary, append(append(args, "--"), argv...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		t.Fatal(err)
	}
	return readReceipt(t, filepath.Join(dir, "receipt.json")), string(out)
}

// steps makes a file each hundredth of a second, and one when it is through.
const steps = `i=0; while [ $i -lt 200 ]; do echo $i >n.$i; sleep 0.01; i=$((i+1)); done; echo >done; exit 5`

// patient does the same, and asks again where a call is refused: between a
// tracer's death and its successor there is nobody to let it pass.
const patient = `exec 2>/dev/null; i=0; while [ $i -lt 200 ]; do
	until echo $i >n.$i; do :; done; until sleep 0.01; do :; done; i=$((i+1)); done; until echo >done; do :; done; exit 5`

// A command whose recorder or tracer is killed goes on, or ends with it.
func TestTracedDeath(t *testing.T) {
	for _, who := range []string{"recorder", "tracer"} {
		for _, what := range []string{"continue", "kill"} {
			t.Run(who+" "+what, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				script := steps
				if who == "tracer" {
					script = patient
				}
				cmd := exec.Command(binary, "run", "-q", "--observe", "ptrace", "--on-recorder-death", what, "-o", "receipt.json", "--", "sh", "-c", script)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(dir, "state"))
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				made := func() int { return len(glob(t, dir, "n.*")) }
				eventually(t, "fifty files", func() bool { return made() >= 50 }, func() string { return fmt.Sprint(made()) })
				tracer := tracerOf(t, cmd.Process.Pid)
				victim := cmd.Process.Pid
				if who == "tracer" {
					victim = tracer
				}
				if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait()
				if what == "continue" {
					eventually(t, "the end of the command", func() bool { return len(glob(t, dir, "done")) == 1 }, func() string { return fmt.Sprint(made()) })
					if n := made(); n != 200 {
						t.Errorf("%d files", n)
					}
				} else {
					n := made()
					time.Sleep(100 * time.Millisecond)
					if again := made(); again != n || n > 150 {
						t.Errorf("%d files, then %d", n, again)
					}
				}
				if who == "recorder" {
					recoverTraced(t, dir)
				} else if r := readReceipt(t, filepath.Join(dir, "receipt.json")); r.Observation.Complete || !strings.Contains(*r.Observation.Reason, "the tracer ended early") {
					t.Errorf("%+v", r.Observation)
				} else if what == "continue" && r.Outcome.ExitCode != 5 || what == "kill" && r.Outcome.ExitCode != 137 {
					t.Errorf("%+v", r.Outcome)
				}
				eventually(t, "the tracer's end", func() bool { return syscall.Kill(tracer, 0) != nil }, func() string { return "" })
			})
		}
	}
}

// recoverTraced has the journal made into a receipt.
func recoverTraced(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(binary, "recover", "-o", "recovered.json")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(dir, "state"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r := readReceipt(t, filepath.Join(dir, "recovered.json"))
	if r.Observation.Mode != "ptrace" || r.Observation.Complete || len(r.Filesystem.Writes) < 30 {
		t.Errorf("%d writes, %+v", len(r.Filesystem.Writes), r.Observation)
	}
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// tracerOf is the process that traces the children of a recorder.
func tracerOf(t *testing.T, recorder int) int {
	t.Helper()
	children := func(pid int) []string {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, task := range tasks {
			data, _ := os.ReadFile(task)
			all = append(all, strings.Fields(string(data))...)
		}
		return all
	}
	for _, child := range children(recorder) {
		status, _ := os.ReadFile("/proc/" + child + "/status")
		_, rest, _ := strings.Cut(string(status), "TracerPid:")
		if f := strings.Fields(rest); len(f) > 0 && f[0] != "0" {
			pid, err := strconv.Atoi(f[0])
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("nobody is traced")
	return 0
}

// What outlives the run goes on, with its files.
func TestTracedSurvivor(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(binary, "run", "-q", "--no-store", "--observe", "ptrace", "-o", "receipt.json", "--", "sh", "-c", "("+steps+") >/dev/null 2>&1 & exit 4")
	cmd.Dir = dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := io.ReadAll(pipe); err != nil { // nobody holds the recorder's output
		t.Fatal(err)
	}
	if took := time.Since(start); took > 1500*time.Millisecond {
		t.Errorf("the output was held for %s", took)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 4 {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if r := readReceipt(t, filepath.Join(dir, "receipt.json")); !r.Observation.Complete || len(r.Observation.Survivors) == 0 {
		t.Errorf("%+v", r.Observation)
	}
	eventually(t, "the end of what was left", func() bool { return len(glob(t, dir, "done")) == 1 }, func() string { return fmt.Sprint(len(glob(t, dir, "n.*"))) })
	if n := len(glob(t, dir, "n.*")); n != 200 {
		t.Errorf("%d files", n)
	}
}

// Signals that the command was given as blocked stay so, and none is pending that
// nobody sent; being stopped works as ever.
func TestTracedBlockedSignal(t *testing.T) {
	python := testrecorded.Python(t)
	const block = `
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT})
os.execvp(sys.argv[1], sys.argv[1:])`
	const program = `
import os, signal, time
blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
print(sorted(int(s) for s in blocked), len(signal.sigpending()))
me, (r, w) = os.getpid(), os.pipe()
if os.fork() == 0:
	for i in range(1000):
		state = open(f"/proc/{me}/stat").read().rpartition(")")[2].split()[0]
		if state in "Tt": # a tracer makes it the second
			break
		time.sleep(0.01)
	os.write(w, state.upper().encode())
	os.kill(me, signal.SIGCONT)
	os._exit(0)
os.kill(me, signal.SIGSTOP)
os.close(w)
print(os.read(r, 10))`
	dir := t.TempDir()
	cmd := exec.Command(python, "-c", block, binary, "run", "-q", "--no-store", "--no-journal", "--observe", "ptrace", "-o", "receipt.json", "--", python, "-c", program)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if want := "[18] 0\nb'T'\n"; err != nil || string(out) != want {
		t.Errorf("%v, %q, want %q", err, out, want)
	}
}

// notToBeSeen has the test binary do some things when nobody may look into it, some
// when all may, and run a program that cannot be read.
const notToBeSeen = "not-to-be-seen"

func hide() error {
	for _, step := range []func() error{
		func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) },
		func() error { return os.Mkdir("hidden", 0o700) },
		func() error {
			if c, err := net.Dial("tcp", "127.0.0.1:1"); err == nil {
				c.Close()
			}
			return nil
		},
		func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) },
		func() error { return os.Mkdir("seen", 0o700) },
		func() error { return exec.Command("./unreadable", "made").Run() },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// What a process without a tracer's rights may not see it says that it did not
// see: with them it does.
func TestTracedUnlooked(t *testing.T) {
	testrecorded.NeedRoot(t)
	read := func(path string, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	files := map[string]struct {
		content []byte
		mode    os.FileMode
	}{"unreadable": {read(exec.LookPath("mkdir")), 0o711}, "program": {read(os.Executable()), 0o755}}
	for who, enter := range map[string][]string{"root": nil, "nobody": {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}} {
		t.Run(who, func(t *testing.T) {
			dir := t.TempDir()
			for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
				if err := os.Chmod(d, 0o777); err != nil {
					t.Fatal(err)
				}
			}
			for name, f := range files {
				if err := os.WriteFile(filepath.Join(dir, name), f.content, f.mode); err != nil {
					t.Fatal(err)
				}
			}
			argv := append(enter[:len(enter):len(enter)], binary, "run", "-q", "--no-store", "--no-journal", "--observe", "ptrace", "-o", "receipt.json", "--", "./program", notToBeSeen)
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			r := readReceipt(t, filepath.Join(dir, "receipt.json"))
			var blind uint64
			for _, g := range r.Observation.Gaps {
				if g.Kind == "ptrace" && strings.Contains(g.Detail, "not look into") {
					blind += g.Count
				}
			}
			var made []string
			for _, c := range r.Filesystem.Created {
				if filepath.Dir(c.Path) == dir {
					made = append(made, filepath.Base(c.Path))
				}
			}
			slices.Sort(made)
			want, attempts := []string{"hidden", "made", "seen"}, 1
			if who == "nobody" {
				want, attempts = []string{"seen"}, 0
			}
			if !slices.Equal(made, want) || len(r.Network.Attempts) != attempts || (blind > 3) != (who == "nobody") {
				t.Errorf("made %q, %d attempts, blind to %d calls", made, len(r.Network.Attempts), blind)
			}
			if last := r.ProcessTree[len(r.ProcessTree)-1]; !slices.Equal(last.Argv, []string{"./unreadable", "made"}) {
				t.Errorf("the last process is %+v", last)
			}
			for _, f := range r.Filesystem.Files {
				if f.Path == "" && f.Opens > 0 {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

// Names and addresses that the kernel shows to nobody else.
func TestTracedSecret(t *testing.T) {
	python := testrecorded.Python(t)
	const program = `
import ctypes, mmap, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.syscall(447, 0) # memfd_secret
if fd < 0: sys.exit(99)
os.ftruncate(fd, 4096)
memory = mmap.mmap(fd, 4096)
at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
memory[:4] = b"made"
memory[64:80] = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 9, bytes([127, 0, 0, 1]))
sys.exit(libc.mkdir(ctypes.c_void_p(at), 0o700) or
	libc.sendto(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach(), b"x", 1, 0, ctypes.c_void_p(at + 64), 16) - 1)`
	r, out := traced(t, nil, python, "-c", program)
	if r.Outcome.ExitCode == 99 {
		t.Skip("this kernel has no secret memory")
	}
	kinds := map[string]bool{}
	for _, g := range r.Observation.Gaps {
		kinds[g.Kind+" "+strings.Fields(g.Detail)[0]] = true
	}
	if r.Outcome.ExitCode != 0 || !kinds["path_cut mkdir"] || !kinds["not_recorded addresses"] {
		t.Errorf("%+v, %s, %+v", r.Outcome, out, r.Observation.Gaps)
	}
	for _, f := range r.Filesystem.Files {
		if f.Path == "/secretmem" {
			t.Errorf("%+v", f)
		}
	}
}

// A mode that a process with a filter cannot have is refused, and that is said.
func TestTracedStrictMode(t *testing.T) {
	const program = `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.prctl(22, 1), ctypes.get_errno())`
	r, out := traced(t, nil, testrecorded.Python(t), "-c", program)
	if out != "-1 22\n" {
		t.Errorf("%q", out)
	}
	if !slices.ContainsFunc(r.Observation.Gaps, func(g receipt.Gap) bool { return g.Kind == "ptrace" && strings.Contains(g.Detail, "strict mode") }) {
		t.Errorf("%+v", r.Observation.Gaps)
	}
}

// A setuid program gives its rights where the tracer has all anyway, and else the
// receipt says that it gave none.
func TestTracedSetuid(t *testing.T) {
	testrecorded.NeedRoot(t)
	dir := t.TempDir()
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	path, err := exec.LookPath("id")
	if err != nil {
		t.Fatal(err)
	}
	id, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "id"), id, 0o755), os.Chmod(filepath.Join(dir, "id"), 0o755|os.ModeSetuid)); err != nil {
		t.Fatal(err)
	}
	nobody := []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
	recorder := []string{binary, "run", "-q", "--no-store", "--no-journal", "--observe", "ptrace", "-o", "receipt.json", "--"}
	output := func(argv ...string) string {
		t.Helper()
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	said := func() bool {
		t.Helper()
		r := readReceipt(t, filepath.Join(dir, "receipt.json"))
		defer os.Remove(filepath.Join(dir, "receipt.json"))
		return slices.ContainsFunc(r.Observation.Gaps, func(g receipt.Gap) bool { return strings.Contains(g.Detail, "setuid") })
	}
	bare := output(append(nobody[:len(nobody):len(nobody)], "./id", "-u")...)
	if out := output(append(append(recorder[:len(recorder):len(recorder)], nobody...), "./id", "-u")...); out != bare || said() {
		t.Errorf("by root %q, without a recorder %q", out, bare)
	}
	if out := output(append(append(nobody[:len(nobody):len(nobody)], recorder...), "./id", "-u")...); out != "65534\n" || !said() {
		t.Errorf("by nobody %q", out)
	}
}

// A program that its user may run but not read cannot be traced by that user. It
// does not begin then, and the receipt says what to do.
func TestTracedUnreadable(t *testing.T) {
	testrecorded.NeedRoot(t)
	dir := t.TempDir()
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	path, err := exec.LookPath("touch")
	if err != nil {
		t.Fatal(err)
	}
	touch, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "touch"), touch, 0o711); err != nil {
		t.Fatal(err)
	}
	run := func(observe string) (string, *receipt.Receipt) {
		cmd := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary,
			"run", "--no-store", "--no-journal", "--observe", observe, "-o", observe+".json", "--", "./touch", observe+".made")
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput()
		return string(out), readReceipt(t, filepath.Join(dir, observe+".json"))
	}
	const remedy = "run it as root, or unobserved with --observe none"
	out, r := run("ptrace")
	if !strings.Contains(out, remedy) || r.Outcome.Error == nil || !strings.Contains(*r.Outcome.Error, remedy) || r.Outcome.ExitCode == 0 {
		t.Errorf("%s\n%+v", out, r.Outcome)
	}
	if out, r := run("none"); r.Outcome.ExitCode != 0 || r.Outcome.Error != nil {
		t.Errorf("%s\n%+v", out, r.Outcome)
	}
	for name, want := range map[string]bool{"ptrace.made": false, "none.made": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Where /proc shows other processes than the tracer's, or is gone in the middle of
// the run, nothing is made of what it shows.
func TestTracedForeignProc(t *testing.T) {
	testrecorded.NeedRoot(t)
	dir := t.TempDir()
	run := func(argv ...string) *receipt.Receipt {
		t.Helper()
		cmd := exec.Command(argv[0], append(argv[1:], "--no-store", "--no-journal", "--observe", "ptrace", "-o", "receipt.json", "--",
			"sh", "-c", "echo >made; mount -t tmpfs none /proc || exit 3; exit 6")...)
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 6 {
			t.Fatalf("exit code %d: %s", code, out)
		}
		return readReceipt(t, filepath.Join(dir, "receipt.json"))
	}
	r := run("unshare", "-pfm", binary, "run")
	if r.Observation.Mode != "none" || r.Observation.Complete || !strings.Contains(*r.Observation.Reason, "/proc is not that of this PID namespace") {
		t.Errorf("%+v", r.Observation)
	}
	r = run("unshare", "-m", binary, "run")
	if r.Observation.Mode != "ptrace" || r.Observation.Complete || !strings.Contains(*r.Observation.Reason, "over /proc") {
		t.Errorf("%+v", r.Observation)
	}
}

// In a user namespace, without any capability, as in a rootless container.
func TestTracedNamespaces(t *testing.T) {
	testrecorded.NeedRoot(t)
	dir := t.TempDir()
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	nobody := []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"}
	for name, tc := range map[string]struct {
		enter  []string
		remedy string
	}{
		"plain user":         {nobody[:4:4], "sudo setcap"},
		"nobody":             {nobody, "--cap-add BPF"},
		"user namespace":     {append(nobody[:4:4], "unshare", "-Ur"), "outside of the user namespace"},
		"container":          {append(nobody[:4:4], "unshare", "-Urpfm", "--mount-proc"), "outside of the user namespace"},
		"root, no rights":    {[]string{"setpriv", "--inh-caps=-all", "--bounding-set=-all"}, "--cap-add BPF"},
		"no new rights":      {append(nobody[:len(nobody):len(nobody)], "--no-new-privs"), "--cap-add BPF"},
		"root, network only": {[]string{"setpriv", "--inh-caps=-all", "--bounding-set=-all,+net_bind_service"}, "--cap-add BPF"},
	} {
		enter := tc.enter
		t.Run(name, func(t *testing.T) {
			receiptFile := strings.ReplaceAll(name, " ", "-") + ".json"
			made := strings.ReplaceAll(name, " ", "-")
			cmd := exec.Command(enter[0], append(enter[1:len(enter):len(enter)], binary, "run", "--no-store", "--no-journal", "-o", receiptFile, "--",
				"sh", "-c", "echo x >"+made+"; cat "+made+"; mv "+made+" "+made+".moved; rm "+made+".moved; exit 6")...)
			cmd.Dir = dir
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != 6 {
				t.Fatalf("exit code %d: %s", code, out)
			}
			r := readReceipt(t, filepath.Join(dir, receiptFile))
			if r.Observation.Mode != "ptrace" || !r.Observation.Complete {
				t.Errorf("%s: %+v", out, r.Observation)
			}
			if fs := r.Filesystem; len(fs.Writes) != 2 || len(fs.Renames) != 1 || len(fs.Deletes) != 2 || fs.Writes[0] != filepath.Join(dir, made) {
				t.Errorf("%v, %v, %v", fs.Writes, fs.Renames, fs.Deletes)
			}
			if len(r.ProcessTree) != 4 {
				t.Errorf("%d processes", len(r.ProcessTree))
			}
			for _, g := range r.Observation.Gaps {
				if g.Kind == "fallback" && g.Detail != "no permission to load eBPF programs: operation not permitted" {
					t.Errorf("%+v", g) // which differs from run to run, if it says more
				}
			}
			out, err := exec.Command(enter[0], append(enter[1:len(enter):len(enter)], binary, "doctor")...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), tc.remedy) || strings.Contains(string(out), "remedy: run glasshouse doctor") {
				t.Errorf("%v: %s, want %q", err, out, tc.remedy)
			}
		})
	}
}

// A recorder that is killed leaves behind what it knew from the start not to see.
func TestTracedDeathGaps(t *testing.T) {
	testrecorded.NeedRoot(t)
	dir := t.TempDir()
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	start := func(args ...string) *exec.Cmd {
		cmd := exec.Command("setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", binary}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(dir, "state"))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	kinds := func(file string) (kinds []string) {
		for _, g := range readReceipt(t, filepath.Join(dir, file)).Observation.Gaps {
			kinds = append(kinds, g.Kind)
		}
		return kinds
	}
	if err := start("run", "-q", "-o", "whole.json", "--", "true").Wait(); err != nil {
		t.Fatal(err)
	}
	killed := start("run", "-q", "--on-recorder-death", "kill", "--", "sh", "-c", "echo >started; exec sleep 60")
	eventually(t, "the command", func() bool { return len(glob(t, dir, "started")) == 1 }, func() string { return "" })
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	if err := start("recover", "-o", "recovered.json").Wait(); err != nil {
		t.Fatal(err)
	}
	whole, recovered := kinds("whole.json"), kinds("recovered.json")
	for _, kind := range []string{"fallback", "same_user", "ptrace", "syscalls"} {
		if !slices.Contains(whole, kind) {
			t.Errorf("no gap %s in %q", kind, whole)
		}
	}
	for _, kind := range whole {
		if !slices.Contains(recovered, kind) {
			t.Errorf("no gap %s in what was recovered: %q", kind, recovered)
		}
	}
}

// A tracer inside is refused, as under any tracer, and the receipt says so.
func TestTracedTracer(t *testing.T) {
	testrecorded.NeedProgram(t, "strace")
	r, out := traced(t, nil, "strace", "-o", "/dev/null", "true")
	if r.Outcome.ExitCode == 0 || !strings.Contains(out, "Operation not permitted") {
		t.Errorf("exit code %d: %s", r.Outcome.ExitCode, out)
	}
	for _, g := range r.Observation.Gaps {
		if g.Kind == "ptrace" {
			return
		}
	}
	t.Errorf("gaps %+v", r.Observation.Gaps)
}

// Rings are said to be there, or denied.
func TestTracedRings(t *testing.T) {
	const program = `import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
params = ctypes.create_string_buffer(120)
print(libc.syscall(425, 1, params) >= 0, ctypes.get_errno())`
	python := testrecorded.Python(t)
	rings := func(r *receipt.Receipt) (n int) {
		for _, g := range r.Observation.Gaps {
			if g.Kind == "io_uring" {
				n++
			}
		}
		return n
	}
	if r, out := traced(t, nil, python, "-c", program); out == "True 0\n" && rings(r) != 1 || rings(r) > 1 {
		t.Errorf("%q, gaps %+v", out, r.Observation.Gaps)
	}
	if r, out := traced(t, []string{"--deny-io-uring"}, python, "-c", program); out != "False 38\n" || rings(r) != 0 {
		t.Errorf("%q, gaps %+v", out, r.Observation.Gaps)
	}
}

// inContainer has the test binary install a filter that refuses the calls of the
// next argument, and become the command that follows.
const inContainer = "in-container"

// refused is what Docker's default filter refuses to who has no capabilities, as
// far as a recorder needs it.
const refused = "bpf kcmp perf_event_open pidfd_getfd process_madvise mount umount2 unshare setns open_by_handle_at fanotify_init"

// enterContainer returns if it could not.
func enterContainer(calls, argv []string) error {
	filter := seccomp.Filter{NoNewPrivs: true, Policy: seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{{
			Action: seccomp.ActionErrno,
			Names:  calls,
		}},
	}}
	runtime.LockOSThread() // the filter is this thread's, and what it becomes has it
	if err := seccomp.LoadFilter(filter); err != nil {
		return err
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, argv, os.Environ())
}

// In a container whose filter refuses to look at sockets they are found in the
// kernel's tables.
func TestTracedContainer(t *testing.T) {
	python := testrecorded.Python(t)
	const program = `
import os, socket, subprocess
subprocess.run(["true"])
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()
c = socket.create_connection(l.getsockname()); a = l.accept()[0]
c.sendall(b"hello"); a.recv(5)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b"x", ("127.0.0.1", 9))
try: socket.create_connection(("127.0.0.1", 1))
except OSError: pass
s = socket.socket(socket.AF_UNIX); s.bind("sock"); s.listen()
d = socket.socket(socket.AF_UNIX); d.connect("sock")
print(l.getsockname()[1])`
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	argv := []string{inContainer, refused, binary, "run", "-q", "--no-store", "--no-journal", "-o", "receipt.json", "--", python, "-c", program}
	cmd := exec.Command(self, argv...)
	if os.Geteuid() == 0 {
		cmd = exec.Command("setpriv", append([]string{"--inh-caps=-all", "--bounding-set=-all,+chown,+net_bind_service,+kill", self}, argv...)...)
	}
	cmd.Dir = dir
	// Without a home Python looks for one in the accounts, over sockets too.
	cmd.Env = append(os.Environ(), "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r := readReceipt(t, filepath.Join(dir, "receipt.json"))
	if r.Observation.Mode != "ptrace" || !r.Observation.Complete {
		t.Errorf("%+v", r.Observation)
	}
	port := strings.TrimSpace(string(out))
	var attempts, listens []string
	for _, a := range r.Network.Attempts {
		attempts = append(attempts, a.Protocol+" "+strings.ReplaceAll(a.Dst, port, "PORT")+" "+a.Result)
	}
	for _, l := range r.Network.Listens {
		listens = append(listens, l.Protocol+" "+strings.ReplaceAll(l.Addr, port, "PORT"))
	}
	slices.Sort(attempts)
	slices.Sort(listens)
	if want := []string{"tcp 127.0.0.1:1 refused", "tcp 127.0.0.1:PORT connected", "udp 127.0.0.1:9 sent", "unix unix:" + dir + "/sock connected"}; !slices.Equal(attempts, want) {
		t.Errorf("attempts %q, want %q", attempts, want)
	}
	if want := []string{"tcp 127.0.0.1:PORT", "unix unix:" + dir + "/sock"}; !slices.Equal(listens, want) {
		t.Errorf("listens %q, want %q", listens, want)
	}
	if len(r.Network.Accepts) != 1 || r.Network.BytesSent != 6 || r.Network.BytesReceived != 5 || len(r.ProcessTree) < 2 {
		t.Errorf("%+v, %d processes", r.Network, len(r.ProcessTree))
	}
	for _, g := range r.Observation.Gaps {
		if g.Kind == "raced" || g.Kind == "shared_names" {
			t.Errorf("%+v", g)
		}
	}
}

// Where neither eBPF nor tracing is allowed the command runs all the same, and
// what would help is said.
func TestTracedNowhere(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(self, inContainer, refused+" ptrace", binary, "run", "-q", "--no-store", "--no-journal", "-o", "receipt.json", "--", "sh", "-c", "echo ran; exit 6")
	cmd.Dir = dir
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 6 || !strings.Contains(string(out), "ran\n") {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if r := readReceipt(t, filepath.Join(dir, "receipt.json")); r.Observation.Mode != "none" || r.Observation.Complete {
		t.Errorf("%+v", r.Observation)
	}
	if !strings.Contains(string(out), "processes cannot be traced: trace a process: operation not permitted") || !strings.Contains(string(out), "; or let the container trace (--cap-add SYS_PTRACE)") {
		t.Errorf("%s", out)
	}
	doctor := exec.Command(self, inContainer, refused+" ptrace", binary, "doctor")
	out, _ = doctor.CombinedOutput()
	if code := doctor.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), "--cap-add SYS_PTRACE") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
