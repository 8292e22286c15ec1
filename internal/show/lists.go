package show

import (
	"bufio"
	"fmt"
	"strings"

	"glasshouse/internal/term"
	"glasshouse/receipt"
	"glasshouse/receipt/insight"
)

// Lists for programs. Errors stay in the writer, as bufio says.

// PathKinds are the kinds of paths that Paths knows.
var PathKinds = []string{"all", "read", "written", "deleted", "executed"}

// Paths writes the paths of one of PathKinds in order, each with end after it:
// those that are in the tree and wholly known, in their exact bytes where these
// are known. With safe they are made printable instead.
func Paths(w *bufio.Writer, r *receipt.Receipt, kind string, end byte, safe bool) {
	mark := map[string]insight.Marks{
		"read":     insight.Read,
		"written":  insight.Written,
		"deleted":  insight.Deleted,
		"executed": insight.Executed,
	}[kind]
	// Where a path is not text it has a form that is, and another path can
	// have the same.
	exact := map[string][]string{}
	for i := range r.Filesystem.Files {
		if f := &r.Filesystem.Files[i]; f.PathBytes != nil {
			exact[f.Path] = append(exact[f.Path], string(f.PathBytes))
		}
	}
	if len(exact) > 0 {
		for i := range r.Filesystem.Files {
			f := &r.Filesystem.Files[i]
			if others := exact[f.Path]; f.PathBytes == nil && others != nil {
				exact[f.Path] = append(others, f.Path)
			}
		}
	}
	for _, f := range insight.Files(r) {
		if !f.Marks.Has(mark) {
			continue
		}
		names := []string{f.Path}
		if others := exact[f.Path]; others != nil && !safe {
			names = others
		}
		for _, name := range names {
			if safe {
				name = term.Printable(name)
			}
			w.WriteString(name)
			w.WriteByte(end)
		}
	}
}

// Hosts writes a line for each address that was tried and each result, unix
// sockets aside: name or address, address with port, protocol, result, count.
func Hosts(w *bufio.Writer, r *receipt.Receipt) {
	for _, peer := range insight.NetworkOf(r).Peers {
		if peer.Scope == insight.Local {
			continue
		}
		name := peer.Addr
		if len(peer.Names) > 0 {
			name = strings.Join(peer.Names, ",")
		}
		for _, c := range peer.Contacts {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\n", field(name), field(c.Dst), field(c.Protocol), field(c.Result), c.Count)
		}
	}
}

// Processes writes a line for each process in the order of the receipt:
// number, parent's number, end, milliseconds, command.
func Processes(w *bufio.Writer, r *receipt.Receipt) {
	t := insight.Processes(r)
	for i := range r.ProcessTree {
		p, node := &r.ProcessTree[i], t.Nodes[i]
		took := "?"
		if p.EndedAt != nil && !p.StartedAt.IsZero() {
			took = fmt.Sprintf("%d", node.Took.Milliseconds())
		}
		argv := p.Argv
		if len(argv) == 0 {
			argv = []string{p.Exe}
		}
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\n", p.PID, p.PPID, field(insight.End(p, node)), took, field(term.CommandLine(argv, receipt.MaxSize)))
	}
}

// field is text without tabs and newlines.
func field(s string) string { return term.Printable(s) }
