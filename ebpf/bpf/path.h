/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* From a dentry and its mount to the names up to the root. */
#pragma once

#include "state.h"

/* The bytes of a struct up to the end of a member, in the running kernel. */
#define UP_TO(type, member) (bpf_core_field_offset(type, member) + bpf_core_field_size(type, member))

/*
 * Each read from the kernel's memory is a call, however little is read. So a copy
 * of the whole goes to s->bytes, from which members are taken by their relocated
 * offsets.
 */
static __always_inline void *copy_of(struct scratch *s, const void *from, u64 size)
{
	if (size > sizeof(s->bytes))
		size = sizeof(s->bytes);
	bpf_probe_read_kernel(s->bytes, size, from);
	return s->bytes;
}

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

/* The walk is at the root of its mount: it goes on where that is mounted. Returns 1 at the end. */
static __always_inline int path_cross(struct scratch *s, u32 i)
{
	struct mount *m = (void *)s->walk.mnt, *up;
	struct mnt_namespace *ns;

	up = BPF_CORE_READ(m, mnt_parent);
	if (up != m && !(s->walk.end_mnt && s->walk.mnt == s->walk.end_mnt)) {
		s->walk.dentry = (u64)BPF_CORE_READ(m, mnt_mountpoint);
		s->walk.mnt = (u64)up;
		s->walk.top = (u64)BPF_CORE_READ(up, mnt.mnt_root);
		return 0;
	}
	ns = BPF_CORE_READ(m, mnt_ns);
	if (!ns) /* unmounted: where it was, nobody knows any more */
		s->ev.seg[i].flags |= SEG_CUT;
	else if (err_or_null((u64)ns)) /* the kernel's own */
		s->ev.seg[i].flags |= SEG_DETACHED;
	else if (BPF_CORE_READ(ns, ns.inum) != mntns_inum)
		s->ev.seg[i].flags |= SEG_OTHER_NS;
	return 1;
}

/* Appends the name of s->walk.dentry, of which this is known, and goes to its parent. Returns 1 at the end. */
static __always_inline int name_step(struct scratch *s, u32 i, u64 parent, u32 unhashed, u64 name)
{
	u32 len = s->len, start = s->walk.start;
	int last = parent == s->walk.dentry;
	long got;

	if (last) {
		s->ev.seg[i].flags |= SEG_DETACHED;
		if (len != start)
			return 1;
	} else if (len == start && unhashed) {
		s->ev.seg[i].flags |= SEG_DELETED;
	}
	if (len > DATA_MAX + SEGMENT_MAX - 256 || len - start > SEGMENT_MAX - 256) {
		s->ev.seg[i].flags |= SEG_CUT;
		return 1;
	}
	got = bpf_probe_read_kernel_str(&s->data[len], 256, (void *)name);
	if (got <= 0) {
		s->ev.seg[i].flags |= SEG_CUT;
		return 1;
	}
	s->len = len + got;
	s->walk.dentry = parent;
	return last;
}

/*
 * One step of path_append: appends the name of s->walk.dentry and goes to its
 * parent, or crosses a mount point. Returns 1 at the end.
 */
__attribute__((noinline)) int path_step(u32 i)
{
	struct scratch *s = the_scratch();
	struct dentry *copy;

	if (!s || i >= SEGMENTS)
		return 1;
	if (s->walk.root_dentry && s->walk.dentry == s->walk.root_dentry && s->walk.mnt == s->walk.root_mnt)
		s->ev.seg[i].root = s->len - s->walk.start;
	if (s->walk.dentry == s->walk.top)
		return path_cross(s, i);
	copy = copy_of(s, (void *)s->walk.dentry, UP_TO(struct dentry, d_name));
	return name_step(s, i, (u64)copy->d_parent, !copy->d_hash.pprev, (u64)copy->d_name.name);
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
 * The paths of the folders that were looked up last, on each CPU: most files are in
 * one of few. Like `folds`, a path is good until a name moves.
 */
#define FOLDERS 64
#define FOLDER_MAX 256

struct folder {
	u64 dentry, mnt, parent, hash_len, inode; /* the folder */
	u64 moves; /* when it was looked up */
	u16 len;   /* bytes of its path, in the form of a segment */
	u16 flags; /* of a segment */
	u32 pad;
	u8 path[FOLDER_MAX];
};

struct folders {
	struct folder of[FOLDERS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct folders);
} folders SEC(".maps");

/* The place of the folder that the walk has come to. */
static __always_inline struct folder *folder_at(u64 dentry)
{
	u32 zero = 0;
	struct folders *all = bpf_map_lookup_elem(&folders, &zero);

	return all ? &all->of[(dentry * 0x9e3779b97f4a7c15ULL >> 58) & (FOLDERS - 1)] : 0;
}

/*
 * The walk has come to a folder: appends the rest of the path if it is known,
 * and leaves what a segment says of it in s->walk.flags. Returns 1 then; else
 * the place in which it can be kept is made ready for it.
 */
__attribute__((noinline)) int folder_known(void)
{
	struct scratch *s = the_scratch();
	struct folder *f;
	struct dentry *d;
	u32 len, at;

	if (!s)
		return 0;
	f = folder_at(s->walk.dentry);
	if (!f)
		return 0;
	d = copy_of(s, (void *)s->walk.dentry, UP_TO(struct dentry, d_inode));
	at = s->len;
	len = f->len;
	opaque(at);
	opaque(len);
	if (f->dentry == s->walk.dentry && f->mnt == s->walk.mnt && f->moves == s->walk.moves &&
	    f->parent == (u64)d->d_parent && f->hash_len == d->d_name.hash_len && f->inode == (u64)d->d_inode && len) {
		if (at > DATA_MAX || len > FOLDER_MAX)
			return 0;
		s->walk.flags = f->flags;
		bpf_probe_read_kernel(&s->data[at], len, f->path);
		s->len = at + len;
		return 1;
	}
	f->len = 0;
	f->dentry = s->walk.dentry;
	f->mnt = s->walk.mnt;
	f->moves = s->walk.moves;
	f->parent = (u64)d->d_parent;
	f->hash_len = d->d_name.hash_len;
	f->inode = (u64)d->d_inode;
	return 0;
}

/* Keeps the path of the folder at which the walk came by, from data[at] to the end. */
static __always_inline void folder_keep(struct scratch *s, u64 dentry, u32 at, u16 flags)
{
	struct folder *f = folder_at(dentry);
	u32 len = s->len - at;

	opaque(at);
	opaque(len);
	if (!f || f->dentry != dentry || flags & SEG_CUT || at > DATA_MAX || !len || len > FOLDER_MAX)
		return;
	bpf_probe_read_kernel(f->path, len, &s->data[at]);
	f->len = len;
	f->flags = flags;
}

static __always_inline u16 seg_flags(struct scratch *s, u32 i)
{
	opaque(i);
	return i < SEGMENTS ? s->ev.seg[i].flags : 0;
}

/* Begins a walk for segment i. Returns 0 if there is a way to go. */
static __always_inline int walk_begin(struct scratch *s, u64 dentry, u64 vfsmount, u32 i)
{
	s->ev.seg[i].flags = 0;
	s->ev.seg[i].root = NO_ROOT;
	if (s->len > DATA_MAX) {
		s->ev.seg[i].flags = SEG_CUT;
		return -1;
	}
	if (!dentry || !vfsmount) {
		s->ev.seg[i].flags = SEG_UNREADABLE;
		return -1;
	}
	s->walk.moves = moves;
	if (s->walk.last_mnt != vfsmount || s->walk.last_moves != s->walk.moves) {
		s->walk.last_top = (u64)BPF_CORE_READ((struct vfsmount *)vfsmount, mnt_root);
		s->walk.last_mnt = vfsmount;
		s->walk.last_moves = s->walk.moves;
	}
	s->walk.top = s->walk.last_top;
	s->walk.dentry = dentry;
	s->walk.mnt = (u64)mount_of(vfsmount);
	s->walk.start = s->len;
	return 0;
}

/*
 * Appends the path of a dentry in a mount as segment i: the names from the
 * leaf up, each with its NUL, across mount points, to the root of the mount
 * namespace (a chroot does not end it). User space turns them round. What
 * s->seen has of the dentry, if it is of that, is not read again.
 */
__attribute__((noinline)) int path_append_of(u64 dentry, u64 vfsmount, u32 i, u32 seen)
{
	struct scratch *s = the_scratch();
	u64 folder = 0;
	u32 n, at = 0, seg = i;
	u16 leaf = 0;
	int end;

	if (!s || i >= SEGMENTS || walk_begin(s, dentry, vfsmount, i))
		return 0;
	s->walk.flags = 0;
	/* Where the walk depends on more than the file, folders are walked each time. */
	if (dentry != s->walk.top && !s->walk.root_dentry && !s->walk.end_mnt) {
		if (seen)
			end = name_step(s, i, s->seen.parent, s->seen.unhashed, s->seen.name);
		else
			end = path_step(i);
		if (end || folder_known())
			goto out;
		folder = s->walk.dentry;
		at = s->len;
		leaf = seg_flags(s, i);
	}
	for (n = 0; n < STEPS_ROUNDS; n++)
		if (path_steps(i))
			break;
	if (n == STEPS_ROUNDS)
		s->walk.flags = SEG_CUT;
	if (folder)
		folder_keep(s, folder, at, (seg_flags(s, i) & ~leaf) | s->walk.flags);
out:
	/* Older verifiers lose sight of the number in the calls. */
	opaque(seg);
	if (seg >= SEGMENTS)
		return 0;
	s->ev.seg[seg].flags |= s->walk.flags;
	s->ev.seg[seg].len = s->len - s->walk.start;
	return 0;
}

static __always_inline void path_append(u64 dentry, u64 vfsmount, u32 i)
{
	path_append_of(dentry, vfsmount, i, 0);
}

static __always_inline void path_append_file(struct file *f, u32 i)
{
	path_append((u64)BPF_CORE_READ(f, f_path.dentry), (u64)BPF_CORE_READ(f, f_path.mnt), i);
}

/* No descriptor, but the file that the scratch holds: an operation of io_uring has its file at hand. */
#define FD_GIVEN (-0x100000)

__attribute__((noinline)) u64 file_address(int fd)
{
	struct scratch *s = the_scratch();
	struct fdtable *table;
	u64 f = 0;

	if (!s)
		return 0;
	if (fd == FD_GIVEN)
		return s->file;
	table = copy_of(s, BPF_CORE_READ(current_task(), files, fdt), UP_TO(struct fdtable, fd));
	if (fd < 0 || (u32)fd >= table->max_fds)
		return 0;
	bpf_probe_read_kernel(&f, sizeof(f), &table->fd[fd]);
	return f;
}

static __always_inline struct file *file_of(int fd)
{
	return (void *)file_address(fd);
}

/* What the kernel has of a file, in three parts, to s->seen: the opening, */
static __always_inline void file_copy(struct scratch *s, u64 file)
{
	struct file *f = copy_of(s, (void *)file, bpf_core_type_size(struct file));
	struct file___v612 *old = (void *)f;

	s->seen.dentry = (u64)f->f_path.dentry;
	s->seen.mnt = (u64)f->f_path.mnt;
	s->seen.inode = (u64)f->f_inode;
	s->seen.private_data = (u64)f->private_data;
	s->seen.f_mode = f->f_mode;
	s->seen.f_flags = f->f_flags;
	if (bpf_core_field_exists(old->f_count))
		s->seen.shared = old->f_count.counter > 1;
	else
		s->seen.shared = f->f_ref.refcnt.counter > 0;
}

/* the place, */
static __always_inline void dentry_copy(struct scratch *s)
{
	struct dentry *d = copy_of(s, (void *)s->seen.dentry, UP_TO(struct dentry, d_name));

	s->seen.parent = (u64)d->d_parent;
	s->seen.hash_len = d->d_name.hash_len;
	s->seen.name = (u64)d->d_name.name;
	s->seen.unhashed = !d->d_hash.pprev;
}

/* and the file itself. */
static __always_inline void inode_copy(struct scratch *s)
{
	struct inode *inode = copy_of(s, (void *)s->seen.inode, UP_TO(struct inode, i_ino));

	s->seen.i_mode = inode->i_mode;
	s->seen.ino = inode->i_ino;
}

/* All of them. */
__attribute__((noinline)) int file_look(u64 file)
{
	struct scratch *s = the_scratch();

	if (!s)
		return 0;
	file_copy(s, file);
	dentry_copy(s);
	inode_copy(s);
	return 0;
}

/* The process's root and working directory, to s->folder. */
static __always_inline void folder_look(struct scratch *s)
{
	struct fs_struct *fs = BPF_CORE_READ(current_task(), fs);

	fs = copy_of(s, fs, UP_TO(struct fs_struct, pwd));
	s->folder.root_dentry = (u64)fs->root.dentry;
	s->folder.root_mnt = (u64)fs->root.mnt;
	s->folder.dentry = (u64)fs->pwd.dentry;
	s->folder.mnt = (u64)fs->pwd.mnt;
}

/* The key of a file at its place, by which op on it is folded; from s->seen. */
static __always_inline void key_seen(struct scratch *s, u32 op)
{
	s->key.a = s->seen.dentry;
	s->key.b = s->seen.mnt;
	s->key.c = s->seen.parent;
	s->key.d = s->seen.hash_len;
	s->key.e = s->seen.ino;
	s->key.f = 0;
	s->key.op = op | (u32)s->seen.unhashed << 8;
	s->key.err = 0;
}

/* Appends the path of the file that s->seen is of as segment i. */
static __always_inline void path_append_seen(struct scratch *s, u32 i)
{
	path_append_of(s->seen.dentry, s->seen.mnt, i, 1);
}

/* Where a name that begins so is looked up, into s->base; zeroes if nowhere. */
__attribute__((noinline)) int base_of(u32 first, int dirfd)
{
	struct scratch *s = the_scratch();
	struct file *f;

	if (!s)
		return 0;
	s->base.dentry = s->base.mnt = 0;
	if (first == '/' || dirfd == AT_FDCWD) {
		folder_look(s);
		s->base.dentry = first == '/' ? s->folder.root_dentry : s->folder.dentry;
		s->base.mnt = first == '/' ? s->folder.root_mnt : s->folder.mnt;
	} else {
		f = file_of(dirfd);
		if (f) {
			f = copy_of(s, f, UP_TO(struct file, f_path));
			s->base.dentry = (u64)f->f_path.dentry;
			s->base.mnt = (u64)f->f_path.mnt;
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
