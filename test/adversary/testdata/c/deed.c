#include "deed.h"
#include <stdarg.h>
#include <sys/sendfile.h>

#define MAX 4096
static struct {
	const char *list;
	char *line;
} deeds[MAX];
static int count;

void fail(const char *file, int line, const char *what)
{
	dprintf(2, "%s:%d: %s: %s\n", file, line, what, strerror(errno));
	syscall(SYS_exit_group, 99);
}

void deed(const char *list, const char *format, ...)
{
	va_list args;

	if (count == MAX)
		fail(__FILE__, __LINE__, "too many deeds");
	va_start(args, format);
	must(vasprintf(&deeds[count].line, format, args));
	va_end(args);
	deeds[count++].list = list;
}

/* Receipts have \xHH for what is no UTF-8; here any byte above 0xf7 stands for that. */
static void put_string(FILE *f, const char *s)
{
	int bytes = 0;
	const unsigned char *p;

	for (p = (const unsigned char *)s; *p; p++)
		bytes |= *p > 0xf7;
	fputc('"', f);
	for (p = (const unsigned char *)s; *p; p++) {
		if (bytes && *p > 0xf7)
			fprintf(f, "\\\\x%02x", *p);
		else if (bytes && *p == '\\')
			fputs("\\\\\\\\", f);
		else if (*p == '"' || *p == '\\')
			fprintf(f, "\\%c", *p);
		else if (*p < ' ')
			fprintf(f, "\\u%04x", *p);
		else
			fputc(*p, f);
	}
	fputc('"', f);
}

void tell(void)
{
	char *text;
	size_t size, at;
	FILE *f = open_memstream(&text, &size);
	int i, j, done[MAX] = {}, first = 1, inner;

	fputc('{', f);
	for (i = 0; i < count; i++) {
		if (done[i])
			continue;
		fprintf(f, "%s\"%s\":[", first ? "" : ",", deeds[i].list);
		first = 0;
		inner = 1;
		for (j = i; j < count; j++) {
			if (strcmp(deeds[i].list, deeds[j].list))
				continue;
			if (!inner)
				fputc(',', f);
			inner = 0;
			put_string(f, deeds[j].line);
			done[j] = 1;
		}
		fputc(']', f);
	}
	fputs("}\n", f);
	fclose(f);
	for (at = 0; at < size;)
		at += must(write(1, text + at, size - at));
}

const char *ending(int status)
{
	static char out[32];

	if (WIFEXITED(status))
		snprintf(out, sizeof(out), "exit %d", WEXITSTATUS(status));
	else
		snprintf(out, sizeof(out), "SIG%s", sigabbrev_np(WTERMSIG(status)));
	return out;
}

void reap(int pid, int ppid)
{
	int status;

	must(waitpid(pid, &status, __WALL));
	deed("processes", "%d %d %s", pid, ppid, ending(status));
}

void myself(void)
{
	deed("processes", "%d %d exit 0", getpid(), getppid());
}

const char *brief(const char *s)
{
	static char out[64];
	uint64_t h = 14695981039346656037ull;
	size_t n = strlen(s);

	if (n < 256)
		return s;
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211ull;
	snprintf(out, sizeof(out), "%zu:%016llx", n, (unsigned long long)h);
	return out;
}

void deed_exec(int pid, const char *exe, char **argv)
{
	char *line, *next;

	must(asprintf(&line, "%d %s", pid, exe));
	for (; *argv; argv++, line = next)
		must(asprintf(&next, "%s|%s", line, brief(*argv)));
	deed("execs", "%s", line);
}

void write_all(int fd, const char *s)
{
	if (must(write(fd, s, strlen(s))) != (ssize_t)strlen(s))
		fail(__FILE__, __LINE__, "short write");
}

int make(const char *name, const char *content)
{
	int fd = must(open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));

	deed("created", "file %s kernel", name);
	deed("writes", "%s", name);
	deed("reads", "%s", name);
	if (*content) {
		write_all(fd, content);
		deed("bytes", "%s 0 %zu", name, strlen(content));
	}
	return fd;
}

int copy_program(int to)
{
	int from = must(open(program, O_RDONLY | O_CLOEXEC));
	struct stat st;
	off_t at = 0;

	must(fstat(from, &st));
	while (at < st.st_size)
		must(sendfile(to, from, &at, st.st_size - at));
	close(from);
	return st.st_size;
}
