// Package ptrace records without eBPF, and without any right but that to trace
// one's own children: where containers and plain users are.
//
// The command is held behind its first exec, before its first instruction. It
// is made to install a seccomp filter that stops it at the system calls that a
// receipt tells of, and at no other, and a tracer is attached to it, which
// follows all that it starts. At the entry of such a call the tracer reads what
// the caller passed; at the exit, where the thread stands still, it reads from
// /proc what the kernel made of it.
//
// The tracer is a process of its own. It outlives the recorder, because a call
// that the filter stops needs somebody to let it go on: nobody can take a
// filter away. It sends what it sees as records, in the form in which the
// kernel's programs of package ebpf send theirs, over a pipe that holds it, and
// with it the command, up when it is full: nothing is lost.
package ptrace
