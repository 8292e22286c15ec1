/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Which threads are recorded, told in a few instructions: every system call of
 * every process on the machine comes by.
 *
 * A thread is known by where the registers of its calls lie, at the upper end of
 * its kernel stack: the hooks on calls have that address without asking for
 * anything. A recorded one has a seat, found by a hash of the address, from
 * before it runs until it exits. One that finds its seat taken does without:
 * that is noted at the seat, and it is looked for by its number.
 */
#pragma once

#include "event.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

enum seat_flags {
	SEAT_ARMED = 1 << 0, /* not the command yet: say nothing */
	/* It has shared this, or has been made to: others may change it during its calls. */
	SEAT_MEMORY = 1 << 1,
	SEAT_DESCRIPTORS = 1 << 2,
	SEAT_FOLDER = 1 << 3, /* the working directory and the root */
	SEAT_MAPPING = 1 << 4, /* it has memory that other processes can write to */
	/* What is not known to be its own. */
	SEAT_SHARES = SEAT_MEMORY | SEAT_DESCRIPTORS | SEAT_FOLDER,
};

struct seat {
	u64 thread; /* thread_key() of whose it is; 0: nobody's */
	u32 flags;
	u32 others; /* recorded threads that belong here and have no seat */
	u64 start;  /* of its process, as in struct mark */
	u32 pid;
	u32 pad;
};

#define SEATS 8192
#define NO_SEAT SEATS

struct seat seats[SEATS];

/* What thread_key() is more than the lower end of the thread's kernel stack: the same for all threads. */
u64 key_above_stack;

/* Seats that are taken, to take each once; tables of this kind have atomic insertions on every kernel. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SEATS);
	__type(key, u32);
	__type(value, u8);
} taken SEC(".maps");

/*
 * A number for the current thread, from where its registers lie. Verifiers allow
 * no arithmetic on such an address, but the difference of two is a number.
 */
static __always_inline u64 thread_key(struct pt_regs *regs)
{
	u64 key = (u64)regs;

	asm volatile("%0 -= %1" : "+r"(key) : "r"(&seats));
	return key;
}

static __always_inline u32 seat_of(u64 key)
{
	return key * 0x9e3779b97f4a7c15ULL >> 51; /* the upper 13 bits: up to SEATS */
}

/* The seat of that number. */
static __always_inline struct seat *seat_at(u32 i)
{
	asm volatile("" : "+r"(i)); /* else clang finds out that the mask does nothing, which verifiers do not */
	return &seats[i & (SEATS - 1)];
}

/* To be called with any thread's first call: the hooks that give out seats see no registers. */
static __always_inline void key_learn(u64 key)
{
	if (!key_above_stack)
		key_above_stack = key - (u64)BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), stack);
}

static __always_inline u64 key_of_task(struct task_struct *t)
{
	return (u64)BPF_CORE_READ(t, stack) + key_above_stack;
}

/*
 * Gives a thread of a recorded process, which has not run yet, a seat. Returns 0 if it will be found, with a seat or
 * without.
 */
__attribute__((noinline)) int seat_take(u64 key, u32 flags, u64 start, u32 pid)
{
	u32 i = seat_of(key);
	struct seat *seat = seat_at(i);
	u8 yes = 1;

	if (!key_above_stack)
		return -1;
	if (bpf_map_update_elem(&taken, &i, &yes, BPF_NOEXIST)) {
		__sync_fetch_and_add(&seat->others, 1);
		return 0;
	}
	seat->flags = flags;
	seat->start = start;
	seat->pid = pid;
	seat->thread = key;
	return 0;
}

/* A recorded thread exits. */
__attribute__((noinline)) int seat_leave(u64 key)
{
	u32 i = seat_of(key);
	struct seat *seat = seat_at(i);

	if (seat->thread != key) {
		__sync_fetch_and_add(&seat->others, -1);
		return 0;
	}
	seat->thread = 0;
	bpf_map_delete_elem(&taken, &i);
	return 0;
}

/* The number of a thread's seat; NO_SEAT if it has none. */
static __always_inline u32 seat_if_own(u64 key)
{
	u32 i = seat_of(key);

	return seat_at(i)->thread == key ? i : NO_SEAT;
}

/* Sets and clears flags of a thread's seat, if it has one. */
static __always_inline void seat_change(u64 key, u32 set, u32 clear)
{
	struct seat *seat = seat_at(seat_of(key));

	if (seat->thread == key)
		seat->flags = (seat->flags | set) & ~clear;
}
