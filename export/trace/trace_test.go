package trace

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"glasshouse/receipt"
)

// read is an event as a reader of the format takes it.
type read struct {
	Name  *string     `json:"name"`
	Phase string      `json:"ph"`
	Scope string      `json:"s"`
	At    json.Number `json:"ts"`
	Dur   json.Number `json:"dur"`
	PID   *int64      `json:"pid"`
	TID   *int64      `json:"tid"`
	Args  map[string]any
}

// from and to are in ns.
func (e read) from() int64 { return exactly(e.At) }
func (e read) to() int64   { return e.from() + exactly(e.Dur) }

func exactly(micros json.Number) int64 {
	whole, fraction, _ := strings.Cut(string(micros), ".")
	n, err := strconv.ParseInt(whole+(fraction + "000")[:3], 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// duration says whether n is a number from 0 on that does not lose a ns in a
// reader that takes it for a float64, as Perfetto's does, if it is exact there.
func duration(n json.Number) bool {
	f, err := n.Float64()
	return err == nil && f >= 0 && (f > 1<<53/1000 || int64(math.Round(f*1000)) == exactly(n))
}

// parse is the format's rules: what an event of each phase must have, and that
// the slices of a track nest. It returns what it found wrong.
func parse(data []byte) ([]read, error) {
	var doc struct {
		Unit   string            `json:"displayTimeUnit"`
		Other  map[string]string `json:"otherData"`
		Events []read            `json:"traceEvents"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	if doc.Unit != "ms" && doc.Unit != "ns" {
		return nil, fmt.Errorf("displayTimeUnit %q", doc.Unit)
	}
	named := map[int64]int{}
	tracks := map[[2]int64][]read{}
	for i, e := range doc.Events {
		if e.Name == nil || e.PID == nil || e.TID == nil {
			return nil, fmt.Errorf("event %d has no name, pid or tid", i)
		}
		if *e.PID <= 0 || *e.PID > math.MaxUint32 || *e.TID != *e.PID {
			return nil, fmt.Errorf("event %d: pid %d, tid %d", i, *e.PID, *e.TID)
		}
		switch e.Phase {
		case "M":
			switch *e.Name {
			case "process_name":
				named[*e.PID]++
				fallthrough
			case "thread_name":
				if name, _ := e.Args["name"].(string); name == "" {
					return nil, fmt.Errorf("event %d: a name that is none: %v", i, e.Args)
				}
			case "process_sort_index":
				if _, ok := e.Args["sort_index"].(float64); !ok {
					return nil, fmt.Errorf("event %d: no sort_index: %v", i, e.Args)
				}
			default:
				return nil, fmt.Errorf("event %d: metadata %q", i, *e.Name)
			}
		case "X":
			if !duration(e.At) || !duration(e.Dur) {
				return nil, fmt.Errorf("event %d: a slice needs ts and dur, neither below 0", i)
			}
			track := [2]int64{*e.PID, *e.TID}
			tracks[track] = append(tracks[track], e)
		case "i":
			if !duration(e.At) || !slices.Contains([]string{"g", "p", "t"}, e.Scope) {
				return nil, fmt.Errorf("event %d: an instant needs ts and a scope", i)
			}
		default:
			return nil, fmt.Errorf("event %d: phase %q", i, e.Phase)
		}
	}
	for track, list := range tracks {
		if named[track[0]] != 1 {
			return nil, fmt.Errorf("track %v has %d names", track, named[track[0]])
		}
		if err := nest(list); err != nil {
			return nil, fmt.Errorf("track %v: %w", track, err)
		}
	}
	return doc.Events, nil
}

// nest fails on slices of which one begins within another and ends outside.
func nest(list []read) error {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b read) int { return cmp.Compare(a.from(), b.from()) })
	var open []read
	for _, e := range list {
		for len(open) > 0 && open[len(open)-1].to() <= e.from() && open[len(open)-1].to() < e.to() {
			open = open[:len(open)-1]
		}
		if len(open) > 0 && e.to() > open[len(open)-1].to() {
			return fmt.Errorf("%s ends after %s, in which it begins", *e.Name, *open[len(open)-1].Name)
		}
		open = append(open, e)
	}
	return nil
}

func TestNest(t *testing.T) {
	at := func(from, dur int) read {
		name := fmt.Sprint(from)
		return read{Name: &name, At: json.Number(fmt.Sprint(from)), Dur: json.Number(fmt.Sprint(dur))}
	}
	for _, tc := range []struct {
		list []read
		ok   bool
	}{
		{[]read{at(0, 10), at(0, 5), at(5, 5)}, true},
		{[]read{at(0, 10), at(10, 5)}, true},
		{[]read{at(0, 10), at(2, 0), at(10, 0)}, true},
		{[]read{at(0, 10), at(5, 6)}, false},
		{[]read{at(0, 10), at(0, 11)}, false}, // the shorter one came first
		{[]read{at(0, 10), at(2, 5), at(4, 4)}, false},
	} {
		if err := nest(tc.list); (err == nil) != tc.ok {
			t.Errorf("%v: %v", tc.list, err)
		}
	}
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(d time.Duration) receipt.Time { return receipt.At(start.Add(d)) }

func ptr[T any](v T) *T { return &v }

// sample is a run of known shape: a root of two images, a fork, a process that
// a signal ended, one with the same number, and one that goes on.
func sample() *receipt.Receipt {
	return &receipt.Receipt{
		Command: receipt.Command{Argv: []string{"make", "all"}, WorkingDir: "/src"},
		Timing:  receipt.Timing{StartedAt: at(1001), EndedAt: at(9 * time.Millisecond)},
		Observation: receipt.Observation{
			Mode: "ebpf", Complete: false, Reason: ptr("3 events lost"), Gaps: []receipt.Gap{{Kind: "root", Detail: "as root", Count: 5}},
		},
		ProcessTree: []receipt.Process{
			{
				PID: 10, PPID: 1, Exe: "/usr/bin/make", StartedAt: at(2001), EndedAt: ptr(at(8 * time.Millisecond)), ExitCode: ptr(2),
				Execs: []receipt.Exec{
					{Exe: "/usr/bin/env", Argv: []string{"env", "make"}, At: at(3003)},
					{Exe: "/usr/bin/make", Argv: []string{"make", "all"}, WorkingDir: "/src", At: at(5005)},
				},
			},
			{PID: 11, PPID: 10, Exe: "/usr/bin/make", StartedAt: at(6006), EndedAt: ptr(at(7007)), ExitCode: ptr(0)},
			{PID: 11, PPID: 10, Exe: "/usr/bin/cc", StartedAt: at(8008), EndedAt: ptr(at(9009)), Signal: ptr("SIGKILL")},
			{PID: 12, PPID: 10, StartedAt: at(9999)},
		},
		Filesystem: receipt.Filesystem{Files: []receipt.FileEntry{
			{Path: "/src/out", Final: &receipt.Final{LastWrite: at(10 * time.Millisecond)}},
			{Path: "/src/in"},
		}},
	}
}

func write(t *testing.T, r *receipt.Receipt) []read {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, r); err != nil {
		t.Fatal(err)
	}
	events, err := parse(out.Bytes())
	if err != nil {
		t.Fatalf("%v in:\n%s", err, out.Bytes())
	}
	return events
}

// lines are the slices and instants in short, in the order of the file.
func lines(events []read) []string {
	var list []string
	for _, e := range events {
		switch e.Phase {
		case "X":
			list = append(list, fmt.Sprintf("%d %s %d+%d", *e.PID, *e.Name, e.from(), e.to()-e.from()))
		case "i":
			list = append(list, fmt.Sprintf("%d %s %d %v", *e.PID, *e.Name, e.from(), e.Args["path"]))
		}
	}
	return list
}

func TestWrite(t *testing.T) {
	events := write(t, sample())
	want := []string{
		"4194304 make all 0+8998999",
		"4194304 last write 9998999 /src/out",
		"10 process 10: exit 2 1000+7997999",
		"10 env 2002+2002",
		"10 make 4004+7994995",
		"11 process 11: exit 0 5005+1001",
		"4194305 process 11: SIGKILL 7007+1001",
		"12 process 12: no end seen 8998+9990001", // to the last that is known: the write
	}
	if got := lines(events); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	names := map[int64]string{}
	order := map[int64]float64{}
	for _, e := range events {
		switch *e.Name {
		case "process_name":
			names[*e.PID] = e.Args["name"].(string)
		case "process_sort_index":
			order[*e.PID] = e.Args["sort_index"].(float64)
		case "process 10: exit 2":
			if e.Args["pid"] != 10.0 || e.Args["ppid"] != 1.0 || e.Args["exit_code"] != 2.0 || e.Args["started_at"] != at(2001).String() {
				t.Errorf("process: %v", e.Args)
			}
		case "make":
			if fmt.Sprint(e.Args["argv"]) != "[make all]" || e.Args["working_dir"] != "/src" {
				t.Errorf("image: %v", e.Args)
			}
		case "make all":
			if e.Args["complete"] != false || e.Args["reason"] != "3 events lost" || len(e.Args["gaps"].([]any)) != 1 {
				t.Errorf("command: %v", e.Args)
			}
		}
	}
	if got := fmt.Sprint(names); got != "map[10:make 11:make 12:unknown 4194304:command 4194305:cc (pid 11)]" {
		t.Error(got)
	}
	if got := fmt.Sprint(order); got != "map[10:1 11:2 12:4 4194304:0 4194305:3]" {
		t.Error(got)
	}
}

// TestOddTimes has times that contradict each other, or are not known.
func TestOddTimes(t *testing.T) {
	r := &receipt.Receipt{ProcessTree: []receipt.Process{
		{PID: 5, StartedAt: at(100), EndedAt: ptr(at(50))}, // ends before it begins
		{PID: 6, StartedAt: at(100), EndedAt: ptr(at(200)), Execs: []receipt.Exec{
			{Exe: "/late", At: at(300)}, {Exe: "/early", At: at(10)}, {Exe: "/mid", At: at(150)}, {Exe: "/never"},
		}},
		{PID: -7}, {PID: 0}, {PID: math.MaxInt32},
	}}
	want := []string{
		"2147483648 command 0+290",
		"5 process 5: ended 90+0",
		"6 process 6: ended 90+100",
		"6 late 190+0",
		"6 early 190+0",
		"6 mid 190+0",
		"6 never 190+0",
		"2147483649 process -7: no end seen 0+290",
		"2147483650 process 0: no end seen 0+290",
		"2147483647 process 2147483647: no end seen 0+290",
	}
	if got := lines(write(t, r)); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFarTimes(t *testing.T) {
	r := sample()
	r.ProcessTree[0].StartedAt = receipt.At(time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC))
	r.ProcessTree[1].EndedAt = ptr(receipt.At(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)))
	write(t, r)
}

func TestWriteError(t *testing.T) {
	broken := errors.New("broken")
	if err := Write(failing{broken}, sample()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// FuzzWrite: what can be read can be written, by the format's rules.
func FuzzWrite(f *testing.F) {
	var seed bytes.Buffer
	if err := receipt.Encode(&seed, sample()); err != nil {
		f.Fatal(err)
	}
	f.Add(seed.Bytes())
	f.Add([]byte(`{"receipt_version":"v0.2","process_tree":[{"pid":1,"execs":[{"at":"9999-01-01T00:00:00Z"}]},{"pid":1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := receipt.Read(bytes.NewReader(data))
		if err != nil {
			t.Skip()
		}
		events := write(t, r)
		slices := 1
		for _, p := range r.ProcessTree {
			slices += 1 + len(p.Execs)
		}
		for _, e := range events {
			if e.Phase == "X" {
				slices--
			}
		}
		if slices != 0 {
			t.Errorf("%d slices are missing", slices)
		}
	})
}
