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
	Emitted uint64

	calls         map[string]*audit.SyscallCount
	doubts        map[string]uint64
	folded        uint64
	sent          uint64
	received      uint64
	interrupted   uint64
	anonymousExec uint64
	descriptors   uint64
	rawSockets    uint64
	sharedArgs    uint64
	rings         uint64
	filters       uint64
	exchangeable  uint64
	unread        uint64
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
		b.doubts = map[string]uint64{}
	}
	b.doubts[what]++
}

// summary is the books as the recorder wants them; what was received it counts
// itself.
func (b *books) summary() audit.Summary {
	s := audit.Summary{
		Mode: "ptrace", Emitted: b.Emitted, Lost: map[string]uint64{}, Folded: b.folded,
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
	gap(receipt.GapInterrupted, "calls that a signal broke off, to begin again or not", b.interrupted)
	gap(receipt.GapExecutableMemory, "memory was made executable that no file is behind, or that can be written to", b.anonymousExec)
	gap(receipt.GapDescriptors, "messages over unix sockets came with descriptors; whom received sockets reach is not told", b.descriptors)
	gap(receipt.GapRawSocket, "sockets that see packets meant for others", b.rawSockets)
	gap(receipt.GapRaced, "32-bit calls whose arguments lay in memory that others could write to", b.sharedArgs)
	gap(receipt.GapRaced, "reads and writes whose descriptor another thread could have exchanged before it was looked at", b.exchangeable)
	gap(receipt.GapAnswered, "seccomp filters were installed: calls that these answer in the kernel's place are not seen", b.filters)
	gap(receipt.GapIOUring, "rings were set up: what is done through them cannot be seen from here", b.rings)
	gap(receipt.GapNotRecorded, "recvmmsg: messages beyond those that were looked at", b.unread)
	return s
}
