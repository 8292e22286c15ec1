//go:build linux && (amd64 || arm64)

package ebpf

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"

	"glasshouse/audit"
	"glasshouse/receipt"
)

// The layouts below are those of bpf/state.h and bpf/event.h; checkObject
// compares them with the object's own types.

// streams is STREAMS.
const streams = 3

type counters struct {
	Emitted, RingFull   [streams]uint64
	MapFull             uint64
	ScratchBusy, Folded uint64
	Sent, Received      uint64
	Interrupted         uint64
	Answered            uint64
	AnonymousExec       uint64
	Descriptors         uint64
	RawSockets          uint64
	UnreadMessages      uint64
	SharedArgs          uint64
}

type mark struct {
	Start, ParentStart             uint64
	PID, ParentPID, Armed, Borrows uint32
	Shares                         uint32
	_                              uint32
	BorrowedRSS, ExitRSS           uint64
}

type callCount struct{ Count, Denied uint64 }

// countsInOne is COUNTS_IN_ONE.
const countsInOne = 256

type callCounts [countsInOne]callCount

type uringCount struct{ Begun, Refused, Unseen uint64 }

// uringCounts is by opcode.
type uringCounts [256]uringCount

// request is an operation of io_uring that has not ended.
type request struct {
	Ctx, UserData, Begun uint64
	Args                 [6]uint64
	TGID                 uint32
	Opcode, Told         uint16
	Names                flight
}

type flight struct {
	Dentry, Mnt            [2]uint64
	LongNames, What, Hash  uint64 // What is one of several, by the kind of call
	Followup, First, Index uint32
	Len, Flags             [2]uint16
	_                      uint32
	Names                  [256]byte
}

type fold struct {
	Key                           [2]uint64
	ID, Count, Moves, Bytes, Last uint64
	_                             uint64
}

// totals are the counters of each possible CPU.
type totals []counters

func (p *probes) totals() (totals, error) {
	var t totals
	if err := p.Counters.Lookup(uint32(0), (*[]counters)(&t)); err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	return t, nil
}

func (t totals) emitted() (n uint64) {
	for _, c := range t {
		for _, emitted := range c.Emitted {
			n += emitted
		}
	}
	return n
}

// settle returns the counters once they stand still: a program that was under
// way when it was detached still ends.
func (p *probes) settle() (totals, error) {
	t, err := p.totals()
	for range 100 {
		if err != nil {
			return nil, err
		}
		time.Sleep(time.Millisecond)
		var again totals
		again, err = p.totals()
		if err == nil && again.emitted() == t.emitted() {
			return again, nil
		}
		t = again
	}
	return t, err
}

// summary adds up the counters, and compares them with what the decoder saw.
func (t totals) summary(d *audit.Decoder) audit.Summary {
	s := t.sums()
	s.Missing = d.Missing()
	for cpu, c := range t {
		for i := range c.Emitted {
			if next := d.Next(uint16(cpu*streams + i)); c.Emitted[i] > next {
				s.Missing += c.Emitted[i] - next
			}
		}
	}
	return s
}

// sums adds up the counters of all CPUs.
func (t totals) sums() audit.Summary {
	s := audit.Summary{Mode: "ebpf", Emitted: t.emitted(), Lost: make(map[string]uint64)}
	var counted audit.Counted
	var answered uint64
	for _, c := range t {
		for i := range c.Emitted {
			lose(&s, "ring_full", c.RingFull[i])
		}
		lose(&s, "map_full", c.MapFull)
		lose(&s, "scratch_busy", c.ScratchBusy)
		s.Folded += c.Folded
		s.BytesSent += c.Sent
		s.BytesReceived += c.Received
		counted.AnonymousExec += c.AnonymousExec
		counted.RawSockets += c.RawSockets
		counted.Descriptors += c.Descriptors
		counted.Interrupted += c.Interrupted
		counted.Unread += c.UnreadMessages
		counted.SharedArgs += c.SharedArgs
		answered += c.Answered
	}
	if n := s.Lost["map_full"]; n > 0 {
		s.Gaps = append(s.Gaps, audit.Gap{
			Kind: receipt.GapMapFull, Count: n,
			Detail: "a table in the kernel was full: a process that had no place in it, and all that it started, was not recorded; or a call; or the outcome of a connection; or that a thread replaced the descriptor of a call",
		})
	}
	if answered > 0 {
		s.Gaps = append(s.Gaps, audit.Gap{
			Kind: receipt.GapAnswered, Count: answered,
			Detail: "calls that a seccomp filter or a tracer answered in the kernel's place: their callers were told that they were done, and they did not take place; or calls that were under way when the filter or tracer came, and did",
		})
	}
	s.Gaps = append(s.Gaps, counted.Gaps()...)
	return s
}

func lose(s *audit.Summary, reason string, n uint64) {
	if n > 0 {
		s.Lost[reason] += n
	}
}

// recursionMisses counts how often a program was not run because it was
// running on that CPU already. Not every kernel counts that for every program.
// Of stateHooks one is missed only while the other runs.
func (p *probes) recursionMisses() (n uint64, err error) {
	for _, h := range p.order() {
		if slices.Contains(stateHooks, h.program) {
			continue
		}
		stats, statErr := h.prog.Stats()
		if statErr != nil {
			err = errors.Join(err, fmt.Errorf("read statistics of %s: %w", h.program, statErr))
			continue
		}
		n += stats.RecursionMisses
	}
	return n, err
}

func (p *probes) alive() ([]audit.ProcessID, error) {
	var ids []audit.ProcessID
	err := each(p.Marks, func(_ uint32, m mark) {
		if m.Armed == 0 {
			ids = append(ids, audit.ProcessID{PID: int32(m.PID), Start: m.Start})
		}
	})
	return ids, err
}

// eachFold calls f for each event that was seen again.
func (p *probes) eachFold(f func(*audit.Repeat)) error {
	memory, err := p.Folds.Memory()
	if err != nil {
		return fmt.Errorf("read map %s: %w", p.Folds, err)
	}
	var v fold
	b := unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v))
	for at := int64(0); at < int64(p.Folds.MaxEntries())*int64(len(b)); at += int64(len(b)) {
		if _, err := memory.ReadAt(b, at); err != nil {
			return fmt.Errorf("read map %s: %w", p.Folds, err)
		}
		if v.Count > 0 {
			f(&audit.Repeat{ID: audit.RepeatID(v.ID), Count: v.Count, Bytes: v.Bytes, Latest: v.Last})
		}
	}
	return nil
}

func (p *probes) callCounts() ([]audit.SyscallCount, error) {
	byName := make(map[string]audit.SyscallCount)
	err := each(p.CallCounts, func(which uint32, perCPU []callCounts) {
		for i := range countsInOne {
			var n callCount
			for _, c := range perCPU {
				n.Count += c[i].Count
				n.Denied += c[i].Denied
			}
			if n.Count == 0 {
				continue
			}
			name := callName(int(which)*countsInOne + i)
			sum := byName[name]
			sum.Name = name
			sum.Count += n.Count
			sum.Denied = sum.Denied || n.Denied > 0
			byName[name] = sum
		}
	})
	out := make([]audit.SyscallCount, 0, len(byName))
	for _, c := range byName {
		out = append(out, c)
	}
	return out, err
}

// each calls f for the entries of a map. A hash map may change meanwhile; the
// look-up then starts again, at most as often as cilium/ebpf allows.
func each[K, V any](m *ebpf.Map, f func(K, V)) error {
	var k K
	var v V
	it := m.Iterate()
	for it.Next(&k, &v) {
		f(k, v)
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read map %s: %w", m, err)
	}
	return nil
}
