/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Sockets: whom they reach, with what result, and how much they move. */
#pragma once

#include "syscall.h"

#define SOCKADDR_MAX 128 /* struct sockaddr_storage */

static __always_inline struct sock *sock_of(int fd)
{
	struct file *f = file_of(fd);
	struct socket *sock;

	if (!f || (BPF_CORE_READ(f, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	sock = BPF_CORE_READ(f, private_data);
	return BPF_CORE_READ(sock, sk);
}

static __always_inline int is_tcp(struct sock *sk)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) && BPF_CORE_READ(sk, sk_type) == SOCK_STREAM &&
	       BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP;
}

/* Reads the address that a call was given into s->flight. */
static __always_inline void address_read(struct scratch *s, u64 from, u64 len)
{
	struct flight *f = &s->flight;

	f->slot = NO_SLOT;
	f->followup = 0;
	f->flags[0] = f->flags[1] = 0;
	f->len[1] = 0;
	len &= 0xffffffff;
	opaque(len);
	if (len > SOCKADDR_MAX)
		len = SOCKADDR_MAX;
	f->len[0] = len;
	__builtin_memset(f->names, 0, SOCKADDR_MAX);
	if (bpf_probe_read_user(f->names, len, (void *)from)) {
		f->len[0] = 0;
		f->flags[0] = SEG_UNREADABLE;
	}
}

/* struct user_msghdr: the first two members, msg_name and msg_namelen. */
static __always_inline void msg_address_read(struct scratch *s, int compat)
{
	u64 name = 0;
	u32 len = 0;

	if (compat) {
		bpf_probe_read_user(&name, 4, (void *)s->args[1]);
		bpf_probe_read_user(&len, 4, (void *)s->args[1] + 4);
	} else {
		bpf_probe_read_user(&name, 8, (void *)s->args[1]);
		bpf_probe_read_user(&len, 4, (void *)s->args[1] + 8);
	}
	address_read(s, name, name ? len : 0);
}

/* The address argument of a call that has one. */
static __always_inline void call_address_read(struct scratch *s, struct call *call, int compat)
{
	if (call->op == OP_CONNECT)
		address_read(s, s->args[1], s->args[2]);
	else if (call->op == OP_SENDMSG)
		msg_address_read(s, compat);
	else
		address_read(s, s->args[4], s->args[4] ? s->args[5] : 0);
}

/* At entry: the address, which a call that fails leaves nowhere else. */
static __always_inline void address_keep(struct scratch *s, struct call *call, int compat)
{
	u32 tid = current_tid();
	struct sock *sk;

	call_address_read(s, call, compat);
	if (call->op != OP_CONNECT && !s->flight.len[0] && !s->flight.flags[0])
		return; /* a send without an address */
	sk = sock_of(s->args[0]);
	/* The usual second connect(), to ask how the first went. */
	s->flight.followup = sk && is_tcp(sk) && BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_CLOSE;
	/* No room: read at exit. */
	bpf_map_update_elem(&flights, &tid, &s->flight, BPF_ANY);
}

static __always_inline void net_describe(struct scratch *s, struct sock *sk)
{
	s->ev.net.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	s->ev.net.type = BPF_CORE_READ(sk, sk_type);
	s->ev.net.protocol = BPF_CORE_READ(sk, sk_protocol);
	s->ev.net.state = BPF_CORE_READ(sk, __sk_common.skc_state);
}

/* The peer as the kernel has it. */
static __always_inline void peer_from_sock(struct scratch *s, struct sock *sk)
{
	s->ev.net.port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (s->ev.net.family == AF_INET) {
		u32 a = BPF_CORE_READ(sk, __sk_common.skc_daddr);

		__builtin_memcpy(s->ev.net.addr, &a, 4);
	} else {
		struct in6_addr a;

		BPF_CORE_READ_INTO(&a, sk, __sk_common.skc_v6_daddr);
		__builtin_memcpy(s->ev.net.addr, &a, 16);
	}
}

/* The peer as the caller named it: struct sockaddr_in or sockaddr_in6. */
static __always_inline void peer_from_address(struct scratch *s, struct flight *f)
{
	u16 family = *(u16 *)f->names;

	s->ev.net.family = family;
	s->ev.net.port = bpf_ntohs(*(u16 *)(f->names + 2));
	if (family == AF_INET) {
		__builtin_memcpy(s->ev.net.addr, f->names + 4, 4);
	} else if (family == AF_INET6) {
		__builtin_memcpy(s->ev.net.addr, f->names + 8, 16);
		s->ev.net.scope = *(u32 *)(f->names + 24);
	}
}

/* A unix peer: the path that it was bound to, and the name that was given. */
static __always_inline void unix_append(struct scratch *s, struct flight *f, struct sock *sk, long ret)
{
	struct unix_sock *peer;
	struct unix_address *addr;
	struct dentry *d;
	u64 dentry = 0, mnt = 0;
	u32 len;

	if (!ret) {
		peer = (void *)BPF_CORE_READ((struct unix_sock *)sk, peer);
		d = peer ? BPF_CORE_READ(peer, path.dentry) : 0;
		if (d) {
			path_append((u64)d, (u64)BPF_CORE_READ(peer, path.mnt), 0);
		} else if (peer && (addr = BPF_CORE_READ(peer, addr))) {
			/* Abstract: sun_path from the kernel, not what was passed. */
			len = BPF_CORE_READ(addr, len) - 2;
			if (len <= SOCKADDR_MAX)
				bytes_append(s, 1, (void *)addr + bpf_core_field_offset(struct unix_address, name) + 2,
					     len);
			return;
		}
	}
	len = f->len[0];
	if (len > 2 && len <= SOCKADDR_MAX)
		bytes_append(s, 1, f->names + 2, len - 2);
	if (ret) {
		base_of(f->names + 2, AT_FDCWD, &dentry, &mnt);
		path_append(dentry, mnt, 2);
	}
}

static __always_inline void net_fold_send(struct scratch *s, struct mark *m)
{
	s->key.a = m->start;
	s->key.b = (u64)s->ev.net.family << 48 | (u64)s->ev.net.type << 32 | m->pid;
	s->key.c = *(u64 *)s->ev.net.addr;
	s->key.d = *(u64 *)(s->ev.net.addr + 8);
	s->key.e = (u64)s->ev.net.scope << 32 | s->ev.net.port;
	s->key.f = s->ev.net.protocol;
	s->key.op = s->ev.op;
	s->key.err = s->ev.err;
	if (!fold_known(s, 0, 0))
		fold_send(s);
}

/* How a connect ended whose socket has left SYN_SENT. */
static __always_inline s32 outcome_of(struct sock *sk, int state)
{
	s32 err;

	if (state != TCP_CLOSE)
		return 0;
	err = -BPF_CORE_READ(sk, sk_err);
	return err ? err : -EINPROGRESS; /* closed by its owner before there was an answer */
}

static __always_inline void on_connect(struct scratch *s, struct flight *f, struct mark *m, long ret)
{
	struct sock *sk = sock_of(s->args[0]);
	int tcp, pending;
	u64 key;

	if (!sk || f->followup || ret == -EISCONN || ret == -EALREADY)
		return;
	if (ret && f->len[0] < 2)
		return; /* no address, and nobody reached: EFAULT, EINVAL */
	tcp = is_tcp(sk);
	if (restarts(ret) && !tcp) {
		count_interrupted();
		return;
	}
	/* With TCP_FASTOPEN_CONNECT a connect returns 0 and waits for the first bytes. */
	pending = ret == -EINPROGRESS || ret == -EINTR || restarts(ret) ||
		  (!ret && tcp && BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_SYN_SENT);
	event_begin(s, EV_CONNECT, OP_CONNECT, m);
	s->ev.err = pending && !ret ? -EINPROGRESS : ret;
	net_describe(s, sk);
	if (s->ev.net.family == AF_UNIX) {
		unix_append(s, f, sk, ret);
		event_send(current_tid());
		return;
	}
	if (*(u16 *)f->names == 0 && f->len[0] >= 2)
		return; /* AF_UNSPEC: takes the peer away, reaches nobody */
	if (s->ev.net.family != AF_INET && s->ev.net.family != AF_INET6) {
		event_send(current_tid()); /* netlink, vsock, ...: the family alone */
		return;
	}
	if (ret && !pending)
		peer_from_address(s, f);
	else
		peer_from_sock(s, sk);
	if (pending && tcp) {
		struct connecting c = { .start = m->start, .pid = m->pid, .tid = current_tid() };

		/*
		 * On the way the outcome may have come already, or come while
		 * we look: announce the wait first, then look at the state.
		 */
		key = (u64)sk;
		s->ev.net.sock = key;
		if (bpf_map_update_elem(&connecting, &key, &c, BPF_ANY))
			count_map_full();
		s->ev.net.state = BPF_CORE_READ(sk, __sk_common.skc_state);
		if (s->ev.net.state != TCP_SYN_SENT && !bpf_map_delete_elem(&connecting, &key)) {
			s->ev.net.sock = 0;
			s->ev.err = outcome_of(sk, s->ev.net.state);
		}
	}
	event_send(current_tid());
}

/* A datagram to an address, on a socket that need not be connected. */
static __always_inline void on_sendto(struct scratch *s, struct flight *f, struct mark *m, long ret, u32 msg_flags)
{
	struct sock *sk = sock_of(s->args[0]);

	if (!sk || f->len[0] < 2)
		return;
	if (is_tcp(sk)) {
		/* A stream ignores the address, unless it is to open with these bytes. */
		if (msg_flags & MSG_FASTOPEN)
			on_connect(s, f, m, ret > 0 ? 0 : ret);
		return;
	}
	if (restarts(ret)) {
		count_interrupted();
		return;
	}
	event_begin(s, EV_CONNECT, OP_SENDTO, m);
	s->ev.err = ret < 0 ? ret : 0;
	net_describe(s, sk);
	if (s->ev.net.family == AF_UNIX) {
		unix_append(s, f, sk, -1);
		event_send(current_tid());
		return;
	}
	if (s->ev.net.family != AF_INET && s->ev.net.family != AF_INET6)
		return;
	peer_from_address(s, f);
	net_fold_send(s, m);
}

/* Bytes that went through an internet socket (or packet, vsock): not unix, not netlink. */
static __always_inline void on_bytes(int fd, s64 bytes, int out)
{
	struct sock *sk;
	struct counters *c;
	u16 family;

	if (bytes <= 0)
		return;
	sk = sock_of(fd);
	if (!sk)
		return;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family == AF_UNIX || family == AF_NETLINK)
		return;
	c = the_counters();
	if (!c)
		return;
	if (out)
		c->sent += bytes;
	else
		c->received += bytes;
}

#define MMSG_MAX 64

__attribute__((noinline)) u32 mmsg_len(u64 at)
{
	u32 len = 0;

	bpf_probe_read_user(&len, 4, (void *)at);
	return len;
}

/* struct mmsghdr: a struct user_msghdr and the length that was moved. */
static __always_inline void on_mmsg(struct scratch *s, long ret, int compat, int out)
{
	u32 size = compat ? 32 : 64, at = compat ? 28 : 56, i;
	struct counters *c;
	s64 bytes = 0;

	for (i = 0; i < MMSG_MAX && i < ret; i++)
		bytes += mmsg_len(s->args[1] + i * size + at);
	if (ret > MMSG_MAX && (c = the_counters()))
		c->mmsg_cut += ret - MMSG_MAX;
	on_bytes(s->args[0], bytes, out);
}

/* The outcome of a connect that was in progress. May run in softirq. */
static __always_inline void on_sock_state(struct sock *sk, int oldstate, int newstate)
{
	u64 key = (u64)sk;
	struct connecting *found, c;
	struct counters *n;
	struct event e;

	if (oldstate != TCP_SYN_SENT)
		return;
	found = bpf_map_lookup_elem(&connecting, &key);
	if (!found)
		return;
	c = *found;
	if (bpf_map_delete_elem(&connecting, &key))
		return;
	n = the_counters();
	if (!n)
		return;
	/* Not the scratch: this may have interrupted a program that uses it. */
	__builtin_memset(&e, 0, sizeof(e));
	e.type = EV_CONNECT_DONE;
	e.op = OP_CONNECT;
	e.start = c.start;
	e.pid = c.pid;
	e.tid = c.tid;
	e.time = bpf_ktime_get_boot_ns();
	e.net.sock = key;
	e.net.state = newstate;
	e.err = outcome_of(sk, newstate);
	e.stream = bpf_get_smp_processor_id() << 1 | 1;
	e.seq = n->emitted[1]++;
	ring_output(&e, sizeof(e), 1, n);
}
