package runner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"glasshouse/audit"
	"glasshouse/backend"
	"glasshouse/journal"
	"glasshouse/receipt"
)

// openJournal writes down what is known of the run before there is a command.
// That there is no journal is no failure of the run: the command comes first.
func (r *run) openJournal() {
	j := r.spec.Journal
	if j == nil {
		return
	}
	rec := r.draft()
	argv := r.masked(r.spec.Argv)
	rec.Command.Argv = slices.Clone(argv)
	rec.Command.Exe, rec.Command.WorkingDir = r.maskedText(rec.Command.Exe), r.maskedText(rec.Command.WorkingDir)
	finish(rec, nil, r.started, r.pid)
	draft, err := json.Marshal(rec)
	if err != nil {
		r.noJournal(err)
		return
	}
	open := journal.Open{
		Version:  r.spec.Version,
		PageSize: os.Getpagesize(),
		BootTime: r.boot,
		Masked:   r.spec.Mask != nil,
		Receipt:  draft,
	}
	if m := r.machine; m != nil {
		open.PageSize, open.Guest = m.PageSize, m.Recorder
	}
	if g, ok := r.spec.Backend.(backend.Grouped); ok {
		open.Cgroup = journal.Text(g.Cgroup())
	}
	if slices.ContainsFunc(argv, func(arg string) bool { return !receipt.IsText(arg) }) {
		for _, arg := range argv {
			open.Argv = append(open.Argv, journal.Text(arg))
		}
	}
	source, ok := r.spec.Collector.(audit.RawSource)
	if ok {
		open.Layout = source.Layout() // which is that of the others, too
	}
	if err := j.Open(open); err != nil {
		r.noJournal(err)
		return
	}
	r.journal = j
	switch {
	case ok:
		for _, c := range append([]audit.Collector{r.spec.Collector}, r.spec.Fallbacks...) {
			if s, ok := c.(audit.RawSource); ok {
				s.TapRecords(func(record []byte) { j.Record(r.maskedRecord(record)) })
			}
		}
	case r.spec.Collector != nil:
		r.gap(receipt.GapJournal, "this collector's events are not kept: a killed recorder would leave none")
	}
}

// masked is argv without secrets.
func (r *run) masked(argv []string) []string {
	if r.spec.Mask == nil {
		return argv
	}
	r.masking.Lock()
	defer r.masking.Unlock()
	return strings.Split(string(r.spec.Mask.Argv([]byte(strings.Join(argv, "\x00")))), "\x00")
}

// maskedText is text without the secrets that stood in arguments.
func (r *run) maskedText(text string) string {
	if r.spec.Mask == nil || text == "" {
		return text
	}
	r.masking.Lock()
	defer r.masking.Unlock()
	return string(r.spec.Mask.Bytes([]byte(text)))
}

// maskedRecord is a record of the collector's without the secrets that stand in
// its arguments, or stood in earlier ones.
func (r *run) maskedRecord(record []byte) []byte {
	if r.spec.Mask == nil {
		return record
	}
	r.masking.Lock()
	defer r.masking.Unlock()
	record = maskedPart(record, audit.ArgvOf, r.spec.Mask.Argv)
	return maskedPart(record, audit.TextOf, r.spec.Mask.Bytes)
}

// maskedPart is record, or a copy if there is something to mask in that part.
func maskedPart(record []byte, part, mask func([]byte) []byte) []byte {
	was := part(record)
	if len(was) == 0 {
		return record
	}
	masked := mask(was)
	if &masked[0] == &was[0] {
		return record
	}
	record = bytes.Clone(record)
	copy(part(record), masked)
	return record
}

// awaitJournal returns when the open record is on the disk.
func (r *run) awaitJournal() {
	if r.journal == nil {
		return
	}
	if err := r.journal.Synced(); err != nil {
		r.noJournal(err)
	}
}

func (r *run) noJournal(err error) {
	r.gap(receipt.GapJournal, "a killed recorder would have left nothing: "+err.Error())
	if f := r.spec.JournalFailed; f != nil {
		f(err)
	}
}

// noteStarting is the last before the command may exist.
func (r *run) noteStarting() {
	if r.journal == nil {
		return
	}
	s := journal.Starting{Mode: r.mode(), Reason: r.blind}
	if r.attached {
		s.Gaps = r.gapsOf(append(sameUser(r.command(), r.spec.Backend.Metadata().Isolation), r.gaps...))
		if l, ok := r.spec.Collector.(audit.HookLister); ok {
			for _, h := range l.Hooks() {
				s.Hooks = append(s.Hooks, journal.Hook{Name: h.Name, Attached: h.Attached, Error: h.Err})
			}
		}
	}
	r.journal.Append(journal.KindStarting, s)
}

func (r *run) noteStarted() {
	if r.journal == nil {
		return
	}
	s := journal.Started{At: r.started, PID: r.pid, Error: r.errorText()}
	if r.pid != 0 {
		s.Gaps = r.gapsOf(r.cgroupGap())
	}
	if l, ok := r.spec.Collector.(audit.GapLister); ok && r.attached {
		for _, g := range l.Gaps() {
			s.Blind = append(s.Blind, journal.Gap(g))
		}
	}
	r.journal.Append(journal.KindStarted, s)
}

// gapsOf are gaps as the journal may say them.
func (r *run) gapsOf(gaps []receipt.Gap) (out []journal.Gap) {
	for _, g := range gaps {
		g.Detail = r.maskedText(g.Detail)
		out = append(out, journal.Gap(g))
	}
	return out
}

func (r *run) noteExited() {
	if r.journal == nil {
		return
	}
	r.journal.Append(journal.KindExited, journal.Exited{
		At: r.ended, Code: r.exit.Code, Signal: r.exit.Signal, Error: r.errorText(),
	})
}

// errorText is what became of the run, as the journal may say it.
func (r *run) errorText() string {
	if err := r.err(); err != nil {
		return r.maskedText(err.Error())
	}
	return ""
}

// closeRecords writes down the last counts, and says in the receipt what the
// journal could not hold.
func (r *run) closeRecords() {
	if r.journal == nil {
		return
	}
	if r.attached && r.pid != 0 {
		r.journal.Append(journal.KindSums, sums(r.summary))
	}
	if err := r.journal.Err(); err != nil {
		r.gap(receipt.GapJournal, fmt.Sprintf("a killed recorder would have left a part of the events: %v", err))
	}
}

const (
	// samplePause is how old a sample of the counters can be at first; in a
	// longer run it is a sampleShare of the run's age, for a sample is neither
	// small nor free (some ms).
	samplePause = time.Second
	sampleShare = 20
)

// sample writes the collector's counters into the journal from time to time,
// until the returned function is called: they die with the recorder.
func (r *run) sample() (stop func()) {
	sampler, ok := r.spec.Collector.(audit.Sampler)
	if r.journal == nil || !r.attached || !ok {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-time.After(max(samplePause, time.Since(r.started)/sampleShare)):
			}
			if s, err := sampler.Sample(); err == nil {
				r.journal.Append(journal.KindSums, sums(s))
			}
		}
	}()
	return func() { close(quit); <-done }
}

func sums(s audit.Summary) journal.Sums {
	out := journal.Sums{
		Emitted: s.Emitted, Lost: s.Lost, Folded: s.Folded,
		BytesSent: s.BytesSent, BytesReceived: s.BytesReceived,
	}
	for _, c := range s.Syscalls {
		out.Syscalls = append(out.Syscalls, journal.Syscall(c))
	}
	for _, g := range s.Gaps {
		out.Gaps = append(out.Gaps, journal.Gap(g))
	}
	return out
}
