/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows the messages of spliced flows. It ends after a time, a number of messages, a
 * size of the file, with the flow, or by a signal; always with a summary on stderr.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "cli/common.h"
#include "core/clock.h"
#include "datapath/capture.h"
#include "export/json.h"
#include "export/message.h"
#include "export/pcap.h"

#define FILE_MAX (256ull << 20)
#define POLL_MS  50
#define LOOK_NS  1000000000ull /* how often to see whether the flow still lives */

/* What the command line asks for. */
struct target {
	const char *name;
	uint64_t flow; /* 0: a service */
	uint32_t *services;
	size_t n_services;
};

struct session {
	const struct cli_options *options;
	struct datapath *datapath;
	struct target target;
	struct record_context context;
	int out;           /* stdout, or the file */
	struct text batch; /* of pcap, or lines */
	uint64_t messages;
	uint64_t spliced_bytes;
	uint64_t tcp_bytes;
	uint64_t written;
	uint64_t lost;
	uint64_t looked_ns;
	bool full;
	const char *ended; /* why, in words; NULL: it goes on */
};

/* ---- the target ------------------------------------------------------------------ */

struct search {
	const struct target *target;
	struct sst_record found; /* of a flow */
	unsigned flows, spliced; /* of a service */
};

static bool is_member(const struct sst_record *record)
{
	return record->splice >= SST_STATE_ADOPTED && record->splice != SST_STATE_RELEASED;
}

static int look(const struct sst_record *record, void *arg)
{
	struct search *search = arg;

	if (search->target->flow && record->flow == search->target->flow)
		search->found = *record;
	if (record->role == SST_ROLE_SERVER && record->peer_flow)
		return 0; /* its client is counted */
	for (size_t i = 0; i < search->target->n_services; i++) {
		if (record->protocol != IPPROTO_TCP ||
		    record->service != search->target->services[i])
			continue;
		search->flows++;
		search->spliced += is_member(record);
	}
	return 0;
}

/* One walk may miss a flow while others come and go. */
static int find_flow(struct datapath *datapath, const struct target *target, struct sst_record *ret)
{
	struct search search = { .target = target };
	int err = 0;

	for (int i = 0; i < 3 && !err && !search.found.flow; i++)
		err = datapath_flows(datapath, look, &search);
	if (!err && !search.found.flow)
		err = -ENOENT;
	if (!err)
		*ret = search.found;
	return err;
}

static uint64_t flow_id(const char *text)
{
	uint64_t id;
	char *end;

	errno = 0;
	id = strtoull(text, &end, 10);
	return *text < '0' || *text > '9' || *end || errno ? 0 : id;
}

/* -EPROTONOSUPPORT: no port of it is TCP. */
static int find_services(const struct state *state, struct target *target)
{
	int err = -ENOENT;

	target->services = calloc(state->n_services + 1, sizeof(*target->services));
	if (!target->services)
		return -ENOMEM;
	for (size_t i = 0; i < state->n_services; i++) {
		if (strcmp(state->services[i].info.name, target->name))
			continue;
		err = -EPROTONOSUPPORT;
		if (state->services[i].info.protocol == IPPROTO_TCP)
			target->services[target->n_services++] = state->services[i].id;
	}
	return target->n_services ? 0 : err;
}

static int not_tcp(const struct target *target)
{
	cli_error("'%s' is UDP: only TCP is spliced, tcpdump sees all of it", target->name);
	return CLI_FAILED;
}

static int flow_found(const struct target *target, const struct sst_record *record)
{
	if (record->protocol != IPPROTO_TCP)
		return not_tcp(target);
	if (!is_member(record))
		cli_error("flow %s is not spliced: until it is, tcpdump sees all of it",
			  target->name);
	return CLI_DONE;
}

static int service_found(struct datapath *datapath, const struct target *target)
{
	struct search search = { .target = target };
	int err = datapath_flows(datapath, look, &search);

	if (err) {
		cli_error("flows cannot be listed: %s", strerror(-err));
		return CLI_FAILED;
	}
	if (!search.flows)
		cli_error("service '%s' has no live flow yet", target->name);
	else if (search.spliced < search.flows)
		cli_error(
			"%u of %u live flows of service '%s' are spliced; tcpdump sees the others",
			search.spliced, search.flows, target->name);
	return CLI_DONE;
}

static int find_target(struct session *session)
{
	struct target *target = &session->target;
	struct sst_record record;
	int err = -ENOENT;

	target->flow = flow_id(target->name);
	if (target->flow)
		err = find_flow(session->datapath, target, &record);
	if (!err)
		return flow_found(target, &record);
	target->flow = 0;
	if (err == -ENOENT)
		err = find_services(session->context.state, target);
	if (!err)
		return service_found(session->datapath, target);
	if (err == -EPROTONOSUPPORT)
		return not_tcp(target);
	if (err == -ENOENT)
		cli_error("there is no live flow and no service '%s'", target->name);
	else
		cli_error("'%s' cannot be looked for: %s", target->name, strerror(-err));
	return CLI_FAILED;
}

/* ---- the output ------------------------------------------------------------------ */

/* What messages say, and who says it to whom, is nobody else's business. */
static int open_file(struct session *session)
{
	const char *path = session->options->write;
	_cleanup_close_ int fd = -1;
	struct stat file;

	if (!path || !strcmp(path, "-"))
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &file))
		return -errno;
	if (S_ISREG(file.st_mode) && (fchmod(fd, 0600) || ftruncate(fd, 0)))
		return -errno;
	session->out = TAKE_FD(fd);
	return 0;
}

/* Hands on what has come, so that a reader of ours sees it now. */
static int flush(struct session *session)
{
	struct text *batch = &session->batch;
	int err = batch->error;

	for (size_t done = 0; !err && done < batch->length;) {
		ssize_t n = write(session->out, batch->data + done, batch->length - done);

		if (n >= 0)
			done += n;
		else if (errno != EINTR)
			err = -errno;
	}
	session->written += batch->length;
	text_release(batch);
	return err;
}

static void add_json_line(struct session *session, const struct sst_message *message)
{
	_cleanup_json_ json_t *json = message_to_json(message, &session->context);
	_cleanup_free_ char *line = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (line)
		text_add(&session->batch, "%s\n", line);
	else
		session->batch.error = -ENOMEM;
}

static void on_message(const struct sst_message *message, void *arg)
{
	struct session *session = arg;

	if (session->full)
		return;
	if (session->options->write)
		pcap_add(message, session->context.realtime_offset_ns, &session->batch);
	else if (session->options->json)
		add_json_line(session, message);
	else
		message_to_line(message, &session->context, &session->batch);
	session->messages++;
	if (message->decision == SST_COUNTER_MESSAGE_SPLICED)
		session->spliced_bytes += message->size;
	else
		session->tcp_bytes += message->size;
	session->full = session->out != STDOUT_FILENO &&
			session->written + session->batch.length >= FILE_MAX;
}

static void print_summary(const struct session *session)
{
	fprintf(stderr,
		"%llu messages, %llu bytes spliced, %llu bytes by TCP, %llu messages lost: %s\n",
		(unsigned long long)session->messages, (unsigned long long)session->spliced_bytes,
		(unsigned long long)session->tcp_bytes, (unsigned long long)session->lost,
		session->ended);
}

/* ---- the capture ------------------------------------------------------------------ */

static int signals_fd(void)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN); /* a reader of ours that goes is told by write() */
	return signalfd(-1, &ends, SFD_CLOEXEC);
}

static int start(struct session *session, struct capture **ret)
{
	const struct capture_options how = {
		.flow = session->target.flow,
		.services = session->target.services,
		.n_services = session->target.n_services,
		.seconds = session->options->seconds,
		.messages = session->options->count,
		.payload = session->options->payload,
	};
	int err = capture_start(session->datapath, &how, on_message, session, ret);
	uint32_t owner = 0;

	if (err == -EBUSY && !capture_owner(session->datapath, &owner) && owner)
		cli_error("process %u captures already, and there is one capture at a time", owner);
	else if (err)
		cli_error("cannot capture: %s", strerror(-err));
	return err ? CLI_FAILED : CLI_DONE;
}

static const char *why_over(struct session *session)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct sst_record record;

	if (now - session->looked_ns < LOOK_NS)
		return NULL;
	session->looked_ns = now;
	if (!datapath_present(session->datapath))
		return "the data plane was unloaded";
	if (session->target.flow &&
	    find_flow(session->datapath, &session->target, &record) == -ENOENT)
		return "the flow has ended";
	return NULL;
}

/* Until something says that it is over. */
static int follow(struct session *session, struct capture *capture, int signals)
{
	struct pollfd fds[] = { { .fd = signals, .events = POLLIN },
				{ .fd = capture_poll_fd(capture), .events = POLLIN } };
	int state = CAPTURE_GOES_ON, err = 0;

	while (!session->ended && !err) {
		poll(fds, ARRAY_SIZE(fds), state == CAPTURE_HAS_MORE ? 0 : POLL_MS);
		state = capture_read(capture);
		if (session->full)
			session->ended = "the file is full";
		else if (fds[0].revents)
			session->ended = "ended by a signal";
		else if (state == CAPTURE_ENDED)
			session->ended = "its time or number is up";
		else
			session->ended = why_over(session);
		err = state < 0 ? state : flush(session);
	}
	return err;
}

static int run(struct session *session, struct capture *capture, int signals)
{
	int err;

	if (session->options->write)
		pcap_begin(&session->batch);
	err = flush(session) ?: follow(session, capture, signals);
	if (!err)
		err = capture_stop(capture, &session->lost);
	if (!err)
		err = flush(session);
	return err;
}

static int report(const struct session *session, int err)
{
	const char *path = session->options->write;

	if (err == -EPIPE)
		return CLI_DONE; /* our reader has gone, like head(1) */
	if (err) {
		cli_error("%s: %s", path ?: "the messages cannot be printed", strerror(-err));
		return CLI_FAILED;
	}
	print_summary(session);
	return CLI_DONE;
}

static int capture_target(struct session *session)
{
	_cleanup_capture_ struct capture *capture = NULL;
	_cleanup_close_ int signals = signals_fd();
	int err, status;

	if (signals < 0)
		return report(session, -errno);
	status = start(session, &capture);
	if (status)
		return status;
	err = open_file(session) ?: run(session, capture, signals);
	if (session->out != STDOUT_FILENO && close(session->out) && !err)
		err = -errno;
	return report(session, err);
}

static int check_output(const struct cli_options *options)
{
	if (options->payload && !options->write)
		cli_error("--payload goes into a file: it needs -w FILE");
	else if (options->json && options->write)
		cli_error("-w writes packets, -o json prints lines: not both");
	else
		return CLI_DONE;
	return CLI_USAGE;
}

int cmd_capture(const struct cli_options *options, int argc, char **argv)
{
	_cleanup_datapath_ struct datapath *datapath = NULL;
	_cleanup_state_ struct state state = {};
	struct session session = {
		.options = options,
		.target.name = argv[0],
		.context = { .state = &state, .realtime_offset_ns = clock_realtime_offset_ns() },
		.out = STDOUT_FILENO,
	};
	int status = check_output(options) ?: cli_open(options, &datapath);
	int err;

	(void)argc;
	if (status)
		return status;
	session.datapath = datapath;
	err = datapath_dump(datapath, DUMP_TABLES, &state);
	if (err) {
		cli_error("the maps cannot be read: %s", strerror(-err));
		return CLI_FAILED;
	}
	status = find_target(&session) ?: capture_target(&session);
	text_release(&session.batch);
	free(session.target.services);
	return status;
}
