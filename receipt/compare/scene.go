package compare

import (
	"strconv"
	"strings"
	"time"

	"glasshouse/receipt"
	"glasshouse/receipt/address"
)

// What a name is normalised to.
const (
	pidMark     = "<pid>"       // a process of the run
	foreignMark = "<other pid>" // any other but 1
	tidMark     = "<tid>"
	numberMark  = "<n>"
	portMark    = "<port>"
	timeMark    = "<time>"
	uuidMark    = "<uuid>"
	tmpMark     = "<tmp>"
)

// scene is what one receipt knows about the names in it.
type scene struct {
	pids     map[string]bool // of the run, in decimal
	listens  map[string]bool // addresses that the run listened on
	from, to time.Time       // when the run was, give or take a little
}

// slack is by how much a time that a run writes down may lie outside of it.
const slack = time.Minute

func sceneOf(rec *receipt.Receipt) *scene {
	s := &scene{
		pids:    make(map[string]bool, len(rec.ProcessTree)),
		listens: make(map[string]bool, len(rec.Network.Listens)),
		from:    rec.Timing.StartedAt.Add(-slack),
		to:      rec.Timing.EndedAt.Add(slack),
	}
	for i := range rec.ProcessTree {
		s.pids[strconv.Itoa(int(rec.ProcessTree[i].PID))] = true
	}
	for _, l := range rec.Network.Listens {
		s.listens[l.Addr] = true
	}
	return s
}

// path normalises what the kernel numbers: processes, threads, pipes, sockets,
// terminals, files without a name.
func (s *scene) path(p string) string {
	switch {
	case strings.HasPrefix(p, "/proc/"):
		return s.procPath(p)
	case strings.HasPrefix(p, "/dev/pts/"):
		if n := digits(p[len("/dev/pts/"):]); n > 0 && n == len(p)-len("/dev/pts/") {
			return "/dev/pts/" + numberMark
		}
	case strings.HasSuffix(p, "]"):
		// pipe:[7], socket:[7], net:[7]
		if i := strings.LastIndexByte(p, '['); i > 0 && p[i-1] == ':' && p[0] != '/' {
			if n := digits(p[i+1:]); n > 0 && i+1+n == len(p)-1 {
				return p[:i+1] + numberMark + "]"
			}
		}
	}
	// O_TMPFILE: /tmp/#42
	if i := strings.LastIndex(p, "/#"); i >= 0 {
		if n := digits(p[i+2:]); n > 0 && i+2+n == len(p) {
			return p[:i+2] + numberMark
		}
	}
	return p
}

func (s *scene) procPath(p string) string {
	rest := p[len("/proc/"):]
	n := digits(rest)
	if n == 0 || n < len(rest) && rest[n] != '/' {
		return p
	}
	pid, rest := rest[:n], rest[n:]
	switch {
	case s.pids[pid]:
		pid = pidMark
	case pid != "1":
		pid = foreignMark
	}
	if after, ok := strings.CutPrefix(rest, "/task/"); ok {
		if n := digits(after); n > 0 && (n == len(after) || after[n] == '/') {
			rest = "/task/" + tidMark + after[n:]
		}
	}
	return "/proc/" + pid + rest
}

// The ports that Linux gives to who does not ask for one.
const (
	firstEphemeral = 32768
	lastEphemeral  = 60999
)

// dst is the peer of an attempt. One that was found by name goes by that name:
// a name leads to another address tomorrow.
func (s *scene) dst(a *receipt.Attempt) string {
	addr := address.Parse(a.Dst)
	if addr.Unix {
		return unixAddr(a.Dst)
	}
	if !addr.IP.IsValid() {
		return a.Dst
	}
	if a.Host != nil {
		return *a.Host + ":" + strconv.Itoa(int(addr.Port))
	}
	if a.Source == receipt.SourceProxy {
		return a.Dst // of the network outside of the machine
	}
	// A port of the run's own, or on this machine one where nobody was.
	if ephemeral(addr.Port) && (s.listens[a.Dst] || addr.Local() && (a.Result == "refused" || s.listensAnywhere(addr.Port))) {
		return addr.WithPort(portMark)
	}
	return a.Dst
}

// listensAnywhere tells whether the run listens on a port of all addresses.
func (s *scene) listensAnywhere(number uint16) bool {
	port := strconv.Itoa(int(number))
	return s.listens["0.0.0.0:"+port] || s.listens["[::]:"+port]
}

// own is an address of the run's own.
func (s *scene) own(a string) string { return unported(a, ephemeral) }

// client is the address of who called, whose port is hardly ever chosen.
func (s *scene) client(a string) string {
	return unported(a, func(port uint16) bool { return port >= 1024 })
}

func unported(a string, volatile func(port uint16) bool) string {
	switch addr := address.Parse(a); {
	case addr.Unix:
		return unixAddr(a)
	case addr.IP.IsValid() && volatile(addr.Port):
		return addr.WithPort(portMark)
	}
	return a
}

func ephemeral(port uint16) bool { return port >= firstEphemeral && port <= lastEphemeral }

// unixAddr normalises a name that the kernel made up: @ and five hex digits.
func unixAddr(a string) string {
	name, ok := strings.CutPrefix(a, "unix:@")
	if !ok || len(name) != 5 {
		return a
	}
	for _, c := range []byte(name) {
		if !isDigit(c) && (c < 'a' || c > 'f') {
			return a
		}
	}
	return "unix:@" + numberMark
}

// digits counts those that s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
