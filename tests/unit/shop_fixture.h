/* SPDX-License-Identifier: Apache-2.0 */
/* For what people see of policy: sets from the words that they write. */
#ifndef TESTS_UNIT_SHOP_FIXTURE_H
#define TESTS_UNIT_SHOP_FIXTURE_H

#include "export_fixture.h"

#include "policy/compile.h"
#include "source/yaml.h"

/* A web server and its database, a stranger, a guard above them, something in shadow. */
#define SHOP_WORKLOADS                                                                          \
	"workloads:\n"                                                                          \
	"  - { name: web, namespace: shop, labels: {app: web}, addresses: [10.1.0.2] }\n"       \
	"  - { name: db, namespace: shop, labels: {app: db}, addresses: [10.1.0.7, fd00::7],\n" \
	"      ports: {pg: 5432} }\n"                                                           \
	"  - { name: web, namespace: other, labels: {app: web}, cgroup: /other.slice }\n"       \
	"  - { name: far, namespace: shop, labels: {app: far}, addresses: [10.1.0.9],\n"        \
	"      remote: true }\n"

#define SHOP_POLICIES                                                                       \
	"policies:\n"                                                                       \
	"  - name: db-ingress\n"                                                            \
	"    namespace: shop\n"                                                             \
	"    subject: {app: db}\n"                                                          \
	"    ingress:\n"                                                                    \
	"      - { name: from-web, from: [{labels: {app: web}}], ports: [pg] }\n"           \
	"  - name: guard\n"                                                                 \
	"    tier: admin\n"                                                                 \
	"    priority: 10\n"                                                                \
	"    subject: {}\n"                                                                 \
	"    ingress:\n"                                                                    \
	"      - { name: trust, from: [{identity: world}], ports: [5432], action: pass }\n" \
	"      - { name: no-world, from: [{identity: world}], action: deny, mode: shadow }\n"

#define SHOP SHOP_WORKLOADS SHOP_POLICIES

static inline struct model *shop_model(const char *yaml)
{
	_cleanup_problems_ struct problems problems = {};
	struct model *model = NULL;

	if (yaml_load_text("shop.yaml", yaml, strlen(yaml), NULL, &problems, &model))
		fail_msg("%s", problems.count ? problems.text[0] : "no memory");
	return model;
}

static inline struct policy_set shop_set(const char *yaml, const struct policy_set *before)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_model_ struct model *model = shop_model(yaml);
	static struct policy_ids ids;
	struct policy_host host = {};
	struct policy_set set = {};
	struct policy_set none = {};

	if (!before)
		ids = (struct policy_ids){};
	assert_int_equal(policy_compile(model, &host, before ?: &none, &ids, &problems, &set), 0);
	return set;
}

#endif
