package runner_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glasshouse/audit"
	"glasshouse/backend"
	"glasshouse/backend/fake"
	"glasshouse/receipt"
	"glasshouse/receipt/receipttest"
	"glasshouse/runner"
)

// collector is a scripted audit.Collector.
type collector struct {
	attachErr, launchErr, stopErr error
	hooks                         []audit.Hook
	alive                         [][]audit.ProcessID // one answer a call; the last one stays

	log *[]string // shared with the backend's hooks, to see the order of both
	mu  sync.Mutex
}

func (c *collector) note(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log != nil {
		*c.log = append(*c.log, call)
	}
}

func (c *collector) Attach(context.Context, audit.Sink) error {
	c.note("Attach")
	return c.attachErr
}

func (c *collector) Launch(start func() error) error {
	c.note("Launch")
	defer c.note("Launched")
	return errors.Join(start(), c.launchErr)
}

func (c *collector) Alive() ([]audit.ProcessID, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.alive) == 0 {
		return nil, nil
	}
	now := c.alive[0]
	if len(c.alive) > 1 {
		c.alive = c.alive[1:]
	}
	return now, nil
}

func (c *collector) Stop(ctx context.Context) (audit.Summary, error) {
	c.note("Stop")
	if err := ctx.Err(); err != nil {
		return audit.Summary{}, err
	}
	return audit.Summary{Mode: "ebpf", Hooks: c.hooks}, c.stopErr
}

func (c *collector) Hooks() []audit.Hook { return c.hooks }

// run is runner.Run, whose receipt has to be valid.
func run(t *testing.T, ctx context.Context, spec runner.Spec) (*receipt.Receipt, error) {
	t.Helper()
	rec, err := runner.Run(ctx, spec)
	if rec != nil {
		valid := *rec
		if valid.Execution.Backend == "fake" { // of which the schema knows nothing
			valid.Execution.Backend = "process"
		}
		receipttest.Validate(t, &valid)
	}
	return rec, err
}

// nobody is a process that cannot exist, so that a kill hits none.
var nobody = audit.ProcessID{PID: 1<<31 - 1, Start: 1}

func TestOrder(t *testing.T) {
	var log []string
	c := &collector{log: &log}
	b := &ordered{Backend: &fake.Backend{Exit: backend.Exit{Code: 3}}, note: c.note}
	rec, err := run(t, context.Background(), runner.Spec{Backend: b, Collector: c, Argv: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Prepare", "Attach", "Launch", "Start", "Launched", "Wait", "Stop", "Cleanup"}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if rec.Outcome.ExitCode != 3 || rec.ExitCode != 3 {
		t.Errorf("exit code %d, legacy %d, want 3", rec.Outcome.ExitCode, rec.ExitCode)
	}
}

// ordered writes the calls of a fake into a log that it shares.
type ordered struct {
	*fake.Backend
	note func(string)
}

func (o *ordered) Prepare(ctx context.Context, c backend.Command) error {
	o.note("Prepare")
	return o.Backend.Prepare(ctx, c)
}
func (o *ordered) Start(ctx context.Context) error {
	o.note("Start")
	return o.Backend.Start(ctx)
}
func (o *ordered) Wait(ctx context.Context) (backend.Exit, error) {
	o.note("Wait")
	return o.Backend.Wait(ctx)
}
func (o *ordered) Cleanup(ctx context.Context) error {
	o.note("Cleanup")
	return errors.Join(o.Backend.Cleanup(ctx), ctx.Err())
}

// TestFailures lets each step fail: the error is in the receipt, what comes
// after is not done, and the clean-up is.
func TestFailures(t *testing.T) {
	boom := errors.New("boom")
	for _, tc := range []struct {
		name  string
		b     *fake.Backend
		calls []string
		code  int
	}{
		{"prepare", &fake.Backend{PrepareErr: boom}, []string{"Prepare", "Cleanup"}, 1},
		{"start", &fake.Backend{StartErr: boom}, []string{"Prepare", "Start", "Cleanup"}, 1},
		{"wait", &fake.Backend{WaitErr: boom}, []string{"Prepare", "Start", "Wait", "Cleanup"}, 1},
		{"wait, and an exit", &fake.Backend{WaitErr: boom, Exit: backend.Exit{Code: 7}}, []string{"Prepare", "Start", "Wait", "Cleanup"}, 7},
		{"cleanup", &fake.Backend{CleanupErr: boom, Exit: backend.Exit{Code: 5}}, []string{"Prepare", "Start", "Wait", "Cleanup"}, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec, err := run(t, context.Background(), runner.Spec{Backend: tc.b, Argv: []string{"x"}})
			if !errors.Is(err, boom) {
				t.Errorf("error %v, want boom", err)
			}
			if rec == nil || rec.Outcome.Error == nil || *rec.Outcome.Error != "boom" {
				t.Fatalf("the receipt does not say boom: %+v", rec)
			}
			if rec.Outcome.ExitCode != tc.code {
				t.Errorf("exit code %d, want %d", rec.Outcome.ExitCode, tc.code)
			}
			if diff := cmp.Diff(tc.calls, tc.b.Calls()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllErrorsAreRecorded(t *testing.T) {
	b := &fake.Backend{StartErr: errors.New("no start"), CleanupErr: errors.New("no\nend")}
	rec, err := run(t, context.Background(), runner.Spec{Backend: b, Argv: []string{"x"}})
	if want := "no start; no; end"; err == nil || err.Error() != want || *rec.Outcome.Error != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestUnavailableCollector(t *testing.T) {
	why := &audit.UnavailableError{Reason: "no right to observe", Hint: "be root"}
	b := &fake.Backend{Exit: backend.Exit{Code: 4, UserTime: 20 * time.Millisecond, SystemTime: 10 * time.Millisecond, MaxRSS: 99}, RootID: 12}
	var told error
	rec, err := run(t, context.Background(), runner.Spec{
		Backend: b, Collector: &collector{attachErr: why}, Argv: []string{"x"},
		Unavailable: func(err error) {
			told = err
			if slices.Contains(b.Calls(), "Start") {
				t.Error("told after the start")
			}
		},
	})
	if err != nil {
		t.Fatalf("not to observe is no failure: %v", err)
	}
	if !errors.Is(told, why) {
		t.Errorf("told %v, want %v", told, why)
	}
	obs := rec.Observation
	if obs.Mode != "none" || obs.Complete || obs.Reason == nil || *obs.Reason != "no right to observe" {
		t.Errorf("observation %+v", obs)
	}
	if rec.Outcome.ExitCode != 4 {
		t.Errorf("exit code %d, want 4", rec.Outcome.ExitCode)
	}
	if rec.Timing.CPUTimeMS != 30 || rec.Resources.CPUTimeMS != 30 || rec.Resources.MaxRSSKB != 99 {
		t.Errorf("what wait(2) told is not in the receipt: %+v %+v", rec.Timing, rec.Resources)
	}
	if rec.ProcessTree == nil || rec.Filesystem.Writes == nil || rec.Network.Attempts == nil || rec.Observation.Hooks == nil {
		t.Error("a list is nil")
	}
}

func TestStrict(t *testing.T) {
	for _, tc := range []struct {
		name string
		c    audit.Collector
		want string
	}{
		{"unavailable", &collector{attachErr: &audit.UnavailableError{Reason: "no right"}}, "no right"},
		{"broken", &collector{attachErr: errors.New("broken")}, "broken"},
		{"a hook short", &collector{hooks: []audit.Hook{{Name: "a", Attached: true}, {Name: "b", Err: "refused"}}}, "not attached: b (refused)"},
		{"no collector", nil, "no collector"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := &fake.Backend{}
			rec, err := run(t, context.Background(), runner.Spec{Backend: b, Collector: tc.c, Argv: []string{"x"}, Strict: true})
			if !errors.Is(err, runner.ErrNotObservable) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want ErrNotObservable with %q", err, tc.want)
			}
			if rec == nil || rec.Outcome.ExitCode != 1 || rec.Outcome.Error == nil {
				t.Errorf("receipt %+v", rec)
			}
			if diff := cmp.Diff([]string{"Prepare", "Cleanup"}, b.Calls()); diff != "" {
				t.Errorf("something was run (-want +got):\n%s", diff)
			}
		})
	}
	b := &fake.Backend{}
	c := &collector{hooks: []audit.Hook{{Name: "a", Attached: true}}}
	if _, err := run(t, context.Background(), runner.Spec{Backend: b, Collector: c, Argv: []string{"x"}, Strict: true}); err != nil {
		t.Errorf("all attached, and yet: %v", err)
	}
	if !slices.Contains(b.Calls(), "Wait") {
		t.Error("all attached, and yet nothing was run")
	}
}

func TestTimeout(t *testing.T) {
	b := &fake.Backend{Block: true}
	rec, err := run(t, context.Background(), runner.Spec{
		Backend: b, Collector: &collector{}, Argv: []string{"x"}, Timeout: 20 * time.Millisecond,
	})
	var timeout *runner.TimeoutError
	if !errors.As(err, &timeout) || *rec.Outcome.Error != "timed out after 20ms" {
		t.Errorf("error %v", err)
	}
	if rec.Outcome.ExitCode != 137 || rec.Outcome.Signal == nil || *rec.Outcome.Signal != "SIGKILL" {
		t.Errorf("outcome %+v", rec.Outcome)
	}
}

// Where nothing is observed the number of processes alone tells a command that
// failed from one that never was.
func TestUnobservedRan(t *testing.T) {
	hanging := func() backend.Backend { return &fake.Backend{Block: true, RootID: 7} }
	failing := func() backend.Backend { return &fake.Backend{StartErr: errors.New("boom")} }
	for name, c := range map[string]struct {
		b    backend.Backend
		want int
	}{
		"started":                {hanging(), 1},
		"started, no number":     {struct{ backend.Backend }{hanging()}, 1},
		"not started":            {failing(), 0},
		"not started, no number": {struct{ backend.Backend }{failing()}, 0},
	} {
		rec, err := run(t, t.Context(), runner.Spec{Argv: []string{"x"}, Backend: c.b, Timeout: time.Millisecond})
		if err == nil || rec.Observation.Mode != "none" || rec.Resources.Processes != c.want {
			t.Errorf("%s: %v, mode %s, %d processes, want %d", name, err, rec.Observation.Mode, rec.Resources.Processes, c.want)
		}
	}
}

func TestCancelled(t *testing.T) {
	var log []string
	c := &collector{log: &log}
	ctx, cancel := context.WithCancelCause(context.Background())
	f := &fake.Backend{Block: true, Waiting: func() { cancel(errors.New("enough")) }}
	rec, err := run(t, ctx, runner.Spec{Backend: &ordered{f, c.note}, Collector: c, Argv: []string{"x"}})
	// The fake's Stop and Cleanup fail if their context is done.
	if err == nil || err.Error() != "enough" {
		t.Errorf("error %v, want enough", err)
	}
	if rec.Outcome.ExitCode != 137 || rec.Observation.Mode != "ebpf" {
		t.Errorf("receipt %+v %+v", rec.Outcome, rec.Observation)
	}
	if got := log[len(log)-2:]; !slices.Equal(got, []string{"Stop", "Cleanup"}) {
		t.Errorf("the end is %v", got)
	}

	before := &fake.Backend{}
	rec, err = run(t, ctx, runner.Spec{Backend: before, Argv: []string{"x"}})
	if err == nil || rec.Outcome.Error == nil || rec.Outcome.ExitCode != 1 {
		t.Errorf("cancelled before the start: %v %+v", err, rec.Outcome)
	}
	if calls := before.Calls(); slices.Contains(calls, "Start") || !slices.Contains(calls, "Cleanup") {
		t.Errorf("cancelled before the start: %v", calls)
	}
}

// TestLaunchError has the collector fail beside a command that runs.
func TestLaunchError(t *testing.T) {
	b := &fake.Backend{Exit: backend.Exit{Code: 6}}
	rec, err := run(t, context.Background(), runner.Spec{
		Backend: b, Collector: &collector{launchErr: errors.New("no mark")}, Argv: []string{"x"},
	})
	if err == nil || rec.Outcome.ExitCode != 6 || !slices.Contains(b.Calls(), "Wait") {
		t.Errorf("%v, %+v, %v", err, rec.Outcome, b.Calls())
	}
}

func TestWaitTree(t *testing.T) {
	some := []audit.ProcessID{nobody}
	b := &fake.Backend{}
	c := &collector{alive: [][]audit.ProcessID{some, some, some, nil}}
	if _, err := run(t, context.Background(), runner.Spec{Backend: b, Collector: c, Argv: []string{"x"}, WaitTree: true}); err != nil {
		t.Fatal(err)
	}
	if len(c.alive) != 1 {
		t.Errorf("it did not wait: %d answers left", len(c.alive))
	}
	if slices.Contains(b.Calls(), "KillTree") {
		t.Error("a tree that ended by itself was killed")
	}
}

func TestWaitTreeTimeout(t *testing.T) {
	b := &fake.Backend{Exit: backend.Exit{Code: 0, MaxRSS: 1}}
	c := &collector{alive: [][]audit.ProcessID{{nobody}}}
	rec, err := run(t, context.Background(), runner.Spec{
		Backend: b, Collector: c, Argv: []string{"x"}, WaitTree: true, Timeout: 20 * time.Millisecond,
	})
	var timeout *runner.TimeoutError
	if !errors.As(err, &timeout) || rec.Outcome.ExitCode != 0 {
		t.Errorf("%v, %+v", err, rec.Outcome)
	}
	if !slices.Contains(b.Calls(), "KillTree") {
		t.Error("the tree was not killed")
	}
}

func TestWaitTreeWithoutMeans(t *testing.T) {
	rec, err := run(t, context.Background(), runner.Spec{Backend: &fake.Backend{}, Argv: []string{"x"}, WaitTree: true})
	if err != nil {
		t.Fatal(err)
	}
	if !hasGap(rec, "wait_tree") {
		t.Errorf("gaps %+v do not say that only the root was waited for", rec.Observation.Gaps)
	}
}

// TestWaitTreeOfCgroup has no collector: the cgroup knows.
func TestWaitTreeOfCgroup(t *testing.T) {
	dir := t.TempDir()
	set := func(text string) {
		// In one step, as the kernel does it: a reader sees one or the other.
		if err := os.WriteFile(dir+"/new", []byte(text), 0o644); err != nil {
			t.Error(err)
		}
		if err := os.Rename(dir+"/new", dir+"/cgroup.events"); err != nil {
			t.Error(err)
		}
	}
	set("populated 1\nfrozen 0\n")
	ended := make(chan time.Time, 1)
	time.AfterFunc(30*time.Millisecond, func() { ended <- time.Now(); set("populated 0\nfrozen 0\n") })
	b := grouped{&fake.Backend{}, dir}
	rec, err := run(t, context.Background(), runner.Spec{Backend: b, Argv: []string{"x"}, WaitTree: true})
	if err != nil || hasGap(rec, "wait_tree") {
		t.Fatalf("%v, %+v", err, rec.Observation.Gaps)
	}
	if rec.Timing.EndedAt.Before((<-ended).Round(0)) {
		t.Error("it did not wait for the group")
	}
}

// TestEndOfRoot: a command has not taken as long as somebody held its output.
func TestEndOfRoot(t *testing.T) {
	b := held{Backend: &fake.Backend{}}
	rec, err := run(t, context.Background(), runner.Spec{Backend: &b, Argv: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	if !rec.Timing.EndedAt.Equal(b.ended.Round(0)) || rec.Timing.DurationMS >= 100 {
		t.Errorf("%+v, the root ended at %s", rec.Timing, b.ended)
	}
}

// held is a backend whose Wait takes longer than the root.
type held struct {
	*fake.Backend
	ended time.Time
}

func (h *held) Wait(ctx context.Context) (backend.Exit, error) {
	h.ended = time.Now()
	time.Sleep(100 * time.Millisecond)
	return h.Backend.Wait(ctx)
}

func (h *held) RootEnded() time.Time { return h.ended }

type grouped struct {
	*fake.Backend
	dir string
}

func (g grouped) Cgroup() string     { return g.dir }
func (g grouped) CgroupError() error { return nil }

func TestKillSurvivors(t *testing.T) {
	b := &fake.Backend{}
	c := &collector{alive: [][]audit.ProcessID{{nobody}, {nobody}, {nobody}, nil}}
	rec, err := run(t, context.Background(), runner.Spec{Backend: b, Collector: c, Argv: []string{"x"}, KillSurvivors: true})
	if err != nil {
		t.Fatal(err)
	}
	// A SIGKILL in the receipt is not the command's own doing. Who is not root has
	// another gap for that.
	var killed uint64
	for _, g := range rec.Observation.Gaps {
		if g.Kind == "killed" {
			killed += g.Count
		}
	}
	if killed != 1 {
		t.Errorf("gaps %+v", rec.Observation.Gaps)
	}
	want := []string{"Prepare", "Start", "Wait", "KillTree", "Cleanup"}
	if diff := cmp.Diff(want, b.Calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if len(c.alive) != 1 {
		t.Error("it did not wait for the exits")
	}
}

// TestKillFails leaves survivors behind: the failure is no secret.
func TestKillFails(t *testing.T) {
	b := &fake.Backend{KillErr: errors.New("cannot kill")}
	rec, err := run(t, context.Background(), runner.Spec{Backend: b, Argv: []string{"x"}, KillSurvivors: true})
	if err == nil || *rec.Outcome.Error != "cannot kill" {
		t.Errorf("got %v", err)
	}
}

func TestStreams(t *testing.T) {
	var out, errs bytes.Buffer
	b := &fake.Backend{Stdout: []byte("hello\n"), Stderr: []byte("oh\n")}
	rec, err := run(t, context.Background(), runner.Spec{
		Backend: b, Argv: []string{"x"}, Stdin: strings.NewReader("in"), Stdout: &out, Stderr: &errs,
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != "hello\n" || errs.String() != "oh\n" {
		t.Errorf("passed on %q and %q", out.String(), errs.String())
	}
	if in, _ := io.ReadAll(b.Command().Stdin); string(in) != "in" {
		t.Errorf("stdin %q", in)
	}
	a := rec.Artifacts
	for _, s := range []struct {
		text string
		hash *string
		n    *uint64
	}{{"hello\n", a.StdoutHash, a.StdoutBytes}, {"oh\n", a.StderrHash, a.StderrBytes}} {
		sum := sha256.Sum256([]byte(s.text))
		if s.hash == nil || *s.hash != hex.EncodeToString(sum[:]) || s.n == nil || *s.n != uint64(len(s.text)) {
			t.Errorf("%q: hash %v, bytes %v", s.text, s.hash, s.n)
		}
	}
}

func TestMetadata(t *testing.T) {
	b := &fake.Backend{Meta: backend.Metadata{Backend: "firecracker", Isolation: "vm"}, RootID: 77}
	before := time.Now()
	rec, err := run(t, context.Background(), runner.Spec{
		Backend: b, Argv: []string{"python3", "-c", "1"}, Dir: "/", Version: "v9", Provenance: "guest",
		User: &backend.User{UID: 7, GID: 8, Name: "lp"},
		Gaps: []receipt.Gap{{Kind: "k", Detail: "d", Count: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	execution := receipt.Execution{Backend: "firecracker", Isolation: "vm", Provenance: "guest", Guest: []receipt.Duty{}}
	if diff := cmp.Diff(execution, rec.Execution); diff != "" {
		t.Errorf("execution (-want +got):\n%s", diff)
	}
	want := receipt.Command{Argv: []string{"python3", "-c", "1"}, WorkingDir: "/", UID: 7, GID: 8, User: "lp"}
	if diff := cmp.Diff(want, rec.Command); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
	if rec.ReceiptVersion != receipt.Version || rec.Environment.GlasshouseVersion != "v9" || rec.Environment.Kernel == "" {
		t.Errorf("environment %+v", rec.Environment)
	}
	if rec.ExecutionID != receipt.ExecutionID(rec.Timestamp.Time, 77, rec.Command.Argv) {
		t.Error("the execution id cannot be computed again from the receipt")
	}
	if rec.Timestamp.Before(before.Round(0)) || rec.Timing.EndedAt.Before(rec.Timing.StartedAt.Time) {
		t.Errorf("times %v, %+v", rec.Timestamp, rec.Timing)
	}
	if !hasGap(rec, "k") {
		t.Error("the caller's gap is lost")
	}
	if c := b.Command(); c.Dir != "/" || c.User.UID != 7 {
		t.Errorf("the backend got %+v", c)
	}
}

func TestNothingToRun(t *testing.T) {
	for _, argv := range [][]string{nil, {""}} {
		if rec, err := run(t, context.Background(), runner.Spec{Backend: &fake.Backend{}, Argv: argv}); err == nil || rec != nil {
			t.Errorf("%q: %v, %v", argv, rec, err)
		}
	}
}

// TestSignals has no terminal to ask: what is decided for one is in
// signals_test.go. SIGTERM is passed on in any case, each time.
func TestSignals(t *testing.T) {
	signals := make(chan os.Signal, 2)
	b := &fake.Backend{Block: true, Waiting: func() {
		signals <- syscall.SIGTERM
		signals <- syscall.SIGTERM
	}}
	go func() {
		for deadline := time.Now().Add(5 * time.Second); len(b.Signals()) < 2 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		_ = b.KillTree()
	}()
	if _, err := run(t, context.Background(), runner.Spec{Backend: b, Argv: []string{"x"}, Signals: signals}); err != nil {
		t.Fatal(err)
	}
	if got := b.Signals(); !slices.Equal(got, []int{15, 15}) {
		t.Errorf("the command got %v", got)
	}
}

func TestSignalBeforeStart(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGINT
	b := &fake.Backend{}
	rec, err := run(t, context.Background(), runner.Spec{Backend: b, Argv: []string{"x"}, Signals: signals})
	if err == nil || rec.Outcome.ExitCode != 130 || slices.Contains(b.Calls(), "Start") {
		t.Errorf("%v, %+v, %v", err, rec.Outcome, b.Calls())
	}
}

func TestSignalEndsWaitingForTheTree(t *testing.T) {
	signals := make(chan os.Signal, 1)
	c := &collector{alive: [][]audit.ProcessID{{nobody}}}
	time.AfterFunc(30*time.Millisecond, func() { signals <- syscall.SIGINT })
	b := &fake.Backend{}
	rec, err := run(t, context.Background(), runner.Spec{
		Backend: b, Collector: c, Argv: []string{"x"}, Signals: signals, WaitTree: true, Timeout: 20 * time.Second,
	})
	if err != nil || !hasGap(rec, "wait_tree") {
		t.Errorf("%v, %+v", err, rec.Observation.Gaps)
	}
	if rec.Timing.DurationMS > 10_000 {
		t.Error("it went on waiting")
	}
	if slices.Contains(b.Calls(), "KillTree") {
		t.Error("nobody asked to kill")
	}
}

// hurried is a backend that waits for another machine at the end: until it is told
// of a signal.
type hurried struct {
	*fake.Backend
	signals chan os.Signal
	told    chan string
}

func (h *hurried) Hurry(signal string) { h.told <- signal }

func (h *hurried) Cleanup(ctx context.Context) error {
	h.signals <- syscall.SIGINT
	select {
	case sig := <-h.told:
		return errors.New("told of " + sig)
	case <-time.After(5 * time.Second):
		return errors.New("told of nothing")
	}
}

func TestLateSignal(t *testing.T) {
	b := &hurried{&fake.Backend{}, make(chan os.Signal, 1), make(chan string, 1)}
	_, err := run(t, context.Background(), runner.Spec{Backend: b, Argv: []string{"x"}, Signals: b.signals})
	if err == nil || err.Error() != "told of SIGINT" {
		t.Error(err)
	}
}

func hasGap(rec *receipt.Receipt, kind string) bool {
	return slices.ContainsFunc(rec.Observation.Gaps, func(g receipt.Gap) bool { return g.Kind == kind })
}
