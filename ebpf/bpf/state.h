/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Maps, the per-CPU scratch in which an event is built, and its sending. */
#pragma once

#include "seat.h"

#include <bpf/bpf_endian.h>

/* Set by the loader before the programs are verified. */
const volatile u32 capture_argv = 1;
const volatile u32 pidns_inum;	   /* PID namespace of the recorder */
const volatile u32 mntns_inum;	   /* mount namespace of the recorder */
const volatile u64 wakeup_bytes;   /* wake the reader when this much is waiting */
const volatile u32 typed_task;	   /* the kernel has bpf_get_current_task_btf(), from 5.11 on */
const volatile u64 hash_seed = 1;  /* so that nobody can choose names that collide */
const volatile u32 fold_places = 1; /* in `folds`, of one CPU: a power of two */

/* Set by the loader while it forks the command; a tid in pidns_inum. */
u32 launcher_tid;

/* The root folder of the recorder, once it has forked the command. */
u64 home_dentry, home_mnt;

/*
 * Steps forward when any process on the machine may have moved a name, and
 * when a recorded one took one away: an event that was seen before the step
 * is told in full once more after it.
 */
u64 moves;

enum borrowing {
	BORROWS = 1,
	BORROWS_ALONE, /* vfork: the creator's thread waits meanwhile */
};

/* A recorded process, by its tgid in the first PID namespace. */
struct mark {
	u64 start;
	u64 parent_start;
	u32 pid; /* in pidns_inum, as all that leave the kernel */
	u32 parent_pid;
	u32 armed; /* forked by the launcher, not yet the command: say nothing */
	u32 borrows; /* runs in its creator's memory until it execs; enum borrowing */
	u32 shares;  /* has memory that other processes can write to, until it execs */
	u32 pad;
	u64 borrowed_rss; /* signal->maxrss that this left behind, in pages */
	u64 exit_rss; /* what a process with borrowed_rss held when it asked to exit */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, struct mark);
} marks SEC(".maps");

/*
 * How many of them there are, by the lower bits of the tgid. Every system call of
 * every process comes by: that most of these are not recorded shows here at once.
 */
#define MARKED 16384
u32 marked[MARKED];

static __always_inline struct mark *mark_of(u32 tgid)
{
	return marked[tgid % MARKED] ? bpf_map_lookup_elem(&marks, &tgid) : 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counters);
} counters SEC(".maps");

/* What to do with each call, by index. Set by the loader. */
const volatile struct call calls[CALLS];

/* By the upper bits of the index: whoever reads them all has few values to read. */
#define COUNTS_IN_ONE 256

struct call_counts {
	struct call_count of[COUNTS_IN_ONE];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CALLS_URING / COUNTS_IN_ONE);
	__type(key, u32);
	__type(value, struct call_counts);
} call_counts SEC(".maps");

/*
 * What was read at the entry of a call that is still under way. Names are short
 * as a rule and stand in there; long ones stand by themselves.
 */
#define NAME_MAX_LEN 4096 /* PATH_MAX */
#define SHORT_NAMES 256
#define SOCKADDR_MAX 128 /* struct sockaddr_storage */

struct flight {
	u64 dentry[2]; /* base directories at entry, compared and never followed unchecked */
	u64 mnt[2];
	u64 long_names; /* the key of the names in that map; 0: they are here */
	union {
		u64 sock;     /* behind the descriptor; 0: none, or the entry was not seen */
		u64 begun;    /* of an open while others may change descriptors: when */
		u64 old_root; /* of a pivot_root: the mount of the root */
	};
	u64 hash;     /* of the first name; 0: not known */
	u32 followup; /* a further connect on a socket that is connecting or connected */
	u32 first;    /* byte of the first name, if its hash is known */
	u32 index; /* of the call; an exec that succeeds loses its number */
	u16 len[2];
	u16 flags[2];
	u32 pad;
	u8 names[SHORT_NAMES]; /* len[0] bytes, then len[1]; or a sockaddr */
};

/* An operation that io_uring was handed and that is under way. */
struct request {
	u64 ctx;
	u64 user_data;
	u64 begun;   /* ns since boot */
	u64 args[6]; /* as those of the call of that name would be */
	u32 tgid;
	u16 opcode;
	u16 told; /* before it was done; there may be no result */
	struct flight names;
};

/* What the entry of a call left for its exit. */
struct entry {
	u32 has; /* enum entry_has */
	u32 pad;
	/*
	 * What bytes come from, or what is changed; what they go to: another thread
	 * may put other files behind these descriptors before the exit.
	 */
	u64 file[2];
	struct flight flight;
};

enum entry_has {
	ENTRY_SEEN = 1 << 0, /* noted where a call may be answered by others than the kernel; see answered() */
	ENTRY_FILES = 1 << 1,
	ENTRY_FLIGHT = 1 << 2,
};

/* By seat, */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SEATS);
	__type(key, u32);
	__type(value, struct entry);
} seat_entries SEC(".maps");

/* and by tid of a thread that has none. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct entry);
} entries SEC(".maps");

struct names {
	u8 bytes[2 * NAME_MAX_LEN];
};

/* By tid, or by address of the request of io_uring. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, u64);
	__type(value, struct names);
} long_names SEC(".maps");

/*
 * Events that were seen before and are only counted from then on. The key is
 * all that the event says, with objects by address and names by hash; the
 * receipt sums over processes, so for files it does not hold the process.
 */
struct fold_key {
	u64 a, b, c, d, e, f;
	u32 op; /* enum op; 1 << 8 as well if the file has no name any more */
	s32 err;
};

/* As long as a cache line. */
struct fold {
	u64 key[2]; /* a seeded hash of 128 bits of it: what falls together by chance is not to be expected in any life */
	u64 id; /* of the event that told the rest, see event_send; 0: there is none here */
	u64 count;
	u64 moves; /* when it was told */
	u64 bytes; /* moved since then */
	u64 last;  /* when it was seen last, where that matters: ns since boot */
	u64 pad;
};

/*
 * By CPU, so that telling again and counting need no atomics, and by a hash of
 * the key: each event has two places, and takes that of another if it finds none
 * free. The loader makes it as large as all CPUs need.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct fold);
} folds SEC(".maps");

/* Sockets whose connect is in progress, by address of the struct sock. */
struct connecting {
	u64 start;
	u32 pid;
	u32 tid;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct connecting);
} connecting SEC(".maps");

/*
 * Datagram sockets that were bound to an address of the kernel's choice and
 * have neither sent nor received, by address of the struct sock. One that
 * sends first is a client. Sockets that are closed stay until there is no room.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, u32);
} undecided SEC(".maps");

/* Room for a copy of a struct file, or a part of another: see file_look(). */
#define FILE_WORDS 64

/* Segments go to data[]; one may begin up to DATA_MAX and run up to SEGMENT_MAX further. */
#define DATA_MAX 16384
#define SEGMENT_MAX 8192

/*
 * What the functions below work on: the process, the call or operation that it
 * is in, and the event that comes of it. Functions that are not static are
 * verified by themselves, once a program, whoever calls them, and older
 * kernels let them have no arguments but numbers: what else they need is here.
 */
struct scratch {
	u32 busy;
	u32 len; /* bytes of data[] in use */
	u64 start; /* of the process, as in struct mark */
	u32 pid;
	u32 pad;
	struct call call; /* its row of `calls` */
	u32 compat; /* the caller's addresses have 32 bits */
	u32 seat;   /* the caller's, or NO_SEAT */
	u32 flags;  /* enum seat_flags; all that it may share if that is not known */
	u64 args[8]; /* 6 in use; 8 so that a mask bounds the index */
	struct {
		u64 dentry, mnt;
	} base; /* see base_of() */
	struct {
		u64 dentry, mnt;
		u64 root_dentry, root_mnt; /* the process's root, if that matters */
		u64 end_mnt; /* where the walk ends, though that is mounted somewhere by now */
		u64 top;     /* the root of walk.mnt, a dentry */
		u64 moves;   /* when it began */
		u64 last_mnt, last_top, last_moves; /* the last walk's, at its beginning */
		u32 start;
		u16 flags;   /* of the segment, to be added at the end */
	} walk;
	struct {
		u64 sock;
		u64 at;	   /* struct iovec[], or the buffer itself */
		u64 count; /* of iovecs; 0: at is the buffer */
		u64 base;  /* of the iovec that was read last */
		u64 name;  /* struct sockaddr of whom the message goes to or came from; 0: none */
		u64 control; /* struct cmsghdr, one after the other, */
		u64 control_len; /* bytes of them */
		u32 name_len;
		u32 left;  /* bytes that are yet to be copied, */
		u32 room;  /* and how many of them will be */
	} io; /* what a call moves: a message, or bytes */
	struct fold_key key;
	u64 hash[2]; /* of the key */
	u64 moves; /* when it was looked up, */
	u32 fold;  /* and its place in `folds`, taken by another or not */
	struct {
		u64 dentry, mnt, inode, private_data;
		u64 parent, hash_len, name, ino;
		u32 f_mode, f_flags, i_mode;
		u16 unhashed; /* it has no name any more */
		u16 shared;   /* more than one descriptor, or another thread, holds it */
	} seen; /* of a file, see file_look() */
	struct {
		u64 root_dentry, root_mnt, dentry, mnt;
	} folder; /* the process's, see folder_look() */
	u64 bytes[FILE_WORDS]; /* see copy_of() */
	u64 file;  /* what FD_GIVEN stands for */
	u32 more;  /* the operation in here is not over */
	u32 raced; /* that file may be another than the one of the operation */
	u32 in_root; /* the folder that the name is relative to stands for the root folder */
	u32 has_was;
	u64 was[2]; /* the files of the call's descriptors at its entry, see struct entry */
	u64 names_at; /* where the names of the flight are, if they are short */
	struct flight flight;
	struct entry empty; /* never written to */
	struct request request;
	u64 filename[2]; /* struct filename, of the request */
	u64 req;	 /* struct io_kiocb, of the request, */
	s64 res;	 /* and its result */
	struct event ev;
	u8 data[DATA_MAX + SEGMENT_MAX + 256];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/*
 * The verifier goes through a loop turn by turn. So a long loop is one of few
 * turns around another of few turns, which is a function of its own, and so is
 * a long body: it then sees their sum in place of their product. What a turn
 * leaves for the next is a number, or lies in the scratch.
 */

/* Hides where x came from, so that clang keeps a check on it that the verifier needs to see. */
#define opaque(x) asm volatile("" : "+r"(x))

static __always_inline struct counters *the_counters(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

/* The row of `calls`; 0 if there is none. */
static __always_inline const struct call *call_row(u32 index)
{
	const volatile struct call *c;

	opaque(index);
	if (index >= CALLS)
		return 0;
	c = &calls[index];
	opaque(c); /* of constants that are zero in the object, clang would make zeroes */
	return (const struct call *)c;
}

static __always_inline void count_call(u32 index, long ret)
{
	u32 which = index / COUNTS_IN_ONE;
	struct call_counts *some = bpf_map_lookup_elem(&call_counts, &which);
	struct call_count *n;

	if (!some)
		return;
	n = &some->of[index % COUNTS_IN_ONE];
	n->count++;
	if (ret == -EPERM || ret == -EACCES)
		n->denied++;
}

static __always_inline struct scratch *the_scratch(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

/*
 * Programs on task hooks run with preemption off today. Should a kernel stop
 * doing that, a second task on this CPU finds the scratch taken and its event
 * is counted as lost, instead of being mixed with the first one's.
 */
static __always_inline struct scratch *scratch_get(u64 start, u32 pid, const struct call *call)
{
	struct scratch *s = the_scratch();
	struct counters *c;

	if (!s)
		return 0;
	if (s->busy) {
		c = the_counters();
		if (c) {
			c->emitted[STREAM_TASK]++;
			c->scratch_busy++;
		}
		return 0;
	}
	s->busy = 1;
	s->len = 0;
	s->file = 0;
	s->raced = 0;
	s->in_root = 0;
	s->has_was = 0;
	s->names_at = (u64)s->flight.names;
	s->seat = NO_SEAT;
	s->flags = SEAT_SHARES;
	s->start = start;
	s->pid = pid;
	if (call)
		s->call = *call;
	return s;
}

static __always_inline void scratch_put(struct scratch *s)
{
	s->busy = 0;
}

__attribute__((noinline)) int event_begin(u32 type, u32 op)
{
	struct scratch *s = the_scratch();

	if (!s)
		return 0;
	__builtin_memset(&s->ev, 0, sizeof(s->ev));
	s->ev.type = type;
	s->ev.op = op;
	s->ev.start = s->start;
	s->ev.pid = s->pid;
	s->len = 0;
	return 0;
}

/* An event that cannot be built, for want of room in a map. */
static __always_inline void count_map_full(void)
{
	struct counters *c = the_counters();

	if (c) {
		c->emitted[STREAM_TASK]++;
		c->map_full++;
	}
}

/* The number of a stream of this CPU. */
static __always_inline u16 stream_id(enum stream stream)
{
	return bpf_get_smp_processor_id() * STREAMS + stream;
}

static __always_inline int ring_output(void *data, u64 size, enum stream stream, struct counters *c)
{
	/* A wake-up costs more than the event: only when much is waiting. To ask costs too: from time to time. */
	u64 flags = BPF_RB_NO_WAKEUP;

	if (!(c->emitted[stream] % 8) && bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= wakeup_bytes)
		flags = BPF_RB_FORCE_WAKEUP;
	if (bpf_ringbuf_output(&ring, data, size, flags)) {
		c->ring_full[stream]++;
		return -1;
	}
	return 0;
}

/* Sends the event in the scratch. Returns its id, or 0 if the ring was full. */
__attribute__((noinline)) u64 event_send(u32 tid)
{
	struct scratch *s = the_scratch();
	struct counters *c = the_counters();
	u32 len;
	u64 id;

	if (!s || !c)
		return 0;
	s->ev.seq = c->emitted[STREAM_TASK]++;
	s->ev.stream = stream_id(STREAM_TASK);
	s->ev.time = bpf_ktime_get_boot_ns();
	s->ev.tid = tid;
	/* + 1: no event has id 0. */
	id = ((u64)s->ev.stream << 48 | s->ev.seq) + 1;

	len = s->len;
	if (len > DATA_MAX + SEGMENT_MAX)
		len = DATA_MAX + SEGMENT_MAX;
	if (ring_output(&s->ev, sizeof(s->ev) + len, STREAM_TASK, c))
		return 0;
	return id;
}

static __always_inline u32 current_tid(void)
{
	return bpf_get_current_pid_tgid();
}

static __always_inline void long_names_end(u64 key)
{
	if (key)
		bpf_map_delete_elem(&long_names, &key);
}

/* What the entry of a call left at a seat; 0 if it is none. */
static __always_inline struct entry *seat_entry(u32 seat)
{
	struct entry *e = bpf_map_lookup_elem(&seat_entries, &seat);

	opaque(e); /* else clang makes one look-up of this and another, in a map that the JIT does not know */
	return e;
}

/* What the entry of the current thread's call left, for one that has that seat; 0 if there is nothing. */
static __always_inline struct entry *entry_find(u32 seat)
{
	u32 tid;

	if (seat < SEATS)
		return seat_entry(seat);
	tid = bpf_get_current_pid_tgid();
	return bpf_map_lookup_elem(&entries, &tid);
}

/* As that, and there is always something, but where no room is left. */
static __always_inline struct entry *entry_make(u32 seat)
{
	struct entry *e = entry_find(seat);
	struct scratch *s;
	u32 tid;

	if (e || seat < SEATS)
		return e;
	tid = bpf_get_current_pid_tgid();
	s = the_scratch();
	if (!s || bpf_map_update_elem(&entries, &tid, &s->empty, BPF_ANY))
		return 0;
	return bpf_map_lookup_elem(&entries, &tid);
}

/* Forgets it; tid is what the thread was called when it began. */
static __always_inline void entry_end(struct entry *e, u32 seat, u32 tid)
{
	if (!e)
		return;
	if (e->has & ENTRY_FLIGHT)
		long_names_end(e->flight.long_names);
	e->has = 0;
	if (seat >= SEATS)
		bpf_map_delete_elem(&entries, &tid);
}

static __always_inline struct task_struct *current_task(void)
{
	return (void *)bpf_get_current_task();
}

/* The current task, of which TASK_READ reads. */
static __always_inline struct task_struct *typed_current_task(void)
{
	return typed_task ? bpf_get_current_task_btf() : current_task();
}

/*
 * What a member of typed_current_task() holds, if that is a number: a load that the
 * verifier has seen to instead of a call, where the kernel tells it the type.
 * Not by way of pointers: to verify one of these, Linux 6.2 and later look
 * through all their types.
 */
#define TASK_READ(t, member) (typed_task ? (t)->member : BPF_CORE_READ(t, member))
