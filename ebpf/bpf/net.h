/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Sockets: which one, of what kind, and the addresses at its ends. */
#pragma once

#include "syscall.h"

/* The least that the kernel takes: net/ipv4/af_inet.c, include/net/ipv6.h (SIN6_LEN_RFC2133). */
#define SOCKADDR_IN_LEN 16
#define SOCKADDR_IN6_LEN 24

/* The struct socket of a file, 0 if it is none. */
__attribute__((noinline)) u64 socket_of_file(u64 file)
{
	struct file *f = (void *)file;

	if (!f || (BPF_CORE_READ(f, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	return (u64)BPF_CORE_READ(f, private_data);
}

/* The struct sock behind that; reading what is nowhere gives 0. */
static __always_inline struct sock *sock_of_file(u64 file)
{
	return BPF_CORE_READ((struct socket *)socket_of_file(file), sk);
}

static __always_inline struct sock *sock_of(int fd)
{
	return sock_of_file(file_address(fd));
}

static __always_inline int is_inet(u16 family)
{
	return family == AF_INET || family == AF_INET6;
}

/* TCP, by itself or as the parts of an MPTCP connection. */
__attribute__((noinline)) int is_tcp(u64 sock)
{
	struct sock *sk = (void *)sock;
	u16 protocol = BPF_CORE_READ(sk, sk_protocol);

	return is_inet(BPF_CORE_READ(sk, __sk_common.skc_family)) && BPF_CORE_READ(sk, sk_type) == SOCK_STREAM &&
	       (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

__attribute__((noinline)) int is_udp(u64 sock)
{
	struct sock *sk = (void *)sock;
	u16 protocol = BPF_CORE_READ(sk, sk_protocol);

	return is_inet(BPF_CORE_READ(sk, __sk_common.skc_family)) && BPF_CORE_READ(sk, sk_type) == SOCK_DGRAM &&
	       (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE);
}

/* Reads the address that a call was given into s->flight. */
__attribute__((noinline)) int address_read(u64 from, u64 len)
{
	struct scratch *s = the_scratch();
	struct flight *f;

	if (!s)
		return 0;
	f = &s->flight;
	f->long_names = 0;
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
	return 0;
}

/*
 * struct user_msghdr at `at`: where the bytes are, whom they go to or come from,
 * and what goes along. Returns 0 if it could be read.
 */
__attribute__((noinline)) int message_read(u64 at)
{
	struct scratch *s = the_scratch();
	u64 in[6] = {};
	int unreadable;

	if (!s)
		return 0;
	if (s->compat) {
		u32 in32[6] = {};

		unreadable = bpf_probe_read_user(in32, sizeof(in32), (void *)at);
		in[0] = in32[0];
		in[1] = in32[1];
		in[2] = in32[2];
		in[3] = in32[3];
		in[4] = in32[4];
		in[5] = in32[5];
	} else {
		unreadable = bpf_probe_read_user(in, sizeof(in), (void *)at);
	}
	s->io.name = in[0];
	s->io.name_len = in[1];
	s->io.at = in[2];
	s->io.count = in[3];
	s->io.control = in[4];
	s->io.control_len = in[5];
	if (!s->io.count)
		s->io.at = 0;
	return unreadable;
}

/* The address argument of a call that has one, to s->flight. */
static __always_inline void call_address_read(struct scratch *s)
{
	int unreadable;

	if (s->call.op == OP_CONNECT || s->call.op == OP_BIND) {
		address_read(s->args[1], s->args[2]);
	} else if (s->call.op == OP_SENDMSG) {
		unreadable = message_read(s->args[1]);
		address_read(s->io.name, s->io.name ? s->io.name_len : 0);
		if (unreadable)
			s->flight.flags[0] = SEG_UNREADABLE;
	} else {
		address_read(s->args[4], s->args[4] ? s->args[5] : 0);
	}
}

/* At entry: the address, which a call that fails leaves nowhere else. */
__attribute__((noinline)) int address_keep(void)
{
	struct scratch *s = the_scratch();
	struct socket *sock;
	u64 sk;

	if (!s)
		return 0;
	call_address_read(s);
	if (is_send(s->call.op) && !s->flight.len[0] && !s->flight.flags[0] && !descriptors_shared(s->flags))
		return 0; /* a send without an address */
	sock = (void *)socket_of_file(file_address(s->args[0]));
	sk = (u64)BPF_CORE_READ(sock, sk);
	/* The usual second connect(), to ask how the first went. */
	s->flight.followup = sk && is_tcp(sk) && BPF_CORE_READ(sock, state) != SS_UNCONNECTED;
	s->flight.sock = sk;
	flight_keep(0);
	return 0;
}

/*
 * At entry: the arguments themselves lie in memory that has to be fetched
 * first. It is kept that the call began.
 */
__attribute__((noinline)) int args_missed(u32 index)
{
	struct scratch *s = the_scratch();

	if (!s || !has_address(s->call.op))
		return 0;
	names_missed(s);
	s->flight.index = index;
	flight_keep(0);
	return 0;
}

/*
 * At exit: the address of a call whose entry was not seen, or that lay in memory
 * which had to be fetched first, is read now.
 */
__attribute__((noinline)) int address_late(void)
{
	struct scratch *s = the_scratch();
	u32 followup;
	u64 sock;

	if (!s)
		return 0;
	sock = s->flight.sock;
	followup = s->flight.followup;
	call_address_read(s);
	s->flight.sock = sock;
	s->flight.followup = followup;
	return 0;
}

/* Whether the address is too short for the socket that the event is about. */
static __always_inline int is_short(struct scratch *s)
{
	return s->flight.len[0] < (s->ev.net.family == AF_INET ? SOCKADDR_IN_LEN : SOCKADDR_IN6_LEN);
}

/* What kind of socket it is, to the event. */
__attribute__((noinline)) int net_describe(u64 sock)
{
	struct scratch *s = the_scratch();
	struct sock *sk = (void *)sock;

	if (!s)
		return 0;
	s->ev.net.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	s->ev.net.type = BPF_CORE_READ(sk, sk_type);
	s->ev.net.protocol = BPF_CORE_READ(sk, sk_protocol);
	s->ev.net.state = BPF_CORE_READ(sk, __sk_common.skc_state);
	return 0;
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

/* The peer as the socket has it, to the event. */
__attribute__((noinline)) int peer_from_sock(u64 sock)
{
	struct scratch *s = the_scratch();
	struct sock *sk = (void *)sock;

	if (!s)
		return 0;
	s->ev.net.port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	peer_address(sk, s->ev.net.family, s->ev.net.addr);
	return 0;
}

/* The peer as the caller named it: struct sockaddr_in or sockaddr_in6. */
__attribute__((noinline)) int peer_from_address(void)
{
	struct scratch *s = the_scratch();
	struct flight *f;
	u16 family;

	if (!s)
		return 0;
	f = &s->flight;
	family = *(u16 *)f->names;
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
	return 0;
}

/*
 * The name that a unix socket is bound to: a path as segment i, or an abstract
 * name as segment i + 1. Returns 0 if there is none, or it cannot be told any more.
 */
__attribute__((noinline)) int unix_name_append(u64 sock, u32 i)
{
	struct unix_sock *u = (void *)sock;
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
	bytes_append(i + 1, (u64)name, len);
	return 1;
}

/* A unix peer as the caller named it. */
static __always_inline void unix_peer_append(struct scratch *s)
{
	u32 len = s->flight.len[0] - 2, at = s->len;

	opaque(len);
	opaque(at);
	if (len <= SOCKADDR_MAX - 2 && at <= DATA_MAX) {
		bpf_probe_read_kernel(&s->data[at], len, s->flight.names + 2);
		s->ev.seg[1].len = len;
		s->len = at + len;
	}
	base_of(s->flight.names[2], AT_FDCWD);
	path_append(s->base.dentry, s->base.mnt, 2);
}
