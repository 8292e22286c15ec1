/* Side doors: calls that come another way, and work that others do. */
#include "deed.h"
#include <pthread.h>
#include <linux/if_alg.h>
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/shm.h>

#ifdef __x86_64__
/* A 32-bit call of a 64-bit process. What it points to has to lie below 4 GiB, as a static program's data does. */
static long int80(long nr, long a, long b, long c)
{
	long ret;

	asm volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

#define must80(...)                                                         \
	({                                                                  \
		long ret80 = int80(__VA_ARGS__);                            \
		errno = -ret80;                                             \
		must(ret80 < 0 ? -1 : ret80);                               \
	})
#define STR(s) ({ static char in_data[] = s; (long)in_data; })

WORKLOAD(w_int80, "int80")
{
	static struct sockaddr_in to = { .sin_family = AF_INET };
	static unsigned args[3];
	static char *exec_args[] = { "nope", 0 };
	int fd, s;

	fd = must80(5 /* open */, STR("made"), O_CREAT | O_WRONLY, 0600);
	deed("created", "file made kernel");
	deed("writes", "made");
	must80(4 /* write */, fd, STR("12345"), 5);
	deed("bytes", "made 0 5");
	must80(39 /* mkdir */, STR("dir"), 0700, 0);
	deed("created", "dir dir lexical");
	deed("writes", "dir");
	must80(38 /* rename */, STR("made"), STR("moved"), 0);
	deed("renames", "made > moved");
	deed("deletes", "made");
	deed("writes", "moved");
	must80(10 /* unlink */, STR("moved"), 0, 0);
	deed("deletes", "moved");
	if (int80(5, STR("none"), O_RDONLY, 0) != -ENOENT)
		fail(__FILE__, __LINE__, "open none");
	deed("failed", "open none ENOENT 1");
	if (int80(11 /* execve */, STR("./nope"), (long)exec_args, 0) >= 0)
		fail(__FILE__, __LINE__, "exec nope");
	/* The upper half of the first pointer ends the list of 32-bit ones. */
	deed("exec_failures", "%d nope|nope ENOENT 1", getpid());
	to.sin_port = htons(atoi(argv[1]));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s = must(socket(AF_INET, SOCK_STREAM, 0));
	args[0] = s;
	args[1] = (unsigned)(uintptr_t)&to;
	args[2] = sizeof(to);
	must80(102 /* socketcall */, 3 /* connect */, (long)args, 0);
	deed("attempts", "tcp 127.0.0.1:%s connected 1", argv[1]);
	must80(4, s, STR("1234567"), 7);
	deed("sent", "7");
}

/* Arguments in memory that has to be fetched first. */
WORKLOAD(w_cold_args, "cold-socketcall")
{
	static struct sockaddr_in to = { .sin_family = AF_INET };
	unsigned args[3] = { must(socket(AF_INET, SOCK_STREAM, 0)), (unsigned)(uintptr_t)&to, sizeof(to) };
	int fd = must(memfd_create("cold", 0));
	void *cold;

	must(dup2(must(socket(AF_INET, SOCK_STREAM, 0)), 0)); /* what zeroes would stand for */
	to.sin_port = htons(1);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(write(fd, args, sizeof(args)));
	cold = must(mmap(0, sizeof(args), PROT_READ, MAP_PRIVATE | MAP_32BIT, fd, 0));
	if (int80(102 /* socketcall */, 3 /* connect */, (long)cold, 0) != -ECONNREFUSED)
		fail(__FILE__, __LINE__, "connect");
	deed("attempts", "tcp 127.0.0.1:1 refused 1");
}

/* Arguments in memory, which a thread could exchange during the call. */
WORKLOAD(w_socketcall, "race-socketcall")
{
	static unsigned args[3] = { AF_INET, SOCK_STREAM, 0 };
	pthread_t t;

	must80(102 /* socketcall */, 1 /* socket */, (long)args, 0);
	must(pthread_create(&t, 0, (void *(*)(void *))pause, 0) ? -1 : 0);
	must80(102, 1, (long)args, 0);
	deed("gaps", "raced");
}

/* Linux takes but the lower half of the number. */
WORKLOAD(w_dirty, "dirty-number")
{
	long ret;

	asm volatile("syscall" : "=a"(ret) : "a"(SYS_mkdir | 1L << 32), "D"("dir"), "S"(0700) : "rcx", "r11", "memory");
	if (ret == -ENOSYS) { /* an older Linux, which takes both */
		deed("failed", "mkdir dir ENOSYS 1");
		return;
	}
	must(ret);
	deed("created", "dir dir lexical");
	deed("writes", "dir");
	asm volatile("syscall" : "=a"(ret) : "a"(SYS_open | 0xffffffffL << 32), "D"("file"), "S"(O_WRONLY) : "rcx", "r11", "memory");
	must(ret < 0 ? -1 : 0);
	deed("writes", "file");
	asm volatile("syscall" : "=a"(ret) : "a"(SYS_write | 7L << 32), "D"(ret | 9L << 32), "S"("abc"), "d"(3L) : "rcx", "r11", "memory");
	must(ret == 3 ? 0 : -1);
	deed("bytes", "file 0 3");
}

/* Nor does it look at the upper halves of a 32-bit call's arguments. */
WORKLOAD(w_dirty_arguments, "dirty-arguments")
{
	const long dirt = 0x1200000000;
	int fd = must80(5 /* open */, STR("made") | dirt, O_CREAT | O_WRONLY | dirt, 0600 | dirt);

	deed("created", "file made kernel");
	deed("writes", "made");
	must80(4 /* write */, fd | dirt, STR("12345") | dirt, 5 | dirt);
	deed("bytes", "made 0 5");
	must80(39 /* mkdir */, STR("dir") | dirt, 0700 | dirt, dirt);
	deed("created", "dir dir lexical");
	deed("writes", "dir");
}
#endif

/* Memory that is only for writing can be read all the same; what has no rights at all cannot. */
WORKLOAD(w_write_only, "write-only")
{
	char *names = must(mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	struct sockaddr_in *to = (void *)(names + 1024);

	strcpy(names, "dir");
	strcpy(names + 4096, "nothing");
	to->sin_family = AF_INET;
	to->sin_port = htons(9);
	to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(mprotect(names, 4096, PROT_WRITE));
	must(mprotect(names + 4096, 4096, PROT_NONE));
	must(mkdir(names, 0700));
	deed("created", "dir dir lexical");
	deed("writes", "dir");
	must(sendto(must(socket(AF_INET, SOCK_DGRAM, 0)), "x", 1, 0, (void *)to, sizeof(*to)));
	deed("attempts", "udp 127.0.0.1:9 sent 1");
	deed("sent", "1");
	must_fail(mkdir(names + 4096, 0700), EFAULT);
	deed("failed", "mkdir . EFAULT 1 cut");
}

/* A jail whose /proc is a folder like any other. */
WORKLOAD(w_fake_proc, "fake-proc")
{
	char path[64];
	int fd = must(open("file", O_RDONLY));

	deed("reads", "file");
	snprintf(path, sizeof(path), "/proc/self/fd/%s", argv[1]);
	must(dup2(fd, atoi(argv[1])));
	must(chroot("jail"));
	must(chmod(path, 0600));
	must(link(path, "/linked"));
	deed("changed", "jail%s mode lexical", path);
	deed("created", "hardlink jail/linked -> jail%s lexical", path);
	deed("writes", "jail/linked");
	deed("gaps", "not_recorded chroot");
}

/* A path that is no file yet, made one by way of /proc. */
WORKLOAD(w_reopen, "reopen")
{
	char path[64];
	int fd = must(open("file", O_PATH));

	must(rename("file", "moved"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = must(open(path, O_WRONLY));
	write_all(fd, "1234");
	deed("renames", "file > moved");
	deed("deletes", "file");
	deed("writes", "moved");
	deed("bytes", "moved 0 4");
}

WORKLOAD(w_handle, "handle")
{
	struct {
		struct file_handle h;
		char more[128];
	} f = { .h.handle_bytes = 128 };
	int id, fd;

	if (name_to_handle_at(AT_FDCWD, "file", &f.h, &id, 0)) {
		if (errno == EOPNOTSUPP)
			return; /* not every file system has them */
		fail(__FILE__, __LINE__, "name_to_handle_at");
	}
	fd = must(open_by_handle_at(AT_FDCWD, &f.h, O_RDWR));
	write_all(fd, "1234");
	deed("reads", "file");
	deed("writes", "file");
	deed("bytes", "file 0 4");
}

static int reach(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int s = must(socket(AF_UNIX, SOCK_STREAM, 0));

	strcpy(to.sun_path, path);
	must(connect(s, (struct sockaddr *)&to, sizeof(to)));
	deed("attempts", "unix unix:%s connected 1", path);
	deed("gaps", "daemon");
	return s;
}

/* Whoever listens there does it. */
WORKLOAD(w_handed, "handed-over")
{
	int s = reach("socket");
	char answer;

	write_all(s, "make by-daemon");
	must(read(s, &answer, 1));
}

/* Files and a connection that somebody else has opened. */
WORKLOAD(w_received, "received")
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(3 * sizeof(int))];
	} control;
	char buf[16];
	struct iovec v = { buf, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int s = reach("socket"), fds[3];

	write_all(s, "files");
	must(recvmsg(s, &m, 0));
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fds));
	must(read(fds[0], buf, 5));
	deed("reads", "to-read");
	deed("bytes", "to-read 5 0");
	write_all(fds[1], "1234567");
	deed("writes", "to-write");
	deed("bytes", "to-write 0 7");
	write_all(fds[2], "123");
	deed("sent", "3");
	must(read(fds[2], buf, 3));
	deed("received", "3");
	deed("gaps", "descriptors");
}

/* Shared memory, queues and locks of System V reach any process without a descriptor. */
/* A name in memory that another process can write to. */
WORKLOAD(w_sysv_memory, "sysv-memory")
{
	int memory = must(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
	char *name = must(shmat(memory, 0, 0));

	must(shmctl(memory, IPC_RMID, 0));
	strcpy(name, "made");
	must(mkdir(name, 0700));
	deed("created", "dir made lexical");
	deed("writes", "made");
	deed("gaps", "shared_names");
	deed("gaps", "not_recorded shmat");
}

WORKLOAD(w_sysv, "sysv")
{
	int q = must(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	struct {
		long type;
		char text[8];
	} message = { 1, "do it" };

	must(msgsnd(q, &message, sizeof(message.text), 0));
	must(msgctl(q, IPC_RMID, 0));
	deed("gaps", "not_recorded msgsnd");
}
