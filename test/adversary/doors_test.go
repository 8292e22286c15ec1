//go:build linux

package adversary

import (
	"glasshouse/test/recorded"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var doorRows = []row{
	{name: "race-open"},
	{name: "race-unlink"},
	{name: "race-page"},
	{name: "race-rename"},
	{name: "race-displaced", files: []string{"file", "other"}},
	{name: "race-map"},
	{name: "race-listen"},
	{name: "race-cold", files: []string{"names:victim\x00", "victim"}},
	{name: "race-cwd", files: []string{"victim"}},
	{name: "race-lookup", files: usual},
	{name: "race-dirfd", files: []string{"victim", "sub/"}},
	{name: "int80", amd64: true, prepare: func(t *testing.T, _ string) []string { return []string{echo(t)} }},
	{name: "cold-socketcall", amd64: true},
	{name: "race-socketcall", amd64: true},
	{name: "dirty-number", amd64: true, files: usual},
	{name: "dirty-arguments", amd64: true},
	{
		name: "fake-proc", files: []string{"file", "jail/proc/self/fd/", "jail/proc/self/fd/77"},
		args: []string{"77"},
	},
	{name: "reopen", files: usual},
	{name: "handle", files: usual},
	{name: "handed-over", prepare: daemon},
	{name: "received", files: []string{"to-read:0123456789", "to-write"}, prepare: daemon},
	{name: "write-only"},
	{name: "sysv"},
	{name: "sysv-memory"},
	{name: "pidfd-getfd", files: []string{"held:0123456789"}, prepare: bystander},
	{name: "process-vm-writev", files: []string{"held"}, prepare: bystander},
	{name: "proc-mem", files: []string{"held"}, prepare: bystander},
	{name: "ptrace-outside", files: []string{"held"}, amd64: true, prepare: bystander},
	{name: "ptrace-inside", amd64: true},
	{name: "ptrace-changed", amd64: true},
	{name: "ptrace-emulated", amd64: true},
	{name: "seccomp-zero", files: usual},
	{name: "seccomp-trace"},
	{name: "seccomp-after"},
	{name: "seccomp-meanwhile"},
	{name: "seccomp-notify", files: []string{"wanted"}},
}

func TestSideDoors(t *testing.T) { run(t, doorRows) }

// echo is the port of a server on loopback that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(recorded.Echo(t, "tcp4", "127.0.0.1:0"))
}

// bystander is a process that the run has nothing to do with: it waits, with
// the file "held" as its standard input. Arguments are its number and an
// address in its memory that can be read and written.
func bystander(t *testing.T, dir string) []string {
	t.Helper()
	held, err := os.Open(filepath.Join(dir, "held"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	cmd := exec.Command(program, "bystander")
	cmd.Dir, cmd.Stdin = dir, held
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	address := make([]byte, 64)
	n, err := out.Read(address)
	if err != nil {
		t.Fatal(err)
	}
	return []string{strconv.Itoa(cmd.Process.Pid), strings.TrimSpace(string(address[:n]))}
}

// daemon is somebody who does what it is asked over the socket "socket":
// "make NAME" makes a file, "files" hands out descriptors of "to-read" and
// "to-write" and of a connection.
func daemon(t *testing.T, dir string) []string {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "socket"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	port := echo(t)
	go func() {
		c, err := l.AcceptUnix()
		if err != nil {
			return
		}
		defer c.Close()
		request := make([]byte, 64)
		n, err := c.Read(request)
		if err != nil {
			return
		}
		if name, ok := strings.CutPrefix(string(request[:n]), "make "); ok {
			os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600)
			c.Write([]byte("x"))
			return
		}
		r, err1 := os.Open(filepath.Join(dir, "to-read"))
		w, err2 := os.OpenFile(filepath.Join(dir, "to-write"), os.O_WRONLY, 0)
		s, err3 := net.Dial("tcp4", "127.0.0.1:"+port)
		if err1 != nil || err2 != nil || err3 != nil {
			return
		}
		defer r.Close()
		defer w.Close()
		defer s.Close()
		f, err := s.(*net.TCPConn).File()
		if err != nil {
			return
		}
		defer f.Close()
		c.WriteMsgUnix([]byte("x"), unix.UnixRights(int(r.Fd()), int(w.Fd()), int(f.Fd())), nil)
		io.Copy(io.Discard, c) // until the other end is done
	}()
	return nil
}
