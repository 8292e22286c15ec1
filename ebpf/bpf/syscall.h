/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Which call it is, its arguments, and what is kept of it between entry and exit. */
#pragma once

#include "fold.h"
#include "path.h"

#if defined(__TARGET_ARCH_x86)
#define TS_COMPAT 0x0002	 /* arch/x86/include/asm/thread_info.h */
#define NR_SOCKETCALL 102	   /* i386; its arguments lie in memory, */
#define NR_OLD_MMAP 90		   /* and so do this one's */
#define X32_SYSCALL_BIT 0x40000000 /* arch/x86/include/uapi/asm/unistd.h */

static __always_inline int is_compat(struct task_struct *t, struct pt_regs *regs)
{
	/* Set for the length of a call that came by int $0x80 or 32-bit sysenter. */
	return TASK_READ(t, thread_info.status) & TS_COMPAT;
}

/* Only the lower half of the register counts: entry_64.S. */
static __always_inline long call_number(struct pt_regs *regs)
{
	return (int)regs->orig_ax;
}

static __always_inline int args_lie_in_memory(u32 index)
{
	return index == CALLS_COMPAT + NR_OLD_MMAP || (index >= CALLS_SOCKETCALL && index < CALLS_OTHER);
}

/*
 * The arguments that a 32-bit caller left in memory, where another thread can change them during the call. Returns 0
 * if they could be read.
 */
__attribute__((noinline)) int args_from_memory(u32 at)
{
	struct scratch *s = the_scratch();
	u32 in[6] = {}, i;
	int unreadable = 0;

	if (!s)
		return 0;
	if (bpf_probe_read_user(in, sizeof(in), (void *)(u64)at))
		unreadable = bpf_probe_read_user(in, 3 * sizeof(u32), (void *)(u64)at);
	for (i = 0; i < 6; i++)
		s->args[i] = in[i];
	return unreadable;
}

static __always_inline int call_args(struct scratch *s, struct pt_regs *regs, u32 index)
{
	u64 *args = s->args;

	if (!s->compat) {
		args[0] = regs->di;
		args[1] = regs->si;
		args[2] = regs->dx;
		args[3] = regs->r10;
		args[4] = regs->r8;
		args[5] = regs->r9;
	} else if (args_lie_in_memory(index)) {
		return args_from_memory(index == CALLS_COMPAT + NR_OLD_MMAP ? regs->bx : regs->cx);
	} else {
		args[0] = (u32)regs->bx;
		args[1] = (u32)regs->cx;
		args[2] = (u32)regs->dx;
		args[3] = (u32)regs->si;
		args[4] = (u32)regs->di;
		args[5] = (u32)regs->bp;
	}
	return 0;
}

/* The call that a 32-bit caller's socketcall(2) stands for. */
static __always_inline u32 socketcall_of(struct pt_regs *regs)
{
	return regs->bx;
}
#else
#define PSR_MODE32_BIT 0x00000010 /* arch/arm64/include/uapi/asm/ptrace.h */

static __always_inline int is_compat(struct task_struct *t, struct pt_regs *regs)
{
	return regs->pstate & PSR_MODE32_BIT;
}

static __always_inline long call_number(struct pt_regs *regs)
{
	return regs->syscallno;
}

static __always_inline int args_lie_in_memory(u32 index)
{
	return 0;
}

static __always_inline int call_args(struct scratch *s, struct pt_regs *regs, u32 index)
{
	u64 *args = s->args;

	args[0] = regs->orig_x0;
	args[1] = regs->regs[1];
	args[2] = regs->regs[2];
	args[3] = regs->regs[3];
	args[4] = regs->regs[4];
	args[5] = regs->regs[5];
	return 0;
}

static __always_inline u32 socketcall_of(struct pt_regs *regs)
{
	return 0;
}
#endif

static __always_inline u32 call_index(s64 nr, u32 compat, u32 socketcall)
{
#if defined(__TARGET_ARCH_x86)
	if (compat && nr == NR_SOCKETCALL)
		return CALLS_SOCKETCALL + (socketcall & 31);
#endif
	if (nr < 0)
		return CALLS_OTHER;
	if (compat)
		return nr < CALLS_X32 - CALLS_COMPAT ? CALLS_COMPAT + nr : CALLS_OTHER;
#ifdef X32_SYSCALL_BIT
	if (nr & X32_SYSCALL_BIT) {
		nr &= ~X32_SYSCALL_BIT;
		return nr < CALLS_SOCKETCALL - CALLS_X32 ? CALLS_X32 + nr : CALLS_OTHER;
	}
#endif
	return nr < CALLS_COMPAT ? nr : CALLS_OTHER;
}

static __always_inline int is_send(u32 op)
{
	return op == OP_SENDTO || op == OP_SENDMSG;
}

/* Whether it is given the address of a socket. */
static __always_inline int has_address(u32 op)
{
	return op == OP_CONNECT || op == OP_BIND || is_send(op);
}

/* Argument n of the call (from 1) that s->args holds; 0 for n = 0. */
static __always_inline u64 arg(struct scratch *s, u32 n)
{
	return n ? s->args[(n - 1) & 7] : 0;
}

static __always_inline int restarts(long ret)
{
	return ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK;
}

/*
 * A call that a signal interrupted begins again, or ends in EINTR if the
 * handler was not set up with SA_RESTART: that is decided after sys_exit.
 */
static __always_inline void count_interrupted(void)
{
	struct counters *c = the_counters();

	if (c)
		c->interrupted++;
}

/* A name in the caller's memory, to data[s->len]. Returns its length without the NUL, and above that flags of a segment. */
__attribute__((noinline)) u32 name_read(u64 from)
{
	struct scratch *s = the_scratch();
	u32 len;
	long got;

	if (!s)
		return 0;
	len = s->len;
	opaque(len);
	if (len > DATA_MAX)
		return SEG_CUT << 16;
	/* Room for a byte more than the longest name with its NUL: a name that fills it is too long. */
	got = bpf_probe_read_user_str(&s->data[len], NAME_MAX_LEN + 1, (void *)from);
	if (got < 0)
		return (from ? SEG_UNREADABLE : SEG_UNREADABLE | SEG_NONE) << 16;
	/* For an empty string it is 1, but 0 and no NUL on older kernels, such as 6.1. */
	if (got == 0) {
		s->data[len] = 0;
		return 0;
	}
	if (got == NAME_MAX_LEN + 1)
		return NAME_MAX_LEN | SEG_CUT << 16;
	return got - 1;
}

/*
 * Whether others can write to the caller's memory while the kernel copies a
 * name out of it: threads, or processes that share all of it or a part: which
 * part, older kernels do not let a program find out. A vfork's child has it
 * for itself, unless its creator has more threads than the one that waits.
 */
__attribute__((noinline)) int memory_shared_now(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct mark *m = mark_of(tgid);

	return m && (m->shares ||
		     BPF_CORE_READ(current_task(), mm, mm_users.counter) > (m->borrows == BORROWS_ALONE ? 2 : 1));
}

static __always_inline int memory_shared(void)
{
	struct scratch *s = the_scratch();

	if (!s || s->flags & SEAT_MAPPING)
		return 1;
	return s->flags & SEAT_MEMORY && memory_shared_now();
}

/* The process has memory from now on that others can write to. */
__attribute__((noinline)) int memory_shares(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct mark *m = mark_of(tgid);
	struct scratch *s = the_scratch();

	/* Other threads of the process have seats that say SEAT_MEMORY, and see the mark. */
	if (m)
		m->shares = 1;
	if (s && s->seat < SEATS)
		seat_at(s->seat)->flags |= SEAT_MAPPING;
	return 0;
}

/* Whether another thread or process can change the descriptors of the caller, whose seat has these flags. */
static __always_inline int descriptors_shared(u32 flags)
{
	return flags & SEAT_DESCRIPTORS && BPF_CORE_READ(current_task(), files, count.counter) > 1;
}

/* The descriptor that name i of the call is relative to, or AT_FDCWD. */
static __always_inline int dirfd_of(struct scratch *s, u32 i)
{
	u32 n = s->call.dir[i & 1];

	return n ? (int)arg(s, n) : AT_FDCWD;
}

/*
 * Whether a process that shares no memory with the caller can change what its
 * name is relative to, and put it back before the call is over.
 */
static __always_inline int places_shared(struct scratch *s, u32 i)
{
	struct fs_struct *fs = 0;

	if (s->flags & SEAT_FOLDER && bpf_core_field_exists(fs->users) && BPF_CORE_READ(current_task(), fs, users) > 1)
		return 1;
	return dirfd_of(s, i) != AT_FDCWD && descriptors_shared(s->flags);
}

/*
 * At exit of a call whose entry was not seen: a seccomp filter refused it, or
 * there was no room to keep its names. They are read late. And at the entry,
 * before there are any: nothing of another call stays behind in the scratch.
 */
static __always_inline void names_missed(struct scratch *s)
{
	struct flight *f = &s->flight;

	f->dentry[0] = f->dentry[1] = f->mnt[0] = f->mnt[1] = f->sock = 0;
	f->long_names = 0;
	f->hash = 0;
	f->followup = 0;
	f->len[0] = f->len[1] = 0;
	f->flags[0] = f->flags[1] = SEG_UNREADABLE;
}

/* At entry: name i of the call, to the end of data[], and the directory that it is relative to. */
__attribute__((noinline)) int name_keep(u32 i)
{
	struct scratch *s = the_scratch();
	u16 flags = 0;
	u32 got, len;

	if (!s || i > 1)
		return 0;
	if (memory_shared())
		flags = SEG_SHARED;
	else if (places_shared(s, i))
		flags = SEG_RACED; /* of an open that succeeds the file itself tells */
	got = name_read(arg(s, s->call.path[i]));
	flags |= got >> 16;
	len = s->len;
	if (s->call.base_early && !(flags & SEG_UNREADABLE) && len <= DATA_MAX) {
		base_of(s->data[len], dirfd_of(s, i));
		s->flight.dentry[i] = s->base.dentry;
		s->flight.mnt[i] = s->base.mnt;
	}
	s->flight.flags[i] = flags;
	s->flight.len[i] = got;
	s->len = len + (u16)got;
	if (!i && !(flags & SEG_UNREADABLE)) {
		s->flight.hash = data_hash((u16)got);
		s->flight.first = s->data[0];
	}
	return 0;
}

/* Keeps the names in front of data[] under that key: they are long. Returns 0 if there was room. */
__attribute__((noinline)) int long_names_keep(u64 key)
{
	struct scratch *s = the_scratch();

	if (!s || bpf_map_update_elem(&long_names, &key, s->data, BPF_ANY))
		return -1;
	s->flight.long_names = key;
	return 0;
}

#define FLIGHT_HEAD __builtin_offsetof(struct flight, names)

/* At entry: keeps the flight that the scratch holds until the exit: with its address, or that many bytes of data[], its names. */
__attribute__((noinline)) int flight_keep(u32 names)
{
	struct scratch *s = the_scratch();
	struct entry *e;

	if (!s)
		return 0;
	e = entry_make(s->seat);
	if (!e) {
		/* Without it a call that was done looks like one that never began. */
		count_map_full();
		long_names_end(s->flight.long_names);
		return 0;
	}
	__builtin_memcpy(&e->flight, &s->flight, FLIGHT_HEAD);
	opaque(names);
	if (!s->call.path[0])
		__builtin_memcpy(e->flight.names, s->flight.names, SOCKADDR_MAX);
	else if (names <= SHORT_NAMES)
		bpf_probe_read_kernel(e->flight.names, names, s->data);
	e->has = (e->has & ENTRY_SEEN) | ENTRY_FLIGHT;
	return 0;
}

/* At exit: what the entry left, to the scratch; names stay where they are. Returns what there is, enum entry_has. */
__attribute__((noinline)) u32 entry_take(void)
{
	struct scratch *s = the_scratch();
	struct entry *e;
	u32 has;

	if (!s)
		return 0;
	e = entry_find(s->seat);
	has = e ? e->has : 0;
	if (!e || !(has & ENTRY_FLIGHT)) {
		names_missed(s);
	} else {
		__builtin_memcpy(&s->flight, &e->flight, FLIGHT_HEAD);
		if (s->call.path[0])
			s->names_at = (u64)e->flight.names;
		else
			__builtin_memcpy(s->flight.names, e->flight.names, SOCKADDR_MAX);
	}
	if (e && has & ENTRY_FILES) {
		s->was[0] = e->file[0];
		s->was[1] = e->file[1];
		s->has_was = 1;
	}
	return has;
}

/* At exit: that is not needed any more. */
__attribute__((noinline)) int entry_drop(void)
{
	struct scratch *s = the_scratch();

	if (s)
		entry_end(entry_find(s->seat), s->seat, current_tid());
	return 0;
}

/*
 * At entry: the names, which nothing but the caller's memory holds, and for
 * calls that leave no object behind the directory that they are relative to.
 */
__attribute__((noinline)) int names_keep(u32 index)
{
	struct scratch *s = the_scratch();
	struct flight *f;

	if (!s)
		return 0;
	f = &s->flight;
	names_missed(s);
	f->flags[0] = f->flags[1] = 0;
	f->index = index;
	if (s->call.op == OP_PIVOT_ROOT)
		f->old_root = (u64)mount_of((u64)BPF_CORE_READ(current_task(), fs, root.mnt));
	else if (s->call.op == OP_OPEN && descriptors_shared(s->flags))
		f->begun = bpf_ktime_get_boot_ns();
	if (s->call.path[0])
		name_keep(0);
	if (s->call.path[1])
		name_keep(1);
	if (s->len > SHORT_NAMES && long_names_keep(current_tid())) {
		/* They are read again at exit, and that is said. */
		f->len[0] = f->len[1] = f->hash = s->len = 0;
		f->flags[0] = f->flags[1] = SEG_UNREADABLE;
	}
	flight_keep(f->long_names ? 0 : s->len);
	return 0;
}

/*
 * At exit: name i of the call as segment seg. What could not be read at entry
 * (the page was not in memory yet) is read now, and labelled late. Returns its length.
 */
__attribute__((noinline)) u32 name_append(u32 i, u32 seg)
{
	struct scratch *s = the_scratch();
	u32 len, at, to, got;
	struct names *names;
	u16 flags;
	u64 key;

	if (!s || i > 1 || seg >= SEGMENTS || !s->call.path[i])
		return 0;
	len = s->flight.len[i];
	at = i ? s->flight.len[0] : 0;
	to = s->len;
	flags = s->flight.flags[i];
	opaque(to);
	if (to > DATA_MAX) {
		s->ev.seg[seg].flags = SEG_CUT;
		return 0;
	}
	if (flags & SEG_UNREADABLE) {
		/* One thread alone does not rewrite the name of the call that it is in. */
		got = name_read(arg(s, s->call.path[i]));
		flags = (flags & SEG_RACED) | (memory_shared() ? SEG_LATE : 0) | got >> 16;
		len = (u16)got;
	} else if (!s->flight.long_names) {
		if (at <= SHORT_NAMES && len <= SHORT_NAMES && at + len <= SHORT_NAMES)
			bpf_probe_read_kernel(&s->data[to], len, (void *)s->names_at + at);
	} else {
		key = s->flight.long_names;
		names = bpf_map_lookup_elem(&long_names, &key);
		if (names && at <= NAME_MAX_LEN && len <= NAME_MAX_LEN)
			bpf_probe_read_kernel(&s->data[to], len, names->bytes + at);
	}
	s->ev.seg[seg].len = len;
	s->ev.seg[seg].flags = flags;
	s->len = to + len;
	return len;
}

/*
 * At exit: a hash of the first name, and of what is not certain about it. The
 * name itself need not be looked at, but where it has to be read late: then the
 * flags of segment 1 say so.
 */
__attribute__((noinline)) u64 name_key(void)
{
	struct scratch *s = the_scratch();
	u64 h;

	if (!s)
		return 0;
	s->ev.seg[1].flags = 0;
	s->len = 0;
	if (s->flight.hash)
		return s->flight.hash + s->flight.flags[0];
	name_append(0, 1);
	s->flight.first = s->len ? s->data[0] : 0;
	h = data_hash(s->len) + s->ev.seg[1].flags;
	s->len = 0;
	return h;
}

/* Whether an ioctl sets the flags of a file. */
static __always_inline int sets_flags(u32 command)
{
	return command == FS_IOC_SETFLAGS || command == FS_IOC32_SETFLAGS || command == FS_IOC_FSSETXATTR;
}

/* At entry: the files that the descriptors of the call stand for, where that can change. */
__attribute__((noinline)) int files_keep(void)
{
	struct scratch *s = the_scratch();
	struct entry *e;

	if (!s || !descriptors_shared(s->flags))
		return 0;
	if (s->call.op == OP_MMAP && s->args[3] & MAP_ANONYMOUS)
		return 0;
	if (s->call.op == OP_IOCTL && !sets_flags(s->args[1]))
		return 0;
	e = entry_make(s->seat);
	if (!e) {
		/* Without it a file that was put in another's place would pass for that. */
		count_map_full();
		return 0;
	}
	e->file[0] = e->file[1] = 0;
	if (s->call.fd)
		e->file[0] = file_address(arg(s, s->call.fd));
	if (s->call.in)
		e->file[0] = file_address(arg(s, s->call.in));
	if (s->call.out)
		e->file[1] = file_address(arg(s, s->call.out));
	e->has = (e->has & ENTRY_SEEN) | ENTRY_FILES;
	return 0;
}

/*
 * At exit: the file that the descriptor stood for at entry. Another thread may
 * have put `now` in its place; the kernel lets go of the one that it worked on
 * only after the call.
 */
static __always_inline struct file *file_at_entry(struct file *now, u32 which)
{
	struct scratch *s = the_scratch();

	return s && s->has_was ? (void *)s->was[which & 1] : now;
}
