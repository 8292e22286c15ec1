//go:build linux

// Package microvm tests the built binary with real virtual machines: what a
// command finds there, what its receipt says, and what is left when a machine
// comes to a bad end. It needs QEMU and an image, which GLASSHOUSE_TEST_IMAGE
// names: make test-microvm builds one and runs the tests.
package microvm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"glasshouse/receipt"
	"glasshouse/receipt/receipttest"
)

var binary, image, state string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		image = os.Getenv("GLASSHOUSE_TEST_IMAGE")
		if image == "" {
			fmt.Println("GLASSHOUSE_TEST_IMAGE names no image: make test-microvm builds one and runs these tests")
			return 0
		}
		dir, err := os.MkdirTemp("", "glasshouse-microvm-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "glasshouse")
		build := exec.Command("go", "build", "-o", binary, "glasshouse/cmd/glasshouse")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("%v: %s", err, out))
		}
		// What the probe of KVM finds is found once.
		state = filepath.Join(dir, "state")
		if err := os.Setenv("XDG_STATE_HOME", state); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// limit is for a boot on a busy host, and what the command does.
const limit = 4 * time.Minute

type result struct {
	*receipt.Receipt
	stdout, stderr string
	code           int
	took           time.Duration
}

// machine is the command line of a run in a machine.
func machine(t *testing.T, dir string, flags []string, argv ...string) *exec.Cmd {
	t.Helper()
	guard(t)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	args := slices.Concat([]string{"run", "-q", "--no-store", "--backend", "qemu", "--image", image, "-o", filepath.Join(dir, "receipt.json")}, flags, []string{"--"}, argv)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = dir
	return cmd
}

func run(t *testing.T, stdin string, flags []string, argv ...string) result {
	t.Helper()
	dir := t.TempDir()
	cmd := machine(t, dir, flags, argv...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	begin := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := result{read(t, dir), stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), time.Since(begin)}
	return r
}

func read(t *testing.T, dir string) *receipt.Receipt {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "receipt.json"))
	if err != nil {
		t.Fatal(err)
	}
	rec, err := receipt.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	receipttest.Validate(t, rec)
	return rec
}

// guarded are the tests whose temporary folder is their own.
var guarded = map[string]bool{}

// guard gives a test a temporary folder of its own, and fails it if a run leaves
// something there or somewhere else on the host.
func guard(t *testing.T) {
	t.Helper()
	if guarded[t.Name()] {
		return
	}
	guarded[t.Name()] = true
	t.Setenv("TMPDIR", t.TempDir())
	before := states()
	t.Cleanup(func() { nothingLeft(t, before) })
}

// nothingLeft looks for what a run could leave: files, sockets, processes.
func nothingLeft(t *testing.T, before []string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, file := range states() {
		if !slices.Contains(before, file) {
			t.Errorf("left behind: %s", file)
		}
	}
	sockets, err := os.ReadFile("/proc/net/unix")
	if err != nil || bytes.Contains(sockets, []byte(os.TempDir()+"/")) {
		t.Errorf("a socket is left: %v", err)
	}
	for _, pid := range offspring() {
		line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		t.Errorf("process %s is left: %q", pid, line)
	}
}

// states are the files in the state folder, but for what the probe of KVM found.
func states() (files []string) {
	_ = filepath.WalkDir(state, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "kvm.json" {
			files = append(files, path)
		}
		return nil
	})
	return files
}

// offspring are the processes that a test's runs have started: they have its
// temporary folder in their environment.
func offspring() (pids []string) {
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range environments {
		pid := filepath.Base(filepath.Dir(file))
		if b, err := os.ReadFile(file); err == nil && pid != fmt.Sprint(os.Getpid()) && bytes.Contains(b, []byte("TMPDIR="+os.TempDir()+"\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func complete(t *testing.T, r *receipt.Receipt) {
	t.Helper()
	if o := r.Observation; o.Mode != "ebpf" || !o.Complete || o.Events.Emitted != o.Events.Received || o.Events.Received == 0 {
		t.Errorf("%+v", o)
	}
	if x := r.Execution; x.Backend != "qemu" || x.Isolation != "vm" || x.Provenance != "guest" || x.VM == nil || len(x.VM.Image) != 3 || len(x.Guest) == 0 {
		t.Errorf("%+v", x)
	}
}

func gaps(r *receipt.Receipt) (kinds []string) {
	for _, g := range r.Observation.Gaps {
		kinds = append(kinds, g.Kind)
	}
	return kinds
}

func failure(r *receipt.Receipt) string {
	if r.Outcome.Error == nil {
		return ""
	}
	return *r.Outcome.Error
}

// What a command finds, and how it ends, is as on the host.
func TestCommand(t *testing.T) {
	r := run(t, "some input\n", []string{"--env-file", write(t, "A=b c\n")}, "sh", "-c",
		`cat; echo "$A|$(pwd)|$(id -u)|$(hostname)" >&2; uname -r; : </proc/self/maps; test -c /dev/null; ls /proc/1/exe >/dev/null; exit 7`)
	release := strings.TrimPrefix(r.stdout, "some input\n")
	if r.code != 7 || r.stderr != "b c|/|0|glasshouse\n" || !strings.HasSuffix(r.stdout, release) || !strings.HasPrefix(r.stdout, "some input\n") {
		t.Errorf("%d, %q, %q", r.code, r.stdout, r.stderr)
	}
	complete(t, r.Receipt)
	if r.Environment.Kernel+"\n" != release || r.Command.WorkingDir != "/" || r.Environment.Sandbox.Network != "disabled" {
		t.Errorf("%+v, %+v, release %q", r.Environment, r.Command, release)
	}
	sum := sha256.Sum256([]byte(r.stdout))
	if *r.Artifacts.StdoutHash != hex.EncodeToString(sum[:]) || *r.Artifacts.StderrBytes != uint64(len(r.stderr)) {
		t.Errorf("%+v", r.Artifacts)
	}
	if len(r.ProcessTree) != 7 || r.ProcessTree[0].PPID != 1 {
		t.Errorf("%d processes, the first a child of %d", len(r.ProcessTree), r.ProcessTree[0].PPID)
	}
	for _, kind := range gaps(r.Receipt) {
		if kind != receipt.GapRoot {
			t.Errorf("gap %s", kind)
		}
	}
	t.Logf("up after %d ms, the whole run took %v", r.Execution.VM.BootMS, r.took)
}

func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What cannot be started is an error in the words of the process backend. Of a program
// that is not there it is said which machine lacks it.
func TestNotStarted(t *testing.T) {
	for _, c := range []struct {
		flags []string
		argv  string
		want  string
		// What there was to see is recorded as on the host, if the guest came so far.
		recorded bool
		said     string // on stderr, at the beginning
	}{
		{nil, "/bin/nope", "fork/exec /bin/nope: no such file or directory", true, "glasshouse: the image's root file system has no /bin/nope, or not what runs it\nhint: "},
		{nil, "nope", `exec: "nope": executable file not found in $PATH`, false, "glasshouse: the image's root file system has no program nope in PATH\nhint: "},
		{nil, "/etc", "fork/exec /etc: permission denied", true, "glasshouse: fork/exec /etc: permission denied\n"},
		{[]string{"--chdir", "/nope"}, "true", "chdir /nope: no such file or directory", false, ""},
		{[]string{"--user", "nobody:nope"}, "true", `--user: "nobody:nope": group: unknown group nope`, false, ""},
	} {
		r := run(t, "", c.flags, c.argv)
		if r.code != 1 || failure(r.Receipt) != c.want {
			t.Errorf("%s: %d, %q, want %q", c.argv, r.code, failure(r.Receipt), c.want)
		}
		if o := r.Observation; o.Complete != c.recorded || (o.Mode == "ebpf") != c.recorded {
			t.Errorf("%s: %+v", c.argv, o)
		}
		if !strings.HasPrefix(r.stderr, c.said) {
			t.Errorf("%s: it says %q, want %q", c.argv, r.stderr, c.said)
		}
	}
}

func TestUser(t *testing.T) {
	r := run(t, "", []string{"--user", "nobody"}, "sh", "-c", "id -un; echo $HOME; touch /root/x")
	if r.code != 1 || r.stdout != "nobody\n/nonexistent\n" || r.Command.User != "nobody" || r.Command.UID != 65534 {
		t.Errorf("%d, %q, %+v", r.code, r.stdout, r.Command)
	}
	complete(t, r.Receipt)
}

// A signal to the recorder reaches the command, and ends it.
func TestSignal(t *testing.T) {
	dir := t.TempDir()
	cmd := machine(t, dir, nil, "sh", "-c", `trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.1; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 6)
	if _, err := io.ReadFull(out, got); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(out)
	_ = cmd.Wait()
	if string(got)+string(rest) != "ready\ngot it\n" || cmd.ProcessState.ExitCode() != 9 {
		t.Errorf("%q, %q, %v", got, rest, cmd.ProcessState)
	}
	r := read(t, dir)
	complete(t, r)
}

// Ctrl-C at a terminal that is not the command's reaches nobody but the recorder:
// the command is in no group of processes that the terminal knows.
func TestInterrupt(t *testing.T) {
	dir := t.TempDir()
	cmd := machine(t, dir, nil, "sh", "-c", `trap 'echo got it; exit 9' INT; echo ready; while :; do sleep 0.1; done`)
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = w
	term, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	_ = w.Close()
	got := make([]byte, 6)
	if _, err := io.ReadFull(out, got); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(term, "\x03")
	rest, _ := io.ReadAll(out)
	_ = cmd.Wait()
	if string(got)+string(rest) != "ready\ngot it\n" || cmd.ProcessState.ExitCode() != 9 {
		t.Errorf("%q, %q, %v", got, rest, cmd.ProcessState)
	}
	complete(t, read(t, dir))
}

func TestTimeout(t *testing.T) {
	r := run(t, "", []string{"--timeout", "2s"}, "sh", "-c", "echo a; sleep 300 & sleep 300")
	if r.code != 137 || failure(r.Receipt) != "timed out after 2s" || r.stdout != "a\n" {
		t.Errorf("%d, %q, %q", r.code, failure(r.Receipt), r.stdout)
	}
	complete(t, r.Receipt)
	for _, p := range r.ProcessTree {
		if p.EndedAt == nil {
			t.Errorf("%v has not ended", p.Argv)
		}
	}
}

// What outlives the command is waited for, or killed, or left to the machine's
// end, and may print until then.
func TestSurvivors(t *testing.T) {
	const script = "(sleep 2; echo late) & echo early; exit 3"
	for _, c := range []struct {
		name   string
		flags  []string
		stdout string
		alive  int // at the end
	}{
		{"wait", []string{"--wait", "tree"}, "early\nlate\n", 0},
		{"kill", []string{"--kill-survivors"}, "early\n", 0},
		{"leave", nil, "early\n", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, "", c.flags, "sh", "-c", script)
			if r.code != 3 || r.stdout != c.stdout || failure(r.Receipt) != "" {
				t.Errorf("%d, %q, %q", r.code, r.stdout, failure(r.Receipt))
			}
			complete(t, r.Receipt)
			alive := 0
			for _, p := range r.ProcessTree {
				if p.EndedAt == nil {
					alive++
				}
			}
			if alive != c.alive || len(r.Observation.Survivors) != c.alive {
				t.Errorf("%d have not ended, survivors %+v", alive, r.Observation.Survivors)
			}
		})
	}
}

// A run that is not to be observed says so, a strict one runs where all is seen.
func TestObserve(t *testing.T) {
	r := run(t, "", []string{"--observe", "none"}, "sh", "-c", "exit 3")
	if r.code != 3 || r.Observation.Mode != "none" || r.Observation.Complete || len(r.ProcessTree) != 0 {
		t.Errorf("%d, %+v", r.code, r.Observation)
	}
	r = run(t, "", []string{"--strict"}, "sh", "-c", "exit 3")
	if r.code != 3 {
		t.Errorf("%d, %q", r.code, failure(r.Receipt))
	}
	complete(t, r.Receipt)
}

// A lot of output arrives whole, at a bearable pace.
func TestOutput(t *testing.T) {
	const size = 200 << 20
	dir := t.TempDir()
	cmd := machine(t, dir, nil, "head", "-c", fmt.Sprint(size), "/dev/zero")
	h := sha256.New()
	var n counter
	cmd.Stdout = io.MultiWriter(h, &n)
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	r := read(t, dir)
	if n != size || *r.Artifacts.StdoutBytes != size || *r.Artifacts.StdoutHash != hex.EncodeToString(h.Sum(nil)) {
		t.Errorf("%d bytes, receipt %d", n, *r.Artifacts.StdoutBytes)
	}
	complete(t, r)
	t.Logf("%d MiB, the command took %d ms, the whole run %v", size>>20, r.DurationMS, time.Since(begin))
}

// A reader that goes away ends the command as a broken pipe does, and is no failure.
func TestReaderGone(t *testing.T) {
	dir := t.TempDir()
	cmd := machine(t, dir, nil, "sh", "-c", "yes; echo $? >&2")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	_ = out.Close()
	if err := cmd.Wait(); err != nil || stderr.String() != "141\n" {
		t.Errorf("%v, %q", err, stderr.String())
	}
	complete(t, read(t, dir))
}

type counter uint64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

func TestTerminal(t *testing.T) {
	dir := t.TempDir()
	cmd := machine(t, dir, nil, "sh", "-c", `test -t 0 && test -t 1 && test -t 2 && stty size; read line; echo "[$line]"; trap 'echo int; exit 4' INT; echo wait; while :; do sleep 0.1; done`)
	term, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 31, Cols: 97})
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	var all []byte
	until := func(text string) {
		t.Helper()
		buf := make([]byte, 1024)
		for !bytes.Contains(all, []byte(text)) {
			n, err := term.Read(buf)
			all = append(all, buf[:n]...)
			if err != nil {
				t.Fatalf("%v after %q", err, all)
			}
		}
	}
	until("31 97\r\n")
	_, _ = io.WriteString(term, "typed\r")
	until("typed\r\n[typed]\r\n")
	until("wait\r\n")
	_, _ = io.WriteString(term, "\x03")
	until("int\r\n")
	_, _ = io.Copy(io.Discard, term)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 4 {
		t.Errorf("exit code %d after %q", code, all)
	}
	complete(t, read(t, dir))
}

// The demo reads like that of the process backend: each kind of thing that its
// confession has, which comes back with the workspace, is in the receipt.
func TestDemo(t *testing.T) {
	dir := t.TempDir()
	demo, err := os.ReadFile("../../demo/sneaky.py")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sneaky.py"), demo, 0o644); err != nil {
		t.Fatal(err)
	}
	r := run(t, "", []string{"--workspace", dir, "--apply"}, "python3", "sneaky.py", "--confess", "confession.json")
	if r.code != 0 || !r.Execution.VM.Workspace.Applied {
		t.Fatalf("%d, %s, %+v", r.code, r.stderr, r.Execution.VM)
	}
	complete(t, r.Receipt)
	data, err := os.ReadFile(filepath.Join(dir, "confession.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Root                   string
		Written, Deleted, Read []string
		Renamed                []struct{ From, To string }
		Created                []struct{ Path string }
		Children               []struct{ PID int32 }
		Attempts               []struct{ Dst, Protocol, Result string }
		Listens                []struct{ Addr, Protocol string }
	}
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Created {
		c.Written = append(c.Written, m.Path)
	}
	for _, m := range c.Renamed {
		c.Written, c.Deleted = append(c.Written, m.To), append(c.Deleted, m.From)
	}
	same(t, "writes", c.Written, r.Filesystem.Writes)
	same(t, "deletes", c.Deleted, r.Filesystem.Deletes)
	var attempts, told []string
	for _, a := range c.Attempts {
		attempts = append(attempts, a.Dst+" "+a.Protocol+" "+a.Result)
	}
	for _, a := range r.Network.Attempts {
		told = append(told, a.Dst+" "+a.Protocol+" "+a.Result)
	}
	same(t, "attempts", attempts, told)
	var listens, toldListens []string
	for _, l := range c.Listens {
		listens = append(listens, l.Addr+" "+l.Protocol)
	}
	for _, l := range r.Network.Listens {
		toldListens = append(toldListens, l.Addr+" "+l.Protocol)
	}
	same(t, "listens", listens, toldListens)
	for _, path := range c.Read {
		if !slices.Contains(r.Filesystem.Reads, path) {
			t.Errorf("%s was read", path)
		}
	}
	for _, child := range c.Children {
		if !slices.ContainsFunc(r.ProcessTree, func(p receipt.Process) bool { return p.PID == child.PID }) {
			t.Errorf("process %d is not told of", child.PID)
		}
	}
}

// same compares two lists as sets.
func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	want, got = slices.Clone(want), slices.Clone(got)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(slices.Compact(want), slices.Compact(got)); diff != "" {
		t.Errorf("%s (-confessed +receipt):\n%s", what, diff)
	}
}

func TestWorkspace(t *testing.T) {
	const script = `set -e; pwd; cat keep; echo 2 >change; rm gone; mkdir d; echo 3 >d/new; ln -s /etc/passwd link; exit $1`
	files := func(dir string) (list []string) {
		for _, name := range []string{"keep", "change", "gone", "d/new"} {
			if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
				list = append(list, name+"="+strings.TrimSpace(string(b)))
			}
		}
		return list
	}
	for _, c := range []struct {
		name    string
		flags   []string
		code    string
		applied bool
	}{
		{"kept", nil, "0", false},
		{"applied", []string{"--apply"}, "0", true},
		{"failed", []string{"--apply"}, "3", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{"keep", "change", "gone"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("1"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			before := files(dir)
			r := run(t, "", append(c.flags, "--workspace", dir), "sh", "-c", script, "x", c.code)
			if fmt.Sprint(r.code) != c.code || r.stdout != "/workspace\n1" {
				t.Errorf("%d, %q, %q", r.code, r.stdout, r.stderr)
			}
			complete(t, r.Receipt)
			w := r.Execution.VM.Workspace
			if w == nil || !slices.Equal(w.Added, []string{"d", "d/new"}) || !slices.Equal(w.Changed, []string{"change"}) || !slices.Equal(w.Deleted, []string{"gone"}) ||
				len(w.Refused) != 1 || w.Refused[0].Path != "link" || w.Applied != c.applied || (w.Kept == nil) != c.applied {
				t.Errorf("%+v", w)
			}
			want := before
			if c.applied {
				want = []string{"keep=1", "change=2", "d/new=3"}
			}
			if got := files(dir); !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

// Where a workspace is, and what was kept of it, a receipt says for whoever reads it
// elsewhere, too.
func TestWorkspaceHere(t *testing.T) {
	dir := t.TempDir()
	cmd := machine(t, dir, []string{"--workspace", "."}, "sh", "-c", "echo 1 >new")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w := read(t, dir).Execution.VM.Workspace
	if w == nil || w.Path != dir || w.Kept == nil || *w.Kept != filepath.Join(dir, "receipt.workspace.tar") {
		t.Errorf("%+v", w)
	}
}

// What an earlier run kept is not beside the receipt of one that kept nothing.
func TestWorkspaceOld(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "receipt.workspace.tar")
	if err := os.WriteFile(old, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := machine(t, dir, []string{"--workspace", t.TempDir()}, "true").CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v, %q", err, out)
	}
	if w := read(t, dir).Execution.VM.Workspace; w == nil || w.Error != nil || w.Kept != nil {
		t.Errorf("%+v", w)
	}
	if _, err := os.Lstat(old); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// Two machines at once do not get in each other's way.
func TestTwo(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	var cmds []*exec.Cmd
	for i, dir := range dirs {
		cmd := machine(t, dir, nil, "sh", "-c", fmt.Sprintf("echo %d >/tmp/mine; sleep 1; cat /tmp/mine; exit %d", i, 10+i))
		cmd.Stdout = new(bytes.Buffer)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	for i, cmd := range cmds {
		_ = cmd.Wait()
		if out := cmd.Stdout.(*bytes.Buffer).String(); out != fmt.Sprintf("%d\n", i) || cmd.ProcessState.ExitCode() != 10+i {
			t.Errorf("%d: %q, %v", i, out, cmd.ProcessState)
		}
		complete(t, read(t, dirs[i]))
	}
}

// A secret of the command line is in no list of the workspace either, and one in
// what went wrong with it is in none of the words.
func TestWorkspaceSecrets(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gone-hunter2x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	const script = `echo 1 >"$1"; echo 1 >z; ln -s . "link-$1"; rm "gone-$1"`
	r := run(t, "", []string{"--workspace", dir, "--redact", "hunter2*"}, "sh", "-c", script, "x", "hunter2x")
	w := r.Execution.VM.Workspace
	if w == nil || w.Error != nil || len(w.Refused) != 1 {
		t.Fatalf("%+v", w)
	}
	same(t, "added", []string{"[redacted:1]", "z"}, w.Added)
	same(t, "deleted", []string{"gone-[redacted:1]"}, w.Deleted)
	same(t, "refused", []string{"link-[redacted:1]"}, []string{w.Refused[0].Path})
	if text, err := json.Marshal(r.Receipt); err != nil || bytes.Contains(text, []byte("hunter2")) {
		t.Errorf("%v, %s", err, text)
	}
	var pointers []string
	for _, redaction := range r.Redactions {
		pointers = append(pointers, redaction.Places...)
	}
	for _, want := range []string{"/execution/vm/workspace/added/0", "/execution/vm/workspace/deleted/0", "/execution/vm/workspace/refused/0/path"} {
		if !slices.Contains(pointers, want) {
			t.Errorf("%s is not among %q", want, pointers)
		}
	}
}
