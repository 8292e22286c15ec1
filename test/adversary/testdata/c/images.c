/* Side doors of exec: images without a name, arguments that lie. */
#include "deed.h"
#include <sys/prctl.h>
#include <sys/resource.h>

WORKLOAD(w_memfd, "memfd")
{
	char *args[] = { "innocent", "memfd", "again", 0 };
	int fd;

	if (argc > 1) {
		deed_exec(getpid(), "memfd:image", args);
		return;
	}
	fd = must(memfd_create("image", MFD_CLOEXEC));
	copy_program(fd);
	must(syscall(SYS_execveat, fd, "", args, environ, AT_EMPTY_PATH));
}

WORKLOAD(w_deleted, "deleted")
{
	char *args[] = { "gone", "deleted", argc > 1 ? argv[1] : "again", 0 };
	int fd;

	if (argc > 1) {
		deed_exec(getpid(), "prog", args);
		deed("created", "file prog kernel");
		deed("writes", "prog");
		deed("reads", "prog");
		deed("deletes", "prog");
		deed("bytes", "prog 0 %s", argv[1]);
		return;
	}
	fd = must(open("prog", O_CREAT | O_WRONLY, 0700));
	must(asprintf(&args[2], "%d", copy_program(fd)));
	close(fd);
	fd = must(open("prog", O_RDONLY | O_CLOEXEC));
	must(unlink("prog"));
	must(syscall(SYS_execveat, fd, "", args, environ, AT_EMPTY_PATH));
}

/* Through a chain of scripts; the first two lie in the folder. */
WORKLOAD(w_scripts, "scripts")
{
	if (argc > 1) {
		/* As the kernel has put it together. */
		deed("execs", "%d PROGRAM|%s|scripts|second|first|first|word", getpid(), argv[-1]);
		return;
	}
	must(execl("first", "not-seen", "word", (char *)0));
}

WORKLOAD(w_argv_long, "argv-long")
{
	static char big[16][131072 - 1];
	struct rlimit stack = { 32 << 20, RLIM_INFINITY };
	char *args[20] = { "long", "argv-long" };
	int i;

	if (argc > 1) {
		deed_exec(getpid(), "PROGRAM", argv - 1);
		return;
	}
	must(setrlimit(RLIMIT_STACK, &stack)); /* a quarter of it may be arguments */
	for (i = 0; i < 16; i++) {
		memset(big[i], 'a' + i, sizeof(big[i]) - 1);
		args[i + 2] = big[i];
	}
	must(execv(program, args)); /* 2 MiB */
}

WORKLOAD(w_argv_empty, "argv-empty")
{
	char *none[] = { 0 };

	if (getenv("WORKLOAD")) {
		/* Newer kernels put an empty string where there was nothing. */
		deed_exec(getpid(), "PROGRAM", argv);
		return;
	}
	must(setenv("WORKLOAD", argv[0], 1));
	must(execv(program, none));
}

WORKLOAD(w_argv_spoofed, "argv-spoofed")
{
	char *args[] = { "/usr/lib/systemd/systemd", argv[0], "--user", 0 };

	if (argc > 1) {
		deed_exec(getpid(), "PROGRAM", args);
		return;
	}
	must(execv(program, args));
}

/* What a process makes of its arguments and its name afterwards is its own affair. */
WORKLOAD(w_argv_rewritten, "argv-rewritten")
{
	char *args[] = { "truth", argv[0], "again", 0 }, line[64] = {};
	int fd;

	if (argc < 2)
		must(execv(program, args));
	memcpy(argv[-1], "lying", 5);
	memset(argv[1], 'x', strlen(argv[1]));
	must(prctl(PR_SET_NAME, "kworker/0:0"));
	fd = must(open("/proc/self/cmdline", O_RDONLY));
	must(read(fd, line, sizeof(line) - 1));
	if (strcmp(line, "lying"))
		fail(__FILE__, __LINE__, "the lie did not work");
	deed_exec(getpid(), "PROGRAM", args);
}

WORKLOAD(w_exec_failures, "exec-failures")
{
	char *args[] = { "lie", "a b", "", 0 }, name[5000], *many[66] = {}, line[200];
	char **volatile no_args = 0;
	int i;

	must_fail(execv("./none", args), ENOENT);
	must_fail(execv("./none", args), ENOENT);
	must_fail(execv("file", args), EACCES);
	must_fail(execv("script", args), ENOENT); /* its interpreter */
	must_fail(execv("text", args), ENOEXEC);
	memset(name, 'n', 300);
	name[300] = 0;
	must_fail(execv(name, args), ENAMETOOLONG);
	for (i = 0; i < 65; i++)
		many[i] = "a";
	must_fail(execv("many", many), ENOENT); /* 65 of them */
	many[64] = 0;
	must_fail(execv("some", many), ENOENT);
	for (i = 0; i < 65; i++)
		strcpy(line + 2 * i, "|a");
	deed("exec_failures", "%d some%.128s ENOENT 1", getpid(), line);
	deed("exec_failures", "%d many%.128s ENOENT 1 cut", getpid(), line);
	memset(name, 'n', 4096);
	name[4096] = 0;
	must_fail(execv("longer", (char *[]){ name, 0 }), ENOENT);
	name[4095] = 0;
	must_fail(execv("long", (char *[]){ name, 0 }), ENOENT);
	deed("exec_failures", "%d long|%s ENOENT 1", getpid(), brief(name));
	name[4095] = 'n';
	deed("exec_failures", "%d longer|%s ENOENT 1 cut", getpid(), brief(name));
	name[300] = 0;
	must_fail(execv("bare", no_args), ENOENT);
	deed("exec_failures", "%d bare ENOENT 1", getpid());
	deed("exec_failures", "%d none|lie|a b| ENOENT 2", getpid());
	deed("exec_failures", "%d file|lie|a b| EACCES 1", getpid());
	deed("exec_failures", "%d script|lie|a b| ENOENT 1", getpid());
	deed("exec_failures", "%d text|lie|a b| ENOEXEC 1", getpid());
	deed("exec_failures", "%d %s|lie|a b| ENAMETOOLONG 1", getpid(), brief(name));
}

/* An image that the kernel gives up on when there is no way back. */
WORKLOAD(w_exec_dies, "exec-dies")
{
	int child;

	if (!(child = must(fork()))) {
		execl("broken", "broken", (char *)0);
		_exit(99);
	}
	reap(child, getpid());
}
