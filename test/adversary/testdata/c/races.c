/* Names, folders and descriptors that others change while a call is under way. */
#include "deed.h"
#include <pthread.h>
#include <time.h>

static char stack[65536] __attribute__((aligned(16)));
static volatile int stop;

static void *flip(void *arg)
{
	volatile char *c = arg;

	while (!stop)
		*c ^= 'a' ^ 'b';
	return 0;
}

/* What a thread rewrites does not matter where the file itself tells its path. */
WORKLOAD(w_open, "race-open")
{
	static char name[] = "a";
	int files[2] = { make("a", ""), make("b", "") }, counts[2] = {}, i, which;
	struct stat st, it;
	pthread_t t;

	must(fstat(files[0], &st));
	pthread_create(&t, 0, flip, name);
	for (i = 0; i < 3000; i++) {
		int fd = must(open(name, O_WRONLY | O_APPEND));

		must(fstat(fd, &it));
		which = it.st_ino != st.st_ino;
		write_all(fd, "x");
		counts[which]++;
		close(fd);
	}
	stop = 1;
	pthread_join(t, 0);
	deed("bytes", "a 0 %d", counts[0]);
	deed("bytes", "b 0 %d", counts[1]);
	deed("opens", "a %d", counts[0] + 1);
	deed("opens", "b %d", counts[1] + 1);
}

/* Of two files one is unlinked, and only afterwards it is known which. */
static void unlink_one_of_two(char *name, int n)
{
	char other[16];
	struct stat st;
	int i;

	for (i = 0; i < n; i++) {
		snprintf(other, sizeof(other), "a%04d", i);
		close(make(strdup(other), ""));
		other[0] = 'b';
		close(make(strdup(other), ""));
		memcpy(name + 1, other + 1, 5);
		must(unlink(name));
		if (!stat(other, &st))
			other[0] = 'a';
		deed("deletes", "%s", other);
	}
	deed("gaps", "shared_names");
	deed("doubtful", "deletes");
}

/* Where no file is left to tell, it is said that it could be otherwise. */
WORKLOAD(w_unlink, "race-unlink")
{
	static char name[8] = "a";
	pthread_t t;

	pthread_create(&t, 0, flip, name);
	unlink_one_of_two(name, 300);
	stop = 1;
	pthread_join(t, 0);
}

/* The same by a process that shares nothing but a page. */
WORKLOAD(w_page, "race-page")
{
	char *name = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int child;

	must((long)name);
	name[0] = 'a';
	if (!(child = must(fork())))
		flip(name);
	unlink_one_of_two(name, 300);
	must(kill(child, SIGKILL));
	reap(child, getpid());
	deed("gaps", "not_recorded kill");
}

/* And for renames. */
WORKLOAD(w_rename, "race-rename")
{
	static char name[] = "a0";
	struct stat st;
	char to[8];
	pthread_t t;
	int i, taken = 0; /* of a0 and b0, a bit each: a slow machine may take one alone */

	pthread_create(&t, 0, flip, name);
	close(make("a0", ""));
	close(make("b0", ""));
	for (i = 0; i < 300; i++) {
		snprintf(to, sizeof(to), "c%04d", i);
		must(rename(name, to));
		if (stat("a0", &st)) {
			taken |= 1;
			must(rename(to, "a0"));
			deed("renames", "a0 > %s", to);
			deed("renames", "%s > a0", to);
		} else {
			taken |= 2;
			must(rename(to, "b0"));
			deed("renames", "b0 > %s", to);
			deed("renames", "%s > b0", to);
		}
		deed("writes", "%s", to);
		deed("deletes", "%s", to);
	}
	stop = 1;
	pthread_join(t, 0);
	if (taken & 1)
		deed("deletes", "a0");
	if (taken & 2)
		deed("deletes", "b0");
	deed("gaps", "shared_names");
	deed("doubtful", "renames");
}

static int place, replaced;

/* Puts another file in the place of the one that the other thread is about to get, and holds on to nothing. */
static void *displace(void *arg)
{
	while (!stop) {
		int fd = open(arg, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			break;
		replaced++;
		dup3(fd, place, 0);
		close(fd);
	}
	return 0;
}

WORKLOAD(w_displaced, "race-displaced")
{
	time_t end = time(0) + 20; /* an emulated machine is slow */
	pthread_t t;
	int i, fd;

	place = must(open("file", O_RDONLY));
	pthread_create(&t, 0, displace, "other");
	for (i = 0; i < 30000 && time(0) < end; i++) {
		close(place);
		fd = must(open("file", O_RDONLY));
		if (fd != place)
			close(fd);
	}
	stop = 1;
	pthread_join(t, 0);
	deed("reads", "file");
	deed("reads", "other");
	deed("opens", "file %d", i + 1);
	deed("opens", "other %d", replaced);
	deed("doubtful", "opens");
	deed("may", "raced"); /* if it came to that, */
	deed("may", "path_cut"); /* or to the file being gone at once */
}

/* What a call works on, and what a thread puts in its place while the call is under way. */
static volatile int first_fd, second_fd, turn;

static void *replace(void *arg)
{
	int last = 0, i;

	while (!stop) {
		if (turn == last)
			continue;
		last = turn;
		for (i = 0; i < last % 64; i++) /* now earlier, now later */
			__asm__ volatile("" ::: "memory");
		dup3(second_fd, first_fd, 0);
	}
	return arg;
}

#define REPLACED 400

/* The descriptor names another file before the call is over: the mapping itself shows which it is of. */
WORKLOAD(w_map, "race-map")
{
	pthread_t t;
	char name[16], other[16], *p;
	int i;

	pthread_create(&t, 0, replace, 0);
	for (i = 1; i <= REPLACED; i++) {
		snprintf(name, sizeof(name), "a%03d", i);
		snprintf(other, sizeof(other), "b%03d", i);
		first_fd = make(strdup(name), "a");
		second_fd = make(strdup(other), "b");
		turn = i;
		p = mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, first_fd, 0);
		must((long)p);
		deed("mapped", "%s", *p == 'a' ? name : other);
		munmap(p, 4096);
		usleep(20);
		close(first_fd);
		close(second_fd);
	}
	stop = 1;
	pthread_join(t, 0);
	deed("doubtful", "mapped");
	deed("may", "raced");
}

static int listens(int s)
{
	int yes = 0;
	socklen_t n = sizeof(yes);

	must(getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &yes, &n));
	return yes;
}

/* Likewise: of two sockets it can be asked which one listens. */
WORKLOAD(w_listen, "race-listen")
{
	struct sockaddr_un names[2] = { { AF_UNIX, "" }, { AF_UNIX, "" } };
	int sockets[2], i, k;
	pthread_t t;

	pthread_create(&t, 0, replace, 0);
	for (i = 1; i <= REPLACED; i++) {
		for (k = 0; k < 2; k++) {
			snprintf(names[k].sun_path, sizeof(names[k].sun_path), "%c%03d", 'a' + k, i);
			sockets[k] = must(socket(AF_UNIX, SOCK_STREAM, 0));
			must(bind(sockets[k], (struct sockaddr *)&names[k], sizeof(names[k])));
			deed("created", "socket %s kernel", names[k].sun_path);
			deed("writes", "%s", names[k].sun_path);
		}
		second_fd = sockets[1];
		first_fd = must(dup(sockets[0]));
		turn = i;
		must(listen(first_fd, 1));
		for (k = 0; k < 2; k++)
			if (listens(sockets[k]))
				deed("listens", "unix unix:%s", names[k].sun_path);
		usleep(20);
		close(first_fd);
		close(sockets[0]);
		close(sockets[1]);
	}
	stop = 1;
	pthread_join(t, 0);
	deed("may", "raced");
}

static int wait_for_the_end(void *arg)
{
	int *p = arg;
	char c;

	if (p[2])
		close(p[1]); /* a copy of its own */
	while (read(p[0], &c, 1) > 0)
		;
	return 0;
}

/* Another process with the same memory, though it is no thread, and a name that has to be fetched first. */
WORKLOAD(w_cold, "race-cold")
{
	int p[3] = { 0, 0, 1 }, child, fd = must(open("names", O_RDONLY));
	char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	must((long)page);
	deed("reads", "names");
	must(pipe(p));
	child = must(clone(wait_for_the_end, stack + sizeof(stack), CLONE_VM | SIGCHLD, p));
	must(madvise(page, 4096, MADV_DONTNEED));
	must(unlink(page));
	deed("deletes", "victim");
	close(p[1]);
	reap(child, getpid());
	deed("gaps", "raced");
}

/* Another process can take the working folder away for the length of a call, and put it back. */
WORKLOAD(w_cwd, "race-cwd")
{
	int p[3] = { 0, 0, 1 }, child;

	must(pipe(p));
	if (!(child = must(syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0)))) {
		wait_for_the_end(p);
		_exit(0);
	}
	must(unlink("victim"));
	deed("deletes", "victim");
	close(p[1]);
	reap(child, getpid());
	deed("gaps", "raced");
}

/* A name that leads nowhere: nothing but the folder tells where it was looked for. */
WORKLOAD(w_lookup, "race-lookup")
{
	int p[3] = { 0, 0, 1 }, child;

	must_fail(open("none", O_RDONLY), ENOENT);
	deed("failed", "open none ENOENT 2");
	must(pipe(p));
	if (!(child = must(syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0)))) {
		wait_for_the_end(p);
		_exit(0);
	}
	must(open("file", O_RDONLY));
	deed("reads", "file");
	must_fail(open("none", O_RDONLY), ENOENT);
	close(p[1]);
	reap(child, getpid());
	deed("gaps", "raced");
}

/* The same with the descriptor of a folder. */
WORKLOAD(w_dirfd, "race-dirfd")
{
	int child, dir = must(open("sub", O_PATH)), pid = getpid(), p[3] = {};

	must(pipe(p));
	if (!(child = must(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0)))) {
		wait_for_the_end(p);
		_exit(0);
	}
	must(unlinkat(dir, "../victim", 0));
	deed("deletes", "victim");
	close(p[1]); /* for both */
	reap(child, pid);
	deed("gaps", "raced");
}
