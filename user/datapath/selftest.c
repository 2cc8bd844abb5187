/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The self-test's parent. The child owns the sockets, the parent the maps. They talk over a
 * socket pair: the child runs a phase and reports; the parent looks at the kernel's
 * side, changes what the next phase needs, and lets it go on.
 */
#include "datapath/selftest.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "core/address.h"
#include "datapath/destroy.h"
#include "datapath/host.h"
#include "datapath/internal.h"
#include "datapath/ring.h"
#include "datapath/selftest_child.h"

#define CGROUP_PREFIX "sidestep.selftest."
#define ID_TCP        (SST_SELFTEST_ID + 1)
#define ID_UDP        SST_SELFTEST_ID

#define STEP_MS 10

struct selftest {
	struct datapath *datapath;
	const struct selftest_how *how;
	struct problems *problems;
	int cgroup_fd, own_cgroup; /* the target, and ours below it */
	char own_name[64];
	int talk;
	pid_t child;
	struct report report; /* the child's last */
	struct checks checks; /* what the parent found */
	bool went_through;    /* all bytes that were sent have been read */
};

static void pause_ms(int ms)
{
	const struct timespec time = { .tv_nsec = ms * 1000000L };

	nanosleep(&time, NULL);
}

/* ---- talking to the child ------------------------------------------------------------- */

/* False when the child did not come so far. */
static bool reached(struct selftest *test, enum phase phase)
{
	struct pollfd wait = { .fd = test->talk, .events = POLLIN };

	if (poll(&wait, 1, SELFTEST_SECONDS * 1000) == 1 &&
	    recv(test->talk, &test->report, sizeof(test->report), 0) == sizeof(test->report))
		return test->report.phase == phase;
	snprintf(test->report.error, sizeof(test->report.error), "the test process died");
	test->report.phase = PHASE_DONE;
	return false;
}

static bool go_on_to(struct selftest *test, enum phase phase)
{
	send(test->talk, "g", 1, MSG_NOSIGNAL);
	return reached(test, phase);
}

static void finish(struct selftest *test)
{
	while (test->report.phase != PHASE_DONE) {
		send(test->talk, "s", 1, MSG_NOSIGNAL);
		reached(test, PHASE_DONE);
	}
	send(test->talk, "s", 1, MSG_NOSIGNAL);
}

/* By the parent's word or the child's. */
static bool passed(const struct selftest *test, enum check check)
{
	return check_passed(&test->checks, check) || check_passed(&test->report.checks, check);
}

/* ---- the service ------------------------------------------------------------------------ */

static __u32 slot_of(const struct selftest *test, __u32 id)
{
	return test->datapath->n_slots + (id == ID_UDP);
}

static bool slot_write(struct selftest *test, __u32 id, __u32 endpoint)
{
	uint32_t *slot = datapath_slots(test->datapath, slot_of(test, id), 1);

	if (slot)
		*slot = endpoint;
	return slot;
}

static int service_write(struct selftest *test, __u32 id, __u32 slots, enum sst_splice splice)
{
	struct sst_service service = { .first = slot_of(test, id),
				       .slots = slots,
				       .splice = splice };

	return bpf_map_update_elem(test->datapath->map[MAP_services], &id, &service, BPF_ANY)
		       ? -errno
		       : 0;
}

static void frontend_key(const char *address, __u8 protocol, struct sst_frontend_key *key)
{
	memset(key, 0, sizeof(*key));
	address_parse(address, &key->address);
	key->port = htons(SELFTEST_PORT);
	key->protocol = protocol;
}

/* The same entries a plan would write, but for statistics: the test's flows count
 * under "no service". */
static bool frontend_add(struct selftest *test, __u32 id, __u8 protocol, const char *service,
			 const char *address, int port)
{
	struct sst_endpoint endpoint = { .port = htons(port), .service = id, .weight = 1 };
	struct sst_frontend frontend = { .service = id };
	struct datapath *datapath = test->datapath;
	struct sst_frontend_key key;

	frontend_key(service, protocol, &key);
	address_parse(address, &endpoint.address);
	if (!bpf_map_update_elem(datapath->map[MAP_endpoints], &id, &endpoint, BPF_ANY) &&
	    !bpf_map_update_elem(datapath->map[MAP_frontends], &key, &frontend, BPF_ANY))
		return true;
	snprintf(test->report.error, sizeof(test->report.error), "a map entry was refused: %s",
		 strerror(errno));
	return false;
}

static bool service_add(struct selftest *test, __u32 id, __u8 protocol, int port, __u32 slots)
{
	return slot_write(test, id, id) && !service_write(test, id, slots, SST_SPLICE_ON) &&
	       frontend_add(test, id, protocol, SELFTEST_ADDRESS, "127.0.0.1", port);
}

static void frontend_remove(struct selftest *test, __u8 protocol, const char *address)
{
	struct sst_frontend_key key;

	frontend_key(address, protocol, &key);
	bpf_map_delete_elem(test->datapath->map[MAP_frontends], &key);
}

static void service_remove(struct selftest *test, __u32 id, __u8 protocol)
{
	struct datapath *datapath = test->datapath;

	frontend_remove(test, protocol, SELFTEST_ADDRESS);
	frontend_remove(test, protocol, SELFTEST_ADDRESS6);
	bpf_map_delete_elem(datapath->map[MAP_services], &id);
	bpf_map_delete_elem(datapath->map[MAP_endpoints], &id);
	slot_write(test, id, 0);
}

/* ---- looking ------------------------------------------------------------------------------ */

/* The ends of one pair, as the kernel half knows them; flow 0: not found. */
struct seen_pair {
	struct sst_record client, server;
};

struct look {
	const struct report *report;
	struct seen_pair main, brief, reader, refusals[REPORT_REFUSALS];
	struct sst_record udp;
};

static void sort_in(const struct sst_record *record, const struct report_pair *cookies,
		    struct seen_pair *seen)
{
	if (record->flow == cookies->client)
		seen->client = *record;
	if (record->flow == cookies->server)
		seen->server = *record;
}

static int look_at(const struct sst_record *record, void *arg)
{
	struct look *look = arg;
	const struct report *report = look->report;

	if (record->service == ID_UDP)
		look->udp = *record;
	if (record->service != ID_TCP)
		return 0;
	sort_in(record, &report->main, &look->main);
	sort_in(record, &report->brief, &look->brief);
	sort_in(record, &report->reader, &look->reader);
	for (int i = 0; i < REPORT_REFUSALS; i++)
		sort_in(record, &report->refusals[i], &look->refusals[i]);
	return 0;
}

static int look(struct selftest *test, struct look *ret)
{
	*ret = (struct look){ .report = &test->report };
	return datapath_flows(test->datapath, look_at, ret);
}

static bool is_adopted(const struct seen_pair *pair)
{
	return pair->client.splice >= SST_STATE_ADOPTED && pair->server.splice >= SST_STATE_ADOPTED;
}

static bool is_nominated(const struct seen_pair *pair)
{
	return pair->client.splice >= SST_STATE_NOMINATED &&
	       pair->server.splice >= SST_STATE_NOMINATED;
}

static __u64 counter(struct selftest *test, __u32 which)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ __u64 *values = cpus > 0 ? calloc(cpus, sizeof(*values)) : NULL;
	__u64 sum = 0;

	if (!values || bpf_map_lookup_elem(test->datapath->map[MAP_counters], &which, values))
		return 0;
	for (int i = 0; i < cpus; i++)
		sum += values[i];
	return sum;
}

/* Bytes that clients sent, as the statistics of "no service" tell. */
static __u64 counted_sent(struct selftest *test)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ struct sst_stats *stats = cpus > 0 ? calloc(cpus, sizeof(*stats)) : NULL;
	__u64 sum = 0;
	__u32 none = 0;

	if (!stats || bpf_map_lookup_elem(test->datapath->map[MAP_service_stats], &none, stats))
		return 0;
	for (int i = 0; i < cpus; i++)
		sum += stats[i].sent_bytes + stats[i].spliced_sent_bytes;
	return sum;
}

/* ---- hooks --------------------------------------------------------------------------------- */

static int look_for(const struct sst_record *record, void *arg)
{
	struct sst_record *wanted = arg;

	if (record->flow == wanted->flow)
		*wanted = (struct sst_record){};
	return 0;
}

static bool is_among(int (*walk)(struct datapath *datapath, flow_fn fn, void *arg),
		     struct selftest *test, __u64 flow)
{
	struct sst_record wanted = { .flow = flow };

	return !walk(test->datapath, look_for, &wanted) && !wanted.flow;
}

/* The endpoint goes: its connected UDP socket is found and ended. */
static void judge_leavers(struct selftest *test, const struct sst_record *udp)
{
	__u32 id = ID_UDP;

	bpf_map_delete_elem(test->datapath->map[MAP_endpoints], &id);
	/* a daemon may have been quicker */
	if (is_among(datapath_leavers, test, udp->flow) ||
	    !is_among(datapath_flows, test, udp->flow))
		check_pass(&test->checks, CHECK_LEAVERS);
	else
		check_fail(&test->checks, CHECK_LEAVERS, "the socket is not found");
	destroy_socket(test->datapath, udp);
}

static void judge_hooks(struct selftest *test)
{
	struct checks *checks = &test->checks;
	struct look seen;
	int err = look(test, &seen);

	if (err)
		check_fail(checks, CHECK_LIST, "flows cannot be listed: %s", strerror(-err));
	else if (!seen.main.client.flow && !seen.udp.flow)
		check_fail(checks, CHECK_LIST, "none of the test's flows is listed");
	check_pass(checks, CHECK_LIST);
	if (passed(test, CHECK_CONNECT4)) {
		if (!seen.main.client.peer_flow)
			check_fail(checks, CHECK_SOCKOPS,
				   "the two ends of a connection were not seen, or not as a pair");
		check_pass(checks, CHECK_SOCKOPS);
	}
	if (passed(test, CHECK_CONNECT_UDP)) {
		if (seen.udp.flow)
			judge_leavers(test, &seen.udp);
		else
			check_fail(checks, CHECK_CONNECT_UDP, "the socket has no record");
	}
}

static void test_hooks(struct selftest *test)
{
	if (!reached(test, PHASE_LISTEN) ||
	    !service_add(test, ID_TCP, IPPROTO_TCP, test->report.tcp_port, 0) ||
	    !service_add(test, ID_UDP, IPPROTO_UDP, test->report.udp_port, 1) ||
	    !go_on_to(test, PHASE_REFUSED))
		return;
	service_write(test, ID_TCP, 1, SST_SPLICE_ON);
	if (!go_on_to(test, PHASE_HOOKS))
		return;
	if (test->report.udp6_port && !frontend_add(test, ID_UDP, IPPROTO_UDP, SELFTEST_ADDRESS6,
						    "::1", test->report.udp6_port))
		return;
	if (!go_on_to(test, PHASE_V6))
		return;
	judge_hooks(test);
	go_on_to(test, PHASE_ENDED);
}

/* ---- the splice ------------------------------------------------------------------------------ */

/* Each byte once: those of live flows, so far. */
static void judge_sweep(struct selftest *test)
{
	__u64 counted;
	int err = datapath_sweep(test->datapath) ?: datapath_sweep(test->datapath);

	counted = counted_sent(test);
	if (err)
		check_fail(&test->checks, CHECK_SWEEP, "%s", strerror(-err));
	else if (counted != test->report.sent)
		check_fail(&test->checks, CHECK_SWEEP,
			   "%" PRIu64 " bytes of %" PRIu64 " are counted", (uint64_t)counted,
			   test->report.sent);
	check_pass(&test->checks, CHECK_SWEEP);
}

/* A daemon may be adopting too, and have one end in its hands. */
static bool await_adoption(struct selftest *test, struct look *seen)
{
	for (int waited = 0; waited < SELFTEST_WAIT_MS; waited += STEP_MS) {
		if (datapath_adopt(test->datapath) || look(test, seen))
			return false;
		if (is_adopted(&seen->main) && is_adopted(&seen->brief))
			return true;
		pause_ms(STEP_MS);
	}
	return false;
}

/* That a pair was not adopted says something only where it was considered. */
static void judge_refusal(struct selftest *test, enum check check, const char *name,
			  const struct seen_pair *before, const struct seen_pair *after)
{
	if (test->how->alone && !is_nominated(before))
		check_fail(&test->checks, check, "%s: was not nominated", name);
	if (after->client.splice >= SST_STATE_ADOPTED || after->server.splice >= SST_STATE_ADOPTED)
		check_fail(&test->checks, check, "%s: was adopted", name);
}

static void judge_adoption(struct selftest *test)
{
	__u64 members = counter(test, SST_COUNTER_REFUSE_MEMBER);
	struct checks *checks = &test->checks;
	struct look before = {}, after = {};

	look(test, &before);
	if (await_adoption(test, &after))
		check_pass(checks, CHECK_ADOPT);
	else if (counter(test, SST_COUNTER_REFUSE_MEMBER) > members)
		check_skip(
			checks, CHECK_ADOPT,
			"another sockmap holds the sockets: does another Sidestep serve this cgroup?");
	else
		check_fail(checks, CHECK_ADOPT, "sockets could not be adopted");
	if (!check_passed(checks, CHECK_ADOPT))
		return;
	for (int i = 0; i < REPORT_REFUSALS; i++)
		if (test->report.refusal_names[i][0])
			judge_refusal(test, CHECK_REFUSALS, test->report.refusal_names[i],
				      &before.refusals[i], &after.refusals[i]);
	check_pass(checks, CHECK_REFUSALS);
	if (!test->how->readers)
		return;
	judge_refusal(test, CHECK_READER_SEEN, "splice(2)", &before.reader, &after.reader);
	check_pass(checks, CHECK_READER_SEEN);
}

static void judge_redirect(struct selftest *test, struct look *ret)
{
	if (look(test, ret) || ret->main.client.splice != SST_STATE_REDIRECTING ||
	    ret->brief.client.splice != SST_STATE_REDIRECTING)
		check_fail(&test->checks, CHECK_REDIRECT, "messages are not redirected");
	check_pass(&test->checks, CHECK_REDIRECT);
}

static void judge_unread(struct selftest *test)
{
	struct checks *checks = &test->checks;
	struct sst_config before = {};
	struct look seen;
	int err;

	if (look(test, &seen) || !seen.main.server.unread)
		check_fail(checks, CHECK_UNREAD, "the reader is not found");
	check_pass(checks, CHECK_UNREAD);
	if (!test->how->alone || !check_passed(checks, CHECK_UNREAD))
		return;
	err = datapath_drain(test->datapath, 0, &before);
	config_write(test->datapath, &before);
	if (err != -EBUSY)
		check_fail(checks, CHECK_DRAIN, "unload would not have waited: %s", strerror(-err));
	check_pass(checks, CHECK_DRAIN);
}

/* From when the splice began, to the reader that never read, to now: past TCP, by TCP and past
 * TCP again. */
static void judge_order(struct selftest *test, const struct sst_record *begin,
			const struct sst_record *full, const struct sst_record *now)
{
	struct checks *checks = &test->checks;

	if (full->sent_bytes == begin->sent_bytes)
		check_fail(checks, CHECK_ORDER, "no message went by TCP when the reader was full");
	if (now->spliced_sent_bytes - full->spliced_sent_bytes < SELFTEST_SPLICED)
		check_fail(checks, CHECK_ORDER, "nothing went past TCP again");
	check_pass(checks, CHECK_ORDER);
}

static void judge_stop(struct selftest *test, const struct sst_record *before)
{
	struct look seen;

	if (look(test, &seen) || seen.main.client.spliced_sent_bytes != before->spliced_sent_bytes)
		check_fail(&test->checks, CHECK_STOP, "messages still go past TCP");
	check_pass(&test->checks, CHECK_STOP);
}

/* Once their service has gone they are nobody's. */
static void judge_release(struct selftest *test)
{
	const __u32 id = ID_TCP;
	struct look seen;

	bpf_map_delete_elem(test->datapath->map[MAP_services], &id);
	for (int waited = 0; waited < SELFTEST_WAIT_MS; waited += STEP_MS) {
		datapath_release(test->datapath, NULL, NULL);
		if (look(test, &seen))
			break;
		if (seen.main.client.splice == SST_STATE_RELEASED &&
		    seen.main.server.splice == SST_STATE_RELEASED)
			return;
		pause_ms(STEP_MS);
	}
	check_fail(&test->checks, CHECK_RELEASE, "they are still in the sockhash");
}

static bool test_adoption(struct selftest *test)
{
	if (!go_on_to(test, PHASE_TALK))
		return false;
	if (test->how->alone)
		judge_sweep(test);
	judge_adoption(test);
	return check_passed(&test->checks, CHECK_ADOPT) && go_on_to(test, PHASE_PROVEN);
}

static void test_splice(struct selftest *test)
{
	struct look proven, full, split;

	if (!test_adoption(test))
		return;
	judge_redirect(test, &proven);
	if (!passed(test, CHECK_REDIRECT) || !go_on_to(test, PHASE_UNREAD))
		return;
	judge_unread(test);
	if (!go_on_to(test, PHASE_FULL) || look(test, &full) || !go_on_to(test, PHASE_SPLIT) ||
	    look(test, &split))
		return;
	judge_order(test, &proven.main.client, &full.main.client, &split.main.client);
	service_write(test, ID_TCP, 1, SST_SPLICE_OFF);
	datapath_stop_splice(test->datapath);
	if (!go_on_to(test, PHASE_STOPPED))
		return;
	judge_stop(test, &split.main.client);
	judge_release(test);
	test->went_through = go_on_to(test, PHASE_DONE);
}

/* ---- events ------------------------------------------------------------------------------------ */

struct told {
	__u64 opened, closed, sent;
};

static void on_event(const void *data, size_t size, void *arg)
{
	const struct sst_record *record = data;
	struct told *told = arg;

	if (size < sizeof(*record) || record->protocol != IPPROTO_TCP)
		return;
	told->opened += record->type == SST_RECORD_OPEN;
	if (record->type != SST_RECORD_CLOSE)
		return;
	told->closed++;
	told->sent += record->sent_bytes + record->spliced_sent_bytes;
}

static void judge_totals(struct selftest *test, __u64 told)
{
	struct checks *checks = &test->checks;
	__u64 counted = counted_sent(test);

	if (told != test->report.sent)
		check_fail(checks, CHECK_TOTALS, "events tell of %llu bytes, expected %" PRIu64,
			   told, test->report.sent);
	if (counted != test->report.sent)
		check_fail(checks, CHECK_TOTALS, "%llu bytes are counted, expected %" PRIu64,
			   counted, test->report.sent);
	check_pass(checks, CHECK_TOTALS);
}

/* The child has closed all its sockets. */
static void judge_events(struct selftest *test)
{
	struct checks *checks = &test->checks;
	__u64 wanted = test->report.opened;
	struct ring *ring = NULL;
	struct told told = {};
	int err = ring_open(datapath_events_fd(test->datapath), on_event, &told, &ring);

	for (int waited = 0; !err && waited < SELFTEST_WAIT_MS; waited += STEP_MS) {
		ring_consume(ring);
		if (told.closed >= wanted)
			break;
		pause_ms(STEP_MS);
	}
	ring_close(ring);
	if (err)
		check_fail(checks, CHECK_EVENTS, "%s", strerror(-err));
	else if (told.opened != wanted || told.closed != wanted)
		check_fail(checks, CHECK_EVENTS, "%llu opened and %llu closed, expected %llu",
			   told.opened, told.closed, wanted);
	check_pass(checks, CHECK_EVENTS);
	if (check_passed(checks, CHECK_EVENTS) && test->went_through)
		judge_totals(test, told.sent);
}

/* ---- beginning and end --------------------------------------------------------------------------- */

static bool is_stale(const char *name, const char *prefix)
{
	size_t length = strlen(prefix);
	int pid;

	return !strncmp(name, prefix, length) && sscanf(name + length, "%d", &pid) == 1 &&
	       kill(pid, 0) && errno == ESRCH;
}

static void remove_stale_below(int parent_fd, const char *name)
{
	_cleanup_close_ int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		remove_stale_cgroups(fd, CGROUP_PREFIX);
	remove_cgroup(parent_fd, name);
}

void remove_stale_cgroups(int cgroup_fd, const char *prefix)
{
	_cleanup_close_ int fd = openat(cgroup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir)
		return;
	TAKE_FD(fd); /* closedir() closes it */
	while ((entry = readdir(dir)))
		if (is_stale(entry->d_name, prefix))
			remove_stale_below(cgroup_fd, entry->d_name);
	closedir(dir);
}

int remove_cgroup(int parent_fd, const char *name)
{
	for (int waited = 0; unlinkat(parent_fd, name, AT_REMOVEDIR); waited += STEP_MS) {
		if (errno != EBUSY || waited > 1000)
			return -errno;
		pause_ms(STEP_MS);
	}
	return 0;
}

/* Policy is not about the self-test's sockets. */
static int exempt(struct selftest *test, uint64_t cgroup)
{
	struct sst_config config;
	int err = config_read(test->datapath, &config);

	if (err)
		return err;
	config.selftest_cgroup = cgroup;
	return config_write(test->datapath, &config);
}

static int exempt_own(struct selftest *test)
{
	uint64_t id;
	int err = host_cgroup_id(test->own_cgroup, &id);

	return err ?: exempt(test, id);
}

static int start(struct selftest *test)
{
	int pair[2];

	remove_stale_cgroups(test->cgroup_fd, CGROUP_PREFIX);
	snprintf(test->own_name, sizeof(test->own_name), CGROUP_PREFIX "%d", getpid());
	if (mkdirat(test->cgroup_fd, test->own_name, 0755))
		return fail(test->problems, -errno, "self-test: no cgroup could be made: %s",
			    strerror(errno));
	test->own_cgroup =
		openat(test->cgroup_fd, test->own_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (test->own_cgroup < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return fail(test->problems, -errno, "self-test: %s", strerror(errno));
	if (exempt_own(test))
		return fail(test->problems, -EIO, "self-test: its cgroup could not be exempted");
	test->child = fork();
	if (!test->child) {
		const struct selftest_child how = { .talk = pair[1],
						    .cgroup = test->own_cgroup,
						    .alone = test->how->alone,
						    .readers = test->how->readers };

		close(pair[0]);
		selftest_child(&how);
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
	exempt(test, 0);
	cleanup_close(&test->talk);
	cleanup_close(&test->own_cgroup);
	remove_cgroup(test->cgroup_fd, test->own_name);
}

static void run(struct selftest *test)
{
	if (test->how->alone)
		datapath_want_events(test->datapath, true);
	test_hooks(test);
	if (test->report.phase == PHASE_ENDED && test->how->kernel && passed(test, CHECK_SOCKOPS))
		test_splice(test);
	finish(test);
	if (test->how->alone && passed(test, CHECK_SOCKOPS))
		judge_events(test);
}

/* Both have looked; a failure outweighs. */
static void take_results(const struct checks *from, struct checks *to)
{
	for (int i = 0; i < CHECK_MAX; i++)
		if (from->result[i].verdict > to->result[i].verdict ||
		    (from->result[i].reason[0] && !to->result[i].reason[0] &&
		     to->result[i].verdict == VERDICT_NOT_TRIED))
			to->result[i] = from->result[i];
}

int selftest_run(struct datapath *datapath, int cgroup_fd, const struct selftest_how *how,
		 struct checks *checks, struct problems *problems)
{
	struct selftest test = { .datapath = datapath,
				 .how = how,
				 .problems = problems,
				 .cgroup_fd = cgroup_fd,
				 .own_cgroup = -1,
				 .talk = -1,
				 .child = -1 };
	int err = start(&test);

	if (!err)
		run(&test);
	stop(&test);
	service_remove(&test, ID_TCP, IPPROTO_TCP);
	service_remove(&test, ID_UDP, IPPROTO_UDP);
	take_results(&test.checks, checks);
	take_results(&test.report.checks, checks);
	checks_explain(checks, test.report.error[0] ? test.report.error : NULL);
	return err;
}
