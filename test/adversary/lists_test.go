//go:build linux

package adversary

import (
	"fmt"
	"hash/fnv"
	"os"
	"strings"

	"glasshouse/receipt"
	"glasshouse/test/recorded"
)

// lists is what a workload says that it did, and what a receipt says of it:
// lines, by the name of the list that they stand in.
type lists map[string][]string

func (l lists) add(list, format string, args ...any) {
	l[list] = append(l[list], fmt.Sprintf(format, args...))
}

// The lists, each with what is compared.
var compared = []string{
	"processes",     // PID, parent and end of each
	"execs",         // PID, image and argv of each, but for the command's own
	"exec_failures", // PID, path, argv, error, count, whether argv was cut
	"survivors",     // PID
	"reads",         // in the workload's folder; its loader reads elsewhere
	"writes", "deletes",
	"created", // kind, path, target, source
	"changed", // path, what, source
	"renames",
	"mounts",
	"failed", // in the workload's folder: operation, paths, error, count
	"bytes",  // in the workload's folder: path, read, written
	"mapped", // in the workload's folder
	"attempts", "listens", "accepts", "dns",
	"sent", "received",
	"gaps", // kind; of calls that are not recorded the name as well
}

// found makes the lists of a receipt. Paths in dir become relative to it.
func found(r *receipt.Receipt, dir string) lists {
	l := lists{}
	in := func(path string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
	short := func(path string) string {
		switch {
		case path == dir:
			return "."
		case path == program:
			return "PROGRAM"
		}
		return brief(strings.TrimPrefix(path, dir+"/"))
	}
	argv := func(argv []string) string {
		var b strings.Builder
		for _, a := range argv {
			b.WriteString("|" + brief(a))
		}
		return b.String()
	}

	for i, p := range r.ProcessTree {
		l.add("processes", "%d %d %s", p.PID, p.PPID, recorded.Ending(p))
		for j, e := range p.Execs {
			if i > 0 || j > 0 {
				l.add("execs", "%d %s%s", p.PID, short(e.Exe), argv(e.Argv))
			}
		}
	}
	for _, f := range r.ExecFailures {
		line := fmt.Sprintf("%d %s%s %s %d", f.PID, short(f.Path), argv(f.Argv), f.Errno, f.Count)
		if f.ArgvTruncated {
			line += " cut"
		}
		l.add("exec_failures", "%s", line)
	}
	for _, s := range r.Observation.Survivors {
		l.add("survivors", "%d", s.PID)
	}
	foundFiles(l, &r.Filesystem, in, short)

	n := &r.Network
	address := func(a string) string {
		if path, ok := strings.CutPrefix(a, "unix:/"); ok {
			return "unix:" + short("/"+path)
		}
		return a
	}
	for _, a := range n.Attempts {
		l.add("attempts", "%s %s %s %d", a.Protocol, address(a.Dst), a.Result, a.Count)
	}
	for _, a := range n.Listens {
		l.add("listens", "%s %s", a.Protocol, address(a.Addr))
	}
	for _, a := range n.Accepts {
		l.add("accepts", "%s %s %s %d", a.Protocol, address(a.Addr), address(a.Src), a.Count)
	}
	for _, d := range n.DNS {
		l.add("dns", "%s %s %s %d", d.Name, d.Type, d.Server, d.Count)
	}
	if n.BytesSent > 0 {
		l.add("sent", "%d", n.BytesSent)
	}
	if n.BytesReceived > 0 {
		l.add("received", "%d", n.BytesReceived)
	}
	for _, g := range r.Observation.Gaps {
		line := g.Kind
		if g.Kind == "not_recorded" {
			call, _, _ := strings.Cut(g.Detail, ":")
			line += " " + call
		}
		// These tests run as root, which the receipt says of each.
		if line != "root" || os.Getuid() != 0 {
			l.add("gaps", "%s", line)
		}
	}
	return l
}

func foundFiles(l lists, fs *receipt.Filesystem, in func(string) bool, short func(string) string) {
	for _, p := range fs.Reads {
		if in(p) {
			l.add("reads", "%s", short(p))
		}
	}
	for _, p := range fs.Writes {
		l.add("writes", "%s", short(p))
	}
	for _, p := range fs.Deletes {
		l.add("deletes", "%s", short(p))
	}
	for _, c := range fs.Created {
		target := ""
		if c.Target != nil {
			target = " -> " + short(*c.Target)
		}
		l.add("created", "%s %s%s %s", c.Kind, short(c.Path), target, c.Source)
	}
	for _, c := range fs.Changed {
		l.add("changed", "%s %s %s", short(c.Path), c.What, c.Source)
	}
	for _, n := range fs.Renames {
		l.add("renames", "%s > %s", short(n.From), short(n.To))
	}
	for _, m := range fs.Mounts {
		from := ""
		if m.From != nil {
			from = " " + short(*m.From)
		}
		l.add("mounts", "%s %s%s", m.Op, short(m.Path), from)
	}
	for _, f := range fs.Failed {
		if !in(f.Path) && f.Path != "" { // an empty name is nowhere
			continue
		}
		line := f.Op + " " + short(f.Path)
		if f.To != "" {
			line += " > " + short(f.To)
		}
		line += fmt.Sprint(" ", f.Errno, " ", f.Count)
		if f.PathCut {
			line += " cut"
		}
		l.add("failed", "%s", line)
	}
	for _, f := range fs.Files {
		if !in(f.Path) {
			continue
		}
		l.add("opens", "%s %d", short(f.Path), f.Opens)
		if f.BytesRead+f.BytesWritten > 0 {
			l.add("bytes", "%s %d %d", short(f.Path), f.BytesRead, f.BytesWritten)
		}
		if f.MappedExec {
			l.add("mapped", "%s", short(f.Path))
		}
	}
}

// brief is the string, or its length and sum where it is long.
func brief(s string) string {
	if len(s) < 256 {
		return s
	}
	h := fnv.New64a()
	h.Write([]byte(s))
	return fmt.Sprintf("%d:%016x", len(s), h.Sum64())
}
