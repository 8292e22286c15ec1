package github

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"

	"glasshouse/receipt"
)

var update = flag.Bool("update", false, "write the golden files anew")

func ptr[T any](v T) *T { return &v }

func sample() *receipt.Receipt {
	r := &receipt.Receipt{
		ExecutionID: "abc123",
		Environment: receipt.Environment{GlasshouseVersion: "v1.2.3"},
		Command:     receipt.Command{Argv: []string{"sh", "-c", "echo it's; exit 3", ""}},
		Outcome:     receipt.Outcome{ExitCode: 3},
		Timing:      receipt.Timing{DurationMS: 1234, CPUTimeMS: 56},
		Resources:   receipt.Resources{MaxRSSKB: 2048},
		Observation: receipt.Observation{
			Mode: "ebpf", Reason: ptr("2 events lost: ring_full"),
			Events:    receipt.Events{Emitted: 42, Received: 40, Lost: map[string]uint64{"ring_full": 2}},
			Gaps:      []receipt.Gap{{Kind: "daemon", Detail: "/run/docker.sock", Count: 1}, {Kind: "root", Detail: "as root", Count: 3}},
			Survivors: []receipt.Survivor{{PID: 13, Exe: "/usr/bin/sleep"}},
		},
		ProcessTree: []receipt.Process{
			{PID: 10, Argv: []string{"sh", "-c", "exit 3"}, ExitCode: ptr(3)},
			{PID: 11, Exe: "/usr/bin/true", ExitCode: ptr(0)},
			{PID: 12, Exe: "/usr/bin/yes", Signal: ptr("SIGKILL")},
			{PID: 13, Exe: "/usr/bin/sleep"},
		},
		ExecFailures: []receipt.ExecFail{
			{PID: 10, Path: "/bin/no", Errno: "ENOENT", Count: 1},
			{PID: 11, Path: "/bin/no", Errno: "ENOENT", Count: 2},
			{PID: 11, Path: "/bin/no", Errno: "EACCES", Count: 1},
		},
		Filesystem: receipt.Filesystem{
			Reads: []string{"/etc/passwd"}, Deletes: []string{"/tmp/gone"},
		},
		Network: receipt.Network{
			BytesSent: 5, BytesReceived: 6,
			Attempts: []receipt.Attempt{
				{Dst: "b.example:443", Protocol: "tcp", Result: "denied", Policy: "denied", Count: 1, Source: receipt.SourceProxy},
				{Dst: "192.0.2.1:443", Protocol: "tcp", Result: "connected", PID: 10, Count: 1, Host: ptr("example.org")},
				{Dst: "unix:/run/docker.sock", Protocol: "unix", Result: "refused", PID: 10, Count: 4},
			},
		},
		Redactions: []receipt.Redaction{{ID: 1}},
	}
	for i := range maxEntries + 2 {
		r.Filesystem.Writes = append(r.Filesystem.Writes, fmt.Sprintf("/out/%03d", i))
	}
	return r
}

func write(t *testing.T, r *receipt.Receipt) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestGolden(t *testing.T) {
	unobserved := &receipt.Receipt{
		Command:     receipt.Command{Argv: []string{"true"}},
		Outcome:     receipt.Outcome{ExitCode: 143, Signal: ptr("SIGTERM"), Error: ptr("time limit reached")},
		Observation: receipt.Observation{Mode: "none", Reason: ptr("not root")},
	}
	whole := &receipt.Receipt{
		Command:     receipt.Command{Argv: []string{"true"}},
		Observation: receipt.Observation{Mode: "ebpf", Complete: true, Events: receipt.Events{Emitted: 7, Received: 7}},
	}
	traced := &receipt.Receipt{
		Command:     receipt.Command{Argv: []string{"true"}},
		Observation: receipt.Observation{Mode: "ptrace", Complete: true, Events: receipt.Events{Emitted: 7, Received: 7}},
	}
	for name, r := range map[string]*receipt.Receipt{"sample": sample(), "unobserved": unobserved, "complete": whole, "traced": traced} {
		t.Run(name, func(t *testing.T) {
			got, file := write(t, r), "testdata/"+name+".md"
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestUnusual: what a reader has to know stands above the numbers, unfolded.
func TestUnusual(t *testing.T) {
	r := sample()
	r.Filesystem.Files = []receipt.FileEntry{{Path: "/etc/shadow", Read: true}}
	r.Filesystem.Reads = []string{"/etc/shadow"}
	md := write(t, r)
	head, _, _ := strings.Cut(md, "| | |")
	for _, want := range []string{"**Unusual:**", "- **read a file that holds secrets**: `/etc/shadow`\n", "- **1 process outlived the recording**: `13 /usr/bin/sleep`\n"} {
		if !strings.Contains(head, want) {
			t.Errorf("no %q in %s", want, head)
		}
	}
	if strings.Contains(head, "could not be seen") {
		t.Errorf("what was not seen has a list of its own: %s", head)
	}
}

// hostile are texts that would be something else than text, if they could.
var hostile = []string{
	"evil | evil", "evil\n\n# evil\n", "evil\r- evil", "`evil`", "``evil", "evil `` ``` evil", " evil ", "`", " ",
	"<script>evil()</script>", "</details><b>evil", "<!-- evil", "[evil](https://evil.example)", "![](https://evil.example/x.png)",
	"https://evil.example", "www.evil.example", "evil@evil.example", "@evil", "#1", "**evil**", "&lt;evil&#62;", `\evil\`, "| evil |\n|---|\n",
	"\u202eevil\u2066", "\x00evil\x1b[31m", "evil\u2028", "évil 世界",
}

func everywhere(s string) *receipt.Receipt {
	r := sample()
	r.ExecutionID, r.Environment.GlasshouseVersion = s, s
	r.Command.Argv = []string{s}
	r.Outcome.Signal, r.Outcome.Error, r.Observation.Reason = &s, &s, &s
	r.Observation.Gaps = []receipt.Gap{{Kind: s, Detail: s, Count: 1}}
	r.Observation.Survivors = []receipt.Survivor{{Exe: s}}
	r.ProcessTree = []receipt.Process{{Exe: s, Signal: &s}}
	r.ExecFailures = []receipt.ExecFail{{Path: s, Errno: s, Count: 1}}
	r.Filesystem.Writes, r.Filesystem.Deletes = []string{s}, []string{s}
	r.Network.Attempts = []receipt.Attempt{{Dst: s, Protocol: s, Result: s, Count: 1, Host: &s}}
	return r
}

// inEverywhere is how often everywhere puts its text as it is.
const inEverywhere = 18

func TestHostileText(t *testing.T) {
	for _, s := range hostile {
		t.Run(s, func(t *testing.T) {
			md := write(t, everywhere(s))
			got := quoted(t, []byte(md))
			n := 0
			for _, q := range got {
				if q == printable(s) {
					n++
				}
			}
			if s == " " {
				return // a span of spaces has no padding to take off
			}
			if n < inEverywhere {
				t.Errorf("%d times as it is, want %d, in %q of\n%s", n, inEverywhere, got, md)
			}
		})
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 世":                       "plain é 世",
		"a\nb\u202e":                      `a\nb\u202e`,
		strings.Repeat("x", maxText+1):    strings.Repeat("x", maxText) + "...",
		strings.Repeat("\x00", maxText):   strings.Repeat(`\x00`, maxText/4) + "...",
		strings.Repeat("\x00", maxText/4): strings.Repeat(`\x00`, maxText/4),
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// ours is all of HTML that a summary may have.
var ours = []string{
	"What was not seen", "Processes that failed", "Programs that could not be started", "Files written", "Files deleted",
	"Addresses tried", "Still running at the end",
}

// quoted reads Markdown as GitHub does and returns its code spans. Anything
// else that comes of the text in them fails the test.
func quoted(t *testing.T, md []byte) []string {
	t.Helper()
	var spans []string
	doc := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(md))
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.CodeSpan:
			var b strings.Builder
			for c := n.FirstChild(); c != nil; c = c.NextSibling() {
				b.Write(c.(*ast.Text).Segment.Value(md))
			}
			spans = append(spans, b.String())
			return ast.WalkSkipChildren, nil
		case *ast.Text:
			if bytes.Contains(n.Segment.Value(md), []byte("evil")) {
				t.Errorf("text outside of code: %q", n.Segment.Value(md))
			}
		case *ast.HTMLBlock:
			for i := range n.Lines().Len() {
				line := n.Lines().At(i)
				checkHTML(t, strings.TrimSpace(string(line.Value(md))))
			}
		case *ast.Heading:
			if n.Level != 2 {
				t.Errorf("a heading of level %d", n.Level)
			}
		case *ast.Document, *ast.Paragraph, *ast.TextBlock, *ast.List, *ast.ListItem, *ast.Emphasis,
			*extast.Table, *extast.TableHeader, *extast.TableRow, *extast.TableCell:
		default:
			t.Errorf("%s is not ours", n.Kind())
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return spans
}

func checkHTML(t *testing.T, line string) {
	t.Helper()
	if line == "" || line == "<details>" || line == "</details>" {
		return
	}
	summary, ok := strings.CutPrefix(line, "<summary>")
	title, _, _ := strings.Cut(summary, ":")
	if !ok || !slices.Contains(ours, title) {
		t.Errorf("HTML that is not ours: %s", line)
	}
}

// TestLimit has as much of everything as a summary shows, and more.
func TestLimit(t *testing.T) {
	for _, c := range []string{"世", "\U0001f600", "\U0010ffff", "`", "x"} {
		long := strings.Repeat(c, 10_000)
		r := everywhere(long)
		repeat := 4 * maxEntries
		r.Observation.Gaps = slices.Repeat(r.Observation.Gaps, repeat)
		r.Observation.Survivors = slices.Repeat(r.Observation.Survivors, repeat)
		r.ProcessTree = slices.Repeat(r.ProcessTree, repeat)
		r.ExecFailures = nil
		for i := range repeat {
			r.ExecFailures = append(r.ExecFailures, receipt.ExecFail{Path: fmt.Sprint(i, long), Errno: long, Count: 1})
		}
		r.Filesystem.Writes = slices.Repeat(r.Filesystem.Writes, repeat)
		r.Filesystem.Deletes = slices.Repeat(r.Filesystem.Deletes, repeat)
		r.Network.Attempts = slices.Repeat(r.Network.Attempts, repeat)
		md := write(t, r)
		t.Logf("%q: %d bytes", c, len(md))
		if len(md) >= 1<<20 {
			t.Errorf("%q: %d bytes", c, len(md))
		}
		if n := strings.Count(md, fmt.Sprintf("and %d more", repeat-maxEntries)); n != len(ours) {
			t.Errorf("%q: %d lists say that they are cut, want %d", c, n, len(ours))
		}
	}
}

func TestWriteError(t *testing.T) {
	broken := errors.New("broken")
	if err := Write(failing{broken}, sample()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
