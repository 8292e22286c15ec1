package compare

import (
	"encoding/binary"
	"strings"
)

// A Class is a sort of deed. Differences are listed in the order of the
// constants.
type Class string

// The classes of facts. What stands in Name, Other, Argv and Detail is said
// after each.
const (
	Outcome       Class = "outcome"        // "exit code 3", "signal SIGKILL" or "error"; Detail: the error
	User          Class = "user"           // "uid 0 gid 0", of a process
	Ran           Class = "ran"            // image; Argv; Other: the image that started it; Detail: folder, if not the command's
	Forked        Class = "forked"         // image of a process that loaded none of its own; Argv: its creator's
	Ended         Class = "ended"          // image; Argv; Detail: "exit code 3" or "signal SIGKILL"; not of the first process
	ExecFailed    Class = "exec_failed"    // path; Argv; Detail: errno
	Survived      Class = "survived"       // image
	Created       Class = "created"        // path; Detail: kind; Other: target of a link
	Written       Class = "written"        // path, or pipe and the like
	Deleted       Class = "deleted"        // path
	Renamed       Class = "renamed"        // old path; Other: new path
	Changed       Class = "changed"        // path; Detail: what
	Shared        Class = "shared"         // path mapped so that it can be changed without a call
	Read          Class = "read"           // path, or pipe and the like
	Mapped        Class = "mapped"         // path of a file mapped as code
	Violated      Class = "violated"       // path that a policy forbids
	Failed        Class = "failed"         // path; Other: the second path; Detail: operation and errno
	Mounted       Class = "mounted"        // mount point; Other: what was mounted; Detail: operation
	Attempted     Class = "attempted"      // peer, by its name if known; Detail: protocol, result, policy
	Listened      Class = "listened"       // address; Detail: protocol
	Accepted      Class = "accepted"       // address called; Other: peer; Detail: protocol
	Asked         Class = "asked"          // name that a name server was asked for; Other: the server; Detail: type
	Secret        Class = "secret"         // rule that recognised a secret
	Gap           Class = "gap"            // kind of what could not be seen; Detail: what exactly
	SyscallDenied Class = "syscall_denied" // system call that was denied at least once
	Syscall       Class = "syscall"        // system call that was made
	Output        Class = "output"         // "stdout" or "stderr"; Detail: SHA-256 and length
)

// A Fact is one thing that a run did, however often. Paths, addresses and
// arguments are normalised.
type Fact struct {
	Class  Class    `json:"class"`
	Name   string   `json:"name"`
	Argv   []string `json:"argv,omitempty"`
	Other  string   `json:"other,omitempty"`
	Detail string   `json:"detail,omitempty"`
}

// Classes are all classes, in the order in which differences are listed.
func Classes() []Class { return order[:] }

var order = [...]Class{
	Outcome, User, Ran, Forked, Ended, ExecFailed, Survived,
	Created, Written, Deleted, Renamed, Changed, Shared, Read, Mapped, Violated, Failed, Mounted,
	Attempted, Listened, Accepted, Asked, Secret, Gap, SyscallDenied, Syscall, Output,
}

// appendKey appends what identifies a fact: two of one key are one. Lengths
// keep the parts apart, whatever bytes they hold.
func (f *Fact) appendKey(key []byte) []byte {
	for _, s := range [...]string{string(f.Class), f.Name, f.Other, f.Detail} {
		key = append(binary.AppendUvarint(key, uint64(len(s))), s...)
	}
	for _, s := range f.Argv {
		key = append(binary.AppendUvarint(key, uint64(len(s))), s...)
	}
	return key
}

// byTiming tells what differs between two runs of one command because of when
// things happened, or which no two runs share: it is told apart from what a
// run did.
func (f *Fact) byTiming() bool {
	switch f.Class {
	case Output:
		return true // it may hold a time; and what it says is not recorded
	case Syscall:
		return timedCalls[f.Name]
	case Gap:
		return timedGaps[f.Name] || f.Name == "not_recorded" && strings.HasPrefix(f.Detail, "tgkill:")
	}
	return false
}

// timedCalls act on nothing but the caller's own memory, threads and clock. A
// runtime's scheduler and allocator make them or not, as it happens.
var timedCalls = setOf("brk", "clock_gettime", "clock_nanosleep", "epoll_pwait", "epoll_pwait2", "epoll_wait", "exit",
	"futex", "futex_wait", "futex_waitv", "futex_wake", "getcpu", "getpid", "getrusage", "gettid", "gettimeofday",
	"madvise", "membarrier", "mincore", "mmap", "mprotect", "mremap", "munmap", "nanosleep", "poll", "ppoll",
	"pselect6", "restart_syscall", "rseq", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sched_getaffinity",
	"sched_yield", "select", "set_robust_list", "sigaltstack", "sigreturn", "tgkill", "time", "times")

// timedGaps depend on what else the machine did at that moment.
var timedGaps = setOf("backpressure", "interrupted", "raced", "repeats", "shared_names")

func setOf(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}
