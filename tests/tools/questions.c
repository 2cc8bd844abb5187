// SPDX-License-Identifier: Apache-2.0
/*
 * Puts questions about policy to the kernel: each line of a file, as build/tests/oracle/cluster
 * writes them, becomes a real connection, and must be allowed or denied as the line says.
 * See usage().
 *
 * Each server is a process in its workload's cgroup that listens wherever it is asked about,
 * each client one that makes its calls in turn, from its own address. All of them are in one
 * network namespace, which has all addresses.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tool.h"

#define NAME_SIZE  64
#define EVENTS_MAX 64
#define WAIT_MS    10000 /* for what is allowed */
#define TOLD_MAX   20

struct question {
	char client[NAME_SIZE];
	char server[NAME_SIZE];
	struct address from;
	struct address to;
	bool udp;
	bool allowed; /* as expected */
	unsigned line;
};

static struct {
	const char *cgroup;
	struct question *items;
	size_t n, room;
	size_t skipped; /* from one family to another: nobody can ask that */
} all;

/* By question, shared with the clients: 0, or the errno that was told. */
static int *answers;

/* ---- the file ---------------------------------------------------------------------- */

static struct address address_of(const char *host, const char *port)
{
	char text[ADDRESS_TEXT];

	snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
	return tool_address(text);
}

static void add(char *text, unsigned line)
{
	char *field[8], *rest = text;
	struct question *question;

	for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
		field[i] = strsep(&rest, "\t\n");
		if (!field[i])
			tool_exit(EXIT_USAGE, "line %u: not 8 fields", line);
	}
	if (all.n == all.room) {
		all.room = all.room * 2 + 256;
		all.items = realloc(all.items, all.room * sizeof(*all.items));
		if (!all.items)
			tool_die("realloc");
	}
	question = &all.items[all.n];
	*question = (struct question){
		.from = address_of(field[1], "0"),
		.to = address_of(field[3], field[5]),
		.udp = !strcmp(field[4], "UDP"),
		.allowed = !strcmp(field[6], "allow") && !strcmp(field[7], "allow"),
		.line = line,
	};
	snprintf(question->client, NAME_SIZE, "%s", field[0]);
	snprintf(question->server, NAME_SIZE, "%s", field[2]);
	if (question->from.sa.ss_family == question->to.sa.ss_family)
		all.n++;
	else
		all.skipped++;
}

static void read_all(const char *path)
{
	FILE *file = fopen(path, "re");
	char text[512];

	if (!file)
		tool_die(path);
	for (unsigned line = 1; fgets(text, sizeof(text), file); line++)
		add(text, line);
	fclose(file);
}

/* ---- processes of a workload -------------------------------------------------------- */

static void join(const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/cgroup.procs", all.cgroup, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		tool_die(path);
	close(fd);
}

static pid_t begin(void)
{
	pid_t pid = fork();

	if (pid < 0)
		tool_die("fork");
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static bool same_place(const struct question *a, const struct question *b)
{
	return a->udp == b->udp && !memcmp(&a->to.sa, &b->to.sa, sizeof(a->to.sa));
}

static bool is_first(size_t n, bool (*same)(const struct question *, const struct question *))
{
	for (size_t i = 0; i < n; i++)
		if (same(&all.items[i], &all.items[n]))
			return false;
	return true;
}

static bool same_server(const struct question *a, const struct question *b)
{
	return !strcmp(a->server, b->server);
}

static bool same_client(const struct question *a, const struct question *b)
{
	return !strcmp(a->client, b->client);
}

/* ---- servers ------------------------------------------------------------------------ */

static void listen_everywhere(const char *name, int epoll)
{
	for (size_t i = 0; i < all.n; i++) {
		const struct question *question = &all.items[i];
		struct epoll_event event = { .events = EPOLLIN };
		int type = question->udp ? SOCK_DGRAM : SOCK_STREAM;

		if (strcmp(question->server, name) || !is_first(i, same_place))
			continue;
		event.data.u64 = (uint64_t)question->udp << 32 |
				 (uint32_t)tool_bind(&question->to, type | SOCK_NONBLOCK, true);
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, (int)event.data.u64, &event))
			tool_die("epoll_ctl");
	}
}

static void answer(int fd, bool udp)
{
	struct address from = { .len = sizeof(from.sa) };
	char byte;
	int client;

	if (udp && recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&from.sa, &from.len) == 1)
		sendto(fd, &byte, 1, 0, (struct sockaddr *)&from.sa, from.len);
	if (udp)
		return;
	client = accept(fd, NULL, NULL);
	if (client >= 0)
		close(client);
}

__attribute__((noreturn)) static void serve(const char *name, int ready)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS_MAX];

	join(name);
	listen_everywhere(name, epoll);
	if (write(ready, "r", 1) != 1)
		tool_die("write");
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS_MAX, -1);

		for (int i = 0; i < n; i++)
			answer((int)events[i].data.u64, events[i].data.u64 >> 32);
	}
}

static void start_servers(void)
{
	int ready[2];
	char byte;

	if (pipe(ready))
		tool_die("pipe");
	for (size_t i = 0; i < all.n; i++) {
		if (!is_first(i, same_server))
			continue;
		if (!begin())
			serve(all.items[i].server, ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			tool_die("a server");
	}
}

/* ---- clients ------------------------------------------------------------------------ */

static int ask_tcp(const struct question *question, int fd)
{
	const struct sockaddr *to = (const struct sockaddr *)&question->to.sa;

	return connect(fd, to, question->to.len) ? errno : 0;
}

/* By turns connected and not. */
static int ask_udp(const struct question *question, int fd)
{
	const struct sockaddr *to = (const struct sockaddr *)&question->to.sa;
	bool connected = question->line % 2;
	char byte = 'q';

	if (connected && connect(fd, to, question->to.len))
		return errno;
	if (sendto(fd, &byte, 1, 0, connected ? NULL : to, connected ? 0 : question->to.len) != 1)
		return errno;
	return recv(fd, &byte, 1, 0) == 1 ? 0 : errno;
}

static int ask(const struct question *question)
{
	struct timeval patience = { .tv_sec = WAIT_MS / 1000 };
	int type = question->udp ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(question->from.sa.ss_family, type | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		tool_die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (bind(fd, (const struct sockaddr *)&question->from.sa, question->from.len))
		tool_die("bind");
	error = question->udp ? ask_udp(question, fd) : ask_tcp(question, fd);
	close(fd);
	return error;
}

__attribute__((noreturn)) static void be_client(const char *name)
{
	join(name);
	for (size_t i = 0; i < all.n; i++)
		if (!strcmp(all.items[i].client, name))
			answers[i] = ask(&all.items[i]);
	_exit(EXIT_SUCCESS);
}

static void ask_all(void)
{
	for (size_t i = 0; i < all.n; i++) {
		int status;
		pid_t pid;

		if (!is_first(i, same_client))
			continue;
		pid = begin();
		if (!pid)
			be_client(all.items[i].client);
		if (waitpid(pid, &status, 0) != pid || status)
			tool_exit(EXIT_FAILURE, "client %s failed", all.items[i].client);
	}
}

/* ---- main --------------------------------------------------------------------------- */

static void tell(const struct question *question, int error)
{
	char from[ADDRESS_TEXT], to[ADDRESS_TEXT];

	fprintf(stderr, "line %u: %s %s -> %s %s %s: expected %s, %s\n", question->line,
		question->client, tool_address_text(&question->from, from), question->server,
		tool_address_text(&question->to, to), question->udp ? "UDP" : "TCP",
		question->allowed ? "allowed" : "denied",
		error ? strerrorname_np(error) : "succeeded");
}

static int report(void)
{
	size_t allowed = 0, wrong = 0;

	for (size_t i = 0; i < all.n; i++) {
		int expected = all.items[i].allowed ? 0 : EPERM;

		allowed += all.items[i].allowed;
		if (answers[i] != expected && wrong++ < TOLD_MAX)
			tell(&all.items[i], answers[i]);
	}
	printf("{\"asked\":%zu,\"allowed\":%zu,\"denied\":%zu,\"skipped\":%zu,\"wrong\":%zu}\n",
	       all.n, allowed, all.n - allowed, all.skipped, wrong);
	return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		tool_exit(EXIT_USAGE,
			  "usage: questions CGROUP FILE\n"
			  "  CGROUP  a folder, in which each workload has a cgroup\n"
			  "  FILE    lines of client, its address, server, its address,\n"
			  "          TCP or UDP, port, egress, ingress: allow or deny");
	all.cgroup = argv[1];
	tool_init();
	read_all(argv[2]);
	answers = mmap(NULL, (all.n + 1) * sizeof(*answers), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (answers == MAP_FAILED)
		tool_die("mmap");
	start_servers();
	ask_all();
	return report();
}
