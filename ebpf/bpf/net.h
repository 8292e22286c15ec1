/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Sockets: which one, of what kind, and the addresses at its ends. */
#pragma once

#include "syscall.h"

/* The least that the kernel takes: net/ipv4/af_inet.c, include/net/ipv6.h (SIN6_LEN_RFC2133). */
#define SOCKADDR_IN_LEN 16
#define SOCKADDR_IN6_LEN 24
#define SOCKADDR_MAX 128 /* struct sockaddr_storage */

static __always_inline struct socket *socket_of_file(struct file *f)
{
	if (!f || (BPF_CORE_READ(f, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	return BPF_CORE_READ(f, private_data);
}

static __always_inline struct sock *sock_of_file(struct file *f)
{
	struct socket *sock = socket_of_file(f);

	return sock ? BPF_CORE_READ(sock, sk) : 0;
}

static __always_inline struct sock *sock_of(int fd)
{
	return sock_of_file(file_of(fd));
}

static __always_inline int is_inet(u16 family)
{
	return family == AF_INET || family == AF_INET6;
}

/* TCP, by itself or as the parts of an MPTCP connection. */
static __always_inline int is_tcp(struct sock *sk)
{
	u16 protocol = BPF_CORE_READ(sk, sk_protocol);

	return is_inet(BPF_CORE_READ(sk, __sk_common.skc_family)) && BPF_CORE_READ(sk, sk_type) == SOCK_STREAM &&
	       (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

static __always_inline int is_udp(struct sock *sk)
{
	u16 protocol = BPF_CORE_READ(sk, sk_protocol);

	return is_inet(BPF_CORE_READ(sk, __sk_common.skc_family)) && BPF_CORE_READ(sk, sk_type) == SOCK_DGRAM &&
	       (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE);
}

/* Reads the address that a call was given into s->flight. */
static __always_inline void address_read(struct scratch *s, u64 from, u64 len)
{
	struct flight *f = &s->flight;

	f->slot = NO_SLOT;
	f->followup = 0;
	f->sock = 0;
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

/* struct user_msghdr at `at`: where the bytes are, whom they go to or come from, and what goes along. */
__attribute__((noinline)) int message_read(u64 at)
{
	struct scratch *s = the_scratch();
	u64 in[6] = {};

	if (!s)
		return 0;
	if (s->io.compat) {
		u32 in32[6] = {};

		bpf_probe_read_user(in32, sizeof(in32), (void *)at);
		in[0] = in32[0];
		in[1] = in32[1];
		in[2] = in32[2];
		in[3] = in32[3];
		in[4] = in32[4];
		in[5] = in32[5];
	} else {
		bpf_probe_read_user(in, sizeof(in), (void *)at);
	}
	s->io.name = in[0];
	s->io.name_len = in[1];
	s->io.at = in[2];
	s->io.count = in[3];
	s->io.control = in[4];
	s->io.control_len = in[5];
	if (!s->io.count)
		s->io.at = 0;
	return 0;
}

/* The address argument of a call that has one. */
static __always_inline void call_address_read(struct scratch *s, struct call *call, int compat)
{
	if (call->op == OP_CONNECT || call->op == OP_BIND) {
		address_read(s, s->args[1], s->args[2]);
	} else if (call->op == OP_SENDMSG) {
		s->io.compat = compat;
		message_read(s->args[1]);
		address_read(s, s->io.name, s->io.name ? s->io.name_len : 0);
	} else {
		address_read(s, s->args[4], s->args[4] ? s->args[5] : 0);
	}
}

/* At entry: the address, which a call that fails leaves nowhere else. */
static __always_inline void address_keep(struct scratch *s, struct call *call, int compat)
{
	u32 tid = current_tid();
	struct socket *sock;
	struct sock *sk = 0;

	call_address_read(s, call, compat);
	if ((call->op == OP_SENDTO || call->op == OP_SENDMSG) && !s->flight.len[0] && !s->flight.flags[0] &&
	    !descriptors_shared())
		return; /* a send without an address */
	sock = socket_of_file(file_of(s->args[0]));
	if (sock)
		sk = BPF_CORE_READ(sock, sk);
	/* The usual second connect(), to ask how the first went. */
	s->flight.followup = sk && is_tcp(sk) && BPF_CORE_READ(sock, state) != SS_UNCONNECTED;
	s->flight.sock = (u64)sk;
	/* Without its entry a call that was done looks like one that never began. */
	if (bpf_map_update_elem(&flights, &tid, &s->flight, BPF_ANY))
		count_map_full();
}

static __always_inline void net_describe(struct scratch *s, struct sock *sk)
{
	s->ev.net.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	s->ev.net.type = BPF_CORE_READ(sk, sk_type);
	s->ev.net.protocol = BPF_CORE_READ(sk, sk_protocol);
	s->ev.net.state = BPF_CORE_READ(sk, __sk_common.skc_state);
}

/* The peer as the kernel has it. */
static __always_inline void peer_address(struct sock *sk, u16 family, u8 *addr)
{
	if (family == AF_INET)
		BPF_CORE_READ_INTO((u32 *)addr, sk, __sk_common.skc_daddr);
	else
		BPF_CORE_READ_INTO((struct in6_addr *)addr, sk, __sk_common.skc_v6_daddr);
}

/* The address that the socket has itself. */
static __always_inline void own_address(struct sock *sk, u16 family, u8 *addr)
{
	if (family == AF_INET)
		BPF_CORE_READ_INTO((u32 *)addr, sk, __sk_common.skc_rcv_saddr);
	else
		BPF_CORE_READ_INTO((struct in6_addr *)addr, sk, __sk_common.skc_v6_rcv_saddr);
}

static __always_inline void peer_from_sock(struct scratch *s, struct sock *sk)
{
	s->ev.net.port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	peer_address(sk, s->ev.net.family, s->ev.net.addr);
}

/* The peer as the caller named it: struct sockaddr_in or sockaddr_in6. */
static __always_inline void peer_from_address(struct scratch *s, struct flight *f)
{
	u16 family = *(u16 *)f->names;

	/* For these the kernel takes it for AF_INET. */
	if (family == AF_UNSPEC && s->ev.net.family == AF_INET)
		family = AF_INET;
	s->ev.net.family = family;
	s->ev.net.port = bpf_ntohs(*(u16 *)(f->names + 2));
	if (family == AF_INET) {
		__builtin_memcpy(s->ev.net.addr, f->names + 4, 4);
	} else if (family == AF_INET6) {
		__builtin_memcpy(s->ev.net.addr, f->names + 8, 16);
		s->ev.net.scope = *(u32 *)(f->names + 24);
	}
}

/*
 * The name that a unix socket is bound to: a path as segment i, or an abstract
 * name as segment i + 1. Returns 0 if there is none, or it cannot be told any more.
 */
static __always_inline int unix_name_append(struct scratch *s, struct sock *sk, u32 i)
{
	struct unix_sock *u = (void *)sk;
	struct dentry *d;
	struct unix_address *addr;
	const void *name;
	u8 first = 0;
	u32 len;

	if (!u)
		return 0;
	d = BPF_CORE_READ(u, path.dentry);
	if (d) {
		path_append((u64)d, (u64)BPF_CORE_READ(u, path.mnt), i);
		return 1;
	}
	addr = BPF_CORE_READ(u, addr);
	if (!addr)
		return 0;
	name = (void *)addr + bpf_core_field_offset(struct unix_address, name) + 2;
	bpf_probe_read_kernel(&first, 1, name);
	len = BPF_CORE_READ(addr, len) - 2;
	/* A path without its file: the socket has been closed, and relative to what is not known. */
	if (first || !len || len > SOCKADDR_MAX)
		return 0;
	bytes_append(s, i + 1, name, len);
	return 1;
}

/* A unix peer: what it was bound to, or the name that was given. */
static __always_inline void unix_append(struct scratch *s, struct flight *f, struct sock *sk, long ret)
{
	u64 dentry = 0, mnt = 0;
	u32 len;

	if (!ret && unix_name_append(s, (void *)BPF_CORE_READ((struct unix_sock *)sk, peer), 0))
		return;
	len = f->len[0];
	if (len > 2 && len <= SOCKADDR_MAX)
		bytes_append(s, 1, f->names + 2, len - 2);
	base_of(f->names + 2, AT_FDCWD, &dentry, &mnt);
	path_append(dentry, mnt, 2);
}

