/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The kernel types that the programs read, and of each only the members that
 * they read. Offsets are relocated against the running kernel's BTF at load
 * time (CO-RE), so neither order nor padding matters here.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;
typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;
typedef s8 __s8;
typedef s16 __s16;
typedef s32 __s32;
typedef s64 __s64;
typedef u16 __be16;
typedef u32 __be32;
typedef u32 __wsum;
typedef _Bool bool;

/* include/uapi/linux/bpf.h */
enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_MMAPABLE = 1 << 10,
};
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum {
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct atomic {
	int counter;
};

struct atomic64 {
	s64 counter;
};

struct qstr {
	u64 hash_len;
	const unsigned char *name;
};

struct inode {
	u16 i_mode;
	u64 i_ino;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};

struct vfsmount {
	int mnt_flags;
	struct dentry *mnt_root;
};

struct ns_common {
	u32 inum;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

/* Counts from 0 for one reference. */
typedef struct {
	struct atomic64 refcnt;
} file_ref_t;

struct file {
	file_ref_t f_ref;
	u32 f_mode;
	u32 f_flags;
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

/* Before Linux 6.13. */
struct file___v612 {
	struct atomic64 f_count;
};

struct fdtable {
	u32 max_fds;
	struct file **fd;
};

struct files_struct {
	struct atomic count;
	struct fdtable *fdt;
};

struct fs_struct {
	int users;
	struct path root;
	struct path pwd;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	u32 level;
	struct upid numbers[1];
};

struct kuid {
	u32 val;
};

struct cred {
	struct kuid euid;
	struct kuid egid;
};

struct percpu_counter {
	s64 count;
};

struct mm_struct {
	struct atomic mm_users;
	u64 arg_start;
	u64 arg_end;
	struct file *exe_file;
	u64 hiwater_rss;
	struct percpu_counter rss_stat[4];
};

/* Before Linux 6.2. */
struct mm_rss_stat {
	struct atomic64 count[4];
};

struct mm_struct___v61 {
	struct mm_rss_stat rss_stat;
};

struct task_rss_stat {
	int count[4];
};

struct task_struct___v61 {
	struct task_rss_stat rss_stat;
};

struct task_io_accounting {
	u64 read_bytes;
	u64 write_bytes;
};

struct signal_struct {
	struct atomic live;
	int group_exit_code;
	u32 flags;
	u64 maxrss;
	struct task_io_accounting ioac;
	u64 sum_sched_runtime;
};

struct sched_entity {
	u64 sum_exec_runtime;
};

struct thread_info {
	u32 status;
};

struct seccomp {
	int mode;
};

struct task_struct {
	struct thread_info thread_info;
	void *stack;
	int pid;
	int tgid;
	int exit_code;
	u64 start_boottime;
	u32 ptrace;
	u32 personality;
	struct seccomp seccomp;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	struct signal_struct *signal;
	const struct cred *cred;
	struct sched_entity se;
	struct task_io_accounting ioac;
};

struct linux_binprm {
	struct file *file;
	const char *filename;
	const char *interp;
};

struct in6_addr {
	u8 s6_addr[16];
};

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	u8 skc_state;
	int skc_bound_dev_if;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_type;
	u16 sk_protocol;
	int sk_err;
	struct pid *sk_peer_pid;
	u8 sk_userlocks : 4;
};

struct inet_sock {
	u16 inet_sport;
};

typedef enum {
	SS_FREE = 0,
	SS_UNCONNECTED,
	SS_CONNECTING,
	SS_CONNECTED,
} socket_state;

struct socket {
	socket_state state;
	struct sock *sk;
};

struct unix_sock {
	struct unix_address *addr;
	struct path path;
	struct sock *peer;
};

struct sockaddr_un {
	u16 sun_family;
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[0];
};

struct filename {
	const char *name;
};

struct msghdr {
	void *msg_name;
	int msg_namelen;
};

struct io_rsrc_node {
	u64 file_ptr; /* with flags in its lowest bits */
};

struct io_rsrc_data {
	u32 nr;
	struct io_rsrc_node **nodes;
};

struct io_file_table {
	struct io_rsrc_data data;
};

/* Before Linux 6.13. */
struct io_fixed_file {
	u64 file_ptr;
};

struct io_file_table___v612 {
	struct io_fixed_file *files;
};

struct io_ring_ctx {
	u32 compat : 1;
	struct io_file_table file_table;
};

struct io_cqe {
	u64 user_data;
	s32 res;
	int fd; /* until there is a result */
};

struct io_uring_cqe {
	u64 user_data;
	s32 res;
};

/* A request of io_uring. What the operation asks for begins where it begins. */
struct io_kiocb {
	struct file *file;
	u8 opcode;
	u32 flags;
	struct io_cqe cqe;
	struct io_ring_ctx *ctx;
	void *async_data;
};

/* Before Linux 5.19. */
struct io_kiocb___v518 {
	u64 user_data;
};

struct open_how {
	u64 flags;
	u64 mode;
	u64 resolve;
};

struct io_open {
	int dfd;
	u32 file_slot;
	struct filename *filename;
	struct open_how how;
};

struct io_sync {
	int mode;
};

struct io_close {
	int fd;
	u32 file_slot;
};

struct io_unlink {
	int dfd;
	int flags;
	struct filename *filename;
};

struct io_rename {
	int old_dfd;
	int new_dfd;
	struct filename *oldpath;
	struct filename *newpath;
	int flags;
};

struct io_mkdir {
	int dfd;
	struct filename *filename;
};

struct io_link {
	int old_dfd;
	int new_dfd;
	struct filename *oldpath;
	struct filename *newpath;
	int flags;
};

struct io_xattr {
	struct filename *filename;
};

struct io_splice {
	int splice_fd_in;
	u32 flags;
};

struct io_accept {
	u32 file_slot;
};

struct io_socket {
	u32 file_slot;
};

struct io_bind {
	int addr_len;
};

struct io_rw {
	u64 addr;
	u32 len;
};

struct io_connect {
	void *addr;
	int addr_len;
};

struct io_sr_msg {
	void *umsg; /* or the bytes themselves */
	u32 len;
	u32 msg_flags;
	u16 flags;
};

/* Linux 6.0 to 6.13. */
struct io_sr_msg___v61 {
	u16 addr_len;
	void *addr;
};

struct __kernel_sockaddr_storage {
	u16 ss_family;
};

struct io_async_msghdr {
	struct msghdr msg;
	struct __kernel_sockaddr_storage addr;
};

#pragma clang attribute pop

/*
 * struct pt_regs. Its system call arguments survive until sys_exit, except
 * for the first one on arm64, which the return value overwrites (orig_x0
 * keeps it), and except after a successful exec, which starts with new ones.
 */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	u64 r10, r9, r8;
	u64 bp, bx, cx, dx, si, di;
	u64 orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 pstate;
	u64 orig_x0;
	int syscallno;
};
#else
#error "unknown target"
#endif
#pragma clang attribute pop

/* include/linux/errno.h and include/uapi/asm-generic/errno*.h */
#define EPERM 1
#define EINTR 4
#define EACCES 13
#define EISCONN 106
#define EALREADY 114
#define EINPROGRESS 115
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516
#define EIOCBQUEUED 529

/* include/linux/fs.h */
#define FMODE_WRITE 0x2
#define FMODE_CREATED 0x100000

/* include/uapi/linux/stat.h */
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFCHR 0020000

/* include/uapi/linux/fcntl.h */
#define AT_FDCWD (-100)
#define O_TRUNC 01000
#define AT_REMOVEDIR 0x200
#define AT_SYMLINK_NOFOLLOW 0x100
#define AT_SYMLINK_FOLLOW 0x400

/* include/uapi/linux/openat2.h */
#define RESOLVE_IN_ROOT 0x10

/* include/uapi/linux/fs.h; the second for 32-bit callers */
#define FS_IOC_SETFLAGS 0x40086602
#define FS_IOC32_SETFLAGS 0x40046602
#define FS_IOC_FSSETXATTR 0x401c5820

/* include/uapi/linux/seccomp.h */
#define SECCOMP_MODE_FILTER 2

/* include/uapi/linux/personality.h */
#define READ_IMPLIES_EXEC 0x0400000

/* include/uapi/linux/sched.h */
#define CLONE_VM 0x00000100
#define CLONE_FS 0x00000200
#define CLONE_FILES 0x00000400
#define CLONE_VFORK 0x00004000
#define CLONE_THREAD 0x00010000

/* include/linux/sched/signal.h */
#define SIGNAL_GROUP_EXIT 0x00000004

/* include/linux/socket.h */
#define AF_UNSPEC 0
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define AF_PACKET 17
#define AF_MAX 64 /* more than there are */
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
#define MSG_FASTOPEN 0x20000000
#define SOL_SOCKET 1
#define SCM_RIGHTS 1

/* include/linux/net.h */
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3

/* include/net/sock.h */
#define SOCK_BINDPORT_LOCK 8

/* include/net/tcp_states.h */
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7
#define TCP_LISTEN 10

/* include/uapi/linux/in.h */
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP 262

/* include/uapi/linux/uio.h */
#define UIO_MAXIOV 1024

/* include/uapi/asm-generic/mman-common.h, mman.h */
#define PROT_READ 0x1
#define PROT_WRITE 0x2
#define PROT_EXEC 0x4
#define MAP_TYPE 0x0f
#define MAP_PRIVATE 0x02
#define MAP_ANONYMOUS 0x20

/* include/linux/mount.h */
#define MNT_NOEXEC 0x04
