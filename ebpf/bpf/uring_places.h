/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Where an operation that opens a file puts it: behind a descriptor, or among
 * the files that are registered with the ring.
 */
#pragma once

#include "places.h"
#include "uring_state.h"

/*
 * Whether any open has been handed to io_uring: before that nobody asks what
 * operations give up, and of system calls the entry says enough.
 */
u32 uring_opens;

/* As places_change(), by an operation. One without a result may do so at any time from now on. */
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
