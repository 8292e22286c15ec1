/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Where an operation that opens a file puts it: the result names a place, a
 * descriptor or one among the files that are registered with the ring, and by
 * the time that the result is seen another file may stand there.
 */
#pragma once

#include "syscall.h"
#include "uring_state.h"

/*
 * When a place in a table of files was last given up: a result names the place
 * that an open has filled, and by then another file may stand there.
 */
struct place {
	u64 table; /* struct files_struct or io_ring_ctx, */
	u64 nr;	   /* or all of them: */
};
#define PLACE_ALL 0xffffffff
#define RINGS_OF(files) ((files) | 1) /* or all rings of who has these files */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct place);
	__type(value, u64);
} vacated SEC(".maps");

/* Whether any open has been handed to io_uring: before that nobody asks. */
u32 uring_opens;

static __always_inline u64 own_files(void)
{
	return (u64)BPF_CORE_READ(current_task(), files);
}

static __always_inline void vacate(u64 table, u32 nr, u64 when)
{
	struct place p = { .table = table, .nr = nr };

	bpf_map_update_elem(&vacated, &p, &when, BPF_ANY);
}

/* Whether the place, or any, was given up after that time. */
__attribute__((noinline)) int is_vacated(u64 table, u32 nr, u64 since)
{
	struct place p = { .table = table, .nr = nr };
	u64 *when = bpf_map_lookup_elem(&vacated, &p);

	if (when && *when > since)
		return 1;
	p.nr = PLACE_ALL;
	when = bpf_map_lookup_elem(&vacated, &p);
	return when && *when > since;
}

/* A system call gives up descriptors, or changes what is registered with a ring. */
__attribute__((noinline)) int places_change(void)
{
	struct scratch *s = the_scratch();
	u64 now = bpf_ktime_get_boot_ns();

	if (!s)
		return 0;
	if (s->call.in)
		vacate(RINGS_OF(own_files()), PLACE_ALL, now);
	else
		vacate(own_files(), s->call.out ? arg(s, s->call.out) : PLACE_ALL, now);
	return 0;
}

/* So does an operation. One without a result may do so at any time from now on. */
static __always_inline void request_vacates(u64 req, u32 opcode, u64 when)
{
	struct io_close *c = (void *)req;
	u64 ctx = (u64)BPF_CORE_READ((struct io_kiocb *)req, ctx);
	u32 slot;

	if (opcode == IORING_OP_FILES_UPDATE) {
		vacate(ctx, PLACE_ALL, when);
		return;
	}
	slot = bpf_core_field_exists(c->file_slot) ? BPF_CORE_READ(c, file_slot) : 0;
	if (slot)
		vacate(ctx, slot - 1, when);
	else
		vacate(own_files(), BPF_CORE_READ(c, fd), when);
}

/* The file in a ring's table of registered ones. */
__attribute__((noinline)) u64 registered_file(u64 ctx, u32 i)
{
	struct io_ring_ctx *c = (void *)ctx;
	struct io_file_table___v612 *old;
	struct io_fixed_file *fixed;
	struct io_rsrc_node **nodes, *node = 0;
	u64 file = 0;

	old = (void *)c + bpf_core_field_offset(struct io_ring_ctx, file_table);
	if (bpf_core_field_exists(old->files)) {
		fixed = BPF_CORE_READ(old, files);
		bpf_probe_read_kernel(&file, sizeof(file), &fixed[i]);
	} else {
		if (i >= BPF_CORE_READ(c, file_table.data.nr))
			return 0;
		nodes = BPF_CORE_READ(c, file_table.data.nodes);
		bpf_probe_read_kernel(&node, sizeof(node), &nodes[i]);
		file = BPF_CORE_READ(node, file_ptr);
	}
	return file & ~FFS_MASK;
}

/* The file that an open has made, behind a descriptor or among the registered ones. */
__attribute__((noinline)) int opened_file(u32 slot, u32 res)
{
	struct scratch *s = the_scratch();
	u64 ctx;

	if (!s)
		return 0;
	if (!slot) {
		s->file = file_address(res);
		s->raced = is_vacated(own_files(), res, s->request.begun);
		return 0;
	}
	ctx = s->request.ctx;
	if (slot != IORING_FILE_INDEX_ALLOC)
		res = slot - 1;
	s->file = registered_file(ctx, res);
	s->raced = is_vacated(ctx, res, s->request.begun) ||
		   is_vacated(RINGS_OF(own_files()), PLACE_ALL, s->request.begun);
	/* If it took another's place, that one is gone now. */
	vacate(ctx, res, bpf_ktime_get_boot_ns());
	return 0;
}
