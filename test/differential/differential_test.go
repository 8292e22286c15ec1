//go:build linux

// Package differential runs the same commands under each collector and compares
// the receipts: they agree but for what docs/COVERAGE.md says of ptrace.
package differential

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"glasshouse/audit"
	"glasshouse/backend/process"
	"glasshouse/ebpf"
	"glasshouse/ptrace"
	"glasshouse/receipt"
	"glasshouse/receipt/compare"
	"glasshouse/receipt/receipttest"
	"glasshouse/runner"
	"glasshouse/test/recorded"
)

// commands are what people run. Each is a script for sh, in an empty folder;
// $PORT is that of a server that answers.
var commands = []struct {
	name, script string
	needs        []string
}{
	{"files", `mkdir -p a/b; echo x >a/b/c; cp a/b/c d; ln -s d l; ln d h; mv d e; chmod 600 e; touch -d @0 h; cat l h e none
		: >e; echo y >>e; dd if=/dev/zero of=z bs=1k count=9 status=none; truncate -s 4k z; rm -r a; rmdir nothing; cd /etc; cat ../etc/hostname`, nil},
	{"processes", `(exit 3); sh -c 'exit 4' & wait $!; sh -c 'kill -TERM $$'; nope; ./nope; /etc/passwd
		for i in 1 2 3; do echo $i | sed s/x/y/ | grep -c . ; done; (sleep 0.05; true) & wait; exec sh -c 'exit 7'`, nil},
	{"script", `printf '#!/bin/sh -e\ncat "$0" >copy; exit 3\n' >s; chmod +x s; ./s; PATH=.:$PATH s`, nil},
	{"git", `export GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000'; git init -q . && echo a >a && git add a && git -c user.email=a@example.org -c user.name=n commit -q -m x && git log --oneline | wc -l && git status --short`, []string{"git"}},
	{"gcc", `printf 'int main(){return 6;}' >m.c; gcc -o m m.c; ./m; echo $?`, []string{"gcc"}},
	{"tar", `mkdir t; for i in 1 2 3 4 5 6 7 8 9; do echo $i >t/$i; done; tar --mtime=@0 --sort=name -cf t.tar t; rm -r t; tar xf t.tar; gzip -n t.tar; find . -type f | sort`, []string{"tar", "gzip"}},
	{"python", `python3 -c '
import os, socket, subprocess, threading
open("written", "w").write("x" * 100000)
os.rename("written", "renamed")
subprocess.run(["true"])
s = socket.create_connection(("127.0.0.1", int(os.environ["PORT"])))
s.sendall(b"hello"); s.recv(5)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b"x", ("127.0.0.1", 9))
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()
try: socket.create_connection(("127.0.0.1", 1))
except OSError: pass
try: os.remove("none")
except OSError: pass'`, []string{"python3"}},
}

// about are differences that there have to be: the ways themselves.
var about = []string{receipt.GapPtrace, receipt.GapSyscalls}

// may are those that there may be. A process with threads can change what a
// tracer looks at, and calls without a name in a receipt are counted by eBPF
// alone.
var may = []string{receipt.GapRaced, receipt.GapSharedNames}

func TestReceiptsAgree(t *testing.T) {
	recorded.NeedRoot(t)
	port := strconv.Itoa(recorded.Echo(t, "tcp4", "127.0.0.1:0"))
	for _, c := range commands {
		t.Run(c.name, func(t *testing.T) {
			for _, program := range c.needs {
				recorded.NeedProgram(t, program)
			}
			dir := filepath.Join(recorded.TempDir(t), "work")
			with := func(name string, collector audit.Collector) *receipt.Receipt {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				r, err := runner.Run(context.Background(), runner.Spec{
					Backend: process.New(), Collector: collector, Argv: []string{"sh", "-c", c.script}, Dir: dir,
					Env:    append(os.Environ(), "PORT="+port, "HOME="+dir, "LC_ALL=C"),
					Stdout: io.Discard, Stderr: io.Discard, Unavailable: func(err error) { recorded.NeedProbes(t, err) },
				})
				if err != nil {
					t.Fatal(err)
				}
				receipttest.Validate(t, r)
				if r.Observation.Mode != name || !r.Observation.Complete {
					t.Fatalf("%+v", r.Observation)
				}
				return r
			}
			a := with("ebpf", ebpf.New(ebpf.Options{CaptureArgv: true}))
			b := with("ptrace", ptrace.New(ptrace.Options{CaptureArgv: true}))
			said := differences(t, "ptrace alone", b, a)
			differences(t, "ebpf alone", a, b)
			for _, kind := range about {
				if !slices.Contains(said, kind) {
					t.Errorf("not said under ptrace: %s", kind)
				}
			}
			if n, m := sums(a), sums(b); n != m {
				t.Errorf("ebpf %+v, ptrace %+v", n, m)
			}
		})
	}
}

// differences complains of what one receipt has that the other has not, and
// returns the kinds of gaps.
func differences(t *testing.T, what string, run, baseline *receipt.Receipt) (gaps []string) {
	t.Helper()
	c := compare.New("run", run)
	c.Baseline("baseline", baseline)
	result := c.Result()
	for _, d := range append(result.Differences, result.Timing...) {
		switch {
		case d.Class == compare.Syscall:
		case d.Class == compare.Gap && (slices.Contains(about, d.Name) || slices.Contains(may, d.Name)):
			gaps = append(gaps, d.Name)
		default:
			t.Errorf("%s: %+v", what, d)
		}
	}
	return gaps
}

// total is what a comparison of facts does not tell: how often, and how much.
type total struct {
	processes             int
	opens, read, written  uint64
	attempts, failed      uint64
	sent, received        uint64
	mapped, made, changed int
}

func sums(r *receipt.Receipt) total {
	n := total{
		processes: len(r.ProcessTree), made: len(r.Filesystem.Created), changed: len(r.Filesystem.Changed),
		sent: r.Network.BytesSent, received: r.Network.BytesReceived,
	}
	for _, f := range r.Filesystem.Files {
		n.opens += f.Opens
		n.written += f.BytesWritten
		if filepath.Dir(f.Path) != "/proc" { // what is there differs from time to time
			n.read += f.BytesRead
		}
		if f.MappedExec {
			n.mapped++
		}
	}
	for _, a := range r.Network.Attempts {
		n.attempts += a.Count
	}
	for _, f := range r.Filesystem.Failed {
		n.failed += f.Count
	}
	return n
}
