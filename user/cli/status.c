/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "cli/common.h"
#include "daemon/client.h"
#include "export/json.h"
#include "export/show.h"

static int print_not_loaded(const struct cli_options *options)
{
	if (!options->json) {
		cli_error("not loaded (nothing is pinned at %s)", options->pin);
		return CLI_NOT_LOADED;
	}
	cli_print_json(json_pack("{s:n}", "loaded"));
	return CLI_NOT_LOADED;
}

static void show_warnings(const json_t *warnings, struct text *out)
{
	const json_t *warning;
	size_t i;

	json_array_foreach (warnings, i, warning)
		text_add(out, "%swarning: %s\n", i ? "" : "\n", json_string_value(warning));
}

static int measure(const struct cli_options *options, const char *argument)
{
	unsigned seconds = 1;

	if (argument && cli_number("SECONDS", argument, 1, CLI_MAX_SECONDS, &seconds))
		return CLI_USAGE;
	return cli_cost(options, seconds);
}

int cmd_status(const struct cli_options *options, int argc, char **argv)
{
	_cleanup_datapath_ struct datapath *datapath = NULL;
	_cleanup_state_ struct state state = {};
	_cleanup_text_ struct text out = {};
	bool alive = client_daemon_alive(options->socket);
	_cleanup_json_ json_t *warnings = alive ? client_warnings(options->socket) : NULL;
	struct utsname host;
	json_t *json;
	int status;

	if (argc && !options->cost) {
		cli_error("unexpected argument '%s'", argv[0]);
		return CLI_USAGE;
	}
	if (options->cost)
		return measure(options, argc ? argv[0] : NULL);
	if (datapath_open(options->pin, &datapath) == -ENOENT)
		return print_not_loaded(options);
	status = cli_dump(options, DUMP_TABLES | DUMP_FILL | DUMP_POLICY, &state);
	if (status)
		return status;
	uname(&host);
	if (options->json) {
		json = show_status_json(&state);
		json_object_set_new(json, "kernel", json_string(host.release));
		json_object_set_new(json, "daemon", json_boolean(alive));
		json_object_set_new(json, "warnings",
				    warnings ? json_incref(warnings) : json_null());
		return cli_print_json(json);
	}
	show_status(&state, &out);
	text_add(&out, "\nkernel  %s\ndaemon  %s\n", host.release, alive ? "alive" : "not running");
	show_warnings(warnings, &out);
	return cli_print(&out);
}
