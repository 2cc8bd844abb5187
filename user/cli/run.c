/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common.h"
#include "cluster/client.h"
#include "core/cleanup.h"
#include "daemon/daemon.h"
#include "daemon/http.h"
#include "datapath/locate.h"

/* Who reads the events; taken after a first load, before an upgrade. */
static int claim_events(const struct cli_options *options, int *claim)
{
	if (*claim >= 0)
		return CLI_DONE;
	*claim = datapath_claim(options->pin);
	if (*claim >= 0 || *claim == -ENOENT)
		return CLI_DONE;
	if (*claim == -EBUSY)
		cli_error("another daemon, with another socket, serves %s", options->pin);
	else
		cli_error("%s: %s", options->pin, strerror(-*claim));
	return CLI_FAILED;
}

static int serve(struct datapath *datapath, const struct daemon_options *how,
		 struct daemon_web *web)
{
	int err = daemon_run(datapath, how, web);

	if (err == -ESTALE)
		return CLI_NOT_LOADED;
	return err ? CLI_FAILED : CLI_DONE;
}

/* Takes the model over: the daemon reads its files itself, and is not to hold both. */
static int load_and_serve(const struct cli_options *options, struct model *wanted,
			  const struct daemon_options *how, struct daemon_web *web)
{
	_cleanup_model_ struct model *model = wanted;
	_cleanup_datapath_ struct datapath *datapath = NULL;
	_cleanup_plan_ struct plan plan = {};
	_cleanup_close_ int events = -1;
	int status = claim_events(options, &events);

	if (!status)
		status = cli_load(options, model, options->kubernetes, &plan, &datapath);
	if (status)
		return status;
	if (!options->kubernetes)
		cli_print_changes(&plan);
	fflush(stdout);
	plan_release(&plan); /* not kept for as long as the daemon lives */
	model_free(TAKE_PTR(model));
	datapath_unlock(datapath);
	status = claim_events(options, &events);
	if (status)
		return status; /* what is loaded is another daemon's by now */
	status = serve(datapath, how, web);
	if (options->unload_on_exit && status != CLI_NOT_LOADED)
		status = cmd_unload(options, 0, NULL) ?: status;
	return status;
}

/* A port in use is told before anything is loaded. */
static int listen_for_metrics(const struct cli_options *options, struct exporter_options *exporter)
{
	_cleanup_problems_ struct problems problems = {};

	exporter->http = -1;
	if (!options->metrics)
		return CLI_DONE;
	if (http_address_parse(options->metrics, "--metrics", &problems, &exporter->address)) {
		cli_print_problems(&problems);
		return CLI_USAGE;
	}
	exporter->http = http_listen(&exporter->address);
	if (exporter->http >= 0)
		return CLI_DONE;
	cli_error("--metrics %s: %s", options->metrics, strerror(-exporter->http));
	return CLI_FAILED;
}

/* How the cluster calls this node: in lower case, as kubelet does whatever it was told. */
static char *find_node_name(const struct cli_options *options, const struct model *model)
{
	_cleanup_model_host_ struct model_host host = {};
	const char *given = options->node_name ?: getenv("NODE_NAME");
	char *name;

	if (!given || !*given)
		given = model->node.name;
	if (!given)
		given = locate_self(&host) ? NULL : host.name;
	name = given ? strdup(given) : NULL;
	for (char *c = name; c && *c; c++)
		*c = tolower((unsigned char)*c);
	return name;
}

static int find_cluster(const struct cli_options *options, const struct model *model,
			struct access *access, char **node, struct daemon_options *how)
{
	const struct access_options where = { .kubeconfig = options->kubeconfig,
					      .server = options->server };
	_cleanup_problems_ struct problems problems = {};
	int err = client_prepare(&problems) ?: access_find(&where, &problems, access);

	cli_print_problems(&problems);
	if (err == -ELIBACC)
		return CLI_FAILED;
	if (err) {
		if (!problems.count)
			cli_error("--kubernetes: %s", strerror(-err));
		return CLI_REFUSED;
	}
	how->access = access;
	how->node = *node = find_node_name(options, model);
	if (how->node && *how->node)
		return CLI_DONE;
	cli_error("--node-name is needed: the host has no name");
	return CLI_FAILED;
}

int cmd_run(const struct cli_options *options, int argc, char **argv)
{
	struct daemon_options how = { .files = options->files,
				      .n_files = options->n_files,
				      .socket = options->socket,
				      .web = options->web,
				      .web_token = options->web_token,
				      .exporter = { .stats = options->stats,
						    .istio = options->istio_names } };
	struct daemon_web web = { .fd = -1 };
	_cleanup_free_ char *node = NULL;
	_cleanup_access_ struct access access = {};
	_cleanup_model_ struct model *model = NULL;
	_cleanup_close_ int claim = -1;
	int status = cli_load_model(options, &model);

	(void)argc;
	(void)argv;
	if (!status && options->kubernetes)
		status = find_cluster(options, model, &access, &node, &how);
	if (!status)
		status = listen_for_metrics(options, &how.exporter);
	if (status)
		return status;
	how.series = model->node.telemetry.series;
	claim = daemon_prepare(&how, &web);
	if (claim < 0)
		return CLI_FAILED;
	status = load_and_serve(options, TAKE_PTR(model), &how, &web);
	daemon_release(how.socket);
	return status;
}
