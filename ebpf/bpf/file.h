/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Calls on names of files, at their exit. */
#pragma once

#include "syscall.h"

/* The flags that a call opens a file with. */
static __always_inline u32 open_flags(struct scratch *s, struct call *call)
{
	u32 flags = call->flags ? arg(s, call->flags) : 0;

	if (call->flags_at) /* struct open_how */
		bpf_probe_read_user(&flags, sizeof(flags), (void *)arg(s, call->flags));
	return flags;
}

/* Where the file is comes from the file itself; what was asked for stands beside it. */
static __always_inline void on_open(struct scratch *s, struct flight *f, struct call *call, struct mark *m, int fd,
				    u32 flags)
{
	struct file *file = file_of(fd);
	struct dentry *d;
	struct inode *inode;
	u32 at, shared, alone;

	event_begin(s, EV_OPEN, call->op, m);
	if (!file) {
		/* Closed by another thread before the call had returned. */
		s->ev.seg[0].flags = SEG_UNREADABLE;
		name_append(s, f, call, 0, 1);
		event_send(current_tid());
		return;
	}
	d = BPF_CORE_READ(file, f_path.dentry);
	inode = BPF_CORE_READ(file, f_inode);
	s->ev.file.call_flags = flags;
	s->ev.file.f_mode = BPF_CORE_READ(file, f_mode);
	s->ev.file.f_flags = BPF_CORE_READ(file, f_flags);
	s->ev.file.i_mode = BPF_CORE_READ(inode, i_mode);
	s->ev.file.ino = BPF_CORE_READ(inode, i_ino);

	name_append(s, f, call, 0, 1);
	s->key.a = (u64)d;
	s->key.b = (u64)BPF_CORE_READ(file, f_path.mnt);
	s->key.c = (u64)BPF_CORE_READ(d, d_parent);
	s->key.d = BPF_CORE_READ(d, d_name.hash_len);
	s->key.e = data_hash(s->ev.seg[1].len) + s->ev.seg[1].flags + s->ev.file.ino;
	/* The file's own flags do not tell that it was truncated. */
	s->key.f = (u64)s->ev.file.f_mode << 32 | s->ev.file.f_flags | (flags & O_TRUNC);
	s->key.op = call->op | (u32)!BPF_CORE_READ(d, d_hash.pprev) << 8;
	s->key.err = 0;
	/*
	 * A file that this call has just opened has one holder. If it has more,
	 * another thread may have put it in the place of the one opened.
	 */
	shared = is_shared(file) || s->raced;
	/* Every creation is told: the file may have been deleted in between. */
	alone = shared || s->ev.file.f_mode & FMODE_CREATED;
	if (!alone && fold_known(s, 0, 0))
		return;

	/* Segments go out in order: the path first, then the name again. */
	at = s->ev.seg[1].flags;
	s->len = 0;
	path_append_file(file, 0);
	name_append(s, f, call, 0, 1);
	s->ev.seg[1].flags |= at;
	if (shared)
		s->ev.seg[0].flags |= SEG_RACED;
	if (alone)
		event_send(current_tid());
	else
		fold_send(s);
}

/* Appends the base directory of name i, and says if it was another at entry. */
static __always_inline void base_append(struct scratch *s, struct flight *f, struct call *call, u32 i, const u8 *name,
					u32 seg)
{
	struct task_struct *t = current_task();
	u64 dentry = 0, mnt = 0;

	/* Where ".." stops climbing. */
	s->walk.root_dentry = (u64)BPF_CORE_READ(t, fs, root.dentry);
	s->walk.root_mnt = (u64)mount_of((u64)BPF_CORE_READ(t, fs, root.mnt));
	s->walk.end_mnt = call->op == OP_PIVOT_ROOT ? f->sock : 0;
	base_of(name, call->dir[i & 1] ? (int)arg(s, call->dir[i & 1]) : AT_FDCWD, &dentry, &mnt);
	if (call->base_early && f->dentry[i & 1] && (dentry != f->dentry[i & 1] || mnt != f->mnt[i & 1])) {
		path_append(f->dentry[i & 1], f->mnt[i & 1], seg);
		s->ev.seg[seg].flags |= SEG_RACED;
	} else {
		path_append(dentry, mnt, seg);
	}
	s->walk.root_dentry = s->walk.end_mnt = 0;
}

/* The descriptor that path i is relative to, or AT_FDCWD. */
static __always_inline int dirfd_of(struct scratch *s, struct call *call, u32 i)
{
	return call->dir[i & 1] ? (int)arg(s, call->dir[i & 1]) : AT_FDCWD;
}

/* Folds a failure by its one name. Returns 1 if it was told before. */
static __always_inline int failure_known(struct scratch *s, struct flight *f, struct call *call, long ret)
{
	u64 dentry = 0, mnt = 0;

	name_append(s, f, call, 0, 1);
	base_of(s->data, dirfd_of(s, call, 0), &dentry, &mnt);
	s->key.a = dentry;
	s->key.b = mnt;
	s->key.c = (u64)BPF_CORE_READ((struct dentry *)dentry, d_parent);
	s->key.d = BPF_CORE_READ((struct dentry *)dentry, d_name.hash_len);
	s->key.e = data_hash(s->len) + s->ev.seg[1].flags;
	s->key.f = s->ev.seg[1].len;
	s->key.op = s->ev.op;
	s->key.err = ret;
	return fold_known(s, 0, 0);
}

/*
 * The descriptor that the name in front of data[] stands for: "/proc/self/fd/N"
 * is how programs hand an open file to a call that takes names. -1 if none.
 */
__attribute__((noinline)) int fd_of_name(u32 len)
{
	static const char prefix[14] = "/proc/self/fd/";
	struct scratch *s = the_scratch();
	u32 i, fd = 0;
	u8 c;

	if (!s || len <= sizeof(prefix) || len > sizeof(prefix) + 7)
		return -1;
	for (i = 0; i < sizeof(prefix) + 7; i++) {
		if (i >= len)
			break;
		c = s->data[i];
		if (i < sizeof(prefix)) {
			if (c != (u8)prefix[i])
				return -1;
			continue;
		}
		if (c < '0' || c > '9')
			return -1;
		fd = fd * 10 + c - '0';
	}
	return fd;
}

/*
 * Whether a name of that form is what it says: /proc is the recorder's, the
 * folder is not one in a jail, and the thread has the descriptors of its
 * process. And the call follows the link to the file.
 */
static __always_inline int leads_to_descriptor(struct scratch *s, struct call *call)
{
	struct task_struct *t = current_task();
	u32 flags = call->flags ? arg(s, call->flags) : 0;

	if (call->op < OP_LINK || call->op > OP_XATTR || call->nofollow)
		return 0;
	if (call->op == OP_LINK ? !(flags & AT_SYMLINK_FOLLOW) : flags & AT_SYMLINK_NOFOLLOW)
		return 0;
	return (u64)BPF_CORE_READ(t, fs, root.dentry) == home_dentry && (u64)BPF_CORE_READ(t, fs, root.mnt) == home_mnt &&
	       BPF_CORE_READ(t, files) == BPF_CORE_READ(t, group_leader, files);
}

/*
 * A call on a name after which no object tells the path: it made or took away
 * a name, changed what has one, or failed. The name stands in segment 1 (and
 * 3) and its base directory in 0 (and 2).
 */
static __always_inline void on_named(struct scratch *s, struct flight *f, struct call *call, long ret)
{
	struct file *file = 0;
	u32 at;

	/* Look-ups that fail repeat in great numbers: fold them. */
	if (ret < 0 && !call->path[1] && failure_known(s, f, call, ret))
		return;
	s->len = 0;
	/*
	 * base_append looks at the first byte of the name, which is what it
	 * has in front: put the name where the path will begin.
	 */
	name_append(s, f, call, 0, 1);
	/* Those that follow a link to the file itself. */
	if (!ret && leads_to_descriptor(s, call))
		file = file_of(fd_of_name(s->len));
	s->len = 0;
	if (file) {
		path_append_file(file, 0);
		s->ev.seg[1].len = s->ev.seg[1].flags = 0;
	} else {
		base_append(s, f, call, 0, s->data, 0);
		name_append(s, f, call, 0, 1);
	}
	if (call->path[1]) {
		at = s->len;
		name_append(s, f, call, 1, 3);
		if (at > DATA_MAX)
			at = DATA_MAX;
		s->len = at;
		base_append(s, f, call, 1, &s->data[at], 2);
		name_append(s, f, call, 1, 3);
	}
	if (ret < 0 && !call->path[1])
		fold_send(s);
	else
		event_send(current_tid());
}

/* A call on a file that is open: its path stands in segment 0, and there is no name. */
static __always_inline void on_descriptor(struct scratch *s, int fd)
{
	struct file *now = file_of(fd), *file = file_at_entry(now, 0);

	if (!file)
		return; /* EBADF: nothing was reached */
	path_append_file(file, 0);
	if (file != now)
		s->ev.seg[0].flags |= SEG_RACED;
	event_send(current_tid());
}

/* Whether an ioctl sets the flags of a file. */
static __always_inline int sets_flags(u32 command)
{
	return command == FS_IOC_SETFLAGS || command == FS_IOC32_SETFLAGS || command == FS_IOC_FSSETXATTR;
}

/*
 * The end of an operation on a name or an open file, from its row of `calls`
 * and its result. Its names are kept by tid, or, with a tid of 0, stand in the
 * scratch. A function of its own (not static) so that the verifier goes
 * through it once; what it needs it looks up again.
 */
__attribute__((noinline)) int file_op_exit(u32 index, s64 ret, u32 tid)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct call *call = bpf_map_lookup_elem(&calls, &index);
	struct mark *m = bpf_map_lookup_elem(&marks, &tgid);
	struct flight *f = tid ? bpf_map_lookup_elem(&flights, &tid) : 0;
	struct scratch *s = the_scratch();
	u32 flags;

	if (!s || !call || !m)
		return 0;
	if (!f)
		f = &s->flight; /* names_missed(), or an operation of io_uring */
	if (restarts(ret)) {
		count_interrupted();
		return 0;
	}
	event_begin(s, EV_FILE_OP, call->op, m);
	flags = call->flags ? arg(s, call->flags) : 0;
	if (s->ev.op == OP_UNLINK && flags & AT_REMOVEDIR)
		s->ev.op = OP_RMDIR;
	s->ev.file.call_flags = flags;
	s->ev.err = ret < 0 ? ret : 0;
	if (!ret && (s->ev.op == OP_UNLINK || s->ev.op == OP_RMDIR))
		__sync_fetch_and_add(&moves, 1); /* renames: sys_exit */
	if (call->path[0])
		on_named(s, f, call, ret);
	else
		on_descriptor(s, arg(s, call->fd));
	return 0;
}

#define ARGS_FAILED_MAX 64

/* Appends the argument whose pointer lies at `at` to segment 2. Returns 1 at the end. */
__attribute__((noinline)) int arg_append(u64 at, u32 pointer_size)
{
	struct scratch *s = the_scratch();
	u64 p = 0;
	u32 len;
	long got;

	if (!s)
		return 1;
	if (bpf_probe_read_user(&p, pointer_size == 4 ? 4 : 8, (void *)at)) {
		s->ev.seg[2].flags |= SEG_UNREADABLE;
		return 1;
	}
	if (!p)
		return 1;
	len = s->len;
	if (len > DATA_MAX) {
		s->ev.seg[2].flags |= SEG_CUT;
		return 1;
	}
	got = bpf_probe_read_user_str(&s->data[len], NAME_MAX_LEN, (void *)p);
	if (got < 0) {
		s->ev.seg[2].flags |= SEG_UNREADABLE;
		return 1;
	}
	if (got == 0) { /* An empty string, on older kernels, without its NUL. */
		s->data[len] = 0;
		got = 1;
	}
	if (got == NAME_MAX_LEN)
		s->ev.seg[2].flags |= SEG_CUT;
	s->len = len + got;
	return 0;
}

/* An exec that failed: the old image is still there, and so are the strings. */
static __always_inline void on_exec_failed(struct scratch *s, struct flight *f, struct call *call, struct mark *m,
					   long ret, int compat)
{
	u32 size = compat ? 4 : 8, start, i;
	u64 argv;

	if (restarts(ret)) {
		count_interrupted();
		return;
	}
	event_begin(s, EV_EXEC_FAILED, OP_EXEC, m);
	s->ev.file.call_flags = m->armed;
	s->ev.err = ret;
	name_append(s, f, call, 0, 1);
	s->len = 0;
	base_append(s, f, call, 0, s->data, 0);
	name_append(s, f, call, 0, 1);

	/* argv is the argument after the name. */
	argv = arg(s, call->path[0] + 1);
	start = s->len;
	for (i = 0; capture_argv && i < ARGS_FAILED_MAX; i++)
		if (arg_append(argv + i * size, size))
			break;
	if (i == ARGS_FAILED_MAX)
		s->ev.seg[2].flags |= SEG_CUT;
	s->ev.seg[2].len = s->len - start;
	event_send(current_tid());
}
