/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Operations that are handed to io_uring: which there are, and what is kept of them until they end. */
#pragma once

#include "state.h"

/* include/uapi/linux/io_uring.h, enum io_uring_op */
enum {
	IORING_OP_SENDMSG = 9,
	IORING_OP_RECVMSG = 10,
	IORING_OP_ACCEPT = 13,
	IORING_OP_CONNECT = 16,
	IORING_OP_FALLOCATE = 17,
	IORING_OP_OPENAT = 18,
	IORING_OP_CLOSE = 19,
	IORING_OP_FILES_UPDATE = 20,
	IORING_OP_SEND = 26,
	IORING_OP_RECV = 27,
	IORING_OP_OPENAT2 = 28,
	IORING_OP_SPLICE = 30,
	IORING_OP_RENAMEAT = 35,
	IORING_OP_UNLINKAT = 36,
	IORING_OP_MKDIRAT = 37,
	IORING_OP_SYMLINKAT = 38,
	IORING_OP_LINKAT = 39,
	IORING_OP_SETXATTR = 42,
	IORING_OP_SOCKET = 45,
	IORING_OP_SEND_ZC = 47,
	IORING_OP_SENDMSG_ZC = 48,
	IORING_OP_READ_MULTISHOT = 49,
	IORING_OP_BIND = 56,
};
#define IOSQE_FIXED_FILE (1 << 0) /* this one too */
#define IOSQE_CQE_SKIP_SUCCESS (1 << 6) /* the same bit in io_kiocb.flags */
#define IORING_RECV_MULTISHOT (1 << 1)
#define IORING_RECVSEND_BUNDLE (1 << 4)
#define IORING_FILE_INDEX_ALLOC 0xffffffff
#define SPLICE_F_FD_IN_FIXED (1U << 31)
#define FFS_MASK 7UL /* bits of a registered file's pointer that are flags */

/* Set by the loader, from the tracepoints that this kernel has. */
const volatile u32 uring_submit_arg; /* of io_uring_submit_sqe: which argument the request is */
const volatile u32 uring_results = 1;/* of io_uring_complete; enum uring_results */

enum uring_results {
	RESULT_IN_CQE = 1, /* ctx, req, cqe */
	RESULT_IN_ARGS,	   /* ctx, req, user_data, res, cflags, ... */
	RESULT_BY_DATA,	   /* ctx, user_data, res, cflags: whose it is has to be found out */
};

/* An operation that is under way, by address of its struct io_kiocb. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct request);
} requests SEC(".maps");

/* Which request a result belongs to that names its data alone. */
struct by_data {
	u64 ctx;
	u64 user_data;
};

struct requests_of {
	u64 req; /* 0: there were several at a time */
	u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct by_data);
	__type(value, struct requests_of);
} requests_by_data SEC(".maps");

struct uring_counts {
	struct uring_count of[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct uring_counts);
} uring_counts SEC(".maps");

/* Counts what is of no known operation. */
#define URING_UNKNOWN 255

static __always_inline struct uring_count *uring_count(u32 opcode)
{
	u32 zero = 0;
	struct uring_counts *all = bpf_map_lookup_elem(&uring_counts, &zero);

	return all ? &all->of[opcode & 255] : 0;
}

static __always_inline void count_unseen(u32 opcode)
{
	struct uring_count *n = uring_count(opcode);

	if (n)
		n->unseen++;
}

static __always_inline u64 request_data(u64 req)
{
	struct io_kiocb___v518 *old = (void *)req;

	if (bpf_core_field_exists(old->user_data))
		return BPF_CORE_READ(old, user_data);
	return BPF_CORE_READ((struct io_kiocb *)req, cqe.user_data);
}

static __always_inline int wants_no_result(u64 req)
{
	return BPF_CORE_READ((struct io_kiocb *)req, flags) & IOSQE_CQE_SKIP_SUCCESS;
}

/* Whether the result alone tells all: bytes of the request's file. */
static __always_inline int is_bytes(u32 op, u32 opcode)
{
	return (op == OP_MOVE && opcode != IORING_OP_SPLICE) || op == OP_RECVMSG;
}

/* Forgets a request. What it holds has been copied, or is given up. */
__attribute__((noinline)) int request_end(u64 req)
{
	struct request *r = bpf_map_lookup_elem(&requests, &req);
	struct requests_of *of;
	struct by_data by = {};
	u64 names;

	if (!r)
		return 0;
	by.ctx = r->ctx;
	by.user_data = r->user_data;
	names = r->names.long_names;
	if (bpf_map_delete_elem(&requests, &req))
		return 0;
	long_names_end(names);
	of = bpf_map_lookup_elem(&requests_by_data, &by);
	if (of && of->count > 1)
		of->count--;
	else if (of)
		bpf_map_delete_elem(&requests_by_data, &by);
	return 0;
}

/* The kernel uses the request anew: of what it was before no result was told. */
__attribute__((noinline)) int request_settle(u64 req)
{
	struct request *r = bpf_map_lookup_elem(&requests, &req);

	if (r) {
		if (!r->told)
			count_unseen(r->opcode);
		request_end(req);
	}
	return 0;
}

/* Whether the operation posts results before its last one, which do not name it. */
static __always_inline int is_multishot(u64 req, u32 opcode)
{
	struct io_sr_msg *sr = (void *)req;

	if (opcode == IORING_OP_READ_MULTISHOT)
		return 1;
	if (!bpf_core_field_exists(sr->flags))
		return 0;
	if (opcode == IORING_OP_RECV || opcode == IORING_OP_RECVMSG)
		return BPF_CORE_READ(sr, flags) & (IORING_RECV_MULTISHOT | IORING_RECVSEND_BUNDLE);
	return opcode == IORING_OP_SEND && BPF_CORE_READ(sr, flags) & IORING_RECVSEND_BUNDLE;
}
