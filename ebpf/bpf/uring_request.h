/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the kernel's request says, brought into the form of the call of that name. */
#pragma once

#include "message.h"
#include "uring_state.h"

/*
 * What the call of that name would have as arguments, to s->args and s->request,
 * but for its names: those are the kernel's, and s->filename says where.
 */
__attribute__((noinline)) int request_args(u64 req, u32 opcode)
{
	struct scratch *s = the_scratch();
	struct request *r;

	if (!s)
		return 0;
	r = &s->request;
	r->args[0] = r->args[2] = FD_GIVEN;
	r->args[1] = r->args[3] = r->args[4] = r->args[5] = 0;
	s->filename[0] = s->filename[1] = 0;
	switch (opcode) {
	case IORING_OP_OPENAT:
	case IORING_OP_OPENAT2: {
		struct io_open *o = (void *)req;

		r->args[0] = BPF_CORE_READ(o, dfd);
		r->args[2] = BPF_CORE_READ(o, file_slot);
		r->args[3] = BPF_CORE_READ(o, how.flags);
		r->args[4] = BPF_CORE_READ(o, how.resolve);
		s->filename[0] = (u64)BPF_CORE_READ(o, filename);
		break;
	}
	case IORING_OP_FALLOCATE: {
		struct io_sync *y = (void *)req;

		r->args[1] = BPF_CORE_READ(y, mode);
		break;
	}
	case IORING_OP_UNLINKAT: {
		struct io_unlink *u = (void *)req;

		r->args[0] = BPF_CORE_READ(u, dfd);
		r->args[2] = BPF_CORE_READ(u, flags);
		s->filename[0] = (u64)BPF_CORE_READ(u, filename);
		break;
	}
	case IORING_OP_RENAMEAT: {
		struct io_rename *n = (void *)req;

		r->args[0] = BPF_CORE_READ(n, old_dfd);
		r->args[2] = BPF_CORE_READ(n, new_dfd);
		r->args[4] = BPF_CORE_READ(n, flags);
		s->filename[0] = (u64)BPF_CORE_READ(n, oldpath);
		s->filename[1] = (u64)BPF_CORE_READ(n, newpath);
		break;
	}
	case IORING_OP_MKDIRAT: {
		struct io_mkdir *d = (void *)req;

		if (!bpf_core_type_exists(struct io_mkdir))
			break;
		r->args[0] = BPF_CORE_READ(d, dfd);
		s->filename[0] = (u64)BPF_CORE_READ(d, filename);
		break;
	}
	case IORING_OP_SYMLINKAT:
	case IORING_OP_LINKAT: {
		struct io_link *l = (void *)req;
		u64 old, new;

		if (!bpf_core_type_exists(struct io_link))
			break;
		old = (u64)BPF_CORE_READ(l, oldpath);
		new = (u64)BPF_CORE_READ(l, newpath);
		if (opcode == IORING_OP_SYMLINKAT) {
			r->args[1] = BPF_CORE_READ(l, new_dfd);
			s->filename[0] = new;
			s->filename[1] = old;
			break;
		}
		r->args[0] = BPF_CORE_READ(l, old_dfd);
		r->args[2] = BPF_CORE_READ(l, new_dfd);
		r->args[4] = BPF_CORE_READ(l, flags);
		s->filename[0] = old;
		s->filename[1] = new;
		break;
	}
	case IORING_OP_SETXATTR: {
		struct io_xattr *x = (void *)req;

		if (bpf_core_type_exists(struct io_xattr))
			s->filename[0] = (u64)BPF_CORE_READ(x, filename);
		break;
	}
	case IORING_OP_SPLICE: {
		struct io_splice *sp = (void *)req;

		r->args[0] = BPF_CORE_READ(sp, splice_fd_in);
		r->args[1] = BPF_CORE_READ(sp, flags);
		r->args[3] = (u64)file_of(r->args[0]);
		break;
	}
	case IORING_OP_ACCEPT: {
		struct io_accept *a = (void *)req;

		r->args[2] = bpf_core_field_exists(a->file_slot) ? BPF_CORE_READ(a, file_slot) : 0;
		break;
	}
	case IORING_OP_SOCKET: {
		struct io_socket *k = (void *)req;

		r->args[2] = bpf_core_type_exists(struct io_socket) ? BPF_CORE_READ(k, file_slot) : 0;
		break;
	}
	}
	__builtin_memcpy(s->args, r->args, sizeof(r->args));
	return 0;
}

static __always_inline int request_compat(u64 req)
{
	struct io_ring_ctx *ring = BPF_CORE_READ((struct io_kiocb *)req, ctx);

	return BPF_CORE_READ_BITFIELD_PROBED(ring, compat);
}

/* Where the bytes are that went, as the call of that name would have it, and with what flags. */
__attribute__((noinline)) int request_payload(u64 req)
{
	struct scratch *s = the_scratch();
	struct io_sr_msg *sr = (void *)req;
	struct io_rw *rw = (void *)req;
	u32 op;

	if (!s)
		return 0;
	op = s->call.op;
	s->args[1] = 0;
	if (op == OP_MOVE && s->call.payload != PAYLOAD_BUFFER && s->call.payload != PAYLOAD_VECTOR)
		return 0;
	if (!socket_of_file(s->file))
		return 0;
	switch (BPF_CORE_READ((struct io_kiocb *)req, opcode)) {
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
	case IORING_OP_SEND_ZC:
	case IORING_OP_SENDMSG_ZC:
	case IORING_OP_RECV:
	case IORING_OP_RECVMSG:
		s->args[1] = (u64)BPF_CORE_READ(sr, umsg);
		s->args[3] = BPF_CORE_READ(sr, msg_flags);
		s->args[2] = op == OP_MOVE ? BPF_CORE_READ(sr, len) : s->args[3];
		break;
	default:
		s->args[1] = BPF_CORE_READ(rw, addr);
		s->args[2] = BPF_CORE_READ(rw, len);
		s->args[3] = 0;
	}
	return 0;
}

/* Name i of the request to the end of data[], and the directory that it is relative to. */
__attribute__((noinline)) int request_name(u32 i)
{
	struct scratch *s = the_scratch();
	struct filename *from;
	u32 len;
	long got;

	if (!s || i > 1)
		return 0;
	len = s->len;
	opaque(len);
	if (len > DATA_MAX) {
		s->flight.flags[i] = SEG_CUT;
		return 0;
	}
	from = (void *)s->filename[i];
	got = bpf_probe_read_kernel_str(&s->data[len], NAME_MAX_LEN, BPF_CORE_READ(from, name));
	if (got <= 0) {
		s->flight.flags[i] = SEG_CUT;
		return 0;
	}
	if (s->call.base_early) {
		base_of(s->data[len], dirfd_of(s, i));
		s->flight.dentry[i] = s->base.dentry;
		s->flight.mnt[i] = s->base.mnt;
	}
	s->flight.len[i] = got - 1;
	s->len = len + got - 1;
	return 0;
}

static __always_inline void request_names(struct scratch *s, u64 req)
{
	struct flight *f = &s->flight;

	names_missed(s);
	f->flags[0] = f->flags[1] = 0;
	s->len = 0;
	if (s->call.path[0])
		request_name(0);
	if (s->call.path[1])
		request_name(1);
	if (s->len <= SHORT_NAMES) {
		bpf_probe_read_kernel(f->names, s->len, s->data);
	} else if (long_names_keep(req)) {
		f->len[0] = f->len[1] = 0;
		f->flags[0] = f->flags[1] = SEG_CUT;
	}
}

/*
 * Where the kernel has copied the address of a connect or a bind to, if it has:
 * from Linux 6.10 on, behind a struct io_async_msghdr or for itself. That struct
 * begins with a pointer, which does not look like a small number.
 */
static __always_inline u64 address_copy(u64 copy)
{
	u16 family = 0;

	if (!copy)
		return 0;
	bpf_probe_read_kernel(&family, sizeof(family), (void *)copy);
	if (family && family < AF_MAX)
		return copy;
	return copy + bpf_core_field_offset(struct io_async_msghdr, addr);
}

/* As address_read(), from the kernel's memory. */
__attribute__((noinline)) int address_take(u64 from, u64 len)
{
	struct scratch *s = the_scratch();
	struct flight *f;

	if (!s)
		return 0;
	f = &s->flight;
	address_read(0, 0);
	f->flags[0] = 0;
	opaque(len);
	if (len > SOCKADDR_MAX)
		len = SOCKADDR_MAX;
	f->len[0] = len;
	if (bpf_probe_read_kernel(f->names, len, (void *)from))
		f->len[0] = 0;
	return 0;
}

/* The address that an operation was given: the kernel's copy, else the caller's. */
__attribute__((noinline)) int request_address(u64 req, u32 opcode)
{
	struct scratch *s = the_scratch();
	struct io_async_msghdr *copy = BPF_CORE_READ((struct io_kiocb *)req, async_data);
	struct io_sr_msg___v61 *sr = (void *)req;
	struct io_bind *b = (void *)req;
	u64 from, len;

	if (!s)
		return 0;
	s->flight.dentry[0] = s->flight.dentry[1] = s->flight.mnt[0] = s->flight.mnt[1] = 0;
	if (opcode == IORING_OP_BIND) {
		if (bpf_core_type_exists(struct io_bind))
			address_take(address_copy((u64)copy), BPF_CORE_READ(b, addr_len));
	} else if (opcode == IORING_OP_CONNECT) {
		from = (u64)BPF_CORE_READ((struct io_connect *)req, addr);
		len = BPF_CORE_READ((struct io_connect *)req, addr_len);
		address_read(from, len);
		if (copy && *(u16 *)s->flight.names)
			address_take(address_copy((u64)copy), len);
	} else if (copy) {
		from = (u64)BPF_CORE_READ(copy, msg.msg_name);
		address_take(from, from ? BPF_CORE_READ(copy, msg.msg_namelen) : 0);
	} else if (opcode == IORING_OP_SENDMSG || opcode == IORING_OP_SENDMSG_ZC) {
		message_read((u64)BPF_CORE_READ((struct io_sr_msg *)req, umsg));
		address_read(s->io.name, s->io.name ? s->io.name_len : 0);
	} else if (bpf_core_field_exists(sr->addr)) {
		from = (u64)BPF_CORE_READ(sr, addr);
		address_read(from, from ? BPF_CORE_READ(sr, addr_len) : 0);
	} else {
		address_read(0, 0);
	}
	return 0;
}

/* Keeps what the scratch holds of a request; without room for that it is counted as unseen. */
__attribute__((noinline)) int request_keep(u64 req, u32 opcode, u32 told)
{
	struct scratch *s = the_scratch();
	struct requests_of of = { .req = req, .count = 1 }, *same;
	struct by_data by = {};

	if (!s)
		return 0;
	s->request.ctx = by.ctx = (u64)BPF_CORE_READ((struct io_kiocb *)req, ctx);
	s->request.user_data = by.user_data = request_data(req);
	s->request.begun = bpf_ktime_get_boot_ns();
	s->request.tgid = bpf_get_current_pid_tgid() >> 32;
	s->request.opcode = opcode;
	s->request.told = told;
	__builtin_memcpy(&s->request.names, &s->flight, sizeof(s->flight));
	if (bpf_map_update_elem(&requests, &req, &s->request, BPF_ANY)) {
		long_names_end(s->flight.long_names);
		count_unseen(opcode);
		return 0;
	}
	same = bpf_map_lookup_elem(&requests_by_data, &by);
	if (same) {
		same->req = 0;
		same->count++;
	} else {
		bpf_map_update_elem(&requests_by_data, &by, &of, BPF_ANY);
	}
	return 0;
}
