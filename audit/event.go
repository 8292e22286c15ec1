// Package audit turns what a collector saw into what a receipt says: the
// event types, the decoder of the ring's bytes, the Collector interface and
// the aggregator, a fold over events that does no I/O.
package audit

import "net/netip"

// ProcessID names a process for the length of a machine's boot: process
// numbers are reused, so the start time is part of the name.
type ProcessID struct {
	PID   int32  // thread group id, as the recorder's PID namespace numbers it
	Start uint64 // ns since boot, of the thread group's leader
}

// Header is common to all events. Process is who did it.
type Header struct {
	Seq     uint64 // counts up by one for each event of one CPU, from 0
	CPU     uint16
	Time    uint64 // ns since boot
	Process ProcessID
	TID     int32
}

// Event is one of the types below, always by pointer.
type Event interface{ Head() *Header }

// Head makes every type that embeds a Header an Event.
func (h *Header) Head() *Header { return h }

// Fork is a new process (never a thread). Header.Process created it.
type Fork struct {
	Header
	Child    ProcessID
	UID, GID uint32
}

// Exec is a new image that has been loaded.
type Exec struct {
	Header
	Parent     ProcessID // who forked this process; zero Start if unknown
	UID, GID   uint32    // effective, after the exec
	Exe        Path      // the kernel's path of the image
	WorkingDir Path
	Requested  string   // what execve was given, as the kernel keeps it in linux_binprm
	Interp     string   // the interpreter that a #! line named; "" if there was none
	Argv       []string // of the new image
	Truncated  bool     // argv was cut, or a part of it could not be read
	NoArgv     bool     // argv capture was off
}

// ExecFailed is an execve or execveat that returned an error.
type ExecFailed struct {
	Header
	Errno     int32 // positive
	Launch    bool  // the recorder's own attempt to start the command: the process was never the command
	Path      Target
	Argv      []string
	Truncated bool
}

// Exit is the end of a process, after its last thread.
type Exit struct {
	Header
	Status                int32  // as wait(2) reports it
	CPUTime               uint64 // ns, user and system, all threads
	MaxRSS                uint64 // KiB
	ReadBytes, WriteBytes uint64 // from and to storage (task_io_accounting)
}

// RepeatID names an event that later Repeat events may count again; 0 is none:
// an event without one is never repeated.
type RepeatID uint64

// Open is a successful open, openat, openat2 or creat.
type Open struct {
	Header
	ID        RepeatID
	Path      Path   // where the opened file is
	Raced     bool   // another thread may have put this file in the place of the one opened
	Requested string // what the caller passed; "" if it could not be read
	Mode      OpenMode
	Kind      FileKind
	Inode     uint64 // its number in its file system; 0 if unknown
}

// OpenMode tells what the file was opened for, from the kernel's f_mode.
type OpenMode struct {
	Read, Write bool
	Created     bool // the call made the file
	Truncated   bool // O_TRUNC
	PathOnly    bool // O_PATH: neither read nor written
}

// FileKind is the inode's type.
type FileKind string

// The kinds of files.
const (
	KindFile    FileKind = "file"
	KindDir     FileKind = "dir"
	KindSymlink FileKind = "symlink"
	KindFIFO    FileKind = "fifo"
	KindSocket  FileKind = "socket"
	KindDevice  FileKind = "device"
	KindOther   FileKind = ""
)

// FileOp is a system call on names, or on an open file, that leaves no object
// to look at or changes one: see the operations below; or any of these, or an
// open or the bind of a unix socket, that failed.
type FileOp struct {
	Header
	ID    RepeatID // failures repeat too
	Op    string   // "open", "unlink", "mkdir" and so on, see opNames
	Errno int32    // 0 for success, else positive
	// Path is what the operation was on: the new name of a mkdir, mknod or
	// symlink, the old one of a rename or link, the mount point.
	Path Target
	// To is the second name: where a rename or a link led, what a symlink
	// says, what was mounted, where a moved mount was before.
	To Target
	// Exchange is set for RENAME_EXCHANGE: both names stay, swapped.
	Exchange bool
	// Whiteout is set for RENAME_WHITEOUT: a device takes the old name.
	Whiteout bool
	// KeepSize is set for a fallocate that changes the content alone.
	KeepSize bool
	Kind     FileKind // of what mknod made
}

// FileIO is bytes that went from or to a file through a descriptor: one of Read
// and Written is 0. Repeats add to the other.
type FileIO struct {
	Header
	ID            RepeatID
	Path          Path
	Kind          FileKind
	Raced         bool // another thread put another file in its place during the call
	Inode         uint64
	Read, Written uint64
}

// Mapping is a file that was mapped to be run, or so that its bytes can be
// changed in memory.
type Mapping struct {
	Header
	ID           RepeatID
	Path         Path
	Exec, Shared bool
	Raced        bool // another thread put another file in its place during the call
	Inode        uint64
}

// Repeat says that an event was seen Count more times, which may be none,
// moving that many bytes, the way in which the event did.
type Repeat struct {
	Header
	ID     RepeatID
	Count  uint64
	Bytes  uint64
	Latest uint64 // of writes, when the last was, in ns since boot; else 0
	Last   bool   // no repeat of that event follows
}

// Connect is an attempt to reach a peer: connect(2), or the first datagram
// to an address.
type Connect struct {
	Header
	ID       RepeatID
	Socket   uint64 // joins a later ConnectDone to this attempt; 0 if there will be none
	Protocol string // "tcp", "udp", "mptcp", "unix", else the protocol's number as "ip/132"
	Dst      string // "ip:port", "[ip]:port", "unix:/path", "unix:@abstract"
	Result   string // see the Result constants
	Errno    int32
	Raced    bool // another thread changed the descriptor during the call
	Shared   bool // Dst is what was passed, from memory that others could write to meanwhile
	OtherNS  bool // Dst is a path of another mount namespace than the recorder's
	Own      bool // over a unix socket, to a process of the run
}

// ConnectDone is the outcome of an attempt that was in progress.
type ConnectDone struct {
	Header
	Socket uint64
	Result string
	Errno  int32
}

// Bind is an address that a unix or UDP socket took with bind(2).
type Bind struct {
	Header
	Socket   uint64 // joins a later Client to it; 0 if there will be none
	Protocol string // as in Connect
	Addr     string // as Connect's Dst
	Awaits   bool   // datagrams from now on; a stream has yet to listen
	File     Path   // that was made for a unix socket; "" for an abstract name
}

// Client says that a socket which Bind told of, bound to an address of the
// kernel's choice, sent something or got a peer before anything came: it
// awaits answers alone.
type Client struct {
	Header
	Socket uint64
}

// Listen is a listen(2) that succeeded.
type Listen struct {
	Header
	Protocol string // as in Connect
	Addr     string // as Connect's Dst
	Raced    bool   // another thread changed the descriptor; Addr is "" then
	OtherNS  bool   // as in Connect
}

// Accept is a connection that was accepted.
type Accept struct {
	Header
	Protocol string // as in Connect
	Src      string // the peer; "unix:" if that has no name
	Addr     string // the address listened on
	Raced    bool   // another thread may have changed the new descriptor; Addr is "" if it was gone
	OtherNS  bool   // as in Connect
}

// DNS is a message that was sent to port 53, or came from there.
type DNS struct {
	Header
	Socket    uint64
	Server    string // "ip:port"
	Answer    bool
	ID        uint16 // joins an answer to its question
	Questions []DNSQuestion
	Addrs     []netip.Addr // of an answer: what the name asked for leads to, by way of its aliases
	Unread    bool         // it is no DNS message, or not whole; what could be read of it is here
}

// DNSQuestion is what a name server is asked for.
type DNSQuestion struct {
	Name string // as it was asked, without the last dot; "." is the root
	Type string // "A", "AAAA", else as "TYPE4711"
}

// The outcomes of an attempt, as the receipt names them.
const (
	ResultConnected   = "connected"
	ResultRefused     = "refused"
	ResultTimeout     = "timeout"
	ResultUnreachable = "unreachable"
	ResultReset       = "reset"
	ResultInProgress  = "in_progress"
	ResultSent        = "sent"
	ResultDenied      = "denied"
	ResultFailed      = "failed"
)

// Path is a path as the kernel has it.
type Path struct {
	Name    string // absolute, raw bytes; or "pipe:[1]", "memfd:name" where the file is in no tree
	Cut     bool   // longer than could be walked
	Deleted bool   // the name was already gone
	OtherNS bool   // in another mount namespace than the recorder's, where it may be another file
	Root    string // of a Target's base: the root of the process, which ".." does not leave; "" is "/"
}

// Target is a path of which only a name was left: the kernel's base (working
// directory, dirfd or root) and the string that the process passed. Where the
// kernel showed the file itself the string is what it was asked for by.
type Target struct {
	Base      Path
	Requested string
	Cut       bool // the string could not be read, or not whole
	Raced     bool // another thread changed the base, or may have changed the string, during the call
	Shared    bool // others could write to the string's memory while the kernel read it
	Found     bool // the base is the file itself, whatever it was called by
}

// Kernel tells that no string was involved: the base is the file itself.
func (t Target) Kernel() bool { return t.Found || t.Requested == "" && !t.Cut }
