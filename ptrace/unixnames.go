//go:build linux && (amd64 || arm64)

package ptrace

import (
	"bytes"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// putUnix sets segment i, or i+1 for an abstract name, to that of a unix
// socket. It reports whether there was one.
func (t *tracer) putUnix(th *thread, i int, a *address) bool {
	if a.family() != unix.AF_UNIX || a.len <= 2 {
		return false
	}
	name := a.data[2:a.len]
	if name[0] == 0 {
		t.rec.Segment(i+1, name, 0)
		return true
	}
	name, _, _ = bytes.Cut(name, []byte{0})
	// The kernel keeps the file, and tells the name. What that stood for the
	// tracer has seen, if it was bound in this run.
	at, ok := t.bindings[string(name)]
	if !ok && name[0] == '/' {
		at, ok = place{name: t.resolved(string(name))}, true
	}
	if ok {
		t.putPlace(th, i, at)
	}
	return ok
}

// resolved is the path of a name as far as its folder goes: a socket's own name
// is never followed.
func (t *tracer) resolved(name string) string {
	if t.served {
		t.books.unasked++
		return name
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(name))
	if err != nil {
		return name
	}
	return filepath.Join(dir, filepath.Base(name))
}

// binding notes what the name of a unix socket stood for when one was bound to
// it; the last counts.
func (t *tracer) binding(th *thread, a *address) {
	name, _, _ := bytes.Cut(a.data[2:max(2, a.len)], []byte{0})
	if len(name) == 0 {
		return
	}
	const most = 1 << 12
	if t.bindings == nil || len(t.bindings) >= most {
		t.bindings = map[string]place{}
	}
	if t.served {
		t.books.unasked++
		return
	}
	dir := filepath.Dir(string(name))
	fd, err := unix.Open(t.reachName(th, dir), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	at := t.folder("/proc/self/fd/" + strconv.Itoa(fd))
	if at.name != "" {
		at.name = filepath.Join(at.name, filepath.Base(string(name)))
		t.bindings[string(name)] = at
	}
}

// reachName is a path by which the tracer gets to what a name stands for.
func (t *tracer) reachName(th *thread, name string) string {
	switch {
	case name[0] == '/' && th.root == "/" && !th.otherNS:
		return name
	case name[0] == '/':
		return procPath(th.tid, "root") + name
	}
	return procPath(th.tid, "cwd") + "/" + name
}

// putUnixAsked sets the segments to a unix peer as the caller named it.
func (t *tracer) putUnixAsked(th *thread, a *address) {
	if a.len <= 2 {
		return
	}
	name := a.data[2:a.len]
	t.rec.Segment(1, name, 0)
	if name[0] == '/' {
		t.putPlace(th, 2, place{name: th.root})
	} else {
		t.putPlace(th, 2, t.folder(procPath(th.tid, "cwd")))
	}
}

// ownPeer tells whether a process of the run listens at the other end: who
// called listen, as the kernel keeps it for SO_PEERCRED.
func (t *tracer) ownPeer(s *socket) bool {
	if s.fd < 0 {
		return false
	}
	cred, err := unix.GetsockoptUcred(s.fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || cred.Pid <= 0 {
		return false
	}
	th := t.threads[int(cred.Pid)]
	return th != nil && th.process.id.PID == cred.Pid
}

func (t *tracer) unixName(th *thread, text []byte) name {
	n := name{text: bytes.Clone(text)}
	if len(text) > 0 && text[0] == '/' {
		n.base = place{name: th.root}
	} else {
		n.base = t.folder(procPath(th.tid, "cwd"))
	}
	return n
}
