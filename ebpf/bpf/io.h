/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Bytes that go through descriptors to and from files, and files in memory. */
#pragma once

#include "message.h"

/*
 * Bytes that a call moved through a descriptor; how: MESSAGE_OUT and so on.
 * Where the bytes are is in s->io.
 */
__attribute__((noinline)) int on_moved(u32 fd, s64 bytes, u32 how)
{
	struct scratch *s = the_scratch();
	u32 raced, out = how & MESSAGE_OUT;
	struct file *f, *was;
	struct socket *socket;
	struct sock *sk;
	u16 kind;

	if (!s || bytes < 0)
		return 0;
	f = file_of(fd);
	was = file_at_entry(f, out);
	raced = was != f;
	/* Closed by another thread, or replaced: the bytes went through the first. */
	if (was)
		f = was;
	if (!f)
		return 0;
	file_copy(s, (u64)f);
	inode_copy(s);
	kind = s->seen.i_mode & S_IFMT;
	if (kind == S_IFSOCK && was) {
		socket = (void *)s->seen.private_data;
		sk = BPF_CORE_READ(socket, sk);
		s->flight.len[0] = 0;
		if (sk)
			on_message((u64)sk, bytes, how);
		return 0;
	}
	if (!bytes || (kind != S_IFREG && kind != S_IFBLK && kind != S_IFCHR))
		return 0; /* a pipe */
	dentry_copy(s);
	key_seen(s, OP_MOVE);
	s->key.f = !!out << 1 | raced;
	/* When a file was last written to tells whether somebody else has since. */
	if (fold_known(bytes, out))
		return 0;
	event_begin(EV_FILE_IO, OP_MOVE);
	s->ev.io.ino = s->seen.ino;
	s->ev.io.i_mode = s->seen.i_mode;
	if (out)
		s->ev.io.written = bytes;
	else
		s->ev.io.read = bytes;
	path_append_seen(s, 0);
	if (raced)
		s->ev.seg[0].flags |= SEG_RACED;
	fold_send();
	return 0;
}

/* A call that moves bytes from one descriptor, to one, or both. */
__attribute__((noinline)) int on_move(s64 ret)
{
	struct scratch *s = the_scratch();

	if (!s)
		return 0;
	payload_find();
	if (s->call.out)
		on_moved(arg(s, s->call.out), ret, MESSAGE_OUT);
	if (s->call.in)
		on_moved(arg(s, s->call.in), ret, message_flags(arg(s, s->call.flags)));
	return 0;
}

static __always_inline void count_anonymous_exec(void)
{
	struct counters *c = the_counters();

	if (c)
		c->anonymous_exec++;
}

/* Whether memory with this protection can be run. */
static __always_inline int makes_code(u32 prot)
{
	return prot & PROT_EXEC ||
	       (prot & PROT_READ && TASK_READ(typed_current_task(), personality) & READ_IMPLIES_EXEC);
}

/*
 * A file that was mapped to be run, or so that its bytes can be changed without
 * a call: shared, through a descriptor that is open for writing, which
 * mprotect() needs as well to make the mapping writable later.
 */
__attribute__((noinline)) int on_mmap(u32 prot, u32 flags, u32 fd)
{
	struct scratch *s = the_scratch();
	struct file *now, *f;
	u32 how = 0;

	if (!s)
		return 0;
	if (flags & MAP_ANONYMOUS) {
		if ((flags & MAP_TYPE) != MAP_PRIVATE)
			memory_shares();
		if (makes_code(prot))
			count_anonymous_exec();
		return 0;
	}
	now = file_of(fd);
	f = file_at_entry(now, 0);
	if (!f)
		return 0; /* closed by another thread */
	file_look((u64)f);
	/* Not for reading alone: every program of the C library maps some cache so. */
	if ((flags & MAP_TYPE) != MAP_PRIVATE && s->seen.f_mode & FMODE_WRITE)
		memory_shares();
	if (prot & PROT_EXEC || (makes_code(prot) && !(BPF_CORE_READ(f, f_path.mnt, mnt_flags) & MNT_NOEXEC)))
		how |= MAPPED_EXEC;
	/* What runs there need not be what the file has. */
	if (how && prot & PROT_WRITE && (flags & MAP_TYPE) == MAP_PRIVATE)
		count_anonymous_exec();
	if ((flags & MAP_TYPE) != MAP_PRIVATE && s->seen.f_mode & FMODE_WRITE)
		how |= MAPPED_SHARED;
	if (!how)
		return 0;
	key_seen(s, OP_MMAP);
	s->key.f = how | (u64)(f != now) << 32;
	if (fold_known(0, 0))
		return 0;
	event_begin(EV_MMAP, OP_MMAP);
	s->ev.file.ino = s->seen.ino;
	s->ev.file.f_mode = s->seen.f_mode;
	s->ev.file.i_mode = s->seen.i_mode;
	s->ev.file.call_flags = how;
	path_append_seen(s, 0);
	if (f != now)
		s->ev.seg[0].flags |= SEG_RACED;
	fold_send();
	return 0;
}
