package ocsf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glasshouse/receipt"
)

func ms(n int) receipt.Time {
	return receipt.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(n) * time.Millisecond))
}

// sample has of everything one, and what is awkward.
func sample() *receipt.Receipt {
	return &receipt.Receipt{
		ReceiptVersion: "v0.3",
		ExecutionID:    "id",
		Command:        receipt.Command{Argv: []string{"/usr/bin/make", "all"}},
		Outcome:        receipt.Outcome{ExitCode: 3},
		Timing:         receipt.Timing{StartedAt: ms(0), EndedAt: ms(100)},
		Observation: receipt.Observation{Mode: "ebpf", Reason: new("2 events were lost"),
			Gaps: []receipt.Gap{{Kind: "root", Detail: "d", Count: 4}}, Survivors: []receipt.Survivor{{PID: 12}}},
		ProcessTree: []receipt.Process{
			{PID: 10, PPID: 9, Exe: "/bin/dash", Argv: []string{"sh", "-c", "a b", ""}, WorkingDir: "/w", StartTime: 1000, StartedAt: ms(1), EndedAt: new(ms(90)), UID: 7, GID: 8,
				ExitCode: new(3), CPUTimeMS: 5, MaxRSSKB: 6, Execs: []receipt.Exec{
					{Exe: "/bin/env", Argv: []string{"env"}, WorkingDir: "/v", Requested: "./s", Interpreter: new("/bin/env"), At: ms(2)},
					{Exe: "/bin/dash", Argv: []string{"sh", "-c", "a b", ""}, WorkingDir: "/w", At: ms(3), ArgvTruncated: true},
				}},
			{PID: 11, PPID: 10, Exe: "/bin/cat", StartTime: 2000, StartedAt: ms(4), EndedAt: new(ms(5)), ExitCode: new(0)},
			{PID: 11, PPID: 10, Exe: "/bin/cat", StartTime: 3000, StartedAt: ms(6), EndedAt: new(ms(7)), Signal: new("SIGKILL")},
			{PID: 12, PPID: 11, StartTime: 4000, StartedAt: ms(7)},
			{PID: 13, PPID: 0, Exe: "/bin/late", StartTime: 5000, StartedAt: ms(200)},
		},
		ExecFailures: []receipt.ExecFail{{PID: 11, Path: "/no/x", Argv: []string{"x"}, Errno: "ENOENT", Count: 1 << 40, PathCut: true}},
		Filesystem: receipt.Filesystem{
			Deletes:          []string{"/d"},
			PolicyViolations: []string{"/v"},
			Renames:          []receipt.Rename{{From: "/a", To: "/b/c", Source: "lexical"}},
			Created: []receipt.Created{
				{Path: "/f", Kind: "file"}, {Path: "/d", Kind: "dir"}, {Path: "/l", Kind: "symlink", Target: new("t")}, {Path: "/h", Kind: "hardlink", Target: new("/f")},
				{Path: "/p", Kind: "fifo"}, {Path: "/s", Kind: "socket"}, {Path: "/n", Kind: "device"},
			},
			Changed: []receipt.Changed{{Path: "/c", What: "mode"}, {Path: "/c", What: "owner"}, {Path: "/c", What: "size"}, {Path: "/c", What: "times"}, {Path: "/c", What: "xattr"}, {Path: "/c", What: "flags"}},
			Mounts:  []receipt.Mount{{Op: "mount", Path: "/m", From: new("tmpfs")}, {Op: "umount", Path: "/m"}, {Op: "pivot_root", Path: "/m"}},
			Failed: []receipt.FailedOp{
				{Op: "rename", Path: "/x", To: "/y", Errno: "EPERM", Count: 3}, {Op: "open", Path: "/x", Errno: "ENOENT", Count: 1, PathCut: true}, {Op: "unlink", Path: "/x", Errno: "errno 999", Count: 1},
				{Op: "bind", Path: "/x", Errno: "E", Count: 1}, {Op: "truncate", Path: "/x", Errno: "E", Count: 1}, {Op: "chmod", Path: "/x", Errno: "E", Count: 1}, {Op: "flags", Path: "/x", Errno: "E", Count: 1},
				{Op: "move_mount", Path: "/x", Errno: "E", Count: 1}, {Op: "umount", Path: "/x", Errno: "E", Count: 1},
			},
			Files: []receipt.FileEntry{
				{Path: "/both", Opens: 2, Read: true, Written: true, MappedExec: true, MappedShared: true, BytesRead: 1<<64 - 1, BytesWritten: 9, Source: "kernel",
					Final: &receipt.Final{Inode: 5, Size: 9, ChangedAt: ms(1), LastWrite: ms(2)}},
				{Path: `/caf\xe9`, PathBytes: []byte("/caf\xe9"), Requested: []string{"caf"}, Written: true, Deleted: true, OtherMounts: true, Source: "kernel"},
				{Path: "/exe", Executed: true, Source: "kernel"},
				{Path: "/lib", MappedExec: true, Source: "kernel"},
				{Path: "/opened", Opens: 3, Source: "kernel"},
				{Path: "/named", Deleted: true, Source: "lexical"},
				{Path: "pipe:[7]", Read: true, PathCut: true, Source: "kernel"},
			},
		},
		Network: receipt.Network{
			Attempts: []receipt.Attempt{
				{Dst: "192.0.2.1:80", Protocol: "tcp", Result: "connected", PID: 10, Count: 2, Host: new("example.com"), Policy: "allowed"},
				{Dst: "[2001:db8::1]:53", Protocol: "udp", Result: "sent", PID: 10, Count: 1},
				{Dst: "127.0.0.1:1", Protocol: "mptcp", Result: "refused", PID: 10, Count: 1},
				{Dst: "192.0.2.1:0", Protocol: "ip/132", Result: "timeout", PID: 10, Count: 1},
				{Dst: "192.0.2.1:1", Protocol: "tcp", Result: "unreachable", PID: 10, Count: 1},
				{Dst: "192.0.2.1:1", Protocol: "tcp", Result: "reset", PID: 10, Count: 1},
				{Dst: "192.0.2.1:1", Protocol: "tcp", Result: "in_progress", PID: 10, Count: 1},
				{Dst: "192.0.2.1:1", Protocol: "tcp", Result: "denied", PID: 10, Count: 1},
				{Dst: "vsock", Protocol: "vsock", Result: "failed", PID: 99, Count: 1},
				{Dst: "unix:@bus", Protocol: "unix", Result: "connected", PID: 11, Count: 1},
				{Dst: "evil.example:443", Protocol: "tcp", Result: "denied", Policy: "denied", Count: 3, Host: new("evil.example"), Source: "proxy"},
			},
			Listens: []receipt.Listen{{Addr: "[::]:53", Protocol: "udp", PID: 10}},
			Accepts: []receipt.Accept{{Src: "192.0.2.9:4000", Addr: "192.0.2.2:80", Protocol: "tcp", PID: 10, Count: 5}, {Src: "unix:", Addr: "unix:/s", Protocol: "unix", PID: 10, Count: 1}},
			DNS:     []receipt.DNSQuery{{Name: "example.com", Type: "AAAA", Server: "[fe80::1%eth0]:53", PID: 10, Count: 6}},
		},
		Environment: receipt.Environment{OS: "linux", Arch: "amd64", Kernel: "6.12.1", GlasshouseVersion: "1.2"},
	}
}

// write returns the events as a reader of JSON has them.
func write(t *testing.T, rec *receipt.Receipt) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, rec); err != nil {
		t.Fatal(err)
	}
	var events []map[string]any
	for line := range strings.Lines(out.String()) {
		dec := json.NewDecoder(strings.NewReader(line))
		dec.UseNumber()
		var e map[string]any
		if err := dec.Decode(&e); err != nil || !strings.HasSuffix(line, "}\n") {
			t.Fatalf("%v: %s", err, line)
		}
		events = append(events, e)
	}
	return events
}

// get is the value at a dotted path as text; "" if there is none.
func get(e map[string]any, path string) string {
	var v any = e
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		if v, ok = m[key]; !ok {
			return ""
		}
	}
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// table is one line of text for each event of a class, of the values at paths.
func table(events []map[string]any, class int, paths ...string) []string {
	var lines []string
	for _, e := range events {
		if get(e, "class_uid") != fmt.Sprint(class) {
			continue
		}
		var values []string
		for _, path := range paths {
			values = append(values, get(e, path))
		}
		lines = append(lines, strings.Join(values, " | "))
	}
	return lines
}

func compare(t *testing.T, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestObservation(t *testing.T) {
	events := write(t, sample())
	compare(t, []string{`99 | Observe | the recording is not complete: 2 events were lost | false | [{"count":4,"detail":"d","kind":"root"}]`},
		table(events, 0, "activity_id", "activity_name", "message", "unmapped.complete", "unmapped.gaps"))
	if get(events[0], "class_uid") != "0" {
		t.Error("it is not the first")
	}
	for i, e := range events {
		if got := fmt.Sprint(get(e, "metadata.labels"), get(e, "metadata.uid"), get(e, "metadata.sequence"), get(e, "metadata.correlation_uid")); got != fmt.Sprintf(`["observation:incomplete"]id:%d%didid`, i+1, i+1)[:len(got)] {
			t.Errorf("event %d: %s", i, got)
		}
	}
	rec := sample()
	rec.Observation = receipt.Observation{Mode: "ebpf", Complete: true}
	for _, e := range write(t, rec) {
		if got := get(e, "metadata.labels"); got != `["observation:complete"]` {
			t.Errorf("labels %s", got)
		}
	}
}

func TestProcesses(t *testing.T) {
	events := write(t, sample())
	compare(t, []string{
		// activity, type of launch, time, process, its image, who did it, whose child
		"1 | 2 | 1 | 1767323045001 | 10:1000 |  |  |  |  | 9 |  | 9",
		"1 | 3 | 1 | 1767323045002 | 10:1000 | env | /bin/env | env | /v | 10 | 10:1000 | 9",
		"1 | 3 | 1 | 1767323045003 | 10:1000 | dash | /bin/dash | sh -c a b  | /w | 10 | 10:1000 | 9",
		"2 |  | 1 | 1767323045090 | 10:1000 | dash | /bin/dash | sh -c a b  | /w | 10 | 10:1000 | 9",
		"1 | 2 | 1 | 1767323045004 | 11:2000 | cat | /bin/cat |  |  | 10 | 10:1000 | 10",
		"2 |  | 1 | 1767323045005 | 11:2000 | cat | /bin/cat |  |  | 11 | 11:2000 | 10",
		"1 | 2 | 1 | 1767323045006 | 11:3000 | cat | /bin/cat |  |  | 10 | 10:1000 | 10",
		"2 |  | 1 | 1767323045007 | 11:3000 | cat | /bin/cat |  |  | 11 | 11:3000 | 10",
		"1 | 2 | 1 | 1767323045007 | 12:4000 |  |  |  |  | 11 | 11:3000 | 11",
		"1 | 2 | 1 | 1767323045200 | 13:5000 | late | /bin/late |  |  |  |  | ",
		// Two processes had the number 11: nobody knows which it was.
		"1 | 3 | 2 | 1767323045100 |  | x | /no/x | x |  | 11 |  | ",
	}, table(events, processActivity, "activity_id", "launch_type_id", "status_id", "time", "process.uid", "process.name", "process.file.path", "process.cmd_line",
		"process.working_directory", "actor.process.pid", "actor.process.uid", "process.parent_process.pid"))
	compare(t, []string{
		" |  |  |  | ", " |  |  |  | ./s", " |  | 7 | 8 | ", "3 |  | 7 | 8 | ",
		" |  | 0 | 0 | ", "0 |  | 0 | 0 | ", " |  | 0 | 0 | ", " | SIGKILL | 0 | 0 | ",
		" |  |  |  | ", // a user was not seen
		" |  | 0 | 0 | ",
		" |  |  |  | ",
	}, table(events, processActivity, "exit_code", "status_detail", "process.user.uid", "unmapped.gid", "unmapped.requested"))
	compare(t, []string{
		" |  |  | ", " |  |  | ", `["sh","-c","a b",""] | true |  | `, `["sh","-c","a b",""] |  |  | `,
		" |  |  | ", " |  |  | ", " |  |  | ", " |  |  | ", " |  |  | ", " |  |  | ",
		fmt.Sprintf(" |  | ENOENT | %d", 1<<40),
	}, table(events, processActivity, "unmapped.argv", "unmapped.argv_truncated", "status_code", "unmapped.count"))
	// Of a parent that is not known the command is the actor.
	if got := get(events[10], "actor.app_name"); got != "make" {
		t.Errorf("actor %q", got)
	}
}

func TestFiles(t *testing.T) {
	events := write(t, sample())
	compare(t, []string{
		"2 |  | 1 | /both | both | 1 |  |  |  | 18446744073709551615 | ",
		"3 |  | 1 | /both | both | 1 |  |  |  |  | 9",
		`3 |  | 1 | /caf\xe9 | caf\xe9 | 0 | true |  |  |  | 0`,
		"99 | Execute | 1 | /exe | exe | 1 |  |  |  |  | ",
		"99 | Map | 1 | /lib | lib | 0 |  |  |  |  | ",
		"14 |  | 1 | /opened | opened | 0 |  |  |  |  | ",
		"99 | Name | 1 | /named | named | 0 | true |  |  |  | ",
		"2 |  | 1 | pipe:[7] | pipe:[7] | 0 |  |  |  | 0 | ",
		"1 |  | 1 | /f | f | 1 |  |  |  |  | ",
		"1 |  | 1 | /d | d | 2 |  |  |  |  | ",
		"1 |  | 1 | /l | l | 7 |  |  |  |  | ",
		"1 |  | 1 | /h | h | 0 |  |  |  |  | ",
		"1 |  | 1 | /p | p | 6 |  |  |  |  | ",
		"1 |  | 1 | /s | s | 5 |  |  |  |  | ",
		"1 |  | 1 | /n | n | 99 |  |  |  |  | ",
		"5 |  | 1 | /a | a | 0 |  | /b/c |  |  | ",
		"4 |  | 1 | /d | d | 0 | true |  |  |  | ",
		"7 |  | 1 | /c | c | 0 |  |  |  |  | ",
		"7 |  | 1 | /c | c | 0 |  |  |  |  | ",
		"3 |  | 1 | /c | c | 0 |  |  |  |  | ",
		"6 |  | 1 | /c | c | 0 |  |  |  |  | ",
		"6 |  | 1 | /c | c | 0 |  |  |  |  | ",
		"6 |  | 1 | /c | c | 0 |  |  |  |  | ",
		"12 |  | 1 | /m | m | 0 |  |  |  |  | ",
		"13 |  | 1 | /m | m | 0 |  |  |  |  | ",
		"99 | pivot_root | 1 | /m | m | 0 |  |  |  |  | ",
		"5 |  | 2 | /x | x | 0 |  |  | EPERM |  | ",
		"14 |  | 2 | /x | x | 0 |  |  | ENOENT |  | ",
		"4 |  | 2 | /x | x | 0 |  |  | errno 999 |  | ",
		"1 |  | 2 | /x | x | 0 |  |  | E |  | ",
		"3 |  | 2 | /x | x | 0 |  |  | E |  | ",
		"7 |  | 2 | /x | x | 0 |  |  | E |  | ",
		"6 |  | 2 | /x | x | 0 |  |  | E |  | ",
		"99 | move_mount | 2 | /x | x | 0 |  |  | E |  | ",
		"13 |  | 2 | /x | x | 0 |  |  | E |  | ",
		"99 | Violate Policy | 0 | /v | v | 0 |  |  |  |  | ",
	}, table(events, fileActivity, "activity_id", "activity_name", "status_id", "file.path", "file.name", "file.type_id", "file.is_deleted", "file_result.path", "status_code", "unmapped.bytes_read", "unmapped.bytes_written"))
	for _, e := range events {
		if get(e, "class_uid") != fmt.Sprint(fileActivity) {
			continue
		}
		// Who it was and when, a receipt does not say.
		if got := []string{get(e, "actor.process"), get(e, "actor.app_name"), get(e, "time"), get(e, "start_time"), get(e, "end_time")}; !slices.Equal(got, []string{"", "make", "1767323045100", "1767323045000", "1767323045100"}) {
			t.Errorf("%s: %v", get(e, "file.path"), got)
		}
	}
	// What has no attribute is there under its own name.
	var unmapped []string
	for _, e := range events {
		if p := get(e, "file.path"); p == "/both" || strings.HasPrefix(p, "/caf") || p == "pipe:[7]" || p == "/l" || p == "/x" && get(e, "unmapped.to") != "" {
			unmapped = append(unmapped, get(e, "unmapped"))
		}
	}
	final := `"final":{"changed":false,"changed_at":"2026-01-02T03:04:05.001000000Z","inode":5,"last_write":"2026-01-02T03:04:05.002000000Z","size":9},"mapped_exec":true,"mapped_shared":true,"opens":2,"source":"kernel"}`
	compare(t, []string{
		`{"bytes_read":18446744073709551615,` + final,
		`{"bytes_written":9,` + final,
		`{"bytes_written":0,"opens":0,"other_mount_namespace":true,"path_bytes":"L2NhZuk=","requested":["caf"],"source":"kernel"}`,
		`{"bytes_read":0,"opens":0,"path_cut":true,"source":"kernel"}`,
		`{"kind":"symlink","source":"","target":"t"}`,
		`{"op":"rename","to":"/y"}`,
	}, unmapped)
}

func TestNetwork(t *testing.T) {
	events := write(t, sample())
	compare(t, []string{
		// activity, status; the peers; protocol, direction, boundary; who and how often
		"1 | 1 | connected |  |  | 192.0.2.1 | 80 |  | tcp | 6 | 4 | 2 |  | 10 | 2",
		"6 | 1 | sent |  |  | 2001:db8::1 | 53 |  | udp | 17 | 6 | 2 |  | 10 | 1",
		"5 | 2 | refused |  |  | 127.0.0.1 | 1 |  | mptcp |  | 4 | 4 | 1 | 10 | 1",
		"4 | 2 | timeout |  |  | 192.0.2.1 | 0 |  | ip/132 | 132 | 4 | 2 |  | 10 | 1",
		"4 | 2 | unreachable |  |  | 192.0.2.1 | 1 |  | tcp | 6 | 4 | 2 |  | 10 | 1",
		"3 | 2 | reset |  |  | 192.0.2.1 | 1 |  | tcp | 6 | 4 | 2 |  | 10 | 1",
		"1 | 0 | in_progress |  |  | 192.0.2.1 | 1 |  | tcp | 6 | 4 | 2 |  | 10 | 1",
		"4 | 2 | denied |  |  | 192.0.2.1 | 1 |  | tcp | 6 | 4 | 2 |  | 10 | 1",
		"4 | 2 | failed |  |  |  |  | vsock | vsock |  |  | 2 |  | 99 | 1",
		"1 | 1 | connected |  |  |  |  | unix:@bus | unix |  |  | 4 | 1 | 11 | 1",
		"4 | 2 | denied |  |  |  |  | evil.example:443 | tcp | 6 |  | 2 |  |  | 3",
		"7 | 1 |  |  |  | :: | 53 |  | udp | 17 | 6 | 0 |  | 10 | ",
		"1 | 1 |  | 192.0.2.9 | 4000 | 192.0.2.2 | 80 |  | tcp | 6 | 4 | 1 |  | 10 | 5",
		"1 | 1 |  |  |  |  |  | unix:/s | unix |  |  | 4 | 1 | 10 | 1",
	}, table(events, networkActivity, "activity_id", "status_id", "status_code", "src_endpoint.ip", "src_endpoint.port", "dst_endpoint.ip", "dst_endpoint.port", "dst_endpoint.name",
		"connection_info.protocol_name", "connection_info.protocol_num", "connection_info.protocol_ver_id", "connection_info.direction_id", "connection_info.boundary_id", "actor.process.pid", "count"))
	compare(t, []string{`10:1000 | [{"data":{"hostname":"example.com"},"name":"dst_endpoint","type":"hostname inferred from an answer to a DNS query","value":"192.0.2.1:80"}] | allowed`},
		table(events, networkActivity, "actor.process.uid", "enrichments", "unmapped.policy")[:1])
	compare(t, []string{`make | [{"data":{"hostname":"evil.example"},"name":"dst_endpoint","type":"hostname that the proxy was asked for","value":"evil.example:443"}] | denied | proxy`},
		table(events, networkActivity, "actor.app_name", "enrichments", "unmapped.policy", "unmapped.source")[10:11])
	compare(t, []string{"1 | example.com | AAAA | fe80::1%eth0 | 53 | 10:1000 | 6"},
		table(events, dnsActivity, "activity_id", "query.hostname", "query.type", "dst_endpoint.ip", "dst_endpoint.port", "actor.process.uid", "count"))
}

func TestSchema(t *testing.T) {
	for name, rec := range map[string]*receipt.Receipt{
		"sample": sample(),
		"empty":  {},
		"hostile": {Command: receipt.Command{Argv: []string{""}}, Environment: receipt.Environment{OS: "plan9"}, ProcessTree: []receipt.Process{{PID: -1, PPID: -1}},
			Network: receipt.Network{Attempts: []receipt.Attempt{{}}, Listens: []receipt.Listen{{}}, Accepts: []receipt.Accept{{}}, DNS: []receipt.DNSQuery{{}}},
			Filesystem: receipt.Filesystem{Files: []receipt.FileEntry{{}}, Deletes: []string{""}, Failed: []receipt.FailedOp{{}}, Created: []receipt.Created{{}},
				Renames: []receipt.Rename{{}}, Changed: []receipt.Changed{{}}, Mounts: []receipt.Mount{{}}}, ExecFailures: []receipt.ExecFail{{}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, e := range write(t, rec) {
				for _, complaint := range checkEvent(e) {
					t.Errorf("%s\n%v", complaint, e)
				}
			}
		})
	}
}

func TestSameAgain(t *testing.T) {
	var first, second bytes.Buffer
	if err := errors.Join(Write(&first, sample()), Write(&second, sample())); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("other bytes")
	}
}

var errFull = errors.New("full")

type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// Wherever writing fails, it is told, and nothing is written after it.
func TestWriteErrors(t *testing.T) {
	n := len(write(t, sample()))
	for i := range n {
		w := &failing{i}
		if err := Write(w, sample()); !errors.Is(err, errFull) || w.left != -1 {
			t.Errorf("after %d events: %v", i, err)
		}
	}
	if err := Write(&failing{n}, sample()); err != nil {
		t.Error(err)
	}
}
