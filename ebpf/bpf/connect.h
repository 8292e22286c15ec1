/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Connects, and how they end. */
#pragma once

#include "net.h"

/* How a connect ended whose socket has left SYN_SENT. */
static __always_inline s32 outcome_of(struct sock *sk, int state)
{
	s32 err;

	if (state != TCP_CLOSE)
		return 0;
	err = -BPF_CORE_READ(sk, sk_err);
	return err ? err : -EINPROGRESS; /* closed by its owner before there was an answer */
}

static __always_inline int is_under_way(int state)
{
	return state == TCP_SYN_SENT || state == TCP_SYN_RECV; /* the latter if both sides connect */
}

/* Of what was bound to an address of the kernel's choice: it is a client's socket, and awaits nobody. */
__attribute__((noinline)) int client_found(u64 sock)
{
	struct scratch *s = the_scratch();

	if (!s || bpf_map_delete_elem(&undecided, &sock))
		return 0;
	event_begin(EV_LISTEN, OP_CONNECT);
	s->ev.net.sock = sock;
	event_send(current_tid());
	return 0;
}

/*
 * Whether a recorded process listens at the other end of a unix connection: who
 * called listen(2), as the kernel keeps it for SO_PEERCRED.
 */
__attribute__((noinline)) int peer_recorded(u64 sock)
{
	struct pid *pid = BPF_CORE_READ((struct sock *)sock, sk_peer_pid);
	u32 tgid;

	if (!pid)
		return 0; /* datagrams know nobody */
	tgid = BPF_CORE_READ((struct upid *)((void *)pid + bpf_core_field_offset(struct pid, numbers)), nr);
	return !!mark_of(tgid);
}

/* At the exit of a connect, or of a send that opens a stream; its address is in s->flight. */
__attribute__((noinline)) int on_connect(s64 ret)
{
	struct scratch *s = the_scratch();
	struct flight *f;
	struct sock *sk, *now;
	int tcp, pending, raced, inet;
	u64 key;

	if (!s)
		return 0;
	f = &s->flight;
	/*
	 * The kernel holds the file until after this hook, also if another
	 * thread has closed the descriptor or put another file there.
	 */
	now = sock_of(s->args[0]);
	sk = f->sock ? (void *)f->sock : now;
	raced = now != sk;
	if (!sk || f->followup || ret == -EISCONN || ret == -EALREADY)
		return 0;
	if (ret && f->len[0] < 2)
		return 0; /* no address, and nobody reached: EFAULT, EINVAL */
	tcp = is_tcp((u64)sk);
	if (restarts(ret) && !tcp) {
		count_interrupted();
		return 0;
	}
	if (!ret && BPF_CORE_READ(sk, sk_type) == SOCK_DGRAM)
		client_found((u64)sk);
	/* With TCP_FASTOPEN_CONNECT a connect returns 0 and waits for the first bytes. */
	pending = ret == -EINPROGRESS || ret == -EINTR || restarts(ret) ||
		  (!ret && tcp && BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_SYN_SENT);
	event_begin(EV_CONNECT, OP_CONNECT);
	s->ev.err = pending && !ret ? -EINPROGRESS : ret;
	net_describe((u64)sk);
	inet = is_inet(s->ev.net.family);
	if (ret && inet && is_short(s))
		return 0; /* the kernel took no address out of it: EINVAL */
	if (*(u16 *)f->names == AF_UNSPEC && f->len[0] >= 2 && !pending &&
	    (ret || !inet || !BPF_CORE_READ(sk, __sk_common.skc_dport)))
		return 0; /* takes the peer away, reaches nobody */
	if (s->ev.net.family == AF_UNIX) {
		if (ret || !unix_name_append((u64)BPF_CORE_READ((struct unix_sock *)sk, peer), 0))
			unix_peer_append(s);
		if (!ret)
			s->ev.net.own = peer_recorded((u64)sk);
	} else if (inet) {
		if (ret && !pending)
			peer_from_address();
		else
			peer_from_sock((u64)sk);
	} /* else netlink, vsock, ...: the family alone */
	if (ret && !pending && memory_shared())
		s->ev.seg[0].flags |= SEG_SHARED;
	if (raced)
		s->ev.seg[0].flags |= SEG_RACED;
	key = (u64)sk;
	s->ev.net.sock = tcp ? key : 0;
	if (pending && tcp) {
		struct connecting c = { .start = s->start, .pid = s->pid, .tid = current_tid() };

		/*
		 * On the way the outcome may have come already, or come while
		 * we look: announce the wait first, then look at the state.
		 */
		if (bpf_map_update_elem(&connecting, &key, &c, BPF_ANY))
			count_map_full();
		s->ev.net.state = BPF_CORE_READ(sk, __sk_common.skc_state);
		if (!is_under_way(s->ev.net.state) && !bpf_map_delete_elem(&connecting, &key)) {
			s->ev.net.sock = 0;
			s->ev.err = outcome_of(sk, s->ev.net.state);
		}
	}
	event_send(current_tid());
	return 0;
}

/*
 * The outcome of a connect that was in progress. May run in softirq, amid the
 * same of another socket, and the kernel runs no program that this CPU is amid
 * of already. So there are two, of which it is amid of one at most: softirqs do
 * not interrupt each other. Whichever comes first takes the socket off the map.
 */
static __always_inline void on_sock_state(struct sock *sk, int oldstate, int newstate, enum stream stream)
{
	u64 key = (u64)sk;
	struct connecting *found, c;
	struct counters *n;
	struct event e;

	if (!is_under_way(oldstate) || is_under_way(newstate))
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
	e.stream = stream_id(stream);
	e.seq = n->emitted[stream]++;
	ring_output(&e, sizeof(e), stream, n);
}
