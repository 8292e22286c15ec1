// Package backend is the contract between the runner and whatever runs the
// command: a plain process, or a microVM.
//
// A backend is used once, in this order: Prepare, Start, Wait, Cleanup.
// Cleanup is safe at any point after construction, and more than once.
package backend

import (
	"context"
	"io"
	"time"
)

// Backend runs one command.
type Backend interface {
	// Prepare checks the configuration and acquires what Start needs.
	// Nothing of the command runs yet.
	Prepare(ctx context.Context, cmd Command) error

	// Start begins the command. It forks on the calling OS thread, so that
	// a collector which marked that thread sees the command from its very
	// first instruction. On error nothing is left running.
	Start(ctx context.Context) error

	// Wait blocks until the command's root process has ended and its
	// streams have been copied. A done ctx kills the whole tree; Wait still
	// reaps it and returns the real exit beside ctx's cause.
	Wait(ctx context.Context) (Exit, error)

	// Cleanup releases everything. It does not end processes that outlived
	// the root: KillTree does, when asked.
	Cleanup(ctx context.Context) error

	// Metadata names the backend for the receipt. It never changes.
	Metadata() Metadata
}

// Metadata is the receipt's execution.backend and execution.isolation.
type Metadata struct {
	Backend   string // process, sandbox, firecracker, qemu
	Isolation string // none, sandbox, vm
}

// Command is what to run. The zero values of all but Argv mean "as the
// recorder itself".
type Command struct {
	Argv []string
	Dir  string   // working directory; "" is the current one
	Env  []string // KEY=VALUE; nil is the recorder's environment
	User *User    // nil is the recorder's user

	// Streams of the command. An *os.File is inherited as it is (a terminal
	// stays a terminal); any other writer gets a copy through a pipe.
	// A nil stream is /dev/null.
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// User is who the command runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32
	Name     string // "" if the system has no name for it
}

// Exit is how the root process ended.
type Exit struct {
	Code   int    // 0-255 as a shell would report it: 128+n when signal n ended it
	Signal string // "SIGKILL"; "" if it exited by itself

	UserTime, SystemTime time.Duration // root and the children it waited for
	MaxRSS               int64         // KiB, of the largest of them; 0 if it cannot be told
}

// Process is implemented by backends whose command is a process that signals can
// be sent to: one of this host, or of a Remote's machine.
type Process interface {
	// PID of the root process; 0 before Start.
	PID() int
	// Signal delivers a signal to the root process.
	Signal(sig int) error
}

// TreeKiller is implemented by backends that can end everything the command
// started, including what outlived it.
type TreeKiller interface {
	KillTree() error
}

// Grouped is implemented by backends that gave the run a cgroup v2 of its own.
type Grouped interface {
	// Cgroup is the group's absolute folder; "" if the machine has none to give.
	Cgroup() string
	// CgroupError says why there is none; nil if there is one, or before Start.
	CgroupError() error
}

// ExecStopper is implemented by backends whose Start can leave the command
// stopped behind its exec, before its first instruction, and traced (ptrace(2),
// PTRACE_TRACEME) by the OS thread that called Start.
type ExecStopper interface {
	StopAtExec() // before Start
}

// Remote is implemented by backends whose command runs on another machine, of
// which they know more than the recorder does.
type Remote interface {
	// Machine tells of it between Prepare and Cleanup, and after it; nil if it
	// has not come up.
	Machine() *Machine
}

// Machine is what runs a Remote's command.
type Machine struct {
	Kernel   string    // as uname -r prints it
	Arch     string    // Go's name
	BootTime time.Time // what the times of its events count from
	PageSize int       // bytes
	Recorder int       // the process there that starts the command
	// The command as it was looked up there.
	Exe, WorkingDir string
	User            User
}

// SameWriter tells whether two outputs are one, so that what is written to
// either has to come out in one order. Types that cannot be compared are not.
func SameWriter(a, b io.Writer) (same bool) {
	defer func() {
		if recover() != nil {
			same = false
		}
	}()
	return a != nil && a == b
}
