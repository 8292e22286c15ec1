/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* From a dentry and its mount to the names up to the root. */
#pragma once

#include "state.h"

/*
 * Steps up a path, to a parent or across a mount: 512. Of names of 255 bytes 33
 * fill a segment; of one letter it would take 4,096, too many for verifiers.
 */
#define STEPS_SOME 16
#define STEPS_ROUNDS 32

static __always_inline struct mount *mount_of(u64 vfsmount)
{
	return (void *)(vfsmount - bpf_core_field_offset(struct mount, mnt));
}

static __always_inline int err_or_null(u64 p)
{
	return !p || p >= (u64)-4095;
}

/*
 * One step of path_append: appends the name of s->walk.dentry and goes to its
 * parent, or crosses a mount point. Returns 1 at the end.
 */
__attribute__((noinline)) int path_step(u32 i)
{
	struct scratch *s = the_scratch();
	struct dentry *d, *parent;
	struct mount *m, *up;
	u32 len, start;
	long got;

	if (!s || i >= SEGMENTS)
		return 1;
	d = (void *)s->walk.dentry;
	m = (void *)s->walk.mnt;
	if (s->walk.root_dentry && s->walk.dentry == s->walk.root_dentry && s->walk.mnt == s->walk.root_mnt)
		s->ev.seg[i].root = s->len - s->walk.start;
	if (d == BPF_CORE_READ(m, mnt.mnt_root)) {
		up = BPF_CORE_READ(m, mnt_parent);
		if (up == m || (s->walk.end_mnt && s->walk.mnt == s->walk.end_mnt)) {
			struct mnt_namespace *ns = BPF_CORE_READ(m, mnt_ns);

			if (!ns) /* unmounted: where it was, nobody knows any more */
				s->ev.seg[i].flags |= SEG_CUT;
			else if (err_or_null((u64)ns)) /* the kernel's own */
				s->ev.seg[i].flags |= SEG_DETACHED;
			else if (BPF_CORE_READ(ns, ns.inum) != mntns_inum)
				s->ev.seg[i].flags |= SEG_OTHER_NS;
			return 1;
		}
		s->walk.dentry = (u64)BPF_CORE_READ(m, mnt_mountpoint);
		s->walk.mnt = (u64)up;
		return 0;
	}
	len = s->len;
	start = s->walk.start;
	parent = BPF_CORE_READ(d, d_parent);
	if (parent == d) {
		s->ev.seg[i].flags |= SEG_DETACHED;
		if (len != start)
			return 1;
	} else if (len == start && !BPF_CORE_READ(d, d_hash.pprev)) {
		s->ev.seg[i].flags |= SEG_DELETED;
	}
	if (len > DATA_MAX + SEGMENT_MAX - 256 || len - start > SEGMENT_MAX - 256) {
		s->ev.seg[i].flags |= SEG_CUT;
		return 1;
	}
	got = bpf_probe_read_kernel_str(&s->data[len], 256, BPF_CORE_READ(d, d_name.name));
	if (got <= 0) {
		s->ev.seg[i].flags |= SEG_CUT;
		return 1;
	}
	s->len = len + got;
	s->walk.dentry = (u64)parent;
	return parent == d;
}

/* Some steps. Returns 1 at the end. */
__attribute__((noinline)) int path_steps(u32 i)
{
	u32 n;

	for (n = 0; n < STEPS_SOME; n++)
		if (path_step(i))
			return 1;
	return 0;
}

/*
 * Appends the path of a dentry in a mount as segment i: the names from the
 * leaf up, each with its NUL, across mount points, to the root of the mount
 * namespace (a chroot does not end it). User space turns them round.
 */
__attribute__((noinline)) int path_append(u64 dentry, u64 vfsmount, u32 i)
{
	struct scratch *s = the_scratch();
	u32 n;

	if (!s || i >= SEGMENTS)
		return 0;
	s->ev.seg[i].flags = 0;
	s->ev.seg[i].root = NO_ROOT;
	if (s->len > DATA_MAX) {
		s->ev.seg[i].flags = SEG_CUT;
		return 0;
	}
	if (!dentry || !vfsmount) {
		s->ev.seg[i].flags = SEG_UNREADABLE;
		return 0;
	}
	s->walk.dentry = dentry;
	s->walk.mnt = (u64)mount_of(vfsmount);
	s->walk.start = s->len;
	for (n = 0; n < STEPS_ROUNDS; n++)
		if (path_steps(i))
			break;
	if (n == STEPS_ROUNDS)
		s->ev.seg[i].flags |= SEG_CUT;
	s->ev.seg[i].len = s->len - s->walk.start;
	return 0;
}

static __always_inline void path_append_file(struct file *f, u32 i)
{
	path_append((u64)BPF_CORE_READ(f, f_path.dentry), (u64)BPF_CORE_READ(f, f_path.mnt), i);
}

/* No descriptor, but the file that the scratch holds: an operation of io_uring has its file at hand. */
#define FD_GIVEN (-0x100000)

__attribute__((noinline)) u64 file_address(int fd)
{
	struct fdtable *table;
	struct file **fds;
	struct scratch *s;
	u64 f = 0;

	if (fd == FD_GIVEN) {
		s = the_scratch();
		return s ? s->file : 0;
	}
	table = BPF_CORE_READ(current_task(), files, fdt);
	if (fd < 0 || (u32)fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	fds = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&f, sizeof(f), &fds[fd]);
	return f;
}

static __always_inline struct file *file_of(int fd)
{
	return (void *)file_address(fd);
}

/* Whether more than one descriptor, or another thread, holds the file. */
static __always_inline int is_shared(struct file *f)
{
	struct file___v612 *old = (void *)f;

	if (bpf_core_field_exists(old->f_count))
		return BPF_CORE_READ(old, f_count.counter) > 1;
	return BPF_CORE_READ(f, f_ref.refcnt.counter) > 0;
}

/* Where a name that begins so is looked up, into s->base; zeroes if nowhere. */
__attribute__((noinline)) int base_of(u32 first, int dirfd)
{
	struct scratch *s = the_scratch();
	struct file *f;

	if (!s)
		return 0;
	s->base.dentry = s->base.mnt = 0;
	if (first == '/') {
		s->base.dentry = (u64)BPF_CORE_READ(current_task(), fs, root.dentry);
		s->base.mnt = (u64)BPF_CORE_READ(current_task(), fs, root.mnt);
	} else if (dirfd == AT_FDCWD) {
		s->base.dentry = (u64)BPF_CORE_READ(current_task(), fs, pwd.dentry);
		s->base.mnt = (u64)BPF_CORE_READ(current_task(), fs, pwd.mnt);
	} else {
		f = file_of(dirfd);
		if (f) {
			s->base.dentry = (u64)BPF_CORE_READ(f, f_path.dentry);
			s->base.mnt = (u64)BPF_CORE_READ(f, f_path.mnt);
		}
	}
	return 0;
}

/* Appends bytes that the kernel holds as segment i. */
__attribute__((noinline)) int bytes_append(u32 i, u64 from, u32 size)
{
	struct scratch *s = the_scratch();
	u32 len;

	if (!s || i >= SEGMENTS)
		return 0;
	len = s->len;
	opaque(size);
	if (len > DATA_MAX || size > SEGMENT_MAX) {
		s->ev.seg[i].flags |= SEG_CUT;
		return 0;
	}
	if (bpf_probe_read_kernel(&s->data[len], size, (void *)from)) {
		s->ev.seg[i].flags |= SEG_UNREADABLE;
		return 0;
	}
	s->ev.seg[i].len = size;
	s->len = len + size;
	return 0;
}

/* Appends a string that the kernel holds, without its NUL, as segment i. */
__attribute__((noinline)) int string_append(u32 i, u64 from)
{
	struct scratch *s = the_scratch();
	u32 len;
	long got;

	if (!s || i >= SEGMENTS)
		return 0;
	len = s->len;
	if (len > DATA_MAX) {
		s->ev.seg[i].flags |= SEG_CUT;
		return 0;
	}
	got = bpf_probe_read_kernel_str(&s->data[len], NAME_MAX_LEN, (void *)from);
	if (got <= 0) {
		s->ev.seg[i].flags |= SEG_UNREADABLE;
		return 0;
	}
	if (got == NAME_MAX_LEN)
		s->ev.seg[i].flags |= SEG_CUT;
	s->ev.seg[i].len = got - 1;
	s->len = len + got - 1;
	return 0;
}
