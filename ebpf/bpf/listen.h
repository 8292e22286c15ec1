/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Sockets that await somebody: bound, listening, accepted. */
#pragma once

#include "net.h"

static __always_inline void own_from_sock(struct scratch *s, struct sock *sk)
{
	s->ev.net.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	s->ev.net.scope = BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
	own_address(sk, s->ev.net.family, s->ev.net.addr);
}

/* A socket of the machine rather than of a program: it sees packets that are meant for others. */
static __always_inline void on_socket(int fd)
{
	struct sock *sk = sock_of(fd);
	struct counters *c;
	u16 family;

	if (!sk)
		return;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family != AF_PACKET && !(is_inet(family) && BPF_CORE_READ(sk, sk_type) == SOCK_RAW))
		return;
	c = the_counters();
	if (c)
		c->raw_sockets++;
}

/* The file of a unix socket could not be made: an operation on a name that failed. */
static __always_inline void unix_bind_failed(struct scratch *s, struct mark *m, long ret)
{
	struct flight *f = &s->flight;
	u64 dentry = 0, mnt = 0;

	if (f->len[0] <= 2 || !f->names[2])
		return;
	event_begin(s, EV_FILE_OP, OP_BIND, m);
	s->ev.err = ret;
	base_of(f->names + 2, AT_FDCWD, &dentry, &mnt);
	path_append(dentry, mnt, 0);
	string_append(s, 1, (const char *)f->names + 2);
	if (memory_shared(m))
		s->ev.seg[1].flags |= SEG_SHARED;
	event_send(current_tid());
}

/*
 * bind. A stream awaits nobody before it listens; a datagram socket needs no
 * more than an address. Whether the kernel chose that is said, for a client
 * may bind its socket too.
 */
__attribute__((noinline)) int on_bind(s64 ret)
{
	struct scratch *s = the_scratch();
	struct mark *m = the_mark();
	struct sock *sk;
	int chosen, dgram;
	u32 one = 1;
	u64 key;

	if (!s || !m)
		return 0;
	sk = s->flight.sock ? (void *)s->flight.sock : sock_of(s->args[0]);
	if (!sk)
		return 0;
	dgram = BPF_CORE_READ(sk, sk_type) == SOCK_DGRAM;
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_UNIX) {
		if (ret) {
			unix_bind_failed(s, m, ret);
			return 0;
		}
		chosen = s->flight.len[0] == 2;
		event_begin(s, EV_LISTEN, OP_BIND, m);
		net_describe(s, sk);
		unix_name_append(s, sk, 0);
	} else {
		if (ret || !is_udp(sk))
			return 0;
		chosen = !(BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK);
		event_begin(s, EV_LISTEN, OP_BIND, m);
		net_describe(s, sk);
		own_from_sock(s, sk);
	}
	if (dgram && chosen) {
		key = (u64)sk;
		/* No room: it stays one that awaits somebody. */
		if (!bpf_map_update_elem(&undecided, &key, &one, BPF_ANY))
			s->ev.net.sock = key;
	}
	event_send(current_tid());
	return 0;
}

__attribute__((noinline)) int on_listen(s64 ret)
{
	struct scratch *s = the_scratch();
	struct mark *m = the_mark();
	struct sock *sk;

	if (!s || !m || ret)
		return 0;
	event_begin(s, EV_LISTEN, OP_LISTEN, m);
	sk = sock_of(s->args[0]);
	if (sk) {
		net_describe(s, sk);
		if (s->ev.net.family == AF_UNIX)
			unix_name_append(s, sk, 0);
		else if (is_inet(s->ev.net.family))
			own_from_sock(s, sk);
	} else {
		/* Closed by another thread before the call had returned. */
		s->ev.seg[0].flags |= SEG_RACED;
	}
	event_send(current_tid());
	return 0;
}

__attribute__((noinline)) int on_accept(s64 fd)
{
	struct scratch *s = the_scratch();
	struct mark *m = the_mark();
	struct file *file;
	struct sock *sk;
	u16 family;

	if (!s || !m || (fd < 0 && fd != FD_GIVEN))
		return 0;
	event_begin(s, EV_ACCEPT, OP_ACCEPT, m);
	file = file_of(fd);
	sk = sock_of(fd);
	if (sk) {
		family = BPF_CORE_READ(sk, __sk_common.skc_family);
		s->ev.accept.family = family;
		s->ev.accept.type = BPF_CORE_READ(sk, sk_type);
		s->ev.accept.protocol = BPF_CORE_READ(sk, sk_protocol);
		if (family == AF_UNIX) {
			unix_name_append(s, sk, 0);
			unix_name_append(s, (void *)BPF_CORE_READ((struct unix_sock *)sk, peer), 2);
		} else if (is_inet(family)) {
			s->ev.accept.scope = BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
			s->ev.accept.port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
			s->ev.accept.own_port = BPF_CORE_READ(sk, __sk_common.skc_num);
			peer_address(sk, family, s->ev.accept.addr);
			own_address(sk, family, s->ev.accept.own);
		}
	}
	/* Another thread closed it already, or put another file in its place. */
	if (!sk || is_shared(file) || s->raced)
		s->ev.seg[0].flags |= SEG_RACED;
	event_send(current_tid());
	return 0;
}
