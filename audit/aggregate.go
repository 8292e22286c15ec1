package audit

import (
	"math"
	"time"

	"glasshouse/receipt"
)

// Aggregator folds events into what a receipt says. It keeps sums and sets,
// not events: its memory grows with the receipt, apart from one number for
// each event that a Repeat may name. It does no I/O.
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
	return &Aggregator{
		processes: newProcessTable(),
		files:     newFileTable(),
		network:   newNetworkTable(),
		repeats:   repeatTable{counters: map[RepeatID]*uint64{}, early: map[RepeatID]uint64{}},
		gaps:      gapSet{},
	}
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
		a.raced("exec", e.Path)
	case *Exit:
		a.processes.exit(e)
	case *Open:
		a.processes.get(e.Process)
		if e.Path.Cut {
			a.gaps.add(gapPathCut, "open", 1)
		}
		if e.Raced {
			a.gaps.add(gapRaced, "open", 1)
		}
		a.repeats.track(e.ID, a.files.open(e))
	case *FileOp:
		a.fileOp(e)
	case *Connect:
		a.processes.get(e.Process)
		a.repeats.track(e.ID, a.network.connect(e))
	case *ConnectDone:
		a.network.connectDone(e)
	case *Repeat:
		a.repeats.add(e.ID, e.Count)
	}
}

func (a *Aggregator) exec(e *Exec) {
	a.processes.exec(e)
	if e.NoArgv {
		a.gaps.add(gapArgv, "argument capture was off", 1)
	}
	if e.Exe.Cut {
		a.gaps.add(gapPathCut, "exec", 1)
	}
	a.files.executed(e)
}

func (a *Aggregator) fileOp(e *FileOp) {
	a.processes.get(e.Process)
	a.raced(e.Op, e.Path, e.To)
	if e.Errno != 0 {
		a.repeats.track(e.ID, a.files.failed(e))
		return
	}
	if !a.files.changed(e) {
		a.gaps.add(gapPathCut, e.Op, 1)
	}
}

// raced notes names that were joined to a base which another thread may have
// moved away meanwhile.
func (a *Aggregator) raced(op string, targets ...Target) {
	for _, t := range targets {
		if t.Raced {
			a.gaps.add(gapRaced, op, 1)
			return
		}
	}
}

// Fill writes what was observed into r: process_tree, exec_failures,
// filesystem, network, syscalls, resources and observation, and normalises r.
// Gaps that r already has stay. alive are the processes that had not exited
// when the recording ended; boot is the wall-clock time of the machine's boot,
// to which events' times are added. r.Execution.Isolation has to be set: it
// decides what a root process could have reached.
//
// It does not change the Aggregator.
func (a *Aggregator) Fill(r *receipt.Receipt, sum Summary, boot time.Time) {
	clock := clock{boot}
	gaps := a.gaps.clone()
	for _, g := range r.Observation.Gaps {
		gaps.add(g.Kind, g.Detail, g.Count)
	}
	a.repeats.gaps(gaps)

	rows := a.processes.rows(sum.Alive, clock)
	r.ProcessTree = rows.tree
	r.ExecFailures = a.processes.failures()
	r.Resources = rows.resources
	r.Observation.Survivors = rows.survivors
	if n := len(rows.survivors); n > 0 {
		gaps.add(gapSurvivors, "processes outlived the recording; what they did afterwards is not in it", uint64(n))
	}
	if rows.asRoot > 0 && r.Execution.Isolation == "none" {
		gaps.add(gapRoot, "processes ran as root beside the recorder and could have reached it", rows.asRoot)
	}

	a.files.fill(&r.Filesystem)
	a.network.fill(&r.Network, gaps)
	r.Network.BytesSent, r.Network.BytesReceived = sum.BytesSent, sum.BytesReceived
	r.Syscalls = syscalls(sum.Syscalls)

	for _, g := range sum.Gaps {
		gaps.add(g.Kind, g.Detail, g.Count)
	}
	gaps.addUnrecorded(sum.Syscalls)
	observe(&r.Observation, sum)
	r.Observation.Gaps = gaps.rows()
	r.Normalize()
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

// repeatTable joins repeats to the counters of the events that they repeat.
type repeatTable struct {
	counters map[RepeatID]*uint64
	early    map[RepeatID]uint64 // repeats whose event has not come yet
}

func (t *repeatTable) track(id RepeatID, counter *uint64) {
	if id == 0 || counter == nil {
		return
	}
	t.counters[id] = counter
	if n, ok := t.early[id]; ok {
		*counter = addSat(*counter, n)
		delete(t.early, id)
	}
}

func (t *repeatTable) add(id RepeatID, n uint64) {
	if counter, ok := t.counters[id]; ok {
		*counter = addSat(*counter, n)
		return
	}
	t.early[id] = addSat(t.early[id], n)
}

func (t *repeatTable) gaps(gaps gapSet) {
	var n uint64
	for _, count := range t.early {
		n = addSat(n, count)
	}
	if n > 0 {
		gaps.add(gapRepeats, "repeats of events that did not arrive", n)
	}
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
