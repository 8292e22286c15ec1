//go:build unix

package runner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"glasshouse/audit"
	"glasshouse/backend"
	"glasshouse/backend/fake"
	"glasshouse/internal/procfs"
	"glasshouse/journal"
	"glasshouse/receipt"
	"glasshouse/receipt/receipttest"
	"glasshouse/runner"
)

const layout = "test"

// The types of records, as event.h numbers them.
const (
	fork = 1
	exit = 5
)

// record is a record of the ring. The bodies that are used here fit.
func record[T any](kind uint8, seq uint64, by audit.ProcessID, body T) []byte {
	h := audit.WireHead{Type: kind, Seq: seq, Time: 1000 + seq, PID: uint32(by.PID), Start: by.Start}
	*(*T)(unsafe.Pointer(&h.Body)) = body
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&h)), unsafe.Sizeof(h)))
}

// written is what write has put into a journal, in a state folder of its own.
func written(t testing.TB, open journal.Open, write func(*journal.Writer)) []byte {
	t.Helper()
	state := memoryDir(t)
	w := journal.New(journal.Options{State: state})
	if open.Receipt == nil {
		open.Receipt = draft(t)
	}
	if err := w.Open(open); err != nil {
		t.Fatal(err)
	}
	if err := w.Synced(); err != nil {
		t.Fatal(err)
	}
	if write != nil {
		write(w)
	}
	w.Append(journal.KindSums+1000, nil) // writes what was gathered
	data, err := os.ReadFile(filepath.Join(state, "runs", w.Run()+".journal"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Remove(); err != nil {
		t.Fatal(err)
	}
	return data
}

// memoryDir is where a sync costs nothing, if the machine has such a place.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "glasshouse-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func draft(t testing.TB) []byte {
	t.Helper()
	rec := receipttest.New()
	rec.Command = receipt.Command{Argv: []string{"cmd", "arg"}, UID: 5}
	rec.Observation.Gaps = []receipt.Gap{{Kind: "k", Detail: "d", Count: 1}}
	data, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func recovered(t *testing.T, data []byte) *receipt.Receipt {
	t.Helper()
	rec, err := runner.Recover(bytes.NewReader(data), layout, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Observation.Complete || rec.Observation.Reason == nil || strings.Contains(*rec.Observation.Reason, "\n") || rec.Command.Argv[1] != "arg" || !hasGap(rec, "k") {
		t.Errorf("%+v, %+v", rec.Observation, rec.Command)
	}
	receipttest.Validate(t, rec)
	if _, err := receipt.Read(bytes.NewReader(encoded(t, rec))); err != nil {
		t.Error(err)
	}
	return rec
}

func encoded(t *testing.T, rec *receipt.Receipt) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := receipt.Encode(&b, rec); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var (
	self  = audit.ProcessID{PID: int32(os.Getpid()), Start: 1}
	child = audit.ProcessID{PID: 1<<30 + 1, Start: 11}
	other = audit.ProcessID{PID: 1<<30 + 2, Start: 12}
)

func forkOf(seq uint64, by, child audit.ProcessID) []byte {
	return record(fork, seq, by, audit.WireFork{Start: child.Start, PID: uint32(child.PID), UID: 5})
}

func exitOf(seq uint64, by audit.ProcessID, status int32) []byte {
	return record(exit, seq, by, audit.WireExit{Status: status})
}

// How the command ended, by what the journal has of it.
func TestRecoverOutcome(t *testing.T) {
	at := time.Now()
	starting := func(w *journal.Writer) { w.Append(journal.KindStarting, journal.Starting{Mode: "ebpf"}) }
	started := func(w *journal.Writer) {
		starting(w)
		w.Append(journal.KindStarted, journal.Started{At: at, PID: int(child.PID)})
	}
	for name, c := range map[string]struct {
		write  func(*journal.Writer)
		code   int
		signal string
		err    string
	}{
		"before the start": {nil, 1, "", "the recorder was gone before it started the command"},
		"at the start":     {starting, 1, "", "whether the command was started is not known: the recorder was gone at that moment"},
		"not started": {func(w *journal.Writer) {
			starting(w)
			w.Append(journal.KindStarted, journal.Started{At: at, Error: "no such file"})
		}, 1, "", "no such file"},
		"still running": {func(w *journal.Writer) {
			started(w)
			w.Record(forkOf(0, self, child))
		}, 1, "", "how the command ended is not known: the recorder was gone before"},
		"exited": {func(w *journal.Writer) {
			started(w)
			w.Record(forkOf(0, self, child))
			w.Record(forkOf(1, child, other))
			w.Record(exitOf(2, other, 9<<8))
			w.Record(exitOf(3, child, 4<<8))
		}, 4, "", ""},
		"killed": {func(w *journal.Writer) {
			started(w)
			w.Record(forkOf(0, self, child))
			w.Record(exitOf(1, child, 36))
		}, 128 + 36, "SIGRTMIN+2", ""},
		"waited for": {func(w *journal.Writer) {
			started(w)
			w.Append(journal.KindExited, journal.Exited{At: at.Add(time.Second), Code: 143, Signal: "SIGTERM", Error: "timed out"})
		}, 143, "SIGTERM", "timed out"},
		"waited for, as nothing ends": {func(w *journal.Writer) {
			started(w)
			w.Append(journal.KindExited, journal.Exited{At: at, Code: 256})
		}, 1, "", "the journal has 256 for the command's exit code, which no command can have"},
	} {
		rec := recovered(t, written(t, journal.Open{Layout: layout}, c.write))
		o := rec.Outcome
		signal, text := "", ""
		if o.Signal != nil {
			signal = *o.Signal
		}
		if o.Error != nil {
			text = *o.Error
		}
		if o.ExitCode != c.code || rec.ExitCode != c.code || signal != c.signal || text != c.err {
			t.Errorf("%s: %d, %q, %q", name, o.ExitCode, signal, text)
		}
		if rec.Timing.EndedAt.Before(rec.Timing.StartedAt.Time) || rec.ExecutionID == "" {
			t.Errorf("%s: %+v", name, rec.Timing)
		}
		if name == "waited for" && (rec.Timing.DurationMS != 1000 || rec.ExecutionID != receipt.ExecutionID(at, int(child.PID), rec.Command.Argv)) {
			t.Errorf("%+v, id %s", rec.Timing, rec.ExecutionID)
		}
		if hasGap(rec, "unobserved") != (name != "before the start" && name != "not started") {
			t.Errorf("%s: %+v", name, rec.Observation.Gaps)
		}
	}
}

// The books: what was seen, what the counters said, what is missing.
func TestRecoverBooks(t *testing.T) {
	write := func(sums *journal.Sums, records ...[]byte) []byte {
		return written(t, journal.Open{Layout: layout}, func(w *journal.Writer) {
			w.Append(journal.KindStarting, journal.Starting{Mode: "ebpf", Hooks: []journal.Hook{{Name: "h", Attached: true}}})
			for _, r := range records {
				w.Record(r)
			}
			if sums != nil {
				w.Append(journal.KindSums, *sums)
			}
		})
	}
	for name, c := range map[string]struct {
		data              []byte
		emitted, received uint64
		lost              map[string]uint64
	}{
		"all there": {write(nil, forkOf(0, self, child), exitOf(1, child, 0)), 2, 2, map[string]uint64{}},
		"a hole":    {write(nil, forkOf(0, self, child), exitOf(3, child, 0)), 4, 2, map[string]uint64{"unknown": 2}},
		"no record": {write(nil, forkOf(0, self, child), []byte("short")), 2, 1, map[string]uint64{"malformed": 1}},
		"counted":   {write(&journal.Sums{Emitted: 9, Lost: map[string]uint64{"ring_full": 2}}, forkOf(0, self, child), exitOf(3, child, 0)), 9, 2, map[string]uint64{"ring_full": 2, "recorder_gone": 5}},
		"older":     {write(&journal.Sums{Emitted: 1}, forkOf(0, self, child), exitOf(1, child, 0)), 2, 2, map[string]uint64{}},
	} {
		e := recovered(t, c.data).Observation.Events
		if e.Emitted != c.emitted || e.Received != c.received || !mapsEqual(e.Lost, c.lost) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	rec := recovered(t, write(&journal.Sums{
		Emitted: 1, Folded: 3, BytesSent: 4, BytesReceived: 5,
		Syscalls: []journal.Syscall{{Name: "chmod", Count: 6, Denied: true}}, Gaps: []journal.Gap{{Kind: "g", Detail: "d", Count: 7}},
	}, forkOf(0, self, child)))
	if rec.Observation.Events.Folded != 3 || rec.Network.BytesSent != 4 || rec.Network.BytesReceived != 5 ||
		rec.Syscalls.Counts["chmod"] != 6 || !slices.Equal(rec.Syscalls.Denied, []string{"chmod"}) || !hasGap(rec, "g") || len(rec.Observation.Hooks) != 1 {
		t.Errorf("%+v, %+v", rec.Observation, rec.Syscalls)
	}
}

// What was known from the start not to be seen is told, and once: the counters
// tell of the collector's own gaps again.
func TestRecoverGaps(t *testing.T) {
	blind := []journal.Gap{{Kind: "ptrace", Detail: "blind", Count: 1}}
	for name, sums := range map[string]*journal.Sums{
		"no counters yet": nil,
		"counters":        {Emitted: 1, Gaps: append(blind[:1:1], journal.Gap{Kind: "raced", Detail: "mkdir", Count: 2})},
	} {
		rec := recovered(t, written(t, journal.Open{Layout: layout}, func(w *journal.Writer) {
			w.Append(journal.KindStarting, journal.Starting{Mode: "ptrace", Gaps: []journal.Gap{{Kind: "fallback", Detail: "why", Count: 1}}})
			w.Record(forkOf(0, self, child))
			w.Append(journal.KindStarted, journal.Started{PID: 7, Gaps: []journal.Gap{{Kind: "cgroup", Detail: "none", Count: 1}}, Blind: blind})
			if sums != nil {
				w.Append(journal.KindSums, *sums)
			}
		}))
		for _, want := range []receipt.Gap{{Kind: "fallback", Detail: "why", Count: 1}, {Kind: "cgroup", Detail: "none", Count: 1}, {Kind: "ptrace", Detail: "blind", Count: 1}} {
			if n := len(slices.DeleteFunc(slices.Clone(rec.Observation.Gaps), func(g receipt.Gap) bool { return g != want })); n != 1 {
				t.Errorf("%s: %d × %+v in %+v", name, n, want, rec.Observation.Gaps)
			}
		}
		if hasGap(rec, "raced") != (sums != nil) {
			t.Errorf("%s: %+v", name, rec.Observation.Gaps)
		}
	}
}

func mapsEqual(a, b map[string]uint64) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// Why it is not complete, whatever else there is to say.
func TestRecoverReason(t *testing.T) {
	const killed = "the recorder was killed, or crashed, before it wrote a receipt; its journal ends at "
	started := func(w *journal.Writer) { w.Append(journal.KindStarting, journal.Starting{Mode: "ebpf"}) }
	blind := written(t, journal.Open{}, func(w *journal.Writer) {
		w.Append(journal.KindStarting, journal.Starting{Mode: "none", Reason: "no right to"})
	})
	stopped := written(t, journal.Open{Layout: layout}, func(w *journal.Writer) {
		started(w)
		w.Append(journal.KindStopped, journal.Stopped{Reason: "full"})
	})
	whole := written(t, journal.Open{Layout: layout}, started)
	for name, c := range map[string]struct {
		data []byte
		want []string
	}{
		"killed":  {whole, []string{killed}},
		"blind":   {blind, []string{"no right to; " + killed}},
		"stopped": {stopped, []string{killed, "; full, and the run went on"}},
		"torn":    {append(bytes.Clone(whole), 1, 2, 3), []string{killed, "; the journal was cut at byte ", "(it ends within a frame), 3 bytes left out"}},
	} {
		reason := *recovered(t, c.data).Observation.Reason
		for _, want := range c.want {
			if !strings.Contains(reason, want) {
				t.Errorf("%s: %s", name, reason)
			}
		}
	}
}

func TestRecoverRefuses(t *testing.T) {
	ended := func() []byte {
		state := t.TempDir()
		w := journal.New(journal.Options{State: state})
		if err := w.Open(journal.Open{Receipt: draft(t)}); err != nil {
			t.Fatal(err)
		}
		path, err := w.Keep(journal.End{})
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}()
	foreign := written(t, journal.Open{Layout: "later", Version: "v9"}, func(w *journal.Writer) { w.Record(forkOf(0, self, child)) })
	var wrong *runner.LayoutError
	if _, err := runner.Recover(bytes.NewReader(foreign), layout, nil); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "v9") {
		t.Errorf("a foreign layout: %v", err)
	}
	if _, err := runner.Recover(bytes.NewReader(ended), layout, nil); err != runner.ErrEnded {
		t.Errorf("an ended run: %v", err)
	}
	bad := written(t, journal.Open{Receipt: json.RawMessage(`{"receipt_version":"v9"}`)}, nil)
	if _, err := runner.Recover(bytes.NewReader(bad), layout, nil); !errors.Is(err, journal.ErrNoOpen) {
		t.Errorf("no receipt in the open record: %v", err)
	}
}

// What a forger could put into a journal must not reach beyond the receipt.
func TestRecoverHostile(t *testing.T) {
	dir := t.TempDir()
	freeze := filepath.Join(dir, "cgroup.freeze")
	if err := os.WriteFile(freeze, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cgroup := range []string{dir, "relative", dir + "/../" + filepath.Base(dir), "/sys/fs/cgroup"} {
		rec := recovered(t, written(t, journal.Open{Layout: layout, Cgroup: journal.Text(cgroup), PageSize: -1, BootTime: time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)}, func(w *journal.Writer) {
			w.Append(journal.KindStarting, journal.Starting{Mode: "ebpf"})
			w.Append(journal.KindStarted, journal.Started{At: time.Unix(5, 0), PID: 1})
			w.Record(exitOf(0, audit.ProcessID{PID: 1, Start: 1<<64 - 1}, 0))
		}))
		if got, _ := os.ReadFile(freeze); string(got) != "1" {
			t.Fatalf("cgroup %s was touched", cgroup)
		}
		if len(rec.Observation.Survivors) != 0 {
			t.Errorf("%s: %+v", cgroup, rec.Observation.Survivors)
		}
	}
	late := written(t, journal.Open{Layout: layout, BootTime: time.Date(9001, 1, 1, 0, 0, 0, 0, time.UTC)}, nil)
	if _, err := runner.Recover(bytes.NewReader(late), layout, nil); !errors.Is(err, journal.ErrNoOpen) {
		t.Errorf("a boot in the far future: %v", err)
	}
}

// A process of the run that still lives is told, and one that only has its
// number is not.
func TestRecoverSurvivors(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip(err)
	}
	rec := recovered(t, written(t, journal.Open{Layout: layout}, func(w *journal.Writer) {
		w.Append(journal.KindStarting, journal.Starting{Mode: "ebpf"})
		w.Record(forkOf(0, self, audit.ProcessID{PID: int32(os.Getpid()), Start: 77})) // not this one
		w.Record(forkOf(1, self, child))
	}))
	if len(rec.Observation.Survivors) != 0 || !hasDetail(rec, "of 2 processes that had not ended by then 0 still ran at the recovery; how the other 2 ended is not known") {
		t.Errorf("%+v", rec.Observation)
	}
}

// Numbers of a virtual machine's processes are not this machine's: who has one
// here is no survivor, and the parent of the command is the recorder in there.
func TestRecoverVirtualMachine(t *testing.T) {
	stat, err := procfs.ReadStat(os.Getpid())
	if err != nil {
		t.Skip(err)
	}
	init := audit.ProcessID{PID: 1, Start: 1}
	namesake := audit.ProcessID{PID: int32(os.Getpid()), Start: stat.Start * 10_000_000}
	rec := recovered(t, written(t, journal.Open{Layout: layout, Guest: 1}, func(w *journal.Writer) {
		w.Append(journal.KindStarting, journal.Starting{Mode: "ebpf"})
		w.Append(journal.KindStarted, journal.Started{At: time.Now(), PID: int(child.PID)})
		w.Record(forkOf(0, init, child))
		w.Record(forkOf(1, child, namesake))
		w.Record(exitOf(2, child, 4<<8))
	}))
	if len(rec.Observation.Survivors) != 0 || !hasDetail(rec, "the virtual machine ended with its recorder, and all that ran in it") {
		t.Errorf("%+v", rec.Observation)
	}
	if rec.Outcome.ExitCode != 4 || rec.Outcome.Error != nil {
		t.Errorf("%+v", rec.Outcome)
	}
	const host = "what the host knew of the virtual machine was lost with the recorder, and what its proxy was asked for, if it had one"
	if !hasDetail(rec, host) {
		t.Errorf("%+v", rec.Observation.Gaps)
	}
	here := recovered(t, written(t, journal.Open{Layout: layout}, func(w *journal.Writer) {
		w.Append(journal.KindStarting, journal.Starting{Mode: "ebpf"})
	}))
	if hasDetail(here, host) {
		t.Errorf("no virtual machine: %+v", here.Observation.Gaps)
	}
}

func hasDetail(rec *receipt.Receipt, detail string) bool {
	return slices.ContainsFunc(rec.Observation.Gaps, func(g receipt.Gap) bool { return g.Detail == detail })
}

// source is a collector whose records can be kept.
type source struct {
	collector
	tap func([]byte)
}

func (s *source) TapRecords(tap func([]byte)) { s.tap = tap }
func (s *source) Layout() string              { return layout }

func (s *source) Launch(start func() error) error {
	err := s.collector.Launch(start)
	s.tap(forkOf(0, self, child))
	return err
}

// In a run: what is in the journal, and when.
func TestRunWritesJournal(t *testing.T) {
	state := t.TempDir()
	j := journal.New(journal.Options{State: state})
	kinds := func() (list []journal.Kind) {
		files, err := filepath.Glob(filepath.Join(state, "runs", "*.journal"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		data, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := journal.Read(bytes.NewReader(data), func(f journal.Frame) error { list = append(list, f.Kind); return nil }); err != nil {
			t.Fatal(err)
		}
		return list
	}
	var log []string
	var atStart []journal.Kind
	b := &ordered{Backend: &fake.Backend{Exit: backend.Exit{Code: 3}}, note: func(call string) {
		if log = append(log, call); call == "Start" {
			atStart = kinds()
		}
	}}
	rec, err := run(t, context.Background(), runner.Spec{
		Backend: b, Collector: &source{}, Argv: []string{"x\xff"}, Journal: j,
		JournalFailed: func(err error) { t.Error(err) },
	})
	if err != nil || hasGap(rec, "journal") {
		t.Fatalf("%v, %+v", err, rec.Observation.Gaps)
	}
	if want := []journal.Kind{journal.KindOpen, journal.KindStarting}; !slices.Equal(atStart, want) {
		t.Errorf("when the command started: %v", atStart)
	}
	want := []journal.Kind{journal.KindOpen, journal.KindStarting, journal.KindRecords, journal.KindStarted, journal.KindExited}
	if got := kinds(); !slices.Equal(got, want) {
		t.Errorf("at the end: %v", got)
	}
	if got := b.Command().Argv[0]; got != "x\xff" {
		t.Errorf("the command's argv has become %q", got)
	}
	if err := j.Remove(); err != nil {
		t.Error(err)
	}
}

// Without a journal the run goes on, says so at once, and in the receipt.
func TestRunWithoutJournal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := &fake.Backend{}
	told := 0
	rec, err := run(t, context.Background(), runner.Spec{
		Backend: b, Collector: &collector{}, Argv: []string{"x"}, Strict: true,
		Journal: journal.New(journal.Options{State: file}),
		JournalFailed: func(err error) {
			if told++; slices.Contains(b.Calls(), "Start") {
				t.Error("told too late")
			}
		},
	})
	if err != nil || told != 1 || !hasGap(rec, "journal") || !slices.Contains(b.Calls(), "Wait") {
		t.Errorf("%v, told %d times, %+v", err, told, rec.Observation.Gaps)
	}
	// A collector that keeps its records to itself.
	j := journal.New(journal.Options{State: t.TempDir()})
	rec, err = run(t, context.Background(), runner.Spec{Backend: &fake.Backend{}, Collector: &collector{}, Argv: []string{"x"}, Journal: j})
	if err != nil || !hasGap(rec, "journal") {
		t.Errorf("%v, %+v", err, rec.Observation.Gaps)
	}
	if err := j.Remove(); err != nil {
		t.Error(err)
	}
}

// Whatever stands in the frames, Recover gives a receipt that can be read, or
// an error.
func FuzzRecover(f *testing.F) {
	good := written(f, journal.Open{Layout: layout}, func(w *journal.Writer) {
		w.Append(journal.KindStarting, journal.Starting{Mode: "ebpf"})
		w.Append(journal.KindStarted, journal.Started{PID: int(child.PID)})
		w.Record(forkOf(0, self, child))
		w.Record(exitOf(1, child, 9))
		w.Append(journal.KindSums, journal.Sums{Emitted: 2})
	})
	f.Add(good, []byte("x"), uint16(4), []byte(`{"pid":1}`))
	f.Add(good[:len(good)-1], forkOf(0, self, other), uint16(5), []byte(`{"exit_code":-1,"signal":"\n"}`))
	f.Add(good, exitOf(3, other, -1), uint16(6), []byte(`{"emitted":18446744073709551615,"lost":{"a":18446744073709551615,"b":2}}`))
	f.Add(good, exitOf(1<<63, other, -1), uint16(4), []byte(`{"at":"0000-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, data, rec []byte, kind uint16, payload []byte) {
		_, _ = runner.Recover(bytes.NewReader(data), layout, nil)
		if !json.Valid(payload) || len(rec) > 60_000 {
			return
		}
		data = written(t, journal.Open{Layout: layout}, func(w *journal.Writer) {
			w.Record(rec)
			w.Append(journal.Kind(kind), json.RawMessage(payload))
		})
		r, err := runner.Recover(bytes.NewReader(data), layout, nil)
		if err != nil {
			return
		}
		if r.Observation.Complete {
			t.Fatal("complete")
		}
		receipttest.Validate(t, r)
		if _, err := receipt.Read(bytes.NewReader(encoded(t, r))); err != nil {
			t.Fatal(err)
		}
	})
}
