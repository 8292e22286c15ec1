//go:build linux && (amd64 || arm64)

package ptrace

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

// begin makes the record of an event that a thread is the cause of.
func (t *tracer) begin(th *thread, kind uint8, op audit.Op) {
	t.beginFor(th.process.id, th.tid, kind, op)
}

func (t *tracer) beginFor(id audit.ProcessID, tid int, kind uint8, op audit.Op) {
	t.rec.Reset(kind, op)
	h := &t.rec.Head
	h.Time, h.PID, h.Start, h.TID = bootTime(), uint32(id.PID), id.Start, uint32(tid)
}

// send sends the record, and returns its number.
func (t *tracer) send() uint64 {
	seq := t.books.Emitted
	t.rec.Head.Seq = seq
	t.books.Emitted++
	t.pipe.record(&t.rec)
	return seq
}

func (t *tracer) tellFork(p *process, tid int) {
	t.beginFor(p.parent, tid, audit.RecordFork, audit.OpNone)
	uid, gid := owner(int(p.id.PID))
	audit.SetBody(&t.rec, audit.WireFork{Start: p.id.Start, PID: uint32(p.id.PID), UID: uid, GID: gid})
	t.send()
}

// owner is whose a process is: the effective user and group, which its folder
// in /proc has, or else its status.
func owner(pid int) (uid, gid uint32) {
	f, err := os.Open(procPath(pid, "status"))
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "Uid:"); ok {
			uid = second(rest)
		} else if rest, ok := strings.CutPrefix(lines.Text(), "Gid:"); ok {
			return uid, second(rest)
		}
	}
	return uid, gid
}

func second(fields string) uint32 {
	f := strings.Fields(fields)
	if len(f) < 2 {
		return 0
	}
	n, _ := strconv.ParseUint(f[1], 10, 32) // the kernel's
	return uint32(n)
}

// The entries of the auxiliary vector: include/uapi/linux/auxvec.h.
const (
	atExecFn = 31
	atPhent  = 4
)

func (t *tracer) tellExec(th *thread) {
	p, tid := th.process, th.tid
	p.look(tid)
	exe := t.folder(procPath(tid, "exe"))
	cwd := t.folder(procPath(tid, "cwd"))
	requested := t.requestedExec(tid)
	var argv []byte
	size := argvNotCaptured
	if !t.noArgv {
		argv, size = t.argvOf(tid)
	}

	t.begin(th, audit.RecordExec, audit.OpExec)
	uid, gid := owner(tid)
	audit.SetBody(&t.rec, audit.WireExec{
		ParentStart: p.parent.Start, ParentPID: uint32(p.parent.PID), UID: uid, GID: gid, ArgvLen: uint32(size),
	})
	t.putPlace(p, 0, exe)
	t.putPlace(p, 1, cwd)
	t.rec.Segment(2, requested, 0)
	if interp := t.interpreter(th, requested, exe); interp != nil {
		t.rec.Segment(3, interp, 0)
	}
	first := min(len(argv), argvPart)
	t.rec.Segment(4, argv[:first], 0)
	t.send()
	for at := first; at < len(argv); at += argvPart {
		t.begin(th, audit.RecordArgv, audit.OpExec)
		part := argv[at:min(at+argvPart, len(argv))]
		audit.SetBody(&t.rec, audit.WireArgv{Offset: uint32(at), ArgvLen: uint32(size)})
		t.rec.Segment(0, part, 0)
		t.send()
	}
}

// argvPart is as much of the arguments as one record takes.
const argvPart = 16 << 10

// argvNotCaptured is WireExec.ArgvLen where the arguments were not to be kept.
const argvNotCaptured = 0xffffffff

// argvMax is what is kept of the arguments of one exec.
const argvMax = 8 << 20

// argvOf reads the arguments of the new image where the kernel laid them.
func (t *tracer) argvOf(tid int) (argv []byte, size int) {
	f, err := os.Open(procPath(tid, "cmdline"))
	if err != nil {
		return nil, 0
	}
	defer f.Close()
	t.argv = t.argv[:0]
	for len(t.argv) <= argvMax {
		t.argv = append(t.argv, make([]byte, 4096)...)
		n, err := f.Read(t.argv[len(t.argv)-4096:])
		t.argv = t.argv[:len(t.argv)-4096+max(n, 0)]
		if n <= 0 || err != nil {
			break
		}
	}
	return t.argv[:min(len(t.argv), argvMax)], len(t.argv)
}

// requestedExec is what execve was given, as the kernel keeps it for the image.
func (t *tracer) requestedExec(tid int) []byte {
	data, err := os.ReadFile(procPath(tid, "auxv"))
	if err != nil {
		return nil
	}
	// An entry of a 32-bit image has 8 bytes: AT_PHENT tells which it is.
	at := uint64(0)
	for _, wide := range []bool{true, false} {
		if n := auxv(data, wide, atPhent); wide && n == 56 || !wide && n == 32 {
			at = auxv(data, wide, atExecFn)
			break
		}
	}
	if at == 0 {
		return nil
	}
	s, _ := text(tid, at, t.buf[:])
	return bytes.Clone(s)
}

// interpreter is that of a script: the name by which the kernel found the image
// in the place of what it was given, as the script's first line has it.
func (t *tracer) interpreter(th *thread, requested []byte, exe place) []byte {
	if len(requested) == 0 {
		return nil
	}
	path := string(requested)
	if path[0] != '/' {
		path = procPath(th.tid, "cwd") + "/" + path
	} else if th.process.root != "/" || th.process.otherNS {
		path = procPath(th.tid, "root") + path
	}
	var a, b unix.Stat_t
	if unix.Stat(path, &a) != nil || unix.Stat(procPath(th.tid, "exe"), &b) != nil || a.Dev == b.Dev && a.Ino == b.Ino {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	line := make([]byte, 256) // BINPRM_BUF_SIZE
	n, _ := f.Read(line)
	rest, ok := bytes.CutPrefix(line[:max(n, 0)], []byte("#!"))
	if !ok {
		return nil
	}
	rest, _, _ = bytes.Cut(rest, []byte("\n"))
	word, _, _ := bytes.Cut(bytes.TrimLeft(rest, " \t"), []byte(" "))
	word, _, _ = bytes.Cut(word, []byte("\t"))
	return word
}

func (t *tracer) tellExit(p *process, status unix.WaitStatus) {
	t.folds.end(t, p)
	t.beginFor(p.id, int(p.id.PID), audit.RecordExit, audit.OpNone)
	audit.SetBody(&t.rec, audit.WireExit{
		CPU: p.usage.cpu, MaxRSS: p.usage.maxRSS * 1024 / uint64(os.Getpagesize()),
		ReadBytes: p.usage.read, WriteBytes: p.usage.wrote, Status: int32(status),
	})
	t.send()
}
