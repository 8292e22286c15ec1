/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Which call it is, its arguments, and what is kept of it between entry and exit. */
#pragma once

#include "process.h"

#if defined(__TARGET_ARCH_x86)
#define TS_COMPAT 0x0002	 /* arch/x86/include/asm/thread_info.h */
#define NR_SOCKETCALL 102	   /* i386; its arguments lie in memory, */
#define NR_OLD_MMAP 90		   /* and so do this one's */
#define X32_SYSCALL_BIT 0x40000000 /* arch/x86/include/uapi/asm/unistd.h */

static __always_inline int is_compat(struct pt_regs *regs)
{
	/* Set for the length of a call that came by int $0x80 or 32-bit sysenter. */
	return BPF_CORE_READ(current_task(), thread_info.status) & TS_COMPAT;
}

/* Only the lower half of the register counts: entry_64.S. */
static __always_inline long call_number(struct pt_regs *regs)
{
	return (int)regs->orig_ax;
}

static __always_inline void call_args(struct pt_regs *regs, u32 index, int compat, u64 *args)
{
	int socketcall = index >= CALLS_SOCKETCALL && index < CALLS_OTHER;

	if (socketcall || index == CALLS_COMPAT + NR_OLD_MMAP) {
		u32 in[6] = {}, i, at = socketcall ? regs->cx : regs->bx;

		/* They lie in memory, where another thread can change them during the call. */
		if (bpf_probe_read_user(in, sizeof(in), (void *)(u64)at))
			bpf_probe_read_user(in, 3 * sizeof(u32), (void *)(u64)at);
		for (i = 0; i < 6; i++)
			args[i] = in[i];
	} else if (compat) {
		args[0] = (u32)regs->bx;
		args[1] = (u32)regs->cx;
		args[2] = (u32)regs->dx;
		args[3] = (u32)regs->si;
		args[4] = (u32)regs->di;
		args[5] = (u32)regs->bp;
	} else {
		args[0] = regs->di;
		args[1] = regs->si;
		args[2] = regs->dx;
		args[3] = regs->r10;
		args[4] = regs->r8;
		args[5] = regs->r9;
	}
}
#else
#define PSR_MODE32_BIT 0x00000010 /* arch/arm64/include/uapi/asm/ptrace.h */

static __always_inline int is_compat(struct pt_regs *regs)
{
	return regs->pstate & PSR_MODE32_BIT;
}

static __always_inline long call_number(struct pt_regs *regs)
{
	return regs->syscallno;
}

static __always_inline void call_args(struct pt_regs *regs, u32 index, int compat, u64 *args)
{
	args[0] = regs->orig_x0;
	args[1] = regs->regs[1];
	args[2] = regs->regs[2];
	args[3] = regs->regs[3];
	args[4] = regs->regs[4];
	args[5] = regs->regs[5];
}
#endif

static __always_inline u32 call_index(struct pt_regs *regs, long nr, int compat)
{
#if defined(__TARGET_ARCH_x86)
	if (compat && nr == NR_SOCKETCALL)
		return CALLS_SOCKETCALL + (regs->bx & 31);
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

/* A name in the caller's memory, to data[s->len]. Returns its length without the NUL. */
static __always_inline u32 name_read(struct scratch *s, u64 from, u16 *flags)
{
	u32 len = s->len;
	long got;

	opaque(len);
	if (len > DATA_MAX) {
		*flags |= SEG_CUT;
		return 0;
	}
	/* Room for a byte more than the longest name with its NUL: a name that fills it is too long. */
	got = bpf_probe_read_user_str(&s->data[len], NAME_MAX_LEN + 1, (void *)from);
	if (got < 0) {
		*flags |= from ? SEG_UNREADABLE : SEG_UNREADABLE | SEG_NONE;
		return 0;
	}
	/* For an empty string it is 1, but 0 and no NUL on older kernels, such as 6.1. */
	if (got == 0) {
		s->data[len] = 0;
		return 0;
	}
	if (got == NAME_MAX_LEN + 1)
		*flags |= SEG_CUT;
	return got - 1;
}

/*
 * Whether others can write to the caller's memory while the kernel copies a
 * name out of it: threads, or processes that share all of it or a part: which
 * part, older kernels do not let a program find out. A vfork's child has it
 * for itself, unless its creator has more threads than the one that waits.
 */
static __always_inline int memory_shared(struct mark *m)
{
	struct mm_struct *mm = BPF_CORE_READ(current_task(), mm);
	int users = BPF_CORE_READ(mm, mm_users.counter);

	return m->shares || users > (m->borrows == BORROWS_ALONE ? 2 : 1);
}

/* Whether another thread or process can change the caller's descriptors. */
static __always_inline int descriptors_shared(void)
{
	return BPF_CORE_READ(current_task(), files, count.counter) > 1;
}

/*
 * Whether a process that shares no memory with the caller can change what its
 * name is relative to, and put it back before the call is over.
 */
static __always_inline int places_shared(struct scratch *s, struct call *call, u32 i)
{
	struct fs_struct *fs = BPF_CORE_READ(current_task(), fs);

	if (bpf_core_field_exists(fs->users) && BPF_CORE_READ(fs, users) > 1)
		return 1;
	return call->dir[i & 1] && (int)arg(s, call->dir[i & 1]) != AT_FDCWD && descriptors_shared();
}

/*
 * At entry: the names, which nothing but the caller's memory holds, and for
 * calls that leave no object behind the directory that they are relative to.
 */
static __always_inline void names_keep(struct scratch *s, struct call *call, struct mark *m, u32 index)
{
	struct flight *f = &s->flight;
	u32 tid = current_tid(), total, slot_no;
	u16 shared = memory_shared(m) ? SEG_SHARED : 0;
	struct slot *slot;
	int i;

	f->slot = NO_SLOT;
	f->followup = 0;
	f->index = index;
	f->sock = 0;
	if (call->op == OP_PIVOT_ROOT)
		f->sock = (u64)mount_of((u64)BPF_CORE_READ(current_task(), fs, root.mnt));
	else if (call->op == OP_OPEN && descriptors_shared())
		f->sock = bpf_ktime_get_boot_ns();
	s->len = 0;
	for (i = 0; i < 2; i++) {
		f->dentry[i] = f->mnt[i] = 0;
		f->len[i] = f->flags[i] = 0;
		if (!call->path[i])
			continue;
		f->flags[i] = shared;
		if (!shared && call->base_early && places_shared(s, call, i))
			f->flags[i] = SEG_RACED;
		f->len[i] = name_read(s, arg(s, call->path[i]), &f->flags[i]);
		if (call->base_early && !(f->flags[i] & SEG_UNREADABLE) && s->len <= DATA_MAX)
			base_of(&s->data[s->len], call->dir[i] ? (int)arg(s, call->dir[i]) : AT_FDCWD,
				&f->dentry[i], &f->mnt[i]);
		s->len += f->len[i];
	}
	total = s->len;
	if (total <= SHORT_NAMES) {
		bpf_probe_read_kernel(f->names, total, s->data);
	} else if (!bpf_map_pop_elem(&free_slots, &slot_no)) {
		slot = bpf_map_lookup_elem(&slots, &slot_no);
		if (slot && total <= sizeof(slot->names)) {
			bpf_probe_read_kernel(slot->names, total, s->data);
			f->slot = slot_no;
		}
	} else {
		/* No slot free: they are read again at exit, and that is said. */
		f->len[0] = f->len[1] = 0;
		f->flags[0] = f->flags[1] = SEG_UNREADABLE;
	}
	if (bpf_map_update_elem(&flights, &tid, f, BPF_ANY)) {
		/* No room: if the call succeeds, it looks as if it had not been made. */
		count_map_full();
		if (f->slot != NO_SLOT) {
			slot_no = f->slot;
			bpf_map_push_elem(&free_slots, &slot_no, BPF_ANY);
		}
	}
}

/*
 * At exit of a call whose entry was not seen: a seccomp filter refused it, or
 * there was no room to keep its names. They are read late.
 */
static __always_inline void names_missed(struct scratch *s)
{
	struct flight *f = &s->flight;

	f->dentry[0] = f->dentry[1] = f->mnt[0] = f->mnt[1] = f->sock = 0;
	f->slot = NO_SLOT;
	f->followup = 0;
	f->len[0] = f->len[1] = 0;
	f->flags[0] = f->flags[1] = SEG_UNREADABLE;
}

/*
 * At exit: name i of the call as segment seg. What could not be read at entry
 * (the page was not in memory yet) is read now, and labelled late.
 */
static __always_inline void name_append(struct scratch *s, struct flight *f, struct call *call, u32 i, u32 seg)
{
	u32 len = f->len[i & 1], at = i ? f->len[0] : 0, to = s->len;
	u16 flags = f->flags[i & 1];
	struct slot *slot;

	if (!call->path[i & 1])
		return;
	opaque(to);
	if (to > DATA_MAX) {
		s->ev.seg[seg].flags = SEG_CUT;
		return;
	}
	if (flags & SEG_UNREADABLE) {
		/* One thread alone does not rewrite the name of the call that it is in. */
		struct mark *m = the_mark();

		flags = (flags & SEG_RACED) | (m && memory_shared(m) ? SEG_LATE : 0);
		len = name_read(s, arg(s, call->path[i & 1]), &flags);
	} else if (f->slot == NO_SLOT) {
		if (at <= SHORT_NAMES && len <= SHORT_NAMES && at + len <= SHORT_NAMES)
			bpf_probe_read_kernel(&s->data[to], len, f->names + at);
	} else {
		slot = bpf_map_lookup_elem(&slots, &f->slot);
		if (slot && at <= NAME_MAX_LEN && len <= NAME_MAX_LEN)
			bpf_probe_read_kernel(&s->data[to], len, slot->names + at);
	}
	s->ev.seg[seg].len = len;
	s->ev.seg[seg].flags = flags;
	s->len = to + len;
}

/* At entry: the files that the descriptors of the call stand for, where that can change. */
static __always_inline void movement_keep(struct scratch *s, struct call *call)
{
	u32 tid = current_tid();
	struct movement mv = {};

	if (!descriptors_shared())
		return;
	if (call->fd)
		mv.file[0] = (u64)file_of(arg(s, call->fd));
	if (call->in)
		mv.file[0] = (u64)file_of(arg(s, call->in));
	if (call->out)
		mv.file[1] = (u64)file_of(arg(s, call->out));
	/* Without it a file that was put in another's place would pass for that. */
	if (bpf_map_update_elem(&movements, &tid, &mv, BPF_ANY))
		count_map_full();
}

/*
 * At exit: the file that the descriptor stood for at entry. Another thread may
 * have put `now` in its place; the kernel lets go of the one that it worked on
 * only after the call.
 */
static __always_inline struct file *file_at_entry(struct file *now, u32 which)
{
	u32 tid = current_tid();
	struct movement *mv = bpf_map_lookup_elem(&movements, &tid);

	return mv ? (void *)mv->file[which & 1] : now;
}
