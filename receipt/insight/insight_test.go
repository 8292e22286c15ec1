package insight

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glasshouse/receipt"
)

func TestVerdict(t *testing.T) {
	observed := receipt.Observation{Mode: "ebpf", Complete: true, Events: receipt.Events{Emitted: 1234, Received: 1234}}
	ran := receipt.Resources{Processes: 1}
	for _, tc := range []struct {
		name string
		r    receipt.Receipt
		want Verdict
	}{
		{"well", receipt.Receipt{Observation: observed, Resources: ran, Timing: receipt.Timing{DurationMS: 1500}},
			Verdict{"Exited with 0 after 1.5 s", true, "Watched: 1,234 events, none lost", Complete}},
		{"with ptrace", receipt.Receipt{Observation: receipt.Observation{Mode: "ptrace", Complete: true, Events: receipt.Events{Emitted: 1, Received: 1}}, Resources: ran},
			Verdict{"Exited with 0 after 0 ms", true, "Watched with ptrace: 1 event, none lost", Complete}},
		{"failed", receipt.Receipt{Observation: observed, Resources: ran, Outcome: receipt.Outcome{ExitCode: 3}},
			Verdict{"Exited with 3 after 0 ms", false, "Watched: 1,234 events, none lost", Complete}},
		{"timed out", receipt.Receipt{Observation: observed, Resources: ran, Outcome: receipt.Outcome{ExitCode: 137, Signal: ptr("SIGKILL"), Error: ptr("timed out after 2s")}, Timing: receipt.Timing{DurationMS: 2001}},
			Verdict{"Ended by SIGKILL after 2.0 s, exit code 137: timed out after 2s", false, "Watched: 1,234 events, none lost", Complete}},
		{"missing", receipt.Receipt{Observation: observed, Outcome: receipt.Outcome{ExitCode: 1, Error: ptr("no such file")}},
			Verdict{"Not started, exit code 1: no such file", false, "Watched: 1,234 events, none lost", Complete}},
		{"an error and not observed", receipt.Receipt{Observation: receipt.Observation{Mode: "none", Reason: ptr("no right")}, Outcome: receipt.Outcome{ExitCode: 1, Error: ptr("no such file")}},
			Verdict{"Exit code 1 after 0 ms: no such file", false, "Not observed: no right; that nothing is listed means nothing", Unobserved}},
		{"lost, as said", receipt.Receipt{Resources: ran, Observation: receipt.Observation{Mode: "ebpf", Reason: ptr("3 events were lost (a 3)"), Events: receipt.Events{Emitted: 10, Received: 7, Lost: map[string]uint64{"a": 3}}}},
			Verdict{"Exited with 0 after 0 ms", true, "NOT complete: 3 events were lost (a 3), of 10", Incomplete}},
		{"lost", receipt.Receipt{Resources: ran, Observation: receipt.Observation{Mode: "ebpf", Reason: ptr("events were lost"), Events: receipt.Events{Emitted: 10, Received: 7, Lost: map[string]uint64{"a": 1, "b": 2}}}},
			Verdict{"Exited with 0 after 0 ms", true, "NOT complete: events were lost; 3 of 10 events were lost", Incomplete}},
		{"v0.2", receipt.Receipt{}, Verdict{"Exited with 0 after 0 ms", true, "The receipt does not say how well it was seen", Incomplete}},
		{"hostile numbers", receipt.Receipt{Timing: receipt.Timing{DurationMS: math.MaxInt64}, Outcome: receipt.Outcome{ExitCode: math.MinInt}},
			Verdict{"Exited with -9223372036854775808 after 2562047h47m", false, "The receipt does not say how well it was seen", Incomplete}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, VerdictOf(&tc.r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "0 ms", 0: "0 ms", 250 * time.Microsecond: "0.2 ms", 999 * time.Millisecond: "999 ms",
		1500 * time.Millisecond: "1.5 s", 61 * time.Second: "1m01s", 3661 * time.Second: "1h01m",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d: got %q, want %q", d, got, want)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, tc := range []struct {
		p, dir string
		want   bool
	}{
		{"/a", "/a", true}, {"/a/b", "/a", true}, {"/ab", "/a", false}, {"/a", "/a/b", false}, {"/a", "/", true},
		{"/a/../b", "/a", false}, {"/a/b/..", "/a", false}, {"/a/..b", "/a", true}, {"a", "", false}, {"pipe:[1]", "/", false},
	} {
		if got := within(tc.p, tc.dir); got != tc.want {
			t.Errorf("%s within %s: %v", tc.p, tc.dir, got)
		}
	}
	for _, tc := range []struct{ a, b, want string }{
		{"/a/b", "/a/b", "/a/b"}, {"/a/b", "/a/c", "/a"}, {"/a/b", "/a/bc", "/a"}, {"/a/b/c", "/a/b", "/a/b"}, {"/a/b", "/a/b/c", "/a/b"},
		{"/a", "/b", "/"}, {"/a", "/ab", "/"}, {"/", "/a", "/"}, {"/a", "/", "/"}, {"/", "/", "/"},
	} {
		if got := commonFolder(tc.a, tc.b); got != tc.want {
			t.Errorf("%s and %s: got %s, want %s", tc.a, tc.b, got, tc.want)
		}
	}
	set := treesOf([]string{"/a-b", "/a/b", "/a", "/a/b/c", "/c/d", "relative", "/x/../y"})
	if want := (trees{"/a", "/a-b", "/c/d"}); !slices.Equal(set, want) {
		t.Errorf("trees %v, want %v", set, want)
	}
	for p, want := range map[string]bool{
		"/a": true, "/a/b/c": true, "/a-b/x": true, "/a-c": false, "/c": false, "/c/d/e": true, "/b": false, "relative": false, "/": false, "": false, "/x/../y": false,
	} {
		if got := set.cover(p); got != want {
			t.Errorf("%s is covered: %v", p, got)
		}
	}
}

func TestFolders(t *testing.T) {
	r := &receipt.Receipt{}
	r.Command.WorkingDir = "/home/ann/app"
	r.Filesystem = receipt.Filesystem{
		Reads: []string{
			"/etc/passwd", "/etc/ssl/a", "/home/ann/app/src/a.c", "/home/ann/app/src/deep/b.c", "/home/ann/.cache/go/1", "/usr/lib/x/1", "/usr/lib/x/2",
			"/usr/lib/x", "/tmp/run",
		},
		Writes:  []string{"/dev/null", "/home/ann/app/out", "/tmp/run", "/tmp/run/1", "/tmp/run/2", "/var/log/x"},
		Deletes: []string{"/home/ann/app/old", "/tmp/run", "/tmp/run/1", "/tmp/run/2"},
		Created: []receipt.Created{{Path: "/home/ann/app/out"}, {Path: "/tmp/run"}},
		Files: []receipt.FileEntry{
			{Path: "/tmp/run", Deleted: true}, {Path: "/usr/bin/cc", Executed: true}, {Path: "pipe:[1]", Read: true, Written: true}, {Path: "part/of", PathCut: true, Written: true},
			{Path: "/home/ann/app/old", Deleted: true},
		},
	}
	var got []string
	for _, f := range Folders(r) {
		text := fmt.Sprintf("%s %s: %d files, read %d, written %d, deleted %d, executed %d, left %d:", f.Path, f.Place, f.Files, f.Read, f.Written, f.Deleted, f.Executed, f.Left)
		for _, c := range f.Changed {
			text += " " + c.Path[strings.LastIndexByte(c.Path, '/'):]
			if c.Marks.Has(Own) {
				text += " own"
			}
			if c.Marks.Has(Gone) {
				text += " gone"
			}
		}
		got = append(got, text)
	}
	want := []string{
		"/home/ann/app working: 2 files, read 0, written 1, deleted 1, executed 0, left 1: /old gone /out own",
		"/home/ann/app/src working: 2 files, read 2, written 0, deleted 0, executed 0, left 0:",
		"/var/log elsewhere: 1 files, read 0, written 1, deleted 0, executed 0, left 1: /x",
		"/tmp/run temp: 3 files, read 1, written 3, deleted 3, executed 0, left 0: /run own gone /1 own gone /2 own gone",
		"/dev elsewhere: 1 files, read 0, written 1, deleted 0, executed 0, left 1:",
		"/usr/lib/x elsewhere: 3 files, read 3, written 0, deleted 0, executed 0, left 0:",
		"/etc elsewhere: 2 files, read 2, written 0, deleted 0, executed 0, left 0:",
		"/home/ann/.cache/go elsewhere: 1 files, read 1, written 0, deleted 0, executed 0, left 0:",
		"/usr/bin elsewhere: 1 files, read 0, written 0, deleted 0, executed 1, left 0:",
		" nowhere: 1 files, read 1, written 1, deleted 0, executed 0, left 1:",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNetwork(t *testing.T) {
	r := &receipt.Receipt{}
	r.Network = receipt.Network{
		BytesSent: 5, BytesReceived: 6,
		Attempts: []receipt.Attempt{
			{Dst: "unix:/a", Protocol: "unix", Result: "connected", Count: 1},
			{Dst: "127.0.0.1:1", Protocol: "tcp", Result: "refused", Count: 1},
			{Dst: "192.0.2.1:80", Protocol: "tcp", Result: "connected", Count: 2, PID: 1, Host: ptr("b.example")},
			{Dst: "192.0.2.1:80", Protocol: "tcp", Result: "connected", Count: math.MaxUint64, PID: 2, Host: ptr("a.example")},
			{Dst: "192.0.2.1:80", Protocol: "tcp", Result: "refused", Count: 1},
			{Dst: "192.0.2.1:443", Protocol: "tcp", Result: "refused", Count: 1},
			{Dst: "vsock", Protocol: "vsock", Result: "failed", Count: 1},
			{Dst: "127.0.0.1:1", Protocol: "tcp", Result: "refused", Count: 3, Host: ptr("c.example"), Source: "proxy"},
			{Dst: "192.0.2.1:80", Protocol: "tcp", Result: "connected", Count: 4, Source: "proxy"},
			{Dst: "d.example:443", Protocol: "tcp", Result: "denied", Count: 5, Host: ptr("d.example"), Source: "proxy"},
		},
		Listens: []receipt.Listen{{Addr: "0.0.0.0:80", Protocol: "tcp", PID: 1}, {Addr: "0.0.0.0:80", Protocol: "tcp", PID: 2}, {Addr: "127.0.0.1:9", Protocol: "udp"}},
		Accepts: []receipt.Accept{
			{Src: "198.51.100.7:1", Addr: "192.0.2.9:80", Protocol: "tcp", Count: 1}, {Src: "198.51.100.7:2", Addr: "192.0.2.9:80", Protocol: "tcp", Count: 1},
			{Src: "127.0.0.1:5", Addr: "127.0.0.1:7", Protocol: "tcp", Count: 1},
		},
		DNS: []receipt.DNSQuery{{Name: "a.example", Type: "AAAA", Count: 1}, {Name: "a.example", Type: "A", Count: 2}},
	}
	want := Network{
		Sent: 5, Received: 6,
		Peers: []Peer{
			{"127.0.0.1", Remote, []string{"c.example"}, []Contact{{"127.0.0.1:1", "tcp", "refused", 3}}, 1, true},
			{"192.0.2.1", Remote, []string{"a.example", "b.example"}, []Contact{{"192.0.2.1:443", "tcp", "refused", 1}, {"192.0.2.1:80", "tcp", "connected", math.MaxUint64}, {"192.0.2.1:80", "tcp", "refused", 1}}, 2, false},
			{"192.0.2.1", Remote, nil, []Contact{{"192.0.2.1:80", "tcp", "connected", 4}}, 1, true},
			{"d.example", Remote, nil, []Contact{{"d.example:443", "tcp", "denied", 5}}, 1, true},
			{"vsock", Remote, nil, []Contact{{"vsock", "vsock", "failed", 1}}, 1, false},
			{"127.0.0.1", Loopback, nil, []Contact{{"127.0.0.1:1", "tcp", "refused", 1}}, 1, false},
			{"unix:/a", Local, nil, []Contact{{"unix:/a", "unix", "connected", 1}}, 1, false},
		},
		Listeners: []Listener{
			{"0.0.0.0:80", "tcp", Remote, 2, []string{"198.51.100.7"}},
			{"127.0.0.1:7", "tcp", Loopback, 1, []string{"127.0.0.1"}},
			{"127.0.0.1:9", "udp", Loopback, 0, nil},
		},
		Questions: []Question{{"a.example", []string{"A", "AAAA"}, 3}},
	}
	if diff := cmp.Diff(want, NetworkOf(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
