// Package receipt is the schema of a receipt: its types, reading, and
// deterministic writing. docs/RECEIPT.md says what every key means.
package receipt

// Version is what receipt_version says.
const Version = "v0.3"

// Receipt is what one run leaves. Fields stand in the order in which they
// are written. Lists are never nil in a receipt that was normalised or written.
type Receipt struct {
	ReceiptVersion string       `json:"receipt_version"`
	ExecutionID    string       `json:"execution_id"` // hex SHA-256 over timestamp, pid and argv
	Timestamp      Time         `json:"timestamp"`    // the start, UTC
	Command        Command      `json:"command"`
	Outcome        Outcome      `json:"outcome"`
	Timing         Timing       `json:"timing"`
	Execution      Execution    `json:"execution"`
	Observation    Observation  `json:"observation"`
	ProcessTree    []Process    `json:"process_tree"` // by start time, then pid
	ExecFailures   []ExecFail   `json:"exec_failures"`
	Filesystem     Filesystem   `json:"filesystem"`
	Network        Network      `json:"network"`
	Syscalls       Syscalls     `json:"syscalls"`
	Resources      Resources    `json:"resources"`
	Environment    Environment  `json:"environment"`
	Artifacts      Artifacts    `json:"artifacts"`
	Redactions     []Redaction  `json:"redactions"`  // what was replaced, by ID
	ExitCode       int          `json:"exit_code"`   // v0.2: outcome.exit_code
	DurationMS     int64        `json:"duration_ms"` // v0.2: timing.duration_ms
	Processes      []LegacyProc `json:"processes"`   // v0.2: process_tree in short
}

// Command is what was asked for.
type Command struct {
	Argv       []string `json:"argv"`
	Exe        string   `json:"exe"` // as resolved through PATH; "" if nothing was found
	WorkingDir string   `json:"working_dir"`
	UID        uint32   `json:"uid"`
	GID        uint32   `json:"gid"`
	User       string   `json:"user"` // "" if the system has no name for UID
}

// Outcome is how the command ended. ExitCode is 128+n after signal n.
type Outcome struct {
	ExitCode int     `json:"exit_code"`
	Signal   *string `json:"signal"`
	Error    *string `json:"error"`
}

// Timing is wall-clock and CPU time.
type Timing struct {
	DurationMS int64 `json:"duration_ms"`
	CPUTimeMS  int64 `json:"cpu_time_ms"`
	StartedAt  Time  `json:"started_at"`
	EndedAt    Time  `json:"ended_at"`
}

// Execution says where the command ran and where the receipt was made.
type Execution struct {
	Backend    string `json:"backend"`
	Isolation  string `json:"isolation"`
	Provenance string `json:"provenance"` // host or guest
	Guest      []Duty `json:"guest"`      // in the order in which they were taken on
	VM         *VM    `json:"vm,omitempty"`
}

// VM is what the host knows of a virtual machine by itself.
type VM struct {
	Monitor        string  `json:"monitor"` // path of the program
	MonitorVersion string  `json:"monitor_version"`
	Accelerator    string  `json:"accelerator"` // kvm or tcg
	BootMS         int64   `json:"boot_ms"`     // until the recorder inside called
	BytesToGuest   uint64  `json:"bytes_to_guest"`
	BytesFromGuest uint64  `json:"bytes_from_guest"`
	MonitorError   *string `json:"monitor_error"` // how it ended, if not with exit code 0
	Image          []Part  `json:"image"`

	Workspace *Workspace `json:"workspace,omitempty"`
	Proxy     *Proxy     `json:"proxy,omitempty"`
}

// Proxy is a virtual machine's only way out, and what was asked of it.
type Proxy struct {
	Allow    []string       `json:"allow"`    // whom it might reach
	Requests []ProxyRequest `json:"requests"` // in the order in which they came
	Omitted  uint64         `json:"omitted"`  // requests beyond these
}

// ProxyRequest is one.
type ProxyRequest struct {
	At            Time    `json:"at"`
	Kind          string  `json:"kind"` // connect or http
	Host          string  `json:"host"` // as it was asked for
	Port          int     `json:"port"` // likewise; 0 if the host makes no sense
	Address       *string `json:"address"`
	Result        string  `json:"result"` // as in Attempt
	Reason        *string `json:"reason"` // why, if it is not connected
	BytesSent     uint64  `json:"bytes_sent"`
	BytesReceived uint64  `json:"bytes_received"`
	DurationMS    int64   `json:"duration_ms"`
}

// Workspace is a folder that was sent into a virtual machine, and what became of
// it there. Names are relative to it.
type Workspace struct {
	Path      string        `json:"path"`       // on the host, absolute
	GuestPath string        `json:"guest_path"` // in the guest
	Added     []string      `json:"added"`
	Changed   []string      `json:"changed"`
	Deleted   []string      `json:"deleted"`
	Refused   []RefusedPath `json:"refused"` // was not sent, or did not come back
	Applied   bool          `json:"applied"` // the folder was changed so
	Kept      *string       `json:"kept"`    // the tar with what was added and changed
	Error     *string       `json:"error"`   // what went wrong with it
}

// RefusedPath is one that did not make the way.
type RefusedPath struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Part is a file that the machine was made of.
type Part struct {
	Name   string `json:"name"` // kernel, initramfs, rootfs
	SHA256 string `json:"sha256"`
	Bytes  uint64 `json:"bytes"`
}

// Duty is one that the recorder took on as a guest's first process.
type Duty struct {
	Name    string  `json:"name"`    // "mount proc on /proc", "reap orphans", "forward SIGTERM"
	Outcome string  `json:"outcome"` // done, already or failed
	Count   uint64  `json:"count"`   // how often it was done
	Error   *string `json:"error"`   // why it failed
}

// Observation says how well the recorder saw.
type Observation struct {
	Mode         string       `json:"mode"` // ebpf, ptrace or none
	Complete     bool         `json:"complete"`
	Reason       *string      `json:"reason"` // why not complete
	Events       Events       `json:"events"`
	Backpressure Backpressure `json:"backpressure"`
	Hooks        []Hook       `json:"hooks"`
	Gaps         []Gap        `json:"gaps"`      // what could not be seen, by kind, then detail
	Survivors    []Survivor   `json:"survivors"` // processes that outlived the run, by pid
}

// Events are the books: Emitted = Received + the sum of Lost.
type Events struct {
	Emitted  uint64            `json:"emitted"`
	Received uint64            `json:"received"`
	Lost     map[string]uint64 `json:"lost"`   // by reason; empty, never null
	Folded   uint64            `json:"folded"` // repeats counted in the kernel, not sent one by one
}

// Backpressure tells how often the command was frozen for the ring to drain.
type Backpressure struct {
	Freezes  uint64 `json:"freezes"`
	FrozenMS int64  `json:"frozen_ms"`
}

// Hook is one attachment point in the kernel.
type Hook struct {
	Name     string  `json:"name"`
	Attached bool    `json:"attached"`
	Error    *string `json:"error"`
}

// Gap is a thing that could not be seen.
type Gap struct {
	Kind   string `json:"kind"` // one of the constants Gap...
	Detail string `json:"detail"`
	Count  uint64 `json:"count"`
}

// Survivor is a process that had not exited when the recording ended.
type Survivor struct {
	PID int32  `json:"pid"`
	Exe string `json:"exe"`
}

// Process is one process, never a thread.
type Process struct {
	PID           int32    `json:"pid"`
	PPID          int32    `json:"ppid"` // who forked it
	Exe           string   `json:"exe"`  // kernel path of the latest image
	Argv          []string `json:"argv"`
	WorkingDir    string   `json:"working_dir"` // at the latest exec
	StartTime     uint64   `json:"start_time"`  // ns since boot
	StartedAt     Time     `json:"started_at"`
	EndedAt       *Time    `json:"ended_at"`
	UID           uint32   `json:"uid"`
	GID           uint32   `json:"gid"`
	ExitCode      *int     `json:"exit_code"` // null while it runs and after a signal
	Signal        *string  `json:"signal"`
	ArgvTruncated bool     `json:"argv_truncated"`
	Execs         []Exec   `json:"execs"` // all images, in order
	CPUTimeMS     int64    `json:"cpu_time_ms"`
	MaxRSSKB      int64    `json:"max_rss_kb"`
}

// Exec is one image that a process loaded.
type Exec struct {
	Exe           string   `json:"exe"`
	Argv          []string `json:"argv"`
	WorkingDir    string   `json:"working_dir"`
	Requested     string   `json:"requested,omitempty"` // what execve was given, if not Exe
	Interpreter   *string  `json:"interpreter"`         // as the #! line of Requested names it
	At            Time     `json:"at"`
	ArgvTruncated bool     `json:"argv_truncated,omitempty"`
}

// ExecFail is an exec that returned an error, count times.
type ExecFail struct {
	PID           int32    `json:"pid"`
	Path          string   `json:"path"`
	Argv          []string `json:"argv"`
	Errno         string   `json:"errno"`
	Count         uint64   `json:"count"`
	PathCut       bool     `json:"path_cut,omitempty"` // only the beginning of Path is known
	ArgvTruncated bool     `json:"argv_truncated,omitempty"`
}

// Filesystem holds what happened to files. Paths are the kernel's, absolute,
// sorted and unique.
type Filesystem struct {
	Reads            []string    `json:"reads"`
	Writes           []string    `json:"writes"`
	Deletes          []string    `json:"deletes"`
	PolicyViolations []string    `json:"policy_violations"`
	Read             []string    `json:"read"`    // v0.2: Reads
	Written          []string    `json:"written"` // v0.2: Writes
	Renames          []Rename    `json:"renames"`
	Created          []Created   `json:"created"`
	Changed          []Changed   `json:"changed"`
	Mounts           []Mount     `json:"mounts"`
	Failed           []FailedOp  `json:"failed"`
	Files            []FileEntry `json:"files"`
}

// Where a path comes from.
const (
	SourceKernel  = "kernel"  // read from the kernel's objects
	SourceLexical = "lexical" // a name joined to a kernel path
)

// Rename is one successful rename.
type Rename struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Source string `json:"source"`
}

// Created is a file, or another name of one, that the run made.
type Created struct {
	Path   string  `json:"path"`
	Kind   string  `json:"kind"`   // file, dir, symlink, hardlink, fifo, socket or device
	Target *string `json:"target"` // what a symlink says; the other name of a hardlink
	Source string  `json:"source"`
}

// Changed is a change to a file's size or metadata.
type Changed struct {
	Path   string `json:"path"`
	What   string `json:"what"` // mode, owner, times, xattr, flags or size
	Source string `json:"source"`
}

// Mount is a change to the tree of mounts.
type Mount struct {
	Op     string  `json:"op"`   // mount, umount, move_mount, mount_setattr or pivot_root
	Path   string  `json:"path"` // the mount point
	From   *string `json:"from"` // what was mounted or moved there; where pivot_root put the old root
	Source string  `json:"source"`
}

// FailedOp is an operation that returned an error, count times.
type FailedOp struct {
	Op      string `json:"op"`
	Path    string `json:"path"`
	To      string `json:"to,omitempty"` // of operations on two names
	Errno   string `json:"errno"`
	Count   uint64 `json:"count"`
	PathCut bool   `json:"path_cut,omitempty"` // only the beginning of Path or To is known
}

// FileEntry sums up one path.
type FileEntry struct {
	Path         string   `json:"path"`
	PathBytes    []byte   `json:"path_bytes,omitempty"` // base64; only if Path is not the exact bytes
	PathCut      bool     `json:"path_cut,omitempty"`   // only a part of Path is known
	Requested    []string `json:"requested,omitempty"`  // what processes passed, if not Path
	Opens        uint64   `json:"opens"`
	Read         bool     `json:"read"`
	Written      bool     `json:"written"`
	Executed     bool     `json:"executed"`
	MappedExec   bool     `json:"mapped_exec"`
	MappedShared bool     `json:"mapped_shared"` // its bytes may have changed without a call
	BytesRead    uint64   `json:"bytes_read"`
	BytesWritten uint64   `json:"bytes_written"`
	Source       string   `json:"source"`
	Deleted      bool     `json:"deleted"`
	// OtherMounts: seen in another mount namespace than the recorder's, where
	// the path may be another file.
	OtherMounts bool `json:"other_mount_namespace,omitempty"`
	// Final is nil unless the run wrote this file, and a regular file stood at
	// Path when the recording ended.
	Final *Final `json:"final,omitempty"`
}

// Final is the file that stood at a written path when the recording ended.
type Final struct {
	Inode     uint64 `json:"inode"`
	Size      uint64 `json:"size"`       // bytes
	ChangedAt Time   `json:"changed_at"` // its inode's ctime
	LastWrite Time   `json:"last_write"` // when the run was last seen to change it
	// Changed is set if it was changed after that: by somebody else, or through
	// a mapping.
	Changed bool `json:"changed"`
}

// Network holds what went over sockets.
type Network struct {
	Attempts      []Attempt    `json:"attempts"`
	Connections   []Connection `json:"connections"` // v0.2
	BytesSent     uint64       `json:"bytes_sent"`
	BytesReceived uint64       `json:"bytes_received"`
	Listens       []Listen     `json:"listens"`
	Accepts       []Accept     `json:"accepts"`
	DNS           []DNSQuery   `json:"dns"`
}

// Attempt is one peer that one process tried to reach, count times with the
// same result.
type Attempt struct {
	Dst      string  `json:"dst"`
	Protocol string  `json:"protocol"`
	Result   string  `json:"result"`
	Policy   string  `json:"policy,omitempty"`
	PID      int32   `json:"pid"`
	Count    uint64  `json:"count"`
	Host     *string `json:"host"`
	Source   string  `json:"source,omitempty"` // "" is the kernel, or what it was passed
}

// SourceProxy is that of an attempt which the host's proxy was asked for: it does
// not know which process did.
const SourceProxy = "proxy"

// Connection is v0.2's short form of an Attempt.
type Connection struct {
	Dst       string `json:"dst"`
	Protocol  string `json:"protocol"`
	Attempted bool   `json:"attempted"`
}

// Listen is a listening socket.
type Listen struct {
	Addr     string `json:"addr"`
	Protocol string `json:"protocol"`
	PID      int32  `json:"pid"`
}

// Accept is an accepted peer.
type Accept struct {
	Src      string `json:"src"`
	Addr     string `json:"addr"`
	Protocol string `json:"protocol"`
	PID      int32  `json:"pid"`
	Count    uint64 `json:"count"`
}

// DNSQuery is a question that was sent.
type DNSQuery struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Server string `json:"server"`
	PID    int32  `json:"pid"`
	Count  uint64 `json:"count"`
}

// Syscalls counts every call by name.
type Syscalls struct {
	Counts map[string]uint64 `json:"counts"` // always with execve, open and connect
	Denied []string          `json:"denied"`
}

// Resources of the whole tree.
type Resources struct {
	CPUTimeMS    int64  `json:"cpu_time_ms"`
	MaxRSSKB     int64  `json:"max_rss_kb"`
	IOReadBytes  uint64 `json:"io_read_bytes"`
	IOWriteBytes uint64 `json:"io_write_bytes"`
	Processes    int    `json:"processes"`
}

// Environment is where the run took place.
type Environment struct {
	Runtime           string  `json:"runtime"` // inferred from argv
	OS                string  `json:"os"`
	Arch              string  `json:"arch"`
	Sandbox           Sandbox `json:"sandbox"`
	Kernel            string  `json:"kernel"`
	GlasshouseVersion string  `json:"glasshouse_version"`
}

// Sandbox says what the command was denied.
type Sandbox struct {
	Network string `json:"network"` // enabled or disabled
}

// Artifacts are hex SHA-256 sums of the command's output; null where it went
// to a terminal.
type Artifacts struct {
	StdoutHash  *string `json:"stdout_hash"`
	StderrHash  *string `json:"stderr_hash"`
	StdoutBytes *uint64 `json:"stdout_bytes"`
	StderrBytes *uint64 `json:"stderr_bytes"`
}

// Redaction is a secret that was taken out of the receipt. Where it stood there
// is "[redacted:ID]".
type Redaction struct {
	ID         int      `json:"id"`         // from 1, in the order of the first places
	Rule       string   `json:"rule"`       // what recognised it
	Salt       string   `json:"salt"`       // hex
	Commitment string   `json:"commitment"` // hex SHA-256 over the salt's bytes and then the secret's
	Places     []string `json:"places"`     // JSON pointers (RFC 6901) to the strings that held it, in the order of the receipt
}

// LegacyProc is v0.2's short form of a Process. Cmd is argv joined by spaces,
// the image's path where argv is empty.
type LegacyProc struct {
	PID  int32  `json:"pid"`
	PPID int32  `json:"ppid"`
	Cmd  string `json:"cmd"`
}
