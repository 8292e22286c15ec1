// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The hooks. tp_btf programs see the arguments of a tracepoint with their
 * types, need neither tracefs nor kprobes, and see 32-bit calls too, which
 * the tracepoints of single system calls do not. Those on io_uring are raw_tp:
 * see uring_tellers.
 */
#include "process.h"
#include "file.h"
#include "io.h"
#include "listen.h"
#include "places.h"
#include "uring.h"

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/task_newtask")
int BPF_PROG(task_newtask, struct task_struct *child, u64 clone_flags)
{
	on_newtask(child, clone_flags);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(sched_process_exec, struct task_struct *t, int old_pid, struct linux_binprm *bprm)
{
	on_exec(t, old_pid, bprm);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *t)
{
	found_end();
	on_exit(t);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int oldstate, int newstate)
{
	on_sock_state(sk, oldstate, newstate, STREAM_STATE);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state_again, struct sock *sk, int oldstate, int newstate)
{
	on_sock_state(sk, oldstate, newstate, STREAM_STATE_AGAIN);
	return 0;
}

/* Before a name is made, taken away, or exchanged: see found.h. */

SEC("fentry/security_path_unlink")
int BPF_PROG(security_path_unlink, const struct path *dir, struct dentry *dentry)
{
	on_found(dir, dentry);
	return 0;
}

SEC("fentry/security_path_rmdir")
int BPF_PROG(security_path_rmdir, const struct path *dir, struct dentry *dentry)
{
	on_found(dir, dentry);
	return 0;
}

SEC("fentry/security_path_mkdir")
int BPF_PROG(security_path_mkdir, const struct path *dir, struct dentry *dentry)
{
	on_found(dir, dentry);
	return 0;
}

SEC("fentry/security_path_mknod")
int BPF_PROG(security_path_mknod, const struct path *dir, struct dentry *dentry)
{
	on_found(dir, dentry);
	return 0;
}

SEC("fentry/security_path_symlink")
int BPF_PROG(security_path_symlink, const struct path *dir, struct dentry *dentry)
{
	on_found(dir, dentry);
	return 0;
}

SEC("fentry/security_path_link")
int BPF_PROG(security_path_link, struct dentry *old, const struct path *dir, struct dentry *new)
{
	on_link(old, dir, new);
	return 0;
}

SEC("fentry/security_path_rename")
int BPF_PROG(security_path_rename, const struct path *from, struct dentry *old, const struct path *to, struct dentry *new)
{
	on_rename(from, old, to, new);
	return 0;
}

/*
 * What came of an operation is told by one program for all tracepoints of
 * io_uring that it may come to, so that it is verified once. Such programs have
 * to be of one type and, unlike tp_btf, of one kind of arguments.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} uring_tellers SEC(".maps");

SEC("raw_tp")
int io_uring_tell(void *ctx)
{
	uring_tell();
	uring_told();
	return 0;
}

/* Has the operation told that the scratch holds, if there is one. */
static __always_inline void tell_if(void *ctx, u64 req, s64 res)
{
	struct scratch *s = the_scratch();

	if (!req || !s)
		return;
	s->req = req;
	s->res = res;
	bpf_tail_call(ctx, &uring_tellers, 0);
	/* Not reached: the loader fills the table before it attaches, and keeps it until it has detached. */
	count_unseen(URING_UNKNOWN);
	uring_told();
}

SEC("raw_tp/io_uring_submit_req")
int io_uring_submit_req(u64 *args)
{
	u64 req = args[0];

	tell_if(args, uring_begin(req) ? req : 0, -EIOCBQUEUED);
	return 0;
}

/* The name and form of the one above before Linux 6.4. */
SEC("raw_tp/io_uring_submit_sqe")
int io_uring_submit_sqe(u64 *args)
{
	u64 first = args[0], second = args[1], req;

	/* Else clang chooses between the addresses, which the verifier does not let it. */
	opaque(first);
	opaque(second);
	req = uring_submit_arg ? second : first;
	tell_if(args, uring_begin(req) ? req : 0, -EIOCBQUEUED);
	return 0;
}

SEC("raw_tp/io_uring_req_failed")
int io_uring_req_failed(u64 *args)
{
	uring_refused(args[1]);
	return 0;
}

SEC("raw_tp/io_uring_complete")
int io_uring_complete(u64 *args)
{
	u64 ctx = args[0], req = args[1], user_data;
	struct io_kiocb *r = (void *)req;
	struct io_uring_cqe *cqe;
	s32 res;

	if (uring_results == RESULT_BY_DATA) {
		user_data = req;
		req = 0;
		res = args[2];
	} else if (uring_results == RESULT_IN_ARGS) {
		user_data = args[2];
		res = args[3];
	} else if (req) {
		/* The third argument is in the ring already, where the process can change it. */
		user_data = BPF_CORE_READ(r, cqe.user_data);
		res = BPF_CORE_READ(r, cqe.res);
	} else {
		cqe = (void *)args[2];
		user_data = BPF_CORE_READ(cqe, user_data);
		res = BPF_CORE_READ(cqe, res);
	}
	tell_if(args, uring_end(ctx, req, user_data, res), res);
	return 0;
}

/* A result that found no room in its ring, and so does not come to io_uring_complete. */
SEC("raw_tp/io_uring_cqe_overflow")
int io_uring_cqe_overflow(void *args)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct mark *m = mark_of(tgid);

	if (m && !m->armed)
		count_unseen(URING_UNKNOWN);
	return 0;
}

/* Calls on descriptors alone, behind which other threads may put other files meanwhile. */
static __always_inline int has_descriptors(const struct call *call)
{
	return call->op != OP_CLOSE && (call->in || call->out || call->fd);
}

/* Whether on_file_op() tells what came of the call. */
static __always_inline int is_file_op(const struct call *call, long ret)
{
	if (call->fd)
		return 1;
	return call->path[0] && call->op != OP_EXEC && !(call->op == OP_OPEN && ret >= 0);
}

static __always_inline void count_answered(void)
{
	struct counters *c = the_counters();

	if (c)
		c->answered++;
}

static __always_inline void count_shared_args(void)
{
	struct counters *c = the_counters();

	if (c)
		c->shared_args++;
}

/* Whether a filter, or a process that traces this one, may tell it that a call was done that never began. */
static __always_inline int may_be_answered(struct task_struct *t)
{
	return TASK_READ(t, ptrace) ||
	       (bpf_core_field_exists(t->seccomp) && TASK_READ(t, seccomp.mode) == SECCOMP_MODE_FILTER);
}

/*
 * Whether the call never began: then its entry did not come by. Of calls that
 * keep something at their entry that can always be told.
 */
static __always_inline int answered(struct task_struct *t, const struct call *call, u32 has)
{
	if (has & ENTRY_FLIGHT)
		return 0;
	if (call->path[0] || call->op == OP_CONNECT || call->op == OP_BIND)
		return 1;
	return call->op != OP_CLOSE && may_be_answered(t) && !(has & ENTRY_SEEN);
}

/* Whether a call of that number does nothing but be counted, by whatever ABI it comes. */
static __always_inline int is_quiet(u32 nr)
{
#if defined(__TARGET_ARCH_x86)
	if (nr == NR_SOCKETCALL)
		return 0;
#endif
	opaque(nr);
	return nr < CALLS_X32 - CALLS_COMPAT && calls[nr].op == OP_NONE && calls[CALLS_COMPAT + nr].op == OP_NONE;
}

/* The seat that the current thread may have, if it is recorded; 0 if it is not. */
static __always_inline struct seat *seat_look(u64 key)
{
	struct seat *seat = seat_at(seat_of(key));

	return seat->thread == key || seat->others ? seat : 0;
}

/* A recorded thread. */
struct caller {
	u32 seat;  /* or NO_SEAT */
	u32 flags; /* enum seat_flags */
	u64 start; /* of its process, as in struct mark */
	u32 pid;
};

/* The current thread, which may have that seat, or none. Returns 0 if it is not recorded. */
static __always_inline int caller_find(struct caller *c, struct seat *seat, u64 key)
{
	struct mark *m;
	u32 tgid;

	if (seat->thread == key) {
		c->seat = seat_of(key);
		c->flags = seat->flags;
		c->start = seat->start;
		c->pid = seat->pid;
		return 1;
	}
	tgid = bpf_get_current_pid_tgid() >> 32;
	m = mark_of(tgid);
	if (!m)
		return 0;
	c->seat = NO_SEAT;
	c->flags = SEAT_SHARES | (m->armed ? SEAT_ARMED : 0);
	c->start = m->start;
	c->pid = m->pid;
	return 1;
}

/* At the entry of a call that does not return. */
__attribute__((noinline)) int no_return(u32 index)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct mark *m = mark_of(tgid);

	count_call(index, 0);
	if (m && m->borrowed_rss)
		m->exit_rss = peak_of(current_task());
	return 0;
}

/* The call that the scratch holds begins; unread: its arguments are not there yet. */
__attribute__((noinline)) int call_begin(u32 index, u32 unread)
{
	struct scratch *s = the_scratch();

	if (!s)
		return 0;
	if (unread)
		args_missed(index);
	else if (s->call.path[0]) {
		names_keep(index);
		if (is_found(s->call.op))
			found_expect();
	}
	else if (s->call.op == OP_CLOSE)
		places_change();
	else if (has_address(s->call.op))
		address_keep();
	else
		files_keep();
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(sys_enter, struct pt_regs *regs, long nr)
{
	u64 key = thread_key(regs);
	struct seat *seat = seat_look(key);
	int on_descriptors, gives_up;
	const struct call *call;
	struct task_struct *t;
	struct caller c;
	struct scratch *s;
	struct entry *e;
	u32 compat, index;

	key_learn(key);
	if (!seat || is_quiet(nr) || !caller_find(&c, seat, key))
		return 0;
	t = typed_current_task();
	compat = is_compat(t, regs);
	index = call_index((int)nr, compat, socketcall_of(regs));
	call = call_row(index);
	if (!call || call->op == OP_NONE || (c.flags & SEAT_ARMED && call->op != OP_EXEC))
		return 0;
	if (call->op == OP_NO_RETURN) {
		no_return(index);
		return 0;
	}
	if (call->op != OP_CLOSE && call->op != OP_FORK && may_be_answered(t)) {
		e = entry_make(c.seat);
		if (e)
			e->has = ENTRY_SEEN;
		else
			count_map_full();
	}
	/* Of a place where an open may find room while another thread gives it up. */
	gives_up = call->op == OP_CLOSE && !call->in && descriptors_shared(c.flags);
	on_descriptors = has_descriptors(call);
	if (!gives_up && !call->path[0] && !has_address(call->op) && (!on_descriptors || !descriptors_shared(c.flags)))
		return 0;
	s = scratch_get(c.start, c.pid, call);
	if (!s)
		return 0;
	s->compat = compat;
	s->seat = c.seat;
	s->flags = c.flags;
	call_begin(index, call_args(s, regs, index));
	scratch_put(s);
	return 0;
}

/*
 * rename, renameat, renameat2, mount, umount2, pivot_root, move_mount,
 * mount_setattr: calls that may give a file another path. Everybody's calls
 * come through here, so it is but a few comparisons.
 */
static __always_inline int may_move_names(struct pt_regs *regs, long nr)
{
	switch (nr & 0x3fffffff) { /* x32 sets a higher bit */
#if defined(__TARGET_ARCH_x86)
	case 82: case 264: case 316: case 165: case 166: case 155:
#else
	case 38: case 276: case 40: case 39: case 41:
#endif
	case 429: case 442:
		return 1;
#if defined(__TARGET_ARCH_x86)
	case 38: case 302: case 353: case 21: case 22: case 52: case 217: /* i386 */
#else
	case 329: case 382: case 21: case 52: case 218: /* arm */
#endif
		return is_compat(typed_current_task(), regs);
	}
	return 0;
}

/* What came of the call that the scratch holds, and whose entry left that: enum entry_has. */
__attribute__((noinline)) int call_end(s64 ret, u32 index, u32 has)
{
	struct scratch *s = the_scratch();

	opaque(index);
	if (!s)
		return 0;
	if (args_lie_in_memory(index) && memory_shared())
		count_shared_args();
	if (has_address(s->call.op) && (!(has & ENTRY_FLIGHT) || s->flight.flags[0] & SEG_UNREADABLE))
		address_late();
	if (is_file_op(&s->call, ret)) {
		s->in_root = opens_in_root(s);
		on_file_op(ret);
		if (is_found(s->call.op))
			found_end();
		return 0;
	}
	switch (s->call.op) {
	case OP_OPEN:
		if (ret < 0) /* open_by_handle_at() has no name to fail with */
			break;
		/* Has another thread put its own file there, and let go of it elsewhere? */
		s->raced = s->flight.begun && is_vacated(own_files(), ret, s->flight.begun);
		on_open(ret, open_flags(s));
		break;
	case OP_EXEC:
		if (ret < 0)
			on_exec_failed(ret);
		break;
	case OP_CONNECT:
		on_connect(ret);
		break;
	case OP_SENDTO:
	case OP_SENDMSG:
		on_send(ret);
		break;
	case OP_MOVE:
		on_move(ret);
		break;
	case OP_RECVFROM:
	case OP_RECVMSG:
		on_received(ret);
		break;
	case OP_SENDMMSG:
	case OP_RECVMMSG:
		on_mmsg(s, ret, s->call.op == OP_SENDMMSG ? MESSAGE_OUT : message_flags(arg(s, s->call.flags)));
		break;
	case OP_SOCKET:
		on_socket(ret);
		break;
	case OP_BIND:
		on_bind(ret);
		break;
	case OP_LISTEN:
		on_listen(ret);
		break;
	case OP_ACCEPT:
		on_accept(ret);
		break;
	case OP_MMAP:
		if (ret >= 0 || ret < -4095)
			on_mmap(s->args[2], s->args[3], s->args[4]);
		break;
	case OP_SHARE:
		if (ret >= 0 || ret < -4095)
			memory_shares();
		break;
	case OP_CLOSE:
		places_change();
		break;
	case OP_MPROTECT:
		if (!ret && makes_code(s->args[2]))
			count_anonymous_exec();
		break;
	case OP_IOCTL:
		on_ioctl(ret);
		break;
	}
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_exit, struct pt_regs *regs, long ret)
{
	long nr = call_number(regs);
	u64 key = thread_key(regs);
	struct seat *seat = seat_look(key);
	u32 index, compat, has;
	const struct call *call;
	struct task_struct *t;
	struct caller c;
	struct scratch *s;
	struct entry *e;

	if (may_move_names(regs, nr))
		__sync_fetch_and_add(&moves, 1);
	if (!seat || !caller_find(&c, seat, key))
		return 0;
	/* Read anew: all that the verifier has found out about the number above leads to nothing below. */
	opaque(regs);
	nr = call_number(regs);
	t = typed_current_task();
	compat = is_compat(t, regs);
	index = call_index(nr, compat, socketcall_of(regs));
	call = call_row(index);
	if (!call)
		return 0;
	if (call->op == OP_NONE) { /* most calls */
		if (!(c.flags & SEAT_ARMED) && nr >= 0)
			count_call(index, ret);
		return 0;
	}
	if (call->op == OP_NO_RETURN || (call->op == OP_FORK && !ret))
		return 0; /* the child, which comes out of a call that its parent made */
	/* An exec that succeeded is counted there: on x86 an execveat comes out as an execve. */
	if (!(c.flags & SEAT_ARMED) && nr >= 0 && !(call->op == OP_EXEC && !ret))
		count_call(index, ret);
	if (c.flags & SEAT_ARMED && call->op != OP_EXEC)
		return 0;
	if ((call->op == OP_CLOSE && !uring_opens) || call->op == OP_FORK)
		return 0;
	s = scratch_get(c.start, c.pid, call);
	if (!s)
		return 0;
	s->compat = compat;
	s->seat = c.seat;
	s->flags = c.flags;
	call_args(s, regs, index);
	has = entry_take();
	if (ret >= 0 && call->op != OP_EXEC && answered(t, call, has))
		count_answered();
	else
		call_end(ret, index, has);
	if (has && (e = seat_entry(c.seat)) && !s->flight.long_names)
		e->has = 0;
	else if (has)
		entry_drop();
	scratch_put(s);
	return 0;
}
