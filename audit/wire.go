package audit

import "unsafe"

// The records of the ring. ebpf/bpf/event.h is where they are made; a test in
// package ebpf compares every size and offset with the objects' own types.

// WireHead begins every record.
type WireHead struct {
	Seq    uint64
	Time   uint64
	Start  uint64
	PID    uint32
	TID    uint32
	Stream uint16
	Type   uint8
	Op     uint8
	Err    int32
	Seg    [RecordSegments]WireSegment
	Again  WireAgain
	Body   [6]uint64 // one of the Wire bodies below, by Type
}

const RecordSegments = 5

// WireAgain closes the count of an earlier event: how often that was seen since
// it was told, which may be never, moving how many bytes; of writes also when the
// last was, in ns since boot. The record's own event has taken its place among
// those that are counted.
type WireAgain struct{ ID, Count, Bytes, Last uint64 }

// WireSegment describes one of the runs of bytes behind the head.
type WireSegment struct {
	Len   uint16
	Flags uint16
	Root  uint16 // of a base directory: the bytes up to the process's root
	Pad   uint16
}

// WireFork is the body of a Fork.
type WireFork struct {
	Start         uint64
	PID, UID, GID uint32
}

// WireExec is the body of an Exec.
type WireExec struct {
	ParentStart         uint64
	ParentPID, UID, GID uint32
	ArgvLen             uint32
}

// WireArgv is the body of a further part of an Exec's argv.
type WireArgv struct {
	Offset, ArgvLen uint32
}

// WireExit is the body of an Exit.
type WireExit struct {
	CPU                   uint64
	MaxRSS                uint64 // pages
	ReadBytes, WriteBytes uint64
	Status                int32
}

// WireFile is the body of an Open or a FileOp.
type WireFile struct {
	Ino       uint64
	FMode     uint32
	FFlags    uint32
	IMode     uint32
	CallFlags uint32
}

// WireIO is the body of a FileIO.
type WireIO struct {
	Ino           uint64
	Read, Written uint64 // bytes
	IMode         uint32
}

// WireNet is the body of a Connect, a ConnectDone, a Listen or a DNS message.
type WireNet struct {
	Sock     uint64
	Addr     [16]byte
	Scope    uint32
	Family   uint16
	Type     uint16
	Protocol uint16
	Port     uint16
	State    uint8
	Own      uint8  // a unix peer that a recorded process listens at
	Size     uint32 // of a DNS message, with what was cut
}

// WireAccept is the body of an Accept.
type WireAccept struct {
	Addr     [16]byte // of the peer
	Own      [16]byte
	Scope    uint32
	Family   uint16
	Type     uint16
	Protocol uint16
	Port     uint16
	OwnPort  uint16
}

// The values of WireHead.Type.
const (
	RecordFork = iota + 1
	RecordExec
	RecordArgv
	RecordExecFailed
	RecordExit
	RecordOpen
	RecordFileOp
	RecordConnect
	RecordConnectDone
	RecordFileIO
	RecordMap
	RecordListen
	RecordAccept
	RecordDNS
	// RecordAgain has no event of its own, but closes the count of an earlier one.
	// Only collectors in user space make it.
	RecordAgain
)

// Op is what a system call is to the recorder: WireHead.Op, and the kernel
// side's table of calls.
type Op uint8

// The operations, as in enum op of event.h.
const (
	OpNone Op = iota
	OpOpen
	OpExec
	OpUnlink
	OpRmdir
	OpRename
	OpConnect
	OpSendto
	OpSendmsg
	OpMove
	OpSendmmsg
	OpRecvmmsg
	OpMmap
	OpFork
	OpNoReturn
	OpMkdir
	OpMknod
	OpSymlink
	OpLink
	OpTruncate
	OpChmod
	OpChown
	OpUtimes
	OpXattr
	OpMount
	OpUmount
	OpMoveMount
	OpSetMount
	OpPivotRoot
	OpMprotect
	OpSocket
	OpBind
	OpListen
	OpAccept
	OpRecvfrom
	OpRecvmsg
	OpFallocate
	OpShare
	OpClose
	OpFlags
	OpIoctl
)

// The bits of WireFile.CallFlags in the record of a mapping.
const (
	MappedExec = 1 << iota
	MappedShared
)

// The bits of WireSegment.Flags.
const (
	SegCut = 1 << iota
	SegUnreadable
	SegDeleted
	SegDetached
	SegRaced
	SegLate
	SegShared
	SegOtherNS
	SegNone
	SegFound
)

// NoRoot is WireSegment.Root where the walk did not pass the process's root.
const NoRoot = 0xffff

// argvNotCaptured is WireExec.ArgvLen where argv capture was off.
const argvNotCaptured = 0xffffffff

// wireArgvMax bounds what the decoder holds of one argv. The kernel's limit
// is a quarter of the stack limit, and the programs stop at 8 MiB.
const wireArgvMax = 8 << 20

// read copies the first bytes of b into a value of the same layout; b is
// known to be long enough. T holds no pointers.
func read[T any](b []byte) T {
	var v T
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v)), b)
	return v
}

func body[T any](h *WireHead) T {
	return read[T](unsafe.Slice((*byte)(unsafe.Pointer(&h.Body)), unsafe.Sizeof(h.Body)))
}
