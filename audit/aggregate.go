package audit

import (
	"math"
	"time"

	"glasshouse/receipt"
)

// Aggregator folds events into what a receipt says. It keeps sums and sets,
// not events: its memory grows with the receipt, apart from one entry for
// each event that a Repeat may yet name. It does no I/O.
//
// Events of one CPU come in order. Between CPUs the order does not matter:
// what depends on order is decided by the events' times.
//
// It is for one goroutine.
type Aggregator struct {
	processes processTable
	files     fileTable
	network   networkTable
	repeats   repeatTable
	gaps      gapSet
}

// NewAggregator returns an empty Aggregator.
func NewAggregator() *Aggregator {
	a := &Aggregator{
		processes: newProcessTable(),
		files:     newFileTable(),
		repeats:   repeatTable{tallies: map[RepeatID]tally{}, early: map[RepeatID]repeated{}},
		gaps:      gapSet{},
	}
	a.network = newNetworkTable(&a.repeats)
	return a
}

// Add folds one event in.
func (a *Aggregator) Add(event Event) {
	switch e := event.(type) {
	case *Fork:
		a.processes.fork(e)
	case *Exec:
		a.exec(e)
	case *ExecFailed:
		if !e.Launch {
			a.processes.get(e.Process)
		}
		a.processes.execFailed(e)
		a.named("exec", e.Path)
	case *Exit:
		a.processes.exit(e)
	case *Open:
		a.processes.get(e.Process)
		a.seen("open", e.Path, e.Raced)
		a.repeats.track(e.ID, a.files.open(e))
	case *FileIO:
		a.processes.get(e.Process)
		a.seen("read or write", e.Path, e.Raced)
		a.repeats.track(e.ID, a.files.io(e))
	case *Mapping:
		a.processes.get(e.Process)
		a.seen("mmap", e.Path, e.Raced)
		a.repeats.track(e.ID, tally{count: a.files.mapped(e)})
	case *FileOp:
		a.fileOp(e)
	case *Connect:
		a.processes.get(e.Process)
		if e.Shared {
			a.gaps.add(receipt.GapSharedNames, "connect", 1)
		}
		a.reached("connect", e.Raced, e.OtherNS)
		a.network.add(e)
	case *Bind:
		a.processes.get(e.Process)
		a.seen("bind", e.File, false)
		a.files.bound(e)
		a.network.add(e)
	case *Listen:
		a.processes.get(e.Process)
		a.reached("listen", e.Raced, e.OtherNS)
		a.network.listen(e)
	case *Accept:
		a.processes.get(e.Process)
		a.reached("accept", e.Raced, e.OtherNS)
		a.network.accept(e)
	case *Client, *DNS:
		a.processes.get(e.Head().Process)
		a.network.add(e)
	case *ConnectDone:
		a.network.add(e)
	case *Repeat:
		a.repeats.add(e)
	}
}

func (a *Aggregator) exec(e *Exec) {
	a.processes.exec(e)
	if e.NoArgv {
		a.gaps.add(receipt.GapArgv, "argument capture was off", 1)
	}
	a.seen("exec", e.Exe, false)
	a.files.executed(e)
}

func (a *Aggregator) fileOp(e *FileOp) {
	a.processes.get(e.Process)
	a.named(e.Op, e.Path, e.To)
	if e.Errno != 0 {
		a.repeats.track(e.ID, tally{count: a.files.failed(e)})
		return
	}
	if !a.files.changed(e) {
		a.gaps.add(receipt.GapPathCut, e.Op, 1)
	}
}

// seen notes what is not certain about a path that the kernel showed.
func (a *Aggregator) seen(op string, p Path, raced bool) {
	if p.Cut {
		a.gaps.add(receipt.GapPathCut, op, 1)
	}
	if raced {
		a.gaps.add(receipt.GapRaced, op, 1)
	}
	if p.OtherNS {
		a.gaps.add(receipt.GapMountNamespace, op, 1)
	}
}

// reached notes what is not certain about a socket's address.
func (a *Aggregator) reached(op string, raced, otherNS bool) {
	a.seen(op, Path{OtherNS: otherNS}, raced)
}

// named notes what is not certain about names that an operation was given.
func (a *Aggregator) named(op string, targets ...Target) {
	var raced, shared, otherNS bool
	for _, t := range targets {
		raced = raced || t.Raced
		shared = shared || t.Shared && !t.Kernel()
		otherNS = otherNS || t.Base.OtherNS
	}
	if raced {
		a.gaps.add(receipt.GapRaced, op, 1)
	}
	if shared {
		a.gaps.add(receipt.GapSharedNames, op, 1)
	}
	if otherNS {
		a.gaps.add(receipt.GapMountNamespace, op, 1)
	}
}

// Fill writes what was observed into r: process_tree, exec_failures,
// filesystem, network, syscalls, resources and observation. r has to be
// normalised then. Gaps that r already has stay. alive are the processes that had not exited
// when the recording ended; boot is the wall-clock time of the machine's boot,
// to which events' times are added. r.Execution.Isolation has to be set: it
// decides what a root process could have reached.
//
// It can be called again, with the same result: for what is held back until it is
// in order, a call is the end of the waiting.
func (a *Aggregator) Fill(r *receipt.Receipt, sum Summary, boot time.Time) {
	clock := clock{boot}
	gaps := a.gaps.clone()
	for _, g := range r.Observation.Gaps {
		gaps.add(g.Kind, g.Detail, g.Count)
	}

	rows := a.processes.rows(sum.Alive, clock)
	r.ProcessTree = rows.tree
	r.ExecFailures = a.processes.failures()
	r.Resources = rows.resources
	r.Observation.Survivors = rows.survivors
	if n := len(rows.survivors); n > 0 {
		gaps.add(receipt.GapSurvivors, "processes outlived the recording; what they did afterwards is not in it", uint64(n))
	}
	if rows.asRoot > 0 && r.Execution.Isolation == "none" {
		gaps.add(receipt.GapRoot, "processes ran as root beside the recorder and could have reached it", rows.asRoot)
	}

	if n := a.processes.argvCut; n > 0 {
		gaps.add(receipt.GapArgv, "arguments beyond the first 64 MiB of the run were cut", n)
	}
	if rows.dumped > 0 {
		gaps.add(receipt.GapCoreDump, "the kernel dumped the memory of processes that a signal ended, as /proc/sys/kernel/core_pattern says", rows.dumped)
	}

	a.files.fill(&r.Filesystem, gaps)
	a.network.fill(&r.Network, gaps)
	a.repeats.gaps(gaps) // last: the others may still find what a repeat belongs to
	r.Network.BytesSent, r.Network.BytesReceived = sum.BytesSent, sum.BytesReceived
	r.Syscalls = syscalls(sum.Syscalls)

	for _, g := range sum.Gaps {
		gaps.add(g.Kind, g.Detail, g.Count)
	}
	gaps.addUnrecorded(sum.Syscalls)
	observe(&r.Observation, sum)
	r.Observation.Gaps = gaps.rows()
}

// Running are the processes whose exit has not come.
func (a *Aggregator) Running() []ProcessID {
	var ids []ProcessID
	for id, p := range a.processes.byID {
		if p.exited == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// syscalls counts by name. "open" is the sum of all calls that open a file,
// which are there by their own names too, but for open itself.
func syscalls(counts []SyscallCount) receipt.Syscalls {
	s := receipt.Syscalls{Counts: make(map[string]uint64, len(counts))}
	var opens uint64
	for _, c := range counts {
		s.Counts[c.Name] = addSat(s.Counts[c.Name], c.Count)
		switch c.Name {
		case "open", "openat", "openat2", "creat":
			opens = addSat(opens, c.Count)
		}
		if c.Denied {
			s.Denied = append(s.Denied, c.Name)
		}
	}
	s.Counts["open"] = opens
	return s
}

// clock turns times since boot into wall-clock times.
type clock struct{ boot time.Time }

func (c clock) at(ns uint64) receipt.Time {
	return receipt.At(c.boot.Add(time.Duration(min(ns, math.MaxInt64))))
}

// addSat adds without wrapping around: counts come from outside.
func addSat(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

func toInt64(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
