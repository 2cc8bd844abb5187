// SPDX-License-Identifier: Apache-2.0
/*
 * What it costs to call a service, for services.bash: one test, nanoseconds on stdout. See usage().
 *
 * One thread has both ends, each in a network namespace of its own: while the caller is in connect()
 * or send(), the kernel carries the packet all the way to the other end. So what is told is the work
 * on that way, and nobody's waking up.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/syscall.h>

#include "../tools/tool.h"
#include "vips.h"

#define WARM_UP 20
#define STALL_S 10

static struct {
	uint32_t services;
	uint32_t calls;
	uint64_t ms;
	bool direct;
	bool random;
} opt;

static int listener, server;
static uint64_t *times;
static uint32_t n_times;

/* ---- figures ------------------------------------------------------------------------------- */

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void tell(void)
{
	qsort(times, n_times, sizeof(*times), compare_u64);
	printf("%llu %llu\n", (unsigned long long)times[n_times / 2],
	       (unsigned long long)times[n_times - 1 - n_times / 100]);
}

/* ---- sockets ------------------------------------------------------------------------------- */

static int socket_of(int type)
{
	struct timeval stall = { .tv_sec = STALL_S };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &stall, sizeof(stall)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof(stall)))
		tool_die("socket");
	return fd;
}

/* All endpoints at once: each address of their network is the server's own. */
static int serve(int type)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(ENDPOINT_PORT) };
	int fd = socket_of(type);

	tool_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
	    (type == SOCK_STREAM && listen(fd, SOMAXCONN)))
		tool_die("no server");
	if (type == SOCK_DGRAM)
		tool_set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	return fd;
}

static void serve_in(const char *netns)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int there = open(netns, O_RDONLY | O_CLOEXEC);

	if (home < 0 || there < 0 || setns(there, CLONE_NEWNET))
		tool_die(netns);
	listener = serve(SOCK_STREAM);
	server = serve(SOCK_DGRAM);
	if (setns(home, CLONE_NEWNET))
		tool_die("setns");
}

/* Whom to call, of service number *service. */
static struct sockaddr_in whom(uint32_t *service, bool dns)
{
	static uint64_t seed;
	struct sockaddr_in to = { .sin_family = AF_INET };

	seed = tool_mix(seed + 0x9e3779b97f4a7c15ull);
	*service = dns ? VIP_DNS_INDEX : opt.random ? seed % opt.services : opt.services - 1;
	if (opt.direct) {
		to.sin_addr.s_addr = htonl(vip_endpoint(*service, (seed >> 32) % VIP_ENDPOINTS));
		to.sin_port = htons(ENDPOINT_PORT);
	} else {
		to.sin_addr.s_addr = htonl(dns ? VIP_DNS : vip(*service));
		to.sin_port = htons(dns ? VIP_DNS_PORT : VIP_PORT);
	}
	return to;
}

static void dial(int fd, const struct sockaddr_in *to)
{
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		tool_die("connect");
}

/* An endpoint of that service, or whoever translates is wrong. */
static void check_endpoint(struct in_addr address, uint32_t service)
{
	uint32_t first = vip_endpoint(service, 0), is = ntohl(address.s_addr);

	if (is < first || is >= first + VIP_ENDPOINTS + 2)
		tool_exit(EXIT_FAILURE, "service %u was answered by %s", service,
			  inet_ntoa(address));
}

static int take_connection(uint32_t service)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || getsockname(fd, (struct sockaddr *)&address, &len))
		tool_die("accept");
	check_endpoint(address.sin_addr, service);
	return fd;
}

/* ---- a datagram ------------------------------------------------------------------------------ */

/* From the address to which the request came, as an endpoint would. */
static void answer_datagram(uint32_t service)
{
	char byte, control[CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct sockaddr_in peer;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_name = &peer,
		.msg_namelen = sizeof(peer),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct in_pktinfo *info;

	if (recvmsg(server, &message, 0) != 1 || !CMSG_FIRSTHDR(&message))
		tool_die("no datagram");
	info = (struct in_pktinfo *)CMSG_DATA(CMSG_FIRSTHDR(&message));
	check_endpoint(info->ipi_addr, service);
	info->ipi_ifindex = 0;
	info->ipi_spec_dst = info->ipi_addr;
	if (sendmsg(server, &message, 0) != 1)
		tool_die("no answer");
}

static void exchange_datagram(int fd, uint32_t service, char byte)
{
	char back;

	if (send(fd, &byte, 1, 0) != 1)
		tool_die("send");
	answer_datagram(service);
	if (recv(fd, &back, 1, 0) != 1 || back != byte)
		tool_die("no answer, or a wrong one");
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* Both ends vanish: nothing stays in TIME_WAIT. */
static void close_both(int fd, int end)
{
	struct linger reset = { .l_onoff = 1 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)))
		tool_die("SO_LINGER");
	close(fd);
	close(end);
}

static uint64_t call_connect(uint32_t i)
{
	int fd = socket_of(SOCK_STREAM);
	uint32_t service;
	struct sockaddr_in to = whom(&service, false);
	uint64_t begun = tool_now_ns(), took;

	(void)i;
	dial(fd, &to);
	took = tool_now_ns() - begun;
	close_both(fd, take_connection(service));
	return took;
}

static uint64_t call_tcp(uint32_t i)
{
	static int fd = -1, end;
	char byte = (char)i, there, back;
	uint64_t begun;

	if (fd < 0) {
		uint32_t service;
		struct sockaddr_in to = whom(&service, false);

		fd = socket_of(SOCK_STREAM);
		tool_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		dial(fd, &to);
		end = take_connection(service);
		tool_set(end, IPPROTO_TCP, TCP_NODELAY, 1);
	}
	begun = tool_now_ns();
	if (send(fd, &byte, 1, 0) != 1 || recv(end, &there, 1, 0) != 1 ||
	    send(end, &there, 1, 0) != 1 || recv(fd, &back, 1, 0) != 1 || back != byte)
		tool_die("round trip");
	return tool_now_ns() - begun;
}

static uint64_t call_udp(uint32_t i)
{
	static int fd = -1;
	static uint32_t service;
	uint64_t begun;

	if (fd < 0) {
		struct sockaddr_in to = whom(&service, true);

		fd = socket_of(SOCK_DGRAM);
		dial(fd, &to);
	}
	begun = tool_now_ns();
	exchange_datagram(fd, service, (char)i);
	return tool_now_ns() - begun;
}

/* As a resolver asks: a socket for each question. */
static uint64_t call_dns(uint32_t i)
{
	uint32_t service;
	struct sockaddr_in to = whom(&service, true);
	uint64_t begun = tool_now_ns();
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		tool_die("socket");
	dial(fd, &to);
	exchange_datagram(fd, service, (char)i);
	close(fd);
	return tool_now_ns() - begun;
}

static const struct test {
	const char *name;
	uint64_t (*call)(uint32_t i);
	bool clocks;
} tests[] = {
	{ "connect", call_connect, false }, { "clocked", call_connect, true },
	{ "tcp", call_tcp, false },         { "udp", call_udp, false },
	{ "dns", call_dns, false },
};

/* The kernel keeps its clocks of BPF programs for as long as somebody has this open, whatever others
 * do to kernel.bpf_stats_enabled. */
static void keep_clocks(void)
{
	union bpf_attr attr = { .enable_stats.type = BPF_STATS_RUN_TIME };

	if (syscall(SYS_bpf, BPF_ENABLE_STATS, &attr, sizeof(attr)) < 0)
		tool_die("BPF_ENABLE_STATS");
}

static void measure(const struct test *test)
{
	uint64_t end;

	if (test->clocks)
		keep_clocks();
	for (uint32_t i = 0; i < WARM_UP; i++)
		test->call(i);
	end = tool_now_ns() + opt.ms * 1000000;
	for (uint32_t i = 0; i < opt.calls && (i < WARM_UP || tool_now_ns() < end); i++)
		times[n_times++] = test->call(i);
	tell();
}

/* ---- options ----------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(void)
{
	tool_exit(EXIT_USAGE,
		  "usage: services TEST TO SERVICES CALLS MS NETNS\n"
		  "  connect    connect() of TCP\n"
		  "  clocked    ... with the kernel's clocks of BPF programs\n"
		  "  tcp, udp   a byte there and back\n"
		  "  dns        ... from a new socket each, from socket() to close()\n"
		  "TO: direct (an endpoint of a random service), last or random (a service).\n"
		  "At most CALLS in about MS milliseconds. NETNS is a file, where the server is.\n"
		  "Prints the median and the 99th percentile in ns.");
}

int main(int argc, char **argv)
{
	if (argc != 7)
		usage();
	tool_init();
	opt.direct = !strcmp(argv[2], "direct");
	opt.random = opt.direct || !strcmp(argv[2], "random");
	if (!opt.random && strcmp(argv[2], "last"))
		usage();
	opt.services = (uint32_t)tool_number("SERVICES", argv[3]);
	opt.calls = (uint32_t)tool_number("CALLS", argv[4]);
	opt.ms = tool_number("MS", argv[5]);
	if (!opt.services || opt.services > VIPS_MAX || !opt.calls)
		usage();
	times = tool_alloc(opt.calls, sizeof(*times));
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		if (strcmp(tests[i].name, argv[1]))
			continue;
		serve_in(argv[6]);
		measure(&tests[i]);
		return EXIT_SUCCESS;
	}
	usage();
}
