/* Sockets. */
#include "deed.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/sendfile.h>

static struct sockaddr_in local(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int port_of(int s)
{
	struct sockaddr_in6 a;
	socklen_t n = sizeof(a);

	must(getsockname(s, (struct sockaddr *)&a, &n));
	return ntohs(((struct sockaddr_in *)&a)->sin_port); /* at the same place in both */
}

static int peer_port(int s)
{
	struct sockaddr_in a;
	socklen_t n = sizeof(a);

	must(getpeername(s, (struct sockaddr *)&a, &n));
	return ntohs(a.sin_port);
}

/* A socket on loopback, bound to a port of the kernel's choice. */
static int bound(int kind)
{
	struct sockaddr_in a = local(0);
	int s = must(socket(AF_INET, kind, 0));

	must(bind(s, (struct sockaddr *)&a, sizeof(a)));
	if (kind == SOCK_STREAM) {
		must(listen(s, 1000));
		deed("listens", "tcp 127.0.0.1:%d", port_of(s));
	} else {
		deed("listens", "udp 127.0.0.1:%d", port_of(s));
	}
	return s;
}

static void *own_table(void *port)
{
	struct sockaddr_in to = local(*(int *)port);

	must(unshare(CLONE_FILES));
	must(dup2(must(socket(AF_INET, SOCK_STREAM, 0)), 100));
	must(connect(100, (struct sockaddr *)&to, sizeof(to)));
	must(write(100, "abc", 3));
	return 0;
}

/* A descriptor that stands for another socket in a thread. */
WORKLOAD(w_own_table, "own-table")
{
	int ports[2] = { port_of(bound(SOCK_STREAM)), port_of(bound(SOCK_STREAM)) };
	struct sockaddr_in to = local(ports[0]);
	pthread_t t;

	must(dup2(must(socket(AF_INET, SOCK_STREAM, 0)), 100));
	must(connect(100, (struct sockaddr *)&to, sizeof(to)));
	must(pthread_create(&t, 0, own_table, &ports[1]) ? -1 : 0);
	pthread_join(t, 0);
	deed("attempts", "tcp 127.0.0.1:%d connected 1", ports[0]);
	deed("attempts", "tcp 127.0.0.1:%d connected 1", ports[1]);
	deed("sent", "3");
	deed("gaps", "not_recorded unshare");
}

/* A connect that did not wait, and one that asks how it went: one attempt, whatever lies between. */
WORKLOAD(w_asked_again, "asked-again")
{
	struct sockaddr_in to = local(port_of(bound(SOCK_STREAM))), nobody = { .sin_family = AF_UNSPEC };
	int s = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), i;

	for (i = 0; i < 2; i++) {
		must_fail(connect(s, (struct sockaddr *)&to, sizeof(to)), EINPROGRESS);
		usleep(20000);
		must(access("..", F_OK)); /* and calls that are watched */
		close(must(open("..", O_PATH)));
		must(connect(s, (struct sockaddr *)&to, sizeof(to)));
		must_fail(connect(s, (struct sockaddr *)&to, sizeof(to)), EISCONN);
		must(connect(s, (struct sockaddr *)&nobody, sizeof(nobody)));
	}
	deed("attempts", "tcp 127.0.0.1:%d connected 2", ntohs(to.sin_port));
}

static volatile int stop;
static struct sockaddr_in racing;
static int ports[2];

static void *flip_port(void *arg)
{
	int i;

	for (i = 0; !stop; i++)
		*(volatile in_port_t *)&racing.sin_port = htons(ports[i & 1]);
	return arg;
}

/* A thread rewrites the address: the connection itself tells where it went. */
WORKLOAD(w_connect, "race-connect")
{
	int listeners[2] = { bound(SOCK_STREAM), bound(SOCK_STREAM) }, counts[2] = {}, i;
	pthread_t t;

	racing = local(0);
	for (i = 0; i < 2; i++)
		ports[i] = port_of(listeners[i]);
	racing.sin_port = htons(ports[0]);
	pthread_create(&t, 0, flip_port, 0);
	for (i = 0; i < 300; i++) {
		int s = must(socket(AF_INET, SOCK_STREAM, 0));

		must(connect(s, (struct sockaddr *)&racing, sizeof(racing)));
		counts[peer_port(s) == ports[1]]++;
	}
	stop = 1;
	pthread_join(t, 0);
	for (i = 0; i < 2; i++)
		if (counts[i])
			deed("attempts", "tcp 127.0.0.1:%d connected %d", ports[i], counts[i]);
}

/* Of a datagram nothing else tells: it is said that it could be otherwise. */
WORKLOAD(w_sendto, "race-sendto")
{
	int receivers[2] = { bound(SOCK_DGRAM), bound(SOCK_DGRAM) }, counts[2] = {}, i, s;
	pthread_t t;
	char c;

	racing = local(0);
	for (i = 0; i < 2; i++)
		ports[i] = port_of(receivers[i]);
	racing.sin_port = htons(ports[0]);
	s = must(socket(AF_INET, SOCK_DGRAM, 0));
	pthread_create(&t, 0, flip_port, 0);
	for (i = 0; i < 200; i++)
		must(sendto(s, "x", 1, 0, (struct sockaddr *)&racing, sizeof(racing)));
	stop = 1;
	pthread_join(t, 0);
	for (i = 0; i < 2; i++)
		while (recv(receivers[i], &c, 1, MSG_DONTWAIT) == 1)
			counts[i]++;
	for (i = 0; i < 2; i++)
		if (counts[i])
			deed("attempts", "udp 127.0.0.1:%d sent %d", ports[i], counts[i]);
	deed("sent", "200");
	deed("received", "200");
	deed("doubtful", "attempts");
	deed("gaps", "shared_names");
}

/* Every way to send with no connect. */
WORKLOAD(w_datagrams, "datagrams")
{
	int receivers[2] = { bound(SOCK_DGRAM), bound(SOCK_DGRAM) }, s = must(socket(AF_INET, SOCK_DGRAM, 0)), i;
	struct sockaddr_in to[2];
	struct iovec v[2] = { { "four", 4 }, { "five!", 5 } };
	struct mmsghdr m[3] = {};

	for (i = 0; i < 2; i++)
		to[i] = local(port_of(receivers[i]));
	must(sendto(s, "1", 1, 0, (struct sockaddr *)&to[0], sizeof(to[0])));
	m[0].msg_hdr = (struct msghdr){ .msg_name = &to[0], .msg_namelen = sizeof(to[0]), .msg_iov = v, .msg_iovlen = 2 };
	m[1].msg_hdr = (struct msghdr){ .msg_name = &to[1], .msg_namelen = sizeof(to[1]), .msg_iov = v, .msg_iovlen = 1 };
	m[2] = m[1];
	must(sendmsg(s, &m[0].msg_hdr, 0));
	if (must(sendmmsg(s, m, 3, 0)) != 3)
		fail(__FILE__, __LINE__, "sendmmsg");
	deed("attempts", "udp 127.0.0.1:%d sent 3", ntohs(to[0].sin_port));
	deed("attempts", "udp 127.0.0.1:%d sent 2", ntohs(to[1].sin_port));
	deed("sent", "%d", 1 + 9 + 9 + 4 + 4);
}

/* A copy of some bytes in memory that has to be fetched first. */
static void *cold(const void *from, size_t size)
{
	int fd = must(memfd_create("cold", 0));
	void *at;

	must(write(fd, from, size));
	at = must(mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	must(close(fd));
	return at;
}

static void *wait_for_end(void *arg)
{
	pause();
	return arg;
}

static void send_cold(void)
{
	int receivers[4], s = must(socket(AF_INET, SOCK_DGRAM, 0)), i;
	struct iovec v = { "x", 1 };
	struct sockaddr_in to[4];
	struct mmsghdr m[3] = {};

	for (i = 0; i < 4; i++) {
		receivers[i] = bound(SOCK_DGRAM);
		to[i] = local(port_of(receivers[i]));
		deed("attempts", "udp 127.0.0.1:%d sent 1", ntohs(to[i].sin_port));
	}
	for (i = 0; i < 3; i++)
		m[i].msg_hdr = (struct msghdr){ .msg_name = &to[i], .msg_namelen = sizeof(to[i]), .msg_iov = &v, .msg_iovlen = 1 };
	must(sendmsg(s, cold(&m[0].msg_hdr, sizeof(struct msghdr)), 0));
	m[1].msg_hdr.msg_name = cold(&to[1], sizeof(to[1]));
	must(sendmsg(s, &m[1].msg_hdr, 0));
	m[2].msg_hdr.msg_name = cold(&to[2], sizeof(to[2]));
	must(sendmmsg(s, cold(&m[2], sizeof(m[2])), 1, 0));
	must(sendto(s, "x", 1, 0, cold(&to[3], sizeof(to[3])), sizeof(to[3])));
}

/* Addresses that are not in memory yet when the call begins. */
WORKLOAD(w_cold, "cold-addresses")
{
	struct sockaddr_un u = { AF_UNIX, "nowhere/name" };
	struct sockaddr_in nobody = local(1);
	pthread_t t;

	must_fail(connect(must(socket(AF_INET, SOCK_STREAM, 0)), cold(&nobody, sizeof(nobody)), sizeof(nobody)), ECONNREFUSED);
	deed("attempts", "tcp 127.0.0.1:1 refused 1");
	must_fail(connect(must(socket(AF_UNIX, SOCK_STREAM, 0)), cold(&u, sizeof(u)), sizeof(u)), ENOENT);
	deed("attempts", "unix unix:nowhere/name failed 1");
	must_fail(bind(must(socket(AF_UNIX, SOCK_STREAM, 0)), cold(&u, sizeof(u)), sizeof(u)), ENOENT);
	deed("failed", "bind nowhere/name ENOENT 1");
	send_cold();
	/* And where others could write them meanwhile, which is said. */
	must(pthread_create(&t, 0, wait_for_end, 0) ? -1 : 0);
	send_cold();
	deed("gaps", "shared_names");
	deed("sent", "8");
}

/* More than the 1,024 that one sendmmsg sends. */
WORKLOAD(w_many, "many-messages")
{
	enum { MANY = 2500 };
	int to = bound(SOCK_DGRAM), s = must(socket(AF_INET, SOCK_DGRAM, 0)), room = 16 << 20, i;
	struct sockaddr_in a = local(port_of(to));
	static struct mmsghdr m[MANY];
	static char buf[16];
	struct iovec v = { buf, sizeof(buf) };

	must(setsockopt(to, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)));
	must(connect(s, (struct sockaddr *)&a, sizeof(a)));
	deed("attempts", "udp 127.0.0.1:%d connected 1", ntohs(a.sin_port));
	for (i = 0; i < MANY; i++) {
		must(send(s, "datagram", 8, 0));
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 };
	}
	if (must(recvmmsg(to, m, MANY, MSG_DONTWAIT, 0)) != MANY)
		fail(__FILE__, __LINE__, "recvmmsg");
	deed("sent", "%d", 8 * MANY);
	deed("received", "%d", 8 * MANY);
}

/* Nothing of an earlier call's name stands behind an address that is too long. */
WORKLOAD(w_too_long, "address-too-long")
{
	char name[251], expect[127];
	union {
		struct sockaddr_un un;
		char bytes[128];
	} a;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	must(sched_setaffinity(0, sizeof(one), &one));
	memset(name, 'n', 250);
	name[250] = 0;
	memset(&a, 'x', sizeof(a));
	a.un.sun_family = AF_UNIX;
	memset(expect, 'x', 126);
	expect[126] = 0;
	must_fail(open(name, O_RDONLY), ENOENT);
	must_fail(bind(must(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&a, sizeof(a)), EINVAL);
	deed("failed", "open %s ENOENT 1", name);
	deed("failed", "bind %s EINVAL 1", expect);
}

/* Addresses that the kernel does not look at, or takes for none. */
WORKLOAD(w_unused, "unused-addresses")
{
	struct sockaddr_un path = { AF_UNIX, "nobody" };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in four = local(9);
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	must(sendto(pair[0], "x", 1, 0, (struct sockaddr *)&path, sizeof(path)));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must_fail(sendto(pair[0], "x", 1, 0, (struct sockaddr *)&path, sizeof(path)), EISCONN);
	must_fail(sendto(must(socket(AF_INET, SOCK_DGRAM, 0)), "x", 1, 0, (struct sockaddr *)&four, 4), EINVAL);
	must_fail(sendto(must(socket(AF_INET6, SOCK_DGRAM, 0)), "x", 1, 0, (struct sockaddr *)&six, 20), EINVAL);
}

/* Made here, connected there, used by both; and peeked at, which moves nothing. */
WORKLOAD(w_passed, "passed-on")
{
	int l = bound(SOCK_STREAM), s = must(socket(AF_INET, SOCK_STREAM, 0)), child, a, p[2];
	struct sockaddr_in to = local(port_of(l));
	char buf[64];
	off_t at = 0;

	if (!(child = must(fork()))) {
		must(connect(s, (struct sockaddr *)&to, sizeof(to)));
		must(send(dup(s), "child", 5, 0));
		_exit(3);
	}
	reap(child, getpid());
	a = must(accept4(l, 0, 0, SOCK_CLOEXEC));
	must(send(s, "parent", 6, 0));
	must(sendfile(s, must(open("file", O_RDONLY)), &at, 10));
	must(pipe(p));
	write_all(p[1], "splice");
	must(splice(p[0], 0, s, 0, 6, 0));
	must(recv(a, buf, 5, MSG_PEEK | MSG_WAITALL));
	must(recv(a, buf, 5, MSG_WAITALL));
	must(recv(a, buf, 22, MSG_WAITALL));
	deed("reads", "file");
	deed("bytes", "file 10 0");
	deed("attempts", "tcp 127.0.0.1:%d connected 1", port_of(l));
	deed("accepts", "tcp 127.0.0.1:%d 127.0.0.1:%d 1", port_of(l), peer_port(a));
	deed("sent", "%d", 5 + 6 + 10 + 6);
	deed("received", "%d", 5 + 6 + 10 + 6);
}

/* Both protocols at one listener, and one peer in the disguise of the other. */
WORKLOAD(w_mapped, "mapped")
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 }, mapped = { .sin6_family = AF_INET6 };
	int l = socket(AF_INET6, SOCK_STREAM, 0), s, a;
	struct sockaddr_in to;

	if (l < 0)
		return; /* no IPv6 here */
	must(bind(l, (struct sockaddr *)&any, sizeof(any)));
	must(listen(l, 10));
	deed("listens", "tcp [::]:%d", port_of(l));
	to = local(port_of(l));
	s = must(socket(AF_INET, SOCK_STREAM, 0));
	must(connect(s, (struct sockaddr *)&to, sizeof(to)));
	a = must(accept(l, 0, 0));
	deed("accepts", "tcp 127.0.0.1:%d 127.0.0.1:%d 1", port_of(l), port_of(s));
	close(a);
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
	mapped.sin6_port = to.sin_port;
	s = must(socket(AF_INET6, SOCK_STREAM, 0));
	must(connect(s, (struct sockaddr *)&mapped, sizeof(mapped)));
	a = must(accept(l, 0, 0));
	deed("accepts", "tcp 127.0.0.1:%d 127.0.0.1:%d 1", port_of(l), port_of(s));
	deed("attempts", "tcp 127.0.0.1:%d connected 2", port_of(l));
	must_fail(connect(must(socket(AF_INET6, SOCK_STREAM, 0)),
			  ({ close(l); (struct sockaddr *)&mapped; }), sizeof(mapped)), ECONNREFUSED);
	deed("attempts", "tcp 127.0.0.1:%d refused 1", ntohs(to.sin_port));
}

/* Who comes for a connection that is gone already still learns whose it was. */
WORKLOAD(w_reset_before, "reset-before")
{
	int l = bound(SOCK_STREAM), s = must(socket(AF_INET, SOCK_STREAM, 0)), port;
	struct sockaddr_in to = local(port_of(l));
	struct linger at_once = { .l_onoff = 1 };

	must(connect(s, (struct sockaddr *)&to, sizeof(to)));
	port = port_of(s);
	must(setsockopt(s, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)));
	close(s);
	must(accept(l, 0, 0));
	deed("attempts", "tcp 127.0.0.1:%d connected 1", port_of(l));
	deed("accepts", "tcp 127.0.0.1:%d 127.0.0.1:%d 1", port_of(l), port);
}

/* A service of its own, by a path and by a name without one. */
WORKLOAD(w_unix, "unix-names")
{
	struct sockaddr_un path = { AF_UNIX, "socket" }, name = { AF_UNIX, "" };
	int i, l, s, n, pair[2];

	n = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "adversary-%d", getpid());
	for (i = 0; i < 2; i++) {
		struct sockaddr *a = (struct sockaddr *)(i ? &name : &path);
		socklen_t len = i ? offsetof(struct sockaddr_un, sun_path) + 1 + n : sizeof(path);

		l = must(socket(AF_UNIX, SOCK_STREAM, 0));
		must(bind(l, a, len));
		must(listen(l, 1));
		s = must(socket(AF_UNIX, SOCK_STREAM, 0));
		must(connect(s, a, len));
		must(accept(l, 0, 0));
	}
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	write_all(pair[0], "within");
	must(rename("socket", "moved"));
	must_fail(connect(must(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&path, sizeof(path)), ENOENT);
	deed("created", "socket socket kernel");
	deed("writes", "socket");
	deed("writes", "moved");
	deed("deletes", "socket");
	deed("renames", "socket > moved");
	deed("listens", "unix unix:socket");
	deed("listens", "unix unix:@adversary-%d", getpid());
	deed("attempts", "unix unix:socket connected 1");
	deed("attempts", "unix unix:@adversary-%d connected 1", getpid());
	deed("attempts", "unix unix:socket failed 1");
	deed("accepts", "unix unix:socket unix: 1");
	deed("accepts", "unix unix:@adversary-%d unix: 1", getpid());
}
