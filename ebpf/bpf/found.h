/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What a call on a name takes away leaves no object to look at when it is over, and
 * what it makes or gives another name it does not hand out. Here the object is looked
 * at before that: where the kernel asks for permission it has found it, and holds the
 * lock of its folder, so that nobody gives it another name until it is done. It takes
 * programs on functions of the kernel, which not every kernel has and not every
 * machine allows: the loader is told where there are both.
 */
#pragma once

#include "syscall.h"

/* Whether these programs are there. Set by the loader. */
const volatile u32 finds_objects;

/* Longer paths stay those of the names. */
#define FOUND_MAX 2048

struct found {
	u16 len[2]; /* bytes of the path, in the form of a segment; 0: not found */
	u16 flags[2];
	u32 nothing; /* both are the same file: the kernel does nothing, and says that it was done */
	u32 pad;
	u8 path[2][FOUND_MAX];
};

/* By tid, which alone adds and removes its own. Where there is no room the path stays that of the name. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, u32);
	__type(value, struct found);
} founds SEC(".maps");

static __always_inline int is_found(u32 op)
{
	if (!finds_objects)
		return 0;
	switch (op) {
	case OP_UNLINK: case OP_RMDIR: case OP_RENAME:
	case OP_MKDIR: case OP_MKNOD: case OP_SYMLINK: case OP_LINK:
		return 1;
	}
	return 0;
}

/* Whether its second name is one of an object, too. */
static __always_inline int finds_two(u32 op)
{
	return op == OP_RENAME || op == OP_LINK;
}

/* At entry of a call: what the objects are will be noted under its thread. Uses data[]. */
__attribute__((noinline)) int found_expect(void)
{
	struct scratch *s = the_scratch();
	u32 tid = bpf_get_current_pid_tgid();

	if (!s)
		return 0;
	__builtin_memset(s->data, 0, __builtin_offsetof(struct found, path));
	bpf_map_update_elem(&founds, &tid, s->data, BPF_ANY);
	return 0;
}

static __always_inline struct found *found_of(u32 tid)
{
	return bpf_map_lookup_elem(&founds, &tid);
}

/* Notes the path of the object that s->base holds. */
__attribute__((noinline)) int found_base(u32 which)
{
	struct found *f = found_of(bpf_get_current_pid_tgid());
	struct scratch *s = the_scratch();
	u32 len;

	if (!f || !s)
		return 0;
	which &= 1;
	s->len = 0;
	s->walk.root_dentry = s->walk.end_mnt = 0;
	path_append(s->base.dentry, s->base.mnt, 0);
	len = s->len;
	opaque(len);
	if (!len || len > FOUND_MAX || s->ev.seg[0].flags & (SEG_CUT | SEG_UNREADABLE)) {
		f->len[which] = 0; /* of an attempt before this one, if anything */
		return 0;
	}
	bpf_probe_read_kernel(f->path[which], len, s->data);
	f->flags[which] = s->ev.seg[0].flags;
	f->len[which] = len;
	return 0;
}

/*
 * The scratch, for a call that awaits objects; 0 if there is none, or if it is
 * taken: programs on functions run with preemption on, where the kernel has any.
 */
static __always_inline struct scratch *found_begin(void)
{
	struct scratch *s;

	if (!found_of(bpf_get_current_pid_tgid()))
		return 0;
	s = the_scratch();
	if (!s || s->busy)
		return 0;
	s->busy = 1;
	return s;
}

/* By way of the scratch: as an argument the verifier takes a number, and this is an address to it. */
static __always_inline void found_note(struct scratch *s, const struct path *dir, struct dentry *dentry, u32 which)
{
	s->base.dentry = (u64)dentry;
	s->base.mnt = (u64)BPF_CORE_READ(dir, mnt);
	found_base(which);
}

static __always_inline void on_found(const struct path *dir, struct dentry *dentry)
{
	struct scratch *s = found_begin();

	if (!s)
		return;
	found_note(s, dir, dentry, 0);
	scratch_put(s);
}

static __always_inline void on_rename(const struct path *from, struct dentry *old, const struct path *to, struct dentry *new)
{
	struct scratch *s = found_begin();
	struct found *f;
	u64 inode;

	if (!s)
		return;
	found_note(s, from, old, 0);
	found_note(s, to, new, 1);
	f = found_of(bpf_get_current_pid_tgid());
	inode = (u64)BPF_CORE_READ(old, d_inode);
	if (f)
		f->nothing = inode && inode == (u64)BPF_CORE_READ(new, d_inode);
	scratch_put(s);
}

static __always_inline void on_link(struct dentry *old, const struct path *dir, struct dentry *new)
{
	struct scratch *s = found_begin();

	if (!s)
		return;
	found_note(s, dir, old, 0); /* a link stays in its mount */
	found_note(s, dir, new, 1);
	scratch_put(s);
}

/* Appends object i to segment 2i, and the name it was called by to the next. Returns 1 if it could. */
__attribute__((noinline)) int found_append(u32 i)
{
	struct found *f = found_of(bpf_get_current_pid_tgid());
	struct scratch *s = the_scratch();
	u32 at, len, seg;

	i &= 1;
	seg = 2 * i;
	if (!f || !s)
		return 0;
	at = s->len;
	len = f->len[i];
	opaque(at);
	opaque(len);
	if (at > DATA_MAX || !len || len > FOUND_MAX)
		return 0;
	bpf_probe_read_kernel(&s->data[at], len, f->path[i]);
	s->ev.seg[seg].len = len;
	s->ev.seg[seg].flags = f->flags[i] | SEG_FOUND;
	s->ev.seg[seg].root = NO_ROOT;
	s->len = at + len;
	name_append(i, seg + 1);
	return 1;
}

/* What was found out. */
enum found_all {
	FOUND_NO,      /* not all objects: the names have to do */
	FOUND_ALL,
	FOUND_NOTHING, /* the call did nothing */
};

/* At exit of a call that was done: its objects, as segments, if they were found. */
__attribute__((noinline)) int found_append_all(u32 op)
{
	struct found *f = found_of(bpf_get_current_pid_tgid());
	int two = finds_two(op);

	if (!f || !f->len[0] || (two && !f->len[1]))
		return FOUND_NO;
	if (two && f->nothing)
		return FOUND_NOTHING;
	return found_append(0) && (!two || found_append(1)) ? FOUND_ALL : FOUND_NO;
}

/* At exit of the call, whatever came of it, or of the thread. */
static __always_inline void found_end(void)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (finds_objects)
		bpf_map_delete_elem(&founds, &tid);
}
