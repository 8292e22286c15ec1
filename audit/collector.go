package audit

import (
	"context"
	"fmt"
	"time"
)

// Sink takes events, one at a time, in the order of the ring. The event is
// the sink's to keep.
type Sink func(Event)

// Collector watches one run. It is used once: Attach, Launch, Stop.
type Collector interface {
	// Attach makes everything ready to record and starts the delivery of
	// events to sink, from one goroutine. The error is an *UnavailableError
	// where this machine or this user does not allow observation.
	Attach(ctx context.Context, sink Sink) error

	// Launch calls start on an OS thread whose new child processes are
	// recorded from their first exec on, and with them all they create.
	Launch(start func() error) error

	// Alive returns the recorded processes that have not exited.
	Alive() ([]ProcessID, error)

	// Stop detaches, delivers what is still in the ring, and tells what was
	// counted. No event is delivered after it. Safe without Attach and twice.
	Stop(ctx context.Context) (Summary, error)
}

// UnavailableError says why a collector cannot watch here, and the remedy.
type UnavailableError struct {
	Reason string // one lowercase line
	Hint   string // what would help; "" if nothing is known to
	Err    error  // may be nil
}

func (e *UnavailableError) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return fmt.Sprintf("%s: %v", e.Reason, e.Err)
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// Summary is what a collector counted.
type Summary struct {
	Mode     string // ebpf, ptrace, none
	Emitted  uint64 // made in the kernel, lost ones included
	Received uint64 // delivered to the sink
	Lost     map[string]uint64
	Folded   uint64 // repeats that were counted in the kernel instead of sent
	// Missing is the number of holes in the sequence numbers; it equals the
	// sum of Lost where the books balance.
	Missing  uint64
	Hooks    []Hook
	Syscalls []SyscallCount
	Gaps     []Gap
	// Holds is how often the run was held up for the collector to catch up,
	// and Held for how long in all.
	Holds uint64
	Held  time.Duration
	// Alive are the processes that had not exited when the recording ended.
	Alive []ProcessID
	// Doubts are reasons to call the recording incomplete though the books
	// balance, such as a table that could not be read.
	Doubts []string
	// Sent and Received bytes on all sockets but unix.
	BytesSent, BytesReceived uint64
}

// Hook is one attachment point.
type Hook struct {
	Name     string
	Attached bool
	Err      string // why not; "" if attached
}

// SyscallCount counts the calls of one name. A name of the 32-bit table
// counts together with the 64-bit call of the same name.
type SyscallCount struct {
	Name   string
	Count  uint64
	Denied bool // at least one ended in EPERM or EACCES
}

// Gap is something that could not be seen.
type Gap struct {
	Kind   string // one of the constants receipt.Gap...
	Detail string
	Count  uint64
}

// HookLister is implemented by collectors that can tell, between Attach and
// Stop, which hooks are attached. A strict run asks it before it starts.
type HookLister interface {
	Hooks() []Hook
}

// RawSource is implemented by collectors that take their events from records
// in the form that Decoder reads, so that these can be kept and decoded again.
type RawSource interface {
	// TapRecords has tap called with each record, before it is decoded and
	// from the goroutine that delivers events. The bytes are the collector's
	// again when tap returns. To be called before Attach.
	TapRecords(tap func(record []byte))

	// Layout names the form of the records. Only who has the same one can
	// decode them.
	Layout() string
}

// GapLister is implemented by collectors that know after Launch what they will not
// see of the run, whatever it does. Stop and Sample tell of it as well.
type GapLister interface {
	Gaps() []Gap
}

// Sampler is implemented by collectors that can tell, between Attach and Stop,
// what they have counted so far: Emitted, Lost, Folded, Syscalls, Gaps, BytesSent
// and BytesReceived of a Summary.
type Sampler interface {
	Sample() (Summary, error)
}

// ExecStopper is implemented by collectors whose Launch needs a start that leaves
// the command stopped behind its exec, traced by the thread that Launch calls it
// on.
type ExecStopper interface {
	StopsAtExec() bool // between Attach and Launch

	// Stopped tells from within start which process stands there.
	Stopped(pid int)
}

// Moder is implemented by collectors that are not ebpf.
type Moder interface {
	Mode() string // as in Summary, between Attach and Stop
}
