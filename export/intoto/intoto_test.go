package intoto

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	linkv0 "github.com/in-toto/attestation/go/predicates/link/v0"
	attestation "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"glasshouse/receipt"
)

const (
	sumA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	sumB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	sumC = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
)

func ptr[T any](v T) *T { return &v }

func at(ms int) receipt.Time {
	return receipt.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond))
}

func sample() *receipt.Receipt {
	return &receipt.Receipt{
		ReceiptVersion: "v0.3",
		ExecutionID:    sumC,
		Command:        receipt.Command{Argv: []string{"/usr/bin/make", "<all> & \u2028"}, WorkingDir: "/w", UID: 7, GID: 8},
		Outcome:        receipt.Outcome{ExitCode: 143, Signal: ptr("SIGTERM")},
		Timing:         receipt.Timing{StartedAt: at(0), EndedAt: at(100)},
		Observation: receipt.Observation{Mode: "ebpf", Reason: ptr("2 events were lost"),
			Hooks: []receipt.Hook{{Name: "tp/x", Attached: true}}, Gaps: []receipt.Gap{{Kind: "root", Detail: "d", Count: 4}}},
		ProcessTree:  []receipt.Process{{PID: 10, PPID: 9, Exe: "/bin/a", Argv: []string{"a"}, StartedAt: at(1)}, {PID: 11, PPID: 10, StartedAt: at(2)}},
		ExecFailures: []receipt.ExecFail{{PID: 11, Path: "/no", Errno: "ENOENT", Count: 2}},
		Filesystem: receipt.Filesystem{
			Reads: []string{"/r"}, Writes: []string{"/w/x"}, Deletes: []string{"/d"},
			Files: []receipt.FileEntry{
				{Path: "/r 1%?#", Read: true, Opens: 2, BytesRead: 1<<64 - 1, Source: "kernel"},
				{Path: `/caf\xe9`, PathBytes: []byte("/caf\xe9"), Written: true, Source: "kernel"},
				{Path: "pipe:[7]", Read: true, Source: "kernel"},
				{Path: "/part", PathCut: true, Source: "kernel"},
				{Path: "/naïve", Source: "lexical", Final: &receipt.Final{Inode: 5, ChangedAt: at(3), LastWrite: at(4)}},
			},
		},
		Network: receipt.Network{
			Attempts: []receipt.Attempt{{Dst: "192.0.2.1:80", Protocol: "tcp", Result: "refused", PID: 10, Count: 2, Host: ptr("example.com")}},
			Listens:  []receipt.Listen{{Addr: "[::]:53", Protocol: "udp", PID: 10}},
			Accepts:  []receipt.Accept{{Src: "unix:", Addr: "unix:/s", Protocol: "unix", PID: 10, Count: 5}},
			DNS:      []receipt.DNSQuery{{Name: "example.com", Type: "A", Server: "192.0.2.53:53", PID: 10, Count: 6}},
		},
		Environment: receipt.Environment{OS: "linux", Arch: "amd64", Kernel: "6.12.1"},
		Artifacts:   receipt.Artifacts{StdoutHash: ptr(sumA), StderrHash: ptr(strings.ToUpper(sumB))},
	}
}

func write(t *testing.T, rec *receipt.Receipt) (link, trace []byte) {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, rec, File{"receipt.json", sumC}); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(out.Bytes(), []byte("\n"))
	if len(lines) != 3 || len(lines[2]) != 0 {
		t.Fatalf("%d lines, want 2 that end", len(lines)-1)
	}
	return lines[0], lines[1]
}

// parse reads a statement with in-toto's own types, which refuse a key that they
// do not know.
func parse(t *testing.T, data []byte, predicateType string) *attestation.Statement {
	t.Helper()
	var s attestation.Statement
	if err := protojson.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	if s.Type != "https://in-toto.io/Statement/v1" || s.PredicateType != predicateType {
		t.Errorf("%s of %s", s.Type, s.PredicateType)
	}
	subjects := map[string]string{}
	for _, d := range s.Subject {
		if len(d.Digest) != 1 {
			t.Errorf("%s: digests %v", d.Name, d.Digest)
		}
		subjects[d.Name] = d.Digest["sha256"]
	}
	if diff := cmp.Diff(map[string]string{"receipt.json": sumC, "stdout": sumA, "stderr": sumB}, subjects); diff != "" || len(s.Subject) != 3 {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	return &s
}

func TestLink(t *testing.T) {
	data, _ := write(t, sample())
	s := parse(t, data, "https://in-toto.io/attestation/link/v0.3")
	predicate, err := protojson.Marshal(s.Predicate)
	if err != nil {
		t.Fatal(err)
	}
	var l linkv0.Link
	if err := protojson.Unmarshal(predicate, &l); err != nil {
		t.Fatal(err)
	}
	if l.Name != "make" || !slices.Equal(l.Command, []string{"/usr/bin/make", "<all> & \u2028"}) || len(l.Materials) != 0 {
		t.Errorf("name %q, command %q, materials %v", l.Name, l.Command, l.Materials)
	}
	gaps := []any{map[string]any{"kind": "root", "detail": "d", "count": 4.0}}
	if diff := cmp.Diff(map[string]any{
		"return-value": 143.0, "glasshouse_signal": "SIGTERM", "glasshouse_error": nil,
		"glasshouse_reads": []any{"/r"}, "glasshouse_writes": []any{"/w/x"}, "glasshouse_deletes": []any{"/d"},
		"glasshouse_observation": map[string]any{"mode": "ebpf", "complete": false, "reason": "2 events were lost", "gaps": gaps},
	}, l.Byproducts.AsMap()); diff != "" {
		t.Errorf("byproducts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{
		"workdir": "/w", "os": "linux", "arch": "amd64", "kernel": "6.12.1", "uid": 7.0, "gid": 8.0,
	}, l.Environment.AsMap()); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

// runtimeTrace has the keys of spec/predicates/runtime-trace.md and the extension
// that Write adds. in-toto has no type for it.
type runtimeTrace struct {
	Monitor struct {
		Type        string         `json:"type"`
		TracePolicy map[string]any `json:"tracePolicy"`
	} `json:"monitor"`
	MonitoredProcess struct {
		HostID string `json:"hostID"`
		Type   string `json:"type"`
		Event  string `json:"event"`
	} `json:"monitoredProcess"`
	MonitorLog struct {
		Process    []json.RawMessage `json:"process"`
		Network    []json.RawMessage `json:"network"`
		FileAccess []json.RawMessage `json:"fileAccess"`
	} `json:"monitorLog"`
	Metadata struct {
		BuildStartedOn  time.Time      `json:"buildStartedOn"`
		BuildFinishedOn time.Time      `json:"buildFinishedOn"`
		Observation     map[string]any `json:"glasshouse_observation"`
	} `json:"metadata"`
}

func strict(t *testing.T, data []byte, to any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
}

func TestRuntimeTrace(t *testing.T) {
	rec := sample()
	_, data := write(t, rec)
	parse(t, data, "https://in-toto.io/attestation/runtime-trace/v0.1")
	var statement struct {
		Predicate json.RawMessage `json:"predicate"`
	}
	if err := json.Unmarshal(data, &statement); err != nil {
		t.Fatal(err)
	}
	var p runtimeTrace
	strict(t, statement.Predicate, &p)
	if p.Monitor.Type != "urn:glasshouse:receipt:v0.3" || p.MonitoredProcess.HostID != "urn:glasshouse:unknown-host" ||
		p.MonitoredProcess.Type != "urn:glasshouse:command" || p.MonitoredProcess.Event != sumC {
		t.Errorf("%+v, %+v", p.Monitor, p.MonitoredProcess)
	}
	if !p.Metadata.BuildStartedOn.Equal(at(0).Time) || !p.Metadata.BuildFinishedOn.Equal(at(100).Time) ||
		p.Metadata.Observation["complete"] != false || len(p.Metadata.Observation["gaps"].([]any)) != 1 {
		t.Errorf("%+v", p.Metadata)
	}

	var processes []receipt.Process
	var failures []receipt.ExecFail
	for _, raw := range p.MonitorLog.Process {
		switch kind := eventType(t, raw); kind {
		case "process":
			var e processEvent
			strict(t, raw, &e)
			processes = append(processes, e.Process)
		case "exec_failure":
			var e execFailureEvent
			strict(t, raw, &e)
			failures = append(failures, e.ExecFail)
		default:
			t.Errorf("process event %q", kind)
		}
	}
	var net receipt.Network
	for _, raw := range p.MonitorLog.Network {
		switch kind := eventType(t, raw); kind {
		case "attempt":
			var e attemptEvent
			strict(t, raw, &e)
			net.Attempts = append(net.Attempts, e.Attempt)
		case "listen":
			var e listenEvent
			strict(t, raw, &e)
			net.Listens = append(net.Listens, e.Listen)
		case "accept":
			var e acceptEvent
			strict(t, raw, &e)
			net.Accepts = append(net.Accepts, e.Accept)
		case "dns":
			var e dnsEvent
			strict(t, raw, &e)
			net.DNS = append(net.DNS, e.DNSQuery)
		default:
			t.Errorf("network event %q", kind)
		}
	}
	var files []receipt.FileEntry
	var uris []string
	for _, raw := range p.MonitorLog.FileAccess {
		var d attestation.ResourceDescriptor
		if err := protojson.Unmarshal(raw, &d); err != nil {
			t.Fatal(err)
		}
		if err := d.Validate(); err != nil || d.Uri == "" || len(d.Digest) != 0 {
			t.Errorf("%v: %v", err, &d)
		}
		var own struct {
			Name, URI   string
			Annotations struct {
				File receipt.FileEntry `json:"glasshouse_file"`
			}
		}
		strict(t, raw, &own)
		if own.Name != own.Annotations.File.Path {
			t.Errorf("%s is annotated with %s", own.Name, own.Annotations.File.Path)
		}
		files = append(files, own.Annotations.File)
		uris = append(uris, own.URI)
	}
	for _, diff := range []string{
		cmp.Diff(rec.ProcessTree, processes), cmp.Diff(rec.ExecFailures, failures),
		cmp.Diff(rec.Network, net), cmp.Diff(rec.Filesystem.Files, files),
	} {
		if diff != "" {
			t.Errorf("(-receipt +trace):\n%s", diff)
		}
	}
	if diff := cmp.Diff([]string{"file:///r%201%25%3F%23", "file:///caf%E9", "urn:glasshouse:file:pipe:%5B7%5D", "urn:glasshouse:file:%2Fpart", "file:///na%C3%AFve"}, uris); diff != "" {
		t.Errorf("URIs (-want +got):\n%s", diff)
	}
}

func eventType(t *testing.T, raw []byte) string {
	t.Helper()
	var e struct{ EventType string }
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	return e.EventType
}

// The receipt's file may have the name of another subject, and lists may be
// missing from what is no receipt of ours.
func TestBareReceipt(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, &receipt.Receipt{}, File{"stdout", sumC}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		var s attestation.Statement
		if err := protojson.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(); err != nil || s.Subject[0].Name != "./stdout" || len(s.Subject) != 1 {
			t.Errorf("%v: %v", err, s.Subject)
		}
	}
	for _, missing := range []string{`"materials":[]`, `"command":[]`, `"process":[]`, `"network":[]`, `"fileAccess":[]`, `"gaps":[]`, `"name":"command"`} {
		if !strings.Contains(out.String(), missing) {
			t.Errorf("no %s", missing)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, hash := range []string{"", "xx", sumA[:62], sumA + "aa"} {
		rec := sample()
		rec.Artifacts.StderrHash = &hash
		var out bytes.Buffer
		err := Write(&out, rec, File{"r", sumC})
		if err == nil || err.Error() != "artifacts.stderr_hash is not a SHA-256" || out.Len() != 0 {
			t.Errorf("%q: %v", hash, err)
		}
	}
	// Wherever writing fails, it is told.
	link, trace := write(t, sample())
	for n := range len(link) + len(trace) {
		if err := Write(&failing{n}, sample(), File{"receipt.json", sumC}); !errors.Is(err, errFull) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

var errFull = errors.New("full")

type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if len(p) > f.left {
		return f.left, errFull
	}
	f.left -= len(p)
	return len(p), nil
}

func TestSameAgain(t *testing.T) {
	link1, trace1 := write(t, sample())
	link2, trace2 := write(t, sample())
	if !bytes.Equal(link1, link2) || !bytes.Equal(trace1, trace2) {
		t.Error("other bytes")
	}
}
