package html_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glasshouse/export/html"
	"glasshouse/receipt"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(ms int) receipt.Time { return receipt.At(start.Add(time.Duration(ms) * time.Millisecond)) }

func ptr[T any](v T) *T { return &v }

// sample is a run of known shape. Process 11 is there twice.
func sample() *receipt.Receipt {
	return &receipt.Receipt{
		ReceiptVersion: receipt.Version,
		ExecutionID:    "abc123",
		Command:        receipt.Command{Argv: []string{"sh", "-c", "make all; exit 3"}, WorkingDir: "/src", UID: 1000, GID: 100, User: "worker"},
		Outcome:        receipt.Outcome{ExitCode: 3},
		Timing:         receipt.Timing{DurationMS: 1234, CPUTimeMS: 56, StartedAt: at(0), EndedAt: at(1234)},
		Environment:    receipt.Environment{OS: "linux", Arch: "amd64", Kernel: "6.1.0-test", GlasshouseVersion: "v1.2.3"},
		Observation: receipt.Observation{
			Mode: "ebpf", Reason: ptr("2 events lost"),
			Events:    receipt.Events{Emitted: 42, Received: 40, Lost: map[string]uint64{"ring_full": 2}},
			Gaps:      []receipt.Gap{{Kind: "daemon", Detail: "/run/docker.sock", Count: 1}, {Kind: "root", Detail: "as root", Count: 3}},
			Hooks:     []receipt.Hook{{Name: "raw_tp/sys_enter", Attached: true}, {Name: "raw_tp/x", Error: ptr("no such hook")}},
			Survivors: []receipt.Survivor{{PID: 11, Exe: "/usr/bin/sleep"}},
		},
		ProcessTree: []receipt.Process{
			{
				PID: 10, PPID: 1, StartTime: 1, Exe: "/bin/sh", Argv: []string{"sh", "-c", "make all; exit 3"}, StartedAt: at(0), EndedAt: ptr(at(1000)), ExitCode: ptr(3),
				Execs: []receipt.Exec{{Exe: "/bin/sh", Argv: []string{"sh", "-c", "make all; exit 3"}, At: at(1)}},
			},
			{
				PID: 11, PPID: 10, StartTime: 2, Exe: "/usr/bin/make", Argv: []string{"make", "all"}, WorkingDir: "/src", UID: 1000, GID: 100,
				StartedAt: at(100), EndedAt: ptr(at(600)), ExitCode: ptr(0),
				Execs: []receipt.Exec{
					{Exe: "/usr/bin/env", Argv: []string{"env", "make"}, At: at(150)},
					{Exe: "/usr/bin/make", Argv: []string{"make", "all"}, WorkingDir: "/src", At: at(160)},
				},
			},
			{
				PID: 12, PPID: 11, StartTime: 3, Exe: "/usr/bin/cc", Argv: []string{"cc", "-c", "x.c"}, StartedAt: at(200), EndedAt: ptr(at(300)), ExitCode: ptr(1),
				Execs: []receipt.Exec{{Exe: "/usr/bin/cc", Argv: []string{"cc", "-c", "x.c"}, At: at(201)}},
			},
			{PID: 13, PPID: 11, StartTime: 4, Exe: "/usr/bin/make", Argv: []string{"make", "all"}, StartedAt: at(400), EndedAt: ptr(at(401)), Signal: ptr("SIGKILL")},
			{
				PID: 11, PPID: 10, StartTime: 5, Exe: "/usr/bin/sleep", Argv: []string{"sleep", "100"}, StartedAt: at(700),
				Execs: []receipt.Exec{{Exe: "/usr/bin/sleep", Argv: []string{"sleep", "100"}, At: at(701)}},
			},
		},
		ExecFailures: []receipt.ExecFail{{PID: 12, Path: "/bin/no", Errno: "ENOENT", Count: 4}},
		Filesystem: receipt.Filesystem{
			Reads: []string{"/etc", "/src/Makefile"}, Writes: []string{"/src/out.o"}, Deletes: []string{"/src/tmp.o"},
			Created: []receipt.Created{{Path: "/src/out.o", Kind: "file"}},
			Renames: []receipt.Rename{{From: "/a", To: "/b"}},
			Changed: []receipt.Changed{{Path: "/src/out.o", What: "mode"}},
			Mounts:  []receipt.Mount{{Op: "mount", Path: "/mnt", From: ptr("tmpfs")}},
			Failed:  []receipt.FailedOp{{Op: "unlink", Path: "/src", Errno: "EISDIR", Count: 3}},
			Files: []receipt.FileEntry{
				{Path: "/etc", Opens: 1, Read: true},
				{Path: "/src/Makefile", Opens: 2, Read: true, BytesRead: 2048},
				{
					Path: "/src/out.o", Requested: []string{"./out.o"}, Opens: 1, Written: true, BytesWritten: 4200,
					Final: &receipt.Final{Inode: 77, Size: 4200, ChangedAt: at(900), LastWrite: at(800), Changed: true},
				},
				{Path: "/usr/bin/make", Executed: true, MappedExec: true},
				{Path: "pipe:[7]", Read: true, Opens: 1, BytesRead: 20},
			},
		},
		Network: receipt.Network{
			Attempts: []receipt.Attempt{{Dst: "192.0.2.1:443", Protocol: "tcp", Result: "connected", PID: 12, Count: 2, Host: ptr("example.org")}},
			Listens:  []receipt.Listen{{Addr: "0.0.0.0:80", Protocol: "tcp", PID: 12}},
			Accepts:  []receipt.Accept{{Src: "192.0.2.7:5555", Addr: "192.0.2.9:80", Protocol: "tcp", PID: 12, Count: 1}},
			DNS:      []receipt.DNSQuery{{Name: "example.org", Type: "A", Server: "192.0.2.53:53", PID: 12, Count: 1}},
		},
		Syscalls:   receipt.Syscalls{Counts: map[string]uint64{"execve": 9, "open": 0}},
		Redactions: []receipt.Redaction{{ID: 1, Rule: "password", Commitment: "c0ffee"}},
	}
}

// What became of a workspace, and what the proxy passed on to nobody, a report shows
// without a script; of a run without a machine it says nothing of these.
func TestMachine(t *testing.T) {
	page := func(r *receipt.Receipt) string {
		var b bytes.Buffer
		if err := html.Write(&b, r); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	r := sample()
	r.Execution.VM = &receipt.VM{
		Workspace: &receipt.Workspace{
			Path: "/home/ann/ws", Added: []string{"new"}, Changed: []string{"d/<old>"}, Deleted: []string{"gone"},
			Refused: []receipt.RefusedPath{{Path: "l", Reason: "a link"}}, Kept: ptr("/home/ann/r.tar"),
		},
		Proxy: &receipt.Proxy{Requests: []receipt.ProxyRequest{
			{Host: "b.example", Port: 443, Result: "denied", Reason: ptr("no rule")}, {Host: "a.example", Port: 443, Result: "denied", Reason: ptr("no rule")},
			{Host: "c.example", Port: 443, Result: "connected"},
		}},
	}
	r.Network.Attempts = []receipt.Attempt{{Dst: "a.example:443", Protocol: "tcp", Result: "denied", Source: receipt.SourceProxy}}
	got := page(r)
	for _, want := range []string{
		`<a href="#workspace">Workspace</a>`, "/home/ann/ws: 1 added, 1 changed, 1 deleted, 1 refused; not applied, kept in /home/ann/r.tar",
		"<td>new</td><td>added</td>", "<td>d/&lt;old&gt;</td><td>changed</td>", "<td>gone</td><td>deleted</td>", "<td>l</td><td>refused: a link</td>",
		"<td>a.example:443, b.example:443</td><td>denied</td><td>no rule</td>", `"kind":"tried by the proxy"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("without %s", want)
		}
	}
	if got := page(sample()); strings.Contains(got, "orkspace") || strings.Contains(got, "What the proxy") {
		t.Error("a workspace or a proxy where there is none")
	}
}

// large has many processes, each the child of one before it, and many files.
func large(processes, files int) *receipt.Receipt {
	r := sample()
	r.ProcessTree = nil
	for i := range processes {
		argv := []string{"step", fmt.Sprint(i)}
		if i == processes-1 {
			argv = []string{"step", "last-one"}
		}
		p := receipt.Process{
			PID: int32(1000 + i), PPID: int32(1000 + max(0, i-1-i%3)), StartTime: uint64(i + 1), Exe: "/usr/bin/step", Argv: argv,
			StartedAt: at(i), ExitCode: ptr(i % 7),
			Execs: []receipt.Exec{{Exe: "/usr/bin/step", Argv: argv, At: at(i)}},
		}
		p.EndedAt = ptr(at(i + 1 + i%50*10))
		r.ProcessTree = append(r.ProcessTree, p)
	}
	// In the order of the tree, too.
	for i := range r.ProcessTree {
		if i > 0 {
			r.ProcessTree[i].PPID = 1000
			r.ProcessTree[0].EndedAt = nil
		}
	}
	r.Filesystem = receipt.Filesystem{}
	for i := range files {
		path := fmt.Sprintf("/build/folder-%02d/file-%06d", i*100/files, i)
		r.Filesystem.Files = append(r.Filesystem.Files, receipt.FileEntry{Path: path, Opens: 1, Read: true, BytesRead: uint64(i)})
	}
	return r
}

// hostile are texts that would be something else than text, if they could.
var hostile = []string{
	"</script><script>window.evil=1</script>",
	`"onmouseover=window.evil=1 x="`,
	"<img src=x onerror=window.evil=1>",
	"<!--<script>evil",
	"]]></style><style>*{display:none}</style>evil",
	"javascript:window.evil=1",
	"{{.Command}}${window.evil=1}`evil",
	"evil\n\r\x00\x1b[31m\u2028",
	"\u202efdp.exe\u2066evil",
	"שלום evil",
	"&lt;evil&gt;",
	"toString", "__proto__",
}

func everywhere(s string) *receipt.Receipt {
	r := sample()
	r.ExecutionID = s
	r.Command = receipt.Command{Argv: []string{s}, WorkingDir: s, User: s, Exe: s}
	r.Outcome = receipt.Outcome{Signal: &s, Error: &s}
	r.Environment = receipt.Environment{OS: s, Arch: s, Kernel: s, GlasshouseVersion: s}
	r.Execution = receipt.Execution{Backend: s, Guest: []receipt.Duty{{Name: s, Outcome: s, Error: &s}}}
	r.Observation = receipt.Observation{
		Mode: s, Reason: &s, Events: receipt.Events{Lost: map[string]uint64{s: 1}}, Hooks: []receipt.Hook{{Name: s, Error: &s}},
		Gaps: []receipt.Gap{{Kind: s, Detail: s}}, Survivors: []receipt.Survivor{{Exe: s}},
	}
	r.ProcessTree = []receipt.Process{{
		PID: 1, Exe: s, Argv: []string{s, s}, WorkingDir: s, Signal: &s, StartedAt: at(1),
		Execs: []receipt.Exec{{Exe: "/x", Argv: []string{s}, Requested: s, Interpreter: &s, WorkingDir: s, At: at(2)}},
	}}
	r.ExecFailures = []receipt.ExecFail{{Path: s, Argv: []string{s}, Errno: s}}
	r.Filesystem = receipt.Filesystem{
		Reads: []string{"/" + s}, Created: []receipt.Created{{Path: s, Kind: s, Target: &s}}, Renames: []receipt.Rename{{From: s, To: s}},
		Changed: []receipt.Changed{{Path: s, What: s}}, Mounts: []receipt.Mount{{Op: s, Path: s, From: &s}},
		Failed: []receipt.FailedOp{{Op: s, Path: s, To: s, Errno: s}},
		Files:  []receipt.FileEntry{{Path: s, Requested: []string{s}}, {Path: "/" + s + "/" + s}},
	}
	r.Network = receipt.Network{
		Attempts: []receipt.Attempt{{Dst: s, Protocol: s, Result: s, Policy: s, Host: &s}}, Listens: []receipt.Listen{{Addr: s, Protocol: s}},
		Accepts: []receipt.Accept{{Src: s, Addr: s, Protocol: s}}, DNS: []receipt.DNSQuery{{Name: s, Type: s, Server: s}},
	}
	r.Syscalls = receipt.Syscalls{Counts: map[string]uint64{s: 1}, Denied: []string{s}}
	r.Redactions = []receipt.Redaction{{Rule: s, Commitment: s}}
	return r
}

// dataIn is the JSON of a report.
func dataIn(t *testing.T, report []byte) map[string]any {
	t.Helper()
	m := regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`).FindSubmatch(report)
	if m == nil {
		t.Fatal("the report has no data")
	}
	var v map[string]any
	if err := json.Unmarshal(m[1], &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestBytes looks at the document where there is no browser.
func TestBytes(t *testing.T) {
	for _, s := range hostile {
		var out bytes.Buffer
		if err := html.Write(&out, everywhere(s)); err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(bytes.ToLower(out.Bytes()), []byte("<script")); n != 2 {
			t.Errorf("%q: %d script tags", s, n)
		}
		if n := bytes.Count(out.Bytes(), []byte("</style")); n != 1 {
			t.Errorf("%q: %d ends of the style", s, n)
		}
		if strings.ContainsAny(s, `<&"`) && bytes.Contains(out.Bytes(), []byte(s)) {
			t.Errorf("%q stands as it is", s)
		}
		dataIn(t, out.Bytes())
	}
}

// TestUnusual: what a reader has to know stands above what was not seen.
func TestUnusual(t *testing.T) {
	written := func(r *receipt.Receipt) string {
		var out bytes.Buffer
		if err := html.Write(&out, r); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	section := func(r *receipt.Receipt) string {
		_, rest, _ := strings.Cut(written(r), `<section id="unusual">`)
		text, _, found := strings.Cut(rest, `<section id="unseen">`)
		if !found {
			return "no such section"
		}
		return text
	}
	r := sample()
	r.Filesystem.Reads = append(r.Filesystem.Reads, "/etc/shadow")
	r.Filesystem.Files = append(r.Filesystem.Files, receipt.FileEntry{Path: "/etc/shadow", Read: true})
	got := section(r)
	for _, want := range []string{"read a file that holds secrets", "<li>/etc/shadow</li>", "outlived the recording"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	for _, said := range []string{"not all was observed", "could not be seen", "taken out of arguments"} {
		if strings.Contains(got, said) {
			t.Errorf("%q stands elsewhere already: %s", said, got)
		}
	}
	if got := section(&receipt.Receipt{Observation: receipt.Observation{Mode: "ebpf", Complete: true}}); !strings.Contains(got, "Nothing") {
		t.Errorf("got %s", got)
	}
	if got := section(&receipt.Receipt{Observation: receipt.Observation{Mode: "none"}}); got != "no such section" {
		t.Errorf("of what nobody watched nothing is claimed: %s", got)
	}
}

// TestFailuresFolded: a search along PATH by many processes is a row for each
// place, not one for each process.
func TestFailuresFolded(t *testing.T) {
	r := sample()
	r.ExecFailures = []receipt.ExecFail{
		{PID: 10, Path: "/a/cc", Argv: []string{"cc", "x"}, Errno: "ENOENT", Count: 2},
		{PID: 11, Path: "/a/cc", Argv: []string{"cc", "x"}, Errno: "ENOENT", Count: 1},
		{PID: 11, Path: "/a/cc", Argv: []string{"cc", "y"}, Errno: "ENOENT", Count: 1},
		{PID: 11, Path: "/a/cc", Argv: []string{"cc", "x"}, Errno: "EACCES", Count: 1},
	}
	var out bytes.Buffer
	if err := html.Write(&out, r); err != nil {
		t.Fatal(err)
	}
	want := []any{
		map[string]any{"path": "/a/cc", "errno": "ENOENT", "count": 4.0, "pids": []any{10.0, 11.0}, "argvs": []any{[]any{"cc", "x"}, []any{"cc", "y"}}},
		map[string]any{"path": "/a/cc", "errno": "EACCES", "count": 1.0, "pids": []any{11.0}, "argvs": []any{[]any{"cc", "x"}}},
	}
	if diff := cmp.Diff(want, dataIn(t, out.Bytes())["exec_failures"]); diff != "" {
		t.Error(diff)
	}
}

func TestWriteError(t *testing.T) {
	broken := errors.New("broken")
	if err := html.Write(failing{broken}, sample()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// FuzzWrite: what can be read can be written, with all processes, and with no
// more scripts than the report's own.
func FuzzWrite(f *testing.F) {
	for _, r := range []*receipt.Receipt{sample(), everywhere(hostile[0])} {
		var seed bytes.Buffer
		if err := receipt.Encode(&seed, r); err != nil {
			f.Fatal(err)
		}
		f.Add(seed.Bytes())
	}
	f.Add([]byte(`{"receipt_version":"v0.2","process_tree":[{"pid":1,"ppid":1},{"pid":1,"ppid":1}],"filesystem":{"read":["","/","//","a/b"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := receipt.Read(bytes.NewReader(data))
		if err != nil {
			t.Skip()
		}
		var out bytes.Buffer
		if err := html.Write(&out, r); err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(bytes.ToLower(out.Bytes()), []byte("<script")); n != 2 {
			t.Errorf("%d script tags", n)
		}
		list := dataIn(t, out.Bytes())["processes"].([]any)
		if len(list) != len(r.ProcessTree) {
			t.Errorf("%d processes, want %d", len(list), len(r.ProcessTree))
		}
		for i, p := range list {
			if parent := p.(map[string]any)["parent"].(float64); parent < -1 || parent >= float64(i) {
				t.Errorf("process %d is below %v", i, parent)
			}
		}
	})
}
