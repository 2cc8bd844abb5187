// SPDX-License-Identifier: Apache-2.0
/*
 * The client of the tests: makes calls to an echoserver, notes who answered and
 * what failed, and prints one JSON object at the end. See usage().
 *
 * A TCP call connects, reads the server's greeting and closes. A UDP call sends
 * a datagram and reads the answer. Both name the server that was reached.
 */
#include <getopt.h>
#include <poll.h>
#include <pthread.h>

#include "tool.h"

#define NAME_SIZE     64
#define TALLY_MAX     64
#define SEQUENCE_MAX  64
#define THREADS_MAX   64
#define HOLD_SLICE_MS 20

static struct {
	struct address server;
	bool udp;
	bool connected;
	bool one_socket;
	bool disconnect;
	bool fastopen;
	bool until_signal;
	uint64_t count;
	uint64_t interval_ms;
	uint64_t threads;
	uint64_t timeout_ms;
	uint64_t hold_ms;
	uint64_t send;
} opt = { .count = 1, .threads = 1, .timeout_ms = 2000 };

/* ---- what is noted -------------------------------------------------------------- */

struct tally {
	struct {
		char name[NAME_SIZE];
		uint64_t count;
	} entry[TALLY_MAX];
	size_t n;
};

static struct {
	pthread_mutex_t lock;
	uint64_t begun;
	uint64_t ok;
	uint64_t failed;
	uint64_t in_syn;      /* calls whose SYN carried data that the server took */
	uint64_t quickest_ns; /* failure */
	struct tally names;
	struct tally errors;
	char sequence[SEQUENCE_MAX][NAME_SIZE];
	struct address local; /* of the last call, by getsockname() */
	struct address peer;  /* the same by getpeername() */
	struct address from;  /* of the last datagram, by recvfrom() */
} result = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void tally_add(struct tally *tally, const char *name)
{
	size_t i = 0;

	while (i < tally->n && strcmp(tally->entry[i].name, name))
		i++;
	if (i == TALLY_MAX)
		tool_exit(EXIT_FAILURE, "more than %d different answers", TALLY_MAX);
	if (i == tally->n)
		snprintf(tally->entry[tally->n++].name, NAME_SIZE, "%s", name);
	tally->entry[i].count++;
}

/* One call's story, told to the result when it is over. */
struct call {
	char name[NAME_SIZE];
	struct address local;
	struct address peer;
	struct address from;
	bool in_syn;
};

static void note_success(const struct call *call)
{
	pthread_mutex_lock(&result.lock);
	if (result.ok < SEQUENCE_MAX)
		memcpy(result.sequence[result.ok], call->name, NAME_SIZE);
	result.ok++;
	result.in_syn += call->in_syn;
	tally_add(&result.names, call->name);
	result.local = call->local;
	result.peer = call->peer;
	result.from = call->from;
	pthread_mutex_unlock(&result.lock);
}

/* The server closed where an answer was due. */
#define EARLY_END (-1)

static void note_failure(int error, uint64_t took_ns)
{
	/* SO_RCVTIMEO and SO_SNDTIMEO speak of themselves as EAGAIN and EINPROGRESS. */
	bool timeout = error == EAGAIN || error == EINPROGRESS;
	const char *name = error == EARLY_END ? "EOF"
			   : timeout          ? "ETIMEDOUT"
					      : strerrorname_np(error);

	pthread_mutex_lock(&result.lock);
	if (!result.failed || took_ns < result.quickest_ns)
		result.quickest_ns = took_ns;
	result.failed++;
	tally_add(&result.errors, name ? name : "unknown");
	pthread_mutex_unlock(&result.lock);
}

/* ---- JSON ------------------------------------------------------------------------ */

static void print_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar((unsigned char)*text < ' ' ? '?' : *text);
	}
	putchar('"');
}

static void print_tally(const char *key, const struct tally *tally)
{
	printf(",\"%s\":{", key);
	for (size_t i = 0; i < tally->n; i++) {
		if (i)
			putchar(',');
		print_string(tally->entry[i].name);
		printf(":%llu", (unsigned long long)tally->entry[i].count);
	}
	putchar('}');
}

static void print_address(const char *key, const struct address *address)
{
	char text[ADDRESS_TEXT];

	printf(",\"%s\":\"%s\"", key, tool_address_text(address, text));
}

static void print_result(void)
{
	size_t n = result.ok < SEQUENCE_MAX ? result.ok : SEQUENCE_MAX;

	printf("{\"ok\":%llu,\"failed\":%llu,\"in_syn\":%llu,\"quickest_failure_ms\":%.3f",
	       (unsigned long long)result.ok, (unsigned long long)result.failed,
	       (unsigned long long)result.in_syn, (double)result.quickest_ns / 1e6);
	print_tally("errors", &result.errors);
	print_tally("names", &result.names);
	printf(",\"sequence\":[");
	for (size_t i = 0; i < n; i++) {
		if (i)
			putchar(',');
		print_string(result.sequence[i]);
	}
	putchar(']');
	print_address("local", &result.local);
	print_address("peer", &result.peer);
	print_address("from", &result.from);
	puts("}");
}

/* ---- calls: 0, an errno, or EARLY_END -------------------------------------------- */

static int socket_open(int type)
{
	struct timeval timeout = { .tv_sec = (time_t)(opt.timeout_ms / 1000),
				   .tv_usec = (suseconds_t)(opt.timeout_ms % 1000) * 1000 };
	int fd = socket(opt.server.sa.ss_family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		tool_die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	return fd;
}

/* What an echoserver sends back. */
static const char proof[] = "still here\n";

/* Connects; Fast Open puts the proof in the SYN when it has the server's cookie, and
 * asks for one when it has not. */
static int connect_socket(int fd)
{
	const struct sockaddr *to = (struct sockaddr *)&opt.server.sa;

	if (!opt.fastopen)
		return connect(fd, to, opt.server.len);
	return sendto(fd, proof, sizeof(proof) - 1, MSG_FASTOPEN, to, opt.server.len) < 0 ? -1 : 0;
}

static int connect_to_server(int fd, struct call *call)
{
	if (connect_socket(fd))
		return errno;
	call->local.len = call->peer.len = sizeof(call->peer.sa);
	if (getsockname(fd, (struct sockaddr *)&call->local.sa, &call->local.len) ||
	    getpeername(fd, (struct sockaddr *)&call->peer.sa, &call->peer.len))
		return errno;
	return 0;
}

/* Reads up to a newline, a byte at a time: what follows is not ours to take. */
static int read_line(int fd, char *buf)
{
	for (size_t len = 0; len < NAME_SIZE; len++) {
		ssize_t n = recv(fd, buf + len, 1, 0);

		if (n < 0)
			return errno;
		if (n == 0)
			return EARLY_END;
		if (buf[len] == '\n') {
			buf[len] = '\0';
			return 0;
		}
	}
	return EMSGSIZE;
}

/* Waits for hold_ms, a signal, or something to read: the plan has none, so an end. */
static void wait_on(int fd)
{
	uint64_t until = tool_now_ns() + opt.hold_ms * 1000000;
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	/* In slices: a signal wakes one thread only. */
	while (!tool_stop && tool_now_ns() < until && poll(&pollfd, 1, HOLD_SLICE_MS) <= 0)
		;
}

static int read_proof(int fd)
{
	char answer[NAME_SIZE];
	int error = read_line(fd, answer);

	if (error)
		return error;
	return strncmp(answer, proof, sizeof(proof) - 2) ? EBADMSG : 0;
}

/* Keeps the connection for a while and then proves with an echo that it still works. */
static int hold(int fd)
{
	wait_on(fd);
	if (send(fd, proof, sizeof(proof) - 1, 0) < 0)
		return errno;
	return read_proof(fd);
}

static bool syn_had_data(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) &&
	       info.tcpi_options & TCPI_OPT_SYN_DATA;
}

/* So many bytes and the end of the stream; a sink's answer is their count. */
static int send_bytes(int fd)
{
	static const char zeros[64 * 1024];
	uint64_t left = opt.send;

	while (left) {
		ssize_t n = send(fd, zeros, left < sizeof(zeros) ? left : sizeof(zeros), 0);

		if (n < 0)
			return errno;
		left -= (uint64_t)n;
	}
	return shutdown(fd, SHUT_WR) ? errno : 0;
}

static int call_tcp(struct call *call)
{
	int fd = socket_open(SOCK_STREAM);
	int error = connect_to_server(fd, call);

	if (!error && opt.send)
		error = send_bytes(fd);
	if (!error)
		error = read_line(fd, call->name);
	if (!error && opt.fastopen)
		error = read_proof(fd);
	if (!error && opt.hold_ms)
		error = hold(fd);
	call->in_syn = !error && syn_had_data(fd);
	close(fd);
	return error;
}

/* The name is the answer's first word. */
static int read_answer(int fd, struct call *call)
{
	char buf[2048];
	ssize_t n;

	call->from.len = sizeof(call->from.sa);
	n = recvfrom(fd, buf, sizeof(buf) - 1, 0, (struct sockaddr *)&call->from.sa,
		     &call->from.len);
	if (n < 0)
		return errno;
	buf[n] = '\0';
	buf[strcspn(buf, " ")] = '\0';
	snprintf(call->name, NAME_SIZE, "%.*s", NAME_SIZE - 1, buf);
	return 0;
}

/* As getaddrinfo() does to learn its own address, and then goes on with the socket. */
static int connect_for_a_moment(int fd, struct call *call)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	int error = connect_to_server(fd, call);

	if (!error && connect(fd, &nobody, sizeof(nobody)))
		error = errno;
	return error;
}

static int send_question(int fd, struct call *call, bool fresh)
{
	static const char question[] = "who are you?";
	const struct sockaddr *to = opt.connected ? NULL : (struct sockaddr *)&opt.server.sa;
	int error = 0;

	if (opt.connected && fresh)
		error = connect_to_server(fd, call);
	else if (opt.disconnect && fresh)
		error = connect_for_a_moment(fd, call);
	if (error)
		return error;
	if (sendto(fd, question, sizeof(question) - 1, 0, to, to ? opt.server.len : 0) < 0)
		return errno;
	return 0;
}

/* *fd is the thread's socket, -1 when there is none. A failed call costs the socket. */
static int call_udp(struct call *call, int *fd)
{
	bool fresh = *fd < 0;
	int error;

	if (fresh)
		*fd = socket_open(SOCK_DGRAM);
	error = send_question(*fd, call, fresh);
	if (!error)
		error = read_answer(*fd, call);
	if (error || !opt.one_socket) {
		close(*fd);
		*fd = -1;
	}
	return error;
}

/* ---- main ------------------------------------------------------------------------- */

/* Is there one more call to make? */
static bool begin(void)
{
	bool more;

	pthread_mutex_lock(&result.lock);
	more = !tool_stop && (opt.until_signal || result.begun < opt.count);
	result.begun += more;
	pthread_mutex_unlock(&result.lock);
	return more;
}

static void *work(void *arg)
{
	struct call call = { 0 };
	uint64_t begun;
	int fd = -1;
	int error;

	(void)arg;
	while (begin()) {
		begun = tool_now_ns();
		error = opt.udp ? call_udp(&call, &fd) : call_tcp(&call);
		if (!error)
			note_success(&call);
		else if (error != EINTR || !tool_stop)
			note_failure(error, tool_now_ns() - begun);
		if (opt.interval_ms && !tool_stop)
			tool_sleep_ms(opt.interval_ms);
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: caller [OPTIONS] ADDRESS:PORT\n"
		"  --count N          calls to make (default: 1)\n"
		"  --until-signal     call until SIGTERM or SIGINT\n"
		"  --interval-ms MS   wait after each call\n"
		"  --threads T        callers at once (default: 1)\n"
		"  --timeout-ms MS    of connecting, sending and reading (default: 2000)\n"
		"  --hold-ms MS       TCP: keep the connection, then prove that it works\n"
		"  --send BYTES       TCP, to a sink: send so much, take its count for the name\n"
		"  --fastopen         TCP, to an echo with --greet: data in the SYN, once there\n"
		"                     is a cookie (how often is told as \"in_syn\")\n"
		"  --source-mapped    an AF_INET6 socket and ::ffff:ADDRESS\n"
		"  -u, --udp          datagrams\n"
		"  --connected        UDP: connect() the socket\n"
		"  --disconnect       UDP: connect() the socket, disconnect it, and go on with it\n"
		"  --one-socket       UDP: the same socket for all calls of a thread\n");
	exit(code);
}

static void parse_options(int argc, char **argv)
{
	enum {
		COUNT = 256,
		UNTIL,
		INTERVAL,
		THREADS,
		TIMEOUT,
		HOLD,
		SEND,
		FASTOPEN,
		MAPPED,
		CONNECTED,
		DISCONNECT,
		ONE
	};
	static const struct option options[] = {
		{ "count", required_argument, NULL, COUNT },
		{ "until-signal", no_argument, NULL, UNTIL },
		{ "interval-ms", required_argument, NULL, INTERVAL },
		{ "threads", required_argument, NULL, THREADS },
		{ "timeout-ms", required_argument, NULL, TIMEOUT },
		{ "hold-ms", required_argument, NULL, HOLD },
		{ "send", required_argument, NULL, SEND },
		{ "fastopen", no_argument, NULL, FASTOPEN },
		{ "source-mapped", no_argument, NULL, MAPPED },
		{ "udp", no_argument, NULL, 'u' },
		{ "connected", no_argument, NULL, CONNECTED },
		{ "disconnect", no_argument, NULL, DISCONNECT },
		{ "one-socket", no_argument, NULL, ONE },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	bool mapped = false;
	int c;

	while ((c = getopt_long(argc, argv, "uh", options, NULL)) != -1) {
		switch (c) {
		case COUNT:
			opt.count = tool_number("--count", optarg);
			break;
		case UNTIL:
			opt.until_signal = true;
			break;
		case INTERVAL:
			opt.interval_ms = tool_number("--interval-ms", optarg);
			break;
		case THREADS:
			opt.threads = tool_number("--threads", optarg);
			break;
		case TIMEOUT:
			opt.timeout_ms = tool_number("--timeout-ms", optarg);
			break;
		case HOLD:
			opt.hold_ms = tool_number("--hold-ms", optarg);
			break;
		case SEND:
			opt.send = tool_number("--send", optarg);
			break;
		case FASTOPEN:
			opt.fastopen = true;
			break;
		case MAPPED:
			mapped = true;
			break;
		case 'u':
			opt.udp = true;
			break;
		case CONNECTED:
			opt.connected = true;
			break;
		case DISCONNECT:
			opt.disconnect = true;
			break;
		case ONE:
			opt.one_socket = true;
			break;
		default:
			usage(c == 'h' ? EXIT_SUCCESS : EXIT_USAGE);
		}
	}
	if (optind + 1 != argc || opt.threads < 1 || opt.threads > THREADS_MAX)
		usage(EXIT_USAGE);
	opt.server = tool_address(argv[optind]);
	if (mapped)
		opt.server = tool_mapped(&opt.server);
}

/* The last caller is this thread, so that a signal finds it. */
int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];

	parse_options(argc, argv);
	tool_init();
	for (uint64_t i = 0; i + 1 < opt.threads; i++) {
		errno = pthread_create(&threads[i], NULL, work, NULL);
		if (errno)
			tool_die("pthread_create");
	}
	work(NULL);
	for (uint64_t i = 0; i + 1 < opt.threads; i++)
		pthread_join(threads[i], NULL);
	print_result();
	return result.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
