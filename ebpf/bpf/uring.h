/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Operations that are handed to io_uring: no system call of their own stands
 * for them. When one has been taken on, the kernel's request holds copies of
 * the names, and these are kept. When its result is there, it is told like the
 * call of that name: by the process's own task, by a worker or by the ring's
 * polling thread, which are threads of the process (since Linux 5.12).
 */
#pragma once

#include "file.h"
#include "io.h"
#include "listen.h"
#include "uring_places.h"
#include "uring_request.h"

/* A request has been turned down: what it was to be is not carried out. */
__attribute__((noinline)) int uring_refused(u64 req)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct mark *m = mark_of(tgid);
	struct uring_count *n;

	request_settle(req);
	if (!m || m->armed)
		return 0;
	n = uring_count(BPF_CORE_READ((struct io_kiocb *)req, opcode));
	if (n)
		n->refused++;
	return 0;
}

/* Bytes that were spliced: to the request's file, from one that is looked for again. */
static __always_inline void uring_splice(struct scratch *s, s64 res)
{
	if (res <= 0)
		return;
	on_moved(FD_GIVEN, res, MESSAGE_OUT);
	if (s->args[1] & SPLICE_F_FD_IN_FIXED) {
		s->file = registered_file(s->request.ctx, s->args[0]);
		on_moved(FD_GIVEN, res, 0);
		return;
	}
	s->was[0] = s->args[3];
	s->has_was = 1;
	on_moved(s->args[0], res, 0);
	s->has_was = 0;
}

/* What came of the operation that the scratch holds. */
__attribute__((noinline)) int uring_tell(void)
{
	struct scratch *s = the_scratch();
	u64 req;
	s64 res;
	u32 how;

	if (!s)
		return 0;
	req = s->req;
	res = s->res;
	switch (s->call.op) {
	case OP_NONE:
	case OP_CLOSE:
		break;
	case OP_CONNECT:
		on_connect(res);
		break;
	case OP_BIND:
		on_bind(res);
		break;
	case OP_LISTEN:
		on_listen(res);
		break;
	case OP_ACCEPT:
	case OP_SOCKET:
		if (res < 0)
			break;
		opened_file(s->args[2], res);
		if (s->call.op == OP_ACCEPT)
			on_accept(FD_GIVEN);
		else
			on_socket(FD_GIVEN);
		break;
	case OP_SENDTO:
	case OP_SENDMSG:
		request_payload(req);
		on_send(res);
		break;
	case OP_RECVMSG:
	case OP_MOVE:
		if (BPF_CORE_READ((struct io_kiocb *)req, opcode) == IORING_OP_SPLICE) {
			uring_splice(s, res);
			break;
		}
		request_payload(req);
		payload_find();
		how = s->call.out ? MESSAGE_OUT : message_flags(arg(s, s->call.flags));
		on_moved(FD_GIVEN, res, how);
		break;
	case OP_OPEN:
		if (res >= 0) {
			opened_file(s->args[2], res);
			on_open(FD_GIVEN, s->args[3]);
			break;
		}
		s->in_root = s->args[4] & RESOLVE_IN_ROOT;
		/* fall through */
	default:
		on_file_op(res);
	}
	return 0;
}

/*
 * An operation whose success is not to be reported: it is told now what it is
 * to be. Many failures are reported nevertheless. Returns 0 if there is nothing
 * to tell.
 */
static __always_inline int unreported_find(struct scratch *s, u64 req, u32 opcode)
{
	struct io_kiocb *r = (void *)req;
	u64 ctx = s->request.ctx;
	int fd;

	if (!s->call.path[0]) {
		count_unseen(opcode);
		if (bpf_core_field_exists(r->cqe.fd)) {
			fd = BPF_CORE_READ(r, cqe.fd);
			if (BPF_CORE_READ(r, flags) & IOSQE_FIXED_FILE)
				s->file = registered_file(ctx, fd);
			else
				s->file = (u64)file_of(fd);
		} else {
			s->file = (u64)BPF_CORE_READ(r, file);
		}
	}
	return s->call.path[0] || has_address(s->call.op);
}

/*
 * A request has been taken on. Returns 1 if it has to be told now: then it is
 * in the scratch, until uring_told().
 */
__attribute__((noinline)) int uring_begin(u64 req)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32, opcode, index;
	struct mark *m = mark_of(tgid);
	int shots, unreported, all = uring_results == RESULT_BY_DATA;
	struct uring_count *n;
	struct scratch *s;
	const struct call *call;

	request_settle(req);
	if (!m || m->armed)
		return 0;
	opcode = BPF_CORE_READ((struct io_kiocb *)req, opcode);
	n = uring_count(opcode);
	if (n)
		n->begun++;
	index = CALLS_URING + opcode;
	call = call_row(index);
	if (!call || (call->op == OP_NONE && !all))
		return 0;
	unreported = wants_no_result(req);
	if (call->op == OP_OPEN || call->op == OP_ACCEPT || call->op == OP_SOCKET)
		uring_opens = 1;
	if (call->op == OP_CLOSE) {
		if (uring_opens)
			request_vacates(req, opcode, unreported ? -1ULL : bpf_ktime_get_boot_ns());
		if (!all)
			return 0;
	}
	shots = is_multishot(req, opcode);
	if (is_bytes(call->op, opcode) && !shots && !all) {
		/* The result will do, if there is to be one. */
		if (unreported)
			count_unseen(opcode);
		return 0;
	}
	s = scratch_get(m->start, m->pid, call);
	if (!s)
		return 0;
	s->compat = request_compat(req);
	request_args(req, opcode);
	if (has_address(s->call.op))
		request_address(req, opcode);
	else
		request_names(s, req);
	/* A send without an address is but bytes. */
	if (all || shots || !is_send(s->call.op) || s->flight.len[0])
		request_keep(req, opcode, unreported);
	if (unreported && unreported_find(s, req, opcode)) {
		s->more = 1;
		return 1;
	}
	scratch_put(s);
	return 0;
}

/* The request has been told. */
__attribute__((noinline)) int uring_told(void)
{
	struct scratch *s = the_scratch();

	if (!s)
		return 0;
	if (!s->more)
		request_end(s->req);
	scratch_put(s);
	return 0;
}

/*
 * There is a result. req is 0 where the kernel does not say which request it
 * is of: that is one of several of a request, or the kernel never says.
 * Returns the request if it has to be told: then it is in the scratch, until
 * uring_told().
 */
__attribute__((noinline)) u64 uring_end(u64 ctx, u64 req, u64 user_data, s32 res)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32, opcode, index, more = 0;
	struct mark *m = mark_of(tgid);
	struct by_data by = { .ctx = ctx, .user_data = user_data };
	struct requests_of *of;
	struct request *r;
	struct scratch *s;
	const struct call *call;

	if (!req) {
		of = bpf_map_lookup_elem(&requests_by_data, &by);
		req = of ? of->req : 0;
		if (!req && m && (of || uring_results == RESULT_BY_DATA))
			count_unseen(URING_UNKNOWN);
		if (!req)
			return 0;
		more = uring_results != RESULT_BY_DATA;
	}
	opcode = BPF_CORE_READ((struct io_kiocb *)req, opcode);
	if (opcode == IORING_OP_RENAMEAT)
		__sync_fetch_and_add(&moves, 1);
	if ((opcode == IORING_OP_CLOSE || opcode == IORING_OP_FILES_UPDATE) && m && uring_opens)
		request_vacates(req, opcode, bpf_ktime_get_boot_ns());
	r = bpf_map_lookup_elem(&requests, &req);
	if (r && (r->ctx != ctx || r->user_data != user_data || r->opcode != opcode)) {
		/* Of something that the kernel uses the request for by itself. */
		if (!more)
			request_settle(req);
		return 0;
	}
	if (!m || m->armed || (r && r->tgid != tgid)) {
		/* Not where it began: its descriptors and folders are not at hand. Nothing came of a failure. */
		if (!more && res < 0)
			request_end(req);
		else if (!more)
			request_settle(req);
		return 0;
	}
	index = CALLS_URING + opcode;
	call = call_row(index);
	if (!call || (!r && !is_bytes(call->op, opcode) && !is_send(call->op)))
		return 0;
	s = scratch_get(m->start, m->pid, call);
	if (!s)
		return 0;
	s->compat = request_compat(req);
	s->args[0] = FD_GIVEN;
	if (r) {
		__builtin_memcpy(&s->flight, &r->names, sizeof(s->flight));
		__builtin_memcpy(s->args, r->args, sizeof(r->args));
		s->request.ctx = ctx;
		s->request.begun = r->begun;
	} else {
		s->flight.len[0] = s->flight.len[1] = 0;
		s->flight.sock = 0;
		s->flight.followup = 0;
	}
	s->file = (u64)BPF_CORE_READ((struct io_kiocb *)req, file);
	s->more = more;
	return req;
}
