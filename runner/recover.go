package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"glasshouse/audit"
	"glasshouse/journal"
	"glasshouse/receipt"
)

// ErrEnded is what Recover returns for a journal with a closing record: the
// run has left a receipt.
var ErrEnded = errors.New("the run has ended and left a receipt")

// LayoutError is a journal whose records only another build can decode.
type LayoutError struct {
	Layout  string // of the records
	Version string // of glasshouse that wrote them
}

func (e *LayoutError) Error() string {
	return fmt.Sprintf("the journal's records are of layout %q, written by glasshouse %s, and cannot be read by this build", e.Layout, e.Version)
}

// Recover makes the receipt of a run whose recorder did not live to write it,
// from the run's journal: everything up to the last whole record, through the
// same decoder and aggregator as in a run. layout is that of the records which
// this build can decode.
//
// redact is as in Spec.
//
// The receipt is never complete and says why. It tells of the command's end
// only if that was recorded. Processes of the run that still live are its
// survivors; a cgroup of the run that was left frozen is thawed, one that was
// left empty is removed.
//
// Errors: ErrEnded, *LayoutError, or those of journal.Read.
func Recover(r io.Reader, layout string, redact func(*receipt.Receipt)) (*receipt.Receipt, error) {
	rc := &recovery{aggregator: audit.NewAggregator(), layout: layout, exits: map[audit.ProcessID]int32{}}
	contents, err := journal.Read(r, rc.frame)
	if err != nil {
		return nil, err
	}
	if contents.End != nil {
		return nil, ErrEnded
	}
	rc.contents = contents
	rec := rc.receipt()
	finish(rec, redact, rec.Timestamp.Time, rc.pid)
	return rec, nil
}

// recovery is the state of one Recover.
type recovery struct {
	layout     string
	open       *journal.Open
	draft      *receipt.Receipt
	aggregator *audit.Aggregator
	decoder    *audit.Decoder
	contents   *journal.Contents

	starting  *journal.Starting
	started   *journal.Started
	exited    *journal.Exited
	sums      *journal.Sums
	sumsAt    time.Time
	stopped   *journal.Stopped
	abandoned *journal.Abandoned
	until     time.Time // records were kept up to here

	pid                 int // of the root; 0 if it is not known
	received, malformed uint64
	exits               map[audit.ProcessID]int32 // status of the recorder's own children; 0x7f: not ended
}

// lastBoot is a year to which any time since boot can be added, and a receipt
// still be written.
const lastBoot = 9000

// notEnded is no status of an exit, as wait(2) has it.
const notEnded = 0x7f

func (rc *recovery) frame(f journal.Frame) error {
	if rc.stopped == nil {
		rc.until = f.Time
	}
	switch v := f.Value.(type) {
	case *journal.Open:
		return rc.begin(v)
	case journal.Records:
		if rc.open.Layout != rc.layout {
			return &LayoutError{rc.open.Layout, rc.open.Version}
		}
		return v.Each(rc.record)
	case *journal.Starting:
		rc.starting = v
	case *journal.Started:
		rc.started = v
	case *journal.Exited:
		rc.exited = v
	case *journal.Sums:
		rc.sums, rc.sumsAt = v, f.Time
	case *journal.Stopped:
		rc.stopped = v
	case *journal.Abandoned:
		rc.abandoned = v
	}
	return nil
}

func (rc *recovery) begin(o *journal.Open) error {
	draft, err := receipt.Read(bytes.NewReader(o.Receipt))
	if err != nil {
		return fmt.Errorf("%w: %w", journal.ErrNoOpen, err)
	}
	if y := o.BootTime.UTC().Year(); y > lastBoot {
		return fmt.Errorf("%w: the machine was booted in the year %d", journal.ErrNoOpen, y)
	}
	if len(o.Argv) > 0 {
		draft.Command.Argv = make([]string, len(o.Argv))
		for i, arg := range o.Argv {
			draft.Command.Argv[i] = string(arg)
		}
	}
	rc.open, rc.draft = o, draft
	rc.decoder = audit.NewDecoder(max(o.PageSize, 0))
	return nil
}

func (rc *recovery) record(record []byte) {
	if err := rc.decoder.Decode(record, rc.event); err != nil {
		rc.malformed++
		return
	}
	rc.received++
}

func (rc *recovery) event(ev audit.Event) {
	switch e := ev.(type) {
	case *audit.Fork:
		if int(e.Process.PID) == rc.parent() {
			rc.exits[e.Child] = notEnded
		}
	case *audit.Exit:
		if _, own := rc.exits[e.Process]; own {
			rc.exits[e.Process] = e.Status
		}
	}
	rc.aggregator.Add(ev)
}

// parent is the process that started the command.
func (rc *recovery) parent() int {
	if guest := rc.open.Guest; guest != 0 {
		return guest
	}
	return rc.open.Recorder.PID
}

func (rc *recovery) receipt() *receipt.Receipt {
	rc.decoder.Flush(rc.event)
	var left leftovers
	if rc.open.Guest != 0 {
		left.fate = "the virtual machine ended with its recorder, and all that ran in it"
	} else {
		left = rc.leftovers()
	}
	rec := &receipt.Receipt{
		ReceiptVersion: receipt.Version,
		Command:        rc.draft.Command,
		Execution:      rc.draft.Execution,
		Environment:    rc.draft.Environment,
	}
	rec.Observation.Gaps = append(rc.draft.Observation.Gaps, rc.gaps(left)...)
	sum := rc.summary()
	if sum.Mode == "none" {
		reason := rc.reason(sum)
		rec.Observation.Reason = &reason
	} else {
		sum.Doubts = []string{rc.reason(sum)}
	}
	sum.Alive = left.known
	rc.aggregator.Fill(rec, sum, rc.open.BootTime)
	rec.Observation.Survivors = append(rec.Observation.Survivors, left.unknown...)
	rc.end(rec)
	return rec
}

// summary is what the collector would have returned, as far as it is known.
func (rc *recovery) summary() audit.Summary {
	s := audit.Summary{Mode: "none", Lost: map[string]uint64{}}
	if rc.starting != nil {
		if m := rc.starting.Mode; m == "ebpf" || m == "ptrace" {
			s.Mode = m
		}
		for _, h := range rc.starting.Hooks {
			s.Hooks = append(s.Hooks, audit.Hook{Name: h.Name, Attached: h.Attached, Err: h.Error})
		}
		s.Gaps = append(s.Gaps, gapsIn(rc.starting.Gaps)...)
	}
	if rc.started != nil {
		s.Gaps = append(s.Gaps, gapsIn(rc.started.Gaps)...)
		if rc.sums == nil {
			s.Gaps = append(s.Gaps, gapsIn(rc.started.Blind)...)
		}
	}
	if s.Mode == "none" && rc.received > 0 {
		s.Mode = "ebpf"
	}
	s.Received = rc.received
	s.Missing = rc.decoder.Missing()
	lost := uint64(0)
	lose := func(why string, n uint64) {
		if n > 0 {
			s.Lost[why] += n
			lost += n
		}
	}
	if c := rc.sums; c != nil {
		s.Folded, s.BytesSent, s.BytesReceived = c.Folded, c.BytesSent, c.BytesReceived
		s.Emitted = c.Emitted
		for _, call := range c.Syscalls {
			s.Syscalls = append(s.Syscalls, audit.SyscallCount(call))
		}
		s.Gaps = append(s.Gaps, gapsIn(c.Gaps)...)
		for _, why := range slices.Sorted(maps.Keys(c.Lost)) {
			lose(why, c.Lost[why])
		}
	}
	lose("malformed", rc.malformed)
	s.Missing += rc.malformed
	// Holes that the last look at the counters did not explain, and events
	// that it counted and that never got into the journal.
	if s.Missing > lost {
		lose("unknown", s.Missing-lost)
	}
	if booked := s.Received + lost; s.Emitted > booked {
		lose("recorder_gone", s.Emitted-booked)
	} else {
		s.Emitted = booked
	}
	s.Missing = lost
	return s
}

func gapsIn(gaps []journal.Gap) (out []audit.Gap) {
	for _, g := range gaps {
		out = append(out, audit.Gap(g))
	}
	return out
}

// reason is why the receipt is not complete, in one line.
func (rc *recovery) reason(sum audit.Summary) string {
	text := "the recorder was killed, or crashed, before it wrote a receipt"
	if rc.abandoned != nil {
		text = "the recorder left no receipt: " + rc.abandoned.Reason
	}
	text += fmt.Sprintf("; its journal ends at %s, after %s", receipt.At(rc.contents.Last), events(rc.received))
	if rc.starting != nil && rc.starting.Reason != "" && sum.Mode == "none" {
		text = rc.starting.Reason + "; " + text
	}
	if c := rc.contents.Cut; c != nil {
		text += fmt.Sprintf("; the journal was %s", c)
	}
	if rc.stopped != nil {
		text += "; " + rc.stopped.Reason + ", and the run went on"
	}
	if n := rc.contents.Unknown; n > 0 {
		text += fmt.Sprintf("; %d of the journal's frames are of a kind that this version does not know", n)
	}
	return text
}

func events(n uint64) string {
	if n == 1 {
		return "1 event"
	}
	return fmt.Sprintf("%d events", n)
}

// maybeRan tells whether there may have been a command. What was cut off the
// journal may have held its start.
func (rc *recovery) maybeRan() bool {
	return rc.starting != nil || rc.received > 0 || rc.contents.Cut != nil
}

// gaps are what was lost with the recorder.
func (rc *recovery) gaps(left leftovers) []receipt.Gap {
	var gaps []receipt.Gap
	gap := func(kind, detail string) {
		gaps = append(gaps, receipt.Gap{Kind: kind, Detail: detail, Count: 1})
	}
	if !rc.maybeRan() {
		return nil
	}
	// A recorder that lived to its run's end has missed nothing by then.
	if rc.abandoned == nil && (rc.started == nil || rc.started.PID != 0) {
		gap(receipt.GapUnobserved, fmt.Sprintf("what the command did after %s was not observed, nor was all of what it did just before", receipt.At(rc.until)))
		gap(receipt.GapUnobserved, left.fate)
	}
	for _, note := range left.notes {
		gap(receipt.GapUnobserved, note)
	}
	if rc.sums == nil {
		gap(receipt.GapRecorder, "counts of system calls, bytes on sockets and losses were lost with the recorder: zeros there are not measured")
	} else {
		gap(receipt.GapRecorder, fmt.Sprintf("counts of system calls, bytes on sockets and losses are those of %s", receipt.At(rc.sumsAt)))
	}
	gap(receipt.GapRecorder, "counts of repeats that were folded were lost with the recorder: counts of opens, failures and attempts, and bytes of files, are the least that they can be")
	if rc.open.Masked {
		gap(receipt.GapRedaction, "secrets in arguments, if there were any, had stars put in their place before they were written down: there is no commitment to them")
	}
	gap(receipt.GapRecorder, "size and hashes of the command's output were lost with the recorder")
	if rc.open.Guest != 0 {
		gap(receipt.GapRecorder, "what the host knew of the virtual machine was lost with the recorder, and what its proxy was asked for, if it had one")
	}
	return gaps
}
