/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <uv.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/clock.h"
#include "daemon/control.h"
#include "daemon/exporter.h"
#include "daemon/flow_log.h"
#include "daemon/http.h"
#include "daemon/log.h"
#include "daemon/surroundings.h"
#include "daemon/wanted.h"
#include "daemon/web.h"
#include "datapath/edges.h"
#include "datapath/reconcile.h"
#include "datapath/ring.h"
#include "model/words.h"

#define LARGE           (256 << 10)
#define STATS_MS        5000
#define EVENTS_MS       100  /* events that were not worth a wake-up are read this often */
#define EVENTS_BATCH    4096 /* read at once, some milliseconds' worth: the loop has more to do */
#define NAMES_NS        1000000000 /* new names are looked for this often at most */
/* After a pair was stopped its sockets are tried to be taken out, less and less often. */
#define RELEASE_MS      1
#define RELEASE_MOST_MS 1000

/* A reading by a thread: with many endpoints it takes longer than a change may wait. */
struct reading {
	uv_work_t work;
	bool runs;
	bool again; /* something has changed since it began */
	struct daemon *daemon;
	uint64_t begin_ns, end_ns; /* CLOCK_MONOTONIC */
	uint64_t readings;         /* as of its begin: there may be a newer one at its end */
	bool accounts;             /* the stats file is written */
	struct policy_set policy;  /* the daemon's, lent ... */
	uint32_t next_set;         /* ... and what of it to tell it by ... */
	__u8 enforces;
	bool is_left; /* ... of which the daemon has got another one: it is ours */
	struct metrics_daemon *self;
	struct web *web; /* as of its begin */
	struct state state;
	int err;
};

struct daemon {
	struct datapath *datapath;
	const struct daemon_options *options;
	uv_loop_t loop;
	uv_timer_t stats_timer, events_timer, release_timer;
	uv_poll_t events_poll, errands_poll;
	uv_idle_t events_idle; /* while there are more than a batch */
	uv_signal_t hup, term, interrupt;
	struct wanted_options wanted_options;
	struct wanted *wanted;
	struct surroundings surroundings;
	struct control *control;
	struct flow_log flow_log;
	struct web *web;               /* NULL: there is no page */
	struct ring *events, *errands; /* events: NULL while nobody wants any; it is large */
	struct record_context context; /* of this batch's events */
	bool is_followed;              /* by somebody on the control socket */
	bool wants_events;             /* he does, or the flow log */
	uint64_t renamed_ns;           /* when new names were looked for */
	struct state state; /* for names and the stats file; read anew every few seconds */
	uint64_t readings;  /* of it, so far */
	bool state_is_old;  /* the tables have changed since */
	struct reading reading;
	bool must_account; /* the next one */
	struct exporter_calls exporter_calls;
	struct exporter *exporter;
	struct metrics_daemon *self; /* the exporter's */
	bool must_adopt;             /* errands that have come in */
	bool must_end;
	bool must_release;
	unsigned release_ms; /* until the next try; doubles while there is something left */
	bool stuck;          /* told of sockets that cannot be ended */
	bool edges_stay;     /* told that idle edges cannot be taken away */
	bool lost_datapath;
	bool ends;
};

/* ---- what the maps hold ------------------------------------------------------- */

#define WHOLE (DUMP_TABLES | DUMP_FILL | DUMP_RULES | DUMP_EDGES)

/* Of all tables by far the largest, and no event needs it for a name. */
static void forget_endpoints(struct daemon *daemon)
{
	free(daemon->state.endpoints);
	daemon->state.endpoints = NULL;
	daemon->state.n_endpoints = 0;
}

/* A policy set may be large, and is read anew only when there is another one. */
static int add_policy(struct daemon *daemon, struct state *state)
{
	struct state *before = &daemon->state;

	if (!daemon->readings || state->meta.next_set != before->meta.next_set ||
	    state->config.enforces != before->config.enforces)
		return datapath_policy(daemon->datapath, &state->policy);
	state->policy = before->policy;
	before->policy = (struct policy_set){};
	return 0;
}

/* Unless a thread reads it. */
static void drop_policy(struct daemon *daemon)
{
	struct reading *reading = &daemon->reading;
	struct policy_set *policy = &daemon->state.policy;

	if (reading->runs && policy->owned && policy->owned == reading->policy.owned)
		reading->is_left = true;
	else
		policy_set_release(policy);
	*policy = (struct policy_set){};
}

/* With its policy; endpoints are for the page alone, whose `explain` asks for them. */
static void take_state(struct daemon *daemon, struct state *state)
{
	drop_policy(daemon);
	state_release(&daemon->state);
	daemon->state = *state;
	daemon->readings++;
	if (!daemon->web)
		forget_endpoints(daemon);
}

static void tell_reading(struct metrics_daemon *self, const struct datapath *datapath,
			 uint64_t begin_ns)
{
	self->read_ns = clock_ns(CLOCK_REALTIME);
	self->read_took_ns = clock_ns(CLOCK_MONOTONIC) - begin_ns;
	self->maps_bytes = datapath_memory(datapath);
}

static int refresh_state(struct daemon *daemon)
{
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);
	struct state state;
	int err;

	forget_endpoints(daemon);
	err = datapath_dump(daemon->datapath, WHOLE, &state);
	if (!err) {
		err = add_policy(daemon, &state);
		if (err)
			state_release(&state);
	}
	if (err) {
		daemon->self->reads_failed++;
		return err;
	}
	take_state(daemon, &state);
	tell_reading(daemon->self, daemon->datapath, begin);
	return 0;
}

static void account_later(struct daemon *daemon);
static void want_events(struct daemon *daemon);
static void release_after(struct daemon *daemon, unsigned ms);

static void on_configured(void *arg)
{
	struct daemon *daemon = arg;
	const struct model *model = wanted_model(daemon->wanted);

	flow_log_configure(&daemon->flow_log, &model->node.telemetry.flow_log);
	want_events(daemon);
}

/* The names of rules that events tell of from now on. */
static void refresh_policy(struct daemon *daemon)
{
	struct state head;

	if (datapath_dump(daemon->datapath, 0, &head) || add_policy(daemon, &head))
		return;
	drop_policy(daemon);
	daemon->state.policy = head.policy;
	daemon->state.meta = head.meta;
	daemon->state.config = head.config;
}

/* A cluster changes often, and is large: all but the policy is read when there is time. */
static void on_applied(void *arg)
{
	struct daemon *daemon = arg;

	if (daemon->options->access) {
		refresh_policy(daemon);
		daemon->state_is_old = true;
		account_later(daemon);
	} else {
		refresh_state(daemon);
	}
	surroundings_expect(&daemon->surroundings);
	release_after(daemon, RELEASE_MS); /* what it may have stopped */
}

/* Where the configuration wants it, and this kernel does not let it. */
static void tell_splice(struct daemon *daemon)
{
	const struct state *state = &daemon->state;
	const char *why = state->meta.feature_off[SST_FEATURE_SPLICE];
	_cleanup_text_ struct text note = {};

	if (state->config.splice == SST_SPLICE_AUTO && !*why)
		why = state->meta.feature_off[SST_FEATURE_SPLICE_AUTO];
	if (state->config.splice == SST_SPLICE_OFF || !*why)
		return;
	text_add(&note, "node.splice is '%s', and nothing is spliced: %s",
		 splice_name(state->config.splice), why);
	wanted_tell(daemon->wanted, EVENT_SPLICE_OFF, text_string(&note));
}

/* If the last look is some time ago. */
static void look_around(struct daemon *daemon)
{
	const struct model *model = wanted_model(daemon->wanted);
	struct surroundings_view view = { .state = &daemon->state };

	if (!model)
		return;
	view.stated = model->node.kube_proxy;
	view.exposed = wanted_exposed(daemon->wanted);
	if (!surroundings_look(&daemon->surroundings, &view, daemon->self))
		return;
	if (daemon->surroundings.kube_proxy.length)
		wanted_tell(daemon->wanted, EVENT_NOT_SERVED,
			    text_string(&daemon->surroundings.kube_proxy));
	tell_splice(daemon);
}

static json_t *warnings(void *arg)
{
	const struct daemon *daemon = arg;

	return surroundings_json(&daemon->surroundings);
}

static bool reload(void *arg)
{
	struct daemon *daemon = arg;

	return wanted_reload(daemon->wanted);
}

/* ---- news ---------------------------------------------------------------------- */

/* Somebody else has applied a new service. One that has gone is not looked for each time. */
static void look_for_names(struct daemon *daemon)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (now - daemon->renamed_ns < NAMES_NS)
		return;
	daemon->renamed_ns = now;
	refresh_state(daemon);
}

static void on_event(const void *data, size_t size, void *arg)
{
	const struct sst_record *record = data;
	struct daemon *daemon = arg;

	if (size < sizeof(*record))
		return;
	if (record->service && !state_service(&daemon->state, record->service))
		look_for_names(daemon);
	exporter_event(daemon->exporter, record, daemon->context.realtime_offset_ns);
	control_event(daemon->control, record, &daemon->context);
	flow_log_event(&daemon->flow_log, record, &daemon->context);
}

/* At most a batch; true: there may be more. */
static bool read_batch(struct daemon *daemon)
{
	int n;

	if (!daemon->events)
		return false;
	daemon->context.state = &daemon->state;
	daemon->context.realtime_offset_ns = clock_realtime_offset_ns();
	n = ring_consume_some(daemon->events, EVENTS_BATCH);
	control_flush(daemon->control);
	flow_log_flush(&daemon->flow_log);
	return n >= EVENTS_BATCH;
}

static void on_events_left(uv_idle_t *idle);

/* What a batch leaves is read when the loop has looked at all else. */
static void read_events(struct daemon *daemon)
{
	if (read_batch(daemon))
		uv_idle_start(&daemon->events_idle, on_events_left);
	else
		uv_idle_stop(&daemon->events_idle);
}

static void on_events_left(uv_idle_t *idle)
{
	read_events(idle->data);
}

static void on_events_ready(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	read_events(poll->data);
}

static void close_events(struct daemon *daemon)
{
	uv_timer_stop(&daemon->events_timer);
	uv_idle_stop(&daemon->events_idle);
	ring_close(daemon->events);
	daemon->events = NULL;
}

/* It may be while a batch is read that the last one goes: so the ring is closed from here. */
static void on_events_due(uv_timer_t *timer)
{
	struct daemon *daemon = timer->data;

	if (daemon->wants_events)
		read_events(daemon);
	else
		close_events(daemon);
}

static int open_events(struct daemon *daemon)
{
	int fd = datapath_events_fd(daemon->datapath);
	int err = daemon->events ? 0 : ring_open(fd, on_event, daemon, &daemon->events);

	if (err)
		log_line("flows cannot be followed: %s", strerror(-err));
	return err;
}

/* Who comes hears of what happens from now on, not of what was left when the last one went. */
static void want_events(struct daemon *daemon)
{
	bool wanted = daemon->is_followed || flow_log_is_on(&daemon->flow_log);

	if (wanted == daemon->wants_events || (wanted && open_events(daemon)))
		return;
	daemon->wants_events = wanted;
	if (wanted) {
		ring_discard(daemon->events);
		uv_poll_start(&daemon->events_poll, UV_READABLE, on_events_ready);
		uv_timer_start(&daemon->events_timer, on_events_due, EVENTS_MS, EVENTS_MS);
	} else {
		uv_poll_stop(&daemon->events_poll);
	}
	datapath_want_events(daemon->datapath, wanted);
}

static void on_followed(bool followed, void *arg)
{
	struct daemon *daemon = arg;

	daemon->is_followed = followed;
	want_events(daemon);
}

/* What has been told of until now is in the log. */
static void finish_events(struct daemon *daemon)
{
	datapath_want_events(daemon->datapath, false);
	while (read_batch(daemon))
		;
}

/* The walks that follow find the flows by themselves. */
static void on_errand(const void *data, size_t size, void *arg)
{
	const struct sst_errand *errand = data;
	struct daemon *daemon = arg;

	if (size < sizeof(*errand))
		return;
	daemon->must_adopt |= errand->kind == SST_ERRAND_ADOPT;
	daemon->must_end |= errand->kind == SST_ERRAND_END;
	daemon->must_release |= errand->kind == SST_ERRAND_RELEASE;
}

static void on_release_due(uv_timer_t *timer);

static void release_after(struct daemon *daemon, unsigned ms)
{
	daemon->release_ms = ms;
	uv_timer_start(&daemon->release_timer, on_release_due, ms, 0);
}

static int count_member(const struct sst_record *record, void *arg)
{
	unsigned *left = arg;

	*left += record->splice == SST_STATE_STICKY;
	return 0;
}

/* Twice: an end is taken out once the other was seen quiet, which may be later in the same walk;
 * until then the stream that it has become is slower than by TCP alone. */
static void release(struct daemon *daemon)
{
	unsigned next = daemon->release_ms ? daemon->release_ms * 2 : RELEASE_MS;
	unsigned left = 1;

	for (int i = 0; i < 2 && left; i++) {
		left = 0;
		datapath_release(daemon->datapath, count_member, &left);
	}
	if (left)
		release_after(daemon, next < RELEASE_MOST_MS ? next : RELEASE_MOST_MS);
}

static void on_release_due(uv_timer_t *timer)
{
	release(timer->data);
}

/* Those that cannot be ended are told of once. */
static void end_leavers(struct daemon *daemon)
{
	_cleanup_problems_ struct problems problems = {};

	datapath_end_leavers(daemon->datapath, &problems);
	datapath_revoke(daemon->datapath, &problems);
	if (!daemon->stuck)
		log_problems(&problems);
	daemon->stuck = problems.count;
}

/* All that has come in first, since a walk serves many errands. */
static void on_errands_ready(uv_poll_t *poll, int status, int events)
{
	struct daemon *daemon = poll->data;

	(void)status;
	(void)events;
	daemon->must_adopt = daemon->must_end = daemon->must_release = false;
	ring_consume(daemon->errands);
	if (daemon->must_adopt)
		datapath_adopt(daemon->datapath);
	if (daemon->must_end)
		end_leavers(daemon);
	/* not put off by those that follow */
	if (daemon->must_release && !(uv_is_active((uv_handle_t *)&daemon->release_timer) &&
				      daemon->release_ms == RELEASE_MS))
		release_after(daemon, RELEASE_MS);
}

/* ---- statistics ----------------------------------------------------------------- */

static void account_self(struct daemon *daemon)
{
	daemon->self->log_lines = flow_log_written(&daemon->flow_log);
	daemon->self->log_lost = flow_log_lost(&daemon->flow_log);
	daemon->self->follow_lost = control_lost(daemon->control);
	wanted_account(daemon->wanted);
}

static uint32_t series_budget(void *arg)
{
	const struct daemon *daemon = arg;
	const struct model *model = wanted_model(daemon->wanted);

	return model ? model->node.telemetry.series : daemon->options->series;
}

static bool is_ready(void *arg)
{
	const struct daemon *daemon = arg;

	return wanted_is_ready(daemon->wanted);
}

/* Those that nothing flows on any more. A failure is told once. */
static void expire_edges(struct daemon *daemon)
{
	const struct model *model = wanted_model(daemon->wanted);
	unsigned gone = 0;
	int err = 0;

	if (model)
		err = edges_expire(daemon->datapath,
				   model->node.telemetry.edge_ttl_s * 1000000000ULL, &gone);

	if (err && !daemon->edges_stay)
		log_line("idle edges cannot be taken away: %s", strerror(-err));
	daemon->edges_stay = err;
}

/* When the kernel's figures were read and told. */
static void account(struct daemon *daemon)
{
	struct metrics_daemon told;

	memcpy(&told, daemon->self, sizeof(told));
	look_around(daemon);
	if (memcmp(&told, daemon->self, sizeof(told)))
		account_later(daemon);
	expire_edges(daemon); /* what goes was told before: the next daemon's first word, too */
	wanted_collect(daemon->wanted);
	malloc_trim(0); /* a reading is large, and many small pieces may lie above it */
}

/* A set is read anew only when it is another one than the daemon's. */
static int read_policy(struct reading *reading)
{
	struct state *state = &reading->state;

	if (reading->readings && state->meta.next_set == reading->next_set &&
	    state->config.enforces == reading->enforces) {
		state->policy = reading->policy;
		return 0;
	}
	return datapath_policy(reading->daemon->datapath, &state->policy);
}

static bool has_lent_policy(const struct reading *reading)
{
	return reading->state.policy.owned == reading->policy.owned;
}

/* The bytes of live flows included. */
static int read_figures(struct reading *reading)
{
	struct datapath *datapath = reading->daemon->datapath;
	int err;

	datapath_sweep(datapath);
	err = datapath_dump(datapath, WHOLE, &reading->state);
	if (err)
		return err;
	err = read_policy(reading);
	if (err)
		state_release(&reading->state);
	return err;
}

static void on_reading(uv_work_t *work)
{
	struct reading *reading = work->data;
	struct daemon *daemon = reading->daemon;
	const struct state *state;

	reading->err = read_figures(reading);
	if (!reading->err)
		tell_reading(reading->self, daemon->datapath, reading->begin_ns);
	state = reading->err ? NULL : &reading->state;
	exporter_work(daemon->exporter, state);
	web_work(reading->web, state);
}

/* Which of two policy sets the state is to have: a newer one may have come while it was read. */
static void choose_policy(struct daemon *daemon)
{
	struct reading *reading = &daemon->reading;
	struct state *state = &reading->state;
	bool is_lent = has_lent_policy(reading);

	if (is_lent || state->meta.next_set < daemon->state.meta.next_set) {
		if (!is_lent)
			policy_set_release(&state->policy);
		state->policy = daemon->state.policy;
		daemon->state.policy = (struct policy_set){};
	}
}

/* Where somebody else has read meanwhile, that is newer, and counters do not go back. */
static void take_reading(struct daemon *daemon)
{
	struct reading *reading = &daemon->reading;

	if (daemon->readings == reading->readings) {
		choose_policy(daemon);
		take_state(daemon, &reading->state);
		daemon->self->read_ns = reading->self->read_ns;
		daemon->self->read_took_ns = reading->self->read_took_ns;
		daemon->self->maps_bytes = reading->self->maps_bytes;
		return;
	}
	if (has_lent_policy(reading))
		reading->state.policy = (struct policy_set){};
	state_release(&reading->state);
}

static void read_later(struct daemon *daemon);

static void on_read(uv_work_t *work, int status)
{
	struct reading *reading = work->data;
	struct daemon *daemon = reading->daemon;

	(void)status; /* nobody cancels it */
	reading->runs = false;
	exporter_end(daemon->exporter);
	web_end(reading->web);
	if (reading->err)
		daemon->self->reads_failed++;
	else
		take_reading(daemon);
	if (reading->is_left)
		policy_set_release(&reading->policy);
	if (daemon->ends)
		return;
	if (reading->accounts && !reading->err)
		account(daemon);
	if (reading->again)
		read_later(daemon);
}

static void begin_reading(struct daemon *daemon)
{
	struct reading *reading = &daemon->reading;

	account_self(daemon);
	if (daemon->must_account && !daemon->state_is_old)
		look_around(daemon); /* else when it is read */
	daemon->state_is_old = false;
	*reading = (struct reading){
		.daemon = daemon,
		.begin_ns = clock_ns(CLOCK_MONOTONIC),
		.readings = daemon->readings,
		.accounts = daemon->must_account,
		.policy = daemon->state.policy,
		.next_set = daemon->state.meta.next_set,
		.enforces = daemon->state.config.enforces,
		.self = exporter_begin(daemon->exporter, daemon->must_account),
		.web = daemon->web,
	};
	daemon->must_account = false;
	web_begin(daemon->web);
	reading->work.data = reading;
}

static void read_later(struct daemon *daemon)
{
	struct reading *reading = &daemon->reading;

	if (reading->runs) {
		reading->again = true;
		return;
	}
	if (daemon->ends)
		return;
	begin_reading(daemon);
	reading->runs = !uv_queue_work(&daemon->loop, &reading->work, on_reading, on_read);
}

static void account_later(struct daemon *daemon)
{
	daemon->must_account = true;
	read_later(daemon);
}

static void on_figures_wanted(void *arg)
{
	read_later(arg);
}

/* The last word, when the thread has said its own. */
static void account_last(struct daemon *daemon)
{
	daemon->must_account = true;
	begin_reading(daemon);
	on_reading(&daemon->reading.work);
	on_read(&daemon->reading.work, 0);
}

/* There will be no other one but that. */
static void await_reading(struct daemon *daemon)
{
	daemon->ends = true;
	while (daemon->reading.runs)
		uv_run(&daemon->loop, UV_RUN_ONCE);
}

static void on_stats_due(uv_timer_t *timer)
{
	struct daemon *daemon = timer->data;

	if (!datapath_present(daemon->datapath)) {
		log_line("the data plane was unloaded by somebody else");
		daemon->lost_datapath = true;
		uv_stop(&daemon->loop);
		return;
	}
	wanted_look(daemon->wanted);
	/* errands that were lost, or of a time without a daemon */
	datapath_adopt(daemon->datapath);
	end_leavers(daemon);
	release(daemon);
	flow_log_look(&daemon->flow_log);
	account_later(daemon);
}

/* ---- start and end ---------------------------------------------------------------- */

static void on_hup(uv_signal_t *handle, int signum)
{
	(void)signum;
	reload(handle->data);
}

static void on_end(uv_signal_t *handle, int signum)
{
	(void)signum;
	uv_stop(handle->loop);
}

static int make_parent(const char *path)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	if (!mkdir(dirname(copy), 0755) || errno == EEXIST)
		return 0;
	log_line("%s: its folder cannot be made: %s", path, strerror(errno));
	return -errno;
}

/* As the stats file will be: by a file beside it. */
static int try_writing(const char *path)
{
	char beside[PATH_MAX];
	int fd;

	if (snprintf(beside, sizeof(beside), "%s.XXXXXX", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = mkstemp(beside);
	if (fd < 0) {
		log_line("%s cannot be written: %s", path, strerror(errno));
		return -errno;
	}
	close(fd);
	unlink(beside);
	return 0;
}

/* The one we locked may have been removed by a daemon that ended meanwhile. */
static bool is_current(int fd, const char *path)
{
	struct stat ours, theirs;

	return !fstat(fd, &ours) && !stat(path, &theirs) && ours.st_ino == theirs.st_ino;
}

static int claim(const char *socket)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s.lock", socket) >= PATH_MAX)
		return -ENAMETOOLONG;
	for (;;) {
		_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		if (fd < 0) {
			log_line("%s: %s", path, strerror(errno));
			return -errno;
		}
		if (flock(fd, LOCK_EX | LOCK_NB)) {
			log_line("%s: another daemon runs", path);
			return -EADDRINUSE;
		}
		if (is_current(fd, path))
			return TAKE_FD(fd);
	}
}

static int check_web(const struct daemon_options *options, struct problems *problems,
		     struct daemon_web *web)
{
	int err = http_address_parse(options->web, "--web", problems, &web->address);

	if (!err && options->web_token)
		err = http_token_read(options->web_token, problems, &web->token);
	if (!err && !web->address.loopback && !options->web_token) {
		problems_add(problems, "--web", (struct place){ 0 },
			     "others than this machine reach %s: that needs --web-token FILE",
			     options->web);
		err = -EINVAL;
	}
	return err;
}

static int listen_for_page(const struct daemon_options *options, struct daemon_web *ret)
{
	_cleanup_problems_ struct problems problems = {};
	struct daemon_web web = { .fd = -1 };
	int err = options->web ? check_web(options, &problems, &web) : 0;

	log_problems(&problems);
	if (!err && options->web) {
		web.fd = http_listen(&web.address);
		if (web.fd < 0) {
			err = web.fd;
			log_line("--web %s: %s", options->web, strerror(-err));
		}
	}
	if (!err)
		*ret = web;
	return err;
}

int daemon_prepare(const struct daemon_options *options, struct daemon_web *web)
{
	size_t longest = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	int err;

	if (strlen(options->socket) > longest) {
		log_line("%s: a socket's path has at most %zu bytes", options->socket, longest);
		return -ENAMETOOLONG;
	}
	err = make_parent(options->socket) ?: make_parent(options->exporter.stats) ?:
	      try_writing(options->exporter.stats) ?: listen_for_page(options, web);
	return err ?: claim(options->socket);
}

void daemon_release(const char *socket)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s.lock", socket) < PATH_MAX)
		unlink(path);
}

static int open_wanted(struct daemon *daemon)
{
	const struct daemon_options *options = daemon->options;

	daemon->wanted_options = (struct wanted_options){
		.datapath = daemon->datapath,
		.files = options->files,
		.n_files = options->n_files,
		.access = options->access,
		.node = options->node,
		.self = daemon->self,
		.configured = on_configured,
		.applied = on_applied,
		.arg = daemon,
	};
	return wanted_open(&daemon->loop, &daemon->wanted_options, &daemon->wanted);
}

static int open_rings(struct daemon *daemon)
{
	int err = ring_open(datapath_errands_fd(daemon->datapath), on_errand, daemon,
			    &daemon->errands);

	/* the map itself, whether the ring is open or not */
	if (!err)
		err = uv_poll_init(&daemon->loop, &daemon->events_poll,
				   datapath_events_fd(daemon->datapath));
	if (!err)
		err = uv_poll_init(&daemon->loop, &daemon->errands_poll,
				   ring_poll_fd(daemon->errands));
	if (err)
		return err;
	daemon->events_poll.data = daemon;
	daemon->errands_poll.data = daemon;
	uv_poll_start(&daemon->errands_poll, UV_READABLE, on_errands_ready);
	return 0;
}

static void start_handles(struct daemon *daemon)
{
	uv_loop_t *loop = &daemon->loop;

	uv_timer_init(loop, &daemon->stats_timer);
	uv_timer_init(loop, &daemon->events_timer);
	uv_idle_init(loop, &daemon->events_idle);
	daemon->events_idle.data = daemon;
	uv_timer_init(loop, &daemon->release_timer);
	uv_signal_init(loop, &daemon->hup);
	uv_signal_init(loop, &daemon->term);
	uv_signal_init(loop, &daemon->interrupt);
	daemon->stats_timer.data = daemon->events_timer.data = daemon;
	daemon->release_timer.data = daemon;
	daemon->hup.data = daemon;
	uv_signal_start(&daemon->hup, on_hup, SIGHUP);
	uv_signal_start(&daemon->term, on_end, SIGTERM);
	uv_signal_start(&daemon->interrupt, on_end, SIGINT);
	uv_timer_start(&daemon->stats_timer, on_stats_due, 0, STATS_MS);
}

static int start_web(struct daemon *daemon, struct daemon_web *web)
{
	const struct web_options options = { .fd = web->fd,
					     .address = web->address,
					     .token = web->token,
					     .datapath = daemon->datapath,
					     .state = &daemon->state,
					     .want = on_figures_wanted,
					     .arg = daemon };
	char address[ADDRESS_TEXT_MAX];
	int err = web->fd < 0 ? 0 : web_open(&daemon->loop, &options, &daemon->web);

	if (err) {
		log_line("the page: %s", strerror(-err));
		return err;
	}
	if (web->fd >= 0)
		log_line("the page is at http://%s/", http_address_format(&web->address, address));
	web->fd = -1;
	return 0;
}

static int start(struct daemon *daemon, struct daemon_web *web)
{
	const struct control_calls calls = { reload, warnings, on_followed, daemon };
	const struct daemon_options *options = daemon->options;
	int err;

	daemon->exporter_calls =
		(struct exporter_calls){ on_figures_wanted, series_budget, is_ready, daemon };
	err = exporter_open(&daemon->loop, &options->exporter, &daemon->exporter_calls,
			    &daemon->exporter);
	if (err) {
		log_line("the metrics cannot be served: %s", strerror(-err));
		return err;
	}
	daemon->self = exporter_self(daemon->exporter);
	daemon->self->started_ns = daemon->self->reloaded_ns = daemon->self->accepted_ns =
		clock_ns(CLOCK_REALTIME);
	daemon->self->reload_succeeded = true;
	datapath_want_events(daemon->datapath, false); /* a daemon that was killed had followers */
	err = control_open(&daemon->loop, options->socket, &calls, &daemon->control);
	if (err) {
		log_line("%s: %s", options->socket, strerror(-err));
		return err;
	}
	start_handles(daemon);
	err = open_wanted(daemon);
	if (!err)
		err = open_rings(daemon);
	return err ?: start_web(daemon, web);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void end(struct daemon *daemon)
{
	control_close(daemon->control);
	exporter_close(daemon->exporter);
	web_close(daemon->web);
	wanted_close(daemon->wanted);
	uv_walk(&daemon->loop, close_handle, NULL);
	uv_run(&daemon->loop, UV_RUN_DEFAULT);
	uv_loop_close(&daemon->loop);
	wanted_free(daemon->wanted);
	flow_log_close(&daemon->flow_log);
	ring_close(daemon->events);
	ring_close(daemon->errands);
	surroundings_release(&daemon->surroundings);
	state_release(&daemon->state);
}

int daemon_run(struct datapath *datapath, const struct daemon_options *options,
	       struct daemon_web *web)
{
	struct daemon daemon = { .datapath = datapath, .options = options };
	int err;

	signal(SIGPIPE, SIG_IGN);
	mallopt(M_MMAP_THRESHOLD, LARGE); /* what a reading takes is given back after it */
	malloc_trim(0);                   /* and what loading took, before it */
	uv_loop_init(&daemon.loop);
	err = start(&daemon, web);
	if (!err) {
		refresh_state(&daemon);
		for (size_t i = 0; i < options->n_files; i++)
			log_line("running, follows %s", options->files[i]);
		if (options->access)
			log_line("running as node %s, follows %s", options->node,
				 options->access->server);
		uv_run(&daemon.loop, UV_RUN_DEFAULT);
		uv_timer_stop(&daemon.stats_timer);
	}
	await_reading(&daemon);
	if (!err && !daemon.lost_datapath) {
		finish_events(&daemon);
		account_last(&daemon);
	}
	end(&daemon);
	return daemon.lost_datapath ? -ESTALE : err;
}
