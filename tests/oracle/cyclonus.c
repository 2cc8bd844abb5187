/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle/cyclonus.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "oracle/literal.h"

/* ---- the process ---------------------------------------------------------------- */

static void become(const char *program, int in, int out)
{
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
		execl(program, program, (char *)NULL);
	_exit(127);
}

int cyclonus_start(const char *program, struct cyclonus *ret)
{
	int to[2], from[2];
	pid_t pid;

	if (access(program, X_OK))
		return -ENOENT;
	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid)
		become(program, to[0], from[1]);
	close(to[0]);
	close(from[1]);
	if (pid < 0)
		return -errno;
	/* one that has died is told by -EIO */
	signal(SIGPIPE, SIG_IGN);
	*ret = (struct cyclonus){ pid, fdopen(to[1], "w"), fdopen(from[0], "r") };
	return ret->to && ret->from ? 0 : -ENOMEM;
}

void cyclonus_stop(struct cyclonus *cyclonus)
{
	if (!cyclonus->pid)
		return;
	fclose(cyclonus->to); /* its end of input ends it */
	fclose(cyclonus->from);
	waitpid(cyclonus->pid, NULL, 0);
	cyclonus->pid = 0;
}

/* ---- what it can judge ---------------------------------------------------------- */

static bool everybody_has(const struct model *model, const char *key, bool namespaces)
{
	size_t n = namespaces ? model->n_namespaces : model->n_workloads;

	for (size_t i = 0; i < n; i++) {
		const struct model_labels *labels =
			namespaces ? &model->namespaces[i].labels : &model->workloads[i].labels;

		if (!model_label_value(labels, key))
			return false;
	}
	return true;
}

static bool can_select(const struct model *model, const struct model_selector *selector,
		       bool namespaces)
{
	for (size_t i = 0; i < selector->n; i++)
		if (selector->requirements[i].op == MODEL_NOT_IN &&
		    !everybody_has(model, selector->requirements[i].key, namespaces))
			return false;
	return true;
}

static bool can_judge_rule(const struct model *model, const struct model_rule *rule)
{
	for (size_t i = 0; i < rule->n_peers; i++) {
		const struct model_peer *peer = &rule->peers[i];

		if (!can_select(model, &peer->workloads, false) ||
		    (peer->namespaces && !can_select(model, peer->namespaces, true)))
			return false;
	}
	return true;
}

bool cyclonus_can(const struct cluster *cluster)
{
	const struct model *model = &cluster->model;

	for (size_t i = 0; i < model->n_policies; i++) {
		const struct model_policy *policy = &model->policies[i];

		if (!can_select(model, &policy->subject, false))
			return false;
		for (size_t j = 0; j < policy->n_rules; j++)
			if (!can_judge_rule(model, &policy->rules[j]))
				return false;
	}
	return true;
}

/* ---- a cluster as Kubernetes has it ---------------------------------------------- */

static const char *protocol_text(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "TCP" : "UDP";
}

static json_t *selector_json(const struct model_selector *selector)
{
	static const char *const operators[] = {
		[MODEL_IN] = "In",
		[MODEL_NOT_IN] = "NotIn",
		[MODEL_EXISTS] = "Exists",
		[MODEL_DOES_NOT_EXIST] = "DoesNotExist",
	};
	json_t *expressions = json_array();

	for (size_t i = 0; i < selector->n; i++) {
		const struct model_requirement *requirement = &selector->requirements[i];
		json_t *values = json_array();

		for (size_t j = 0; j < requirement->n_values; j++)
			json_array_append_new(values, json_string(requirement->values[j]));
		json_array_append_new(expressions,
				      json_pack("{ss ss so}", "key", requirement->key, "operator",
						operators[requirement->op], "values", values));
	}
	return json_pack("{so}", "matchExpressions", expressions);
}

static json_t *cidr_json(const struct model_cidr *cidr)
{
	char buf[ADDRESS_TEXT_MAX];
	bool v4 = cidr->bits >= 96 && address_family(&cidr->address) == AF_INET;

	return json_sprintf("%s/%d", address_format(&cidr->address, buf),
			    cidr->bits - (v4 ? 96 : 0));
}

static json_t *peer_json(const struct model_peer *peer)
{
	json_t *excepts;

	if (peer->kind == MODEL_PEER_WORKLOADS)
		return json_pack("{so so*}", "podSelector", selector_json(&peer->workloads),
				 "namespaceSelector",
				 peer->namespaces ? selector_json(peer->namespaces) : NULL);
	excepts = json_array();
	for (size_t i = 0; i < peer->n_excepts; i++)
		json_array_append_new(excepts, cidr_json(&peer->excepts[i]));
	return json_pack("{s{so so}}", "ipBlock", "cidr", cidr_json(&peer->network), "except",
			 excepts);
}

static json_t *port_json(const struct model_port_match *port)
{
	json_t *json = json_pack("{ss}", "protocol", protocol_text(port->protocol));

	if (port->name)
		json_object_set_new(json, "port", json_string(port->name));
	else if (port->first)
		json_object_set_new(json, "port", json_integer(port->first));
	if (!port->name && port->first && port->last != port->first)
		json_object_set_new(json, "endPort", json_integer(port->last));
	return json;
}

static json_t *rule_json(const struct model_rule *rule)
{
	json_t *peers = json_array(), *ports = json_array();

	for (size_t i = 0; i < rule->n_peers; i++)
		json_array_append_new(peers, peer_json(&rule->peers[i]));
	for (size_t i = 0; i < rule->n_ports; i++)
		json_array_append_new(ports, port_json(&rule->ports[i]));
	return json_pack("{so so}", rule->direction == SST_INGRESS ? "from" : "to", peers, "ports",
			 ports);
}

static json_t *policy_json(const struct model_policy *policy)
{
	static const char *const types[] = { [SST_EGRESS] = "Egress", [SST_INGRESS] = "Ingress" };
	json_t *rules[SST_DIRECTIONS] = { json_array(), json_array() };
	json_t *policy_types = json_array();

	for (int i = 0; i < SST_DIRECTIONS; i++)
		if (policy->isolates[i])
			json_array_append_new(policy_types, json_string(types[i]));
	for (size_t i = 0; i < policy->n_rules; i++)
		json_array_append_new(rules[policy->rules[i].direction],
				      rule_json(&policy->rules[i]));
	return json_pack("{s{ss ss} s{so so so so}}", "metadata", "name", policy->name, "namespace",
			 policy->name_space, "spec", "podSelector", selector_json(&policy->subject),
			 "policyTypes", policy_types, "ingress", rules[SST_INGRESS], "egress",
			 rules[SST_EGRESS]);
}

static json_t *labels_json(const struct model_labels *labels)
{
	json_t *json = json_object();

	for (size_t i = 0; i < labels->n; i++)
		json_object_set_new(json, labels->items[i].key,
				    json_string(labels->items[i].value));
	return json;
}

static json_t *workload_json(const struct model *model, const struct model_workload *workload)
{
	const struct model_labels *namespace_labels = NULL;

	for (size_t i = 0; i < model->n_namespaces; i++)
		if (!strcmp(model->namespaces[i].name, workload->name_space))
			namespace_labels = &model->namespaces[i].labels;
	return json_pack("{ss so so}", "namespace", workload->name_space, "namespaceLabels",
			 labels_json(namespace_labels), "labels", labels_json(&workload->labels));
}

/* ---- questions ------------------------------------------------------------------ */

/* The names that the called one gives to the port; "", for none, is always among them. */
static json_t *names_json(const struct model *model, struct actor called, const struct query *query)
{
	json_t *names = json_pack("[s]", "");
	const struct model_workload *workload;

	if (called.workload == NOBODY)
		return names;
	workload = &model->workloads[called.workload];
	for (size_t i = 0; i < workload->n_ports; i++)
		if (workload->ports[i].port == query->port &&
		    workload->ports[i].protocol == query->protocol)
			json_array_append_new(names, json_string(workload->ports[i].name));
	return names;
}

static json_t *query_json(const struct cluster *cluster, const struct query *query)
{
	struct actor peer = literal_owner(cluster, &query->address);
	bool ingress = query->direction == SST_INGRESS;
	char buf[ADDRESS_TEXT_MAX];

	return json_pack("{sb si si ss si ss so}", "ingress", ingress, "subject",
			 (int)query->subject.workload, "peer",
			 peer.workload == NOBODY ? -1 : (int)peer.workload, "address",
			 address_format(&query->address, buf), "port", query->port, "protocol",
			 protocol_text(query->protocol), "names",
			 names_json(&cluster->model, ingress ? query->subject : peer, query));
}

static json_t *question(const struct cluster *cluster, const struct query *queries, size_t n)
{
	const struct model *model = &cluster->model;
	json_t *workloads = json_array(), *policies = json_array(), *asked = json_array();

	for (size_t i = 0; i < model->n_workloads; i++)
		json_array_append_new(workloads, workload_json(model, &model->workloads[i]));
	for (size_t i = 0; i < model->n_policies; i++)
		json_array_append_new(policies, policy_json(&model->policies[i]));
	for (size_t i = 0; i < n; i++)
		json_array_append_new(asked, query_json(cluster, &queries[i]));
	return json_pack("{so so so}", "workloads", workloads, "policies", policies, "queries",
			 asked);
}

/* One line there, one line back: a letter a question, (a)llowed or (d)enied. */
int cyclonus_judge(struct cyclonus *cyclonus, const struct cluster *cluster,
		   const struct query *queries, size_t n, bool *ret)
{
	_cleanup_free_ char *line = NULL;
	json_t *json = question(cluster, queries, n);
	size_t size = 0;
	int r = json_dumpf(json, cyclonus->to, JSON_COMPACT);

	json_decref(json);
	if (r || fputc('\n', cyclonus->to) == EOF || fflush(cyclonus->to))
		return -EIO;
	if (getline(&line, &size, cyclonus->from) != (ssize_t)n + 1)
		return -EIO;
	for (size_t i = 0; i < n; i++)
		ret[i] = line[i] == 'd';
	return 0;
}
