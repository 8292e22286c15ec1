/*
 * Workloads that know what they do. Each prints as its last line what it truly
 * did: a JSON object of lists of lines, by the names of adversary_test.go.
 */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

typedef void workload_fn(int argc, char **argv);
void workload(const char *name, workload_fn *fn);

/* Defines a workload. argv[0] is its name. It may return, or call tell() and end otherwise. */
#define WORKLOAD(fn, name)                                                  \
	static workload_fn fn;                                              \
	__attribute__((constructor)) static void register_##fn(void)        \
	{                                                                   \
		workload(name, fn);                                         \
	}                                                                   \
	static void fn(int argc __attribute__((unused)), char **argv __attribute__((unused)))

/* Adds a line to a list. */
void deed(const char *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the lists. */
void tell(void);

/* Ends a workload that could not do what it says. */
void fail(const char *file, int line, const char *what);
#define must(call)                                                          \
	({                                                                  \
		__typeof__(call) must_ret = (call);                         \
		if ((long)must_ret == -1)                                   \
			fail(__FILE__, __LINE__, #call);                    \
		must_ret;                                                   \
	})
#define must_fail(call, want)                                               \
	do {                                                                \
		errno = 0;                                                  \
		if ((long)(call) != -1 || errno != (want))                  \
			fail(__FILE__, __LINE__, #call " instead of " #want); \
	} while (0)

/* "exit 3" or the signal, as wait(2) has it. */
const char *ending(int status);
/* Waits for a child and adds it to the processes. */
void reap(int pid, int ppid);
/* This process, which will exit with 0. The last thing that a workload adds. */
void myself(void);

/* A string, or its length and sum where it is long. */
const char *brief(const char *s);
/* Adds the exec of this process's image, as the image sees it. */
void deed_exec(int pid, const char *exe, char **argv);

/* The path of this program. */
extern char program[4096];

/* A new file with some bytes in it, which the workload says of it. */
int make(const char *name, const char *content);
void write_all(int fd, const char *s);
/* Copies this program. */
int copy_program(int to);

/* raw system calls; -1 and errno on errors */
#define sys(...) syscall(__VA_ARGS__)
