/* Files: bytes that go through descriptors, and files in memory. */
#include "deed.h"
#include <sys/personality.h>
#include <sys/sendfile.h>

static char buf[1 << 16];

/* All calls that move bytes, each with a number of its own, by descriptors that are copies and inherited. */
WORKLOAD(w_bytes, "bytes")
{
	struct iovec v[2] = { { buf, 3 }, { buf + 8, 4 } };
	int out = make("out", ""), in = must(open("file", O_RDONLY)), p[2], child, status;
	loff_t at = 0;
	off_t off = 0;

	deed("reads", "file"); /* 1000 bytes */
	must(write(dup(out), buf, 1));
	must(pwrite(out, buf, 2, 0));
	must(writev(out, v, 2));
	must(pwritev(out, v, 2, 0));
	must(pwritev2(out, v, 2, -1, 0));
	must(pwritev2(out, v, 2, 0, RWF_APPEND));
	must(read(dup(in), buf, 11));
	must(pread(in, buf, 13, 0));
	must(readv(in, v, 2));
	must(preadv(in, v, 2, 0));
	must(preadv2(in, v, 2, -1, 0));
	must(pread(in, buf, sizeof(buf), 990)); /* 10 bytes are left */
	must_fail(syscall(SYS_pread64, in, 8, 10, 0), EFAULT);
	must_fail(write(in, buf, 10), EBADF);
	must(pipe(p));
	must(splice(in, &at, p[1], 0, 17, 0));
	must(splice(p[0], 0, out, 0, 17, 0));
	must(sendfile(out, in, &off, 19));
	at = 0;
	must(copy_file_range(in, &at, make("copy", ""), 0, 23, 0));
	if (!(child = must(fork()))) {
		must(write(out, buf, 29));
		must(read(in, buf, 31));
		_exit(0);
	}
	must(waitpid(child, &status, 0));
	deed("processes", "%d %d %s", child, getpid(), ending(status));
	deed("bytes", "out 0 %d", 1 + 2 + 7 + 7 + 7 + 7 + 17 + 19 + 29);
	deed("bytes", "file %d 0", 11 + 13 + 7 + 7 + 7 + 10 + 17 + 19 + 23 + 31);
	deed("bytes", "copy 0 23");
}

/*
 * Files that one could take for one another: of two names, of two mounts, and one that gets the
 * number of another that is gone, as most file systems give it.
 */
WORKLOAD(w_bytes_alike, "bytes-alike")
{
	int one = make("one", ""), two, i;
	char name[32];

	must(link("one", "two"));
	deed("created", "hardlink two -> one lexical");
	deed("writes", "two");
	two = must(open("two", O_RDWR));
	deed("reads", "two");
	must(write(one, buf, 3));
	must(pwrite(two, buf, 5, 0));
	must(read(two, buf, 2));
	deed("bytes", "one 0 3");
	deed("bytes", "two 2 5");

	for (i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "brief%d", i);
		one = make(name, "");
		must(write(one, buf, 7 + i));
		deed("bytes", "%s 0 %d", name, 7 + i);
		close(one);
		must(unlink(name));
		deed("deletes", "%s", name);
	}

	must(unshare(CLONE_NEWNS));
	must(mount("none", "/", 0, MS_REC | MS_PRIVATE, 0));
	must(mount("sub", "target", 0, MS_BIND, 0));
	deed("mounts", "mount / none");
	deed("mounts", "mount target sub");
	deed("gaps", "mount_namespace");
	deed("gaps", "not_recorded unshare");
	one = must(open("sub/file", O_WRONLY));
	two = must(open("target/file", O_WRONLY));
	deed("writes", "sub/file");
	deed("writes", "target/file");
	must(write(one, buf, 11));
	must(write(two, buf, 13));
	deed("bytes", "sub/file 0 11");
	deed("bytes", "target/file 0 13");
}

/* Each kind of mapping that can run code. */
WORKLOAD(w_maps, "maps")
{
	int file = must(open("file", O_RDWR)), other = must(open("other", O_RDONLY));

	deed("reads", "file");
	deed("writes", "file");
	deed("reads", "other");
	must((long)mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0));
	deed("mapped", "file");
	must((long)mmap(0, 4096, PROT_READ, MAP_PRIVATE, other, 0));
}

WORKLOAD(w_anonymous, "anonymous-code")
{
	must((long)mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	deed("gaps", "executable_memory");
}

/* Code that is not what its file has. */
WORKLOAD(w_written, "written-code")
{
	must((long)mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, must(open("file", O_RDONLY)), 0));
	deed("reads", "file");
	deed("mapped", "file");
	deed("gaps", "executable_memory");
}

/* To a process of this personality, what can be read can be run. */
WORKLOAD(w_personality, "personality")
{
	must(personality(READ_IMPLIES_EXEC));
	must((long)mmap(0, 4096, PROT_READ, MAP_PRIVATE, must(open("file", O_RDONLY)), 0));
	deed("reads", "file");
	deed("mapped", "file");
}

WORKLOAD(w_personality_anonymous, "personality-anonymous")
{
	must(personality(READ_IMPLIES_EXEC));
	must((long)mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	deed("gaps", "executable_memory");
}

WORKLOAD(w_mprotect, "mprotect")
{
	char *p = mmap(0, 4096, PROT_READ, MAP_PRIVATE, must(open("file", O_RDONLY)), 0);

	must((long)p);
	deed("reads", "file");
	must(mprotect(p, 4096, PROT_READ | PROT_EXEC));
	deed("gaps", "executable_memory");
}

WORKLOAD(w_shared_map, "shared-map")
{
	char *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, must(open("file", O_RDWR)), 0);

	must((long)p);
	memcpy(p, "changed", 7);
	deed("reads", "file");
	deed("writes", "file");
	deed("gaps", "shared_mapping");
}
