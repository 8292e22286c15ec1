// Package calls says what each system call is to a recorder: which operation
// it is, and where its names, descriptors and bytes stand among its arguments.
package calls

import (
	"maps"

	"github.com/elastic/go-seccomp-bpf/arch"

	"glasshouse/audit"
)

// Call is what to do with a system call, laid out as struct call of ebpf/bpf/event.h.
// Arguments count from 1; 0 is none.
type Call struct {
	Op        audit.Op
	Path      [2]uint8 // arguments that are names
	Dir       [2]uint8 // those that are the descriptors which these are relative to; 0: the working folder
	Flags     uint8    // the argument with flags
	FlagsAt   uint8    // 1: they lie where that argument points to
	NoFollow  uint8    // 1: a link is not followed, whatever the flags
	BaseEarly uint8    // 1: what the names are relative to matters even if the call succeeds
	Out, In   uint8    // the descriptors that bytes go to and come from, or that is worked on
	FD        uint8    // the descriptor that takes the place of a name
	Payload   Payload
	_         [3]uint8
}

// Payload is where the bytes lie that a call moves: enum payload of ebpf/bpf/event.h.
type Payload uint8

const (
	PayloadNone    Payload = iota // not looked at
	PayloadBuffer                 // argument 2, of the size that argument 3 says
	PayloadVector                 // argument 2 is an array of struct iovec, argument 3 its length
	PayloadMessage                // argument 2 is a struct msghdr
)

// Table says what every recorded system call is to us, by name. All
// others are only counted. Calls that can give a file another path stand in
// may_move_names of ebpf/bpf/probes.bpf.c too, which sees everybody's.
var Table = map[string]Call{
	"open":    {Op: audit.OpOpen, Path: [2]uint8{1}, Flags: 2},
	"creat":   {Op: audit.OpOpen, Path: [2]uint8{1}},
	"openat":  {Op: audit.OpOpen, Path: [2]uint8{2}, Dir: [2]uint8{1}, Flags: 3},
	"openat2": {Op: audit.OpOpen, Path: [2]uint8{2}, Dir: [2]uint8{1}, Flags: 3, FlagsAt: 1},

	// A handle is no name.
	"open_by_handle_at": {Op: audit.OpOpen},

	"execve":   {Op: audit.OpExec, Path: [2]uint8{1}},
	"execveat": {Op: audit.OpExec, Path: [2]uint8{2}, Dir: [2]uint8{1}},

	"unlink":    {Op: audit.OpUnlink, Path: [2]uint8{1}, BaseEarly: 1},
	"unlinkat":  {Op: audit.OpUnlink, Path: [2]uint8{2}, Dir: [2]uint8{1}, Flags: 3, BaseEarly: 1},
	"rmdir":     {Op: audit.OpRmdir, Path: [2]uint8{1}, BaseEarly: 1},
	"rename":    {Op: audit.OpRename, Path: [2]uint8{1, 2}, BaseEarly: 1},
	"renameat":  {Op: audit.OpRename, Path: [2]uint8{2, 4}, Dir: [2]uint8{1, 3}, BaseEarly: 1},
	"renameat2": {Op: audit.OpRename, Path: [2]uint8{2, 4}, Dir: [2]uint8{1, 3}, Flags: 5, BaseEarly: 1},

	"mkdir":     {Op: audit.OpMkdir, Path: [2]uint8{1}, BaseEarly: 1},
	"mkdirat":   {Op: audit.OpMkdir, Path: [2]uint8{2}, Dir: [2]uint8{1}, BaseEarly: 1},
	"mknod":     {Op: audit.OpMknod, Path: [2]uint8{1}, Flags: 2, BaseEarly: 1},
	"mknodat":   {Op: audit.OpMknod, Path: [2]uint8{2}, Dir: [2]uint8{1}, Flags: 3, BaseEarly: 1},
	"symlink":   {Op: audit.OpSymlink, Path: [2]uint8{2, 1}, BaseEarly: 1},
	"symlinkat": {Op: audit.OpSymlink, Path: [2]uint8{3, 1}, Dir: [2]uint8{2}, BaseEarly: 1},
	"link":      {Op: audit.OpLink, Path: [2]uint8{1, 2}, BaseEarly: 1},
	"linkat":    {Op: audit.OpLink, Path: [2]uint8{2, 4}, Dir: [2]uint8{1, 3}, Flags: 5, BaseEarly: 1},
	"truncate":  {Op: audit.OpTruncate, Path: [2]uint8{1}, BaseEarly: 1},
	"ftruncate": {Op: audit.OpTruncate, FD: 1},
	"fallocate": {Op: audit.OpFallocate, FD: 1, Flags: 2},
	"chmod":     {Op: audit.OpChmod, Path: [2]uint8{1}, BaseEarly: 1},
	"fchmod":    {Op: audit.OpChmod, FD: 1},
	"fchmodat":  {Op: audit.OpChmod, Path: [2]uint8{2}, Dir: [2]uint8{1}, BaseEarly: 1},
	"fchmodat2": {Op: audit.OpChmod, Path: [2]uint8{2}, Dir: [2]uint8{1}, Flags: 4, BaseEarly: 1},
	"chown":     {Op: audit.OpChown, Path: [2]uint8{1}, BaseEarly: 1},
	"lchown":    {Op: audit.OpChown, Path: [2]uint8{1}, NoFollow: 1, BaseEarly: 1},
	"fchown":    {Op: audit.OpChown, FD: 1},
	"fchownat":  {Op: audit.OpChown, Path: [2]uint8{2}, Dir: [2]uint8{1}, Flags: 5, BaseEarly: 1},
	"utime":     {Op: audit.OpUtimes, Path: [2]uint8{1}, BaseEarly: 1},
	"utimes":    {Op: audit.OpUtimes, Path: [2]uint8{1}, BaseEarly: 1},
	"futimesat": {Op: audit.OpUtimes, Path: [2]uint8{2}, Dir: [2]uint8{1}, BaseEarly: 1},
	"utimensat": {Op: audit.OpUtimes, Path: [2]uint8{2}, Dir: [2]uint8{1}, Flags: 4, BaseEarly: 1},

	"setxattr":      {Op: audit.OpXattr, Path: [2]uint8{1}, BaseEarly: 1},
	"lsetxattr":     {Op: audit.OpXattr, Path: [2]uint8{1}, NoFollow: 1, BaseEarly: 1},
	"fsetxattr":     {Op: audit.OpXattr, FD: 1},
	"setxattrat":    {Op: audit.OpXattr, Path: [2]uint8{2}, Dir: [2]uint8{1}, Flags: 3, BaseEarly: 1},
	"removexattr":   {Op: audit.OpXattr, Path: [2]uint8{1}, BaseEarly: 1},
	"lremovexattr":  {Op: audit.OpXattr, Path: [2]uint8{1}, NoFollow: 1, BaseEarly: 1},
	"fremovexattr":  {Op: audit.OpXattr, FD: 1},
	"removexattrat": {Op: audit.OpXattr, Path: [2]uint8{2}, Dir: [2]uint8{1}, Flags: 3, BaseEarly: 1},

	"file_setattr": {Op: audit.OpFlags, Path: [2]uint8{2}, Dir: [2]uint8{1}, Flags: 5, BaseEarly: 1},
	"ioctl":        {Op: audit.OpIoctl, In: 1},

	"mount":         {Op: audit.OpMount, Path: [2]uint8{2, 1}, Flags: 4, BaseEarly: 1},
	"umount":        {Op: audit.OpUmount, Path: [2]uint8{1}, BaseEarly: 1},
	"umount2":       {Op: audit.OpUmount, Path: [2]uint8{1}, Flags: 2, BaseEarly: 1},
	"move_mount":    {Op: audit.OpMoveMount, Path: [2]uint8{4, 2}, Dir: [2]uint8{3, 1}, Flags: 5, BaseEarly: 1},
	"mount_setattr": {Op: audit.OpSetMount, Path: [2]uint8{2}, Dir: [2]uint8{1}, Flags: 3, BaseEarly: 1},
	"pivot_root":    {Op: audit.OpPivotRoot, Path: [2]uint8{1, 2}, BaseEarly: 1},

	"socket":   {Op: audit.OpSocket},
	"bind":     {Op: audit.OpBind},
	"listen":   {Op: audit.OpListen, In: 1},
	"accept":   {Op: audit.OpAccept},
	"accept4":  {Op: audit.OpAccept},
	"connect":  {Op: audit.OpConnect},
	"sendto":   {Op: audit.OpSendto, Flags: 4, Payload: PayloadBuffer},
	"sendmsg":  {Op: audit.OpSendmsg, Flags: 3, Payload: PayloadMessage},
	"sendmmsg": {Op: audit.OpSendmmsg, Out: 1},
	"recvfrom": {Op: audit.OpRecvfrom, In: 1, Flags: 4, Payload: PayloadBuffer},
	"recvmsg":  {Op: audit.OpRecvmsg, In: 1, Flags: 3, Payload: PayloadMessage},
	"recvmmsg": {Op: audit.OpRecvmmsg, In: 1, Flags: 4},
	"send":     {Op: audit.OpMove, Out: 1, Payload: PayloadBuffer},
	"recv":     {Op: audit.OpMove, In: 1, Flags: 4, Payload: PayloadBuffer},
	"write":    {Op: audit.OpMove, Out: 1, Payload: PayloadBuffer},
	"writev":   {Op: audit.OpMove, Out: 1, Payload: PayloadVector},
	"pwrite64": {Op: audit.OpMove, Out: 1},
	"pwritev":  {Op: audit.OpMove, Out: 1},
	"pwritev2": {Op: audit.OpMove, Out: 1, Payload: PayloadVector},
	"sendfile": {Op: audit.OpMove, Out: 1, In: 2},
	"splice":   {Op: audit.OpMove, Out: 3, In: 1},
	"read":     {Op: audit.OpMove, In: 1, Payload: PayloadBuffer},
	"readv":    {Op: audit.OpMove, In: 1, Payload: PayloadVector},
	"pread64":  {Op: audit.OpMove, In: 1},
	"preadv":   {Op: audit.OpMove, In: 1},
	"preadv2":  {Op: audit.OpMove, In: 1, Payload: PayloadVector},

	"copy_file_range": {Op: audit.OpMove, Out: 3, In: 1},

	"mmap":          {Op: audit.OpMmap, In: 5},
	"mmap2":         {Op: audit.OpMmap, In: 5},
	"mprotect":      {Op: audit.OpMprotect},
	"shmat":         {Op: audit.OpShare},
	"ipc":           {Op: audit.OpShare}, // 32-bit: any call of System V's, shmat too
	"pkey_mprotect": {Op: audit.OpMprotect},

	"close":             {Op: audit.OpClose, Out: 1},
	"dup2":              {Op: audit.OpClose, Out: 2},
	"dup3":              {Op: audit.OpClose, Out: 2},
	"close_range":       {Op: audit.OpClose},
	"io_uring_register": {Op: audit.OpClose, In: 1},

	"fork":   {Op: audit.OpFork},
	"vfork":  {Op: audit.OpFork},
	"clone":  {Op: audit.OpFork},
	"clone3": {Op: audit.OpFork},

	// These never come to sys_exit, or (sigreturn) under no number.
	"exit":         {Op: audit.OpNoReturn},
	"exit_group":   {Op: audit.OpNoReturn},
	"rt_sigreturn": {Op: audit.OpNoReturn},
	"sigreturn":    {Op: audit.OpNoReturn},
}

// Aliases are names that have a second one for another width of their arguments: the
// 32-bit call counts as the 64-bit one does.
var Aliases = map[string]string{
	"sendfile64":       "sendfile",
	"truncate64":       "truncate",
	"ftruncate64":      "ftruncate",
	"chown32":          "chown",
	"fchown32":         "fchown",
	"lchown32":         "lchown",
	"utimensat_time64": "utimensat",
	"recvmmsg_time64":  "recvmmsg",
}

// newer are calls that the tables of names do not know yet. Calls of this
// age have one number everywhere.
var newer = map[int]string{468: "file_getattr", 469: "file_setattr"}

// Socket are the calls that i386's socketcall stands for, by the numbers of
// include/uapi/linux/net.h.
var Socket = map[int]string{
	1: "socket", 2: "bind", 3: "connect", 4: "listen", 5: "accept", 6: "getsockname", 7: "getpeername", 8: "socketpair",
	9: "send", 10: "recv", 11: "sendto", 12: "recvfrom", 13: "shutdown", 14: "setsockopt", 15: "getsockopt",
	16: "sendmsg", 17: "recvmsg", 18: "accept4", 19: "recvmmsg", 20: "sendmmsg",
}

// Names are a machine's calls by number, without the bit of x32, with those that are
// newer than the tables of the library. The map is the caller's own.
func Names(a *arch.Info) map[int]string {
	all := maps.Clone(newer)
	maps.Copy(all, a.SyscallNumbers)
	return all
}

// Of is what a call of that name is to a recorder; the zero Call if no more
// than a count.
func Of(name string) Call {
	if alias, ok := Aliases[name]; ok {
		name = alias
	}
	return Table[name]
}
