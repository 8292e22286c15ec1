/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Events that say what others have said: counted, and not sent. */
#pragma once

#include "state.h"

static __always_inline u64 hash_step(u64 h, u64 word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static __always_inline int is_of(const struct fold *f, u64 h, u64 g)
{
	return f->key[0] == h && f->key[1] == g;
}

/*
 * Counts the event if the same was sent before and no name has moved since.
 * Returns 1 then: there is nothing to send. The key is s->key; when says that it
 * matters when it was seen last.
 */
__attribute__((noinline)) int fold_known(u64 bytes, u32 when)
{
	struct scratch *s = the_scratch();
	const struct fold_key *k;
	struct fold *f, *other;
	struct counters *c;
	u32 i, beside;
	u64 h, g;

	if (!s)
		return 0;
	k = &s->key;
	h = hash_step(hash_seed, k->a);
	g = hash_step(~hash_seed, k->b);
	h = hash_step(h, k->c);
	g = hash_step(g, k->d);
	h = hash_step(h, k->e);
	g = hash_step(g, k->f);
	h = hash_step(h, (u64)k->op << 32 | (u32)k->err);
	g = hash_step(g, h);
	h = hash_step(h, g);
	s->hash[0] = h;
	s->hash[1] = g;
	i = bpf_get_smp_processor_id() * fold_places + (h & (fold_places - 1));
	beside = i ^ 1;
	/* Read before the path is walked: a move after this shows in the next look. */
	s->moves = moves;
	s->fold = i;
	f = bpf_map_lookup_elem(&folds, &i);
	other = bpf_map_lookup_elem(&folds, &beside);
	if (!f || !other)
		return 0;
	if (!is_of(f, h, g)) {
		if (is_of(other, h, g)) {
			f = other;
			s->fold = beside;
		} else {
			/* Neither is this event's. One that has repeated rather stays. */
			if (f->id && (!other->id || other->count < f->count || (other->count == f->count && other->id < f->id)))
				s->fold = beside;
			return 0;
		}
	}
	if (!f->id || f->moves != s->moves)
		return 0;
	f->count++;
	f->bytes += bytes;
	if (when)
		f->last = bpf_ktime_get_boot_ns();
	c = the_counters();
	if (c)
		c->folded++;
	return 1;
}

/*
 * Sends the event, and if it arrived, folds the next ones like it. It takes along
 * what was counted for the event in its place, itself or another: that is not
 * counted any more.
 */
__attribute__((noinline)) int fold_send(void)
{
	struct scratch *s = the_scratch();
	struct fold *f;
	u64 id;
	u32 i;

	if (!s)
		return 0;
	i = s->fold;
	f = bpf_map_lookup_elem(&folds, &i);
	if (f && f->id) {
		s->ev.again.id = f->id;
		s->ev.again.count = f->count;
		s->ev.again.bytes = f->bytes;
		s->ev.again.last = f->last;
	}
	id = event_send(current_tid());
	if (!id || !f)
		return 0;
	f->key[0] = s->hash[0];
	f->key[1] = s->hash[1];
	f->id = id;
	f->count = f->bytes = f->last = 0;
	f->moves = s->moves;
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
		h = hash_step(h, *(const u64 *)(s->data + at + i * 8));
	}
	return h;
}

/*
 * A seeded hash of the first len bytes of data[], NAME_MAX_LEN at most; never 0.
 * Writes zeroes over the eight bytes behind them, so that it can go by words.
 */
__attribute__((noinline)) u64 data_hash(u32 len)
{
	struct scratch *s = the_scratch();
	u64 h = hash_seed ^ len;
	u32 at;

	if (!s)
		return 1;
	opaque(len);
	if (len > NAME_MAX_LEN)
		len = NAME_MAX_LEN;
	*(u64 *)(s->data + len) = 0;
	for (at = 0; at < NAME_MAX_LEN; at += HASH_PART) {
		if (at >= len)
			break;
		h = data_hash_part(h, at, len);
	}
	return h | 1;
}
