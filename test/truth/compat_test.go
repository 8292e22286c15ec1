//go:build linux && amd64

package truth

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"glasshouse/test/recorded"
)

// helper is the path of a program in testdata. It is built here, unless
// GLASSHOUSE_TEST_HELPERS names a folder that has it: where there is no Go.
func helper(t *testing.T, name string, env ...string) string {
	t.Helper()
	if dir := os.Getenv("GLASSHOUSE_TEST_HELPERS"); dir != "" {
		return filepath.Join(dir, name)
	}
	program := filepath.Join(tempDir(t), name)
	build := exec.Command("go", "build", "-o", program, "./testdata/"+name)
	build.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// 32-bit calls pass none of the tracepoints of single system calls.
func TestCompat(t *testing.T) {
	program := helper(t, "i386", "GOARCH=386")
	if err := exec.Command(program).Run(); errors.Is(err, unix.ENOEXEC) {
		t.Skip("this kernel runs no 32-bit programs: ", err)
	}
	dir, port := tempDir(t), echo(t, "tcp4", "127.0.0.1:0")
	addr := "127.0.0.1:" + strconv.Itoa(port)
	r := record(t, []string{program, addr}, in(dir))
	complete(t, r)
	same(t, "writes", []string{"dir", "renamed", "written"}, under(dir, r.Filesystem.Writes))
	same(t, "deletes", []string{"dir", "renamed", "written"}, under(dir, r.Filesystem.Deletes))
	// Package os asks rmdir when unlink did not do.
	same(t, "failed", []string{"open missing ENOENT 1"}, failed(r, dir))
	if f := file(t, r, program); !f.MappedExec {
		t.Errorf("mapped: %+v", f)
	}
	own := strings.Fields(r.stdout)
	sameSorted(t, "attempts", []string{
		"tcp " + addr + " connected 1", "tcp " + own[0] + " connected 1", "udp 127.0.0.1:53 connected 1", "udp 127.0.0.2:9 sent 1",
	}, attempts(r))
	same(t, "listens", []string{"tcp " + own[0]}, listens(r))
	same(t, "accepts", []string{"tcp " + own[1] + " at " + own[0] + " 1"}, accepts(r))
	if q := r.Network.DNS; len(q) != 1 || q[0].Name != "i386" || q[0].Type != "A" || q[0].Server != "127.0.0.1:53" {
		t.Errorf("dns %+v", q)
	}
	if r.Network.BytesSent != 4+22+1 || recorded.Observe == "ebpf" && r.Syscalls.Counts["getppid"] != 100 {
		t.Errorf("%d bytes sent, counts %v", r.Network.BytesSent, r.Syscalls.Counts)
	}
	if n, ok := r.Syscalls.Counts[""]; ok {
		t.Errorf("%d calls without a name: %v", n, r.Syscalls.Counts)
	}
	p := root(t, r)
	if len(p.Execs) != 2 || p.Execs[0].Exe != program || strings.Join(p.Execs[1].Argv, "|") != "true|from 32 bits" || ending(p) != "exit 0" {
		t.Errorf("%+v", p)
	}
	if f := r.ExecFailures; len(f) != 1 || f[0].Path != dir+"/nope" || fmt.Sprint(f[0].Argv) != "[nope arg]" {
		t.Errorf("exec failures %+v", f)
	}
}
