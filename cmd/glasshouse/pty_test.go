//go:build linux

package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"glasshouse/receipt"
	"glasshouse/receipt/receipttest"
)

// limit is how long anything may take on a busy machine.
const limit = 20 * time.Second

// session is a program that leads a session on a terminal of its own.
type session struct {
	t   *testing.T
	cmd *exec.Cmd
	tty *os.File // the master's side
	dir string

	mu      sync.Mutex
	out     bytes.Buffer
	drained chan struct{}
}

// onTerminal starts a program, in an empty folder.
func onTerminal(t *testing.T, name string, args ...string) *session {
	t.Helper()
	s := &session{t: t, cmd: exec.Command(name, args...), dir: t.TempDir(), drained: make(chan struct{})}
	s.cmd.Dir = s.dir
	s.cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), "TERM=dumb", "PS1=")
	tty, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 33, Cols: 77})
	if err != nil {
		t.Fatal(err)
	}
	s.tty = pollable(t, tty)
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		s.tty.Close() // hangs up on what is left
	})
	go func() {
		defer close(s.drained)
		buf := make([]byte, 4096)
		for {
			n, err := s.tty.Read(buf)
			s.mu.Lock()
			s.out.Write(buf[:n])
			s.mu.Unlock()
			if err != nil { // EIO once nobody has the other side open
				return
			}
		}
	}()
	return s
}

// pollable makes a file whose Close does not wait for a Read that has begun,
// and so hangs up at once.
func pollable(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

func (s *session) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(s.out.String(), "\r\n", "\n")
}

// until waits for output, and returns what the pattern's groups matched.
func (s *session) until(pattern string) []string {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	var found []string
	eventually(s.t, pattern+" on the terminal", func() bool {
		found = re.FindStringSubmatch(s.output())
		return found != nil
	}, s.output)
	return found
}

func (s *session) send(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.tty, keys); err != nil {
		s.t.Fatal(err)
	}
}

// end waits for the program and checks its exit code.
func (s *session) end(want int) {
	s.t.Helper()
	timer := time.AfterFunc(limit, func() { _ = s.cmd.Process.Kill() })
	defer timer.Stop()
	got := exitCode(s.t, s.cmd.Wait())
	select {
	case <-s.drained:
	case <-time.After(limit):
		s.t.Fatalf("somebody still has the terminal; output:\n%s", s.output())
	}
	if got != want {
		s.t.Fatalf("exit code %d, want %d; output:\n%s", got, want, s.output())
	}
}

func (s *session) receipt() *receipt.Receipt {
	s.t.Helper()
	return readReceipt(s.t, filepath.Join(s.dir, "receipt.json"))
}

func readReceipt(t *testing.T, path string) *receipt.Receipt {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := receipttest.Check(data); err != nil {
		t.Fatal(err)
	}
	rec := &receipt.Receipt{}
	if err := json.Unmarshal(data, rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.Fatal(err)
	return -1
}

func eventually(t *testing.T, what string, ok func() bool, state func() string) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > limit {
			t.Fatalf("%s: did not happen; now: %s", what, state())
		}
	}
}

// counter counts the interrupts that it gets within half a second of the
// first, and exits with 7. A shell would fold two into one.
const counter = `$| = 1; $SIG{INT} = sub { $n++ }; print "ready $$\n";
	select(undef, undef, undef, 0.05) until $n;
	my $end = time + 1; select(undef, undef, undef, 0.05) until time > $end;
	print "interrupts $n\n"; exit 7`

func TestCtrlCReachesTheCommandOnce(t *testing.T) {
	t.Parallel()
	s := onTerminal(t, binary, "run", "--", "perl", "-e", counter)
	s.until(`ready \d+`)
	s.send("\x03")
	s.until(`interrupts 1\n`)
	s.end(7)
	rec := s.receipt()
	if rec.Outcome.ExitCode != 7 || rec.Outcome.Signal != nil || rec.Outcome.Error != nil {
		t.Errorf("outcome %+v", rec.Outcome)
	}
	if !strings.Contains(s.output(), "exit code 7 after") {
		t.Errorf("no summary:\n%s", s.output())
	}
}

// An interrupt that somebody sends to the recorder alone, off any terminal,
// is passed on.
func TestInterruptWithoutTerminal(t *testing.T) {
	t.Parallel()
	p := offTerminal(t, "perl", "-e", counter)
	p.until("ready")
	p.signal(syscall.SIGINT)
	p.end(7)
	if !strings.Contains(p.output(), "interrupts 1\n") {
		t.Errorf("output %q", p.output())
	}
}

func TestCtrlCEndsTheCommand(t *testing.T) {
	t.Parallel()
	s := onTerminal(t, binary, "run", "--", "sh", "-c", "echo ready; exec sleep 1000")
	s.until("ready")
	s.send("\x03")
	s.end(130)
	rec := s.receipt()
	if rec.Outcome.ExitCode != 130 || rec.Outcome.Signal == nil || *rec.Outcome.Signal != "SIGINT" {
		t.Errorf("outcome %+v", rec.Outcome)
	}
}

// Ctrl-Z stops the whole job, as a shell with job control sees it, and fg
// brings it back.
func TestCtrlZStopsTheJob(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("bash"); errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	s := onTerminal(t, "bash", "--norc", "-c", `set -m
		glasshouse run -- sh -c 'echo "pids $PPID $$"; read line; echo "got $line"; exit 7'
		echo "stopped $?"
		read go
		fg >/dev/null
		echo "code $?"`)
	pids := s.until(`pids (\d+) (\d+)\n`)[1:]
	// A traced process that is stopped is t.
	states := func() string { return strings.ToUpper(state(t, pids[0]) + state(t, pids[1])) }
	s.send("\x1a")
	s.until(`stopped 148\n`) // 128 + SIGTSTP
	eventually(t, "both stopped", func() bool { return states() == "TT" }, states)
	s.send("go\n")
	eventually(t, "both resumed", func() bool { return states() == "SS" }, states)
	s.send("on\n")
	s.until(`got on\n`)
	s.until(`code 7\n`)
	s.end(0)
	if rec := s.receipt(); rec.Outcome.ExitCode != 7 {
		t.Errorf("outcome %+v", rec.Outcome)
	}
}

// state is a process's, as one letter.
func state(t *testing.T, pid string) string {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')'):]), " ")
	return rest[:1]
}

func TestTerminalIsInherited(t *testing.T) {
	t.Parallel()
	s := onTerminal(t, binary, "run", "--", "sh", "-c", `
		test -t 0 && test -t 1 && test -t 2 && echo terminals
		stty size
		trap 'stty size; exit 3' WINCH
		echo ready; while :; do sleep 0.05; done`)
	s.until(`terminals\n33 77\nready\n`)
	if err := pty.Setsize(s.tty, &pty.Winsize{Rows: 44, Cols: 88}); err != nil {
		t.Fatal(err)
	}
	s.until(`44 88\n`)
	s.end(3)
	if a := s.receipt().Artifacts; a != (receipt.Artifacts{}) {
		t.Errorf("artifacts of a terminal: %+v", a)
	}
}

// Only the streams that are no terminal are copied and hashed.
func TestOneStreamIsATerminal(t *testing.T) {
	t.Parallel()
	s := onTerminal(t, "sh", "-c", "glasshouse run -q -- sh -c 'test -t 2 && ! test -t 1 && echo out && echo err >&2' >out")
	s.until(`err\n`)
	s.end(0)
	a := s.receipt().Artifacts
	if a.StdoutHash == nil || *a.StdoutBytes != 4 || a.StderrHash != nil || a.StderrBytes != nil {
		t.Errorf("artifacts %+v", a)
	}
}

func TestQuitAndHangup(t *testing.T) {
	t.Parallel()
	s := onTerminal(t, binary, "run", "-q", "--", "sh", "-c", "ulimit -c 0; echo ready; exec sleep 1000")
	s.until("ready")
	s.send("\x1c")
	s.end(131)
	if rec := s.receipt(); rec.Outcome.Signal == nil || *rec.Outcome.Signal != "SIGQUIT" {
		t.Errorf("outcome %+v", rec.Outcome)
	}

	// The terminal goes away: the leader of the session alone is told, passes
	// it on, and still writes the receipt.
	s = onTerminal(t, binary, "run", "-q", "--", "sh", "-c", "trap 'exit 5' HUP; echo ready; while :; do sleep 0.05; done")
	s.until("ready")
	s.tty.Close()
	s.end(5)
	if rec := s.receipt(); rec.Outcome.ExitCode != 5 {
		t.Errorf("outcome %+v", rec.Outcome)
	}
}

// process is a recorder in a session without a terminal.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	dir string
}

func offTerminal(t *testing.T, argv ...string) *process {
	t.Helper()
	p := &process{t: t, dir: t.TempDir()}
	p.cmd = exec.Command(binary, append([]string{"run", "--"}, argv...)...)
	p.cmd.Dir = p.dir
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p *process) output() string {
	data, err := os.ReadFile(p.cmd.Stdout.(*os.File).Name())
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

func (p *process) until(text string) {
	p.t.Helper()
	eventually(p.t, text, func() bool { return strings.Contains(p.output(), text) }, p.output)
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) end(want int) {
	p.t.Helper()
	timer := time.AfterFunc(limit, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	if got := exitCode(p.t, p.cmd.Wait()); got != want {
		p.t.Fatalf("exit code %d, want %d; output:\n%s", got, want, p.output())
	}
}

func TestTerminationIsForwarded(t *testing.T) {
	t.Parallel()
	p := offTerminal(t, "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done")
	p.until("ready")
	p.signal(syscall.SIGTERM)
	p.end(9)
	if rec := readReceipt(t, filepath.Join(p.dir, "receipt.json")); rec.Outcome.ExitCode != 9 {
		t.Errorf("outcome %+v", rec.Outcome)
	}

	p = offTerminal(t, "sh", "-c", "echo ready; exec sleep 1000")
	p.until("ready")
	p.signal(syscall.SIGTERM)
	p.end(143)
	rec := readReceipt(t, filepath.Join(p.dir, "receipt.json"))
	if rec.Outcome.Signal == nil || *rec.Outcome.Signal != "SIGTERM" {
		t.Errorf("outcome %+v", rec.Outcome)
	}
}

// A command inherits the signals that are blocked and ignored as it would
// without the recorder: nohup's SIGHUP, and the SIGINT that a shell without job
// control has background jobs ignore. Others that are ignored a Go program
// cannot hand on.
func TestInheritedSignals(t *testing.T) {
	t.Parallel()
	wanted := []string{"SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:"}
	lines := func(command string) []string {
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) == 2 && slices.Contains(wanted, f[0]) {
				found = append(found, line)
			}
		}
		if len(found) != len(wanted) {
			t.Fatalf("found %q", found)
		}
		return found
	}
	for _, before := range []string{"", "trap '' HUP; ", "trap '' INT; ", "trap '' HUP INT; "} {
		bare := lines(before + "exec cat /proc/self/status")
		recorded := lines(before + "exec glasshouse run -q -- cat /proc/self/status")
		if !slices.Equal(bare, recorded) {
			t.Errorf("%s: bare %q, recorded %q", before, bare, recorded)
		}
		// Others may be ignored in the test itself, by whoever started it.
		var ignored uint64
		if _, err := fmt.Sscanf(bare[3], "SigIgn: %x", &ignored); err != nil {
			t.Fatal(err)
		}
		if before == "trap '' HUP; " && ignored&1 == 0 {
			t.Errorf("the test ignores nothing: %q", bare[3])
		}
	}
}

// The command shares the recorder's process group and session.
func TestProcessGroup(t *testing.T) {
	t.Parallel()
	s := onTerminal(t, binary, "run", "-q", "--", "sh", "-c", `echo "ids $PPID $(cut -d ' ' -f 5,6,8 /proc/$$/stat)"`)
	ids := s.until(`ids (\d+) (\d+) (\d+) (\d+)\n`)[1:]
	s.end(0)
	for _, id := range ids[1:] {
		if id != ids[0] {
			t.Errorf("recorder %s; group, session and foreground of the command %v", ids[0], ids[1:])
			break
		}
	}
}

// A terminal gets as many receipts as somebody looks through, and is told
// that there are more; -n and pipes get what they ask for.
func TestLogOnTerminal(t *testing.T) {
	t.Parallel()
	s := onTerminal(t, "sh", "-c", `
		export XDG_STATE_HOME=$PWD/state
		glasshouse run -q -o r.json -- true only
		for n in $(seq 101 201); do cp r.json "state/glasshouse/receipts/20260102-030405-00000$n.json"; done
		glasshouse log; echo first; glasshouse log -n 101; echo second; glasshouse log | grep -c only; glasshouse log -n 0`)
	s.end(0)
	more := "glasshouse: there are more than these 100: -n 0 lists all\n"
	first, rest, _ := strings.Cut(s.output(), "first\n")
	second, rest, _ := strings.Cut(rest, "second\n")
	piped, all, _ := strings.Cut(rest, "\n")
	if strings.Count(first, "true only") != 100 || !strings.HasSuffix(first, more) {
		t.Errorf("a terminal got %d lines: %s", strings.Count(first, "\n"), first)
	}
	if strings.Count(second, "\n") != 101 || strings.Count(second, "true only") != 101 {
		t.Errorf("-n 101 listed %d lines", strings.Count(second, "\n"))
	}
	if piped != "102" || strings.Count(all, "\n") != 102 || strings.Contains(all, more) {
		t.Errorf("a pipe got %s lines, -n 0 listed %d", piped, strings.Count(all, "\n"))
	}
}
