/* Filters that answer in the kernel's place. */
#include "deed.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

/* Answers calls of these numbers with what. */
static int filter(unsigned flags, unsigned what, int n, const int *numbers)
{
	struct sock_filter f[40] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)) };
	struct sock_fprog p = { 0, f };
	int i, at = 1;

	for (i = 0; i < n; i++) {
		f[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[i], 0, 1);
		f[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what);
	}
	f[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	p.len = at;
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	return must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p));
}

/* "It was done", says the filter, and nothing was. */
WORKLOAD(w_zero, "seccomp-zero")
{
	static const int numbers[] = {
		SYS_mkdirat, SYS_unlinkat, SYS_renameat2, SYS_openat, SYS_fchmod, SYS_ftruncate, SYS_connect, SYS_sendto,
		SYS_mmap, SYS_mprotect, SYS_execve,
	};
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = must(open("file", O_RDWR)), in = dup2(fd, 0), s = must(socket(AF_INET, SOCK_STREAM, 0));
	int u = must(socket(AF_INET, SOCK_DGRAM, 0)), child;

	deed("reads", "file");
	deed("writes", "file");
	must(in);
	if (!(child = must(fork()))) {
		filter(0, SECCOMP_RET_ERRNO, sizeof(numbers) / sizeof(int), numbers);
		must(mkdirat(AT_FDCWD, "never", 0700));
		must(unlinkat(AT_FDCWD, "file", 0));
		must(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "never", 0));
		must(syscall(SYS_openat, AT_FDCWD, "none", O_WRONLY)); /* 0: the file that is there already */
		must(fchmod(fd, 0600));
		must(ftruncate(fd, 0));
		must(connect(s, (struct sockaddr *)&to, sizeof(to)));
		must(sendto(u, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)));
		must(syscall(SYS_mmap, 0, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		must(syscall(SYS_mprotect, &to, 4096, PROT_EXEC));
		must(execl("file", "file", (char *)0));
		_exit(3);
	}
	reap(child, getpid());
	deed("gaps", "answered");
}

/* A filter that leaves it to a tracer: there is none for it, and the kernel refuses the calls. */
WORKLOAD(w_trace, "seccomp-trace")
{
	static const int numbers[] = { SYS_mkdirat, SYS_getpriority };

	filter(0, SECCOMP_RET_TRACE, 2, numbers);
	must_fail(mkdirat(AT_FDCWD, "never", 0700), ENOSYS);
	must_fail(syscall(SYS_getpriority, 0, 0), ENOSYS);
	deed("failed", "mkdir never ENOSYS 1");
	deed("may", "answered");
}

/* The same behind calls that are not asked about at their end, and while a call is under way. */
static int listener;

static void *take(void *arg)
{
	must(accept(listener, 0, 0));
	return arg;
}

WORKLOAD(w_after, "seccomp-after")
{
	static const int numbers[] = { SYS_listen };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = must(socket(AF_INET, SOCK_STREAM, 0)), child, other, pipes[2];

	must(pipe(pipes));
	must(bind(s, (struct sockaddr *)&to, sizeof(to)));
	if (!(child = must(fork()))) {
		filter(0, SECCOMP_RET_ERRNO, 1, numbers);
		close(99);
		must(listen(s, 1));
		if (!(other = must(fork())))
			_exit(4);
		must(listen(s, 1));
		must(write(pipes[1], &other, sizeof(other)));
		must(waitpid(other, 0, 0));
		_exit(3);
	}
	reap(child, getpid());
	must(read(pipes[0], &other, sizeof(other)));
	deed("processes", "%d %d exit 4", other, child);
	deed("gaps", "answered");
}

/* A filter that comes while a thread waits: its call is not told, and that is said. */
WORKLOAD(w_meanwhile, "seccomp-meanwhile")
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = must(socket(AF_INET, SOCK_STREAM, 0));
	socklen_t n = sizeof(to);
	pthread_t t;

	listener = must(socket(AF_INET, SOCK_STREAM, 0));
	must(bind(listener, (struct sockaddr *)&to, sizeof(to)));
	must(listen(listener, 1));
	must(getsockname(listener, (struct sockaddr *)&to, &n));
	deed("listens", "tcp 127.0.0.1:%d", ntohs(to.sin_port));
	must(pthread_create(&t, 0, take, 0) ? -1 : 0);
	usleep(200000);
	filter(SECCOMP_FILTER_FLAG_TSYNC, 0, 0, 0);
	must(connect(s, (struct sockaddr *)&to, sizeof(to)));
	deed("attempts", "tcp 127.0.0.1:%d connected 1", ntohs(to.sin_port));
	pthread_join(t, 0);
	deed("gaps", "answered");
}

/* Another process answers, and gives what it likes. */
WORKLOAD(w_notify, "seccomp-notify")
{
	static const int numbers[] = { SYS_mkdirat, SYS_openat, SYS_write, SYS_getppid };
	struct seccomp_notif ask = {};
	struct seccomp_notif_resp answer;
	struct seccomp_notif_addfd add = { .newfd_flags = 0 };
	int pipes[2], child, notify, given, other, i;
	char buf[8];

	given = make("given", "");
	write_all(given, "12345678");
	other = make("other", "");
	must(pipe(pipes));
	/* With its descriptors, so that the listener is this process's, too. */
	if (!(child = must(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0)))) {
		notify = filter(SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_RET_USER_NOTIF, 4, numbers);
		must(writev(pipes[1], (struct iovec[]){ { &notify, sizeof(notify) } }, 1));
		must(syscall(SYS_mkdirat, AT_FDCWD, "never", 0700));
		i = must(syscall(SYS_openat, AT_FDCWD, "wanted", O_RDONLY));
		must(pread(i, buf, 4, 0)); /* of the file that it was given */
		must(syscall(SYS_write, other, "never written", 13));
		must(syscall(SYS_getppid));
		_exit(3);
	}
	must(read(pipes[0], &notify, sizeof(notify)));
	for (i = 0; i < 4; i++) {
		memset(&ask, 0, sizeof(ask));
		must(ioctl(notify, SECCOMP_IOCTL_NOTIF_RECV, &ask));
		answer = (struct seccomp_notif_resp){ .id = ask.id };
		if (ask.data.nr == SYS_openat) {
			add.id = ask.id;
			add.srcfd = given;
			answer.val = must(ioctl(notify, SECCOMP_IOCTL_NOTIF_ADDFD, &add));
		}
		if (ask.data.nr == SYS_write)
			answer.val = 13;
		must(ioctl(notify, SECCOMP_IOCTL_NOTIF_SEND, &answer));
	}
	reap(child, getpid());
	deed("bytes", "given 4 8");
	deed("gaps", "answered");
}
