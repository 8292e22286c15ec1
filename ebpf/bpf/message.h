/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Bytes over sockets, and the datagrams that need no connect. */
#pragma once

#include "connect.h"
#include "dns.h"

/* How a message went, as bits of an argument: older verifiers take no pointers. */
#define MESSAGE_OUT 1
#define MESSAGE_KEPT 2	/* it is still in the queue, or was never there: MSG_PEEK, MSG_ERRQUEUE */
#define MESSAGE_TRUNC 4 /* the result may be more than what came: MSG_TRUNC */
#define MESSAGE_RACED 8

static __always_inline u32 message_flags(u32 flags)
{
	return (flags & (MSG_PEEK | MSG_ERRQUEUE) ? MESSAGE_KEPT : 0) | (flags & MSG_TRUNC ? MESSAGE_TRUNC : 0);
}

static __always_inline void net_fold_send(struct scratch *s)
{
	s->key.a = s->start;
	s->key.b = (u64)s->ev.net.family << 48 | (u64)s->ev.net.type << 32 | s->pid;
	s->key.c = *(u64 *)s->ev.net.addr;
	s->key.d = *(u64 *)(s->ev.net.addr + 8);
	s->key.e = (u64)s->ev.net.scope << 32 | s->ev.net.port;
	s->key.f = (u64)s->ev.seg[0].flags << 32 | s->ev.net.protocol;
	s->key.op = s->ev.op;
	s->key.err = s->ev.err;
	if (!fold_known(0, 0))
		fold_send();
}

/* A datagram to an address, on a socket that need not be connected. */
static __always_inline void send_tell(struct scratch *s, u64 sock, long ret, u32 how)
{
	u16 flags;

	if (restarts(ret)) {
		count_interrupted();
		return;
	}
	event_begin(EV_CONNECT, OP_SENDTO);
	s->ev.err = ret < 0 ? ret : 0;
	net_describe(sock);
	if (s->ev.net.family == AF_NETLINK)
		return; /* to the kernel */
	flags = (how & MESSAGE_RACED ? SEG_RACED : 0) | (memory_shared() ? SEG_SHARED : 0);
	if (s->ev.net.family == AF_UNIX) {
		unix_peer_append(s);
		s->ev.seg[0].flags |= flags;
		event_send(current_tid());
		return;
	}
	s->ev.seg[0].flags = flags;
	if (is_inet(s->ev.net.family)) {
		if (ret < 0 && is_short(s))
			return; /* the kernel took no address out of it: EINVAL */
		peer_from_address();
	}
	net_fold_send(s);
}

#define IOVECS_SOME 32

/* The sizes of some iovecs, from the first of these on. */
__attribute__((noinline)) u64 iovecs_size(u32 first)
{
	struct scratch *s = the_scratch();
	u64 size = 0;
	u32 i;

	if (!s)
		return 0;
	for (i = 0; i < IOVECS_SOME; i++) {
		if (first + i >= s->io.count)
			break;
		size += iovec_read(first + i);
	}
	return size;
}

/* The room that a receiver has for a message. */
__attribute__((noinline)) u64 room_of(void)
{
	struct scratch *s = the_scratch();
	u64 room = 0;
	u32 i;

	if (!s || !s->io.at)
		return 0;
	if (!s->io.count)
		return s->args[2];
	for (i = 0; i < UIO_MAXIOV; i += IOVECS_SOME) {
		if (i >= s->io.count)
			break;
		room += iovecs_size(i);
	}
	return room;
}

/* Whether the message went to or came from a name server; the peer's address is then in s->flight, if it has one. */
static __always_inline int is_dns(struct scratch *s, u64 sock, u32 how)
{
	u16 port = BPF_CORE_READ((struct sock *)sock, __sk_common.skc_dport);

	if (is_tcp(sock)) {
		s->flight.len[0] = 0;
		return port == bpf_htons(DNS_PORT);
	}
	if (!is_udp(sock))
		return 0;
	if (!(how & MESSAGE_OUT) && !port && s->io.name)
		address_read(s->io.name, s->io.name_len);
	if (s->flight.len[0] >= 4)
		port = *(u16 *)(s->flight.names + 2);
	return port == bpf_htons(DNS_PORT);
}

/* Steps over one struct cmsghdr. Returns 1 at the end, or if descriptors came with it. */
__attribute__((noinline)) int control_step(void)
{
	struct scratch *s = the_scratch();
	struct counters *c = the_counters();
	u32 head[4] = {}, size, align; /* len of 8 or 4 bytes, level, type */
	u64 len;

	if (!s || !c)
		return 1;
	size = s->compat ? 12 : 16;
	align = s->compat ? 4 : 8;
	if (s->io.control_len < size || bpf_probe_read_user(head, size & 31, (void *)s->io.control))
		return 1;
	len = head[0];
	if (s->compat ? head[1] == SOL_SOCKET && head[2] == SCM_RIGHTS : head[2] == SOL_SOCKET && head[3] == SCM_RIGHTS) {
		c->descriptors++;
		return 1;
	}
	len = (len + align - 1) & ~(u64)(align - 1);
	if (len < size || len > s->io.control_len)
		return 1;
	s->io.control += len;
	s->io.control_len -= len;
	return 0;
}

/*
 * Whether descriptors came along from outside of the run. Credentials and the
 * like come before them.
 */
static __always_inline void control_look(struct scratch *s, u64 sock)
{
	u32 i;

	if (!s->io.control || !s->io.control_len || peer_recorded(sock))
		return;
	for (i = 0; i < 8; i++)
		if (control_step())
			break;
}

/* A message, or a part of a stream, that went over a socket; or a message that did not. */
__attribute__((noinline)) int on_message(u64 sock, s64 ret, u32 how)
{
	struct scratch *s = the_scratch();
	struct sock *sk = (void *)sock;
	struct counters *c;
	u16 family;
	u64 room;

	if (!s)
		return 0;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family == AF_INET6 && *(u16 *)s->flight.names == AF_UNSPEC)
		s->flight.len[0] = 0; /* which the kernel takes for none */
	if (how & MESSAGE_OUT) {
		/* Of connected sockets of the unix family the kernel does not look at it. */
		if (s->flight.len[0] >= 2 && !is_tcp(sock) &&
		    (family != AF_UNIX || BPF_CORE_READ(sk, sk_type) == SOCK_DGRAM)) {
			if (ret >= 0)
				client_found(sock);
			send_tell(s, sock, ret, how);
		}
	} else if (ret >= 0 && BPF_CORE_READ(sk, sk_type) == SOCK_DGRAM) {
		bpf_map_delete_elem(&undecided, &sock); /* it had awaited somebody */
	}
	if (ret >= 0 && !(how & MESSAGE_OUT) && family == AF_UNIX)
		control_look(s, sock);
	if (ret <= 0 || how & MESSAGE_KEPT || family == AF_UNIX || family == AF_NETLINK)
		return 0;
	if (how & MESSAGE_TRUNC && !is_tcp(sock)) {
		room = room_of();
		if (room < ret)
			ret = room;
	}
	c = the_counters();
	if (!c)
		return 0;
	if (how & MESSAGE_OUT)
		c->sent += ret;
	else
		c->received += ret;
	if (ret > 0 && is_dns(s, sock, how))
		dns_tell(sock, ret, how & MESSAGE_OUT);
	return 0;
}

/* Where the bytes of a call are, into s->io. */
__attribute__((noinline)) int payload_find(void)
{
	struct scratch *s = the_scratch();
	u32 len = 0;

	if (!s)
		return 0;
	s->io.name = 0;
	s->io.count = 0;
	s->io.control = 0;
	s->io.at = s->call.payload == PAYLOAD_NONE ? 0 : s->args[1];
	if (s->call.payload == PAYLOAD_VECTOR) {
		s->io.count = s->args[2];
	} else if (s->call.payload == PAYLOAD_MESSAGE) {
		message_read(s->args[1]);
	} else if (s->call.op == OP_RECVFROM && s->args[4]) {
		bpf_probe_read_user(&len, sizeof(len), (void *)s->args[5]);
		s->io.name = s->args[4];
		s->io.name_len = len;
	}
	return 0;
}

/* recvfrom, recvmsg: from a socket, or they fail. */
__attribute__((noinline)) int on_received(s64 ret)
{
	struct scratch *s = the_scratch();
	struct sock *sk;

	if (!s || ret < 0)
		return 0;
	sk = sock_of_file((u64)file_at_entry(file_of(s->args[0]), 0));
	if (!sk)
		return 0;
	payload_find();
	s->flight.len[0] = 0;
	on_message((u64)sk, ret, message_flags(arg(s, s->call.flags)));
	return 0;
}

/* sendto, sendmsg: s->flight holds the address, if there is one. */
__attribute__((noinline)) int on_send(s64 ret)
{
	struct scratch *s = the_scratch();
	u64 now, sk;

	if (!s)
		return 0;
	now = (u64)sock_of(s->args[0]);
	sk = s->flight.sock ? s->flight.sock : now;
	if (!sk)
		return 0;
	if (s->flight.len[0] >= 2 && arg(s, s->call.flags) & MSG_FASTOPEN && is_tcp(sk))
		on_connect(ret > 0 ? 0 : ret); /* a stream that opens with these bytes */
	payload_find();
	on_message(sk, ret, MESSAGE_OUT | (now == sk ? 0 : MESSAGE_RACED));
	return 0;
}

/* The struct mmsghdr at `at`: a struct user_msghdr and the length that was moved. */
__attribute__((noinline)) int on_mmsg_one(u64 at, s64 err, u32 how)
{
	struct scratch *s = the_scratch();
	u32 len = 0;

	if (!s)
		return 0;
	message_read(at);
	bpf_probe_read_user(&len, sizeof(len), (void *)at + (s->compat ? 28 : 56));
	if (how & MESSAGE_OUT)
		address_read(s->io.name, s->io.name ? s->io.name_len : 0);
	else
		s->flight.len[0] = 0;
	on_message(s->io.sock, err ? err : len, how);
	return 0;
}

/* Of recvmmsg(2) the kernel lets any number come at once. */
#define MESSAGES_SOME 64
#define MESSAGES_MAX (64 * MESSAGES_SOME)

/* Some of count messages, from the first of these on. */
__attribute__((noinline)) int on_mmsg_some(u32 first, u32 count, u32 how)
{
	struct scratch *s = the_scratch();
	u32 size, i;
	u64 at;

	if (!s)
		return 0;
	size = s->compat ? 32 : 64;
	at = s->args[1] + first * size;
	for (i = 0; i < MESSAGES_SOME; i++) {
		if (first + i >= count)
			break;
		on_mmsg_one(at + i * size, 0, how);
	}
	return 0;
}

/* sendmmsg, recvmmsg: the result is how many messages went. */
static __always_inline void on_mmsg(struct scratch *s, s64 ret, u32 how)
{
	struct file *now = file_of(s->args[0]), *file = file_at_entry(now, how & MESSAGE_OUT);
	struct counters *c;
	u32 count = ret, i;

	s->io.sock = (u64)sock_of_file((u64)file);
	if (!s->io.sock)
		return;
	if (file != now)
		how |= MESSAGE_RACED;
	if (ret < 0) {
		if (how & MESSAGE_OUT)
			on_mmsg_one(s->args[1], ret, how); /* the first one did not */
		return;
	}
	for (i = 0; i < MESSAGES_MAX; i += MESSAGES_SOME) {
		if (i >= count)
			break;
		on_mmsg_some(i, count, how);
	}
	c = the_counters();
	if (c && count > MESSAGES_MAX)
		c->unread_messages += count - MESSAGES_MAX;
}
