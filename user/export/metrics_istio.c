/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The edges of TCP once more, under the names and labels that ztunnel has for them, so that
 * dashboards made for Istio draw. What Sidestep does not know is "unknown", as there.
 */
#include "export/metrics_kinds.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "export/edge.h"
#include "model/edge.h"

#define ISTIO_DOMAIN ".svc.cluster.local"

/* ---- what is counted ----------------------------------------------------------------------- */

enum istio_value {
	OPENED, /* attempts: ztunnel opens before it connects */
	CLOSED,
	CLOSED_FAILED,
	CLOSED_DENIED,
	SENT, /* by the destination: Istio counts "sent" by the response */
	RECEIVED,
	ISTIO_VALUES,
};

static const struct {
	const char *name;
	const char *help;
	struct {
		const char *label;
		enum istio_value value;
	} fields[4]; /* the last one has no label */
} families[] = {
	{ "istio_tcp_connections_opened_total",
	  "The total number of TCP connections opened",
	  { { "response_flags=\"-\"", OPENED } } },
	{ "istio_tcp_connections_closed_total",
	  "The total number of TCP connections closed",
	  { { "response_flags=\"-\"", CLOSED },
	    { "response_flags=\"CONNECT\"", CLOSED_FAILED },
	    { "response_flags=\"DENY\"", CLOSED_DENIED } } },
	{ "istio_tcp_sent_bytes_total",
	  "Bytes from the destination to the source, the response in Istio's words",
	  { { "response_flags=\"-\"", SENT } } },
	{ "istio_tcp_received_bytes_total",
	  "Bytes from the source to the destination, the request in Istio's words",
	  { { "response_flags=\"-\"", RECEIVED } } },
};

#define ISTIO_SERIES ISTIO_VALUES /* one of each */

const struct series_kind metrics_istio_kind = { .n_values = ISTIO_VALUES, .moves = true };

static void count(const struct sst_edge *total, uint64_t *values)
{
	values[CLOSED] = edge_closed(total);
	values[CLOSED_FAILED] = edge_failed(total);
	values[CLOSED_DENIED] = total->denied;
	values[OPENED] = total->opened + edge_failed(total) + total->denied;
	values[SENT] = total->received_bytes + total->spliced_received_bytes;
	values[RECEIVED] = total->sent_bytes + total->spliced_sent_bytes;
}

/* ---- labels --------------------------------------------------------------------------------- */

static void label_or_unknown(struct text *out, const char *prefix, const char *name,
			     const char *value)
{
	char label[64];

	snprintf(label, sizeof(label), "%s%s", prefix, name);
	metrics_label(out, label, *value ? value : "unknown");
}

static void label_nothing(struct text *out, const char *prefix)
{
	static const char *const names[] = { "canonical_revision", "principal", "version",
					     "cluster" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		label_or_unknown(out, prefix, names[i], "");
}

static void label_end(const struct state *state, const struct state_edge *edge, enum sst_role role,
		      struct text *out)
{
	const char *prefix = role == SST_ROLE_CLIENT ? "source_" : "destination_";
	_cleanup_text_ struct text name = {}, name_space = {};

	edge_end(state, edge, role, &name, &name_space);
	label_or_unknown(out, prefix, "workload", text_string(&name));
	label_or_unknown(out, prefix, "workload_namespace", text_string(&name_space));
	label_or_unknown(out, prefix, "canonical_service", text_string(&name));
	label_or_unknown(out, prefix, "app", text_string(&name));
	label_nothing(out, prefix);
	if (name.error || name_space.error)
		out->error = name.error ?: name_space.error;
}

/* A service has no namespace here: it is that of who is called, as with Kubernetes. */
static void label_destination_service(const struct state *state, const struct state_edge *edge,
				      struct text *out)
{
	const struct state_service *service = state_service(state, edge->key.service);
	_cleanup_text_ struct text unused = {}, name_space = {}, host = {};

	if (service) {
		edge_end(state, edge, SST_ROLE_SERVER, &unused, &name_space);
		text_add(&host, "%s", service->info.name);
	}
	if (name_space.length)
		text_add(&host, ".%s" ISTIO_DOMAIN, text_string(&name_space));
	label_or_unknown(out, "", "destination_service", text_string(&host));
	label_or_unknown(out, "", "destination_service_name", service ? service->info.name : "");
	label_or_unknown(out, "", "destination_service_namespace", text_string(&name_space));
	if (host.error || name_space.error)
		out->error = host.error ?: name_space.error;
}

static void label_edge(const struct state *state, const struct state_edge *edge, struct text *out)
{
	metrics_label(out, "reporter",
		      edge->key.role == SST_ROLE_CLIENT ? "source" : "destination");
	label_end(state, edge, SST_ROLE_CLIENT, out);
	label_destination_service(state, edge, out);
	label_end(state, edge, SST_ROLE_SERVER, out);
	text_add(out, ",request_protocol=\"tcp\",connection_security_policy=\"unknown\"");
}

static void label_of_istio(size_t i, const void *arg, struct text *out)
{
	const struct label_context *context = arg;
	const struct state *state = context->state;

	label_edge(state, state_edge(state, context->sources->items[i].id), out);
}

/* From "other" to "other". */
static void label_other(struct text *out)
{
	const struct state_edge edge = { .id = SST_EDGE_FOLDED };

	label_edge(&(const struct state){}, &edge, out);
}

/* ---- series --------------------------------------------------------------------------------- */

int istio_sources(const struct state *state, struct sources *ret)
{
	int err = sources_init(ret, state->n_edges, label_of_istio, ISTIO_SERIES);

	if (err)
		return err;
	ret->values = calloc(state->n_edges + 1, ISTIO_VALUES * sizeof(*ret->values));
	if (!ret->values)
		return -ENOMEM;
	for (size_t i = 0; i < state->n_edges; i++) {
		const struct state_edge *edge = &state->edges[i];
		uint64_t *values = ret->values + ret->n * ISTIO_VALUES;

		if (edge->key.protocol == IPPROTO_UDP)
			continue;
		count(&edge->total, values);
		ret->items[ret->n++] = (struct series_source){
			.id = edge->id,
			.values = values,
			.cost = ISTIO_SERIES,
			.nameless = edge_is_folded(edge->id),
		};
	}
	return 0;
}

void write_istio(struct metrics_text *text, const struct metrics_view *view)
{
	const struct series *series = &view->series->kind[METRICS_istio];
	const struct series_row *row = NULL;
	_cleanup_text_ struct text others = {};

	label_other(&others);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		metrics_family(text, families[i].name, "counter", families[i].help);
		while ((row = next_row(series, row)))
			for (size_t f = 0; families[i].fields[f].label; f++)
				metrics_sample(text, families[i].name,
					       row_labels(row, text_string(&others)),
					       families[i].fields[f].label,
					       row->values[families[i].fields[f].value]);
	}
	if (others.error)
		text->out->error = others.error;
}
