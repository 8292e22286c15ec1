/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Sockets that await somebody: bound, listening, accepted. */
#pragma once

#include "net.h"

/* The socket's own address, to the event. */
__attribute__((noinline)) int own_from_sock(u64 sock)
{
	struct scratch *s = the_scratch();
	struct sock *sk = (void *)sock;

	if (!s)
		return 0;
	s->ev.net.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	s->ev.net.scope = BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
	own_address(sk, s->ev.net.family, s->ev.net.addr);
	return 0;
}

/* A socket of the machine rather than of a program: it sees packets that are meant for others. */
__attribute__((noinline)) int on_socket(int fd)
{
	struct sock *sk = sock_of(fd);
	struct counters *c;
	u16 family;

	if (!sk)
		return 0;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family != AF_PACKET && !(is_inet(family) && BPF_CORE_READ(sk, sk_type) == SOCK_RAW))
		return 0;
	c = the_counters();
	if (c)
		c->raw_sockets++;
	return 0;
}

/* The file of a unix socket could not be made: an operation on a name that failed. */
__attribute__((noinline)) int unix_bind_failed(s64 ret)
{
	struct scratch *s = the_scratch();
	u32 len;
	long got;

	if (!s || s->flight.len[0] <= 2 || !s->flight.names[2])
		return 0;
	event_begin(EV_FILE_OP, OP_BIND);
	s->ev.err = ret;
	base_of(s->flight.names[2], AT_FDCWD);
	path_append(s->base.dentry, s->base.mnt, 0);
	len = s->len;
	opaque(len);
	if (len > DATA_MAX)
		return 0;
	got = bpf_probe_read_kernel_str(&s->data[len], SOCKADDR_MAX - 1, s->flight.names + 2);
	if (got > 0) {
		s->ev.seg[1].len = got - 1;
		s->len = len + got - 1;
	}
	if (memory_shared())
		s->ev.seg[1].flags |= SEG_SHARED;
	event_send(current_tid());
	return 0;
}

/*
 * bind. A stream awaits nobody before it listens; a datagram socket needs no
 * more than an address. Whether the kernel chose that is said, for a client
 * may bind its socket too.
 */
__attribute__((noinline)) int on_bind(s64 ret)
{
	struct scratch *s = the_scratch();
	struct sock *sk;
	int chosen, dgram;
	u32 one = 1;
	u64 key;

	if (!s)
		return 0;
	sk = s->flight.sock ? (void *)s->flight.sock : sock_of(s->args[0]);
	if (!sk)
		return 0;
	dgram = BPF_CORE_READ(sk, sk_type) == SOCK_DGRAM;
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_UNIX) {
		if (ret) {
			unix_bind_failed(ret);
			return 0;
		}
		chosen = s->flight.len[0] == 2;
		event_begin(EV_LISTEN, OP_BIND);
		net_describe((u64)sk);
		unix_name_append((u64)sk, 0);
	} else {
		if (ret || !is_udp((u64)sk))
			return 0;
		chosen = !(BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK);
		event_begin(EV_LISTEN, OP_BIND);
		net_describe((u64)sk);
		own_from_sock((u64)sk);
	}
	if (dgram && chosen) {
		key = (u64)sk;
		/* If it cannot be noted, or is forgotten, it stays one that awaits somebody. */
		if (!bpf_map_update_elem(&undecided, &key, &one, BPF_ANY))
			s->ev.net.sock = key;
	}
	event_send(current_tid());
	return 0;
}

static __always_inline int listens(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN;
}

/* listen. Of two sockets that the descriptor has stood for, it is the one that listens. */
__attribute__((noinline)) int on_listen(s64 ret)
{
	struct scratch *s = the_scratch();
	struct sock *sk, *now;
	int raced = 0;

	if (!s || ret)
		return 0;
	event_begin(EV_LISTEN, OP_LISTEN);
	now = sock_of(s->args[0]);
	sk = sock_of_file((u64)file_at_entry(file_of(s->args[0]), 0));
	if (sk != now) {
		raced = listens(sk) == listens(now);
		if (listens(now))
			sk = now;
	}
	if (sk) {
		net_describe((u64)sk);
		if (s->ev.net.family == AF_UNIX)
			unix_name_append((u64)sk, 0);
		else if (is_inet(s->ev.net.family))
			own_from_sock((u64)sk);
	}
	/* Closed or replaced by another thread before the call had returned. */
	if (!sk || raced)
		s->ev.seg[0].flags |= SEG_RACED;
	event_send(current_tid());
	return 0;
}

__attribute__((noinline)) int on_accept(s64 fd)
{
	struct scratch *s = the_scratch();
	struct file *file;
	struct sock *sk;
	u16 family;

	if (!s || (fd < 0 && fd != FD_GIVEN))
		return 0;
	event_begin(EV_ACCEPT, OP_ACCEPT);
	file = file_of(fd);
	sk = sock_of_file((u64)file);
	if (sk) {
		family = BPF_CORE_READ(sk, __sk_common.skc_family);
		s->ev.accept.family = family;
		s->ev.accept.type = BPF_CORE_READ(sk, sk_type);
		s->ev.accept.protocol = BPF_CORE_READ(sk, sk_protocol);
		if (family == AF_UNIX) {
			unix_name_append((u64)sk, 0);
			unix_name_append((u64)BPF_CORE_READ((struct unix_sock *)sk, peer), 2);
		} else if (is_inet(family)) {
			s->ev.accept.scope = BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
			s->ev.accept.port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
			/* Not skc_num, which a connection that was reset meanwhile has given back. */
			s->ev.accept.own_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
			peer_address(sk, family, s->ev.accept.addr);
			own_address(sk, family, s->ev.accept.own);
		}
	}
	file_copy(s, (u64)file);
	/* Another thread closed it already, or put another file in its place. */
	if (!sk || s->seen.shared || s->raced)
		s->ev.seg[0].flags |= SEG_RACED;
	event_send(current_tid());
	return 0;
}
