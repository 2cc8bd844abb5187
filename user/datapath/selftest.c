/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes: the child owns the sockets, the parent the maps. They talk over a
 * socket pair, one byte a step: the child runs a phase and reports; the parent looks
 * at the kernel's side, changes what the next phase needs, and lets it go on.
 */
#include "datapath/selftest.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "core/address.h"
#include "datapath/destroy.h"
#include "datapath/internal.h"

/* Nobody listens there, and what goes there by mistake never leaves the machine. */
#define SERVICE_ADDRESS "127.83.84.1"
#define SERVICE_PORT    7
#define CGROUP_PREFIX   "sidestep.selftest."
#define ID_TCP          (SST_SELFTEST_ID + 1)
#define ID_UDP          SST_SELFTEST_ID

#define SECONDS     10
#define WAIT_MS     200
#define ROUND_TRIPS 64

/* FIONREAD must tell of bytes that came past TCP, of some by TCP behind them, and of
 * bytes by TCP alone. */
#define SPLICED 3000
#define THEN    2000
#define BY_TCP  5000

/* What the child says after a phase. */
struct report {
	int phase;
	int tcp_port, udp_port; /* PHASE_LISTEN */
	int fionread[3];        /* PHASE_DONE, as above */
	int charged;            /* PHASE_DONE: SPLICED bytes take room in the receive buffer */
	int edge;               /* PHASE_DONE: an edge-triggered reader was woken */
	int ordered;            /* PHASE_DONE */
	int declined;           /* PHASE_DONE: splice(2) on an adopted socket says EINVAL */
	int destroyed;          /* PHASE_TALK: the connected UDP socket was ended */
	char error[200];        /* empty: the phase went well */
};

enum phase {
	PHASE_LISTEN, /* sockets listen; the parent makes the service */
	PHASE_HOOKS,  /* services called; the parent looks for the flows, ends the UDP one */
	PHASE_TALK,   /* request/response done; the parent adopts */
	PHASE_PROVEN, /* the splice should run; the parent looks, then forbids it */
	PHASE_SPLIT,  /* spliced bytes unread; the parent sends the pair back to TCP */
	PHASE_DONE,
};

/* ---- the child --------------------------------------------------------------- */

struct child {
	int talk; /* to the parent */
	int listener, udp_server;
	int client, server; /* the pair */
	int doomed;         /* a connected UDP socket */
	int epoll;          /* watches server, edge-triggered */
	struct report report;
	uint8_t sent_seq, read_seq; /* the pattern's next byte, either side */
};

static void pause_ms(int ms)
{
	const struct timespec time = { .tv_nsec = ms * 1000000L };

	nanosleep(&time, NULL);
}

static int child_error(struct child *child, const char *what)
{
	snprintf(child->report.error, sizeof(child->report.error), "%s: %s", what, strerror(errno));
	return -1;
}

static int child_wrong(struct child *child, const char *what)
{
	snprintf(child->report.error, sizeof(child->report.error), "%s", what);
	return -1;
}

/* Reports a phase and waits for leave to go on. */
static int child_sync(struct child *child, enum phase phase)
{
	char go;

	child->report.phase = phase;
	if (send(child->talk, &child->report, sizeof(child->report), MSG_NOSIGNAL) < 0)
		return -1;
	return recv(child->talk, &go, 1, 0) == 1 ? 0 : -1;
}

static int loopback_up(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) ? -1 : 0;
}

static int bind_loopback(int type, int *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_close_ int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(address);

	if (fd < 0 || bind(fd, (void *)&address, sizeof(address)) ||
	    (type == SOCK_STREAM && listen(fd, 8)) || getsockname(fd, (void *)&address, &size))
		return -1;
	*port = ntohs(address.sin_port);
	return TAKE_FD(fd);
}

static int child_listen(struct child *child)
{
	/* apart from everybody else, where we may: it needs CAP_SYS_ADMIN */
	if (!unshare(CLONE_NEWNET) && loopback_up())
		return child_error(child, "loopback");
	child->listener = bind_loopback(SOCK_STREAM, &child->report.tcp_port);
	child->udp_server = bind_loopback(SOCK_DGRAM, &child->report.udp_port);
	if (child->listener < 0 || child->udp_server < 0)
		return child_error(child, "listen");
	return 0;
}

static void service_sockaddr(int family, struct sockaddr_storage *ret, socklen_t *size)
{
	struct sockaddr_in6 *v6 = (void *)ret;
	struct sst_addr address;

	address_parse(SERVICE_ADDRESS, &address);
	*size = address_to_sockaddr(&address, htons(SERVICE_PORT), ret);
	if (family == AF_INET)
		return;
	/* the same address, as a v6 socket would ask for it */
	memset(ret, 0, sizeof(*ret));
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(SERVICE_PORT);
	memcpy(&v6->sin6_addr, &address, sizeof(address));
	*size = sizeof(*v6);
}

static int is_service(const struct sockaddr_storage *got, int family)
{
	struct sockaddr_storage want;
	socklen_t size;

	service_sockaddr(family, &want, &size);
	if (family == AF_INET) {
		const struct sockaddr_in *a = (const void *)got, *b = (const void *)&want;

		return a->sin_addr.s_addr == b->sin_addr.s_addr && a->sin_port == b->sin_port;
	}
	return !memcmp(&((const struct sockaddr_in6 *)got)->sin6_addr,
		       &((const struct sockaddr_in6 *)&want)->sin6_addr, 16) &&
	       ((const struct sockaddr_in6 *)got)->sin6_port == htons(SERVICE_PORT);
}

/* The connection of this client: without a namespace of our own others may call too. */
static int child_accept(struct child *child, int client)
{
	struct sockaddr_storage ours, theirs;
	const struct sockaddr_in *a = (const void *)&ours, *b = (const void *)&theirs;

	for (;;) {
		socklen_t size = sizeof(ours);
		_cleanup_close_ int fd = -1;

		if (getsockname(client, (void *)&ours, &size))
			return -1;
		size = sizeof(theirs);
		fd = accept4(child->listener, (void *)&theirs, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
		/* the port lies at the same place in v4 and v6 */
		if (fd < 0 || a->sin_port == b->sin_port)
			return TAKE_FD(fd);
	}
}

/* Calls the service; both ends are left open and non-blocking. */
static int child_connect(struct child *child, int family, int *client, int *server)
{
	struct sockaddr_storage address;
	struct pollfd wait = { .fd = child->listener, .events = POLLIN };
	socklen_t size;
	int one = 1;

	service_sockaddr(family, &address, &size);
	*client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*client < 0 || connect(*client, (void *)&address, size))
		return child_error(child, family == AF_INET ? "connect4 did not translate"
							    : "connect6 did not translate");
	size = sizeof(address);
	if (getpeername(*client, (void *)&address, &size) || !is_service(&address, family))
		return child_wrong(child, family == AF_INET
						  ? "getpeername4 does not show the service"
						  : "getpeername6 does not show the service");
	if (poll(&wait, 1, WAIT_MS) != 1)
		return child_wrong(child, "the connection did not arrive at the endpoint");
	*server = child_accept(child, *client);
	if (*server < 0 || fcntl(*client, F_SETFL, O_NONBLOCK) ||
	    setsockopt(*client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    setsockopt(*server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		return child_error(child, "accept");
	return 0;
}

static int child_datagram(struct child *child, int family)
{
	_cleanup_close_ int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd wait = { .fd = child->udp_server, .events = POLLIN };
	struct sockaddr_storage address;
	socklen_t size;
	char byte = 'u';

	service_sockaddr(family, &address, &size);
	if (fd < 0 || sendto(fd, &byte, 1, 0, (void *)&address, size) != 1)
		return child_error(child, family == AF_INET ? "sendmsg4 did not translate"
							    : "sendmsg6 did not translate");
	size = sizeof(address);
	if (poll(&wait, 1, WAIT_MS) != 1 ||
	    recvfrom(child->udp_server, &byte, 1, 0, (void *)&address, &size) != 1 ||
	    sendto(child->udp_server, &byte, 1, 0, (void *)&address, size) != 1)
		return child_wrong(child, "the datagram did not arrive at the endpoint");
	wait.fd = fd;
	size = sizeof(address);
	if (poll(&wait, 1, WAIT_MS) != 1 ||
	    recvfrom(fd, &byte, 1, 0, (void *)&address, &size) != 1 ||
	    !is_service(&address, family))
		return child_wrong(child, family == AF_INET ? "recvmsg4 does not show the service"
							    : "recvmsg6 does not show the service");
	return 0;
}

static int child_doomed(struct child *child)
{
	struct sockaddr_storage address;
	socklen_t size;

	service_sockaddr(AF_INET, &address, &size);
	child->doomed = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (child->doomed < 0 || connect(child->doomed, (void *)&address, size))
		return child_error(child, "connect4 did not translate UDP");
	return 0;
}

/* A socket that was ended has no peer any more. */
static int child_is_ended(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	return getpeername(fd, (void *)&address, &size) && errno == ENOTCONN;
}

static int child_hooks(struct child *child)
{
	int client6 = -1, server6 = -1;

	if (child_connect(child, AF_INET, &child->client, &child->server) ||
	    child_connect(child, AF_INET6, &client6, &server6) || child_datagram(child, AF_INET) ||
	    child_datagram(child, AF_INET6) || child_doomed(child))
		return -1;
	close(client6);
	close(server6);
	return 0;
}

/* Sends n bytes of a pattern that counts on. */
static int child_send(struct child *child, int fd, uint8_t *seq, size_t n)
{
	uint8_t buf[BY_TCP];

	for (size_t i = 0; i < n; i++)
		buf[i] = (*seq)++;
	return send(fd, buf, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : child_error(child, "send");
}

/* Reads n bytes and holds them against the pattern. */
static int child_read(struct child *child, int fd, uint8_t *seq, size_t n)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint8_t buf[BY_TCP];

	while (n) {
		ssize_t got;

		if (poll(&wait, 1, WAIT_MS) != 1)
			return child_wrong(child, "a reader was not woken");
		got = recv(fd, buf, n < sizeof(buf) ? n : sizeof(buf), 0);
		if (got <= 0)
			return child_wrong(child, "bytes were lost");
		for (ssize_t i = 0; i < got; i++)
			if (buf[i] != (*seq)++)
				return child_wrong(child, "bytes arrived out of order");
		n -= got;
	}
	return 0;
}

/* n bytes there, one back, as often as rounds says. */
static int child_talk(struct child *child, size_t n, int rounds)
{
	uint8_t back_sent = 0, back_read = 0;

	while (rounds--)
		if (child_send(child, child->client, &child->sent_seq, n) ||
		    child_read(child, child->server, &child->read_seq, n) ||
		    child_send(child, child->server, &back_sent, 1) ||
		    child_read(child, child->client, &back_read, 1))
			return -1;
	return 0;
}

/* What FIONREAD says once it says what it should, or after a while. */
static int child_fionread(struct child *child, int want)
{
	int got = -1;

	for (int i = 0; i < WAIT_MS / 10; i++) {
		if (ioctl(child->server, FIONREAD, &got) || got == want)
			break;
		pause_ms(10);
	}
	return got;
}

/* Bytes charged to the reader's receive buffer: what bounds the splice. */
static int child_rmem(struct child *child)
{
	__u32 memory[SK_MEMINFO_VARS] = {};
	socklen_t size = sizeof(memory);

	if (getsockopt(child->server, SOL_SOCKET, SO_MEMINFO, memory, &size))
		return -1;
	return memory[SK_MEMINFO_RMEM_ALLOC];
}

static int child_watch(struct child *child)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	child->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (child->epoll < 0 || epoll_ctl(child->epoll, EPOLL_CTL_ADD, child->server, &event))
		return child_error(child, "epoll");
	epoll_wait(child->epoll, &event, 1, 0); /* what was ready before */
	return 0;
}

/* There is nothing to read: EAGAIN means that the call went through. */
static int child_declined(struct child *child)
{
	int ends[2];
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC))
		return 0;
	n = splice(child->server, NULL, ends[1], NULL, 1, SPLICE_F_NONBLOCK);
	close(ends[0]);
	close(ends[1]);
	return n < 0 && errno == EINVAL;
}

static int child_splice(struct child *child)
{
	struct report *report = &child->report;
	struct epoll_event event;

	report->declined = child_declined(child);
	if (child_talk(child, 1, 8) || child_watch(child) || child_sync(child, PHASE_PROVEN))
		return -1;
	if (child_send(child, child->client, &child->sent_seq, SPLICED))
		return -1;
	report->fionread[0] = child_fionread(child, SPLICED);
	report->charged = child_rmem(child);
	report->edge = epoll_wait(child->epoll, &event, 1, WAIT_MS) == 1;
	if (child_sync(child, PHASE_SPLIT))
		return -1;
	if (child_send(child, child->client, &child->sent_seq, THEN))
		return -1;
	report->fionread[1] = child_fionread(child, SPLICED + THEN);
	if (child_read(child, child->server, &child->read_seq, SPLICED + THEN) ||
	    child_send(child, child->client, &child->sent_seq, BY_TCP))
		return -1;
	report->fionread[2] = child_fionread(child, BY_TCP);
	if (child_read(child, child->server, &child->read_seq, BY_TCP))
		return -1;
	report->ordered = 1;
	return 0;
}

static int child_phases(struct child *child)
{
	if (child_listen(child) || child_sync(child, PHASE_LISTEN))
		return -1;
	if (child_hooks(child) || child_sync(child, PHASE_HOOKS))
		return -1;
	child->report.destroyed = child_is_ended(child->doomed);
	if (child_talk(child, 1, ROUND_TRIPS) || child_sync(child, PHASE_TALK))
		return -1;
	return child_splice(child);
}

static void child_main(int talk, int cgroup)
{
	struct child child = { .talk = talk };
	_cleanup_close_ int procs = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	alarm(SECONDS);
	if (procs < 0 || write(procs, "0", 1) != 1)
		child_error(&child, "cgroup.procs");
	else
		child_phases(&child);
	child_sync(&child, PHASE_DONE);
	_exit(0);
}

/* ---- the parent ---------------------------------------------------------------- */

struct selftest {
	struct datapath *datapath;
	struct problems *problems;
	struct sst_meta *meta;
	int cgroup_fd, own_cgroup; /* the target, and ours below it */
	char own_name[64];
	int talk;
	pid_t child;
	struct report report;
};

static int expect(struct selftest *test, enum phase phase)
{
	struct pollfd wait = { .fd = test->talk, .events = POLLIN };

	if (poll(&wait, 1, SECONDS * 1000) != 1 ||
	    recv(test->talk, &test->report, sizeof(test->report), 0) != sizeof(test->report))
		return fail(test->problems, -EIO, "self-test: the test process died");
	if (test->report.error[0])
		return fail(test->problems, -EIO, "self-test: %s", test->report.error);
	return test->report.phase == (int)phase ? 0 : -EIO;
}

static void go_on(struct selftest *test)
{
	send(test->talk, "g", 1, MSG_NOSIGNAL);
}

static int service_write(struct selftest *test, __u32 id, enum sst_splice splice)
{
	struct sst_service service = { .first = test->datapath->n_slots + (id == ID_UDP),
				       .slots = 1,
				       .splice = splice };

	return bpf_map_update_elem(test->datapath->map[MAP_services], &id, &service, BPF_ANY)
		       ? -errno
		       : 0;
}

static void frontend_key(__u8 protocol, struct sst_frontend_key *key)
{
	memset(key, 0, sizeof(*key));
	address_parse(SERVICE_ADDRESS, &key->address);
	key->port = htons(SERVICE_PORT);
	key->protocol = protocol;
}

/* The same entries a plan would write, but for statistics: the test's flows count
 * under "no service". */
static int service_add(struct selftest *test, __u32 id, __u8 protocol, int port)
{
	struct sst_endpoint endpoint = { .port = htons(port), .service = id, .weight = 1 };
	struct sst_frontend frontend = { .service = id };
	struct datapath *datapath = test->datapath;
	struct sst_frontend_key key;

	frontend_key(protocol, &key);
	address_parse("127.0.0.1", &endpoint.address);
	datapath->slots[datapath->n_slots + (id == ID_UDP)] = id;
	if (bpf_map_update_elem(datapath->map[MAP_endpoints], &id, &endpoint, BPF_ANY) ||
	    service_write(test, id, SST_SPLICE_ON) ||
	    bpf_map_update_elem(datapath->map[MAP_frontends], &key, &frontend, BPF_ANY))
		return fail(test->problems, -errno, "self-test: a map entry was refused: %s",
			    strerror(errno));
	return 0;
}

static void service_remove(struct selftest *test, __u32 id, __u8 protocol)
{
	struct datapath *datapath = test->datapath;
	struct sst_frontend_key key;

	frontend_key(protocol, &key);
	bpf_map_delete_elem(datapath->map[MAP_frontends], &key);
	bpf_map_delete_elem(datapath->map[MAP_services], &id);
	bpf_map_delete_elem(datapath->map[MAP_endpoints], &id);
	datapath->slots[datapath->n_slots + (id == ID_UDP)] = 0;
}

struct look {
	bool paired;      /* the client's end has found the server's */
	unsigned adopted; /* ends */
	bool redirecting; /* the client */
	struct sst_record udp;
};

static int look_at(const struct sst_record *record, void *arg)
{
	struct look *look = arg;

	if (record->service == ID_UDP)
		look->udp = *record;
	if (record->service != ID_TCP)
		return 0;
	if (record->role == SST_ROLE_CLIENT && record->peer_flow)
		look->paired = true;
	look->adopted += record->splice >= SST_STATE_ADOPTED;
	if (record->role == SST_ROLE_CLIENT && record->splice == SST_STATE_REDIRECTING)
		look->redirecting = true;
	return 0;
}

static int look(struct selftest *test, struct look *ret)
{
	int err;

	*ret = (struct look){};
	err = datapath_flows(test->datapath, look_at, ret);
	if (err)
		return fail(test->problems, err, "self-test: flows cannot be listed: %s",
			    strerror(-err));
	return 0;
}

/* A daemon may be adopting too, and have one end in its hands. */
static bool both_adopted(struct selftest *test)
{
	struct look seen;

	for (int i = 0; i < WAIT_MS / 10; i++) {
		if (datapath_adopt(test->datapath) || look(test, &seen))
			return false;
		if (seen.adopted == 2)
			return true;
		pause_ms(10);
	}
	return false;
}

static int test_hooks(struct selftest *test)
{
	struct look seen;
	int err = expect(test, PHASE_LISTEN);

	if (!err)
		err = service_add(test, ID_TCP, IPPROTO_TCP, test->report.tcp_port);
	if (!err)
		err = service_add(test, ID_UDP, IPPROTO_UDP, test->report.udp_port);
	if (err)
		return err;
	go_on(test);
	err = expect(test, PHASE_HOOKS);
	if (!err)
		err = look(test, &seen);
	if (!err && seen.udp.flow)
		err = destroy_sockets(test->datapath, &seen.udp, 1);
	if (!err && !seen.paired)
		err = fail(test->problems, -EIO,
			   "self-test: sockops did not see both ends of a connection in %s",
			   test->meta->cgroup);
	go_on(test);
	return err;
}

static void off(struct selftest *test, enum sst_feature feature, const char *format, ...)
{
	char *why = test->meta->feature_off[feature];
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, SST_REASON_MAX, format, ap);
	va_end(ap);
}

/* What the child found of the splice becomes features. */
static void judge(struct selftest *test)
{
	const int want[] = { SPLICED, SPLICED + THEN, BY_TCP };
	static const char *const how[] = { "past TCP", "both ways", "by TCP" };
	const struct report *report = &test->report;

	if (!report->ordered) {
		off(test, SST_FEATURE_SPLICE, "self-test: %.80s",
		    report->error[0] ? report->error : "order not proven");
		return;
	}
	if (report->charged < SPLICED) {
		off(test, SST_FEATURE_SPLICE,
		    "unread spliced bytes are not bounded (kernel bug, mended in 6.1.123 and 6.12.8)");
		return;
	}
	if (!test->meta->feature_off[SST_FEATURE_SPLICE_READERS][0] && !report->declined)
		off(test, SST_FEATURE_SPLICE_READERS,
		    "splice(2) on an adopted socket goes through");
	for (int i = 0; i < 3; i++) {
		if (report->fionread[i] == want[i])
			continue;
		off(test, SST_FEATURE_SPLICE_AUTO,
		    "FIONREAD says %d of %d bytes sent %s (kernel bug, mended in 6.12.114)",
		    report->fionread[i], want[i], how[i]);
		return;
	}
	if (!report->edge)
		off(test, SST_FEATURE_SPLICE_AUTO, "an edge-triggered reader is not woken");
	else if (test->meta->feature_off[SST_FEATURE_SPLICE_READERS][0])
		off(test, SST_FEATURE_SPLICE_AUTO, "splice(2) readers are not recognised");
}

/* A splice that does not work is told in a feature, not an error: returns nothing. */
static void test_splice(struct selftest *test)
{
	struct problems ignored = {}, *told = test->problems;
	struct look seen;
	int err;

	test->problems = &ignored;
	err = expect(test, PHASE_TALK);
	if (!test->report.destroyed)
		off(test, SST_FEATURE_DESTROY,
		    "neither SOCK_DESTROY (CONFIG_INET_DIAG_DESTROY) nor bpf_sock_destroy() (6.5)");
	if (err)
		off(test, SST_FEATURE_SPLICE, "self-test: %.80s", test->report.error);
	else if (!both_adopted(test))
		off(test, SST_FEATURE_SPLICE, "self-test: sockets could not be adopted");
	go_on(test);
	if (!expect(test, PHASE_PROVEN) && !look(test, &seen) && !seen.redirecting)
		off(test, SST_FEATURE_SPLICE, "self-test: messages are not redirected");
	go_on(test);
	if (!expect(test, PHASE_SPLIT)) {
		service_write(test, ID_TCP, SST_SPLICE_OFF);
		datapath_stop_splice(test->datapath);
	}
	go_on(test);
	expect(test, PHASE_DONE);
	go_on(test);
	if (!test->meta->feature_off[SST_FEATURE_SPLICE][0])
		judge(test);
	if (test->meta->feature_off[SST_FEATURE_SPLICE][0])
		off(test, SST_FEATURE_SPLICE_AUTO, "the splice itself is off");
	problems_release(&ignored);
	test->problems = told;
}

static bool is_stale(const char *name)
{
	int pid;

	return sscanf(name, CGROUP_PREFIX "%d", &pid) == 1 && kill(pid, 0) && errno == ESRCH;
}

/* Of loads that were killed. */
static void remove_stale_cgroups(int cgroup_fd)
{
	_cleanup_close_ int fd = openat(cgroup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir)
		return;
	TAKE_FD(fd); /* closedir() closes it */
	while ((entry = readdir(dir)))
		if (is_stale(entry->d_name))
			unlinkat(cgroup_fd, entry->d_name, AT_REMOVEDIR);
	closedir(dir);
}

static int start(struct selftest *test)
{
	int pair[2];

	remove_stale_cgroups(test->cgroup_fd);
	snprintf(test->own_name, sizeof(test->own_name), CGROUP_PREFIX "%d", getpid());
	if (mkdirat(test->cgroup_fd, test->own_name, 0755))
		return fail(test->problems, -errno, "self-test: cgroup below %s: %s",
			    test->meta->cgroup, strerror(errno));
	test->own_cgroup =
		openat(test->cgroup_fd, test->own_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (test->own_cgroup < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return fail(test->problems, -errno, "self-test: %s", strerror(errno));
	test->child = fork();
	if (!test->child) {
		close(pair[0]);
		child_main(pair[1], test->own_cgroup);
	}
	close(pair[1]);
	test->talk = pair[0];
	if (test->child < 0)
		return fail(test->problems, -errno, "self-test: fork: %s", strerror(errno));
	return 0;
}

static void stop(struct selftest *test)
{
	if (test->child > 0) {
		kill(test->child, SIGKILL);
		waitpid(test->child, NULL, 0);
	}
	cleanup_close(&test->talk);
	cleanup_close(&test->own_cgroup);
	/* the kernel lets go of a dead process's cgroup a moment later */
	for (int i = 0; i < 100; i++) {
		if (!unlinkat(test->cgroup_fd, test->own_name, AT_REMOVEDIR) || errno != EBUSY)
			break;
		pause_ms(10);
	}
}

int selftest_run(struct datapath *datapath, int cgroup_fd, struct sst_meta *meta,
		 struct problems *problems)
{
	struct selftest test = { .datapath = datapath,
				 .problems = problems,
				 .meta = meta,
				 .cgroup_fd = cgroup_fd,
				 .own_cgroup = -1,
				 .talk = -1,
				 .child = -1 };
	int err = start(&test);

	if (!err)
		err = test_hooks(&test);
	if (!err)
		test_splice(&test);
	stop(&test);
	service_remove(&test, ID_TCP, IPPROTO_TCP);
	service_remove(&test, ID_UDP, IPPROTO_UDP);
	return err;
}
