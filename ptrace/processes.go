//go:build linux && (amd64 || arm64)

package ptrace

import (
	"bytes"
	"os"
	"strconv"

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
	seq := t.books.emitted
	t.rec.Head.Seq = seq
	t.books.emitted++
	t.pipe.record(&t.rec)
	return seq
}

func (t *tracer) tellFork(p *process, tid int) {
	t.beginFor(p.parent, tid, audit.RecordFork, audit.OpNone)
	audit.SetBody(&t.rec, audit.WireFork{Start: p.id.Start, PID: uint32(p.id.PID), UID: p.uid, GID: p.gid})
	t.send()
}

// owner is who a process is: its effective user and group, as the tracer's user
// namespace numbers them.
func (t *tracer) owner(pid int) (uid, gid uint32) {
	status := readFile(procPath(pid, "status"), t.buf[:])
	return second(status, "\nUid:"), second(status, "\nGid:")
}

// second is the second number behind a name.
func second(data []byte, name string) uint32 {
	_, rest, _ := bytes.Cut(data, []byte(name))
	rest, _, _ = bytes.Cut(rest, []byte("\n"))
	f := bytes.Fields(rest)
	if len(f) < 2 {
		return 0
	}
	n, _ := strconv.ParseUint(string(f[1]), 10, 32) // the kernel's
	return uint32(n)
}

// The entries of the auxiliary vector: include/uapi/linux/auxvec.h.
const (
	atPhent  = 4
	atEUID   = 12
	atEGID   = 14
	atExecFn = 31
)

func (t *tracer) tellExec(th *thread) {
	p, tid := th.process, th.tid
	p.see(tid)
	exe := t.folder(procPath(tid, "exe"))
	cwd := t.folder(procPath(tid, "cwd"))
	requested := t.requestedExec(th)
	var argv []byte
	size := argvNotCaptured
	if !t.noArgv {
		argv, size = t.argvOf(tid)
	}

	t.begin(th, audit.RecordExec, audit.OpExec)
	audit.SetBody(&t.rec, audit.WireExec{
		ParentStart: p.parent.Start, ParentPID: uint32(p.parent.PID), UID: p.uid, GID: p.gid, ArgvLen: uint32(size),
	})
	t.putPlace(th, 0, exe)
	t.putPlace(th, 1, cwd)
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
	for len(t.argv) < argvMax+1 {
		argv = readFile(procPath(tid, "cmdline"), t.argv)
		if len(argv) < len(t.argv) {
			return argv, len(argv)
		}
		t.argv = make([]byte, max(64<<10, min(8*len(t.argv), argvMax+1)))
	}
	argv = readFile(procPath(tid, "cmdline"), t.argv)
	return argv[:min(len(argv), argvMax)], len(argv)
}

// requestedExec is what execve was given, as the kernel keeps it for the image.
// It also finds out who the process is now.
func (t *tracer) requestedExec(th *thread) []byte {
	tid, p := th.tid, th.process
	data := readFile(procPath(tid, "auxv"), t.buf[:])
	// An entry of a 32-bit image has 8 bytes: AT_PHENT tells which it is.
	at, found := uint64(0), false
	for _, wide := range []bool{true, false} {
		if n := auxv(data, wide, atPhent); wide && n == 56 || !wide && n == 32 {
			at, found = auxv(data, wide, atExecFn), true
			p.uid, p.gid = uint32(auxv(data, wide, atEUID)), uint32(auxv(data, wide, atEGID))
			break
		}
	}
	if !found || t.userNamespaces {
		p.uid, p.gid = t.owner(tid)
	}
	if at == 0 {
		return nil
	}
	s, _ := text(tid, at, t.buf[:], t.memory)
	return bytes.Clone(s)
}

// interpreter is that of a script: the name by which the kernel found the image
// in the place of what it was given, as the script's first line has it.
func (t *tracer) interpreter(th *thread, requested []byte, exe place) []byte {
	if len(requested) == 0 {
		return nil
	}
	if t.served {
		t.books.unasked++
		return nil
	}
	path := string(requested)
	if path[0] != '/' {
		path = procPath(th.tid, "cwd") + "/" + path
	} else if th.root != "/" || th.otherNS {
		path = procPath(th.tid, "root") + path
	}
	a, err := t.statOf(path, 0)
	b, err2 := t.statOf(procPath(th.tid, "exe"), 0)
	if err != nil || err2 != nil || same(a, b) {
		return nil
	}
	line := readFile(path, make([]byte, 256)) // BINPRM_BUF_SIZE
	rest, ok := bytes.CutPrefix(line, []byte("#!"))
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
