package show

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glasshouse/internal/term"
	"glasshouse/receipt"
)

var update = flag.Bool("update", false, "write the pages in testdata anew")

func read(t testing.TB, name string) *receipt.Receipt {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := receipt.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPage compares with pages that somebody has looked at: look at them again
// after -update.
func TestPage(t *testing.T) {
	for _, tc := range []struct {
		receipt, look string
		o             Options
	}{
		{"demo", "40", Options{Width: 40, Unicode: true}},
		{"demo", "80", Options{Width: 80, Unicode: true}},
		{"demo", "120", Options{Width: 120, Unicode: true}},
		{"demo", "80-ascii", Options{Width: 80}},
		{"demo", "80-color", Options{Width: 80, Unicode: true, Color: true}},
		{"rough", "40-ascii", Options{Width: 40}},
		{"rough", "80", Options{Width: 80, Unicode: true}},
		{"rough", "120-color", Options{Width: 120, Unicode: true, Color: true}},
	} {
		t.Run(tc.receipt+"/"+tc.look, func(t *testing.T) {
			got := Page(read(t, tc.receipt), tc.o)
			check(t, got, tc.o)
			if strings.Contains(colors.ReplaceAllString(got, ""), " \n") {
				t.Error("a line ends with a space")
			}
			golden := filepath.Join("testdata", tc.receipt+"."+tc.look+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

var colors = regexp.MustCompile("\x1b\\[[0-9]+m")

// check holds what is so for every page.
func check(t *testing.T, page string, o Options) {
	t.Helper()
	text := page
	if o.Color {
		text = colors.ReplaceAllString(page, "")
	}
	lines := strings.Split(text, "\n")
	if len(lines) > 400 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		clean := term.Printable(line)
		if !o.Unicode {
			clean = term.PrintableASCII(line)
		}
		if clean != line {
			t.Errorf("line %q is not printable", line)
		}
		if w := term.Width(line); w > o.Width {
			t.Errorf("line %q takes %d cells of %d", line, w, o.Width)
		}
	}
}

// What a page of a small receipt begins with, and what it does without.
func TestSmallPages(t *testing.T) {
	for _, tc := range []struct {
		name, json  string
		has, hasNot []string
	}{
		{"nothing", `{"receipt_version":"v0.3"}`,
			[]string{"Exited with 0", "The receipt does not say how well it was seen"}, []string{"UNUSUAL", "PROCESSES", "FILES", "NETWORK"}},
		{"v0.2", `{"receipt_version":"v0.2","command":{"argv":["true"]},"process_tree":[{"pid":7,"ppid":1,"exe":"/bin/true","argv":["true"]}],"filesystem":{"reads":["/etc/a"],"writes":["/tmp/b"]}}`,
			[]string{"$ true\n", "true                                                       7         ?", "/etc ", "  ~ b\n"}, []string{"as user", "fork"}},
		{"missing", `{"receipt_version":"v0.3","outcome":{"exit_code":1,"error":"no such file"},"observation":{"mode":"ebpf","complete":true,"events":{"emitted":1,"received":1}}}`,
			[]string{"Not started, exit code 1: no such file", "Watched: 1 event, none lost", "UNUSUAL  nothing"}, nil},
		{"by the proxy", `{"receipt_version":"v0.3","network":{"attempts":[{"dst":"127.0.0.1:80","protocol":"tcp","result":"connected","policy":"allowed","host":"a.example","source":"proxy"},
			{"dst":"b.example:443","protocol":"tcp","result":"denied","policy":"denied","host":"b.example","source":"proxy","count":2},{"dst":"127.0.0.1:3128","protocol":"tcp","result":"connected","count":3}]}}`,
			[]string{"a.example (127.0.0.1), by the proxy", ":80 tcp connected\n", "b.example, by the proxy", ":443 tcp denied ×2\n", "127.0.0.1 ", ":3128 tcp connected ×3\n", "b.example:443 denied"}, nil},
		{"a workspace", `{"receipt_version":"v0.3","execution":{"vm":{"workspace":{"path":"/home/ann/ws","added":["new"],"changed":["old","d/old"],"deleted":[],"kept":"/home/ann/receipt.workspace.tar",
			"refused":[{"path":"l\u001b","reason":"a link"},{"path":"b","reason":"x"},{"path":"c","reason":"x"},{"path":"d","reason":"x"},{"path":"e","reason":"x"}]}}}}`,
			[]string{"\nWORKSPACE  /home/ann/ws\n1 added, 2 changed, 5 refused; not applied, kept in\n/home/ann/receipt.workspace.tar\n", "\n  refused l\\x1b: a link\n  refused b: x\n  refused c: x\n  … and 2 more\n"}, nil},
		{"a workspace as it was", `{"receipt_version":"v0.3","execution":{"vm":{"workspace":{"path":"/w"}}}}`, []string{"\nWORKSPACE  /w\nunchanged\n\n"}, []string{"refused"}},
		{"why the proxy refused", `{"receipt_version":"v0.3","network":{"attempts":[{"dst":"b.example:443","protocol":"tcp","result":"denied","host":"b.example","source":"proxy"}]},"execution":{"vm":{"proxy":{"requests":[
			{"host":"b.example","port":443,"result":"denied","reason":"no --net-allow names it"},{"host":"a.example","port":80,"result":"denied","reason":"no --net-allow names it"},{"host":"c.example","port":80,"result":"failed","reason":"no such host"},{"host":"d.example","port":80,"result":"connected"}]}}}}`,
			[]string{"b.example, by the proxy", "\nproxy    a.example:80, b.example:443 denied: no --net-allow names it\nproxy    c.example:80 failed: no such host\n"}, []string{"d.example"}},
		{"nothing to explain", `{"receipt_version":"v0.3","process_tree":[{"pid":7,"ppid":1}],"filesystem":{"reads":["/etc/a"],"writes":["/tmp/b"],"deletes":["/tmp/b"],"created":[{"path":"/tmp/b","kind":"file"}],
			"files":[{"path":"/tmp/b","written":true,"deleted":true}]}}`,
			[]string{"\nFILES     ", "    1 made and gone again by the end\n"}, []string{"+ made", "+N"}},
		{"one output", `{"receipt_version":"v0.3","artifacts":{"stdout_hash":"0123456789abcdef","stderr_hash":"0123456789abcdef","stdout_bytes":4,"stderr_bytes":4}}`,
			[]string{"\noutput: stdout and stderr the same, 4 B sha256:0123456789ab\n"}, nil},
		{"no output", `{"receipt_version":"v0.3","artifacts":{"stdout_hash":"0123456789abcdef","stderr_hash":"0123456789abcdef","stdout_bytes":0,"stderr_bytes":0}}`,
			[]string{"\noutput: stdout 0 B, stderr 0 B\n"}, nil},
		{"not observed", `{"receipt_version":"v0.3","observation":{"mode":"none","reason":"no right"}}`,
			[]string{"Not observed: no right"}, []string{"UNUSUAL", "nothing was observed"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := receipt.Read(strings.NewReader(tc.json))
			if err != nil {
				t.Fatal(err)
			}
			o := Options{Width: 80, Unicode: true}
			page := Page(r, o)
			check(t, page, o)
			for _, s := range tc.has {
				if !strings.Contains(page, s) {
					t.Errorf("without %q:\n%s", s, page)
				}
			}
			for _, s := range tc.hasNot {
				if strings.Contains(page, s) {
					t.Errorf("with %q:\n%s", s, page)
				}
			}
		})
	}
}

// Of processes that have no line, the line that stands for them and no other is
// explained.
func TestHiddenProcesses(t *testing.T) {
	for _, tc := range []struct {
		name, has, hasNot string
		parent            func(i int32) int32
	}{
		{"below each other", "(+", "", func(i int32) int32 { return i - 1 }},
		{"beside each other", " more (--processes lists all)\n", "+N", func(int32) int32 { return 1 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &receipt.Receipt{ReceiptVersion: receipt.Version}
			for i := int32(1); i <= 200; i++ {
				r.ProcessTree = append(r.ProcessTree, receipt.Process{PID: i, PPID: tc.parent(i), Exe: fmt.Sprintf("/bin/x%d", i), Argv: []string{fmt.Sprintf("x%d", i)}})
			}
			r.ProcessTree[0].PPID = 0
			o := Options{Width: 80, Unicode: true}
			page := Page(r, o)
			check(t, page, o)
			if !strings.Contains(page, tc.has) || strings.Contains(page, "+N: ") != strings.Contains(page, "(+") || tc.hasNot != "" && strings.Contains(page, tc.hasNot) {
				t.Error(page)
			}
		})
	}
}

func list(write func(*bufio.Writer)) string {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	write(w)
	w.Flush()
	return b.String()
}

func TestPaths(t *testing.T) {
	r := &receipt.Receipt{}
	r.Filesystem = receipt.Filesystem{
		Reads: []string{"/a", "/b\nc"}, Deletes: []string{"/d"},
		Files: []receipt.FileEntry{
			{Path: "/a", Read: true}, {Path: "/b\nc", Read: true, Written: true}, {Path: `/\xff`, Read: true}, {Path: `/\xff`, PathBytes: []byte("/\xff"), Read: true},
			{Path: "/x", Executed: true}, {Path: "pipe:[1]", Read: true}, {Path: "/cut", PathCut: true, Read: true},
		},
	}
	for _, tc := range []struct {
		kind string
		end  byte
		safe bool
		want string
	}{
		{"all", '\n', false, "/\xff\n/\\xff\n/a\n/b\nc\n/d\n/x\n"},
		{"all", '\n', true, "/\\xff\n/a\n/b\\nc\n/d\n/x\n"},
		{"read", 0, false, "/\xff\x00/\\xff\x00/a\x00/b\nc\x00"},
		{"written", 0, false, "/b\nc\x00"},
		{"deleted", '\n', false, "/d\n"},
		{"executed", '\n', false, "/x\n"},
	} {
		if got := list(func(w *bufio.Writer) { Paths(w, r, tc.kind, tc.end, tc.safe) }); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.kind, got, tc.want)
		}
	}
}

func TestHosts(t *testing.T) {
	name := "a.example"
	r := &receipt.Receipt{}
	r.Network.Attempts = []receipt.Attempt{
		{Dst: "[2001:db8::1]:80", Protocol: "tcp", Result: "refused", Count: 2},
		{Dst: "192.0.2.1:80", Protocol: "tcp", Result: "connected", Count: 1, Host: &name},
		{Dst: "unix:/x", Protocol: "unix", Result: "connected", Count: 1},
		{Dst: "odd\t\n", Protocol: "x", Result: "failed", Count: 1},
	}
	const want = "a.example\t192.0.2.1:80\ttcp\tconnected\t1\n2001:db8::1\t[2001:db8::1]:80\ttcp\trefused\t2\nodd\\t\\n\todd\\t\\n\tx\tfailed\t1\n"
	if got := list(func(w *bufio.Writer) { Hosts(w, r) }); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProcesses(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	end, code := receipt.At(start.Add(1500*time.Millisecond)), 3
	r := &receipt.Receipt{ProcessTree: []receipt.Process{
		{PID: 1, PPID: 0, Argv: []string{"sh", "-c", "echo it's\n", ""}, StartedAt: receipt.At(start), EndedAt: &end, ExitCode: &code},
		{PID: 2, PPID: 1, Exe: "/bin/x"},
	}}
	const want = "1\t0\t3\t1500\tsh -c 'echo it'\\''s\\n' ''\n2\t1\t?\t?\t/bin/x\n"
	if got := list(func(w *bufio.Writer) { Processes(w, r) }); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestSpeed: a receipt with many files is shown in time.
func TestManyFiles(t *testing.T) {
	r := many(100_000)
	start := time.Now()
	page := Page(r, Options{Width: 80, Unicode: true})
	check(t, page, Options{Width: 80, Unicode: true})
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
}

func many(n int) *receipt.Receipt {
	r := &receipt.Receipt{ReceiptVersion: receipt.Version}
	r.Command.WorkingDir = "/home/ann/app"
	r.Observation = receipt.Observation{Mode: "ebpf", Complete: true}
	for i := range n {
		p := fmt.Sprintf("/%s/%d/%d/file-%d", []string{"home/ann/app/src", "usr/lib", "srv", "tmp/x"}[i%4], i%31, i%1009, i)
		if i%3 == 0 {
			r.Filesystem.Writes = append(r.Filesystem.Writes, p)
			r.Filesystem.Created = append(r.Filesystem.Created, receipt.Created{Path: p, Kind: "file"})
		} else {
			r.Filesystem.Reads = append(r.Filesystem.Reads, p)
		}
		r.Filesystem.Files = append(r.Filesystem.Files, receipt.FileEntry{Path: p, Read: i%3 != 0, Written: i%3 == 0, Deleted: i%6 == 0})
	}
	return r
}

func BenchmarkPage(b *testing.B) {
	r := many(100_000)
	b.ReportAllocs()
	for b.Loop() {
		Page(r, Options{Width: 80, Unicode: true})
	}
}

// FuzzPage: whatever receipt.Read takes has a page.
func FuzzPage(f *testing.F) {
	for _, name := range []string{"demo", "rough"} {
		f.Add(seed(f, name), 80, true, true)
		f.Add(seed(f, name), 32, false, false)
	}
	f.Add([]byte(`{"receipt_version":"v0.2","process_tree":[{"pid":1,"ppid":2},{"pid":2,"ppid":1},null],"filesystem":{"reads":["","/","//","/a/..","x"]}}`), 40, true, false)
	f.Add([]byte(`{"receipt_version":"v0.3","network":{"attempts":[{"dst":""},{"dst":":"},{"dst":"[::1%x]:1","count":18446744073709551615}]},"observation":{"gaps":[{"kind":""},{"kind":"日本"}]}}`), 40, true, false)
	f.Fuzz(func(t *testing.T, data []byte, width int, unicode, color bool) {
		r, err := receipt.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		o := Options{Width: max(narrowest, min(width, widest)), Unicode: unicode, Color: color}
		check(t, Page(r, o), o)
		list(func(w *bufio.Writer) {
			Paths(w, r, "all", 0, false)
			Paths(w, r, "written", '\n', true)
			Hosts(w, r)
			Processes(w, r)
		})
	})
}

// seed is a small part of a receipt, with something of each.
func seed(f *testing.F, name string) []byte {
	r := read(f, name)
	r.ProcessTree = r.ProcessTree[:5]
	r.Processes = nil
	r.Filesystem.Files = r.Filesystem.Files[:min(5, len(r.Filesystem.Files))]
	r.Filesystem.Failed, r.Filesystem.Read, r.Filesystem.Written = nil, nil, nil
	r.Filesystem.Reads = r.Filesystem.Reads[:3]
	r.Observation.Hooks = nil
	r.Network.Connections = nil
	r.Network.Attempts = r.Network.Attempts[:4]
	data, err := json.Marshal(r)
	if err != nil {
		f.Fatal(err)
	}
	return data
}
