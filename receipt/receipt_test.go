package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.FixedZone("", 3600))

func ptr[T any](v T) *T { return &v }

// full has something in every list and every key, out of order and with doubles.
func full() *Receipt {
	return &Receipt{
		ExecutionID: ExecutionID(start, 7, []string{"sh"}),
		Timestamp:   At(start),
		Command:     Command{Argv: []string{"sh", "\xff\\"}, Exe: "/bin/sh"},
		Outcome:     Outcome{ExitCode: 137, Signal: ptr("SIGKILL"), Error: ptr("<&>")},
		Timing:      Timing{DurationMS: 12, StartedAt: At(start), EndedAt: At(start)},
		Execution: Execution{
			Backend: "process", Isolation: "none", Provenance: "host",
			Guest: []Duty{{"reap orphans", "done", 2, nil}, {"mount proc on /proc", "failed", 0, ptr("EPERM")}},
			VM: &VM{
				Monitor: "/usr/bin/qemu", MonitorVersion: "7.2", Accelerator: "tcg", BootMS: 3000, BytesToGuest: 1, BytesFromGuest: 2,
				MonitorError: ptr("signal: killed"), Image: []Part{{"kernel", strings.Repeat("0", 64), 3}},
				Workspace: &Workspace{
					Path: "/w", GuestPath: "/workspace", Added: []string{"a"}, Changed: []string{"b"}, Deleted: []string{"c"},
					Refused: []RefusedPath{{"l", "a link"}}, Kept: ptr("/w.tar"), Error: ptr("e"),
				},
				Proxy: &Proxy{Allow: []string{"*"}, Omitted: 1, Requests: []ProxyRequest{
					{At(start), "connect", "a", 443, ptr("1.1.1.1:443"), "connected", nil, 1, 2, 3},
					{At(start), "http", "b", 80, nil, "denied", ptr("no"), 0, 0, 1},
				}},
			},
		},
		Observation: Observation{
			Mode:      "ebpf",
			Events:    Events{Emitted: 3, Received: 2, Lost: map[string]uint64{"ring_full": 1}},
			Hooks:     []Hook{{Name: "b"}, {Name: "a", Error: ptr("no")}},
			Gaps:      []Gap{{"z", "", 1}, {"a", "2", 1}, {"a", "1", 1}},
			Survivors: []Survivor{{9, "/b"}, {8, "/a"}},
		},
		ProcessTree: []Process{
			{PID: 3, PPID: 2, StartTime: 20, Argv: []string{"b", "c"}},
			{PID: 2, PPID: 1, StartTime: 10, Exe: "/bin/a", Execs: []Exec{
				{Exe: "/bin/a", Interpreter: ptr("/bin/sh"), Requested: "a", Argv: []string{"a"}, ArgvTruncated: true},
			}},
			{PID: 1, StartTime: 20, EndedAt: ptr(At(start)), ExitCode: ptr(3)},
		},
		ExecFailures: []ExecFail{
			{PID: 1, Path: "/b", Errno: "ENOENT", Count: 1, Argv: []string{"b"}, PathCut: true, ArgvTruncated: true},
			{PID: 2, Path: "/a", Errno: "EACCES", Count: 2},
		},
		Filesystem: Filesystem{
			Reads:            []string{"/b", "/a", "/b"},
			Writes:           []string{"/\xfe"},
			Deletes:          []string{"/x", "/x"},
			PolicyViolations: []string{"/p"},
			Renames:          []Rename{{"/b", "/c", SourceLexical}, {"/a", "/c", SourceLexical}, {"/b", "/c", SourceLexical}},
			Created:          []Created{{"/s", "symlink", ptr("t"), SourceLexical}, {"/f", "file", nil, SourceKernel}},
			Changed:          []Changed{{"/b", "mode", SourceKernel}, {"/a", "mode", SourceKernel}, {"/b", "mode", SourceKernel}},
			Mounts:           []Mount{{"umount", "/m", nil, SourceLexical}, {"mount", "/m", ptr("proc"), SourceKernel}},
			Failed: []FailedOp{
				{Op: "rename", Path: "/b", To: "/c", Errno: "ENOENT", Count: 1, PathCut: true}, {Op: "open", Path: "/a", Errno: "ENOENT", Count: 1},
			},
			Files: []FileEntry{
				{Path: "/b", Requested: []string{"b", "./b", "b"}, BytesRead: 1, Source: SourceKernel, OtherMounts: true},
				{Path: "/\xfe", Source: SourceKernel, Final: &Final{ChangedAt: At(start), LastWrite: At(start)}},
				{Path: `/\xfe`, Source: SourceLexical, PathCut: true},
			},
		},
		Network: Network{
			Attempts: []Attempt{
				{Dst: "[::1]:2", Protocol: "tcp", PID: 2, Result: "refused", Count: 1, Policy: "deny", Source: SourceProxy},
				{Dst: "1.1.1.1:1", Protocol: "udp", PID: 2, Result: "sent", Count: 1, Host: ptr("one")},
				{Dst: "1.1.1.1:1", Protocol: "udp", PID: 1, Result: "sent", Count: 1},
			},
			Listens: []Listen{{"b", "tcp", 1}, {"a", "tcp", 1}},
			Accepts: []Accept{{"b", "a", "tcp", 1, 1}, {"a", "a", "tcp", 1, 1}},
			DNS:     []DNSQuery{{"b", "A", "s", 1, 1}, {"a", "A", "s", 1, 1}},
		},
		Syscalls:    Syscalls{Counts: map[string]uint64{"openat": 2, "open": 3}, Denied: []string{"b", "a", "b"}},
		Environment: Environment{Sandbox: Sandbox{Network: "enabled"}},
		Artifacts:   Artifacts{StdoutHash: ptr(strings.Repeat("0f", 32)), StdoutBytes: ptr(uint64(math.MaxUint64))},
		Redactions: []Redaction{{
			ID: 1, Rule: "r", Salt: strings.Repeat("a1", 16), Commitment: strings.Repeat("b2", 32), Places: []string{"/command/argv/1"},
		}},
	}
}

func encode(t testing.TB, r *Receipt) string {
	t.Helper()
	var b bytes.Buffer
	if err := Encode(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		raw, want string
		isText    bool
	}{
		{"", "", true},
		{"/tmp/ä\n", "/tmp/ä\n", true},
		{`a\b`, `a\b`, true},
		{"\ufffd", "\ufffd", true},
		{"a\\b\xff", `a\\b\xff`, false},
		{"\xc3", `\xc3`, false},
		{"ä\xa0\x0f", "ä\\xa0\x0f", false},
		{"\xed\xa0\x80", `\xed\xa0\x80`, false}, // a surrogate is no UTF-8
	} {
		if got := Text(c.raw); got != c.want {
			t.Errorf("Text(%q) = %q, want %q", c.raw, got, c.want)
		}
		if got := IsText(c.raw); got != c.isText {
			t.Errorf("IsText(%q) = %v", c.raw, got)
		}
		if again := Text(Text(c.raw)); again != c.want {
			t.Errorf("Text is not stable for %q: %q", c.raw, again)
		}
	}
}

func TestExecutionID(t *testing.T) {
	base := ExecutionID(start, 1, []string{"a", "b"})
	// Computed with sha256sum over "30:2026-01-02T02:04:05.600000000Z,1:1,1:a,1:b,".
	if want := "553e5ef214de536feadb48abe4173bf8ba3c41ddc5430b060e08d1a1a2f9e69d"; base != want {
		t.Errorf("got %s, want %s", base, want)
	}
	if same := ExecutionID(start.UTC(), 1, []string{"a", "b"}); same != base {
		t.Error("the zone changes the id")
	}
	if ExecutionID(start, 1, []string{"\xff"}) != ExecutionID(start, 1, []string{`\xff`}) {
		t.Error("the id cannot be computed from the receipt's argv")
	}
	for name, other := range map[string]string{
		"time":      ExecutionID(start.Add(1), 1, []string{"a", "b"}),
		"pid":       ExecutionID(start, 2, []string{"a", "b"}),
		"boundary":  ExecutionID(start, 1, []string{"ab"}),
		"netstring": ExecutionID(start, 1, []string{"a,1:b"}),
		"empty":     ExecutionID(start, 1, []string{"a", "b", ""}),
		"digit":     ExecutionID(start, 11, []string{"b"}),
	} {
		if other == base {
			t.Errorf("%s: same id", name)
		}
	}
}

func TestTime(t *testing.T) {
	got, err := json.Marshal(At(start))
	if want := `"2026-01-02T02:04:05.600000000Z"`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	var back Time
	if err := json.Unmarshal(got, &back); err != nil || !back.Equal(start) {
		t.Errorf("read back %v, %v", back, err)
	}
	for _, in := range []string{`"9999-12-31T23:59:59-01:00"`, `"0000-01-01T00:00:00+01:00"`, `"yesterday"`, `1`} {
		if err := json.Unmarshal([]byte(in), &back); err == nil {
			t.Errorf("%s was read as %v", in, back)
		}
	}
	if _, err := json.Marshal(At(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))); err == nil {
		t.Error("the year 10000 was written")
	}
}

func TestNormalize(t *testing.T) {
	r := full()
	r.Normalize()
	check := func(name string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	check("version", r.ReceiptVersion, "v0.3")
	check("argv", r.Command.Argv, []string{"sh", `\xff\\`})
	check("exit_code", r.ExitCode, 137)
	check("duration_ms", r.DurationMS, int64(12))
	check("processes", r.Processes, []LegacyProc{{2, 1, "/bin/a"}, {1, 0, ""}, {3, 2, "b c"}})
	check("reads", r.Filesystem.Reads, []string{"/a", "/b"})
	check("read", r.Filesystem.Read, []string{"/a", "/b"})
	check("writes", r.Filesystem.Writes, []string{`/\xfe`})
	check("written", r.Filesystem.Written, []string{`/\xfe`})
	check("deletes", r.Filesystem.Deletes, []string{"/x"})
	check("renames", r.Filesystem.Renames, []Rename{{"/a", "/c", "lexical"}, {"/b", "/c", "lexical"}})
	check("changed", r.Filesystem.Changed, []Changed{{"/a", "mode", SourceKernel}, {"/b", "mode", SourceKernel}})
	check("connections", r.Network.Connections, []Connection{{"1.1.1.1:1", "udp", true}, {"[::1]:2", "tcp", true}})
	check("counts", r.Syscalls.Counts, map[string]uint64{"openat": 2, "open": 3, "execve": 0, "connect": 0})
	check("denied", r.Syscalls.Denied, []string{"a", "b"})
	check("survivors", r.Observation.Survivors, []Survivor{{8, "/a"}, {9, "/b"}})
	check("gaps", r.Observation.Gaps, []Gap{{"a", "1", 1}, {"a", "2", 1}, {"z", "", 1}})
	check("execs of a process without any", r.ProcessTree[1].Execs, []Exec{})

	var paths []string
	for _, f := range r.Filesystem.Files {
		paths = append(paths, f.Path+" "+string(f.PathBytes))
	}
	check("files", paths, []string{"/\\xfe ", "/\\xfe /\xfe", "/b "})
	check("requested", r.Filesystem.Files[2].Requested, []string{"./b", "b"})

	once := encode(t, r)
	r.Normalize()
	check("twice", encode(t, r), once)
}

func TestNormalizeWorkspace(t *testing.T) {
	r := &Receipt{Execution: Execution{VM: &VM{Workspace: &Workspace{
		Added: []string{"b", "a\xff", "[redacted:1]", "[redacted:1]"}, Refused: []RefusedPath{{"b", "x"}, {"a", "y"}, {"a", "x"}},
	}}}}
	r.Normalize()
	want := &Workspace{
		Added: []string{"[redacted:1]", "[redacted:1]", `a\xff`, "b"}, Changed: []string{}, Deleted: []string{},
		Refused: []RefusedPath{{"a", "x"}, {"a", "y"}, {"b", "x"}},
	}
	if diff := cmp.Diff(want, r.Execution.VM.Workspace); diff != "" {
		t.Error(diff)
	}
}

// An empty receipt has [] and {} wherever a list or map belongs.
func TestNormalizeEmpty(t *testing.T) {
	out := encode(t, &Receipt{ProcessTree: []Process{{}}, ExecFailures: []ExecFail{{}}})
	var all map[string]any
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	checkLists(t, "", reflect.TypeFor[Receipt](), all)
}

func checkLists(t *testing.T, at string, typ reflect.Type, v any) {
	switch typ.Kind() {
	case reflect.Struct:
		object, ok := v.(map[string]any)
		if !ok {
			return // a Time
		}
		for i := range typ.NumField() {
			name, opts, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if opts == "" {
				checkLists(t, at+"."+name, typ.Field(i).Type, object[name])
			}
		}
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			t.Errorf("%s is %v, not a list", at, v)
		}
		for _, e := range list {
			checkLists(t, at+"[]", typ.Elem(), e)
		}
	case reflect.Map:
		if _, ok := v.(map[string]any); !ok {
			t.Errorf("%s is %v, not an object", at, v)
		}
	}
}

// The pieces that Encode writes make up what encoding/json writes at once.
func TestEncodeIsPlainJSON(t *testing.T) {
	for name, r := range map[string]*Receipt{"full": full(), "empty": {}} {
		got := encode(t, r)
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestEncodeErrors(t *testing.T) {
	full := errors.New("full")
	if err := Encode(failingWriter{full}, &Receipt{}); !errors.Is(err, full) {
		t.Errorf("a failing writer gave %v", err)
	}
	r := &Receipt{Timing: Timing{EndedAt: At(time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC))}}
	if err := Encode(&bytes.Buffer{}, r); err == nil || !strings.Contains(err.Error(), "timing: ended_at: ") {
		t.Errorf("a year that cannot be written gave %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// Encoding many files allocates garbage, but holds on to little.
func TestEncodeMemory(t *testing.T) {
	const files = 200_000
	r := &Receipt{}
	for i := range files {
		r.Filesystem.Files = append(r.Filesystem.Files, FileEntry{Path: fmt.Sprintf("/folder/file-%07d", i)})
	}
	r.Normalize()
	var w heapWatch
	runtime.GC()
	w.base = heap()
	if err := Encode(&w, r); err != nil {
		t.Fatal(err)
	}
	if w.size < files*200 {
		t.Fatalf("only %d bytes came out", w.size)
	}
	if limit := uint64(w.size / 4); w.most > limit {
		t.Errorf("%d bytes of heap for %d bytes of output, want at most %d", w.most, w.size, limit)
	}
}

// heapWatch looks at the live heap now and then while it is written to.
type heapWatch struct {
	base, most uint64
	size, next int
}

func (w *heapWatch) Write(p []byte) (int, error) {
	w.size += len(p)
	if w.size >= w.next {
		w.next += 8 << 20
		runtime.GC()
		if h := heap(); h > w.base {
			w.most = max(w.most, h-w.base)
		}
	}
	return len(p), nil
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestReadBack(t *testing.T) {
	want := full()
	out := encode(t, want)
	got, err := Read(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(out, encode(t, got)); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
}

// A v0.2 receipt has fewer keys.
func TestReadV02(t *testing.T) {
	r, err := Read(strings.NewReader(`{
	  "receipt_version": "v0.2",
	  "timestamp": "2025-01-02T03:04:05Z",
	  "outcome": {"exit_code": 3, "signal": null, "error": null},
	  "process_tree": [{"pid": 5, "ppid": 4, "exe": "/bin/true", "argv": ["true"], "working_dir": "/"}],
	  "filesystem": {"reads": ["/a"], "writes": [], "deletes": [], "policy_violations": [], "read": ["/a"], "written": []},
	  "syscalls": {"counts": {"execve": 1, "open": 2, "connect": 0}, "denied": []},
	  "exit_code": 3, "duration_ms": 8, "processes": [{"pid": 5, "ppid": 4, "cmd": "true"}]
	}`))
	if err != nil {
		t.Fatal(err)
	}
	if r.ReceiptVersion != "v0.2" || r.Outcome.ExitCode != 3 || r.ProcessTree[0].Exe != "/bin/true" || r.Filesystem.Reads[0] != "/a" {
		t.Errorf("read %+v", r)
	}
}

func TestReadRejects(t *testing.T) {
	version := func(v string) string { return `{"receipt_version":"` + v + `"}` }
	for name, in := range map[string]string{
		"empty":         "",
		"null":          "null",
		"a list":        "[]",
		"no version":    "{}",
		"a number":      `{"receipt_version":3}`,
		"cut":           `{"receipt_version":"v0.3","timing":{`,
		"trailing data": version("v0.3") + `{}`,
		"trailing junk": version("v0.3") + "\x00",
		"wrong type":    `{"receipt_version":"v0.3","process_tree":3}`,
		"wrong bytes":   `{"receipt_version":"v0.3","filesystem":{"files":[{"path":"/a","path_bytes":"L2I="}]}}`,
		"deep":          `{"receipt_version":"v0.3","x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
	} {
		if r, err := Read(strings.NewReader(in)); !errors.Is(err, ErrNotReceipt) {
			t.Errorf("%s: got %v, %v", name, r, err)
		} else if strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%s: not one line: %q", name, err)
		}
	}
	for _, v := range []string{"", "v0.1", "v1.0", "v2", "0.3", "v0.", "v0.3x", "v0.3.", "v0.-3", "v0.+3"} {
		_, err := Read(strings.NewReader(version(v)))
		if e, ok := errors.AsType[*VersionError](err); !ok || e.Version != v {
			t.Errorf("version %q: %v", v, err)
		}
	}
	for _, v := range []string{"v0.2", "v0.3", "v0.3.1", "v0.10"} {
		if _, err := Read(strings.NewReader(version(v) + " \n")); err != nil {
			t.Errorf("version %q: %v", v, err)
		}
	}
	broken := errors.New("broken")
	if _, err := Read(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a failing reader gave %v", err)
	}
}

// What is wrong with a foreign receipt is said in a line that is not as long as
// the receipt.
func TestReadSaysLittle(t *testing.T) {
	long := strings.Repeat("9", 100_000)
	for name, in := range map[string]string{
		"version":       `{"receipt_version":"v` + long + `"}`,
		"zeros":         `{"receipt_version":"v0.` + strings.Repeat("0", 100_000) + `3"}`,
		"zeros behind":  `{"receipt_version":"v0.3.` + strings.Repeat("0", 100_000) + `"}`,
		"number":        `{"receipt_version":"v0.3","exit_code":` + long + `}`,
		"time":          `{"receipt_version":"v0.3","timestamp":"` + long + `"}`,
		"time in UTF-8": `{"receipt_version":"v0.3","timestamp":"x` + strings.Repeat("ü", 100_000) + `"}`,
		"path":          `{"receipt_version":"v0.3","filesystem":{"files":[{"path":"` + long + `","path_bytes":"L2I="}]}}`,
	} {
		_, err := Read(strings.NewReader(in))
		if err == nil || len(err.Error()) > 500 || !utf8.ValidString(err.Error()) {
			t.Errorf("%s: %.1000v", name, err)
		}
	}
}

func TestReadTooManyEntries(t *testing.T) {
	for name, list := range map[string]string{
		"objects": strings.Repeat("{} ,\n", maxEntries) + "{}",
		"numbers": strings.Repeat("0,", maxEntries) + "0",
	} {
		in := `{"receipt_version":"v0.3","process_tree":[` + list + `]}`
		if _, err := Read(strings.NewReader(in)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckSizeCounts(t *testing.T) {
	for in, ok := range map[string]bool{
		`[` + strings.Repeat(`"[{,:",`, maxEntries+1) + `""]`:        true,
		`{"a":[[]` + strings.Repeat(`,{"a":1}`, maxEntries-2) + `]}`: true,
		`{"a":[[]` + strings.Repeat(`,{"a":1}`, maxEntries+1) + `]}`: false,
		`["\\",` + strings.Repeat(`{},`, maxEntries) + `0]`:          false,
		`["\"` + strings.Repeat(`,{}`, maxEntries+1) + `"]`:          true,
	} {
		if err := checkSize([]byte(in)); (err == nil) != ok {
			t.Errorf("%.20s...: %v", in, err)
		}
	}
}

func TestReadTooLarge(t *testing.T) {
	in := `{"receipt_version":"v0.3"}`
	if _, err := read(strings.NewReader(in), int64(len(in))); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	r := strings.NewReader(in + strings.Repeat(" ", 1000))
	if _, err := read(r, int64(len(in))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("above the limit: %v", err)
	}
	if r.Len() != 999 {
		t.Errorf("%d bytes were left unread, want all but one", r.Len())
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(encode(f, full())))
	f.Add([]byte(encode(f, &Receipt{})))
	f.Add([]byte(`{"receipt_version":"v0.2","process_tree":[{},null],"filesystem":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		Check(r) // whatever it says, it says something
		once := encode(t, r)
		again, err := Read(strings.NewReader(once))
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if twice := encode(t, again); twice != once {
			t.Fatalf("(-first +second):\n%s", cmp.Diff(once, twice))
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("a\\\xff")
	f.Fuzz(func(t *testing.T, raw string) {
		got := Text(raw)
		if !IsText(got) || Text(got) != got || (IsText(raw) && got != raw) {
			t.Errorf("Text(%q) = %q", raw, got)
		}
	})
}

// A file tells its size, so that of one that is too large nothing is read.
func TestReadLooksAtTheSizeFirst(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "receipt.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(MaxSize + 1); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(f); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if at, err := f.Seek(0, io.SeekCurrent); at != 0 || err != nil {
		t.Errorf("%d bytes were read, %v", at, err)
	}
	// What has been read of it is no part of the receipt.
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(strings.Repeat("x", 100) + `{"receipt_version":"v0.3"}`); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(100, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := read(f, 50); err != nil {
		t.Errorf("what is left of the file: %v", err)
	}
}

// endless is a reader without an end, and without a size.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// What is refused costs no more than what is accepted.
func TestReadBoundsItsMemory(t *testing.T) {
	const limit = 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := read(io.MultiReader(strings.NewReader("{"), endless(' ')), limit)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrTooLarge) {
		t.Fatalf("got %v", err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > limit*5/4 {
		t.Errorf("%d MiB of memory for a limit of %d", n>>20, limit>>20)
	}
	runtime.ReadMemStats(&before)
	_, err = read(endless(0), limit)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrNotReceipt) {
		t.Fatalf("zeros: got %v", err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d KiB of memory for what does not begin like a receipt", n>>10)
	}
}
