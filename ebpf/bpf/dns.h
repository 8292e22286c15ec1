/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Questions to name servers and their answers, as they lie in the memory of
 * the process when the call ends. User space reads them; here is but a copy.
 */
#pragma once

#include "net.h"

#define DNS_PORT 53
#define DNS_QUESTION_MAX 512
#define DNS_ANSWER_MAX 4096
#define DNS_IOVECS_MAX 16

/* struct iovec i of s->io: its length, and its address in s->io.base. */
__attribute__((noinline)) u64 iovec_read(u32 i)
{
	struct scratch *s = the_scratch();
	u64 in[2] = {};
	u32 in32[2] = {};

	if (!s)
		return 0;
	if (s->compat) {
		bpf_probe_read_user(in32, sizeof(in32), (void *)s->io.at + i * sizeof(in32));
		in[0] = in32[0];
		in[1] = in32[1];
	} else {
		bpf_probe_read_user(in, sizeof(in), (void *)s->io.at + i * sizeof(in));
	}
	s->io.base = in[0];
	return in[1];
}

/* Copies what lies in iovec i. Returns 1 at the end. */
__attribute__((noinline)) int payload_append(u32 i)
{
	struct scratch *s = the_scratch();
	u64 base, size;
	u32 len, n;

	if (!s)
		return 1;
	len = s->len;
	n = s->io.left;
	base = s->io.at;
	if (s->io.count) {
		if (i >= s->io.count)
			return 1;
		size = iovec_read(i);
		base = s->io.base;
		if (size < n)
			n = size;
	}
	if (n > s->io.room)
		n = s->io.room;
	opaque(n);
	if (len > DATA_MAX || n > DNS_ANSWER_MAX)
		return 1;
	if (n && bpf_probe_read_user(&s->data[len], n, (void *)base)) {
		s->ev.seg[0].flags |= SEG_UNREADABLE;
		return 1;
	}
	s->len = len + n;
	s->io.left -= n;
	s->io.room -= n;
	return !s->io.left || !s->io.room;
}

/* Sends a copy of the message in s->io, which has that size; s->flight may hold the peer. */
__attribute__((noinline)) int dns_tell(u64 sock, u32 size, u32 out)
{
	struct scratch *s = the_scratch();
	u32 i;

	if (!s)
		return 0;
	event_begin(EV_DNS, out ? OP_SENDTO : OP_RECVFROM);
	net_describe(sock);
	if (s->flight.len[0] >= 2)
		peer_from_address();
	else
		peer_from_sock(sock);
	s->ev.net.sock = sock;
	s->ev.net.size = size;
	s->io.left = size;
	s->io.room = out ? DNS_QUESTION_MAX : DNS_ANSWER_MAX;
	for (i = 0; i < DNS_IOVECS_MAX; i++)
		if (payload_append(i))
			break;
	s->ev.seg[0].len = s->len;
	if (s->io.left)
		s->ev.seg[0].flags |= SEG_CUT;
	event_send(current_tid());
	return 0;
}
