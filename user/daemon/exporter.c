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
 * so many times of what it took: a storm of scrapes has a tenth of the daemon at most.
 */
#define SAME_TEXT_NS    100000000ULL
#define SAME_TEXT_TIMES 9

#define REMEMBERED_MAX (64 << 20)

enum format { FORMAT_TEXT, FORMAT_OPEN, FORMAT_COUNT };

struct answer {
	struct text text;
	uint64_t made_ns, until_ns; /* CLOCK_MONOTONIC */
};

struct exporter {
	const struct exporter_options *options;
	const struct exporter_calls *calls;
	struct metrics_series series;
	struct metrics_daemon self;
	struct exemplars exemplars;
	struct http *http;
	struct http_options http_options;
	struct answer answers[FORMAT_COUNT];
	char memory_path[PATH_MAX];         /* what the next daemon goes on from */
	bool remembers;                     /* that was read */
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
static void remember(struct exporter *exporter, const struct state *state)
{
	_cleanup_text_ struct text text = {};
	int err;

	if (exporter->remembers)
		return;
	exporter->remembers = true;
	err = read_file(exporter->memory_path, &text);
	if (!err)
		err = metrics_series_load(&exporter->series, &state->meta, text.data, text.length);
	if (err && err != -ENOENT && err != -ESTALE)
		log_line("%s is not used, series begin anew: %s", exporter->memory_path,
			 strerror(-err));
}

static void keep_memory(struct exporter *exporter, const struct state *state)
{
	_cleanup_free_ char *text = metrics_series_save(&exporter->series, &state->meta);
	int err;

	if (!text)
		return;
	err = atomic_file_write(exporter->memory_path, text, strlen(text), 0600);
	if (err && !exporter->memory_failing)
		log_line("%s cannot be written, after a restart series may begin anew: %s",
			 exporter->memory_path, strerror(-err));
	exporter->memory_failing = err;
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

/* ---- texts -------------------------------------------------------------------------------- */

static int account(struct exporter *exporter, const struct state *state)
{
	const struct exporter_calls *calls = exporter->calls;

	remember(exporter, state);
	look_at_self(&exporter->self);
	return metrics_account(&exporter->series, state, calls->budget(calls->arg));
}

static int write_text(struct exporter *exporter, const struct state *state, enum format format,
		      struct text *out)
{
	const struct metrics_view view = {
		.state = state,
		.series = &exporter->series,
		.daemon = &exporter->self,
		.exemplars = &exporter->exemplars,
		.open_metrics = format == FORMAT_OPEN,
	};

	return metrics_write(&view, out);
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

void exporter_write(struct exporter *exporter, const struct state *state)
{
	_cleanup_text_ struct text text = {};
	int err = account(exporter, state);

	if (!err)
		err = write_text(exporter, state, FORMAT_TEXT, &text);
	if (!err)
		err = atomic_file_write(exporter->options->stats, text_string(&text), text.length,
					0644);
	tell_stats(exporter, err);
	keep_memory(exporter, state);
}

/* ---- /metrics -------------------------------------------------------------------------------- */

static int make_answer(struct exporter *exporter, enum format format)
{
	struct answer *answer = &exporter->answers[format];
	uint64_t begin = clock_ns(CLOCK_MONOTONIC), took;
	const struct state *state = exporter->calls->read(exporter->calls->arg);
	_cleanup_text_ struct text text = {};
	int err = state ? account(exporter, state) : -EIO;

	exporter->self.scrapes++;
	if (!err)
		err = write_text(exporter, state, format, &text);
	if (err)
		return err;
	text_release(&answer->text);
	answer->text = text;
	text = (struct text){};
	answer->made_ns = clock_ns(CLOCK_MONOTONIC);
	took = (answer->made_ns - begin) * SAME_TEXT_TIMES;
	answer->until_ns = answer->made_ns + (took > SAME_TEXT_NS ? took : SAME_TEXT_NS);
	return 0;
}

/* A scraper that knows OpenMetrics names it among what it accepts. */
static enum format wanted_format(struct http_request *request)
{
	const char *accept = http_header(request, "Accept");

	return accept && strstr(accept, "application/openmetrics-text") ? FORMAT_OPEN : FORMAT_TEXT;
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
		exporter->self.scrapes_again++;
	} else if (make_answer(exporter, format)) {
		http_reply_line(request, 503, "the kernel's figures cannot be read");
		return;
	}
	text_add_bytes(&reply.body, text_string(&answer->text), answer->text.length);
	http_reply(request, &reply);
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
	metrics_series_init(&exporter->series, options->istio);
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
	metrics_series_release(&exporter->series);
	free(exporter);
}
