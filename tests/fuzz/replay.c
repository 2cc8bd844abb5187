/* SPDX-License-Identifier: Apache-2.0 */
/* Records of flows, a line each, as they are read for a replay and judged anew. */
#include "fuzz.h"

#include <jansson.h>

#include "export/flowlog.h"

static struct policy_set set;
static const struct judge judge = { &set, true };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct policy_set none;
	static const struct policy_host host;
	_cleanup_problems_ struct problems problems = {};
	_cleanup_model_ struct model *model = load_model(
		"workloads:\n"
		"  - { name: web, labels: {app: web}, addresses: [10.1.0.2] }\n"
		"  - { name: db, labels: {app: db}, addresses: [10.1.0.7, 'fd00::/64'] }\n"
		"policies:\n"
		"  - name: p\n"
		"    subject: {app: db}\n"
		"    ingress: [{from: [{labels: {app: web}}, {identity: host}], ports: [80]}]\n");
	struct policy_ids ids = {};

	(void)argc;
	(void)argv;
	json_object_seed(1); /* the same bytes have to do the same each time */
	assert(!policy_compile(model, &host, &none, &ids, &problems, &set));
	return 0;
}

/* A line is judged, or was there before, or is told. */
static void replay_line(struct flowlog *log, const char *line, unsigned number,
			struct replay *replay)
{
	_cleanup_problems_ struct problems problems = {};
	struct replay_flow flow = {};
	int r = flowlog_read(log, line, "fuzz.json", number, &problems, &flow);

	assert(r >= 0 || r == -EINVAL);
	check_told(r < 0 ? r : 0, &problems);
	if (r > 0)
		assert(!replay_add(replay, &judge, &flow));
	flowlog_flow_release(&flow);
}

/* Each flow that is judged another way is in one group. */
static void check_groups(const struct replay *replay)
{
	uint64_t denied = 0, opened = 0;

	for (size_t i = 0; i < replay->n_changes; i++) {
		const struct replay_change *change = &replay->changes[i];

		denied += change->verdict.denied ? change->count : 0;
		opened += change->verdict.denied ? 0 : change->count;
	}
	assert(denied == replay->denied && opened == replay->opened);
	assert(denied + opened <= replay->flows && replay->unknown <= replay->flows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size);
	_cleanup_flowlog_ struct flowlog log = {};
	_cleanup_replay_ struct replay replay = {};
	char *rest = text, *line;

	assert(text);
	for (unsigned n = 1; (line = strsep(&rest, "\n")); n++)
		replay_line(&log, line, n, &replay);
	replay_group(&replay);
	check_groups(&replay);
	return 0;
}
