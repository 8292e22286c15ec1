/* Processes: how they come, what they become and how they end. */
#include "deed.h"
#include <linux/sched.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>

static char stack[4][65536] __attribute__((aligned(16)));

static int clone3(struct clone_args *a)
{
	return syscall(SYS_clone3, a, sizeof(*a));
}

static void *waits(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* When a pidfd says that a process has ended, it can be waited for. */
WORKLOAD(w_pidfd, "pidfd")
{
	struct pollfd end = { .events = POLLIN };
	int i, j, child, status;
	pthread_t t;

	for (i = 0; i < 200; i++) {
		if (!(child = must(fork()))) {
			for (j = 0; j < i % 4; j++)
				must(pthread_create(&t, 0, waits, 0) ? -1 : 0);
			_exit(3);
		}
		end.fd = must(syscall(SYS_pidfd_open, child, 0));
		must(poll(&end, 1, -1));
		must(waitpid(child, &status, WNOHANG) == child ? 0 : -1);
		deed("processes", "%d %d %s", child, getpid(), ending(status));
		close(end.fd);
	}
}

/* Killed anywhere in what is recorded. */
WORKLOAD(w_killed, "killed-anywhere")
{
	int i, child;

	for (i = 0; i < 400; i++) {
		if (!(child = must(fork())))
			for (;;)
				close(open(".", O_PATH));
		usleep(i * 7 % 900);
		must(kill(child, SIGKILL));
		reap(child, getpid());
	}
	deed("gaps", "not_recorded kill");
	deed("may", "interrupted");
}

/* With the meaning of fork(2), as no library would call it. */
static int raw_clone(unsigned long flags)
{
	return syscall(SYS_clone, flags, 0, 0, 0, 0);
}

WORKLOAD(w_exits, "exits")
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGPIPE, SIGUSR2 };
	unsigned i;
	int child;

	for (i = 0; i < 4; i++) {
		if (!(child = must(fork())))
			_exit(i * 85 + 256); /* eight bits of it count */
		reap(child, getpid());
		if (!(child = must(fork()))) {
			raise(signals[i]);
			_exit(99);
		}
		reap(child, getpid());
	}
	if (!(child = must(fork()))) {
		must(prctl(PR_SET_DUMPABLE, 0));
		*(volatile int *)8 = 0;
	}
	reap(child, getpid());
	if (!(child = must(fork())))
		for (;;)
			pause();
	must(kill(child, SIGSTOP));
	must(kill(child, SIGCONT));
	must(kill(child, SIGKILL));
	reap(child, getpid());
	deed("gaps", "not_recorded kill");
	deed("gaps", "not_recorded tgkill"); /* raise(3) */
}

static void *end_group(void *arg)
{
	syscall(SYS_exit_group, *(int *)arg);
	return 0;
}

static void *end_thread(void *arg)
{
	usleep(20000);
	syscall(SYS_exit, *(int *)arg);
	return 0;
}

/* Of a process whose threads end one by one, the leader's word counts, though it is not the last. */
WORKLOAD(w_leader_first, "leader-first")
{
	int child, code = 7;
	pthread_t t;

	if (!(child = must(fork()))) {
		pthread_create(&t, 0, end_thread, &code);
		syscall(SYS_exit, 5);
	}
	reap(child, getpid());
	if (!(child = must(fork()))) {
		pthread_create(&t, 0, end_group, &code);
		syscall(SYS_exit, 5);
	}
	reap(child, getpid());
}

/* The program again, in place of itself: argv tells which time it is. */
WORKLOAD(w_exec_order, "exec-order")
{
	int n = argc > 1 ? atoi(argv[1]) : 0, i;
	char number[12];

	if (n < 3) {
		snprintf(number, sizeof(number), "%d", n + 1);
		must(execl(program, "me", argv[0], number, (char *)0));
	}
	for (i = 1; i <= 3; i++)
		deed("execs", "%d PROGRAM|me|%s|%d", getpid(), argv[0], i);
}

static void *forks(void *arg)
{
	int i;

	for (i = 0; i < 200; i++)
		if (!must(raw_clone(SIGCHLD)))
			syscall(SYS_exit_group, 3);
	return 0;
}

/* Processes whose maker an exec of another thread ends in the middle of its call. */
WORKLOAD(w_exec_orphans, "exec-orphans")
{
	int n = argc > 1 ? atoi(argv[1]) : 0, i, child, status;
	char number[12];
	pthread_t t;

	alarm(30);
	if (n < 20) {
		for (i = 0; i < 4; i++)
			must(pthread_create(&t, 0, forks, 0) ? -1 : 0);
		usleep(3000);
		snprintf(number, sizeof(number), "%d", n + 1);
		must(execl(program, "me", argv[0], number, (char *)0));
	}
	for (i = 1; i <= n; i++)
		deed("execs", "%d PROGRAM|me|%s|%d", getpid(), argv[0], i);
	while ((child = waitpid(-1, &status, 0)) > 0)
		deed("processes", "%d %d %s", child, getpid(), ending(status));
}

/* Waits until all other threads are in an open that does not end. */
static void others_wait(int n)
{
	char path[320], line[64];
	struct dirent *e;
	int found, fd;
	DIR *d;

	do {
		usleep(1000);
		found = 0;
		d = opendir("/proc/self/task");
		while ((e = readdir(d))) {
			if (*e->d_name == '.')
				continue;
			snprintf(path, sizeof(path), "/proc/self/task/%s/syscall", e->d_name);
			if ((fd = open(path, O_RDONLY)) < 0)
				continue;
			memset(line, 0, sizeof(line));
			if (read(fd, line, sizeof(line) - 1) > 0)
				found += atoi(line) == SYS_openat;
			close(fd);
		}
		closedir(d);
	} while (found < n);
}

static void *exec_it(void *arg)
{
	others_wait(2);
	execl(program, "from-a-thread", arg, "done", (char *)0);
	fail(__FILE__, __LINE__, "execl");
	return 0;
}

static void *open_fifo(void *arg)
{
	open(arg, O_RDONLY); /* nobody will write to it */
	return 0;
}

/* A thread takes the process over while the leader and another thread are in calls with names. */
WORKLOAD(w_exec_thread, "exec-thread")
{
	pthread_t t;
	int child;

	if (argc > 1) {
		deed("execs", "%d PROGRAM|from-a-thread|%s|done", getpid(), argv[0]);
		deed("created", "fifo fifo lexical");
		deed("created", "fifo other lexical");
		deed("gaps", "interrupted"); /* the two opens */
		deed("writes", "fifo");
		deed("writes", "other");
		/* The leader's number is a process's that works on. */
		if (!(child = must(fork())))
			_exit(3);
		reap(child, getpid());
		close(make("after", ""));
		return;
	}
	must(mkfifo("fifo", 0600));
	must(mkfifo("other", 0600));
	pthread_create(&t, 0, exec_it, argv[0]);
	pthread_create(&t, 0, open_fifo, "fifo");
	open("other", O_WRONLY); /* nor will anybody read from this one */
	for (;;)
		pause();
}

WORKLOAD(w_vfork, "vfork")
{
	int child;

	/* The child runs in this process's memory and on its stack. */
	if (!(child = must(vfork())))
		_exit(3);
	reap(child, getpid());
	if (!(child = must(vfork()))) {
		execl(program, "child", "exit", "4", (char *)0);
		_exit(99);
	}
	deed("execs", "%d PROGRAM|child|exit|4", child);
	reap(child, getpid());
	if (!(child = must(vfork()))) {
		unlink("file");
		execl("none", "none", (char *)0);
		_exit(5);
	}
	deed("deletes", "file");
	deed("exec_failures", "%d none|none ENOENT 1", child);
	reap(child, getpid());
}

WORKLOAD(w_exit, "exit")
{
	_exit(atoi(argv[1]));
}

WORKLOAD(w_clone3, "clone3")
{
	struct clone_args a = { .exit_signal = SIGCHLD };
	int child;

	if (!(child = must(clone3(&a))))
		_exit(3);
	reap(child, getpid());
	a.exit_signal = 0; /* tells nobody of its end */
	if (!(child = must(clone3(&a))))
		_exit(4);
	reap(child, getpid());
}

/* The kernel takes the creator's parent for the child's; who forked it, it does not say. */
WORKLOAD(w_clone_parent, "clone-parent")
{
	int p[2], middle, child;

	must(pipe(p));
	if (!(middle = must(fork()))) {
		if (!(child = must(raw_clone(CLONE_PARENT | SIGCHLD)))) {
			usleep(50000);
			_exit(3);
		}
		must(write(p[1], &child, sizeof(child)));
		_exit(4);
	}
	must(read(p[0], &child, sizeof(child)));
	reap(middle, getpid());
	reap(child, middle);
}

WORKLOAD(w_clone_untraced, "clone-untraced")
{
	int child = must(raw_clone(CLONE_UNTRACED | SIGCHLD));

	if (!child) {
		close(must(open("made", O_CREAT | O_WRONLY, 0600)));
		_exit(3);
	}
	reap(child, getpid());
	deed("created", "file made kernel");
	deed("writes", "made");
}

static int shares(void *arg)
{
	close(must(open(arg, O_CREAT | O_WRONLY, 0600)));
	return 3;
}

/* A process that shares all that it can and is yet no thread. */
WORKLOAD(w_clone_vm, "clone-vm")
{
	int flags = CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | CLONE_SYSVSEM;
	int child = must(clone(shares, stack[1], flags | SIGCHLD, "made"));

	reap(child, getpid());
	deed("created", "file made kernel");
	deed("writes", "made");
}

static int as_thread(void *name)
{
	must(mkdir(name, 0700));
	syscall(SYS_exit, 0);
	return 0;
}

/* Threads that are made as processes mostly are: no processes for that. */
WORKLOAD(w_clone_threads, "clone-threads")
{
	int thread = CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD | CLONE_CHILD_CLEARTID;
	static volatile int runs[2] = { 1, 1 };

	must(clone(as_thread, stack[0], thread | CLONE_VFORK, "one", 0, 0, &runs[0]));
	must(clone(as_thread, stack[1], thread | SIGCHLD, "two", 0, 0, &runs[1]));
	while (runs[0] || runs[1])
		usleep(1000);
	deed("created", "dir one lexical");
	deed("created", "dir two lexical");
	deed("writes", "one");
	deed("writes", "two");
	deed("gaps", "shared_names");
}

static int into_jail(void *arg)
{
	must(chroot("jail"));
	return 0;
}

static void *own_jail(void *arg)
{
	must(unshare(CLONE_FS));
	must(chroot("jail"));
	must(mkdir("/by-thread", 0700));
	return 0;
}

/* A root folder that another process changes, and one that only a thread has. */
WORKLOAD(w_shared_root, "shared-root")
{
	char outside[4200];
	pthread_t t;

	must((long)getcwd(outside, 4096));
	strcat(outside, "/outside");
	must(pthread_create(&t, 0, own_jail, 0) ? -1 : 0);
	pthread_join(t, 0);
	must(mkdir(outside, 0700));
	reap(must(clone(into_jail, stack[0], CLONE_FS | SIGCHLD, 0)), getpid());
	must(mkdir("/inside", 0700));
	deed("created", "dir jail/by-thread lexical");
	deed("created", "dir outside lexical");
	deed("created", "dir jail/inside lexical");
	deed("writes", "jail/by-thread");
	deed("writes", "outside");
	deed("writes", "jail/inside");
	deed("gaps", "not_recorded chroot");
	deed("gaps", "not_recorded unshare");
	deed("gaps", "shared_names");
}

static int exec_again(void *name)
{
	must(execl(program, "me", name, "again", (char *)0));
	return 0;
}

/* A working folder stays together over an exec: what a name stands for may change. */
WORKLOAD(w_shared_folder, "shared-folder")
{
	char *args[] = { "me", argv[0], "again", 0 };
	int child;

	if (argc > 1) {
		must(mkdir("made", 0700));
		_exit(0);
	}
	child = must(clone(exec_again, stack[0], CLONE_FS | SIGCHLD, argv[0]));
	reap(child, getpid());
	deed_exec(child, "PROGRAM", args);
	deed("created", "dir made lexical");
	deed("writes", "made");
	deed("gaps", "raced");
}

/* Out of its session, its parents gone. How it ends is up to who waits for it. */
WORKLOAD(w_daemon, "daemon")
{
	int p[2], middle, child = 0, kept, ms = atoi(argv[1]);

	must(pipe(p));
	if (!(middle = must(fork()))) {
		must(setsid());
		if (!(child = must(fork()))) {
			close(0);
			close(1);
			close(2);
			kept = getpid();
			must(write(p[1], &kept, sizeof(kept)));
			usleep(ms * 1000);
			_exit(3);
		}
		_exit(4);
	}
	must(read(p[0], &child, sizeof(child)));
	reap(middle, getpid());
	deed("processes", "%d %d %s", child, middle, argv[2]);
	if (!strcmp(argv[2], "runs")) {
		deed("survivors", "%d", child);
		deed("gaps", "survivors");
	}
	if (!strcmp(argv[2], "SIGKILL"))
		deed("gaps", "killed");
}

/* Who adopts an orphan is not who made it. */
WORKLOAD(w_subreaper, "subreaper")
{
	int p[2], middle, child = 0;

	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(pipe(p));
	if (!(middle = must(fork()))) {
		if (!(child = must(fork()))) {
			usleep(50000);
			_exit(3);
		}
		must(write(p[1], &child, sizeof(child)));
		_exit(4);
	}
	must(read(p[0], &child, sizeof(child)));
	reap(middle, getpid());
	reap(child, middle);
}

/* The same number twice. */
WORKLOAD(w_pid_reuse, "pid-reuse")
{
	struct clone_args a = { .exit_signal = SIGCHLD, .set_tid_size = 1 };
	int child, again, tries;
	char name[8];

	if (!(child = must(fork()))) {
		close(must(open("first", O_CREAT | O_WRONLY, 0600)));
		_exit(3);
	}
	reap(child, getpid());
	a.set_tid = (uintptr_t)&child;
	for (tries = 0; (again = clone3(&a)) == -1 && errno == EEXIST && tries < 100; tries++)
		usleep(10000); /* somebody else has it just now */
	if (!must(again)) {
		snprintf(name, sizeof(name), "second");
		close(must(open(name, O_CREAT | O_WRONLY, 0600)));
		_exit(4);
	}
	if (again != child)
		fail(__FILE__, __LINE__, "another number");
	reap(again, getpid());
	deed("created", "file first kernel");
	deed("created", "file second kernel");
	deed("writes", "first");
	deed("writes", "second");
}

/* A process's number as the first namespace's /proc has it. */
static int outer_pid(void)
{
	char name[16] = {};

	must(readlink("/proc/self", name, sizeof(name) - 1));
	return atoi(name);
}

/* A namespace in a namespace: inside, each first process is number 1. */
WORKLOAD(w_pid_ns, "pid-namespace")
{
	int p[2], first, second, third, status;

	must(pipe(p));
	must(unshare(CLONE_NEWPID));
	if (!(first = must(fork()))) {
		if (getpid() != 1)
			fail(__FILE__, __LINE__, "not 1");
		must(unshare(CLONE_NEWPID));
		if (!(second = must(fork()))) {
			if (getpid() != 1)
				fail(__FILE__, __LINE__, "not 1");
			second = outer_pid();
			must(write(p[1], &second, sizeof(second)));
			if (!(third = must(fork()))) {
				third = outer_pid();
				must(write(p[1], &third, sizeof(third)));
				execl(program, "inside", "exit", "5", (char *)0);
				_exit(99);
			}
			must(waitpid(third, &status, 0));
			_exit(4);
		}
		must(waitpid(second, &status, 0));
		_exit(3);
	}
	must(read(p[0], &second, sizeof(second)));
	must(read(p[0], &third, sizeof(third)));
	reap(first, getpid());
	deed("processes", "%d %d exit 4", second, first);
	deed("processes", "%d %d exit 5", third, second);
	deed("execs", "%d PROGRAM|inside|exit|5", third);
	deed("gaps", "not_recorded unshare");
}

/* The end of a namespace's first process is the end of all in it. */
WORKLOAD(w_pid_ns_killed, "pid-namespace-killed")
{
	int p[2], first, second;

	must(pipe(p));
	must(unshare(CLONE_NEWPID));
	if (!(first = must(fork()))) {
		if (!must(fork())) {
			second = outer_pid();
			must(write(p[1], &second, sizeof(second)));
			for (;;)
				pause();
		}
		must(read(p[0], &second, sizeof(second)));
		must(write(p[1], &second, sizeof(second)));
		_exit(3);
	}
	reap(first, getpid());
	must(read(p[0], &second, sizeof(second)));
	deed("processes", "%d %d SIGKILL", second, first);
	deed("gaps", "not_recorded unshare");
}

WORKLOAD(w_user_ns, "user-namespace")
{
	int child, fd;

	if (!(child = must(fork()))) {
		must(unshare(CLONE_NEWUSER | CLONE_NEWNS));
		fd = must(open("/proc/self/uid_map", O_WRONLY));
		write_all(fd, "0 0 1");
		write_all(must(open("/proc/self/setgroups", O_WRONLY)), "deny");
		write_all(must(open("/proc/self/gid_map", O_WRONLY)), "0 0 1");
		must(mount("none", "sub", "tmpfs", 0, ""));
		close(must(open("sub/inside", O_CREAT | O_WRONLY, 0600)));
		_exit(3);
	}
	reap(child, getpid());
	deed("mounts", "mount sub none");
	deed("writes", "/proc/%d/uid_map", child);
	deed("writes", "/proc/%d/gid_map", child);
	deed("writes", "/proc/%d/setgroups", child);
	deed("created", "file sub/inside kernel");
	deed("writes", "sub/inside");
	deed("gaps", "mount_namespace");
	deed("gaps", "not_recorded unshare");
}

/* A new root, and the old one put away. */
WORKLOAD(w_pivot, "pivot-root")
{
	must(unshare(CLONE_NEWNS));
	must(mount("none", "/", "", MS_REC | MS_PRIVATE, ""));
	must(mount("none", "sub", "tmpfs", 0, ""));
	must(mkdir("sub/old", 0700));
	must(syscall(SYS_pivot_root, "sub", "sub/old"));
	must(chdir("/"));
	close(must(open("inside", O_CREAT | O_WRONLY, 0600)));
	must(umount2("/old", MNT_DETACH));
	must(rmdir("old"));
	deed("mounts", "mount / none");
	deed("mounts", "mount sub none");
	deed("mounts", "pivot_root sub sub/old");
	deed("mounts", "umount /old");
	deed("created", "dir sub/old lexical");
	deed("writes", "sub/old");
	deed("created", "file /inside kernel");
	deed("writes", "/inside");
	deed("deletes", "/old");
	deed("gaps", "mount_namespace");
	deed("gaps", "not_recorded unshare");
}

/* In the jail, and out of it: by a folder outside, "..", and a way back. */
/* The same name in the same folder, for processes with another root folder. */
WORKLOAD(w_two_roots, "two-roots")
{
	cpu_set_t one;
	int child;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	must(sched_setaffinity(0, sizeof(one), &one)); /* repeats are counted by CPU */
	must(chdir("jail"));
	if (!(child = must(fork()))) {
		must(chroot("."));
		must_fail(open("../nothing", O_RDONLY), ENOENT);
		_exit(3);
	}
	reap(child, getpid());
	must_fail(open("../nothing", O_RDONLY), ENOENT);
	deed("failed", "open jail/nothing ENOENT 1");
	deed("failed", "open nothing ENOENT 1");
	deed("gaps", "not_recorded chroot");
}

/* Absolute links lead elsewhere in there: what an open finds, it has not made. */
WORKLOAD(w_jail_links, "jail-links")
{
	must(chroot("jail"));
	must(symlink("/inside", "jail/link"));
	deed("created", "symlink jail/link -> /inside lexical");
	deed("writes", "jail/link");
	close(must(open("/link/there", O_CREAT | O_WRONLY, 0600)));
	deed("writes", "jail/inside/there");
	must(chdir("/inside"));
	close(must(open("../link/there", O_CREAT | O_WRONLY, 0600)));
	close(must(open("../link/new", O_CREAT | O_WRONLY, 0600)));
	deed("created", "file jail/inside/new kernel");
	deed("writes", "jail/inside/new");
	deed("gaps", "not_recorded chroot");
}

WORKLOAD(w_chroot, "chroot")
{
	int child, i;

	if (!(child = must(fork()))) {
		must(chroot("jail"));
		/* The working folder is still outside. */
		must(unlink("outside"));
		must(unlink("sub/../outside-too"));
		must(unlink("/inside"));
		must(chdir("/sub"));
		must(unlink("../../../stays-inside"));
		_exit(3);
	}
	reap(child, getpid());
	deed("deletes", "outside");
	deed("deletes", "sub/../outside-too"); /* "sub" might be a link */
	deed("deletes", "jail/inside");
	deed("deletes", "jail/stays-inside");
	if (!(child = must(fork()))) {
		must(chroot("jail"));
		for (i = 0; i < 64; i++)
			must(chdir(".."));
		must(chroot("."));
		must(unlink(argv[1]));
		_exit(4);
	}
	reap(child, getpid());
	deed("deletes", "by-escape");
	deed("gaps", "not_recorded chroot");
}
