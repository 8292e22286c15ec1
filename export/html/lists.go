package html

import (
	"encoding/base64"
	"fmt"
	"math"
	"strings"

	"glasshouse/receipt"
	"glasshouse/receipt/insight"
	"glasshouse/receipt/tree"
)

// lists is what the script shows. Keys are those of the receipt, where there
// are such. Times are ns since Start. All text is printable, so that the
// script needs to escape nothing. Where a receipt has very many files these are
// most of it, so files are short.
type lists struct {
	Start        receipt.Time `json:"start"`
	Length       int64        `json:"length"` // ns
	Lanes        int          `json:"lanes"`  // of the timeline
	Processes    []process    `json:"processes"`
	ExecFailures []execFail   `json:"exec_failures"`
	Folders      []string     `json:"folders"` // sorted
	Files        []file       `json:"files"`   // by folder, then name
	Operations   []operation  `json:"operations"`
	Network      []contact    `json:"network"`
}

type process struct {
	PID        int32    `json:"pid"`
	PPID       int32    `json:"ppid"`
	Parent     int      `json:"parent"` // index of a process before this one; -1 if it is not there
	Lane       int      `json:"lane"`
	Exe        string   `json:"exe"`
	Argv       []string `json:"argv"`
	WorkingDir string   `json:"working_dir"`
	Start      int64    `json:"start"`
	End        *int64   `json:"end"`
	UID        uint32   `json:"uid"`
	GID        uint32   `json:"gid"`
	ExitCode   *int     `json:"exit_code"`
	Signal     *string  `json:"signal"`
	Truncated  bool     `json:"argv_truncated,omitempty"`
	CPUTimeMS  int64    `json:"cpu_time_ms"`
	MaxRSSKB   int64    `json:"max_rss_kb"`
	Execs      []exec   `json:"execs"`
}

// exec of the latest image has no exe, argv and folder of its own where they
// are the process's.
type exec struct {
	Exe         *string  `json:"exe,omitempty"`
	Argv        []string `json:"argv,omitempty"`
	WorkingDir  *string  `json:"working_dir,omitempty"`
	Requested   string   `json:"requested,omitempty"`
	Interpreter *string  `json:"interpreter,omitempty"`
	At          int64    `json:"at"`
	Truncated   bool     `json:"argv_truncated,omitempty"`
}

// execFail adds up the failures of all processes: along PATH each of them fails
// in the same places.
type execFail struct {
	Path  string     `json:"path"`
	Errno string     `json:"errno"`
	Count uint64     `json:"count"`
	PIDs  []int32    `json:"pids"`
	Argvs [][]string `json:"argvs"` // different ones
}

// operation is one on files that is no reading or writing.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	To    string `json:"to,omitempty"`
	Errno string `json:"errno,omitempty"`
	Count uint64 `json:"count,omitempty"`
}

// contact is one line on the network.
type contact struct {
	Kind     string `json:"kind"` // tried, listened, accepted or asked
	Addr     string `json:"addr"`
	Protocol string `json:"protocol"`
	Result   string `json:"result,omitempty"`
	About    string `json:"about,omitempty"` // the name that led there, or who came
	PID      int32  `json:"pid"`
	Count    uint64 `json:"count,omitempty"`
}

func listsOf(r *receipt.Receipt) *lists {
	l := &lists{
		ExecFailures: []execFail{},
		Operations:   []operation{},
		Network:      []contact{},
	}
	l.addProcesses(r)
	l.addExecFailures(r.ExecFailures)
	l.addFiles(&r.Filesystem)
	l.addOperations(&r.Filesystem)
	l.addNetwork(&r.Network)
	return l
}

func (l *lists) addProcesses(r *receipt.Receipt) {
	t := insight.SpanOf(r)
	l.Start, l.Length = receipt.At(t.Start), int64(t.Length)
	order, parents := tree.Order(r.ProcessTree), tree.Parents(r.ProcessTree)
	l.Processes = make([]process, len(order))
	rows := make([]int, len(order)) // of each process
	for i, at := range order {
		rows[at] = i
	}
	for i, at := range order {
		p := &r.ProcessTree[at]
		parent := -1
		if j := parents[at]; j != tree.None {
			parent = rows[j]
		}
		row := process{
			PID: p.PID, PPID: p.PPID, Parent: parent, Exe: printable(p.Exe), Argv: printables(p.Argv),
			WorkingDir: printable(p.WorkingDir), Start: int64(t.At(p.StartedAt)), UID: p.UID, GID: p.GID,
			ExitCode: p.ExitCode, Signal: printablePtr(p.Signal), Truncated: p.ArgvTruncated,
			CPUTimeMS: p.CPUTimeMS, MaxRSSKB: p.MaxRSSKB, Execs: []exec{},
		}
		if p.EndedAt != nil {
			end := max(row.Start, int64(t.At(*p.EndedAt)))
			row.End = &end
		}
		for j, e := range p.Execs {
			x := exec{
				Requested: printable(e.Requested), Interpreter: printablePtr(e.Interpreter),
				At: int64(t.At(e.At)), Truncated: e.ArgvTruncated,
			}
			if j < len(p.Execs)-1 || !sameImage(p, &e) {
				exe, dir := printable(e.Exe), printable(e.WorkingDir)
				x.Exe, x.Argv, x.WorkingDir = &exe, printables(e.Argv), &dir
			}
			row.Execs = append(row.Execs, x)
		}
		l.Processes[i] = row
	}
	l.Lanes = assignLanes(l.Processes, l.Length)
}

func (l *lists) addExecFailures(list []receipt.ExecFail) {
	type place struct{ path, errno string }
	rows := map[place]int{}
	seen := map[string]bool{} // the arguments and processes of a row
	first := func(row int, what string) bool {
		key := fmt.Sprint(row, what)
		was := seen[key]
		seen[key] = true
		return !was
	}
	for _, f := range list {
		at := place{f.Path, f.Errno}
		i, ok := rows[at]
		if !ok {
			i = len(l.ExecFailures)
			rows[at] = i
			l.ExecFailures = append(l.ExecFailures, execFail{Path: printable(f.Path), Errno: printable(f.Errno)})
		}
		row := &l.ExecFailures[i]
		row.Count = plus(row.Count, f.Count)
		if first(i, fmt.Sprint(" pid ", f.PID)) {
			row.PIDs = append(row.PIDs, f.PID)
		}
		if first(i, fmt.Sprintf(" argv %q", f.Argv)) {
			row.Argvs = append(row.Argvs, printables(f.Argv))
		}
	}
}

func plus(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

func sameImage(p *receipt.Process, e *receipt.Exec) bool {
	if p.Exe != e.Exe || p.WorkingDir != e.WorkingDir || len(p.Argv) != len(e.Argv) {
		return false
	}
	for i := range p.Argv {
		if p.Argv[i] != e.Argv[i] {
			return false
		}
	}
	return true
}

func (l *lists) addOperations(fs *receipt.Filesystem) {
	add := func(op, path, to, errno string, count uint64) {
		l.Operations = append(l.Operations, operation{printable(op), printable(path), printable(to), printable(errno), count})
	}
	for _, c := range fs.Created {
		add("create "+c.Kind, c.Path, deref(c.Target), "", 0)
	}
	for _, n := range fs.Renames {
		add("rename", n.From, n.To, "", 0)
	}
	for _, c := range fs.Changed {
		add("change "+c.What, c.Path, "", "", 0)
	}
	for _, m := range fs.Mounts {
		add(m.Op, m.Path, deref(m.From), "", 0)
	}
	for _, f := range fs.Failed {
		add(f.Op, f.Path, f.To, f.Errno, f.Count)
	}
}

func (l *lists) addNetwork(n *receipt.Network) {
	add := func(kind, addr, protocol, result, about string, pid int32, count uint64) {
		l.Network = append(l.Network, contact{kind, printable(addr), printable(protocol), printable(result), printable(about), pid, count})
	}
	for _, a := range n.Attempts {
		result := a.Result
		if a.Policy != "" {
			result += ", policy: " + a.Policy
		}
		kind := "tried"
		if a.Source == receipt.SourceProxy {
			kind = "tried by the proxy" // for the command, in the host's network
		}
		add(kind, a.Dst, a.Protocol, result, deref(a.Host), a.PID, a.Count)
	}
	if len(n.Attempts) == 0 { // v0.2 has these alone
		for _, c := range n.Connections {
			add("tried", c.Dst, c.Protocol, "", "", 0, 0)
		}
	}
	for _, s := range n.Listens {
		add("listened", s.Addr, s.Protocol, "", "", s.PID, 0)
	}
	for _, a := range n.Accepts {
		add("accepted", a.Addr, a.Protocol, "", a.Src, a.PID, a.Count)
	}
	for _, q := range n.DNS {
		add("asked", q.Server, "dns", q.Type, q.Name, q.PID, q.Count)
	}
}

func printables(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = printable(s)
	}
	return out
}

func printablePtr(s *string) *string {
	if s == nil {
		return nil
	}
	text := printable(*s)
	return &text
}

// split takes a path apart into its folder and its name.
func split(path string) (folder, name string) {
	i := strings.LastIndexByte(path, '/')
	switch {
	case i < 0 || path[0] != '/':
		return "", path // no place in the tree, such as a pipe
	case i == 0:
		return "/", path[1:]
	default:
		return path[:i], path[i+1:]
	}
}

func encoded(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
