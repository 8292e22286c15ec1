/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Events that say what others have said: counted, and not sent. */
#pragma once

#include "state.h"

/*
 * Counts the event if the same was sent before and no name has moved since.
 * Returns 1 then: there is nothing to send. The key is s->key.
 */
__attribute__((noinline)) int fold_known(u64 read, u64 written)
{
	struct scratch *s = the_scratch();
	struct counters *c;
	struct fold *f;

	if (!s)
		return 0;
	s->key.cpu = bpf_get_smp_processor_id();
	f = bpf_map_lookup_elem(&folds, &s->key);
	/* Read before the path is walked: a move after this shows in the next look. */
	s->moves = moves;
	if (!f || f->moves != s->moves)
		return 0;
	f->count++;
	f->read += read;
	f->written += written;
	c = the_counters();
	if (c)
		c->folded++;
	return 1;
}

/*
 * Sends the event, and if it arrived, folds the next ones like it. An event
 * that is told again takes along what was counted for the one before.
 */
__attribute__((noinline)) int fold_send(void)
{
	struct scratch *s = the_scratch();
	struct fold *old, f = {};
	u64 id;

	if (!s)
		return 0;
	old = bpf_map_lookup_elem(&folds, &s->key);
	if (old) {
		s->ev.again.id = old->id;
		s->ev.again.count = old->count;
		s->ev.again.read = old->read;
		s->ev.again.written = old->written;
	}
	id = event_send(current_tid());
	if (!id)
		return 0;
	if (old) {
		old->id = id;
		old->count = old->read = old->written = 0;
		old->moves = s->moves;
		return 0;
	}
	f.id = id;
	f.moves = s->moves;
	/* A full map is no loss: the next one like it is sent as well. */
	bpf_map_update_elem(&folds, &s->key, &f, BPF_ANY);
	return 0;
}

#define HASH_PART 128 /* bytes */

/* Carries the hash h on over the words of data[] from at up to len, one part of them at most. */
__attribute__((noinline)) u64 data_hash_part(u64 h, u32 at, u32 len)
{
	struct scratch *s = the_scratch();
	u32 i;

	opaque(at);
	if (!s || at > NAME_MAX_LEN)
		return h;
	for (i = 0; i < HASH_PART / 8; i++) {
		if (at + i * 8 >= len)
			break;
		h = (h ^ *(const u64 *)(s->data + at + i * 8)) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 29;
	}
	return h;
}

/*
 * A seeded hash of the first len bytes of data[], NAME_MAX_LEN at most. Writes
 * zeroes over the eight bytes behind them, so that it can go by words.
 */
__attribute__((noinline)) u64 data_hash(u32 len)
{
	struct scratch *s = the_scratch();
	u64 h = hash_seed ^ len;
	u32 at;

	if (!s)
		return 0;
	opaque(len);
	if (len > NAME_MAX_LEN)
		len = NAME_MAX_LEN;
	*(u64 *)(s->data + len) = 0;
	for (at = 0; at < NAME_MAX_LEN; at += HASH_PART) {
		if (at >= len)
			break;
		h = data_hash_part(h, at, len);
	}
	return h;
}
