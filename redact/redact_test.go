package redact_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glasshouse/receipt"
	"glasshouse/redact"
)

// counting is a source of salts that can be foreseen.
func counting() func() []byte {
	n := byte(0)
	return func() []byte {
		n++
		return bytes.Repeat([]byte{n}, redact.SaltLen)
	}
}

func commitment(salt, secret string) string {
	raw, _ := hex.DecodeString(salt)
	sum := sha256.Sum256(append(raw, secret...))
	return hex.EncodeToString(sum[:])
}

// A secret has one entry wherever it stands, in the order of the arguments.
func TestEntries(t *testing.T) {
	r, err := redact.New(redact.Options{Salt: counting()})
	if err != nil {
		t.Fatal(err)
	}
	target := "/s/hunter2hunter2"
	rec := &receipt.Receipt{
		Command: receipt.Command{Argv: []string{"env", "A_TOKEN=hunter2hunter2", "B_TOKEN=short", "c"}},
		ProcessTree: []receipt.Process{
			{PID: 9, StartTime: 2, Argv: []string{"x", "--password", "third-one"}},
			{PID: 8, StartTime: 1, Argv: []string{"x", "short", "hunter2hunter2"}, Execs: []receipt.Exec{
				{Argv: []string{"c", "--token=short"}, Requested: "/tmp/hunter2hunter2"}, {Argv: []string{"x", "short", "hunter2hunter2"}},
			}},
		},
		Filesystem: receipt.Filesystem{
			Reads:   []string{"/b", "/a/hunter2hunter2"},
			Created: []receipt.Created{{Path: "/x", Kind: "symlink", Target: &target, Source: receipt.SourceKernel}},
		},
	}
	r.Receipt(rec)
	want := []receipt.Redaction{
		{ID: 1, Rule: "assignment", Salt: strings.Repeat("01", 16), Commitment: commitment(strings.Repeat("01", 16), "hunter2hunter2"), Places: []string{
			"/command/argv/1", "/process_tree/0/argv/2", "/process_tree/0/execs/0/requested", "/process_tree/0/execs/1/argv/2",
			"/filesystem/reads/0", "/filesystem/read/0", "/filesystem/created/0/target", "/processes/0/cmd",
		}},
		{ID: 2, Rule: "assignment", Salt: strings.Repeat("02", 16), Commitment: commitment(strings.Repeat("02", 16), "short"), Places: []string{
			"/command/argv/2", "/process_tree/0/execs/0/argv/1",
		}},
		{ID: 3, Rule: "flag", Salt: strings.Repeat("03", 16), Commitment: commitment(strings.Repeat("03", 16), "third-one"), Places: []string{
			"/process_tree/1/argv/2", "/processes/1/cmd",
		}},
	}
	if diff := cmp.Diff(want, rec.Redactions); diff != "" {
		t.Error(diff)
	}
	if got := rec.ProcessTree[0].Argv; !slices.Equal(got, []string{"x", "short", "[redacted:1]"}) {
		t.Errorf("%q", got)
	}
	if got := r.Text("open /tmp/hunter2hunter2: no; third-one, short"); got != "open /tmp/[redacted:1]: no; [redacted:3], short" {
		t.Errorf("%q", got)
	}
}

// The commitment is over the bytes that the holder knows, not over the form
// that a receipt gives them.
func TestBytes(t *testing.T) {
	const secret = `pass\word\xff1`
	for _, arg := range []string{"--password=" + secret, "--password=" + secret + "\xff", "--note=\xff --token " + secret} {
		rec := redacted(t, redact.Options{}, "x", arg, "\xfe:"+secret+":", "\xfe\\"+"z")
		if len(rec.Redactions) != 1 {
			t.Fatalf("%q: %+v", arg, rec)
		}
		value := secret
		if strings.HasSuffix(arg, "\xff") {
			value += "\xff"
		}
		if e := rec.Redactions[0]; e.Commitment != commitment(e.Salt, value) {
			t.Errorf("%q: the commitment is over something else", arg)
		}
		if got := rec.Command.Argv[2]; value == secret && got != `\xfe:[redacted:1]:` {
			t.Errorf("%q", got)
		}
		if got := rec.Command.Argv[3]; got != `\xfe\\z` {
			t.Errorf("%q", got)
		}
	}
}

// path_bytes go with the path, in whatever state the receipt comes.
func TestPathBytes(t *testing.T) {
	const secret = `hunter2\hunter2`
	file := func(raw string) receipt.FileEntry { return receipt.FileEntry{Path: raw, Source: receipt.SourceKernel} }
	for _, normalised := range []bool{false, true} {
		rec := &receipt.Receipt{
			Command: receipt.Command{Argv: []string{"x", "--password=" + secret}},
			Filesystem: receipt.Filesystem{Files: []receipt.FileEntry{
				file("/\xff/" + secret), file("/\xfe/other"), file("/" + secret), {Path: "/\xfd", Requested: []string{"\xfd" + secret}},
			}},
		}
		if normalised {
			rec.Normalize()
		}
		r, _ := redact.New(redact.Options{})
		r.Receipt(rec)
		data := encode(t, rec)
		back, err := receipt.Read(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		want := []receipt.FileEntry{
			file("/[redacted:1]"),
			{Path: `/\xfd`, PathBytes: []byte("/\xfd"), Requested: []string{`\xfd[redacted:1]`}},
			{Path: `/\xfe/other`, PathBytes: []byte("/\xfe/other"), Source: receipt.SourceKernel},
			{Path: `/\xff/[redacted:1]`, PathBytes: []byte("/\xff/[redacted:1]"), Source: receipt.SourceKernel},
		}
		if diff := cmp.Diff(want, back.Filesystem.Files); diff != "" {
			t.Errorf("normalised %v: %s", normalised, diff)
		}
	}
}

// What looks like a redaction and is none must not pass for one.
func TestMarkers(t *testing.T) {
	rec := &receipt.Receipt{
		Command:    receipt.Command{Argv: []string{"grep", "[redacted:1]", "--password=hunter2hunter2"}},
		Filesystem: receipt.Filesystem{Reads: []string{"/[redacted:7]"}},
	}
	r, _ := redact.New(redact.Options{})
	r.Receipt(rec)
	if want := []string{"grep", "[redacted:1]", "--password=[redacted:2]"}; !slices.Equal(rec.Command.Argv, want) {
		t.Errorf("%q", rec.Command.Argv)
	}
	for i, want := range []struct{ rule, value string }{{"marker", "[redacted:1]"}, {"flag", "hunter2hunter2"}, {"marker", "[redacted:7]"}} {
		if e := rec.Redactions[i]; e.Rule != want.rule || e.Commitment != commitment(e.Salt, want.value) {
			t.Errorf("%d: %+v", i, e)
		}
	}
	if rec.Filesystem.Reads[0] != "/[redacted:3]" {
		t.Errorf("%q", rec.Filesystem.Reads)
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern   string
		arg, want string
	}{
		{"hunter2", "hunter2", "[redacted:1]"},
		{"hunter2", "xhunter2", "xhunter2"},
		{"*unter?", "say hunter2", "[redacted:1]"},
		{"a*c", "a\n\xffbc", "[redacted:1]"},
		{"a.c", "abc", "abc"},
		{"/etc/*", "/etc/passwd", "[redacted:1]"},
		{`/hunter\d/`, "say hunter2!", "say [redacted:1]!"},
		{`/^pin=(\d+)$/`, "pin=1234", "pin=[redacted:1]"},
		{`/pin=(\d+)|x/`, "x", "x"},
		{`/x*/`, "aa", "aa"},
		{`/(?i)SESAME/`, "open sesame", "open [redacted:1]"},
	} {
		rec := redacted(t, redact.Options{Patterns: []string{c.pattern}}, "cmd", c.arg)
		if got := rec.Command.Argv[1]; got != receipt.Text(c.want) {
			t.Errorf("%q on %q: %q, want %q", c.pattern, c.arg, got, c.want)
		}
		if len(rec.Redactions) > 0 && rec.Redactions[0].Rule != redact.RulePattern {
			t.Errorf("%+v", rec.Redactions)
		}
	}
	for _, bad := range []string{"", "//", "/(/", "/a{9999}/"} {
		if _, err := redact.New(redact.Options{Patterns: []string{bad}}); err == nil || !strings.HasPrefix(err.Error(), strconv.Quote(bad)+": ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A weak secret is no reason to hide what has it in its name by chance.
func TestHunted(t *testing.T) {
	for value, hunted := range map[string]bool{
		"short12": false, "password": false, "20240102": false, "2024-01-02": false, "/usr/bin/thing": false,
		"password1": true, "correct horse": true, "abcdefghijklmnop": true, "123456789012": true,
	} {
		rec := &receipt.Receipt{
			Command:    receipt.Command{Argv: []string{"x", "--password", value}},
			Filesystem: receipt.Filesystem{Reads: []string{"/x/" + value + "/y"}},
		}
		r, _ := redact.New(redact.Options{})
		r.Receipt(rec)
		if got := rec.Filesystem.Reads[0] == "/x/[redacted:1]/y"; got != hunted || rec.Command.Argv[2] != "[redacted:1]" {
			t.Errorf("%q: %q, %q", value, rec.Command.Argv, rec.Filesystem.Reads)
		}
	}
}

// The beginning of a long secret is one too; and of secrets that begin alike
// the right one is found.
func TestBeginnings(t *testing.T) {
	long := strings.Repeat("0123456789abcdeF", 20)
	short := long[:20]
	rec := &receipt.Receipt{
		Command:    receipt.Command{Argv: []string{"x", "--token=" + long, "--token=" + short, "--token=" + long + "x", "--token=p%40ssw0rds", "https://u:p%40ssw0rd@h"}},
		Filesystem: receipt.Filesystem{Deletes: []string{long[:100], short + "z", long, long + "x", long + "y", "0" + long[:30], long[:19], "p@ssw0rd"}},
	}
	want := []string{long[:19], "0[redacted:2]" + long[20:30], "[redacted:1]", "[redacted:1]y", "[redacted:2]z", "[redacted:3]", "[redacted:6]"}
	r, _ := redact.New(redact.Options{})
	r.Receipt(rec)
	if diff := cmp.Diff(want, rec.Filesystem.Deletes); diff != "" {
		t.Error(diff)
	}
	if e := rec.Redactions[5]; e.Commitment != commitment(e.Salt, "p@ssw0rd") {
		t.Errorf("%+v", e)
	}
}

// Beyond the limit a secret goes all the same, and a gap says that it is not
// listed.
func TestTooMany(t *testing.T) {
	argv := []string{"x"}
	for i := range 1<<16 + 3 {
		argv = append(argv, "--token="+fmt.Sprintf("t%07dX", i))
	}
	rec := redacted(t, redact.Options{}, argv...)
	if got := rec.Command.Argv[1<<16]; got != "--token=[redacted:65536]" {
		t.Error(got)
	}
	if got := rec.Command.Argv[1<<16+1:]; !slices.Equal(got, []string{"--token=[redacted]", "--token=[redacted]", "--token=[redacted]"}) {
		t.Error(got)
	}
	if got := rec.Observation.Gaps; len(got) != 1 || got[0].Kind != receipt.GapRedaction || got[0].Count != 3 {
		t.Errorf("%+v", got)
	}
	before := encode(t, rec)
	r, _ := redact.New(redact.Options{})
	r.Receipt(rec)
	if !bytes.Equal(before, encode(t, rec)) {
		t.Error("once more changes something")
	}
}

func encode(t testing.TB, rec *receipt.Receipt) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := receipt.Encode(&b, rec); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// resolve is RFC 6901 in short.
func resolve(doc any, pointer string) any {
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch v := doc.(type) {
		case map[string]any:
			doc = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			doc = v[i]
		default:
			return nil
		}
	}
	return doc
}

var markers = regexp.MustCompile(`\[redacted:(\d+)\]`)

// check holds what is true of every redacted receipt: each place leads to a
// string with that redaction, each redaction that stands anywhere is listed,
// and none is twice in the list.
func check(t testing.TB, rec *receipt.Receipt) (data []byte) {
	t.Helper()
	data = encode(t, rec)
	if _, err := receipt.Read(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for i, e := range rec.Redactions {
		if e.ID != i+1 || len(e.Places) == 0 {
			t.Errorf("entry %d: %+v", i, e)
		}
		for _, place := range e.Places {
			s, ok := resolve(doc, place).(string)
			if !ok || !strings.Contains(s, fmt.Sprintf("[redacted:%d]", e.ID)) {
				t.Errorf("%d: %s is %q", e.ID, place, s)
			}
			key := fmt.Sprint(e.ID, " ", place)
			if listed[key] {
				t.Errorf("%s is listed twice", key)
			}
			listed[key] = true
		}
	}
	var all func(at string, v any)
	all = func(at string, v any) {
		switch v := v.(type) {
		case string:
			for _, m := range markers.FindAllStringSubmatch(v, -1) {
				if !listed[m[1]+" "+at] {
					t.Errorf("%s is not listed: %q", at, v)
				}
			}
		case []any:
			for i, e := range v {
				all(fmt.Sprintf("%s/%d", at, i), e)
			}
		case map[string]any:
			for k, e := range v {
				if at == "" && k == "redactions" {
					continue
				}
				all(at+"/"+k, e)
			}
		}
	}
	all("", doc)
	return data
}

// planted is a receipt with secrets wherever a string can hold one.
func planted(r *rand.Rand, secrets []string) *receipt.Receipt {
	pick := func() string { return secrets[r.IntN(len(secrets))] }
	bits := []string{"/", "a", "bin", " ", "\xff", "\\", "é", "--x", "=", ":", "\n", "\"", "etc", "[redacted:1]"}
	noise := func() string {
		var b strings.Builder
		for range r.IntN(5) {
			b.WriteString(bits[r.IntN(len(bits))])
		}
		return b.String()
	}
	text := func() string {
		if r.IntN(3) == 0 {
			return noise()
		}
		return noise() + pick() + noise()
	}
	ptr := func() *string { s := text(); return &s }
	argv := func() []string {
		list := []string{"cmd"}
		for range r.IntN(4) {
			list = append(list, text())
		}
		switch s := pick(); r.IntN(4) {
		case 0:
			list = append(list, "--password", s)
		case 1:
			list = append(list, "--password="+s)
		case 2:
			list = append(list, "FOO_TOKEN="+s)
		}
		return list
	}
	rec := &receipt.Receipt{Command: receipt.Command{Argv: []string{"cmd"}, Exe: text(), WorkingDir: text(), User: text()}}
	for _, s := range secrets {
		rec.Command.Argv = append(rec.Command.Argv, "--password="+s)
	}
	rec.Outcome.Error, rec.Observation.Reason = ptr(), ptr()
	rec.Execution.Guest = []receipt.Duty{{Name: text(), Outcome: "failed", Error: ptr()}}
	for i := range 1 + r.IntN(4) {
		rec.Observation.Hooks = append(rec.Observation.Hooks, receipt.Hook{Name: text(), Error: ptr()})
		rec.Observation.Gaps = append(rec.Observation.Gaps, receipt.Gap{Kind: "k", Detail: text()})
		rec.Observation.Survivors = append(rec.Observation.Survivors, receipt.Survivor{Exe: text()})
		rec.ProcessTree = append(rec.ProcessTree, receipt.Process{
			PID: int32(i), StartTime: uint64(r.IntN(3)), Exe: text(), Argv: argv(), WorkingDir: text(),
			Execs: []receipt.Exec{{Exe: text(), Argv: argv(), WorkingDir: text(), Requested: text(), Interpreter: ptr()}},
		})
		rec.ExecFailures = append(rec.ExecFailures, receipt.ExecFail{Path: text(), Argv: argv(), Errno: "ENOENT"})
		fs := &rec.Filesystem
		fs.Reads, fs.Writes, fs.Deletes = append(fs.Reads, text()), append(fs.Writes, text()), append(fs.Deletes, text())
		fs.PolicyViolations = append(fs.PolicyViolations, text())
		fs.Renames = append(fs.Renames, receipt.Rename{From: text(), To: text()})
		fs.Created = append(fs.Created, receipt.Created{Path: text(), Target: ptr()})
		fs.Changed = append(fs.Changed, receipt.Changed{Path: text()})
		fs.Mounts = append(fs.Mounts, receipt.Mount{Path: text(), From: ptr()})
		fs.Failed = append(fs.Failed, receipt.FailedOp{Path: text(), To: text()})
		fs.Files = append(fs.Files, receipt.FileEntry{Path: text(), Requested: []string{text(), text()}})
		n := &rec.Network
		n.Attempts = append(n.Attempts, receipt.Attempt{Dst: text(), Host: ptr(), Policy: text()})
		n.Listens = append(n.Listens, receipt.Listen{Addr: text()})
		n.Accepts = append(n.Accepts, receipt.Accept{Src: text(), Addr: text()})
		n.DNS = append(n.DNS, receipt.DNSQuery{Name: text(), Server: text()})
	}
	return rec
}

// No string of the written receipt has a secret in it, nor have path_bytes.
func TestNothingIsLeft(t *testing.T) {
	letters := "abcXYZ019\\/+=-_é\xff \"'$:@"
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		secrets := make([]string, 1+r.IntN(4))
		for i := range secrets {
			b := []byte("Q7")
			for len(b) < 8+r.IntN(80) {
				b = append(b, letters[r.IntN(len(letters))])
			}
			secrets[i] = string(b)
		}
		rec := planted(r, secrets)
		if seed%3 == 0 {
			rec.Normalize()
		}
		redactor, err := redact.New(redact.Options{Salt: counting()})
		if err != nil {
			t.Fatal(err)
		}
		redactor.Receipt(rec)
		data := check(t, rec)
		var doc any
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		var all func(v any)
		all = func(v any) {
			switch v := v.(type) {
			case string:
				raw, _ := base64.StdEncoding.DecodeString(v)
				for _, s := range secrets {
					if strings.Contains(v, s) || strings.Contains(v, strings.TrimPrefix(receipt.Text("\xff"+s), `\xff`)) || bytes.Contains(raw, []byte(s)) {
						t.Errorf("seed %d: %q is in %q", seed, s, v)
					}
				}
			case []any:
				for _, e := range v {
					all(e)
				}
			case map[string]any:
				for _, e := range v {
					all(e)
				}
			}
		}
		all(doc)
		// Once more changes nothing.
		redactor.Receipt(rec)
		if again := encode(t, rec); !bytes.Equal(data, again) {
			t.Errorf("seed %d: once more changes something: %s", seed, cmp.Diff(string(data), string(again)))
		}
		if t.Failed() {
			return
		}
	}
}

func FuzzReceipt(f *testing.F) {
	for _, c := range recognised {
		f.Add(strings.Join(c.argv, "\x00"), "/a/hunter2", "")
	}
	for _, argv := range stays {
		f.Add(strings.Join(argv, "\x00"), "[redacted:1]", "*")
	}
	f.Add("sh\x00-c\x00a 'b \"c\\\" --password 'd", "\xff\\", "/(a)|b/")
	f.Fuzz(func(t *testing.T, args, path, pattern string) {
		o := redact.Options{Salt: counting()}
		if pattern != "" {
			o.Patterns = []string{pattern}
		}
		r, err := redact.New(o)
		if err != nil {
			return
		}
		rec := &receipt.Receipt{
			Command:     receipt.Command{Argv: strings.Split(args, "\x00")},
			ProcessTree: []receipt.Process{{Argv: strings.Split(args, "\x00"), Exe: path}},
			Filesystem:  receipt.Filesystem{Files: []receipt.FileEntry{{Path: path}}, Reads: []string{path}},
		}
		r.Receipt(rec)
		data := check(t, rec)
		r.Receipt(rec)
		if again := encode(t, rec); !bytes.Equal(data, again) {
			t.Errorf("once more changes something: %s", cmp.Diff(string(data), string(again)))
		}
	})
}
