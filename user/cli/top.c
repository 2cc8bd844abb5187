/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/common.h"
#include "core/clock.h"
#include "export/format.h"
#include "export/json.h"

/* ---- looking ------------------------------------------------------------------------------ */

/* Sets may be large: one is read again only when something was applied meanwhile. */
static int take_policy(struct datapath *datapath, struct live_sample *last,
		       struct live_sample *sample)
{
	const struct sst_meta *was = &last->state.meta, *is = &sample->state.meta;

	if (!last->time_ns || was->loaded_ns != is->loaded_ns ||
	    was->generation != is->generation || was->next_set != is->next_set)
		return datapath_policy(datapath, &sample->state.policy);
	sample->state.policy = last->state.policy;
	last->state.policy = (struct policy_set){};
	return 0;
}

int top_look(struct top *top, struct datapath *datapath)
{
	_cleanup_live_sample_ struct live_sample sample = {};
	int err = datapath_sweep(datapath);

	sample.time_ns = clock_ns(CLOCK_BOOTTIME);
	if (!err && top->view == LIVE_FLOWS) {
		err = datapath_flows(datapath, live_sample_add, &sample);
		sample.walked = true;
	}
	if (!err || err == -E2BIG)
		err = datapath_dump(datapath, DUMP_TABLES | DUMP_EDGES, &sample.state);
	if (!err)
		err = take_policy(datapath, &top->now, &sample);
	if (err)
		return err;
	live_sample_sort(&sample);
	live_sample_release(&top->before);
	top->before = top->now;
	top->now = sample;
	memset(&sample, 0, sizeof(sample));
	return 0;
}

void top_forget(struct top *top)
{
	live_sample_release(&top->before);
	live_sample_release(&top->now);
}

double top_seconds(const struct top *top)
{
	if (!live_sample_follows(&top->now, &top->before))
		return 0;
	return (double)(top->now.time_ns - top->before.time_ns) / 1e9;
}

int top_rows(const struct top *top, struct live_rows *ret)
{
	size_t n;
	const struct live_column *columns = live_columns(top->view, &n);
	int err = live_rows(top->view, &top->before, &top->now, top->filter, ret);

	if (!err)
		live_sort(ret, &columns[top->sort[top->view]], top->reverse[top->view]);
	return err;
}

void top_left_out(const struct live_rows *rows, struct text *out)
{
	if (rows->left_out)
		text_add(out, "%zu flows with fewer bytes/s are left out", rows->left_out);
}

/* ---- without a terminal --------------------------------------------------------------------- */

static int print_json(const struct top *top, const struct live_rows *rows)
{
	json_t *object = json_object();
	char time[FORMAT_MAX];

	format_time(top->now.time_ns + clock_realtime_offset_ns(), time);
	json_set(&object, "time", json_string(time));
	json_set(&object, "interval_seconds", json_real(top_seconds(top)));
	json_set(&object, "view", json_string(live_view_name(top->view)));
	json_set(&object, "left_out", json_integer((json_int_t)rows->left_out));
	json_set(&object, "rows", live_to_json(top->view, rows));
	return cli_print_json_line(object);
}

static int print_text(const struct top *top, const struct live_rows *rows)
{
	_cleanup_text_ struct text out = {}, left_out = {};
	char time[FORMAT_MAX];
	int status;

	format_time(top->now.time_ns + clock_realtime_offset_ns(), time);
	text_add(&out, "%s %s, %.1f s\n", time, live_view_name(top->view), top_seconds(top));
	live_print(top->view, rows, &out);
	top_left_out(rows, &left_out);
	if (rows->left_out)
		text_add(&out, "%s\n", text_string(&left_out));
	status = cli_print(&out);
	fflush(stdout);
	return status;
}

/* It is opened anew each time: what is held open would outlive its unload. */
static int look(const struct cli_options *options, struct top *top)
{
	_cleanup_datapath_ struct datapath *datapath = NULL;
	int err, status = cli_open(options, &datapath);

	if (status)
		return status;
	err = top_look(top, datapath);
	if (!err)
		return CLI_DONE;
	cli_error("the maps cannot be read: %s", strerror(-err));
	return CLI_FAILED;
}

static int print_snapshots(const struct cli_options *options, struct top *top)
{
	const struct timespec interval = { .tv_sec = top->interval_s };
	int status = look(options, top);

	for (unsigned i = 0; i < options->snapshots && !status; i++) {
		_cleanup_live_rows_ struct live_rows rows = {};

		if (i && !options->json)
			putchar('\n');
		nanosleep(&interval, NULL);
		status = look(options, top);
		if (!status && top_rows(top, &rows)) {
			cli_error("%s", strerror(ENOMEM));
			status = CLI_FAILED;
		}
		if (!status)
			status = options->json ? print_json(top, &rows) : print_text(top, &rows);
		if (ferror(stdout))
			break; /* nobody reads on, like head(1) */
	}
	return status;
}

/* ---- the command ---------------------------------------------------------------------------- */

static int set_sort(const struct cli_options *options, struct top *top)
{
	_cleanup_text_ struct text names = {};
	const struct live_column *columns;
	int column;
	size_t n;

	for (int i = 0; i < LIVE_VIEWS; i++)
		top->sort[i] = (unsigned)live_column_by_name(i, "bytes");
	if (!options->sort)
		return 0;
	column = live_column_by_name(top->view, options->sort);
	if (column >= 0) {
		top->sort[top->view] = (unsigned)column;
		return 0;
	}
	columns = live_columns(top->view, &n);
	for (size_t i = 0; i < n; i++)
		text_add(&names, "%s%s", i ? ", " : "", columns[i].name);
	cli_error("--sort is '%s', expected one of %s", options->sort, text_string(&names));
	return -EINVAL;
}

static int set_up(const struct cli_options *options, struct top *top)
{
	if (options->view && live_view_by_name(options->view, &top->view)) {
		cli_error("--view is '%s', expected services, edges or flows", options->view);
		return -EINVAL;
	}
	if (options->text) {
		if (strlen(options->text) >= sizeof(top->filter)) {
			cli_error("--filter is longer than %zu bytes", sizeof(top->filter) - 1);
			return -EINVAL;
		}
		strcpy(top->filter, options->text);
	}
	if (options->json && !options->snapshots) {
		cli_error("-o json needs --once or --snapshots");
		return -EINVAL;
	}
	return set_sort(options, top);
}

int cmd_top(const struct cli_options *options, int argc, char **argv)
{
	struct top top = { .pin = options->pin, .interval_s = options->interval };
	int status;

	(void)argc;
	(void)argv;
	setlocale(LC_CTYPE, ""); /* for the width of characters */
	if (set_up(options, &top))
		return CLI_USAGE;
	if (options->snapshots)
		status = print_snapshots(options, &top);
	else if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		cli_error("top needs a terminal; without one, --once or --snapshots N print text");
		status = CLI_USAGE;
	} else {
		status = look(options, &top);
		if (!status)
			status = top_screen(&top);
	}
	top_forget(&top);
	return status;
}
