package otlp

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"glasshouse/receipt"
)

// receiver is an OTLP receiver that keeps what it takes.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	requests int
	sizes    []int // bytes of each request, unpacked
	headers  []http.Header
	spans    []*trace.Span
	logs     []*logs.LogRecord
	resource []*resource.Resource
	// fault answers a request in the receiver's place, if it returns true.
	// n counts from 1.
	fault func(n int, w http.ResponseWriter, r *http.Request) bool
	reply []byte
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.requests++
	n := r.requests
	r.headers = append(r.headers, req.Header)
	r.mu.Unlock()
	if r.fault != nil && r.fault(n, w, req) {
		return
	}
	if req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/x-protobuf" || req.Header.Get("Content-Encoding") != "gzip" {
		r.t.Errorf("%s with %v", req.Method, req.Header)
	}
	unzip, err := gzip.NewReader(req.Body)
	if err != nil {
		r.t.Error(err)
		return
	}
	data, err := io.ReadAll(unzip)
	if err != nil {
		r.t.Error(err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sizes = append(r.sizes, len(data))
	switch path := req.URL.Path; {
	case strings.HasSuffix(path, "/v1/traces"):
		var m trace.TracesData
		r.decode(data, &m)
		for _, rs := range m.ResourceSpans {
			r.resource = append(r.resource, rs.Resource)
			for _, ss := range rs.ScopeSpans {
				r.spans = append(r.spans, ss.Spans...)
			}
		}
	case strings.HasSuffix(path, "/v1/logs"):
		var m logs.LogsData
		r.decode(data, &m)
		for _, rl := range m.ResourceLogs {
			r.resource = append(r.resource, rl.Resource)
			for _, sl := range rl.ScopeLogs {
				r.logs = append(r.logs, sl.LogRecords...)
			}
		}
	default:
		r.t.Errorf("POST to %s", path)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(r.reply)
}

func (r *receiver) decode(data []byte, m proto.Message) {
	if err := proto.Unmarshal(data, m); err != nil {
		r.t.Error(err)
	}
	if unknown := m.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		r.t.Errorf("unknown fields %x", unknown)
	}
}

// client is one that waits for nothing and notes for how long it would have.
func (r *receiver) client() (*client, *[]time.Duration) {
	base, err := parseEndpoint(r.URL)
	if err != nil {
		r.t.Fatal(err)
	}
	c := newClient(base, nil)
	var waits []time.Duration
	c.sleep = func(ctx context.Context, d time.Duration) error {
		waits = append(waits, d)
		return ctx.Err()
	}
	return c, &waits
}

func values(list []*common.KeyValue) map[string]any {
	m := map[string]any{}
	for _, kv := range list {
		if _, twice := m[kv.Key]; twice {
			panic("twice: " + kv.Key)
		}
		m[kv.Key] = value(kv.Value)
	}
	return m
}

func value(v *common.AnyValue) any {
	switch v := v.Value.(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return v.IntValue
	case *common.AnyValue_BoolValue:
		return v.BoolValue
	case *common.AnyValue_BytesValue:
		return v.BytesValue
	case *common.AnyValue_ArrayValue:
		var list []any
		for _, e := range v.ArrayValue.Values {
			list = append(list, value(e))
		}
		return list
	}
	panic(fmt.Sprintf("%T", v.Value))
}

func ptr[T any](v T) *T { return &v }

var start = time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)

func at(ms int) receipt.Time { return receipt.At(start.Add(time.Duration(ms) * time.Millisecond)) }

// sample has of everything one, and what is awkward.
func sample() *receipt.Receipt {
	return &receipt.Receipt{
		ReceiptVersion: "v0.3",
		ExecutionID:    "00112233445566778899aabbccddeeff" + strings.Repeat("0", 32),
		Command:        receipt.Command{Argv: []string{"sh", "-c", "x"}, Exe: "/bin/sh", WorkingDir: "/w", UID: 7, User: "u"},
		Outcome:        receipt.Outcome{ExitCode: 3},
		Timing:         receipt.Timing{StartedAt: at(0), EndedAt: at(100)},
		Observation: receipt.Observation{
			Mode: "ebpf", Reason: ptr("2 events were lost"),
			Gaps:      []receipt.Gap{{Kind: "root", Detail: "ran as root", Count: 4}},
			Survivors: []receipt.Survivor{{PID: 12}},
		},
		ProcessTree: []receipt.Process{
			{PID: 10, PPID: 9, Exe: "/bin/dash", Argv: []string{"sh", "-c", "x"}, WorkingDir: "/w", StartTime: 1000, StartedAt: at(1), EndedAt: ptr(at(90)), UID: 7, GID: 8,
				ExitCode: ptr(3), CPUTimeMS: 5, MaxRSSKB: 6, Execs: []receipt.Exec{
					{Exe: "/bin/env", Argv: []string{"env"}, WorkingDir: "/w", Requested: "./s", Interpreter: ptr("/bin/env"), At: at(2)},
					{Exe: "/bin/dash", Argv: []string{"sh", "-c", "x"}, WorkingDir: "/w", At: at(3), ArgvTruncated: true},
				}},
			{PID: 11, PPID: 10, Exe: "/bin/cat", StartTime: 2000, StartedAt: at(4), EndedAt: ptr(at(5)), ExitCode: ptr(0)},
			{PID: 11, PPID: 10, Exe: "/bin/cat", StartTime: 3000, StartedAt: at(6), EndedAt: ptr(at(7)), Signal: ptr("SIGKILL"), ArgvTruncated: true},
			{PID: 12, PPID: 11, Exe: "", StartTime: 4000, StartedAt: at(7)},
			{PID: 13, PPID: 0, Exe: "/bin/late", StartTime: 5000, StartedAt: at(200)},
		},
		ExecFailures: []receipt.ExecFail{{PID: 11, Path: "/no", Argv: []string{"no"}, Errno: "ENOENT", Count: 2, PathCut: true}},
		Filesystem: receipt.Filesystem{
			Deletes:          []string{"/d"},
			PolicyViolations: []string{"/v"},
			Renames:          []receipt.Rename{{From: "/a", To: "/b", Source: "lexical"}},
			Created:          []receipt.Created{{Path: "/l", Kind: "symlink", Target: ptr("t"), Source: "kernel"}, {Path: "/h", Kind: "hardlink", Target: ptr("/f"), Source: "kernel"}},
			Changed:          []receipt.Changed{{Path: "/c", What: "mode", Source: "kernel"}},
			Mounts:           []receipt.Mount{{Op: "mount", Path: "/m", From: ptr("tmpfs"), Source: "kernel"}},
			Failed:           []receipt.FailedOp{{Op: "rename", Path: "/x", To: "/y", Errno: "EPERM", Count: 3}},
			Files: []receipt.FileEntry{
				{Path: `/caf\xe9`, PathBytes: []byte("/caf\xe9"), Requested: []string{"caf"}, Opens: 2, Read: true, Written: true, Executed: true, MappedExec: true, MappedShared: true,
					BytesRead: 1<<64 - 1, BytesWritten: 9, Source: "kernel", Deleted: true, OtherMounts: true, PathCut: true,
					Final: &receipt.Final{Inode: 1<<64 - 1, Size: 9, ChangedAt: at(1), LastWrite: at(2), Changed: true}},
				{Path: "/plain", Source: "lexical"},
			},
		},
		Network: receipt.Network{
			Attempts: []receipt.Attempt{
				{Dst: "192.0.2.1:80", Protocol: "tcp", Result: "refused", PID: 10, Count: 2, Host: ptr("example.com"), Policy: "denied"},
				{Dst: "unix:@bus", Protocol: "unix", Result: "connected", PID: 11, Count: 1},
				{Dst: "vsock", Protocol: "vsock", Result: "failed", PID: 99, Count: 1},
				{Dst: "evil.example:443", Protocol: "tcp", Result: "denied", Policy: "denied", Count: 3, Host: ptr("evil.example"), Source: "proxy"},
			},
			Listens: []receipt.Listen{{Addr: "[::]:53", Protocol: "udp", PID: 10}},
			Accepts: []receipt.Accept{{Src: "unix:", Addr: "unix:/s", Protocol: "unix", PID: 10, Count: 5}},
			DNS:     []receipt.DNSQuery{{Name: "example.com", Type: "A", Server: "[fe80::1%eth0]:53", PID: 10, Count: 6}},
		},
		Environment: receipt.Environment{OS: "linux", Arch: "amd64", Kernel: "6.12.1", GlasshouseVersion: "1.2"},
	}
}

func send(t *testing.T, rec *receipt.Receipt) (*receiver, Sent) {
	t.Helper()
	r := newReceiver(t)
	sent, err := Send(t.Context(), r.URL, nil, rec)
	if err != nil {
		t.Fatal(err)
	}
	return r, sent
}

func TestSpans(t *testing.T) {
	r, sent := send(t, sample())
	if sent.Spans != 6 || len(r.spans) != 6 {
		t.Fatalf("%d spans sent, %d arrived; want 6", sent.Spans, len(r.spans))
	}
	run, sh, cat1, cat2, fork, late := r.spans[0], r.spans[1], r.spans[2], r.spans[3], r.spans[4], r.spans[5]
	seen := map[string]bool{}
	for i, s := range r.spans {
		if got := hex.EncodeToString(s.TraceId); got != "00112233445566778899aabbccddeeff" {
			t.Errorf("span %d: trace %s", i, got)
		}
		if len(s.SpanId) != 8 || seen[string(s.SpanId)] {
			t.Errorf("span %d: identifier %x is not 8 bytes or used twice", i, s.SpanId)
		}
		seen[string(s.SpanId)] = true
	}
	for i, tc := range []struct {
		span, parent *trace.Span
		name         string
		start, end   receipt.Time
		status       string
	}{
		{run, &trace.Span{}, "glasshouse run", at(0), at(100), "exit code 3"},
		{sh, run, "dash", at(1), at(90), "exit code 3"},
		{cat1, sh, "cat", at(4), at(5), ""},
		{cat2, sh, "cat", at(6), at(7), "ended by SIGKILL"},
		{fork, cat2, "process", at(7), at(100), ""},
		{late, run, "late", at(200), at(200), ""},
	} {
		if string(tc.span.ParentSpanId) != string(tc.parent.SpanId) {
			t.Errorf("span %d: parent %x, want %x", i, tc.span.ParentSpanId, tc.parent.SpanId)
		}
		if tc.span.Name != tc.name || tc.span.StartTimeUnixNano != uint64(tc.start.UnixNano()) || tc.span.EndTimeUnixNano != uint64(tc.end.UnixNano()) {
			t.Errorf("span %d: %q from %d to %d", i, tc.span.Name, tc.span.StartTimeUnixNano, tc.span.EndTimeUnixNano)
		}
		wantCode := trace.Status_STATUS_CODE_UNSET
		if tc.status != "" {
			wantCode = trace.Status_STATUS_CODE_ERROR
		}
		if got := tc.span.GetStatus(); got.GetMessage() != tc.status || got.GetCode() != wantCode {
			t.Errorf("span %d: status %v, want %q", i, got, tc.status)
		}
	}
	for name, tc := range map[string]struct {
		got  []*common.KeyValue
		want map[string]any
	}{
		"run": {run.Attributes, map[string]any{
			"glasshouse.span": "run", "process.executable.path": "/bin/sh", "process.command_args": []any{"sh", "-c", "x"},
			"process.working_directory": "/w", "process.user.id": int64(7), "process.user.name": "u", "glasshouse.outcome.exit_code": int64(3),
			"glasshouse.events.emitted": int64(0), "glasshouse.events.received": int64(0), "glasshouse.redactions": int64(0),
			"glasshouse.resources.cpu_time_ms": int64(0), "glasshouse.resources.max_rss_kb": int64(0),
			"glasshouse.network.bytes_sent": int64(0), "glasshouse.network.bytes_received": int64(0),
		}},
		"sh": {sh.Attributes, map[string]any{
			"glasshouse.span": "process", "process.pid": int64(10), "process.parent_pid": int64(9),
			"process.executable.name": "dash", "process.executable.path": "/bin/dash", "process.command_args": []any{"sh", "-c", "x"},
			"process.working_directory": "/w", "process.creation.time": "2026-01-02T03:04:05.001000600Z", "process.exit.time": "2026-01-02T03:04:05.090000600Z",
			"process.user.id": int64(7), "glasshouse.process.gid": int64(8), "glasshouse.process.start_time": int64(1000), "process.exit.code": int64(3),
			"glasshouse.process.cpu_time_ms": int64(5), "glasshouse.process.max_rss_kb": int64(6),
		}},
		"killed": {cat2.Attributes, map[string]any{
			"glasshouse.span": "process", "process.pid": int64(11), "process.parent_pid": int64(10),
			"process.executable.name": "cat", "process.executable.path": "/bin/cat", "glasshouse.process.argv_truncated": true,
			"process.creation.time": "2026-01-02T03:04:05.006000600Z", "process.exit.time": "2026-01-02T03:04:05.007000600Z",
			"process.user.id": int64(0), "glasshouse.process.gid": int64(0), "glasshouse.process.start_time": int64(3000),
			"glasshouse.process.signal": "SIGKILL", "glasshouse.process.cpu_time_ms": int64(0), "glasshouse.process.max_rss_kb": int64(0),
		}},
		"survivor": {fork.Attributes, map[string]any{
			"glasshouse.span": "process", "process.pid": int64(12), "process.parent_pid": int64(11), "process.creation.time": "2026-01-02T03:04:05.007000600Z",
			"glasshouse.process.start_time": int64(4000), "glasshouse.process.end_seen": false, "glasshouse.process.survived": true,
		}},
		"parent not known": {late.Attributes, map[string]any{
			"glasshouse.span": "process", "process.pid": int64(13), "process.executable.name": "late", "process.executable.path": "/bin/late",
			"process.creation.time": "2026-01-02T03:04:05.200000600Z", "process.user.id": int64(0), "glasshouse.process.gid": int64(0),
			"glasshouse.process.start_time": int64(5000), "glasshouse.process.end_seen": false,
		}},
		"first exec": {sh.Events[0].Attributes, map[string]any{
			"process.executable.name": "env", "process.executable.path": "/bin/env", "process.command_args": []any{"env"}, "process.working_directory": "/w",
			"glasshouse.exec.requested": "./s", "glasshouse.exec.interpreter": "/bin/env",
		}},
		"second exec": {sh.Events[1].Attributes, map[string]any{
			"process.executable.name": "dash", "process.executable.path": "/bin/dash", "process.command_args": []any{"sh", "-c", "x"}, "process.working_directory": "/w",
			"glasshouse.process.argv_truncated": true,
		}},
		"resource": {r.resource[0].Attributes, map[string]any{
			"service.name": "glasshouse", "service.version": "1.2", "host.arch": "amd64", "os.type": "linux", "os.version": "6.12.1",
			"glasshouse.receipt_version": "v0.3", "glasshouse.execution_id": sample().ExecutionID, "glasshouse.observation.mode": "ebpf",
			"glasshouse.observation.complete": false, "glasshouse.observation.reason": "2 events were lost", "glasshouse.observation.gaps": int64(1),
		}},
	} {
		if diff := cmp.Diff(tc.want, values(tc.got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if sh.Events[0].Name != "exec" || sh.Events[0].TimeUnixNano != uint64(at(2).UnixNano()) || len(sh.Events) != 2 {
		t.Errorf("events of sh: %v", sh.Events)
	}
}

func TestLogs(t *testing.T) {
	r, sent := send(t, sample())
	spanOf := map[string]string{"": "none"}
	for i, name := range []string{"run", "10", "11", "11 again", "12", "13"} {
		spanOf[string(r.spans[i].SpanId)] = name
	}
	want := []struct {
		name, span string
		attributes map[string]any
	}{
		{"gap", "run", map[string]any{"glasshouse.gap.kind": "root", "glasshouse.gap.detail": "ran as root", "glasshouse.count": int64(4)}},
		// Two processes had the number 11: nobody knows which it was.
		{"exec.failure", "none", map[string]any{"process.pid": int64(11), "process.executable.path": "/no", "process.command_args": []any{"no"}, "error.type": "ENOENT", "glasshouse.count": int64(2), "glasshouse.file.path_cut": true}},
		{"file", "run", map[string]any{
			"file.path": `/caf\xe9`, "glasshouse.file.path_bytes": []byte("/caf\xe9"), "glasshouse.file.path_cut": true, "glasshouse.file.requested": []any{"caf"},
			"glasshouse.file.operations": []any{"read", "written", "executed", "mapped_exec", "mapped_shared", "deleted"}, "glasshouse.file.opens": int64(2),
			"glasshouse.file.bytes_read": int64(1<<63 - 1), "glasshouse.file.bytes_written": int64(9), "glasshouse.file.source": "kernel", "glasshouse.file.other_mount_namespace": true,
			"file.inode": "18446744073709551615", "file.size": int64(9), "file.changed": "2026-01-02T03:04:05.001000600Z",
			"glasshouse.file.last_write": "2026-01-02T03:04:05.002000600Z", "glasshouse.file.changed_since": true,
		}},
		{"file", "run", map[string]any{"file.path": "/plain", "glasshouse.file.opens": int64(0), "glasshouse.file.bytes_read": int64(0), "glasshouse.file.bytes_written": int64(0), "glasshouse.file.source": "lexical"}},
		{"file.created", "run", map[string]any{"file.path": "/l", "glasshouse.file.kind": "symlink", "file.symbolic_link.target_path": "t", "glasshouse.file.source": "kernel"}},
		{"file.created", "run", map[string]any{"file.path": "/h", "glasshouse.file.kind": "hardlink", "glasshouse.file.target": "/f", "glasshouse.file.source": "kernel"}},
		{"file.renamed", "run", map[string]any{"file.path": "/a", "glasshouse.file.to": "/b", "glasshouse.file.source": "lexical"}},
		{"file.deleted", "run", map[string]any{"file.path": "/d"}},
		{"file.changed", "run", map[string]any{"file.path": "/c", "glasshouse.file.what": "mode", "glasshouse.file.source": "kernel"}},
		{"mount", "run", map[string]any{"file.path": "/m", "glasshouse.operation": "mount", "glasshouse.mount.from": "tmpfs", "glasshouse.file.source": "kernel"}},
		{"file.failure", "run", map[string]any{"file.path": "/x", "glasshouse.file.to": "/y", "glasshouse.operation": "rename", "error.type": "EPERM", "glasshouse.count": int64(3)}},
		{"file.policy_violation", "run", map[string]any{"file.path": "/v"}},
		{"network.attempt", "10", map[string]any{"network.peer.address": "192.0.2.1", "network.peer.port": int64(80), "network.transport": "tcp", "network.type": "ipv4", "glasshouse.network.protocol": "tcp",
			"glasshouse.network.result": "refused", "glasshouse.network.policy": "denied", "glasshouse.network.inferred_host": "example.com", "process.pid": int64(10), "glasshouse.count": int64(2)}},
		{"network.attempt", "none", map[string]any{"network.peer.address": "@bus", "network.transport": "unix", "glasshouse.network.protocol": "unix", "glasshouse.network.result": "connected", "process.pid": int64(11), "glasshouse.count": int64(1)}},
		{"network.attempt", "none", map[string]any{"glasshouse.network.peer": "vsock", "glasshouse.network.protocol": "vsock", "glasshouse.network.result": "failed", "process.pid": int64(99), "glasshouse.count": int64(1)}},
		{"network.attempt", "run", map[string]any{"glasshouse.network.peer": "evil.example:443", "network.transport": "tcp", "glasshouse.network.protocol": "tcp", "glasshouse.network.result": "denied",
			"glasshouse.network.policy": "denied", "glasshouse.network.source": "proxy", "glasshouse.network.asked_host": "evil.example", "glasshouse.count": int64(3)}},
		{"network.listen", "10", map[string]any{"network.local.address": "::", "network.local.port": int64(53), "network.transport": "udp", "network.type": "ipv6", "glasshouse.network.protocol": "udp", "process.pid": int64(10)}},
		{"network.accept", "10", map[string]any{"network.local.address": "/s", "network.transport": "unix", "glasshouse.network.protocol": "unix", "process.pid": int64(10), "glasshouse.count": int64(5)}},
		{"dns.question", "10", map[string]any{"dns.question.name": "example.com", "glasshouse.dns.question.type": "A", "network.peer.address": "fe80::1%eth0", "network.peer.port": int64(53), "process.pid": int64(10), "glasshouse.count": int64(6)}},
	}
	if sent.Logs != len(want) || len(r.logs) != len(want) {
		t.Fatalf("%d log records sent, %d arrived; want %d", sent.Logs, len(r.logs), len(want))
	}
	for i, w := range want {
		got := r.logs[i]
		if got.EventName != "glasshouse."+w.name || spanOf[string(got.SpanId)] != w.span {
			t.Errorf("record %d: %s of span %q, want %s of %q", i, got.EventName, spanOf[string(got.SpanId)], w.name, w.span)
		}
		if diff := cmp.Diff(w.attributes, values(got.Attributes)); diff != "" {
			t.Errorf("record %d, %s (-want +got):\n%s", i, w.name, diff)
		}
		// A receipt has no time for these.
		if got.TimeUnixNano != 0 || got.ObservedTimeUnixNano != uint64(at(100).UnixNano()) || hex.EncodeToString(got.TraceId) != "00112233445566778899aabbccddeeff" {
			t.Errorf("record %d: time %d, observed %d, trace %x", i, got.TimeUnixNano, got.ObservedTimeUnixNano, got.TraceId)
		}
	}
}

// Sending twice sends the same.
func TestSameAgain(t *testing.T) {
	first, _ := send(t, sample())
	second, _ := send(t, sample())
	if !slices.EqualFunc(first.spans, second.spans, func(a, b *trace.Span) bool { return proto.Equal(a, b) }) {
		t.Error("other spans")
	}
	if !slices.EqualFunc(first.logs, second.logs, func(a, b *logs.LogRecord) bool { return proto.Equal(a, b) }) {
		t.Error("other log records")
	}
}

// What nobody records must not break the export or make two spans one.
func TestHostileReceipts(t *testing.T) {
	for name, rec := range map[string]*receipt.Receipt{
		"empty":   {},
		"bytes":   {Command: receipt.Command{Argv: []string{"\xff"}, Exe: "\xff"}, ExecutionID: "\xff", ProcessTree: []receipt.Process{{Exe: "/\xff", Signal: ptr("\xff")}}, Filesystem: receipt.Filesystem{Files: []receipt.FileEntry{{Path: "\xff"}}}},
		"no hex":  {ExecutionID: strings.Repeat("g", 64)},
		"zero":    {ExecutionID: strings.Repeat("0", 64)},
		"twins":   {ProcessTree: []receipt.Process{{PID: 1, StartTime: 1}, {PID: 1, StartTime: 1}, {PID: 1, StartTime: 1}}},
		"selfish": {ProcessTree: []receipt.Process{{PID: 1, PPID: 1, StartTime: 1}}},
		"times": {Timing: receipt.Timing{StartedAt: receipt.At(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)), EndedAt: receipt.At(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))},
			ProcessTree: []receipt.Process{{PID: -1, StartedAt: receipt.At(time.Date(2262, 4, 11, 23, 47, 17, 0, time.UTC))}}},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := send(t, rec)
			if len(r.spans) != 1+len(rec.ProcessTree) || len(r.logs) != len(rec.Filesystem.Files) {
				t.Fatalf("%d spans, %d records", len(r.spans), len(r.logs))
			}
			seen := map[string]bool{}
			for _, s := range r.spans {
				if seen[string(s.SpanId)] || string(s.SpanId) == string(s.ParentSpanId) {
					t.Errorf("span %x again", s.SpanId)
				}
				seen[string(s.SpanId)] = true
				if len(s.TraceId) != 16 || string(s.TraceId) == strings.Repeat("\x00", 16) {
					t.Errorf("trace %x", s.TraceId)
				}
				if name == "times" && (s.StartTimeUnixNano != 0 || s.EndTimeUnixNano != 0) {
					t.Errorf("from %d to %d, neither of which OTLP can say", s.StartTimeUnixNano, s.EndTimeUnixNano)
				}
			}
		})
	}
}

// No request is larger than it may be, and nothing gets lost between two.
func TestBatches(t *testing.T) {
	rec := &receipt.Receipt{}
	for i := range 1300 {
		rec.ProcessTree = append(rec.ProcessTree, receipt.Process{PID: int32(i + 1), StartTime: uint64(i)})
	}
	long := strings.Repeat("x", 300<<10)
	for i := range 10 {
		rec.Filesystem.Files = append(rec.Filesystem.Files, receipt.FileEntry{Path: fmt.Sprintf("/%d%s", i, long)})
	}
	huge := strings.Repeat("y", 3<<20)
	rec.Filesystem.Files = append(rec.Filesystem.Files, receipt.FileEntry{Path: huge}, receipt.FileEntry{Path: "/last"})
	r, sent := send(t, rec)
	if sent.Spans != 1301 || sent.Logs != 12 {
		t.Errorf("sent %+v", sent)
	}
	pids := map[any]int{}
	for _, s := range r.spans {
		pids[values(s.Attributes)["process.pid"]]++
	}
	for i := range 1300 {
		if pids[int64(i+1)] != 1 {
			t.Errorf("%d spans of process %d", pids[int64(i+1)], i+1)
		}
	}
	for i, record := range r.logs {
		if got, want := values(record.Attributes)["file.path"], rec.Filesystem.Files[i].Path; got != want {
			t.Errorf("record %d is of another file", i)
		}
	}
	// 3 of spans; a path is in a record twice, so one of these 10 a request; the
	// huge one by itself; the last.
	if len(r.sizes) != 3+10+1+1 {
		t.Errorf("%d requests: %v", len(r.sizes), r.sizes)
	}
	for i, size := range r.sizes {
		if size > maxBytes+1<<10 && i != 13 {
			t.Errorf("request %d has %d bytes", i, size)
		}
	}
}

func TestEndpoint(t *testing.T) {
	r := newReceiver(t)
	var paths []string
	r.fault = func(_ int, _ http.ResponseWriter, req *http.Request) bool {
		paths = append(paths, req.URL.RequestURI())
		return false
	}
	rec := &receipt.Receipt{Filesystem: receipt.Filesystem{Deletes: []string{"/x"}}}
	headers := http.Header{"api-key": {"secret"}, "Content-Type": {"text/plain"}}
	for _, endpoint := range []string{r.URL, r.URL + "/", r.URL + "/otlp/?q=1"} {
		if _, err := Send(t.Context(), endpoint, headers, rec); err != nil {
			t.Error(err)
		}
	}
	want := []string{"/v1/traces", "/v1/logs", "/v1/traces", "/v1/logs", "/otlp/v1/traces?q=1", "/otlp/v1/logs?q=1"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, h := range r.headers {
		if h.Get("Api-Key") != "secret" {
			t.Errorf("headers %v", h)
		}
	}
	for endpoint, want := range map[string]string{
		"":                         "has to be a URL",
		"localhost:4318":           "has to be a URL",
		"grpc://localhost:4317":    "has to be a URL",
		"http://":                  "has to be a URL",
		"http://u:pass@[::1":       "missing ']'",
		"ftp://u:pass@example.com": "has to be a URL",
	} {
		if _, err := Send(t.Context(), endpoint, nil, rec); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pass") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
	for _, h := range []http.Header{{"a b": {"x"}}, {"": {"x"}}, {"k": {"secret\n"}}, {"ü": {"x"}}} {
		if _, err := Send(t.Context(), r.URL, h, rec); err == nil || !strings.HasPrefix(err.Error(), "header ") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", h, err)
		}
	}
	if len(paths) != len(want) {
		t.Error("something was sent with headers that cannot be")
	}
}

// A receiver that fails in passing gets everything, and once.
func TestRetries(t *testing.T) {
	hangUp := func(w http.ResponseWriter) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close()
	}
	for name, tc := range map[string]struct {
		fault func(n int, w http.ResponseWriter) bool
		waits [][2]time.Duration // from, to
	}{
		"503": {func(n int, w http.ResponseWriter) bool {
			if n <= 2 {
				w.WriteHeader(503)
			}
			return n <= 2
		}, [][2]time.Duration{{firstWait, 2 * firstWait}, {2 * firstWait, 4 * firstWait}}},
		"retry after": {func(n int, w http.ResponseWriter) bool {
			if n == 1 {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(429)
			}
			return n == 1
		}, [][2]time.Duration{{7 * time.Second, 7 * time.Second}}},
		"closed": {func(n int, w http.ResponseWriter) bool {
			if n == 1 {
				hangUp(w)
			}
			return n == 1
		}, [][2]time.Duration{{firstWait, 2 * firstWait}}},
		"closed within the answer": {func(n int, w http.ResponseWriter) bool {
			if n == 1 {
				w.Header().Set("Content-Length", "100")
				w.WriteHeader(200)
			}
			return n == 1
		}, [][2]time.Duration{{firstWait, 2 * firstWait}}},
		"502 and 504 later": {func(n int, w http.ResponseWriter) bool {
			if n == 2 || n == 3 {
				w.WriteHeader(map[int]int{2: 502, 3: 504}[n])
			}
			return n == 2 || n == 3
		}, [][2]time.Duration{{firstWait, 2 * firstWait}, {2 * firstWait, 4 * firstWait}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			r.fault = func(n int, w http.ResponseWriter, _ *http.Request) bool { return tc.fault(n, w) }
			c, waits := r.client()
			sent, err := c.sendAll(t.Context(), sample())
			if err != nil || sent.Spans != 6 || sent.Logs != 19 || len(r.spans) != 6 || len(r.logs) != 19 {
				t.Errorf("%v; sent %+v; %d spans, %d records", err, sent, len(r.spans), len(r.logs))
			}
			if len(*waits) != len(tc.waits) {
				t.Fatalf("waited %v", *waits)
			}
			for i, w := range tc.waits {
				if (*waits)[i] < w[0] || (*waits)[i] > w[1] {
					t.Errorf("waited %v, want %v", *waits, tc.waits)
				}
			}
		})
	}
}

func TestFailures(t *testing.T) {
	// The bytes are those of a google.rpc.Status: code 3, message "bad span".
	status := "\x08\x03\x12\x08bad span"
	for name, tc := range map[string]struct {
		fault func(w http.ResponseWriter)
		tries int
		want  string
	}{
		"for good": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/x-protobuf")
			w.WriteHeader(400)
			_, _ = io.WriteString(w, status)
		}, 1, "send spans: the receiver answered 400 Bad Request: bad span"},
		"text": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(401)
			_, _ = io.WriteString(w, "who\n are you?"+strings.Repeat(" x", 1<<20))
		}, 1, "401 Unauthorized: who are you? x x"},
		"always": {func(w http.ResponseWriter) { w.WriteHeader(503) }, maxTries, "the receiver answered 503 Service Unavailable (5 tries)"},
		"much later": {func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(503)
		}, 1, "to be tried again in 1h0m0s, which is too long"},
		"elsewhere": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(307)
		}, 1, "the receiver answered 307 Temporary Redirect"},
		"a web page": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<!doctype html>") }, 1, "the answer is not of an OTLP receiver"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			r.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool { tc.fault(w); return true }
			c, _ := r.client()
			sent, err := c.sendAll(t.Context(), sample())
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 400 {
				t.Errorf("%v; want %q", err, tc.want)
			}
			if sent.Spans != 0 || sent.Logs != 0 || r.requests != tc.tries {
				t.Errorf("sent %+v in %d tries, want %d", sent, r.requests, tc.tries)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	r := newReceiver(t)
	c, waits := r.client()
	r.Close()
	_, err := c.sendAll(t.Context(), sample())
	if err == nil || !strings.Contains(err.Error(), "refused") || len(*waits) != maxTries-1 {
		t.Errorf("%v after %v", err, *waits)
	}
}

// What the receiver turned down is counted and not sent again.
func TestPartialSuccess(t *testing.T) {
	r := newReceiver(t)
	// partial_success: 2 rejected, "no room".
	r.reply = []byte("\x0a\x0b\x08\x02\x12\x07no room")
	c, _ := r.client()
	sent, err := c.sendAll(t.Context(), sample())
	if want := "send spans: the receiver turned down 2 of 6: no room"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if sent.Spans != 4 || r.requests != 1 {
		t.Errorf("sent %+v in %d requests", sent, r.requests)
	}

	// 0 rejected: a warning.
	r = newReceiver(t)
	r.reply = []byte("\x0a\x06\x12\x04slow")
	c, _ = r.client()
	sent, err = c.sendAll(t.Context(), sample())
	if err != nil || sent.Spans != 6 || sent.Logs != 19 || !slices.Equal(sent.Warnings, []string{"slow", "slow"}) {
		t.Errorf("%v; sent %+v", err, sent)
	}

	// More than there were, or fewer than none, is nonsense.
	for reply, want := range map[string]int{"\x0a\x02\x08\x7f": 0, "\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01": 6} {
		r = newReceiver(t)
		r.reply = []byte(reply)
		c, _ = r.client()
		if sent, _ := c.sendAll(t.Context(), sample()); sent.Spans != want {
			t.Errorf("%x: sent %+v", reply, sent)
		}
	}
}

// A caller that gives up is not kept, neither in a request nor between two.
func TestCancelled(t *testing.T) {
	for name, fault := range map[string]func(cancel func(), w http.ResponseWriter, r *http.Request){
		"in a request": func(cancel func(), _ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server does not see the connection close
			cancel()
			<-r.Context().Done()
		},
		"while waiting": func(cancel func(), w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "50")
			w.WriteHeader(503)
			time.AfterFunc(50*time.Millisecond, cancel)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := newReceiver(t)
			r.fault = func(_ int, w http.ResponseWriter, req *http.Request) bool { fault(cancel, w, req); return true }
			began := time.Now()
			_, err := Send(ctx, r.URL, nil, sample())
			if !errors.Is(err, context.Canceled) || r.requests != 1 || time.Since(began) > 10*time.Second {
				t.Errorf("%v after %d requests and %s", err, r.requests, time.Since(began))
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"": 0, "0": 0, "5": 5 * time.Second, "-5": 0, "99999999999999": 0, "soon": 0,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0,
	} {
		if got := retryAfter(in, now); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("\x0a\x0b\x08\x02\x12\x07no room"))
	f.Add([]byte("\x08\x03\x12\x08bad span"))
	f.Add([]byte("\x7b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := parseAnswer(data); err == nil && len(a.message) > 3*len(data) {
			t.Errorf("%q", a.message)
		}
		if m, err := statusMessage(data); err == nil && len(m) > 3*len(data) {
			t.Errorf("%q", m)
		}
	})
}
