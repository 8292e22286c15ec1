package compare

import (
	"fmt"
	"sort"
	"strings"

	"glasshouse/receipt"
	"glasshouse/receipt/tree"
)

// factsOf is what a receipt says that its run did, each fact perhaps more than
// once.
func factsOf(rec *receipt.Receipt, s *scene) []Fact {
	l := &lister{scene: s}
	l.facts = make([]Fact, 0, 4*len(rec.ProcessTree)+2*len(rec.Filesystem.Files)+len(rec.Filesystem.Failed)+64)
	l.outcome(rec)
	l.processes(rec)
	l.files(&rec.Filesystem)
	l.network(&rec.Network)
	l.observation(rec)
	return l.facts
}

type lister struct {
	scene *scene
	facts []Fact
}

func (l *lister) add(f Fact) { l.facts = append(l.facts, f) }

func (l *lister) outcome(rec *receipt.Receipt) {
	out := &rec.Outcome
	l.add(Fact{Class: Outcome, Name: ending(&out.ExitCode, out.Signal)})
	if out.Error != nil {
		l.add(Fact{Class: Outcome, Name: "error", Detail: *out.Error})
	}
	stream := func(name string, hash *string, n *uint64) {
		if hash != nil {
			f := Fact{Class: Output, Name: name, Detail: "sha256 " + *hash}
			if n != nil {
				f.Detail += fmt.Sprintf(", %d bytes", *n)
			}
			l.add(f)
		}
	}
	stream("stdout", rec.Artifacts.StdoutHash, rec.Artifacts.StdoutBytes)
	stream("stderr", rec.Artifacts.StderrHash, rec.Artifacts.StderrBytes)
	for _, r := range rec.Redactions {
		l.add(Fact{Class: Secret, Name: r.Rule})
	}
}

// ending is "" if neither is known.
func ending(code *int, signal *string) string {
	switch {
	case signal != nil:
		return "signal " + *signal
	case code != nil:
		return fmt.Sprintf("exit code %d", *code)
	}
	return ""
}

const exitZero = "exit code 0"

func (l *lister) processes(rec *receipt.Receipt) {
	forkedBy := creators(rec.ProcessTree)
	for i := range rec.ProcessTree {
		p := &rec.ProcessTree[i]
		by := forkedBy[i]
		argv := l.args(p.Argv)
		if p.Exe != "" || len(p.Execs) > 0 {
			l.add(Fact{Class: User, Name: fmt.Sprintf("uid %d gid %d", p.UID, p.GID)})
		}
		for j := range p.Execs {
			e := &p.Execs[j]
			f := Fact{Class: Ran, Name: l.path(e.Exe), Argv: argv, Other: l.path(by)}
			if j < len(p.Execs)-1 {
				f.Argv = l.args(e.Argv)
			}
			if e.WorkingDir != rec.Command.WorkingDir {
				f.Detail = l.path(e.WorkingDir)
			}
			l.add(f)
			by = e.Exe
		}
		if len(p.Execs) == 0 {
			l.add(Fact{Class: Forked, Name: l.path(p.Exe), Argv: argv})
		}
		// How the first one ended is the outcome.
		if end := ending(p.ExitCode, p.Signal); end != "" && i > 0 {
			l.add(Fact{Class: Ended, Name: l.path(p.Exe), Argv: argv, Detail: end})
		}
	}
	for _, e := range rec.ExecFailures {
		l.add(Fact{Class: ExecFailed, Name: l.path(e.Path), Argv: l.args(e.Argv), Detail: e.Errno})
	}
	for _, s := range rec.Observation.Survivors {
		l.add(Fact{Class: Survived, Name: l.path(s.Exe)})
	}
}

// creators are, for each process, the image that its parent had when it forked
// it; "" for a parent that is not in the tree.
func creators(list []receipt.Process) []string {
	parents := tree.Parents(list)
	images := make([]string, len(list))
	for _, i := range tree.Order(list) { // a parent comes before its children
		parent := parents[i]
		if parent == tree.None {
			continue
		}
		execs := list[parent].Execs
		n := sort.Search(len(execs), func(j int) bool {
			return execs[j].At.After(list[i].StartedAt.Time)
		})
		switch {
		case n > 0:
			images[i] = execs[n-1].Exe
		case len(execs) == 0:
			images[i] = list[parent].Exe
		default:
			images[i] = images[parent]
		}
	}
	return images
}

func (l *lister) files(fs *receipt.Filesystem) {
	paths := func(class Class, list []string) {
		for _, p := range list {
			l.add(Fact{Class: class, Name: l.path(p)})
		}
	}
	paths(Read, fs.Reads)
	paths(Written, fs.Writes)
	paths(Deleted, fs.Deletes)
	paths(Violated, fs.PolicyViolations)
	for i := range fs.Files {
		f := &fs.Files[i]
		name := l.path(f.Path)
		if f.PathCut {
			name += cut
		}
		// The lists of plain paths have no pipes and the like, and no parts.
		if f.PathCut || !strings.HasPrefix(f.Path, "/") {
			if f.Read {
				l.add(Fact{Class: Read, Name: name})
			}
			if f.Written {
				l.add(Fact{Class: Written, Name: name})
			}
		}
		if f.MappedExec {
			l.add(Fact{Class: Mapped, Name: name})
		}
		if f.MappedShared {
			l.add(Fact{Class: Shared, Name: name})
		}
	}
	for _, c := range fs.Created {
		f := Fact{Class: Created, Name: l.path(c.Path), Detail: c.Kind}
		if c.Target != nil {
			f.Other = l.path(*c.Target)
		}
		l.add(f)
	}
	for _, r := range fs.Renames {
		l.add(Fact{Class: Renamed, Name: l.path(r.From), Other: l.path(r.To)})
	}
	for _, c := range fs.Changed {
		l.add(Fact{Class: Changed, Name: l.path(c.Path), Detail: c.What})
	}
	for _, m := range fs.Mounts {
		f := Fact{Class: Mounted, Name: l.path(m.Path), Detail: m.Op}
		if m.From != nil {
			f.Other = l.path(*m.From)
		}
		l.add(f)
	}
	for _, o := range fs.Failed {
		f := Fact{Class: Failed, Name: l.path(o.Path), Other: l.path(o.To), Detail: o.Op + " " + o.Errno}
		if o.PathCut {
			f.Name += cut
		}
		l.add(f)
	}
}

// cut marks a path of which only a part is known.
const cut = "..."

func (l *lister) network(net *receipt.Network) {
	for _, a := range net.Attempts {
		f := Fact{Class: Attempted, Name: l.scene.dst(&a), Detail: a.Protocol + " " + a.Result}
		if a.Policy != "" {
			f.Detail += ", policy " + a.Policy
		}
		l.add(f)
	}
	for _, a := range net.Listens {
		l.add(Fact{Class: Listened, Name: l.scene.own(a.Addr), Detail: a.Protocol})
	}
	for _, a := range net.Accepts {
		l.add(Fact{Class: Accepted, Name: l.scene.own(a.Addr), Other: l.scene.client(a.Src), Detail: a.Protocol})
	}
	for _, q := range net.DNS {
		l.add(Fact{Class: Asked, Name: q.Name, Other: q.Server, Detail: q.Type})
	}
}

func (l *lister) observation(rec *receipt.Receipt) {
	for _, g := range rec.Observation.Gaps {
		l.add(Fact{Class: Gap, Name: g.Kind, Detail: g.Detail})
	}
	counts := rec.Syscalls.Counts
	for name, n := range counts {
		// The count of open is a sum: of itself and of these.
		if name == "open" {
			n -= min(n, counts["openat"]+counts["openat2"]+counts["creat"])
		}
		if n > 0 {
			l.add(Fact{Class: Syscall, Name: name})
		}
	}
	for _, name := range rec.Syscalls.Denied {
		l.add(Fact{Class: SyscallDenied, Name: name})
	}
}

func (l *lister) path(p string) string { return l.scene.path(p) }

// args are shared with the receipt unless something in them is normalised.
func (l *lister) args(argv []string) []string {
	for i, a := range argv {
		if !strings.Contains(a, redacted) {
			continue
		}
		out := append([]string(nil), argv[:i]...)
		for _, a := range argv[i:] {
			out = append(out, withoutIDs(a))
		}
		return out
	}
	return argv
}

const redacted = "[redacted:"

// withoutIDs drops the numbers of redacted secrets, which depend on how many
// there are.
func withoutIDs(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, redacted)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n := digits(after)
		if n > 0 && strings.HasPrefix(after[n:], "]") {
			b.WriteString("[redacted]")
			after = after[n+1:]
		} else {
			b.WriteString(redacted)
		}
		s = after
	}
}
