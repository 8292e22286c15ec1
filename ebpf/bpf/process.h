/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Birth, images and death of processes. */
#pragma once

#include "path.h"

/* arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h */
#if defined(__TARGET_ARCH_x86)
#define NR_EXECVE 59
#else
#define NR_EXECVE 221
#endif

/* The task's number at one level of PID namespaces, if the recorder lives there; else 0. */
__attribute__((noinline)) u32 pid_at_level(u64 pid, u32 level)
{
	struct upid *u = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			 level * bpf_core_type_size(struct upid);

	return BPF_CORE_READ(u, ns, ns.inum) == pidns_inum ? BPF_CORE_READ(u, nr) : 0;
}

/* The task's number in the recorder's PID namespace; 0 if it has none there. */
__attribute__((noinline)) u32 pid_in_recorders_ns(u64 pid)
{
	u32 top = BPF_CORE_READ((struct pid *)pid, level), i, nr;

	for (i = 0; i <= 32; i++) { /* MAX_PID_NS_LEVEL */
		if (i > top)
			break;
		nr = pid_at_level(pid, i);
		if (nr)
			return nr;
	}
	return 0;
}

static __always_inline u64 start_of(struct task_struct *t)
{
	return BPF_CORE_READ(t, group_leader, start_boottime);
}

/* Tells of a process in the name of the one that created it. */
static __always_inline void fork_send(struct scratch *s, const struct mark *m, struct task_struct *child)
{
	event_begin(EV_FORK, OP_NONE);
	s->ev.start = m->parent_start;
	s->ev.pid = m->parent_pid;
	s->ev.fork.start = m->start;
	s->ev.fork.pid = m->pid;
	s->ev.fork.uid = BPF_CORE_READ(child, cred, euid.val);
	s->ev.fork.gid = BPF_CORE_READ(child, cred, egid.val);
	event_send(current_tid());
}

/* What a task and one that it creates with these flags may change for each other. */
static __always_inline u32 clone_shares(u64 flags)
{
	return (flags & CLONE_VM ? SEAT_MEMORY : 0) | (flags & CLONE_FILES ? SEAT_DESCRIPTORS : 0) |
	       (flags & CLONE_FS ? SEAT_FOLDER : 0);
}

/*
 * A new task takes its creator's mark, before it can run. The creator is the
 * current task whatever CLONE_PARENT says. Unlike sched_process_fork this has
 * the flags, which tell a thread (of its group's process: no mark) and a
 * process that borrows its creator's memory.
 */
static __always_inline void on_newtask(struct task_struct *child, u64 clone_flags)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct mark *parent = mark_of(tgid), m = {};
	struct scratch *s;
	u32 child_tgid, flags;

	flags = clone_shares(clone_flags);
	if (parent && flags)
		seat_change(key_of_task(current_task()), flags, 0);
	if (clone_flags & CLONE_THREAD) {
		if (parent && seat_take(key_of_task(child), flags, parent->start, parent->pid))
			count_map_full();
		return;
	}
	if (!parent) {
		struct task_struct *t = current_task();

		if (!launcher_tid || pid_in_recorders_ns((u64)BPF_CORE_READ(t, thread_pid)) != launcher_tid)
			return;
		m.armed = 1;
		home_dentry = (u64)BPF_CORE_READ(t, fs, root.dentry);
		home_mnt = (u64)BPF_CORE_READ(t, fs, root.mnt);
		m.parent_start = start_of(t);
		m.parent_pid = pid_in_recorders_ns((u64)BPF_CORE_READ(t, group_leader, thread_pid));
	} else {
		m.armed = parent->armed;
		m.parent_start = parent->start;
		m.parent_pid = parent->pid;
		m.shares = parent->shares;
	}
	if (clone_flags & CLONE_VM)
		m.borrows = clone_flags & CLONE_VFORK ? BORROWS_ALONE : BORROWS;
	child_tgid = BPF_CORE_READ(child, tgid);
	m.pid = pid_in_recorders_ns((u64)BPF_CORE_READ(child, thread_pid));
	m.start = BPF_CORE_READ(child, start_boottime);
	flags |= (m.armed ? SEAT_ARMED : 0) | (m.shares ? SEAT_MAPPING : 0);
	if (bpf_map_update_elem(&marks, &child_tgid, &m, BPF_ANY) ||
	    seat_take(key_of_task(child), flags, m.start, m.pid)) {
		count_map_full();
		return;
	}
	__sync_fetch_and_add(&marked[child_tgid % MARKED], 1);
	if (m.armed)
		return;
	s = scratch_get(m.start, m.pid, 0);
	if (!s)
		return;
	fork_send(s, &m, child);
	scratch_put(s);
}

/*
 * The strings of the new image lie whole between arg_start and arg_end: they
 * have just been copied there and are in memory.
 */
#define ARGV_PART SEGMENT_MAX
#define ARGV_PARTS_MAX 1024 /* 8 MiB; the kernel's limit is a quarter of the stack's */

static __always_inline u32 argv_append(struct scratch *s, u32 i, u64 from, u32 left)
{
	u32 len = s->len;

	opaque(left);
	if (left > ARGV_PART)
		left = ARGV_PART;
	if (len > DATA_MAX) {
		s->ev.seg[i].flags = SEG_CUT;
		return left;
	}
	if (bpf_probe_read_user(&s->data[len], left, (void *)from)) {
		s->ev.seg[i].flags = SEG_UNREADABLE;
		return left;
	}
	s->ev.seg[i].len = left;
	s->len = len + left;
	return left;
}

/* Sends the next part of argv, of which s->args[0] bytes are sent. Returns 1 at the end. */
__attribute__((noinline)) int argv_send_part(u64 from, u32 total)
{
	struct scratch *s = the_scratch();
	u32 at;

	if (!s)
		return 1;
	at = s->args[0];
	if (at >= total)
		return 1;
	s->ev.type = EV_ARGV;
	s->ev.argv.offset = at;
	s->ev.argv.argv_len = total;
	s->ev.seg[0].len = 0;
	s->ev.seg[0].flags = 0;
	s->len = 0;
	s->args[0] = at + argv_append(s, 0, from + at, total - at);
	event_send(current_tid());
	return 0;
}

#define ARGV_SOME 32

/* Sends the next parts. Returns 1 at the end. */
__attribute__((noinline)) int argv_send_some(u64 from, u32 total)
{
	u32 i;

	for (i = 0; i < ARGV_SOME; i++)
		if (argv_send_part(from, total))
			return 1;
	return 0;
}

static __always_inline void on_exec(struct task_struct *t, u32 old_tid, struct linux_binprm *bprm)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct mark *m = mark_of(tgid);
	struct scratch *s;
	u64 from, total;
	const char *filename, *interp;
	struct entry *e;
	u32 sent, n, seat;
	u64 key;

	if (!m)
		return;
	key = key_of_task(t);
	seat = seat_if_own(key);
	/* A thread that is not the leader has just taken the leader's number. */
	e = seat < SEATS ? bpf_map_lookup_elem(&seat_entries, &seat) : bpf_map_lookup_elem(&entries, &old_tid);
	count_call(e && e->has & ENTRY_FLIGHT ? e->flight.index : NR_EXECVE, 0);
	entry_end(e, seat, old_tid);
	/* It has new memory, and descriptors of its own. */
	seat_change(key, 0, SEAT_ARMED | SEAT_MEMORY | SEAT_DESCRIPTORS | SEAT_MAPPING);
	m->armed = 0;
	m->shares = 0;
	if (m->borrows) {
		m->borrows = 0;
		m->borrowed_rss = BPF_CORE_READ(t, signal, maxrss);
	}
	s = scratch_get(m->start, m->pid, 0);
	if (!s)
		return;
	event_begin(EV_EXEC, OP_EXEC);
	s->ev.exec.parent_start = m->parent_start;
	s->ev.exec.parent_pid = m->parent_pid;
	s->ev.exec.uid = BPF_CORE_READ(t, cred, euid.val);
	s->ev.exec.gid = BPF_CORE_READ(t, cred, egid.val);
	path_append_file(BPF_CORE_READ(t, mm, exe_file), 0);
	path_append((u64)BPF_CORE_READ(t, fs, pwd.dentry), (u64)BPF_CORE_READ(t, fs, pwd.mnt), 1);
	filename = BPF_CORE_READ(bprm, filename);
	interp = BPF_CORE_READ(bprm, interp);
	string_append(2, (u64)filename);
	if (interp != filename)
		string_append(3, (u64)interp);

	from = BPF_CORE_READ(t, mm, arg_start);
	total = BPF_CORE_READ(t, mm, arg_end) - from;
	if (!capture_argv || total >= 0xffffffff) {
		s->ev.exec.argv_len = 0xffffffff;
		event_send(current_tid());
	} else {
		s->ev.exec.argv_len = total;
		sent = argv_append(s, 4, from, total);
		event_send(current_tid());
		if (sent < total) {
			__builtin_memset(s->ev.seg, 0, sizeof(s->ev.seg));
			s->args[0] = sent;
			for (n = 0; n < ARGV_PARTS_MAX; n += ARGV_SOME)
				if (argv_send_some(from, total))
					break;
		}
	}
	scratch_put(s);
}

/* The most that the task's memory held, or 0 if it is gone, in pages. */
static __always_inline u64 peak_of(struct task_struct *t)
{
	struct mm_struct *mm = BPF_CORE_READ(t, mm);
	struct mm_struct___v61 *old = (void *)mm;
	struct task_struct___v61 *old_task = (void *)t;
	u64 peak;
	s64 rss;

	if (!mm)
		return 0;
	/* MM_FILEPAGES, MM_ANONPAGES, MM_SHMEMPAGES; each may be some tens of pages off. */
	if (bpf_core_field_exists(old->rss_stat.count))
		rss = BPF_CORE_READ(old, rss_stat.count[0].counter) + BPF_CORE_READ(old, rss_stat.count[1].counter) +
		      BPF_CORE_READ(old, rss_stat.count[3].counter);
	else
		rss = BPF_CORE_READ(mm, rss_stat[0].count) + BPF_CORE_READ(mm, rss_stat[1].count) +
		      BPF_CORE_READ(mm, rss_stat[3].count);
	/* Of these, what the thread has not yet handed over to the process. */
	if (bpf_core_field_exists(old_task->rss_stat.count))
		rss += BPF_CORE_READ(old_task, rss_stat.count[0]) + BPF_CORE_READ(old_task, rss_stat.count[1]) +
		       BPF_CORE_READ(old_task, rss_stat.count[3]);
	if (rss < 0)
		rss = 0;
	peak = BPF_CORE_READ(mm, hiwater_rss);
	return peak > rss ? peak : rss;
}

/*
 * The process's peak, in pages. An exec adds the peak of the memory that it
 * leaves to signal->maxrss, and after a vfork that is the creator's memory:
 * unless the process has risen above it, what its memory holds now is nearer
 * the truth. Before Linux 6.16 that is gone by now: then what it held when the
 * process asked to exit.
 */
static __always_inline u64 max_rss_of(struct task_struct *t, struct signal_struct *sig, struct mark *m)
{
	u64 max = BPF_CORE_READ(sig, maxrss), peak;

	if (max > m->borrowed_rss)
		return max;
	peak = peak_of(t);
	return peak ? peak : m->exit_rss;
}

/* What wait(2) will report: kernel/exit.c, wait_task_zombie(). */
static __always_inline s32 exit_status(struct signal_struct *sig, struct task_struct *leader)
{
	if (BPF_CORE_READ(sig, flags) & SIGNAL_GROUP_EXIT)
		return BPF_CORE_READ(sig, group_exit_code);
	return BPF_CORE_READ(leader, exit_code);
}

static __always_inline void on_exit(struct task_struct *t)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	u32 tgid = pid_tgid >> 32;
	struct mark *found = mark_of(tgid), m;
	struct signal_struct *sig;
	struct task_struct *leader;
	struct scratch *s;
	u32 seat;
	u64 key;
	s32 status;

	/* Even if the mark is gone: of two last threads the other may have deleted it. Whoever gets this stack is no part of the run. */
	key = key_of_task(t);
	seat = seat_if_own(key);
	if (!found && seat == NO_SEAT)
		return;
	entry_end(entry_find(seat), seat, pid_tgid);
	seat_leave(key);
	if (!found)
		return;
	sig = BPF_CORE_READ(t, signal);
	if (BPF_CORE_READ(sig, live.counter) != 0)
		return;
	/* Two last threads can both find no other alive: one deletes. */
	m = *found;
	if (bpf_map_delete_elem(&marks, &tgid))
		return;
	__sync_fetch_and_add(&marked[tgid % MARKED], -1);
	leader = BPF_CORE_READ(t, group_leader);
	status = exit_status(sig, leader);
	/*
	 * The recorder's child that was never the command ends with a code. A signal
	 * ended it in an exec that had passed the point of no return, or before.
	 */
	if (m.armed && !(status & 0x7f))
		return;
	s = scratch_get(m.start, m.pid, 0);
	if (!s)
		return;
	if (m.armed)
		fork_send(s, &m, t);
	event_begin(EV_EXIT, OP_NONE);
	s->ev.exit.status = status;
	/* Threads that are gone, this one, and a leader that waits for it. */
	s->ev.exit.cpu_ns = BPF_CORE_READ(sig, sum_sched_runtime) + BPF_CORE_READ(t, se.sum_exec_runtime);
	if (leader != t)
		s->ev.exit.cpu_ns += BPF_CORE_READ(leader, se.sum_exec_runtime);
	s->ev.exit.max_rss = max_rss_of(t, sig, &m);
	if (bpf_core_field_exists(t->ioac.read_bytes)) {
		s->ev.exit.read_bytes = BPF_CORE_READ(sig, ioac.read_bytes) + BPF_CORE_READ(t, ioac.read_bytes);
		s->ev.exit.write_bytes = BPF_CORE_READ(sig, ioac.write_bytes) + BPF_CORE_READ(t, ioac.write_bytes);
		if (leader != t) {
			s->ev.exit.read_bytes += BPF_CORE_READ(leader, ioac.read_bytes);
			s->ev.exit.write_bytes += BPF_CORE_READ(leader, ioac.write_bytes);
		}
	}
	event_send(pid_tgid);
	scratch_put(s);
}
