//go:build linux && (amd64 || arm64)

package ptrace

import (
	"maps"
	"slices"

	"glasshouse/audit"
	"glasshouse/receipt"
)

// books is what a tracer counts.
type books struct {
	emitted  uint64
	calls    map[string]*audit.SyscallCount
	doubts   map[string]bool
	folded   uint64
	sent     uint64
	received uint64
	audit.Counted
	rings        uint64
	filters      uint64
	exchangeable uint64
	repeatable   uint64 // connections that a further connect could tell anew
	blind        uint64 // calls of processes that could not be looked into
	strict       uint64 // calls for seccomp's strict mode
	addresses    uint64 // that could not be read
	unasked      uint64 // of a process of the run: see tracer.served
}

func (b *books) count(name string, denied bool) {
	c := b.calls[name]
	if c == nil {
		c = &audit.SyscallCount{Name: name}
		if b.calls == nil {
			b.calls = map[string]*audit.SyscallCount{}
		}
		b.calls[name] = c
	}
	c.Count++
	c.Denied = c.Denied || denied
}

func (b *books) doubt(what string) {
	if b.doubts == nil {
		b.doubts = map[string]bool{}
	}
	b.doubts[what] = true
}

// summary is the books as the recorder wants them; what was received it counts
// itself.
func (b *books) summary() audit.Summary {
	s := audit.Summary{
		Mode: "ptrace", Emitted: b.emitted, Lost: map[string]uint64{}, Folded: b.folded,
		BytesSent: b.sent, BytesReceived: b.received,
	}
	for _, name := range slices.Sorted(maps.Keys(b.calls)) {
		s.Syscalls = append(s.Syscalls, *b.calls[name])
	}
	s.Doubts = slices.Sorted(maps.Keys(b.doubts))
	gap := func(kind, detail string, n uint64) {
		if n > 0 {
			s.Gaps = append(s.Gaps, audit.Gap{Kind: kind, Detail: detail, Count: n})
		}
	}
	gap(receipt.GapRaced, "reads and writes whose descriptor another thread could have exchanged before it was looked at", b.exchangeable)
	gap(receipt.GapRaced, "connections that were made while nobody waited: a further connect of the same socket would be told as another attempt", b.repeatable)
	gap(receipt.GapServed, "a process of the run served a file system, which can only be asked while that is not held: whether an open made a file, what a script's interpreter is, and where a unix socket's name leads, was not looked up", b.unasked)
	gap(receipt.GapAnswered, "seccomp filters were installed: calls that these answer in the kernel's place are not seen", b.filters)
	gap(receipt.GapIOUring, "rings were set up: what is done through them cannot be seen from here", b.rings)
	gap(receipt.GapPtrace, "calls of processes that a tracer without root's rights may not look into, for they asked not to be dumped or their program cannot be read: only counted", b.blind)
	gap(receipt.GapPtrace, "seccomp's strict mode was refused, which a process with a filter cannot have", b.strict)
	gap(receipt.GapNotRecorded, "addresses of connections and messages that lay in memory which nobody else can read", b.addresses)
	s.Gaps = append(s.Gaps, b.Gaps()...)
	return s
}
