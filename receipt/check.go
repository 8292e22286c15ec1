package receipt

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is a place where a receipt contradicts itself, or what is said of
// every receipt.
type Problem struct {
	Where string // the key, dotted: "observation.events"
	What  string // one lowercase line
}

func (p Problem) String() string { return p.Where + ": " + p.What }

// Check looks for contradictions in a receipt as Read returned it. It finds
// none in what glasshouse wrote of a run, however that went, or recovered of
// one. Of the same contradiction in many elements of a list it names the first.
//
// A receipt of v0.2 says too little to be checked, which is its one problem.
func Check(r *Receipt) []Problem {
	c := checker{r: r}
	if r.ReceiptVersion == "v0.2" || strings.HasPrefix(r.ReceiptVersion, "v0.2.") {
		c.bad("receipt_version", "%s does not say enough to be checked", r.ReceiptVersion)
		return c.problems
	}
	c.outcome()
	c.observation()
	c.processes()
	c.counts()
	c.legacy()
	c.orders()
	return c.problems
}

type checker struct {
	r        *Receipt
	problems []Problem
}

func (c *checker) bad(where, format string, args ...any) {
	c.problems = append(c.problems, Problem{where, fmt.Sprintf(format, args...)})
}

func (c *checker) outcome() {
	o := &c.r.Outcome
	if o.ExitCode < 0 || o.ExitCode > 255 {
		c.bad("outcome.exit_code", "%d is outside of 0 to 255", o.ExitCode)
	}
	if o.Signal != nil && o.ExitCode <= 128 {
		c.bad("outcome.exit_code", "%d, although %.40q ended the command", o.ExitCode, *o.Signal)
	}
	t := &c.r.Timing
	if t.StartedAt != c.r.Timestamp {
		c.bad("timing.started_at", "%s, but the timestamp is %s", t.StartedAt, c.r.Timestamp)
	}
	if t.CPUTimeMS != c.r.Resources.CPUTimeMS {
		c.bad("timing.cpu_time_ms", "%d, but resources.cpu_time_ms is %d", t.CPUTimeMS, c.r.Resources.CPUTimeMS)
	}
}

// observation checks the books and what is claimed of them.
func (c *checker) observation() {
	o := &c.r.Observation
	booked, lost, overflow := o.Events.Received, uint64(0), false
	for _, n := range o.Events.Lost {
		lost += n
		overflow = overflow || lost < n
	}
	booked += lost
	overflow = overflow || booked < lost
	switch {
	case o.Complete && o.Mode == "none":
		c.bad("observation.complete", "true, although nothing was observed")
	case o.Complete && (lost > 0 || overflow):
		c.bad("observation.complete", "true, although events were lost")
	case o.Complete && o.Events.Emitted != booked:
		c.bad("observation.complete", "true, although %d events were emitted and %d received", o.Events.Emitted, booked)
	case o.Complete && o.Reason != nil:
		c.bad("observation.reason", "there is one, although complete is true")
	case !o.Complete && o.Reason == nil:
		c.bad("observation.reason", "null, although complete is false")
	}
	for i := range o.Hooks {
		h := &o.Hooks[i]
		if h.Attached != (h.Error == nil) {
			c.bad("observation.hooks", "%.60q: attached is %t, and its error says otherwise", h.Name, h.Attached)
			break
		}
		if o.Complete && !h.Attached {
			c.bad("observation.complete", "true, although %.60q was not attached", h.Name)
			break
		}
	}
}

// processes checks that each has a parent which was there before it: in the
// tree, or the one that started the command, which is in none. Where events
// were lost, a parent may be among them.
func (c *checker) processes() {
	tree := c.r.ProcessTree
	earliest := make(map[int32]uint64, len(tree)) // start, by process number
	for i := range tree {
		p := &tree[i]
		if start, ok := earliest[p.PID]; !ok || p.StartTime < start {
			earliest[p.PID] = p.StartTime
		}
		if p.ExitCode != nil && p.Signal != nil {
			c.bad("process_tree", "process %d both exited and was ended by a signal", p.PID)
			return
		}
	}
	starter, known := int32(0), false
	for i := range tree {
		p := &tree[i]
		if p.PPID == 0 || !c.r.Observation.Complete {
			continue
		}
		if start, ok := earliest[p.PPID]; ok && start <= p.StartTime {
			continue
		}
		if known && p.PPID != starter {
			c.bad("process_tree", "process %d has the parent %d, which was not there", p.PID, p.PPID)
			return
		}
		starter, known = p.PPID, true
	}
}

// counts checks sums against what they are of.
func (c *checker) counts() {
	r := c.r
	seen := len(r.ProcessTree)
	switch {
	case r.Observation.Mode != "none" && r.Resources.Processes != seen:
		c.bad("resources.processes", "%d, but process_tree has %d", r.Resources.Processes, seen)
	case r.Observation.Mode == "none" && (seen > 0 || len(r.Filesystem.Files) > 0 || slices.ContainsFunc(r.Network.Attempts, observed)):
		c.bad("observation.mode", "none, but something was observed")
	}
	calls := r.Syscalls.Counts
	for _, name := range []string{"execve", "open", "connect"} {
		if _, ok := calls[name]; !ok {
			c.bad("syscalls.counts", "%s is missing", name)
		}
	}
	// The rest of open is open(2) itself.
	if parts := calls["openat"] + calls["openat2"] + calls["creat"]; calls["open"] < parts {
		c.bad("syscalls.counts", "open is %d, but openat, openat2 and creat are %d", calls["open"], parts)
	}
	for _, name := range r.Syscalls.Denied {
		if r.Observation.Mode != "none" && calls[name] == 0 {
			c.bad("syscalls.denied", "%.60q was never called", name)
			break
		}
	}
	for i := range r.Filesystem.Files {
		if f := &r.Filesystem.Files[i]; f.Final != nil && !f.Written {
			c.bad("filesystem.files", "%.200q has a final, but was not written", f.Path)
			break
		}
	}
}

// observed is for attempts that the recorder saw: the proxy of a virtual machine
// tells of its own.
func observed(a Attempt) bool { return a.Source != SourceProxy }

// legacy compares the keys of v0.2 with those that they repeat.
func (c *checker) legacy() {
	r := c.r
	var want Receipt
	want.Outcome, want.Timing, want.ProcessTree = r.Outcome, r.Timing, r.ProcessTree
	want.Filesystem.Reads, want.Filesystem.Writes = r.Filesystem.Reads, r.Filesystem.Writes
	want.Network.Attempts = r.Network.Attempts
	want.legacy()
	if r.ExitCode != want.ExitCode {
		c.bad("exit_code", "%d, but outcome.exit_code is %d", r.ExitCode, want.ExitCode)
	}
	if r.DurationMS != want.DurationMS {
		c.bad("duration_ms", "%d, but timing.duration_ms is %d", r.DurationMS, want.DurationMS)
	}
	same(c, "processes", "process_tree", r.Processes, want.Processes)
	same(c, "filesystem.read", "filesystem.reads", r.Filesystem.Read, want.Filesystem.Read)
	same(c, "filesystem.written", "filesystem.writes", r.Filesystem.Written, want.Filesystem.Written)
	same(c, "network.connections", "network.attempts", r.Network.Connections, want.Network.Connections)
}

func same[T comparable](c *checker, old, new string, has, want []T) {
	if !slices.Equal(has, want) {
		c.bad(old, "not the same as %s", new)
	}
}

// orders checks that lists are sorted, and that in sets each element is there
// once.
func (c *checker) orders() {
	r, fs, net := c.r, &c.r.Filesystem, &c.r.Network
	ordered(c, "observation.hooks", false, r.Observation.Hooks, compareHook)
	ordered(c, "observation.gaps", false, r.Observation.Gaps, compareGap)
	ordered(c, "observation.survivors", false, r.Observation.Survivors, compareSurvivor)
	ordered(c, "process_tree", true, r.ProcessTree, compareProcess)
	ordered(c, "exec_failures", false, r.ExecFailures, compareExecFail)
	ordered(c, "filesystem.reads", true, fs.Reads, compareText)
	ordered(c, "filesystem.writes", true, fs.Writes, compareText)
	ordered(c, "filesystem.deletes", true, fs.Deletes, compareText)
	ordered(c, "filesystem.policy_violations", true, fs.PolicyViolations, compareText)
	ordered(c, "filesystem.renames", true, fs.Renames, compareRename)
	ordered(c, "filesystem.created", false, fs.Created, compareCreated)
	ordered(c, "filesystem.changed", true, fs.Changed, compareChanged)
	ordered(c, "filesystem.mounts", true, fs.Mounts, compareMount)
	ordered(c, "filesystem.failed", false, fs.Failed, compareFailed)
	ordered(c, "filesystem.files", false, fs.Files, compareFile)
	ordered(c, "network.attempts", false, net.Attempts, compareAttempt)
	ordered(c, "network.listens", true, net.Listens, compareListen)
	ordered(c, "network.accepts", false, net.Accepts, compareAccept)
	ordered(c, "network.dns", false, net.DNS, compareDNS)
	ordered(c, "syscalls.denied", true, r.Syscalls.Denied, compareText)
	ordered(c, "redactions", true, r.Redactions, func(a, b *Redaction) int { return a.ID - b.ID })
	for i := range fs.Files {
		before := len(c.problems)
		ordered(c, "filesystem.files", true, fs.Files[i].Requested, compareText)
		if len(c.problems) > before {
			break
		}
	}
}

func ordered[T any](c *checker, where string, set bool, list []T, compare func(a, b *T) int) {
	for i := 1; i < len(list); i++ {
		switch order := compare(&list[i-1], &list[i]); {
		case order > 0:
			c.bad(where, "element %d stands before what should come before it", i-1)
			return
		case order == 0 && set:
			c.bad(where, "element %d is there twice", i-1)
			return
		}
	}
}
