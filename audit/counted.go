package audit

import "glasshouse/receipt"

// Counted is what collectors count of that which leaves no event.
type Counted struct {
	AnonymousExec uint64 // memory made executable
	RawSockets    uint64
	Descriptors   uint64 // messages that brought some from outside of the run
	Interrupted   uint64 // calls, by signals
	Unread        uint64 // messages of recvmmsg
	SharedArgs    uint64 // 32-bit calls whose arguments others could write to
}

// Gaps are what a receipt says of it.
func (c *Counted) Gaps() []Gap {
	all := []Gap{
		{receipt.GapExecutableMemory, "memory that no file is behind was made executable, or memory was by mprotect: what ran there is not known", c.AnonymousExec},
		{receipt.GapInterrupted, "calls broken off by a signal; those that the kernel began again are recorded, those that ended in EINTR are not", c.Interrupted},
		{receipt.GapNotRecorded, "recvmmsg: messages that came by one call with more than 4,096 others", c.Unread},
		{receipt.GapRaced, "32-bit calls whose arguments lay in memory that others could write to: the kernel may have read other ones", c.SharedArgs},
		{receipt.GapDescriptors, "messages brought descriptors from processes outside of the run: files behind them are recorded when they are used, connections that others made are in no attempt", c.Descriptors},
		{receipt.GapRawSocket, "raw or packet sockets were made; they need no address to receive, and write the headers of what they send themselves", c.RawSockets},
	}
	return counted(all)
}

// counted leaves out the gaps that there are none of.
func counted(all []Gap) []Gap {
	var some []Gap
	for _, g := range all {
		if g.Count > 0 {
			some = append(some, g)
		}
	}
	return some
}
