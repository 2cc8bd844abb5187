/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/exporter.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/address.h"
#include "core/atomic_file.h"
#include "core/cleanup.h"
#include "core/clock.h"
#include "daemon/http.h"
#include "daemon/log.h"

/*
 * Whoever asks again within this time gets the same text; and where making it takes long, within
 * so many times of what it took: a storm of scrapes has a tenth of the daemon's thread at most.
 */
#define SAME_TEXT_NS    100000000ULL
#define SAME_TEXT_TIMES 9

#define REMEMBERED_MAX (64 << 20)

enum format { FORMAT_TEXT, FORMAT_OPEN, FORMAT_COUNT };

struct answer {
	struct text text;
	uint64_t until_ns; /* CLOCK_MONOTONIC */
	bool wanted;       /* of the next reading */
	bool failed;       /* the last time */
};

/* What a reading has of its own, be it in another thread. */
struct making {
	struct metrics_series series;
	struct metrics_daemon self;
	struct metrics_kubernetes kubernetes;
	struct exemplars exemplars;
	uint32_t budget;
	bool remembers; /* what the daemon before has left was read */
	bool accounts;
	bool read; /* there are figures */
	bool wanted[FORMAT_COUNT];
	struct text text[FORMAT_COUNT];
	int err, stats_err, memory_err, remember_err;
	uint64_t begin_ns;
};

struct exporter {
	const struct exporter_options *options;
	const struct exporter_calls *calls;
	struct metrics_daemon self;
	struct exemplars exemplars;
	struct http *http;
	struct http_options http_options;
	struct answer answers[FORMAT_COUNT];
	struct making making;
	char memory_path[PATH_MAX];         /* what the next daemon goes on from */
	bool stats_failing, memory_failing; /* told */
};

/* ---- from daemon to daemon ----------------------------------------------------------- */

static int read_file(const char *path, struct text *ret)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	char buf[BUFSIZ];
	size_t n;

	if (!file)
		return -errno;
	while ((n = fread(buf, 1, sizeof(buf), file)) && ret->length < REMEMBERED_MAX)
		text_add_bytes(ret, buf, n);
	return ferror(file) || !feof(file) ? -EIO : ret->error;
}

/* What is there of another load of the data plane, or cannot be read, is of no use. */
static int remember(struct exporter *exporter, const struct state *state)
{
	struct making *making = &exporter->making;
	_cleanup_text_ struct text text = {};
	int err;

	if (making->remembers)
		return 0;
	making->remembers = true;
	err = read_file(exporter->memory_path, &text);
	if (!err)
		err = metrics_series_load(&making->series, &state->meta, text.data, text.length);
	return err == -ENOENT || err == -ESTALE ? 0 : err;
}

static int keep_memory(struct exporter *exporter, const struct state *state)
{
	_cleanup_free_ char *text = metrics_series_save(&exporter->making.series, &state->meta);

	return text ? atomic_file_write(exporter->memory_path, text, strlen(text), 0600) : 0;
}

/* ---- what is told of the daemon --------------------------------------------------------- */

struct metrics_daemon *exporter_self(struct exporter *exporter)
{
	return &exporter->self;
}

void exporter_event(struct exporter *exporter, const struct sst_record *record,
		    int64_t realtime_offset_ns)
{
	exemplars_add(&exporter->exemplars, record, realtime_offset_ns);
}

static void look_at_self(struct metrics_daemon *self)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/statm", "re");
	unsigned long resident;

	if (file && fscanf(file, "%*u %lu", &resident) == 1)
		self->memory_bytes = resident * sysconf(_SC_PAGESIZE);
	self->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* ---- a reading ---------------------------------------------------------------------------- */

struct metrics_daemon *exporter_begin(struct exporter *exporter, bool accounts)
{
	const struct exporter_calls *calls = exporter->calls;
	struct making *making = &exporter->making;

	making->self = exporter->self;
	if (making->self.kubernetes) {
		making->kubernetes = *making->self.kubernetes;
		making->self.kubernetes = &making->kubernetes;
	}
	making->exemplars = exporter->exemplars;
	making->budget = calls->budget(calls->arg);
	making->accounts = accounts;
	for (int i = 0; i < FORMAT_COUNT; i++) {
		making->wanted[i] = exporter->answers[i].wanted;
		exporter->answers[i].wanted = exporter->answers[i].failed = false;
	}
	making->err = making->stats_err = making->memory_err = making->remember_err = 0;
	making->begin_ns = clock_ns(CLOCK_MONOTONIC);
	return &making->self;
}

static int write_text(const struct making *making, const struct state *state, enum format format,
		      struct text *out)
{
	const struct metrics_view view = {
		.state = state,
		.series = &making->series,
		.daemon = &making->self,
		.exemplars = &making->exemplars,
		.open_metrics = format == FORMAT_OPEN,
	};

	return metrics_write(&view, out);
}

static void write_stats(struct exporter *exporter, const struct state *state)
{
	struct making *making = &exporter->making;
	_cleanup_text_ struct text text = {};
	int err = making->err ?: write_text(making, state, FORMAT_TEXT, &text);

	if (!err)
		err = atomic_file_write(exporter->options->stats, text_string(&text), text.length,
					0644);
	making->stats_err = err;
	making->memory_err = keep_memory(exporter, state);
}

void exporter_work(struct exporter *exporter, const struct state *state)
{
	struct making *making = &exporter->making;

	making->read = state;
	making->err = state ? 0 : -EIO;
	if (!state ||
	    !(making->accounts || making->wanted[FORMAT_TEXT] || making->wanted[FORMAT_OPEN]))
		return;
	making->remember_err = remember(exporter, state);
	look_at_self(&making->self);
	making->err = metrics_account(&making->series, state, making->budget);
	for (int i = 0; i < FORMAT_COUNT && !making->err; i++)
		if (making->wanted[i])
			making->err = write_text(making, state, i, &making->text[i]);
	if (making->accounts)
		write_stats(exporter, state);
}

static void tell_stats(struct exporter *exporter, int err)
{
	const char *path = exporter->options->stats;

	if (err)
		exporter->self.stats_failed++;
	if (err && !exporter->stats_failing)
		log_line("%s cannot be written: %s", path, strerror(-err));
	if (!err && exporter->stats_failing)
		log_line("%s is written again", path);
	exporter->stats_failing = err;
}

static void tell_memory(struct exporter *exporter)
{
	const struct making *making = &exporter->making;

	if (making->remember_err)
		log_line("%s is not used, series begin anew: %s", exporter->memory_path,
			 strerror(-making->remember_err));
	if (making->memory_err && !exporter->memory_failing)
		log_line("%s cannot be written, after a restart series may begin anew: %s",
			 exporter->memory_path, strerror(-making->memory_err));
	if (making->accounts)
		exporter->memory_failing = making->memory_err;
}

/* Takes its text over. */
static void renew_answer(struct exporter *exporter, enum format format)
{
	struct making *making = &exporter->making;
	struct answer *answer = &exporter->answers[format];
	uint64_t now = clock_ns(CLOCK_MONOTONIC),
		 pause = (now - making->begin_ns) * SAME_TEXT_TIMES;

	making->wanted[format] = false;
	answer->failed = making->err;
	if (making->err) {
		text_release(&making->text[format]);
		return;
	}
	text_release(&answer->text);
	answer->text = making->text[format];
	making->text[format] = (struct text){};
	answer->until_ns = now + (pause > SAME_TEXT_NS ? pause : SAME_TEXT_NS);
}

void exporter_end(struct exporter *exporter)
{
	struct making *making = &exporter->making;
	bool answers = false;

	for (int i = 0; i < FORMAT_COUNT; i++) {
		answers |= making->wanted[i];
		if (making->wanted[i])
			renew_answer(exporter, i);
	}
	tell_memory(exporter);
	if (making->accounts && making->read) /* else what was written last stays */
		tell_stats(exporter, making->stats_err);
	if (answers)
		http_wake(exporter->http);
}

/* ---- /metrics -------------------------------------------------------------------------------- */

/* A scraper that knows OpenMetrics names it among what it accepts. */
static enum format wanted_format(struct http_request *request)
{
	const char *accept = http_header(request, "Accept");

	return accept && strstr(accept, "application/openmetrics-text") ? FORMAT_OPEN : FORMAT_TEXT;
}

/* One that comes while a reading is under way is answered from that one. */
static void await_answer(struct exporter *exporter, enum format format,
			 struct http_request *request)
{
	struct answer *answer = &exporter->answers[format];
	bool is_first = !answer->wanted && !exporter->making.wanted[format];

	if (!http_has_waited(request)) {
		exporter->self.scrapes += is_first;
		exporter->self.scrapes_again += !is_first;
	}
	http_wait(request);
	if (is_first) {
		answer->wanted = true;
		exporter->calls->want(exporter->calls->arg);
	}
}

static void on_scrape(struct http_request *request, void *arg)
{
	static const char *const types[] = {
		[FORMAT_TEXT] = "text/plain; version=0.0.4; charset=utf-8",
		[FORMAT_OPEN] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
	};
	struct exporter *exporter = arg;
	enum format format = wanted_format(request);
	struct answer *answer = &exporter->answers[format];
	struct http_answer reply = { .status = 200, .type = types[format] };

	if (clock_ns(CLOCK_MONOTONIC) < answer->until_ns) {
		exporter->self.scrapes_again += !http_has_waited(request);
		text_add_bytes(&reply.body, text_string(&answer->text), answer->text.length);
		http_reply(request, &reply);
	} else if (http_has_waited(request) && answer->failed) {
		http_reply_line(request, 503, "the kernel's figures cannot be read");
	} else {
		await_answer(exporter, format, request);
	}
}

static void on_live(struct http_request *request, void *arg)
{
	(void)arg;
	http_reply_line(request, 200, "ok");
}

static void on_ready(struct http_request *request, void *arg)
{
	const struct exporter_calls *calls = ((struct exporter *)arg)->calls;

	if (calls->ready(calls->arg))
		http_reply_line(request, 200, "ok");
	else
		http_reply_line(request, 503, "what is wanted is not known or not in force yet");
}

/* Nobody streams here. */
static void on_followed(bool followed, void *arg)
{
	(void)followed;
	(void)arg;
}

static int serve(struct exporter *exporter, uv_loop_t *loop)
{
	static const struct http_route routes[] = {
		{ "/metrics", true, on_scrape },
		{ "/livez", true, on_live },
		{ "/readyz", true, on_ready },
	};
	const struct exporter_options *options = exporter->options;
	char address[ADDRESS_TEXT_MAX];
	int err;

	exporter->http_options = (struct http_options){
		.name = "--metrics",
		.address = options->address,
		.routes = routes,
		.n_routes = ARRAY_SIZE(routes),
		.followed = on_followed,
		.arg = exporter,
	};
	err = http_open(loop, options->http, &exporter->http_options, &exporter->http);
	if (!err)
		log_line("metrics at http://%s/metrics",
			 http_address_format(&options->address, address));
	return err;
}

/* ---- begin and end ------------------------------------------------------------------------------ */

int exporter_open(uv_loop_t *loop, const struct exporter_options *options,
		  const struct exporter_calls *calls, struct exporter **ret)
{
	struct exporter *exporter = calloc(1, sizeof(*exporter));
	int err = 0;

	if (!exporter)
		return -ENOMEM;
	exporter->options = options;
	exporter->calls = calls;
	metrics_series_init(&exporter->making.series, options->istio);
	if (snprintf(exporter->memory_path, PATH_MAX, "%s.series", options->stats) >= PATH_MAX)
		err = -ENAMETOOLONG;
	if (!err && options->http >= 0)
		err = serve(exporter, loop);
	if (err) {
		exporter_close(exporter);
		return err;
	}
	*ret = exporter;
	return 0;
}

void exporter_close(struct exporter *exporter)
{
	if (!exporter)
		return;
	http_close(exporter->http);
	for (int i = 0; i < FORMAT_COUNT; i++)
		text_release(&exporter->answers[i].text);
	metrics_series_release(&exporter->making.series);
	free(exporter);
}
