/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What goes over the ring. audit/wire.go holds the same layouts in Go; a test
 * compares the two, member by member, through the objects' BTF.
 *
 * A record is one struct event and then the bytes of its segments, one after
 * the other, in the order of seg[]. All numbers are little-endian, as are the
 * machines that the programs are built for.
 */
#pragma once

#include "kernel.h"

enum event_type {
	EV_FORK = 1,	/* body: fork */
	EV_EXEC,	/* body: exec; segments: exe, cwd, filename, interp, argv */
	EV_ARGV,	/* body: argv; segments: the next bytes of the last exec's argv */
	EV_EXEC_FAILED,	/* body: file, call_flags is 1 before the command is there; segments: base, filename, argv */
	EV_EXIT,	/* body: exit */
	EV_OPEN,	/* body: file; segments: path, requested */
	EV_FILE_OP,	/* body: file; segments: base, name, base, name */
	EV_CONNECT,	/* body: net; segments: path, sockaddr_un.sun_path, base */
	EV_CONNECT_DONE,/* body: net */
	EV_FILE_IO,	/* body: io; segments: path */
	EV_MMAP,	/* body: file, call_flags is enum mapping; segments: path */
	EV_LISTEN,	/* body: net, the socket's own address; segments: path, sockaddr_un.sun_path */
	EV_ACCEPT,	/* body: accept; segments: as of EV_LISTEN for the own address, and again for the peer's */
	EV_DNS,		/* body: net; segments: what was sent to port 53 or came from there */
	EV_TYPES,
};

/* What a system call is to us. The table `calls` says so by its number. */
enum op {
	OP_NONE = 0,	/* counted, nothing more */
	OP_OPEN,
	OP_EXEC,
	OP_UNLINK,
	OP_RMDIR,
	OP_RENAME,
	OP_CONNECT,
	OP_SENDTO,
	OP_SENDMSG,
	OP_MOVE,	/* moves as many bytes as it returns from in to out */
	OP_SENDMMSG,
	OP_RECVMMSG,
	OP_MMAP,
	OP_FORK,	/* comes out twice */
	OP_NO_RETURN,	/* never passes sys_exit, or not under its own number */

	/* Operations on a name, or on the file behind a descriptor. */
	OP_MKDIR,
	OP_MKNOD,	/* flags: the mode */
	OP_SYMLINK,	/* path[0] is the link, path[1] what it says */
	OP_LINK,	/* path[0] is there, path[1] is new */
	OP_TRUNCATE,
	OP_CHMOD,
	OP_CHOWN,
	OP_UTIMES,
	OP_XATTR,
	OP_MOUNT,	/* path[0] is where, path[1] what: a device, a folder, or any word */
	OP_UMOUNT,
	OP_MOVE_MOUNT,	/* path[0] is where to, path[1] where from */
	OP_SET_MOUNT,	/* attributes of what is mounted there */
	OP_PIVOT_ROOT,	/* path[0] is the new root, path[1] where the old one goes */
	OP_MPROTECT,

	OP_SOCKET,
	OP_BIND,
	OP_LISTEN,
	OP_ACCEPT,
	OP_RECVFROM,
	OP_RECVMSG,

	OP_FALLOCATE,	/* flags: the mode */
	OP_SHARE,	/* makes memory shared with other processes */
	OP_CLOSE,	/* a descriptor (out) or all; or it changes what is registered with a ring (in) */
	OP_FLAGS,	/* of a file, such as "append only" */
	OP_IOCTL,	/* may be one of those */
};

/* What a mapping of a file allows beyond reading and private changes. */
enum mapping {
	MAPPED_EXEC = 1 << 0,
	MAPPED_SHARED = 1 << 1,	/* and the file is open for writing */
};

/* Where the bytes lie that a call moves. */
enum payload {
	PAYLOAD_NONE = 0, /* in no memory of the process */
	PAYLOAD_BUFFER,	  /* at argument 2 */
	PAYLOAD_VECTOR,	  /* in the struct iovec[] at argument 2, argument 3 of them */
	PAYLOAD_MESSAGE,  /* in the struct msghdr at argument 2 */
};

/*
 * A path segment holds the names from the leaf to the root, each followed by
 * a NUL. Any other segment holds the bytes as they were found.
 */
enum segment_flags {
	SEG_CUT = 1 << 0,	 /* there was more */
	SEG_UNREADABLE = 1 << 1, /* memory could not be read; the segment is empty */
	SEG_DELETED = 1 << 2,	 /* the file has no name any more */
	SEG_DETACHED = 1 << 3,	 /* the file is in no mount tree: a pipe, a memfd */
	SEG_RACED = 1 << 4,	 /* another thread changed the directory or the descriptor during the call */
	SEG_LATE = 1 << 5,	 /* read at exit, because it could not be at entry; a thread may have changed it */
	SEG_SHARED = 1 << 6,	 /* others could write to this memory while the kernel read the name from it */
	SEG_OTHER_NS = 1 << 7,	 /* in another mount namespace than the recorder's */
	SEG_NONE = 1 << 8,	 /* no name was passed, but NULL */
	SEG_FOUND = 1 << 9,	 /* the path of the object itself, though a name stands in the next segment */
};

#define SEGMENTS 5

struct segment {
	u16 len;
	u16 flags;
	u16 root; /* of a base directory: the bytes up to the process's root; else 0xffff */
	u16 pad;
};

#define NO_ROOT 0xffff

struct event {
	u64 seq;	/* of this stream; see struct counters */
	u64 time;	/* ns since boot */
	u64 start;	/* of the process, ns since boot */
	u32 pid;	/* of the process, in the recorder's PID namespace */
	u32 tid;	/* of the thread, in the first PID namespace */
	u16 stream;
	enum event_type type : 8;
	enum op op : 8;
	s32 err;	/* the call's result if it failed: -errno; else 0 */
	struct segment seg[SEGMENTS];
	struct {
		u64 id;	   /* the event was told before under this id, 0 if not, */
		u64 count; /* and seen this often since then, */
		u64 bytes; /* moving this many bytes, */
		u64 last;  /* the last time at this time: ns since boot; 0 where that does not matter */
	} again;
	union {
		struct {
			u64 start;
			u32 pid;
			u32 uid;
			u32 gid;
		} fork;
		struct {
			u64 parent_start;
			u32 parent_pid;
			u32 uid;
			u32 gid;
			u32 argv_len;	/* of the whole; 0xffffffff: not captured */
		} exec;
		struct {
			u32 offset;	/* of these bytes in the whole */
			u32 argv_len;
		} argv;
		struct {
			u64 cpu_ns;
			u64 max_rss;	/* pages */
			u64 read_bytes;
			u64 write_bytes;
			s32 status;
		} exit;
		struct {
			u64 ino;
			u32 f_mode;
			u32 f_flags;
			u32 i_mode;
			u32 call_flags;	/* open, renameat2; mknod, fallocate: the mode */
		} file;
		struct {
			u64 ino;
			u64 read;	/* bytes */
			u64 written;
			u32 i_mode;
		} io;
		struct {
			u64 sock;
			u8 addr[16];
			u32 scope;
			u16 family;
			u16 type;
			u16 protocol;
			u16 port;	/* host order */
			u8 state;	/* after the call */
			u8 own;		/* a unix peer that a recorded process listens at */
			u32 size;	/* of a DNS message, with what was cut */
		} net;
		struct {
			u8 addr[16];	/* of the peer */
			u8 own[16];
			u32 scope;	/* of both */
			u16 family;
			u16 type;
			u16 protocol;
			u16 port;
			u16 own_port;
		} accept;
		u64 body[6];
	};
};

/*
 * The books. Numbers of one CPU and one stream; every event takes the next
 * seq of its stream whether it then fits into the ring or not, so that a hole
 * in what arrives is a loss, and the last seq is what was emitted.
 *
 * Three streams a CPU: what runs in a task (preemption off), and the two
 * programs on the states of sockets, which may interrupt it, and the first of
 * them the second or the other way round (softirq). Each has a counter of its
 * own so that none needs an atomic add that older kernels lack.
 */
enum stream {
	STREAM_TASK,
	STREAM_STATE,
	STREAM_STATE_AGAIN,
	STREAMS,
};

struct counters {
	u64 emitted[STREAMS];
	u64 ring_full[STREAMS];
	u64 map_full;	/* events that could not be prepared */
	u64 scratch_busy;
	u64 folded;
	u64 sent;	/* bytes over sockets */
	u64 received;
	u64 interrupted; /* calls that a signal broke off, to begin again or not */
	u64 answered;	/* calls that somebody else than the kernel said were done */
	u64 anonymous_exec; /* executable memory that no file is behind, or no longer as it was */
	u64 descriptors; /* messages with descriptors from outside of the run */
	u64 raw_sockets;	/* that see what is meant for others */
	u64 unread_messages;	/* that came with too many others at once */
	u64 shared_args;	/* calls whose arguments lay in memory that others could write to */
};

/* What to do at entry and exit of a system call; arguments count from 1, 0 is none. */
struct call {
	u8 op;		/* enum op */
	u8 path[2];	/* arguments that are names */
	u8 dir[2];	/* arguments that are the descriptors these are relative to; 0: the working directory */
	u8 flags;	/* the argument with flags */
	u8 flags_at;	/* they lie where that argument points to */
	u8 nofollow;	/* the name is not followed if it is a link, whatever the flags */
	u8 base_early;	/* the base directory matters even if the call succeeds */
	u8 out, in;	/* the descriptors that bytes go to and come from, or that is worked on */
	u8 fd;		/* the descriptor that takes the place of a name */
	u8 payload;	/* enum payload */
	u8 pad[3];
} __attribute__((aligned(8)));

struct call_count {
	u64 count;
	u64 denied;
};

/* Operations that were handed to io_uring, by opcode. */
struct uring_count {
	u64 begun;
	u64 refused; /* not begun: wrong arguments */
	u64 unseen;  /* begun, and the result was not seen */
};

/* Indices of `calls`, and of the counts in `call_counts`, by ABI. */
#define CALLS_NATIVE 0
#define CALLS_COMPAT 1024
#define CALLS_X32 1536
#define CALLS_SOCKETCALL 2240 /* by the call that i386's socketcall(2) stands for */
#define CALLS_OTHER 2303
#define CALLS_URING 2304 /* by opcode of io_uring; no count of calls */
#define CALLS 2560
