package insight

import (
	"net"
	"strconv"
	"strings"

	"glasshouse/receipt"
)

// Fate is what became of a workspace: how much of it came back, and where that is
// now.
func Fate(w *receipt.Workspace) string {
	var changes []string
	for _, c := range []struct {
		n    int
		what string
	}{{len(w.Added), "added"}, {len(w.Changed), "changed"}, {len(w.Deleted), "deleted"}} {
		if c.n > 0 {
			changes = append(changes, number(c.n)+" "+c.what)
		}
	}
	where := ""
	switch {
	case len(changes) > 0:
		where = "; " + place(w)
	case w.Error != nil:
		return *w.Error
	default:
		changes = append(changes, "unchanged")
	}
	if n := len(w.Refused); n > 0 {
		changes = append(changes, number(n)+" refused")
	}
	if w.Error != nil {
		where += "; " + *w.Error
	}
	return strings.Join(changes, ", ") + where
}

// place is where the changes of a workspace are.
func place(w *receipt.Workspace) string {
	switch {
	case w.Applied:
		return "applied"
	case w.Kept != nil:
		return "not applied, kept in " + *w.Kept
	}
	return "not applied"
}

// Refusal is why a proxy passed requests on to nobody.
type Refusal struct {
	Result string   // denied or failed
	Reason string   // as the proxy has it
	Hosts  []string // that were asked for, with their ports, sorted
}

// Refusals are the reasons that a machine's proxy had, in the order in which they
// came up.
func Refusals(r *receipt.Receipt) []Refusal {
	if r.Execution.VM == nil || r.Execution.VM.Proxy == nil {
		return nil
	}
	type key struct{ result, reason string }
	at := map[key]int{}
	var list []Refusal
	for _, q := range r.Execution.VM.Proxy.Requests {
		if q.Reason == nil {
			continue
		}
		k := key{q.Result, *q.Reason}
		i, known := at[k]
		if !known {
			i = len(list)
			at[k] = i
			list = append(list, Refusal{Result: q.Result, Reason: *q.Reason})
		}
		host := q.Host
		if q.Port != 0 { // else it is as it came, and makes no sense
			host = net.JoinHostPort(host, strconv.Itoa(q.Port))
		}
		list[i].Hosts = append(list[i].Hosts, host)
	}
	for i := range list {
		list[i].Hosts = set(list[i].Hosts)
	}
	return list
}
