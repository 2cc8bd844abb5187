/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What policies cost outside the kernel, for tests/bench/policy.bash: the time to compile a set and
 * its size, and the time of one decision, of one look-up of an address and of one of a cgroup.
 * See usage().
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "policy/compile.h"

#define NAMESPACES 100
#define APPS       100
#define QUESTIONS  200000

static void usage(void)
{
	fprintf(stderr,
		"usage: policy shared|own IDENTITIES RULES\n"
		"  own     each workload has an identity and, with enough rules, rows of its own\n"
		"  shared  all are distinct, but rules know a hundred apps only\n"
		"Prints ms to compile a set, ms to compile it with the set before it there, its MB,\n"
		"then ns of a decision, of finding an address and of finding a cgroup.\n");
	exit(2);
}

/* Of the processor: nothing here waits, and others may use the machine. */
static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void *allocate(size_t n, size_t size)
{
	void *memory = calloc(n ? n : 1, size);

	if (!memory)
		abort();
	return memory;
}

static char *name(const char *format, size_t n)
{
	char *text;

	if (asprintf(&text, format, n) < 0)
		abort();
	return text;
}

static uint64_t seed = 1;

static size_t random_below(size_t n)
{
	seed = sst_policy_mix(seed + 0x9e3779b97f4a7c15ULL);
	return seed % n;
}

/* ---- a model ------------------------------------------------------------------------------ */

static struct model_labels make_labels(const char *app, size_t n, size_t pod)
{
	struct model_labels labels = { allocate(2, sizeof(struct model_label)), 2 };

	labels.items[0] = (struct model_label){ strdup("app"), name(app, n) };
	labels.items[1] = (struct model_label){ strdup("pod"), name("p%zu", pod) };
	return labels;
}

static struct model_selector make_selector(size_t app)
{
	struct model_requirement *requirement = allocate(1, sizeof(*requirement));

	requirement->key = strdup("app");
	requirement->values = allocate(1, sizeof(char *));
	requirement->values[0] = name("a%zu", app);
	requirement->n_values = 1;
	return (struct model_selector){ requirement, 1, { 0 } };
}

static struct model_cidr make_cidr(uint32_t address, uint8_t bits)
{
	struct sst_addr v4 = { { 0, 0, htonl(0xffff), htonl(address) } };

	return (struct model_cidr){ v4, 96 + bits, { 0 } };
}

static void make_workload(struct model_workload *workload, size_t i, size_t apps)
{
	workload->name = name("w%zu", i);
	workload->name_space = name("n%zu", i % NAMESPACES);
	workload->labels = make_labels("a%zu", i % apps, i);
	workload->cgroup = name("/kubepods.slice/pod%zu", i);
	workload->addresses = allocate(1, sizeof(*workload->addresses));
	workload->addresses[0] = make_cidr(0x0a000000 + i, 32);
	workload->n_addresses = 1;
}

static void make_rule(struct model_rule *rule, size_t i, size_t apps)
{
	rule->direction = i % 2;
	rule->peers = allocate(2, sizeof(*rule->peers));
	rule->n_peers = 1 + !(i % 10);
	rule->peers[0].workloads = make_selector(random_below(apps));
	rule->peers[0].namespaces = allocate(1, sizeof(struct model_selector));
	rule->peers[1].kind = MODEL_PEER_NETWORK;
	rule->peers[1].network = make_cidr(0xc0000000 + (random_below(4096) << 8), 24);
	rule->ports = allocate(1, sizeof(*rule->ports));
	rule->n_ports = 1;
	rule->ports->protocol = IPPROTO_TCP;
	rule->ports->first = rule->ports->last = 1 + random_below(1000);
}

/* One rule a policy: of the network tier, or each tenth of the admin tier. */
static void make_policy(struct model_policy *policy, size_t i, size_t apps)
{
	bool admin = i % 10 == 9;

	policy->name = name("policy%zu", i);
	policy->name_space = admin ? strdup("") : name("n%zu", random_below(NAMESPACES));
	policy->tier = admin ? SST_TIER_ADMIN : SST_TIER_NETWORK;
	policy->isolates[i % 2] = !admin;
	policy->subject = make_selector(random_below(apps));
	policy->rules = allocate(1, sizeof(*policy->rules));
	policy->n_rules = 1;
	make_rule(policy->rules, i, apps);
}

static struct model *make_model(size_t identities, size_t rules, bool own)
{
	struct model *model = model_new("bench");
	size_t apps = own ? identities : APPS;

	if (!model)
		abort();
	seed = 1;
	model->workloads = allocate(identities, sizeof(*model->workloads));
	model->namespaces = allocate(NAMESPACES, sizeof(*model->namespaces));
	model->policies = allocate(rules, sizeof(*model->policies));
	for (size_t i = 0; i < identities; i++)
		make_workload(&model->workloads[model->n_workloads++], i, apps);
	for (size_t i = 0; i < NAMESPACES; i++)
		model->namespaces[model->n_namespaces++].name = name("n%zu", i);
	for (size_t i = 0; i < rules; i++)
		make_policy(&model->policies[model->n_policies++], i, apps);
	return model;
}

/* ---- measuring ----------------------------------------------------------------------------- */

/* Nanoseconds a decision takes, of random questions of who lives here. */
static double time_decisions(const struct policy_set *set, unsigned *sum)
{
	uint32_t n = policy_head(set)->n_identities;
	double begin = now_ms();

	for (int i = 0; i < QUESTIONS; i++) {
		struct sst_policy_query query = {
			.subject = SST_IDENTITY_RESERVED + random_below(n - SST_IDENTITY_RESERVED),
			.peer = random_below(n),
			.port = 1 + random_below(1000),
			.protocol = IPPROTO_TCP,
			.direction = i % 2,
		};

		*sum += policy_decide(set, &query).denied;
	}
	return (now_ms() - begin) * 1e6 / QUESTIONS;
}

static double time_addresses(const struct policy_set *set, size_t identities, unsigned *sum)
{
	double begin = now_ms();

	for (int i = 0; i < QUESTIONS; i++) {
		struct model_cidr cidr = make_cidr(0x0a000000 + random_below(2 * identities), 32);

		*sum += !!policy_locate(set, &cidr.address).workload;
	}
	return (now_ms() - begin) * 1e6 / QUESTIONS;
}

static double time_keys(const struct policy_set *set, size_t identities, unsigned *sum)
{
	uint64_t *hashes = allocate(identities, sizeof(*hashes));
	double begin;

	for (size_t i = 0; i < identities; i++) {
		char *path = name("/kubepods.slice/pod%zu", i);

		policy_path_hash(policy_head(set)->seed, path, &hashes[i]);
		free(path);
	}
	begin = now_ms();
	for (int i = 0; i < QUESTIONS; i++)
		*sum += !!sst_policy_find(&set->memory, policy_head(set), SST_KEY_CGROUP_PATH,
					  hashes[random_below(identities)]);
	free(hashes);
	return (now_ms() - begin) * 1e6 / QUESTIONS;
}

static void measure(struct model *model, size_t identities)
{
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_policy_set_ struct policy_set set = { 0 }, again = { 0 };
	struct policy_set nothing = { 0 };
	struct policy_host host = { 0 };
	struct policy_ids ids = { 0 };
	double begin = now_ms(), first, second;
	unsigned sum = 0; /* of all answers, so that they are asked for */

	if (policy_compile(model, &host, &nothing, &ids, &problems, &set)) {
		fprintf(stderr, "%s\n", problems.count ? problems.text[0] : "failed");
		exit(1);
	}
	first = now_ms() - begin;
	begin = now_ms();
	if (policy_compile(model, &host, &set, &ids, &problems, &again))
		exit(1);
	second = now_ms() - begin;
	printf("%.2f %.2f %.3f", first, second, set.memory.blocks * (SST_BLOCK_BYTES / 1e6));
	printf(" %.1f", time_decisions(&set, &sum));
	printf(" %.1f", time_addresses(&set, identities, &sum));
	printf(" %.1f\n", time_keys(&set, identities, &sum));
	if (!sum)
		exit(1);
}

int main(int argc, char **argv)
{
	_cleanup_model_ struct model *model = NULL;
	bool own = argc == 4 && !strcmp(argv[1], "own");
	size_t identities;

	if (argc != 4 || (!own && strcmp(argv[1], "shared")))
		usage();
	identities = strtoul(argv[2], NULL, 10);
	if (!identities)
		usage();
	model = make_model(identities, strtoul(argv[3], NULL, 10), own);
	measure(model, identities);
	return 0;
}
