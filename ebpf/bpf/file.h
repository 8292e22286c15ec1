/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Calls on names of files, at their exit. */
#pragma once

#include "found.h"

/* The flags that a call opens a file with. */
static __always_inline u32 open_flags(struct scratch *s)
{
	u32 flags = arg(s, s->call.flags);

	if (s->call.flags_at) /* struct open_how */
		bpf_probe_read_user(&flags, sizeof(flags), (void *)arg(s, s->call.flags));
	return flags;
}

/* Whether an open takes the folder for the root folder. */
static __always_inline int opens_in_root(struct scratch *s)
{
	u64 how[3] = {}; /* struct open_how: flags, mode, resolve */

	if (s->call.flags_at)
		bpf_probe_read_user(how, sizeof(how), (void *)arg(s, s->call.flags));
	return how[2] & RESOLVE_IN_ROOT;
}

/* Where the file is comes from the file itself; what was asked for stands beside it. */
__attribute__((noinline)) int on_open(int fd, u32 flags)
{
	struct scratch *s = the_scratch();
	struct file *file = file_of(fd);
	u32 late, shared, alone;

	if (!s)
		return 0;
	if (!file) {
		/* Closed by another thread before the call had returned. */
		event_begin(EV_OPEN, s->call.op);
		name_append(0, 1);
		s->ev.seg[0].flags = SEG_UNREADABLE;
		event_send(current_tid());
		return 0;
	}
	file_copy(s, (u64)file);
	dentry_copy(s);
	/* The place tells one file from another, where it is one. */
	if (s->seen.unhashed)
		inode_copy(s);
	else
		s->seen.ino = s->seen.inode;
	key_seen(s, s->call.op);
	s->key.e += name_key();
	late = s->ev.seg[1].flags;
	/* The file's own flags do not tell that it was truncated. */
	s->key.f = (u64)s->seen.f_mode << 32 | s->seen.f_flags | (flags & O_TRUNC);
	/*
	 * A file that this call has just opened has one holder. If it has more,
	 * another thread may have put it in the place of the one opened.
	 */
	shared = s->seen.shared || s->raced;
	/* Every creation is told: the file may have been deleted in between. */
	alone = shared || s->seen.f_mode & FMODE_CREATED;
	/* When a file was last emptied tells whether somebody else has changed it since. */
	if (!alone && fold_known(0, flags & O_TRUNC))
		return 0;

	event_begin(EV_OPEN, s->call.op);
	inode_copy(s);
	s->ev.file.call_flags = flags;
	s->ev.file.f_mode = s->seen.f_mode;
	s->ev.file.f_flags = s->seen.f_flags;
	s->ev.file.i_mode = s->seen.i_mode;
	s->ev.file.ino = s->seen.ino;
	path_append_seen(s, 0);
	name_append(0, 1);
	s->ev.seg[1].flags |= late;
	if (shared)
		s->ev.seg[0].flags |= SEG_RACED;
	if (alone)
		event_send(current_tid());
	else
		fold_send();
	return 0;
}

/* Appends the base directory of name i, which begins so, and says if it was another at entry. */
static __always_inline void base_append(struct scratch *s, u32 i, u32 first, u32 seg)
{
	u64 dentry = s->flight.dentry[i], mnt = s->flight.mnt[i];
	u16 raced = SEG_RACED;

	s->walk.end_mnt = s->call.op == OP_PIVOT_ROOT ? s->flight.old_root : 0;
	base_of(s->in_root ? 0 : first, dirfd_of(s, i));
	/* Where ".." stops climbing. */
	if (s->in_root) {
		s->walk.root_dentry = s->base.dentry;
		s->walk.root_mnt = (u64)mount_of(s->base.mnt);
	} else {
		folder_look(s);
		s->walk.root_dentry = s->folder.root_dentry;
		s->walk.root_mnt = (u64)mount_of(s->folder.root_mnt);
	}
	if (!s->call.base_early || !dentry || (s->base.dentry == dentry && s->base.mnt == mnt)) {
		dentry = s->base.dentry;
		mnt = s->base.mnt;
		raced = 0;
	}
	path_append(dentry, mnt, seg);
	s->ev.seg[seg].flags |= raced;
	s->walk.root_dentry = s->walk.end_mnt = 0;
}

/*
 * Appends name i and, before it, its base directory, to segments 2i + 1 and 2i.
 * Where the path will begin, the name comes first: it says where to look.
 */
__attribute__((noinline)) int named_append(u32 i)
{
	struct scratch *s = the_scratch();
	u32 at, seg, len;

	if (!s)
		return 0;
	i &= 1; /* older verifiers follow this better than a comparison */
	seg = 2 * i;
	at = s->len;
	opaque(at);
	if (at > DATA_MAX)
		at = DATA_MAX;
	len = name_append(i, seg + 1);
	s->len = at;
	base_append(s, i, len ? s->data[at] : 0, seg);
	name_append(i, seg + 1);
	return 0;
}

/* Folds a failure by its one name. Returns 1 if it was told before. */
__attribute__((noinline)) int failure_known(s32 ret)
{
	struct scratch *s = the_scratch();
	struct dentry *d;
	u64 name;

	if (!s)
		return 0;
	name = name_key();
	base_of(!s->in_root ? s->flight.first : 0, dirfd_of(s, 0));
	folder_look(s);
	s->key.a = s->base.dentry;
	s->key.b = s->base.mnt;
	d = copy_of(s, (void *)s->base.dentry, UP_TO(struct dentry, d_name));
	s->key.c = (u64)d->d_parent;
	s->key.d = d->d_name.hash_len;
	/* The process's root ends what ".." climbs. */
	s->key.e = name + s->folder.root_mnt;
	s->key.f = s->folder.root_dentry;
	s->key.op = s->ev.op | s->in_root << 8;
	s->key.err = ret;
	return fold_known(0, 0);
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
static __always_inline int leads_to_descriptor(struct scratch *s)
{
	u32 flags = arg(s, s->call.flags), op = s->call.op;

	if (op < OP_LINK || op > OP_XATTR || s->call.nofollow)
		return 0;
	if (op == OP_LINK ? !(flags & AT_SYMLINK_FOLLOW) : flags & AT_SYMLINK_NOFOLLOW)
		return 0;
	folder_look(s);
	return s->folder.root_dentry == home_dentry && s->folder.root_mnt == home_mnt &&
	       BPF_CORE_READ(current_task(), files) == BPF_CORE_READ(current_task(), group_leader, files);
}

/*
 * A call on a name after which no object tells the path: it made or took away
 * a name, changed what has one, or failed. The name stands in segment 1 (and
 * 3) and its base directory in 0 (and 2).
 */
static __always_inline void on_named(struct scratch *s, s32 ret)
{
	int two = s->call.path[1], fails_alone = ret < 0 && !two, found;
	struct file *file = 0;

	if (!ret && is_found(s->ev.op)) {
		found = found_append_all(s->ev.op);
		if (found == FOUND_NOTHING)
			return;
		if (found == FOUND_ALL) {
			if (s->ev.op == OP_SYMLINK)
				named_append(1); /* what it says */
			event_send(current_tid());
			return;
		}
		s->ev.seg[0].len = s->ev.seg[0].flags = s->ev.seg[1].len = s->ev.seg[1].flags = 0;
	}
	/* Look-ups that fail repeat in great numbers: fold them. */
	if (fails_alone && failure_known(ret))
		return;
	s->len = 0;
	/* Those that follow a link to the file itself. */
	if (!ret && leads_to_descriptor(s)) {
		name_append(0, 1);
		file = file_of(fd_of_name(s->len));
		s->len = 0;
	}
	if (file) {
		path_append_file(file, 0);
		s->ev.seg[1].len = s->ev.seg[1].flags = 0;
	} else {
		named_append(0);
	}
	if (two)
		named_append(1);
	if (fails_alone)
		fold_send();
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

/* ioctl, which may set the flags of a file. */
__attribute__((noinline)) int on_ioctl(s64 ret)
{
	struct scratch *s = the_scratch();

	if (!s || ret || !sets_flags(s->args[1]))
		return 0;
	event_begin(EV_FILE_OP, OP_FLAGS);
	on_descriptor(s, s->args[0]);
	return 0;
}

/* The end of an operation on a name or an open file. */
__attribute__((noinline)) int on_file_op(s64 ret)
{
	struct scratch *s = the_scratch();
	u32 flags;

	if (!s)
		return 0;
	if (restarts(ret)) {
		count_interrupted();
		return 0;
	}
	event_begin(EV_FILE_OP, s->call.op);
	flags = arg(s, s->call.flags);
	if (s->ev.op == OP_UNLINK && flags & AT_REMOVEDIR)
		s->ev.op = OP_RMDIR;
	s->ev.file.call_flags = flags;
	s->ev.err = ret < 0 ? ret : 0;
	if (!ret && (s->ev.op == OP_UNLINK || s->ev.op == OP_RMDIR))
		__sync_fetch_and_add(&moves, 1); /* renames: sys_exit */
	if (s->call.path[0])
		on_named(s, ret);
	else
		on_descriptor(s, arg(s, s->call.fd));
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
	got = bpf_probe_read_user_str(&s->data[len], NAME_MAX_LEN + 1, (void *)p);
	if (got < 0) {
		s->ev.seg[2].flags |= SEG_UNREADABLE;
		return 1;
	}
	if (got == 0) { /* An empty string, on older kernels, without its NUL. */
		s->data[len] = 0;
		got = 1;
	}
	if (got == NAME_MAX_LEN + 1)
		s->ev.seg[2].flags |= SEG_CUT;
	s->len = len + got;
	return 0;
}

/* Up to eight of them, from `at` on. Returns 1 at the end. */
__attribute__((noinline)) int args_append(u64 at, u32 pointer_size)
{
	u32 i;

	for (i = 0; i < 8; i++)
		if (arg_append(at + i * pointer_size, pointer_size))
			return 1;
	return 0;
}

/* An exec that failed: the old image is still there, and so are the strings. */
__attribute__((noinline)) int on_exec_failed(s64 ret)
{
	struct scratch *s = the_scratch();
	u32 size, start, i;
	u64 argv, more = 0;

	if (!s)
		return 0;
	if (restarts(ret)) {
		count_interrupted();
		return 0;
	}
	event_begin(EV_EXEC_FAILED, OP_EXEC);
	s->ev.file.call_flags = s->flags & SEAT_ARMED;
	s->ev.err = ret;
	named_append(0);

	/* argv is the argument after the name. */
	argv = arg(s, s->call.path[0] + 1);
	size = s->compat ? 4 : 8;
	start = s->len;
	/* NULL stands for no arguments. */
	for (i = 0; capture_argv && argv && i < ARGS_FAILED_MAX; i += 8)
		if (args_append(argv + i * size, size))
			break;
	if (i == ARGS_FAILED_MAX && (bpf_probe_read_user(&more, s->compat ? 4 : 8, (void *)argv + i * size) || more))
		s->ev.seg[2].flags |= SEG_CUT;
	s->ev.seg[2].len = s->len - start;
	event_send(current_tid());
	return 0;
}
