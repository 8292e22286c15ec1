//go:build linux

package ebpf

import (
	"fmt"

	"glasshouse/audit/calls"
)

// uringOp is what an operation of io_uring is to us: like the system call of
// some name, or nothing that is recorded: it changes nothing that an open or a
// connect has not told of, or else gap says what it does.
type uringOp struct {
	name string
	like string
	gap  string
}

// uringOps are the operations, by opcode.
var uringOps = []uringOp{
	{name: "nop"},
	{name: "readv", like: "readv"},
	{name: "writev", like: "writev"},
	{name: "fsync"},
	{name: "read_fixed", like: "read"},
	{name: "write_fixed", like: "write"},
	{name: "poll_add"},
	{name: "poll_remove"},
	{name: "sync_file_range"},
	{name: "sendmsg", like: "sendmsg"},
	{name: "recvmsg", like: "recvmsg"},
	{name: "timeout"},
	{name: "timeout_remove"},
	{name: "accept", like: "accept"},
	{name: "async_cancel"},
	{name: "link_timeout"},
	{name: "connect", like: "connect"},
	{name: "fallocate", like: "fallocate"},
	{name: "openat", like: "openat"},
	{name: "close", like: "close"},
	{name: "files_update", like: "close"},
	{name: "statx"},
	{name: "read", like: "read"},
	{name: "write", like: "write"},
	{name: "fadvise"},
	{name: "madvise"},
	{name: "send", like: "sendto"},
	{name: "recv", like: "recv"},
	{name: "openat2", like: "openat2"},
	{name: "epoll_ctl"},
	{name: "splice", like: "splice"},
	{name: "provide_buffers"},
	{name: "remove_buffers"},
	{name: "tee"},
	{name: "shutdown"},
	{name: "renameat", like: "renameat2"},
	{name: "unlinkat", like: "unlinkat"},
	{name: "mkdirat", like: "mkdirat"},
	{name: "symlinkat", like: "symlinkat"},
	{name: "linkat", like: "linkat"},
	{name: "msg_ring"},
	{name: "fsetxattr", like: "fsetxattr"},
	{name: "setxattr", like: "setxattr"},
	{name: "fgetxattr"},
	{name: "getxattr"},
	{name: "socket", like: "socket"},
	{name: "uring_cmd", gap: "command to a device or a socket"},
	{name: "send_zc", like: "sendto"},
	{name: "sendmsg_zc", like: "sendmsg"},
	{name: "read_multishot", like: "read"},
	{name: "waitid"},
	{name: "futex_wait"},
	{name: "futex_wake"},
	{name: "futex_waitv"},
	{name: "fixed_fd_install"},
	{name: "ftruncate", like: "ftruncate"},
	{name: "bind", like: "bind"},
	{name: "listen", like: "listen"},
	{name: "recv_zc", gap: "bytes received"},
	{name: "epoll_wait"},
	{name: "readv_fixed", like: "readv"},
	{name: "writev_fixed", like: "writev"},
	{name: "pipe"},
}

// uringUnknown is URING_UNKNOWN of bpf/uring_state.h.
const uringUnknown = 255

// uringName names an operation for a reader.
func uringName(opcode uint32) string {
	if int(opcode) < len(uringOps) {
		return uringOps[opcode].name
	}
	return fmt.Sprintf("operation %d", opcode)
}

// uringRow is the operation's row in the kernel side's table of calls.
func uringRow(opcode uint32) calls.Call {
	if int(opcode) >= len(uringOps) {
		return calls.Call{}
	}
	return calls.Table[uringOps[opcode].like]
}
