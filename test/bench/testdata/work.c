/* Work for the benchmark: single system calls, in great number and nothing else. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void open_close(const char *name)
{
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		err(1, "%s", name);
	close(fd);
}

/* One file, n times. */
static void opens(const char *name, long n)
{
	while (n--)
		open_close(name);
}

/* The files 0 to n - 1 of a folder, which make() has made. */
static void files(const char *dir, long n, int make)
{
	char name[32];
	long i;

	if (chdir(dir))
		err(1, "%s", dir);
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%ld", i);
		if (make)
			close(open(name, O_CREAT | O_WRONLY, 0644));
		else
			open_close(name);
	}
}

static void calls(long n)
{
	while (n--)
		syscall(SYS_getppid);
}

/* Prints the ns that a call takes, of the fastest of several rounds. */
static void latency(long n)
{
	struct timespec a, b;
	double best = 1e9, ns;
	int round;

	for (round = 0; round < 10; round++) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		calls(n / 10);
		clock_gettime(CLOCK_MONOTONIC, &b);
		ns = ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / (n / 10);
		if (ns < best)
			best = ns;
	}
	printf("%.1f\n", best);
}

/* n bytes from one process to another, over TCP on loopback. */
static void tcp(long n)
{
	static char buffer[65536];
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), s;
	long got;

	if (l < 0 || bind(l, (struct sockaddr *)&a, len) || listen(l, 1) || getsockname(l, (struct sockaddr *)&a, &len))
		err(1, "listen");
	if (!fork()) {
		s = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(s, (struct sockaddr *)&a, len))
			err(1, "connect");
		for (; n > 0; n -= got)
			if ((got = write(s, buffer, n < (long)sizeof(buffer) ? n : (long)sizeof(buffer))) < 0)
				err(1, "write");
		_exit(0);
	}
	s = accept(l, 0, 0);
	while ((got = read(s, buffer, sizeof(buffer))) > 0)
		n -= got;
	if (n)
		errx(1, "%ld bytes are missing", n);
	wait(0);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	long n = argc > 2 ? atol(argv[2]) : 0;

	if (!strcmp(what, "opens") && argc == 4)
		opens(argv[3], n);
	else if (!strcmp(what, "files") && argc == 4)
		files(argv[3], n, 0);
	else if (!strcmp(what, "make") && argc == 4)
		files(argv[3], n, 1);
	else if (!strcmp(what, "calls"))
		calls(n);
	else if (!strcmp(what, "latency"))
		latency(n);
	else if (!strcmp(what, "tcp"))
		tcp(n);
	else
		errx(2, "usage: work opens N FILE | files N DIR | make N DIR | calls N | latency N | tcp BYTES");
	return 0;
}
