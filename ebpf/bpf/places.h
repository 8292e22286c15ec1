/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * When a place in a table of files was last given up: a result names the place
 * that an open has filled, and by then another file may stand there.
 */
#pragma once

#include "syscall.h"

struct place {
	u64 table; /* struct files_struct or io_ring_ctx, */
	u64 nr;	   /* or all of them: */
};
#define PLACE_ALL 0xffffffff
#define RINGS_OF(files) ((files) | 1) /* or all rings of who has these files */

/* The oldest are forgotten: an open seldom takes as long as thousands of closes. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct place);
	__type(value, u64);
} vacated SEC(".maps");

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
