package insight

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glasshouse/receipt"
)

func ptr[T any](v T) *T { return &v }

// quiet is a receipt with nothing unusual: what a command does in its working
// directory and in /tmp, as user 1000.
func quiet() *receipt.Receipt {
	r := &receipt.Receipt{ReceiptVersion: receipt.Version}
	r.Command = receipt.Command{Argv: []string{"make"}, WorkingDir: "/home/ann/src/app", UID: 1000}
	r.Observation = receipt.Observation{Mode: "ebpf", Complete: true}
	exec := receipt.Exec{Exe: "/usr/bin/make", Argv: []string{"make"}}
	r.ProcessTree = []receipt.Process{
		{PID: 10, PPID: 9, Exe: "/usr/bin/make", Argv: []string{"make"}, StartTime: 1, UID: 1000, ExitCode: ptr(0), Execs: []receipt.Exec{exec}},
		{PID: 11, PPID: 10, Exe: "/usr/bin/cc", Argv: []string{"cc"}, StartTime: 2, UID: 1000, ExitCode: ptr(0), Execs: []receipt.Exec{{Exe: "/usr/bin/cc"}}},
	}
	r.Filesystem = receipt.Filesystem{
		Reads:   []string{"/etc/passwd", "/home/ann/.ssh/id_ed25519.pub", "/proc/11/environ", "/usr/lib/libc.so.6"},
		Writes:  []string{"/dev/null", "/dev/pts/3", "/home/ann/src/app/.git/index", "/home/ann/src/app/out", "/proc/11/oom_score_adj", "/tmp/x"},
		Deletes: []string{"/home/ann/src/app/old", "/tmp/x"},
		Created: []receipt.Created{{Path: "/tmp/x", Kind: "file"}},
		Changed: []receipt.Changed{{Path: "/home/ann/src/app/out", What: "mode"}, {Path: "/tmp/x", What: "owner"}},
		Failed:  []receipt.FailedOp{{Op: "open", Path: "/etc/none", Errno: "ENOENT"}},
		Files:   []receipt.FileEntry{{Path: "/usr/bin/make", Executed: true}, {Path: "/usr/lib/libc.so.6", Read: true, MappedExec: true}, {Path: "pipe:[7]", Read: true, Written: true}},
	}
	r.Network.Attempts = []receipt.Attempt{{Dst: "127.0.0.1:80", Protocol: "tcp", Result: "refused"}, {Dst: "unix:/run/x", Protocol: "unix", Result: "connected"}}
	r.Network.Listens = []receipt.Listen{{Addr: "unix:/tmp/s", Protocol: "unix"}}
	r.Syscalls.Counts = map[string]uint64{"open": 9, "setuid": 0}
	return r
}

func TestQuiet(t *testing.T) {
	if got := Findings(quiet()); len(got) != 0 {
		t.Errorf("findings in a quiet receipt: %+v", got)
	}
}

type fs = receipt.Filesystem

func reads(paths ...string) func(*receipt.Receipt) {
	return func(r *receipt.Receipt) { r.Filesystem.Reads = paths }
}

func writes(paths ...string) func(*receipt.Receipt) {
	return func(r *receipt.Receipt) { r.Filesystem.Writes = paths }
}

func gapOf(kind, detail string) func(*receipt.Receipt) {
	return func(r *receipt.Receipt) {
		r.Observation.Gaps = append(r.Observation.Gaps, receipt.Gap{Kind: kind, Detail: detail, Count: 1})
	}
}

func counts(name string, n uint64) func(*receipt.Receipt) {
	return func(r *receipt.Receipt) { r.Syscalls.Counts[name] = n }
}

// cases has for each kind receipts that have such a finding, with its items,
// and receipts that come near and have not (none).
var none []string

var ruleCases = []struct {
	kind, name string
	change     func(*receipt.Receipt)
	want       []string
}{
	{"not_observed", "none", func(r *receipt.Receipt) { r.Observation = receipt.Observation{Mode: "none"} }, []string{}},
	{"not_observed", "incomplete", func(r *receipt.Receipt) { r.Observation.Complete = false }, none},
	{"incomplete", "incomplete", func(r *receipt.Receipt) { r.Observation.Complete = false }, []string{}},
	{"incomplete", "not observed", func(r *receipt.Receipt) { r.Observation = receipt.Observation{Mode: "none"} }, none},
	{"incomplete", "v0.2 does not say", func(r *receipt.Receipt) { r.Observation = receipt.Observation{} }, none},

	{"survivors", "one", func(r *receipt.Receipt) { r.Observation.Survivors = []receipt.Survivor{{PID: 7, Exe: "/bin/x"}} }, []string{"7 /bin/x"}},
	{"survivors", "killed", gapOf(receipt.GapKilled, "by the recorder"), []string{}},
	{"survivors", "an end not seen", func(r *receipt.Receipt) { r.ProcessTree[1].ExitCode = nil }, none},
	{"core_dumps", "one", gapOf(receipt.GapCoreDump, "core"), []string{"core"}},
	{"core_dumps", "a signal", func(r *receipt.Receipt) { r.ProcessTree[1].Signal = ptr("SIGSEGV") }, none},
	{"services", "docker", gapOf(receipt.GapDaemon, "/run/docker.sock"), []string{"/run/docker.sock"}},
	{"services", "own", func(r *receipt.Receipt) {
		r.Network.Attempts = []receipt.Attempt{{Dst: "unix:/run/docker.sock", Protocol: "unix"}}
	}, none},
	{"guest_duties", "failed", func(r *receipt.Receipt) {
		r.Execution.Guest = []receipt.Duty{{Name: "reap orphans", Outcome: "failed"}}
	}, []string{"reap orphans"}},
	{"guest_duties", "done", func(r *receipt.Receipt) { r.Execution.Guest = []receipt.Duty{{Name: "reap orphans", Outcome: "done"}} }, none},
	{"gaps", "two of a kind", func(r *receipt.Receipt) { gapOf("root", "a")(r); gapOf("root", "b")(r); gapOf("argv", "c")(r) }, []string{"argv", "root"}},
	{"gaps", "told elsewhere", func(r *receipt.Receipt) { gapOf("daemon", "a")(r); gapOf("survivors", "b")(r) }, none},
	{"secrets", "two", func(r *receipt.Receipt) { r.Redactions = []receipt.Redaction{{ID: 1, Rule: "b"}, {ID: 2, Rule: "a"}} }, []string{"a", "b"}},
	{"secrets", "none", func(*receipt.Receipt) {}, none},

	{"ran_written", "image", func(r *receipt.Receipt) {
		r.Filesystem.Files = []receipt.FileEntry{{Path: "/tmp/a", Executed: true, Written: true}}
	}, []string{"/tmp/a"}},
	{"ran_written", "library", func(r *receipt.Receipt) {
		r.Filesystem.Files = []receipt.FileEntry{{Path: "/tmp/a.so", MappedExec: true, Read: true}}
		r.Filesystem.Writes = []string{"/tmp/a.so"}
	}, []string{"/tmp/a.so"}},
	{"ran_written", "scripts", func(r *receipt.Receipt) {
		r.Filesystem.Writes = []string{"/tmp/a/x", "/tmp/b"}
		r.ProcessTree[1].Execs = []receipt.Exec{
			{Exe: "/bin/sh", Requested: "/tmp/b", Interpreter: ptr("/bin/sh")},
			{Exe: "/bin/sh", Requested: "../a/x", WorkingDir: "/tmp/b", Interpreter: ptr("/bin/sh")},
		}
	}, []string{"/tmp/a/x", "/tmp/b"}},
	{"ran_written", "another one, and a script that was not written", func(r *receipt.Receipt) {
		r.Filesystem.Files = []receipt.FileEntry{{Path: "/tmp/a", Executed: true}, {Path: "/tmp/b", Written: true}}
		r.ProcessTree[1].Execs = []receipt.Exec{{Exe: "/bin/sh", Requested: "/bin/x", Interpreter: ptr("/bin/sh")}}
	}, none},
	{"ran_memory", "memfd", func(r *receipt.Receipt) {
		r.Filesystem.Files = []receipt.FileEntry{{Path: "memfd:x", Executed: true}}
	}, []string{"memfd:x"}},
	{"ran_memory", "cut, and written only", func(r *receipt.Receipt) {
		r.Filesystem.Files = []receipt.FileEntry{{Path: "deep/x", PathCut: true, Executed: true}, {Path: "memfd:x", Written: true}}
	}, none},
	{"became_root", "sudo", func(r *receipt.Receipt) { r.ProcessTree[1].UID = 0 }, []string{"11 cc"}},
	{"became_root", "the command itself", func(r *receipt.Receipt) { r.ProcessTree[0].UID, r.ProcessTree[1].UID = 0, 0 }, []string{"10 make"}},
	{"became_root", "root all along", func(r *receipt.Receipt) { r.Command.UID, r.ProcessTree[0].UID, r.ProcessTree[1].UID = 0, 0, 0 }, none},
	{"became_root", "user not seen", func(r *receipt.Receipt) { r.ProcessTree[1].UID, r.ProcessTree[1].Exe = 0, "" }, none},
	{"changed_user", "nobody", func(r *receipt.Receipt) { r.ProcessTree[1].UID = 65534 }, []string{"11 cc as user 65534"}},
	{"changed_user", "to root", func(r *receipt.Receipt) { r.ProcessTree[1].UID = 0 }, none},
	{"powerful_calls", "ptrace", counts("ptrace", 2), []string{"ptrace (2)"}},
	{"powerful_calls", "none", counts("ptrace", 0), none},
	{"identity_calls", "32 bit too", func(r *receipt.Receipt) { counts("setuid", 2)(r); counts("setuid32", 1)(r) }, []string{"setuid (3)"}},
	{"identity_calls", "reading", counts("getuid", 2), none},
	{"denied_calls", "kill", func(r *receipt.Receipt) { r.Syscalls.Denied = []string{"epoll_ctl", "kill"} }, []string{"kill"}},
	{"denied_calls", "epoll_ctl", func(r *receipt.Receipt) { r.Syscalls.Denied = []string{"epoll_ctl"} }, none},

	{"policy_violations", "both", func(r *receipt.Receipt) {
		r.Filesystem.PolicyViolations = []string{"/a"}
		r.Network.Attempts = []receipt.Attempt{{Dst: "127.0.0.1:1", Policy: "denied"}}
	}, []string{"/a", "127.0.0.1:1 denied"}},
	{"policy_violations", "allowed", func(r *receipt.Receipt) {
		r.Network.Attempts = []receipt.Attempt{{Dst: "127.0.0.1:1", Policy: "allowed"}}
	}, none},
	{"secrets_read", "well known", reads(
		"/etc/shadow", "/etc/ssh/ssh_host_rsa_key", "/home/ann/.aws/credentials", "/home/ann/.gnupg/private-keys-v1.d/x.key",
		"/home/ann/.mozilla/firefox/p/cookies.sqlite", "/home/ann/.netrc", "/home/ann/.ssh/id_rsa", "/proc/99/environ", "/proc/99/task/99/mem",
		"/root/.git-credentials", "/run/secrets/token",
	), []string{
		"/etc/shadow", "/etc/ssh/ssh_host_rsa_key", "/home/ann/.aws/credentials", "/home/ann/.gnupg/private-keys-v1.d/x.key",
		"/home/ann/.mozilla/firefox/p/cookies.sqlite", "/home/ann/.netrc", "/home/ann/.ssh/id_rsa", "/proc/99/environ", "/proc/99/task/99/mem",
		"/root/.git-credentials", "/run/secrets/token",
	}},
	{"secrets_read", "near", reads(
		"/etc/shadowy", "/etc/ssh/ssh_host_rsa_key.pub", "/home/ann", "/home/ann/.ssh", "/home/ann/.ssh/id_rsa.pub", "/home/ann/.ssh/known_hosts",
		"/home/ann/src/.netrc", "/proc/10/mem", "/proc/99/maps", "/proc/self/environ", "/run/secrets", "/srv/home/ann/.netrc",
	), none},
	{"secrets_read", "written", writes("/home/ann/.netrc"), none},
	{"startup_files", "several", writes(
		"/etc/cron.d/x", "/etc/ld.so.preload", "/home/ann/.bashrc", "/home/ann/.config/systemd/user/a.service", "/home/ann/src/app/.git/hooks/pre-commit",
		"/root/.ssh/authorized_keys",
	), []string{
		"/etc/cron.d/x", "/etc/ld.so.preload", "/home/ann/.bashrc", "/home/ann/.config/systemd/user/a.service", "/home/ann/src/app/.git/hooks/pre-commit",
		"/root/.ssh/authorized_keys",
	}},
	{"startup_files", "mode", func(r *receipt.Receipt) {
		r.Filesystem.Changed = []receipt.Changed{{Path: "/home/ann/.profile", What: "mode"}}
	}, []string{"/home/ann/.profile"}},
	{"startup_files", "near", writes("/etc/cron.d", "/home/ann/.bashrc.bak", "/home/ann/src/.bashrc", "/home/ann/src/app/.git/hooks/a.sample"), none},
	{"startup_files", "read", reads("/home/ann/.bashrc"), none},

	{"deletes_outside", "outside", func(r *receipt.Receipt) {
		r.Filesystem = fs{Deletes: []string{"/home/ann/src/app2", "/home/ann/src/app/../x", "/srv/a", "/tmp/theirs"}}
	}, []string{"/home/ann/src/app/../x", "/home/ann/src/app2", "/srv/a", "/tmp/theirs"}},
	{"deletes_outside", "own, in an own folder, moved from there", func(r *receipt.Receipt) {
		r.Filesystem = fs{
			Deletes: []string{"/srv/d", "/srv/d/a", "/srv/e", "/srv/e/a", "/srv/f"},
			Created: []receipt.Created{{Path: "/srv/d", Kind: "dir"}},
			Renames: []receipt.Rename{{From: "/srv/e/a", To: "/srv/f"}, {From: "/srv/d", To: "/srv/e"}},
		}
	}, none},
	{"deletes_outside", "beside an own folder", func(r *receipt.Receipt) {
		r.Filesystem = fs{
			Deletes: []string{"/srv/d-1", "/srv/d/a"},
			Created: []receipt.Created{{Path: "/srv/d", Kind: "dir"}},
		}
	}, []string{"/srv/d-1"}},
	{"deletes_outside", "nothing is inside of the root folder", func(r *receipt.Receipt) {
		r.Command.WorkingDir = "/"
		r.Filesystem = fs{Deletes: []string{"/srv/d"}}
	}, []string{"/srv/d"}},
	{"mounts", "two", func(r *receipt.Receipt) {
		r.Filesystem.Mounts = []receipt.Mount{{Op: "mount", Path: "/mnt"}, {Op: "umount", Path: "/mnt"}}
	}, []string{"mount /mnt", "umount /mnt"}},
	{"mounts", "failed", func(r *receipt.Receipt) {
		r.Filesystem.Failed = []receipt.FailedOp{{Op: "mount", Path: "/mnt", Errno: "ENOENT"}}
	}, none},
	{"writes_outside", "outside", writes("/home/ann/src/app2", "/proc/99/comm", "/proc/sys/kernel/x", "/srv/x"),
		[]string{"/home/ann/src/app2", "/proc/99/comm", "/proc/sys/kernel/x", "/srv/x"}},
	{"writes_outside", "told elsewhere", writes("/etc/cron.d/x", "/home/ann/.config/x"), none},
	{"writes_outside", "in temp and inside", writes("/dev/shm/x", "/home/ann/src/app", "/home/ann/src/app/x", "/tmp", "/var/tmp/x"), none},
	{"dotfiles", "several", writes("/home/ann/.config/x", "/root/.x"), []string{"/home/ann/.config/x", "/root/.x"}},
	{"dotfiles", "near", writes("/home/ann/.cache/x", "/home/ann/src/.x", "/home/ann/x", "/root/x/.y", "/srv/.x"), none},
	{"dotfiles", "told elsewhere", writes("/home/ann/.bashrc"), none},
	{"dotfiles", "working there", func(r *receipt.Receipt) {
		r.Command.WorkingDir = "/home/ann/.config/nvim"
		r.Filesystem.Writes = []string{"/home/ann/.config/nvim/init", "/home/ann/.config/other"}
	}, []string{"/home/ann/.config/other"}},
	{"dotfiles", "at home", func(r *receipt.Receipt) {
		r.Command.WorkingDir = "/home/ann"
		r.Filesystem.Writes = []string{"/home/ann/.x"}
	}, []string{"/home/ann/.x"}},
	{"rights_changed", "outside", func(r *receipt.Receipt) {
		r.Filesystem.Changed = []receipt.Changed{{Path: "/srv/x", What: "mode"}, {Path: "/srv/y", What: "times"}}
	}, []string{"/srv/x"}},
	{"rights_changed", "own", func(r *receipt.Receipt) {
		r.Filesystem.Created = []receipt.Created{{Path: "/srv", Kind: "dir"}}
		r.Filesystem.Changed = []receipt.Changed{{Path: "/srv/x", What: "mode"}}
	}, none},
	{"changed_later", "one", func(r *receipt.Receipt) {
		r.Filesystem.Files = []receipt.FileEntry{{Path: "/tmp/a", Final: &receipt.Final{Changed: true}}}
	}, []string{"/tmp/a"}},
	{"changed_later", "as it was", func(r *receipt.Receipt) {
		r.Filesystem.Files = []receipt.FileEntry{{Path: "/tmp/a", Final: &receipt.Final{}}}
	}, none},
	{"denied_files", "two", func(r *receipt.Receipt) {
		r.Filesystem.Failed = []receipt.FailedOp{{Op: "open", Path: "/b", Errno: "EACCES"}, {Op: "unlink", Path: "/b", Errno: "EPERM"}, {Op: "open", Path: "/a", Errno: "EROFS"}}
	}, []string{"/a", "/b"}},
	{"denied_files", "missing", func(r *receipt.Receipt) {
		r.Filesystem.Failed = []receipt.FailedOp{{Op: "open", Path: "/b", Errno: "ENOENT"}}
	}, none},

	{"listened", "any", func(r *receipt.Receipt) {
		r.Network.Listens = []receipt.Listen{{Addr: "0.0.0.0:80", Protocol: "tcp"}, {Addr: "[::]:80", Protocol: "tcp"}}
	}, []string{"0.0.0.0:80 tcp", "[::]:80 tcp"}},
	{"listened", "loopback", func(r *receipt.Receipt) {
		r.Network.Listens = []receipt.Listen{{Addr: "127.0.0.1:80"}, {Addr: "[::1]:80"}, {Addr: "[::ffff:127.0.0.1]:80"}}
	}, none},
	{"listened_loopback", "loopback", func(r *receipt.Receipt) {
		r.Network.Listens = []receipt.Listen{{Addr: "127.9.0.1:80", Protocol: "tcp", PID: 1}, {Addr: "127.9.0.1:80", Protocol: "tcp", PID: 2}}
	}, []string{"127.9.0.1:80 tcp"}},
	{"listened_loopback", "any", func(r *receipt.Receipt) { r.Network.Listens = []receipt.Listen{{Addr: "0.0.0.0:80"}} }, none},
	{"connected", "named", func(r *receipt.Receipt) {
		r.Network.Attempts = []receipt.Attempt{
			{Dst: "192.0.2.1:80", Protocol: "tcp", Result: "connected", Host: ptr("a.example")},
			{Dst: "192.0.2.1:443", Protocol: "tcp", Result: "refused"},
			{Dst: "[2001:db8::1]:53", Protocol: "udp", Result: "sent"},
		}
	}, []string{"192.0.2.1 a.example", "2001:db8::1"}},
	{"connected", "by the proxy, which is asked on loopback", func(r *receipt.Receipt) {
		r.Network.Attempts = []receipt.Attempt{
			{Dst: "127.0.0.1:3128", Protocol: "tcp", Result: "connected"},
			{Dst: "127.0.0.1:80", Protocol: "tcp", Result: "connected", Host: ptr("a.example"), Source: "proxy"},
			{Dst: "b.example:443", Protocol: "tcp", Result: "denied", Host: ptr("b.example"), Source: "proxy"},
		}
	}, []string{"127.0.0.1 a.example by the proxy", "b.example by the proxy"}},
	{"connected", "loopback", func(r *receipt.Receipt) { r.Network.Attempts = []receipt.Attempt{{Dst: "[::1]:53"}} }, none},
}

func TestRules(t *testing.T) {
	fires, quietly := map[string]bool{}, map[string]bool{}
	for _, tc := range ruleCases {
		t.Run(tc.kind+"/"+tc.name, func(t *testing.T) {
			r := quiet()
			tc.change(r)
			found := Findings(r)
			i := slices.IndexFunc(found, func(f Finding) bool { return f.Kind == tc.kind })
			if tc.want == nil {
				quietly[tc.kind] = true
				if i >= 0 {
					t.Errorf("found %+v", found[i])
				}
				return
			}
			fires[tc.kind] = true
			if i < 0 {
				t.Fatalf("not found; found were %+v", found)
			}
			if diff := cmp.Diff(append([]string{}, tc.want...), append([]string{}, found[i].Items...)); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
			if text := found[i].Text; text == "" || strings.HasSuffix(text, ".") || strings.Contains(text, "%") {
				t.Errorf("text %q", text)
			}
		})
	}
	for _, rule := range Rules() {
		if !fires[rule.Kind] || !quietly[rule.Kind] {
			t.Errorf("%s is not tried both ways", rule.Kind)
		}
		if rule.Doc == "" || !strings.HasSuffix(rule.Doc, ".") || rule.Severity != Warning && rule.Severity != Notice {
			t.Errorf("%s is not described: %+v", rule.Kind, rule)
		}
	}
}

func TestWarningsFirst(t *testing.T) {
	r := quiet()
	r.Filesystem.Writes = []string{"/srv/x"}
	r.Network.Listens = []receipt.Listen{{Addr: "0.0.0.0:80"}}
	var got []string
	for _, f := range Findings(r) {
		got = append(got, f.Kind)
	}
	if want := []string{"listened", "writes_outside"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestShorten(t *testing.T) {
	f := Finding{Items: []string{"/a/b", "/a/c", "/a/d", "/srv/x", "/usr/lib/k/x/1", "/usr/lib/k/x/2"}, Paths: true}
	got := Shorten(f, 2, "/w")
	want := Excerpt{[]string{"3 in /a", "2 in /usr/lib/k/x"}, 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	f.Paths = false
	if diff := cmp.Diff(Excerpt{[]string{"/a/b", "/a/c"}, 4}, Shorten(f, 2, "/w")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Excerpt{f.Items, 0}, Shorten(f, 6, "/w")); diff != "" {
		t.Error(diff)
	}
}

// TestKilled: what the gap says is not said twice.
func TestKilled(t *testing.T) {
	r := quiet()
	r.Observation.Gaps = []receipt.Gap{{Kind: receipt.GapKilled, Detail: "processes were killed", Count: 2}}
	want := []Finding{{Kind: "survivors", Severity: Warning, Text: "2 processes outlived the command and were killed by the recorder"}}
	if diff := cmp.Diff(want, Findings(r)); diff != "" {
		t.Error(diff)
	}
}

// TestCounted: a sentence agrees with its number.
func TestCounted(t *testing.T) {
	for n, want := range map[int][]string{
		1: {"1 kind of thing could not be seen", "1 secret was taken out of arguments"},
		2: {"2 kinds of things could not be seen", "2 secrets were taken out of arguments"},
	} {
		r := new(receipt.Receipt)
		for i := range n {
			r.Observation.Gaps = append(r.Observation.Gaps, receipt.Gap{Kind: fmt.Sprint(i), Detail: "x", Count: 1})
			r.Redactions = append(r.Redactions, receipt.Redaction{ID: i + 1, Rule: "flag"})
		}
		var texts []string
		for _, f := range Findings(r) {
			texts = append(texts, f.Text)
		}
		for _, text := range want {
			if !slices.Contains(texts, text) {
				t.Errorf("%q is not among %q", text, texts)
			}
		}
	}
}
