/* Processes that act for others. */
#include "deed.h"
#include <sys/ptrace.h>
#include <sys/user.h>

/* Somebody outside of the run: started by the test. Waits, and holds a file. */
WORKLOAD(w_bystander, "bystander")
{
	static char room;

	alarm(0);
	dprintf(1, "%p\n", (void *)&room);
	for (;;)
		pause();
}

/* Reads what another process holds open. */
WORKLOAD(w_pidfd, "pidfd-getfd")
{
	int pid = must(syscall(SYS_pidfd_open, atoi(argv[1]), 0)), fd;
	char buf[8];

	fd = must(syscall(SYS_pidfd_getfd, pid, 0, 0));
	must(read(fd, buf, 4));
	deed("reads", "held");
	deed("bytes", "held 4 0");
	deed("gaps", "not_recorded pidfd_getfd");
}

WORKLOAD(w_writev, "process-vm-writev")
{
	char c[1];
	struct iovec local = { c, 1 }, remote = { (void *)strtoul(argv[2], 0, 0), 1 };

	must(process_vm_readv(atoi(argv[1]), &local, 1, &remote, 1, 0));
	must(process_vm_writev(atoi(argv[1]), &local, 1, &remote, 1, 0));
	deed("gaps", "not_recorded process_vm_writev");
}

WORKLOAD(w_mem, "proc-mem")
{
	char path[64], c[1];
	off_t at = strtoul(argv[2], 0, 0);
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/mem", argv[1]);
	fd = must(open(path, O_RDWR));
	must(pread(fd, c, 1, at));
	must(pwrite(fd, c, 1, at));
	deed("writes", "%s", path);
}

#ifdef __x86_64__
static const char name[] = "by-another";

/* Makes a stopped process call mkdir(), with its own instructions: the syscall it is in. */
static void make_it(int pid)
{
	struct user_regs_struct old, r;
	int status;

	must(ptrace(PTRACE_GETREGS, pid, 0, &old));
	r = old;
	r.rip -= 2; /* back to its "syscall" */
	r.rax = r.orig_rax = SYS_mkdir;
	r.rdi = (uintptr_t)name; /* the same program, at the same place */
	r.rsi = 0700;
	must(ptrace(PTRACE_SETREGS, pid, 0, &r));
	must(ptrace(PTRACE_SYSCALL, pid, 0, 0)); /* to its entry */
	must(waitpid(pid, &status, __WALL));
	must(ptrace(PTRACE_SYSCALL, pid, 0, 0)); /* to its exit */
	must(waitpid(pid, &status, __WALL));
	must(ptrace(PTRACE_GETREGS, pid, 0, &r));
	errno = -(long)r.rax;
	must(r.rax ? -1 : 0);
	must(ptrace(PTRACE_SETREGS, pid, 0, &old));
}

static void seize(int pid)
{
	int status;

	must(ptrace(PTRACE_SEIZE, pid, 0, 0));
	must(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
	must(waitpid(pid, &status, __WALL));
	deed("gaps", "not_recorded ptrace");
}

WORKLOAD(w_outside, "ptrace-outside")
{
	struct stat st;

	seize(atoi(argv[1]));
	make_it(atoi(argv[1]));
	must(ptrace(PTRACE_DETACH, atoi(argv[1]), 0, 0));
	must(stat(name, &st)); /* done, by somebody whom nobody watches */
}

WORKLOAD(w_inside, "ptrace-inside")
{
	int child = must(fork());

	if (!child)
		for (;;)
			pause();
	usleep(20000);
	seize(child);
	make_it(child);
	must(kill(child, SIGKILL));
	reap(child, getpid());
	deed("gaps", "not_recorded kill");
	deed("created", "dir by-another lexical");
	deed("writes", "by-another");
}

static int stopped_child(void)
{
	int child = must(fork()), status;

	if (!child) {
		must(ptrace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGSTOP);
		must(syscall(SYS_rmdir, "never"));
		_exit(3);
	}
	must(waitpid(child, &status, 0));
	deed("gaps", "not_recorded ptrace");
	deed("gaps", "not_recorded tgkill"); /* raise(3) */
	return child;
}

/* The call that is made is not the one that was begun. */
WORKLOAD(w_changed, "ptrace-changed")
{
	int child = stopped_child(), status;
	struct user_regs_struct r;

	must(ptrace(PTRACE_SYSCALL, child, 0, 0));
	must(waitpid(child, &status, 0));
	must(ptrace(PTRACE_GETREGS, child, 0, &r));
	r.orig_rax = SYS_mkdir;
	r.rdi = (uintptr_t)name;
	r.rsi = 0700;
	must(ptrace(PTRACE_SETREGS, child, 0, &r));
	must(ptrace(PTRACE_CONT, child, 0, 0));
	reap(child, getpid());
	deed("created", "dir by-another lexical");
	deed("writes", "by-another");
}

/* A call that never takes place, though its caller is told that it did. */
WORKLOAD(w_emulated, "ptrace-emulated")
{
	int child = stopped_child(), status;
	struct user_regs_struct r;

	must(ptrace(PTRACE_SYSEMU, child, 0, 0));
	must(waitpid(child, &status, 0));
	must(ptrace(PTRACE_GETREGS, child, 0, &r));
	r.rax = 0;
	must(ptrace(PTRACE_SETREGS, child, 0, &r));
	must(ptrace(PTRACE_CONT, child, 0, 0));
	reap(child, getpid());
	deed("gaps", "answered");
}
#endif
