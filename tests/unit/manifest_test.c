/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml_fixture.h"

#include <netinet/in.h>
#include <sys/stat.h>

#include "model/words.h"

/* ---- a model as a text ------------------------------------------------------------- */

static void tell_labels(struct text *text, const struct model_labels *labels)
{
	for (size_t i = 0; i < labels->n; i++)
		text_add(text, " %s=%s", labels->items[i].key, labels->items[i].value);
}

static void tell_selector(struct text *text, const struct model_selector *selector)
{
	static const char *const operators[] = { "in", "not-in", "exists", "does-not-exist" };

	if (!selector) {
		text_add(text, "own");
		return;
	}
	text_add(text, "{");
	for (size_t i = 0; i < selector->n; i++) {
		const struct model_requirement *requirement = &selector->requirements[i];

		text_add(text, "%s%s %s", i ? ", " : "", requirement->key,
			 operators[requirement->op]);
		for (size_t j = 0; j < requirement->n_values; j++)
			text_add(text, " %s", requirement->values[j]);
	}
	text_add(text, "}");
}

static void tell_cidr(struct text *text, const struct model_cidr *cidr)
{
	char buf[ADDRESS_TEXT_MAX];

	text_add(text, " %s", address_prefix_format(&cidr->address, cidr->bits, buf));
}

static void tell_peer(struct text *text, const struct model_peer *peer)
{
	switch (peer->kind) {
	case MODEL_PEER_WORKLOADS:
		text_add(text, "\n  peer ");
		tell_selector(text, peer->namespaces);
		text_add(text, " ");
		tell_selector(text, &peer->workloads);
		break;
	case MODEL_PEER_NETWORK:
		text_add(text, "\n  network");
		tell_cidr(text, &peer->network);
		for (size_t i = 0; i < peer->n_excepts; i++)
			tell_cidr(text, &peer->excepts[i]);
		break;
	case MODEL_PEER_RESERVED:
		text_add(text, "\n  reserved %d", peer->identity);
	}
}

static void tell_rule(struct text *text, const struct model_rule *rule)
{
	static const char *const actions[] = { "allow", "deny", "pass" };

	text_add(text, "\n rule %s %s%s%s%s%s", rule->direction == SST_INGRESS ? "in" : "out",
		 actions[rule->action], rule->name ? " " : "", rule->name ? rule->name : "",
		 rule->shadow ? " shadow" : "", rule->any_peer ? " any" : "");
	for (size_t i = 0; i < rule->n_peers; i++)
		tell_peer(text, &rule->peers[i]);
	for (size_t i = 0; i < rule->n_ports; i++) {
		const struct model_port_match *port = &rule->ports[i];

		text_add(text, "\n  port %s ",
			 port->protocol ? protocol_name(port->protocol) : "*");
		if (port->name)
			text_add(text, "%s (%u-%u)", port->name, port->first, port->last);
		else
			text_add(text, "%u-%u", port->first, port->last);
	}
}

static void tell_policy(struct text *text, const struct model_policy *policy)
{
	text_add(text, "policy %s/%s %s %u%s%s%s", policy->name_space, policy->name,
		 tier_name(policy->tier), policy->priority, policy->shadow ? " shadow" : "",
		 policy->isolates[SST_INGRESS] ? " isolates-in" : "",
		 policy->isolates[SST_EGRESS] ? " isolates-out" : "");
	text_add(text, "\n subject ");
	tell_selector(text, policy->subject_namespaces);
	text_add(text, " ");
	tell_selector(text, &policy->subject);
	for (size_t i = 0; i < policy->n_rules; i++)
		tell_rule(text, &policy->rules[i]);
	text_add(text, "\n");
}

static void tell_workload(struct text *text, const struct model_workload *workload)
{
	text_add(text, "workload %s/%s%s", workload->name_space, workload->name,
		 workload->remote ? " remote" : "");
	tell_labels(text, &workload->labels);
	for (size_t i = 0; i < workload->n_addresses; i++)
		tell_cidr(text, &workload->addresses[i]);
	for (size_t i = 0; i < workload->n_ports; i++)
		text_add(text, " %s:%u/%s", workload->ports[i].name, workload->ports[i].port,
			 protocol_name(workload->ports[i].protocol));
	text_add(text, "\n");
}

/* All that policy has to do with, and that no two different models tell alike. */
static struct text tell(const struct model *model)
{
	struct text text = { 0 };

	for (size_t i = 0; i < model->n_namespaces; i++) {
		text_add(&text, "namespace %s", model->namespaces[i].name);
		tell_labels(&text, &model->namespaces[i].labels);
		text_add(&text, "\n");
	}
	for (size_t i = 0; i < model->n_workloads; i++)
		tell_workload(&text, &model->workloads[i]);
	for (size_t i = 0; i < model->n_policies; i++)
		tell_policy(&text, &model->policies[i]);
	return text;
}

static void assert_told(const char *yaml, const char *expected)
{
	_cleanup_model_ struct model *model = load_valid(yaml);
	_cleanup_text_ struct text text = tell(model);

	if (strcmp(text_string(&text), expected))
		print_error("for:\n%s\n", yaml);
	assert_string_equal(text_string(&text), expected);
}

#define SHOP "namespace shop kubernetes.io/metadata.name=shop\n"

/* ---- namespaces and pods ----------------------------------------------------------- */

static void test_namespace(void **unused UNUSED)
{
	assert_told("apiVersion: v1\n"
		    "kind: Namespace\n"
		    "metadata:\n"
		    "  name: shop\n"
		    "  uid: 4f5e\n"
		    "  creationTimestamp: null\n"
		    "  annotations: { sidestep.io/mode: whatever, note: 'any: text' }\n"
		    "  labels: { kubernetes.io/metadata.name: shop, team: a }\n"
		    "spec: { finalizers: [kubernetes] }\n"
		    "status: { phase: Active }\n",
		    "namespace shop kubernetes.io/metadata.name=shop team=a\n");
	assert_told("{ \"apiVersion\": \"v1\", \"kind\": \"Namespace\",\n"
		    "  \"metadata\": { \"name\": \"shop\" } }\n",
		    SHOP);
}

static const char pod[] = "apiVersion: v1\n"
			  "kind: Pod\n"
			  "metadata:\n"
			  "  name: db-0\n"
			  "  namespace: shop\n"
			  "  labels: { app: db, statefulset.kubernetes.io/pod-name: db-0 }\n"
			  "  ownerReferences: [ { kind: StatefulSet, name: db } ]\n"
			  "spec:\n"
			  "  nodeName: node-a\n"
			  "  hostNetwork: false\n"
			  "  containers:\n"
			  "    - name: db\n"
			  "      image: example.org/db:1\n"
			  "      ports:\n"
			  "        - { name: pg, containerPort: 5432, hostPort: 15432 }\n"
			  "        - { containerPort: 80 }\n"
			  "        - { name: dns, containerPort: 53, protocol: UDP }\n"
			  "    - name: sidecar\n"
			  "      ports:\n"
			  "        - { name: pg, containerPort: 5433 }\n"
			  "        - { name: dns, containerPort: 54, protocol: TCP }\n"
			  "        - { name: voice, containerPort: 3868, protocol: SCTP }\n"
			  "    - name: quiet\n"
			  "status:\n"
			  "  phase: Running\n"
			  "  podIP: 10.1.0.7\n"
			  "  podIPs: [ { ip: 10.1.0.7 }, { ip: 'fd00::7' } ]\n";

static void test_pod(void **unused UNUSED)
{
	assert_told(pod, "namespace shop kubernetes.io/metadata.name=shop\n"
			 "workload shop/db-0 app=db statefulset.kubernetes.io/pod-name=db-0 "
			 "10.1.0.7 fd00::7 pg:5432/TCP dns:53/UDP dns:54/TCP\n");
	assert_told("{ apiVersion: v1, kind: Pod, metadata: { name: p },\n"
		    "  status: { podIP: 10.1.0.8 } }\n",
		    "namespace default kubernetes.io/metadata.name=default\n"
		    "workload default/p 10.1.0.8\n");
}

#define POD_WITH(spec, status)                                              \
	"{ apiVersion: v1, kind: Pod, metadata: { name: p }, spec: { " spec \
	" },\n  status: { " status " } }\n"

static void test_no_workloads(void **unused UNUSED)
{
	static const char *const yaml[] = {
		POD_WITH("hostNetwork: true", "podIP: 192.0.2.1"),
		POD_WITH("", "podIP: 10.1.0.8, phase: Succeeded"),
		POD_WITH("", "podIP: 10.1.0.8, phase: Failed"),
		POD_WITH("", "phase: Pending"),
		POD_WITH("", "podIP: null, podIPs: ~"),
		"{ apiVersion: v1, kind: Pod, metadata: { generateName: p- } }\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(yaml); i++)
		assert_told(yaml[i], "");
}

/* ---- NetworkPolicy ----------------------------------------------------------------- */

#define POLICY                               \
	"apiVersion: networking.k8s.io/v1\n" \
	"kind: NetworkPolicy\n"              \
	"metadata: { name: p, namespace: shop }\n"

static void test_network_policy(void **unused UNUSED)
{
	assert_told(POLICY "spec:\n"
			   "  podSelector:\n"
			   "    matchLabels: { app: db, tier: back }\n"
			   "    matchExpressions:\n"
			   "      - { key: env, operator: In, values: [prod, test] }\n"
			   "      - { key: env, operator: NotIn, values: [dev] }\n"
			   "      - { key: owner, operator: Exists }\n"
			   "      - { key: old, operator: DoesNotExist, values: [] }\n"
			   "  policyTypes: [Ingress, Egress]\n"
			   "  ingress:\n"
			   "    - from:\n"
			   "        - podSelector: { matchLabels: { app: web } }\n"
			   "        - namespaceSelector: { matchLabels: { team: a } }\n"
			   "        - podSelector: {}\n"
			   "          namespaceSelector: {}\n"
			   "        - ipBlock: { cidr: 10.0.0.0/8,\n"
			   "                     except: [10.1.0.0/16, 10.2.0.1/32] }\n"
			   "        - ipBlock: { cidr: '::/0', except: [] }\n"
			   "      ports:\n"
			   "        - port: 5432\n"
			   "        - { protocol: UDP, port: 8000, endPort: 8010 }\n"
			   "        - { protocol: TCP, port: http-alt }\n"
			   "        - { protocol: UDP }\n"
			   "        - { port: 80, protocol: null }\n"
			   "  egress:\n"
			   "    - {}\n",
		    SHOP "policy shop/p network 0 isolates-in isolates-out\n"
			 " subject own {app in db, tier in back, env in prod test, "
			 "env not-in dev, owner exists, old does-not-exist}\n"
			 " rule in allow\n"
			 "  peer own {app in web}\n"
			 "  peer {team in a} {}\n"
			 "  peer {} {}\n"
			 "  network 10.0.0.0/8 10.1.0.0/16 10.2.0.1\n"
			 "  network ::/0\n"
			 "  port TCP 5432-5432\n"
			 "  port UDP 8000-8010\n"
			 "  port TCP http-alt (0-0)\n"
			 "  port UDP 0-65535\n"
			 "  port TCP 80-80\n"
			 " rule out allow any\n");
}

/* policyTypes by default, and what is absent or empty. */
static void test_policy_types(void **unused UNUSED)
{
	static const struct {
		const char *spec;
		const char *told;
	} cases[] = {
		{ "{}", " isolates-in\n subject own {}\n" },
		{ "{ podSelector: {} }", " isolates-in\n subject own {}\n" },
		{ "{ ingress: [], egress: [] }", " isolates-in\n subject own {}\n" },
		{ "{ ingress: null, egress: }", " isolates-in\n subject own {}\n" },
		{ "{ policyTypes: [] }", " isolates-in\n subject own {}\n" },
		{ "{ egress: [ {} ] }",
		  " isolates-in isolates-out\n subject own {}\n rule out allow any\n" },
		{ "{ policyTypes: [Egress] }", " isolates-out\n subject own {}\n" },
		{ "{ policyTypes: [Egress, Egress], ingress: [ {} ] }",
		  " isolates-out\n subject own {}\n" },
		{ "{ policyTypes: [Ingress], ingress: [ {} ], egress: [ {} ] }",
		  " isolates-in\n subject own {}\n rule in allow any\n" },
		{ "{ ingress: [ { from: [], ports: [] } ] }",
		  " isolates-in\n subject own {}\n rule in allow any\n" },
		{ "{ ingress: [ { from: , ports: } ] }",
		  " isolates-in\n subject own {}\n rule in allow any\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_text_ struct text yaml = { 0 }, told = { 0 };

		text_add(&yaml, "%sspec: %s\n", POLICY, cases[i].spec);
		text_add(&told, "%spolicy shop/p network 0%s", SHOP, cases[i].told);
		assert_told(text_string(&yaml), text_string(&told));
	}
}

static void test_shadow(void **unused UNUSED)
{
	static const char yaml[] = "apiVersion: networking.k8s.io/v1\n"
				   "kind: NetworkPolicy\n"
				   "metadata: { name: p, annotations: { sidestep.io/mode: %s } }\n"
				   "spec: { ingress: [ {} ] }\n";
	_cleanup_text_ struct text shadow = { 0 }, enforce = { 0 };

	text_add(&shadow, yaml, "shadow");
	text_add(&enforce, yaml, "enforce");
	assert_told(text_string(&shadow), "namespace default kubernetes.io/metadata.name=default\n"
					  "policy default/p network 0 shadow isolates-in\n"
					  " subject own {}\n"
					  " rule in allow shadow any\n");
	assert_told(text_string(&enforce), "namespace default kubernetes.io/metadata.name=default\n"
					   "policy default/p network 0 isolates-in\n"
					   " subject own {}\n"
					   " rule in allow any\n");
}

/* ---- the cluster's policies -------------------------------------------------------- */

static void test_cluster_policy(void **unused UNUSED)
{
	static const char yaml[] =
		"apiVersion: policy.networking.k8s.io/%s\n"
		"kind: ClusterNetworkPolicy\n"
		"metadata: { name: c }\n"
		"spec:\n"
		"  tier: Admin\n"
		"  priority: 0\n"
		"  subject: { namespaces: { matchLabels: { team: a } } }\n"
		"  ingress:\n"
		"    - name: monitoring may, and says so\n"
		"      action: Accept\n"
		"      from:\n"
		"        - namespaces: {}\n"
		"        - pods: { namespaceSelector: {}, podSelector: { matchLabels: { x: y } } }\n"
		"        - pods: { podSelector: {} }\n"
		"      protocols:\n"
		"        - tcp: { destinationPort: { number: 9100 } }\n"
		"        - udp: { destinationPort: { range: { start: 1, end: 65535 } } }\n"
		"        - destinationNamedPort: metrics\n"
		"    - { name: '', action: Pass, from: [ { namespaces: {} } ] }\n"
		"  egress:\n"
		"    - action: Deny\n"
		"      to:\n"
		"        - networks: [10.0.0.0/8, 'fd00::/8']\n"
		"        - nodes: {}\n"
		"        - pods: { podSelector: { matchLabels: { x: y } } }\n"
		"status: { conditions: [] }\n";
	static const char *const versions[] = { "v1alpha2", "v1beta1" };

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		_cleanup_text_ struct text text = { 0 };

		text_add(&text, yaml, versions[i]);
		assert_told(text_string(&text), "policy /c admin 0\n"
						" subject {team in a} {}\n"
						" rule in allow monitoring may, and says so\n"
						"  peer {} {}\n"
						"  peer {} {x in y}\n"
						"  peer {} {}\n"
						"  port TCP 9100-9100\n"
						"  port UDP 1-65535\n"
						"  port * metrics (0-0)\n"
						" rule in pass\n"
						"  peer {} {}\n"
						" rule out deny\n"
						"  network 10.0.0.0/8\n"
						"  network fd00::/8\n"
						"  reserved 2\n"
						"  reserved 3\n"
						"  peer {} {x in y}\n");
	}
}

static void test_baseline_tier(void **unused UNUSED)
{
	assert_told("apiVersion: policy.networking.k8s.io/v1alpha2\n"
		    "kind: ClusterNetworkPolicy\n"
		    "metadata: { name: b, annotations: { sidestep.io/mode: shadow } }\n"
		    "spec:\n"
		    "  tier: Baseline\n"
		    "  priority: 1000\n"
		    "  subject: { pods: { namespaceSelector: { matchLabels: { team: a } },\n"
		    "                     podSelector: { matchLabels: { app: db } } } }\n"
		    "  ingress:\n"
		    "    - { action: Accept, from: [ { namespaces: {} } ] }\n"
		    "    - { action: Deny, from: [ { namespaces: {} } ] }\n",
		    "policy /b baseline 1000 shadow\n"
		    " subject {team in a} {app in db}\n"
		    " rule in allow shadow\n"
		    "  peer {} {}\n"
		    " rule in deny shadow\n"
		    "  peer {} {}\n");
}

static void test_admin_policy(void **unused UNUSED)
{
	assert_told("apiVersion: policy.networking.k8s.io/v1alpha1\n"
		    "kind: AdminNetworkPolicy\n"
		    "metadata: { name: a }\n"
		    "spec:\n"
		    "  priority: 30\n"
		    "  subject: { namespaces: {} }\n"
		    "  ingress:\n"
		    "    - name: dns\n"
		    "      action: Allow\n"
		    "      from: [ { namespaces: {} } ]\n"
		    "      ports:\n"
		    "        - portNumber: { port: 53, protocol: UDP }\n"
		    "        - portNumber: { port: 53 }\n"
		    "        - portRange: { start: 8000, end: 8010, protocol: UDP }\n"
		    "        - namedPort: dns\n"
		    "    - { action: Deny, from: [ { namespaces: {} } ] }\n"
		    "  egress:\n"
		    "    - action: Pass\n"
		    "      to: [ { networks: [192.0.2.7/32] }, { nodes: {} } ]\n"
		    "      ports: [ { portNumber: { port: 443, protocol: TCP } } ]\n",
		    "policy /a admin 30\n"
		    " subject {} {}\n"
		    " rule in allow dns\n"
		    "  peer {} {}\n"
		    "  port UDP 53-53\n"
		    "  port TCP 53-53\n"
		    "  port UDP 8000-8010\n"
		    "  port * dns (0-0)\n"
		    " rule in deny\n"
		    "  peer {} {}\n"
		    " rule out pass\n"
		    "  network 192.0.2.7\n"
		    "  reserved 2\n"
		    "  reserved 3\n"
		    "  port TCP 443-443\n");
}

static void test_baseline_policy(void **unused UNUSED)
{
	assert_told("apiVersion: policy.networking.k8s.io/v1alpha1\n"
		    "kind: BaselineAdminNetworkPolicy\n"
		    "metadata: { name: default }\n"
		    "spec:\n"
		    "  subject: { pods: { namespaceSelector: {}, podSelector: {} } }\n"
		    "  ingress: [ { action: Deny, from: [ { namespaces: {} } ] } ]\n"
		    "  egress: [ { action: Allow, to: [ { namespaces: {} } ] } ]\n",
		    "policy /default baseline 0\n"
		    " subject {} {}\n"
		    " rule in deny\n"
		    "  peer {} {}\n"
		    " rule out allow\n"
		    "  peer {} {}\n");
}

/* ---- the same in our own words ------------------------------------------------------- */

#define RECIPE(name, spec)                                             \
	"---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n" \
	"metadata: { name: " name ", namespace: shop }\nspec:\n  podSelector: " spec
#define OURS(name, rest) "policies:\n  - { name: " name ", namespace: shop, " rest " }\n"

#define CLUSTER(kind, version, name, spec)                              \
	"apiVersion: policy.networking.k8s.io/" version "\nkind: " kind \
	"\nmetadata: { name: " name " }\nspec: " spec "\n"

struct pair {
	const char *manifest;
	const char *native;
};

static const struct pair pairs[] = {
	/* deny all, in, out, and both */
	{ RECIPE("deny-all", "{}\n  ingress: []\n"), OURS("deny-all", "subject: {}, ingress: []") },
	{ RECIPE("no-way-out", "{}\n  policyTypes: [Egress]\n"),
	  OURS("no-way-out", "subject: {}, egress: []") },
	{ RECIPE("island", "{}\n  policyTypes: [Ingress, Egress]\n"),
	  OURS("island", "subject: {}, isolate: [ingress, egress]") },
	/* let everybody in again */
	{ RECIPE("open", "{ matchLabels: { app: web } }\n  ingress: [ {} ]\n"),
	  OURS("open", "subject: { app: web }, ingress: [ {} ]") },
	/* only pods of one kind */
	{ RECIPE("api-allow", "{ matchLabels: { app: bookstore, role: api } }\n"
			      "  ingress:\n"
			      "  - from:\n"
			      "    - podSelector: { matchLabels: { app: bookstore } }\n"),
	  OURS("api-allow", "subject: { app: bookstore, role: api },\n"
			    "  ingress: [ { from: [ { labels: { app: bookstore } } ] } ]") },
	/* all of the own namespace, and nobody else */
	{ RECIPE("deny-from-others", "{}\n  ingress:\n  - from:\n    - podSelector: {}\n"),
	  OURS("deny-from-others", "subject: {}, ingress: [ { from: [ { labels: {} } ] } ]") },
	/* all namespaces */
	{ RECIPE("web-allow-all-ns", "{ matchLabels: { app: web } }\n"
				     "  ingress:\n  - from:\n    - namespaceSelector: {}\n"),
	  OURS("web-allow-all-ns", "subject: { app: web },\n"
				   "  ingress: [ { from: [ { namespaces: {} } ] } ]") },
	/* one namespace by its labels, and pods in it */
	{ RECIPE("web-allow-prod", "{ matchLabels: { app: web } }\n"
				   "  ingress:\n"
				   "  - from:\n"
				   "    - namespaceSelector: { matchLabels: { purpose: prod } }\n"
				   "      podSelector: { matchLabels: { type: monitoring } }\n"),
	  OURS("web-allow-prod", "subject: { app: web },\n"
				 "  ingress: [ { from: [ { namespaces: { purpose: prod },\n"
				 "                         labels: { type: monitoring } } ] } ]") },
	/* either of both: one dash more */
	{ RECIPE("either", "{}\n"
			   "  ingress:\n"
			   "  - from:\n"
			   "    - namespaceSelector: { matchLabels: { purpose: prod } }\n"
			   "    - podSelector: { matchLabels: { type: monitoring } }\n"),
	  OURS("either", "subject: {},\n"
			 "  ingress: [ { from: [ { namespaces: { purpose: prod } },\n"
			 "                       { labels: { type: monitoring } } ] } ]") },
	/* a port by number, by name, ranges, protocols */
	{ RECIPE("api-allow-5000", "{ matchLabels: { app: apiserver } }\n"
				   "  ingress:\n"
				   "  - ports: [ { port: 5000 } ]\n"
				   "    from:\n"
				   "    - podSelector: { matchLabels: { role: monitoring } }\n"),
	  OURS("api-allow-5000", "subject: { app: apiserver },\n"
				 "  ingress: [ { from: [ { labels: { role: monitoring } } ],\n"
				 "               ports: [5000] } ]") },
	{ RECIPE("ports", "{}\n"
			  "  ingress:\n"
			  "  - ports: [ { port: metrics }, { port: 32000, endPort: 32768 },\n"
			  "             { port: dns, protocol: UDP }, { protocol: UDP }, {} ]\n"),
	  OURS("ports", "subject: {}, ingress: [ { ports: [ metrics, 32000-32768,\n"
			"  { port: dns, protocol: UDP }, { protocol: UDP },\n"
			"  { protocol: TCP } ] } ]") },
	/* names, and then nothing but DNS */
	{ RECIPE("dns-only", "{ matchLabels: { app: foo } }\n"
			     "  policyTypes: [Egress]\n"
			     "  egress:\n"
			     "  - ports: [ { port: 53, protocol: UDP }, { port: 53 } ]\n"
			     "    to:\n"
			     "    - namespaceSelector:\n"
			     "        matchLabels: { kubernetes.io/metadata.name: kube-system }\n"),
	  OURS("dns-only",
	       "subject: { app: foo },\n"
	       "  egress: [ { to: [ { namespaces: { kubernetes.io/metadata.name: kube-system } } ],\n"
	       "              ports: [ { port: 53, protocol: UDP }, 53 ] } ]") },
	/* networks */
	{ RECIPE("blocks", "{ matchLabels: { role: db } }\n"
			   "  egress:\n"
			   "  - to:\n"
			   "    - ipBlock: { cidr: 172.17.0.0/16, except: [172.17.1.0/24] }\n"
			   "    - ipBlock: { cidr: 'fd00::/8' }\n"),
	  OURS("blocks", "subject: { role: db }, isolate: [ingress, egress],\n"
			 "  egress: [ { to: [ { network: 172.17.0.0/16,\n"
			 "                      except: [172.17.1.0/24] },\n"
			 "                    { network: 'fd00::/8' } ] } ]") },
	/* expressions */
	{ RECIPE("expressions",
		 "{ matchLabels: { a: b },\n"
		 "    matchExpressions: [ { key: env, operator: NotIn, values: [dev, test] },\n"
		 "                        { key: owner, operator: Exists } ] }\n"),
	  OURS("expressions",
	       "isolate: [ingress],\n"
	       "  subject: { labels: { a: b },\n"
	       "    expressions: [ { key: env, operator: NotIn, values: [dev, test] },\n"
	       "                   { key: owner, operator: Exists } ] }") },
	/* the other tiers */
	{ CLUSTER("ClusterNetworkPolicy", "v1alpha2", "tenants",
		  "{ tier: Admin, priority: 10, subject: { namespaces: { matchLabels: { a: b } } },\n"
		  "  ingress: [ { name: same, action: Pass,\n"
		  "    from: [ { namespaces: { matchLabels: { a: b } } } ] },\n"
		  "  { name: rest, action: Deny, from: [ { namespaces: {} } ],\n"
		  "    protocols: [ { tcp: { destinationPort: { number: 80 } } } ] } ] }"),
	  "policies:\n"
	  "  - { name: tenants, tier: admin, priority: 10, subject: { namespaces: { a: b } },\n"
	  "      ingress: [ { name: same, action: pass, from: [ { namespaces: { a: b } } ] },\n"
	  "      { name: rest, action: deny, from: [ { namespaces: {} } ], ports: [80] } ] }\n" },
	{ CLUSTER("AdminNetworkPolicy", "v1alpha1", "metadata-server",
		  "{ priority: 1, subject: { namespaces: {} },\n"
		  "  egress: [ { action: Deny, to: [ { networks: [169.254.169.254/32] },\n"
		  "    { nodes: {} } ] } ] }"),
	  "policies:\n"
	  "  - { name: metadata-server, tier: admin, priority: 1, subject: { namespaces: {} },\n"
	  "      egress: [ { action: deny, to: [ { network: 169.254.169.254 },\n"
	  "        { identity: host }, { identity: nodes } ] } ] }\n" },
	{ CLUSTER("BaselineAdminNetworkPolicy", "v1alpha1", "default",
		  "{ subject: { pods: { namespaceSelector: {},\n"
		  "                     podSelector: { matchLabels: { app: db } } } },\n"
		  "  ingress: [ { action: Allow, from: [ { pods: { namespaceSelector: {},\n"
		  "    podSelector: { matchLabels: { app: web } } } } ],\n"
		  "    ports: [ { portRange: { start: 1, end: 9 } } ] },\n"
		  "  { action: Deny, from: [ { namespaces: {} } ] } ] }"),
	  "policies:\n"
	  "  - { name: default, tier: baseline, subject: { app: db },\n"
	  "      ingress: [ { from: [ { labels: { app: web } } ], ports: [1-9] },\n"
	  "                 { action: deny, from: [ { namespaces: {} } ] } ] }\n" },
	/* who is who */
	{ "apiVersion: v1\nkind: Namespace\nmetadata: { name: shop, labels: { team: a } }\n"
	  "---\n"
	  "apiVersion: v1\nkind: Pod\n"
	  "metadata: { name: db, namespace: shop, labels: { app: db } }\n"
	  "spec: { containers: [ { ports: [ { name: pg, containerPort: 5432 },\n"
	  "  { name: dns, containerPort: 53, protocol: UDP } ] } ] }\n"
	  "status: { podIPs: [ { ip: 10.1.0.7 }, { ip: 'fd00::7' } ] }\n",
	  "namespaces: [ { name: shop, labels: { team: a } } ]\n"
	  "workloads:\n"
	  "  - { name: db, namespace: shop, labels: { app: db },\n"
	  "      addresses: [10.1.0.7, 'fd00::7'], ports: { pg: 5432, dns: 53/UDP } }\n" },
};

static void test_equal(void **unused UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		_cleanup_model_ struct model *native = load_valid(pairs[i].native);
		_cleanup_text_ struct text text = tell(native);

		assert_true(text.length > 0);
		assert_told(pairs[i].manifest, text_string(&text));
	}
}

/* All of them in one file, whose first document is the node's. */
static void test_together(void **unused UNUSED)
{
	_cleanup_text_ struct text yaml = { 0 };
	_cleanup_model_ struct model *model = NULL;

	text_add(&yaml, "node: { fail: closed }\nworkloads: [ { name: w, cgroup: /w } ]\n");
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		text_add(&yaml, "---\n%s", pairs[i].manifest);
	model = load_valid(text_string(&yaml));
	assert_true(model->node.fail_closed);
	assert_int_equal(model->n_policies, ARRAY_SIZE(pairs) - 1);
	assert_int_equal(model->n_workloads, 2);
	assert_int_equal(model->n_namespaces, 2);
}

/* As `kubectl get -o yaml` prints, with lists in lists. */
static void test_list(void **unused UNUSED)
{
	assert_told("apiVersion: v1\n"
		    "kind: List\n"
		    "metadata: { resourceVersion: '' }\n"
		    "items:\n"
		    "  - { apiVersion: v1, kind: Namespace, metadata: { name: a } }\n"
		    "  - apiVersion: v1\n"
		    "    kind: List\n"
		    "    items: [ { apiVersion: v1, kind: Namespace, metadata: { name: b } } ]\n"
		    "  - { apiVersion: v1, kind: List, items: [] }\n",
		    "namespace a kubernetes.io/metadata.name=a\n"
		    "namespace b kubernetes.io/metadata.name=b\n");
}

#define MANY_PODS 10000

static void test_10000_pods(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = NULL;
	_cleanup_text_ struct text yaml = { 0 };

	for (unsigned i = 0; i < MANY_PODS; i++)
		text_add(&yaml,
			 "---\n{ apiVersion: v1, kind: Pod, metadata: { name: p%u },\n"
			 "  status: { podIP: 10.0.%u.%u } }\n",
			 i, i / 250, i % 250 + 1);
	model = load_valid(text_string(&yaml));
	assert_int_equal(model->n_workloads, MANY_PODS);
}

/* ---- what is refused ----------------------------------------------------------------- */

static void test_kinds(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "kind: Pod\n", "1:1: found Pod without 'apiVersion', expected that key" },
		{ "apiVersion: v1\n", "1:1: found a manifest without 'kind', expected that key" },
		{ "{ apiVersion: v1, kind: Deployment }\n",
		  "1:25: kind 'Deployment' is not used by Sidestep" },
		{ "{ apiVersion: v1, kind: [Pod] }\n", "1:25: found a list, expected a kind" },
		{ "{ apiVersion: v1, kind: Service, spec: {} }\n",
		  "1:1: found a Service without 'metadata', expected that key" },
		{ "{ apiVersion: projectcalico.org/v3, kind: NetworkPolicy }\n",
		  "1:15: found 'projectcalico.org/v3', expected networking.k8s.io/v1 for kind "
		  "NetworkPolicy" },
		{ "{ apiVersion: policy.networking.k8s.io/v1, kind: ClusterNetworkPolicy }\n",
		  "1:15: found 'policy.networking.k8s.io/v1', expected "
		  "policy.networking.k8s.io/v1alpha2 or policy.networking.k8s.io/v1beta1 for kind "
		  "ClusterNetworkPolicy" },
		{ "{ apiVersion: v1, kind: List, items: [ 1, { kind: Secret } ] }\n",
		  "1:40: found '1', expected a mapping (a manifest)\n"
		  "1:51: kind 'Secret' is not used by Sidestep" },
		{ "{ apiVersion: v1, kind: List, items: {} }\n",
		  "1:38: found a mapping, expected a list of items" },
	};

	CHECK_REFUSALS(refusals);
}

static void test_objects(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "{ apiVersion: v1, kind: Namespace }\n",
		  "1:1: found Namespace without 'metadata', expected that key" },
		{ "{ apiVersion: v1, kind: Namespace, metadata: {} }\n",
		  "1:46: found metadata without 'name', expected that key" },
		{ "{ apiVersion: v1, kind: Namespace, metadata: { name: Shop } }\n",
		  "1:54: found 'Shop', expected a namespace (1 to 63 characters of a-z 0-9 -, no "
		  "hyphen at its ends)" },
		{ "{ apiVersion: v1, kind: Namespace,\n"
		  "  metadata: { name: a, labels: { kubernetes.io/metadata.name: b } } }\n",
		  "1:1: namespace 'a' has the label kubernetes.io/metadata.name 'b', expected its "
		  "name, or not to list that label" },
		{ "{ apiVersion: v1, kind: Pod, status: { podIP: 10.1.0.8 } }\n",
		  "1:1: found Pod without 'metadata', expected that key" },
		{ "{ apiVersion: v1, kind: Pod, metadata: {}, status: { podIP: 10.1.0.8 } }\n",
		  "1:40: found metadata without 'name', expected that key" },
		{ POD_WITH("", "podIP: 10.1.0.300"),
		  "2:20: found '10.1.0.300', expected an IPv4 or IPv6 address" },
		{ POD_WITH("", "podIPs: [ { IP: 10.1.0.3 } ]"),
		  "2:23: found an address without 'ip', expected that key" },
		{ POD_WITH("", "podIP: 0.0.0.0"),
		  "2:20: workload address 0.0.0.0 is unspecified, expected a unicast address" },
		{ POD_WITH("hostNetwork: yes", "podIP: 10.1.0.3"),
		  "1:74: found 'yes', expected true or false" },
		{ POD_WITH("containers: [ { ports: [ { name: a } ] } ]", "podIP: 10.1.0.3"),
		  "1:86: found a container's port without 'containerPort', expected that key" },
		{ POD_WITH("containers: [ { ports: [ { name: a, containerPort: 0 } ] } ]",
			   "podIP: 10.1.0.3"),
		  "1:112: found '0', expected a port from 1 to 65535" },
		{ POD_WITH("containers: {}", "podIP: 10.1.0.3"),
		  "1:73: found a mapping, expected a list of containers" },
	};

	CHECK_REFUSALS(refusals);
}

#define SPEC(spec)                                                                          \
	"{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: p },\n" \
	"  spec: { " spec " } }\n"
#define RULE(rule) SPEC("ingress: [ { " rule " } ]")

/* A typo in a policy opens or closes something. */
static void test_policy_refusals(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: p } }\n",
		  "1:1: found a NetworkPolicy without 'spec', expected that key" },
		{ "{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {} }\n",
		  "1:1: found NetworkPolicy without 'metadata', expected that key" },
		{ "{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spc: {},\n"
		  "  metadata: { name: p }, spec: {} }\n",
		  "1:58: unknown key 'spc' in NetworkPolicy, did you mean 'spec'?" },
		{ "{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {},\n"
		  "  metadata: { name: p, annotations: { sidestep.io/Mode: shadow } } }\n",
		  "2:39: found 'sidestep.io/Mode', expected sidestep.io/mode, the only annotation "
		  "of ours" },
		{ "{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {},\n"
		  "  metadata: { name: p, annotations: { sidestep.io/mode: Shadow } } }\n",
		  "2:57: found 'Shadow', expected enforce or shadow" },
		{ SPEC("podselector: {}"),
		  "2:11: unknown key 'podselector' in the spec of a NetworkPolicy, did you mean "
		  "'podSelector'?" },
		{ SPEC("podSelector: { app: db }"),
		  "2:26: unknown key 'app' in a label selector, expected one of: matchLabels, "
		  "matchExpressions" },
		{ SPEC("podSelector: { matchExpressions: [ { key: a, operator: Is } ] }"),
		  "2:66: found 'Is', expected In, NotIn, Exists or DoesNotExist" },
		{ SPEC("policyTypes: [ingress]"),
		  "2:25: found 'ingress', expected Ingress or Egress" },
		{ SPEC("policyTypes: Ingress"),
		  "2:24: found 'Ingress', expected a list of policy types" },
		{ SPEC("ingress: {}"), "2:20: found a mapping, expected a list of rules" },
		{ SPEC("ingress: [ ~ ]"),
		  "2:22: found nothing, expected a mapping (an ingress rule)" },
		{ RULE("to: []"),
		  "2:24: unknown key 'to' in an ingress rule, expected one of: from, ports" },
		{ SPEC("egress: [ { from: [] } ]"),
		  "2:23: unknown key 'from' in an egress rule, expected one of: to, ports" },
		{ RULE("from: {}"), "2:30: found a mapping, expected a list of peers" },
		{ RULE("from: [ {} ]"),
		  "2:32: found an empty peer, expected podSelector, namespaceSelector or ipBlock" },
		{ RULE("from: [ { podSelector: null } ]"),
		  "2:32: found an empty peer, expected podSelector, namespaceSelector or ipBlock" },
		{ RULE("from: [ { ipBlock: { cidr: 10.0.0.0/8 }, podSelector: {} } ]"),
		  "2:43: found 'ipBlock' beside a selector, expected it alone" },
		{ RULE("from: [ { ipBlock: {} } ]"),
		  "2:43: found an ipBlock without 'cidr', expected that key" },
		{ RULE("from: [ { ipBlock: { cidr: 10.0.0.1/8 } } ]"),
		  "2:51: found '10.0.0.1/8', expected 10.0.0.0/8, without bits behind the prefix" },
		{ RULE("from: [ { ipBlock: { cidr: 10.0.0.0/8, except: [10.0.0.0/8] } } ]"),
		  "2:72: found 10.0.0.0/8 as an exception of 10.0.0.0/8, expected a part of that" },
		{ RULE("from: [ { ipBlock: { cidr: '::/0', except: [10.0.0.0/8] } } ]"),
		  "2:68: found 10.0.0.0/8 as an exception of ::/0, expected a part of that" },
		/* what the policy is not about is read all the same */
		{ SPEC("policyTypes: [Egress], ingress: [ { form: [] } ]"),
		  "2:47: unknown key 'form' in an ingress rule, did you mean 'from'?" },
	};

	CHECK_REFUSALS(refusals);
}

static void test_port_refusals(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ RULE("ports: [ { protocol: SCTP, port: 1 } ]"),
		  "2:45: SCTP is not decided by Sidestep, expected TCP or UDP" },
		{ RULE("ports: [ { protocol: tcp } ]"), "2:45: found 'tcp', expected TCP or UDP" },
		{ RULE("ports: [ { port: 0 } ]"),
		  "2:41: found '0', expected a port from 1 to 65535" },
		{ RULE("ports: [ { port: 65536 } ]"),
		  "2:41: found '65536', expected a port from 1 to 65535" },
		{ RULE("ports: [ { port: 80, endport: 90 } ]"),
		  "2:45: unknown key 'endport' in a port, did you mean 'endPort'?" },
		{ RULE("ports: [ { port: \"80\" } ]"),
		  "2:41: found '80' in quotes, which to Kubernetes is a name and no number, "
		  "expected it without them" },
		{ RULE("ports: [ { port: 80, endPort: '90' } ]"),
		  "2:54: found '90' in quotes, which to Kubernetes is a name and no number, "
		  "expected it without them" },
		{ RULE("ports: [ { port: 80, endPort: 79 } ]"),
		  "2:54: found '79', expected a port that is not below the first one, 80" },
		{ RULE("ports: [ { port: http, endPort: 80 } ]"),
		  "2:56: found 'endPort' without a number in 'port', expected one" },
		{ RULE("ports: [ { endPort: 80 } ]"),
		  "2:44: found 'endPort' without a number in 'port', expected one" },
		{ RULE("ports: [ { port: HTTP } ]"),
		  "2:41: found 'HTTP', expected a port's name (1 to 15 characters of a-z 0-9 -, "
		  "with a letter, no hyphen at its ends or beside another)" },
		{ RULE("ports: [ 80 ]"), "2:33: found '80', expected a mapping (a port)" },
	};

	CHECK_REFUSALS(refusals);
}

#define ANP(rule)                                      \
	CLUSTER("AdminNetworkPolicy", "v1alpha1", "a", \
		"\n  { priority: 1, subject: { namespaces: {} },\n    egress: [ { " rule " } ] }")
#define ANP_TO(peer) ANP("action: Deny, to: [ { " peer " } ]")
#define CNP(spec)    CLUSTER("ClusterNetworkPolicy", "v1alpha2", "c", "\n  { " spec " }")
#define CNP_OPEN(protocol)                                                            \
	CNP("tier: Admin, priority: 1, subject: { namespaces: {} },\n    ingress: [ " \
	    "{ action: Accept, from: [ { namespaces: {} } ], protocols: [ { " protocol " } ] } ]")

static void test_cluster_refusals(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ CNP(""), "5:3: found the spec of a ClusterNetworkPolicy without 'tier', expected "
			   "that key\n"
			   "5:3: found the spec of a ClusterNetworkPolicy without 'priority', "
			   "expected that key\n"
			   "5:3: found the spec of a ClusterNetworkPolicy without 'subject', "
			   "expected that key" },
		{ CNP("tier: admin, priority: 1001, subject: {}"),
		  "5:11: found 'admin', expected Admin or Baseline\n"
		  "5:28: found '1001', expected a priority from 0 to 1000\n"
		  "5:43: found a subject with 0 keys, expected exactly one" },
		{ CNP("tier: Admin, priority: 1,\n"
		      "  subject: { namespaces: {}, pods: { podSelector: {} } }"),
		  "6:12: found a subject with 2 keys, expected exactly one" },
		{ CNP("tier: Admin, priority: 1, subject: { pods: { namespaceSelector: {} } }"),
		  "5:48: found pods without 'podSelector', expected that key" },
		{ CNP("tier: Admin, priority: 1, subject: { podSelector: {} }"),
		  "5:42: unknown key 'podSelector' in a subject, expected one of: namespaces, "
		  "pods" },
		{ CNP("tier: Baseline, priority: 1, subject: { namespaces: {} },\n"
		      "    ingress: [ { action: Pass, from: [ { namespaces: {} } ] } ]"),
		  "6:26: found 'Pass', expected Accept or Deny" },
		{ CNP("tier: Admin, priority: 1, subject: { namespaces: {} },\n"
		      "    ingress: [ { action: Allow, from: [ { nodes: {} } ], ports: [] } ]"),
		  "6:58: unknown key 'ports' in an ingress rule, expected one of: name, action, "
		  "from, protocols\n"
		  "6:26: found 'Allow', expected Accept, Deny or Pass\n"
		  "6:43: unknown key 'nodes' in a peer, did you mean 'pods'?" },
		{ CNP_OPEN("sctp: { destinationPort: { number: 1 } }"),
		  "6:79: SCTP is not decided by Sidestep, expected tcp or udp" },
		{ CNP_OPEN("tcp: {}"),
		  "6:84: found a protocol without 'destinationPort', expected that key" },
		{ CNP_OPEN("tcp: { destinationPort: 80 }"),
		  "6:103: found '80', expected a mapping (a destinationPort)" },
		{ CNP_OPEN("tcp: { destinationPort: { number: 1, range: { start: 1, end: 2 } } }"),
		  "6:103: found a destinationPort with 2 keys, expected exactly one" },
		{ CNP_OPEN("udp: { destinationPort: { range: { start: 3, end: 2 } } }"),
		  "6:129: found '2', expected a port that is not below the first one, 3" },
		{ CNP_OPEN("tcp: null"),
		  "6:77: found a protocol with 0 keys, expected exactly one" },
	};

	CHECK_REFUSALS(refusals);
}

static void test_admin_refusals(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ ANP("name: r"), "6:15: found an egress rule without 'action', expected that key\n"
				  "6:15: found an egress rule without 'to', expected that key" },
		{ ANP("action: Accept, to: []"),
		  "6:25: found 'Accept', expected Allow, Deny or Pass\n"
		  "6:37: found 0 peers, expected 1 to 10000" },
		{ ANP("action: Deny, to: [ { namespaces: {} } ], ports: []"),
		  "6:66: found 0 ports, expected 1 to 10000" },
		{ ANP_TO("domainNames: [ example.org ]"),
		  "6:39: domainNames is not supported: Sidestep decides by addresses, and knows no "
		  "names of domains" },
		{ ANP_TO("nodes: { matchLabels: { zone: b } }"),
		  "6:46: found a selection among nodes, whose labels are not known here, expected {} "
		  "for all of them" },
		{ ANP_TO("networks: []"), "6:49: found 0 networks, expected 1 to 10000" },
		{ ANP_TO("networks: [10.0.0.1/8]"),
		  "6:50: found '10.0.0.1/8', expected 10.0.0.0/8, without bits behind the prefix" },
		{ ANP("name: \"a\\tb\", action: Deny, to: [ { namespaces: {} } ]"),
		  "6:23: found 'a?b', expected a rule's name (up to 100 characters of ASCII)" },
		{ ANP("action: Deny, to: [ { nodes: {} } ],\n"
		      "  ports: [ { namedPort: http } ]"),
		  "6:15: found the name of a port beside 'networks' or 'nodes', which have no names "
		  "for ports, expected its number" },
		{ ANP("action: Deny, to: [ { namespaces: {} } ],\n"
		      "  ports: [ { portNumber: { port: 1 }, namedPort: http } ]"),
		  "7:12: found a port with 2 keys, expected exactly one" },
		{ ANP("action: Deny, to: [ { namespaces: {} } ],\n"
		      "  ports: [ { portNumber: { port: 1, protocol: SCTP } } ]"),
		  "7:47: SCTP is not decided by Sidestep, expected TCP or UDP" },
		{ CLUSTER("BaselineAdminNetworkPolicy", "v1alpha1", "mine",
			  "{ subject: { namespaces: {} }, priority: 1,\n"
			  "  ingress: [ { action: Pass, from: [ { namespaces: {} } ] } ] }"),
		  "3:19: found 'mine', expected 'default', the name of the only "
		  "BaselineAdminNetworkPolicy that there may be\n"
		  "4:38: unknown key 'priority' in the spec of a BaselineAdminNetworkPolicy, "
		  "expected one of: subject, ingress, egress\n"
		  "5:24: found 'Pass', expected Allow or Deny" },
	};

	CHECK_REFUSALS(refusals);
}

/* ---- documents and files --------------------------------------------------------------- */

static void test_documents(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "services: []\n---\n# nothing\n---\nnode: {}\n",
		  "5:1: found a second configuration of the node, the first is at line 1" },
		{ "kind: Pod\n---\nkind: Pod\n",
		  "1:1: found Pod without 'apiVersion', expected that key\n"
		  "3:1: found Pod without 'apiVersion', expected that key" },
		{ "--- ~\n---\n...\n", " found an empty file, expected a configuration" },
		/* an anchor is one of its document */
		{ "node: &n {}\n---\nkind: *n\n", "3:7: not valid YAML: found undefined alias" },
		{ "[ kind ]\n", "1:1: found a list, expected a mapping (the configuration)" },
	};

	CHECK_REFUSALS(refusals);
	assert_told("---\n---\n# nothing\n---\n"
		    "{ apiVersion: v1, kind: Namespace, metadata: { name: shop } }\n"
		    "---\nnode: {}\n---\n",
		    SHOP);
}

/* Each document may stay below the limit, and all of them be far above it. */
static void test_values_of_all_documents(void **unused UNUSED)
{
	_cleanup_text_ struct text yaml = { 0 }, told = { 0 };

	for (int i = 0; i < 20; i++) {
		text_add(&yaml,
			 "---\napiVersion: v1\nkind: Namespace\nmetadata: { name: n%d }\n"
			 "a: &a [x,x,x,x,x,x,x,x,x,x]\n",
			 i);
		for (char c = 'b'; c <= 'f'; c++)
			text_add(&yaml, "%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c,
				 c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
	}
	told = load_refused(text_string(&yaml));
	assert_string_equal(text_string(&told), " found more than 10000000 values with aliases "
						"followed, expected at most that many");
}

#define FILES 3

static char folder[] = "/tmp/sidestep-manifest-XXXXXX";
static char paths[FILES][sizeof(folder) + 8];

static int make_folder(void **unused UNUSED)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	for (int i = 0; i < FILES; i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/%c.yaml", folder, 'a' + i);
	return 0;
}

static int remove_folder(void **unused UNUSED)
{
	for (int i = 0; i < FILES; i++)
		unlink(paths[i]);
	return rmdir(folder);
}

static void write_file(int i, const char *text)
{
	_cleanup_fclose_ FILE *file = fopen(paths[i], "we");

	assert_non_null(file);
	assert_int_equal(fchmod(fileno(file), 0600), 0);
	assert_true(fputs(text, file) >= 0);
}

static int load_files(size_t n, struct problems *problems, struct model **ret)
{
	const char *const files[] = { paths[0], paths[1], paths[2] };

	return yaml_load_files(files, n, NULL, problems, ret);
}

static void test_files(void **unused UNUSED)
{
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_model_ struct model *model = NULL;
	_cleanup_text_ struct text source = { 0 };

	write_file(0, "{ apiVersion: v1, kind: Namespace, metadata: { name: shop } }\n");
	write_file(1, "node: { fail: closed }\nservices:\n"
		      "  - { name: web, address: 10.0.0.1, port: 80,\n"
		      "      endpoints: [ { address: 10.1.0.1 } ] }\n");
	write_file(2, "# pods\n---\n" POD_WITH("", "podIP: 10.1.0.1"));
	assert_int_equal(load_files(3, &problems, &model), 0);
	text_add(&source, "%s, %s, %s", paths[0], paths[1], paths[2]);
	assert_string_equal(model->source, text_string(&source));
	assert_true(model->node.fail_closed);
	assert_int_equal(model->n_services, 1);
	assert_string_equal(model->namespaces[0].place.file, paths[0]);
	assert_int_equal(model->namespaces[0].place.line, 1);
	assert_string_equal(model->services[0].ports[0].endpoints[0].place.file, paths[1]);
	assert_string_equal(model->workloads[0].place.file, paths[2]);
	assert_int_equal(model->workloads[0].place.line, 3);
}

/* The problems a line each, without the folder. */
static struct text load_files_refused(size_t n, int error)
{
	_cleanup_problems_ struct problems problems = { 0 };
	struct model *untouched = (void *)0x1, *model = untouched;
	struct text text = { 0 };

	assert_int_equal(load_files(n, &problems, &model), error);
	assert_ptr_equal(model, untouched);
	for (unsigned i = 0; i < problems.count; i++) {
		for (const char *c = problems.text[i]; *c; c++)
			if (!strncmp(c, folder, strlen(folder)))
				c += strlen(folder);
			else
				text_add_bytes(&text, c, 1);
		text_add(&text, "\n");
	}
	return text;
}

static void test_file_of_a_problem(void **unused UNUSED)
{
	_cleanup_text_ struct text told = { 0 };

	write_file(0, "workloads:\n  - { name: w, addresses: [10.1.0.1] }\n");
	write_file(1, POD_WITH("", "podIP: 10.1.0.1"));
	write_file(2, "\nnode: {}\n---\nkind: Secret\n");
	told = load_files_refused(3, -EINVAL);
	assert_string_equal(
		text_string(&told),
		"c.yaml:2:1: found a second configuration of the node, the first is at a.yaml:1\n"
		"c.yaml:4:7: kind 'Secret' is not used by Sidestep\n"
		"b.yaml:2:20: address 10.1.0.1 of workload 'p' is already that of workload 'w' at "
		"a.yaml:2\n");
}

/* Each is read, and what would only be missing is not told. */
static void test_unreadable_file(void **unused UNUSED)
{
	_cleanup_text_ struct text told = { 0 };

	write_file(0, "node: [\n");
	write_file(2, "services:\n");
	told = load_files_refused(3, -EINVAL);
	assert_string_equal(
		text_string(&told),
		"a.yaml:2:1: not valid YAML: did not find expected node content (while parsing a "
		"flow node at line 2)\n"
		"b.yaml: cannot read: No such file or directory\n"
		"c.yaml:1:10: found nothing, expected a list of services\n");
	unlink(paths[0]);
	unlink(paths[2]);
	_cleanup_text_ struct text missing = load_files_refused(1, -ENOENT);
	assert_string_equal(text_string(&missing),
			    "a.yaml: cannot read: No such file or directory\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespace),
		cmocka_unit_test(test_pod),
		cmocka_unit_test(test_no_workloads),
		cmocka_unit_test(test_network_policy),
		cmocka_unit_test(test_policy_types),
		cmocka_unit_test(test_shadow),
		cmocka_unit_test(test_cluster_policy),
		cmocka_unit_test(test_baseline_tier),
		cmocka_unit_test(test_admin_policy),
		cmocka_unit_test(test_baseline_policy),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_10000_pods),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_policy_refusals),
		cmocka_unit_test(test_port_refusals),
		cmocka_unit_test(test_cluster_refusals),
		cmocka_unit_test(test_admin_refusals),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_values_of_all_documents),
		cmocka_unit_test_setup_teardown(test_files, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_file_of_a_problem, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_unreadable_file, make_folder, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
