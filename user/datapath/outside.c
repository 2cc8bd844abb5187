/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/outside.h"

#include <string.h>

#include "core/cleanup.h"
#include "core/text.h"
#include "datapath/host.h"

struct outside {
	const char *top; /* what the programs see, below the cgroup2 root; NULL: not known */
	unsigned n;
	struct text first;
	struct place place;
};

/* Where path is top or lies below it, name by name: what is behind top. NULL: it does not. */
static const char *below(const char *path, const char *top)
{
	for (;;) {
		size_t n;

		path += strspn(path, "/");
		top += strspn(top, "/");
		n = strcspn(top, "/");
		if (!n)
			return path;
		if (strcspn(path, "/") != n || memcmp(path, top, n))
			return NULL;
		path += n;
		top += n;
	}
}

/* root is to last as long as what is returned. */
static struct outside begin(const char *attached, char root[PATH_MAX])
{
	return (struct outside){ .top = host_cgroup_root(root) ? NULL : below(attached, root) };
}

static void look_at(struct outside *outside, const char *name_space, const char *name,
		    const char *cgroup, struct place place)
{
	if (!outside->top || below(cgroup, outside->top) || outside->n++)
		return;
	text_add(&outside->first, "workload %s%s%s: cgroup %s", name_space, *name_space ? "/" : "",
		 name, cgroup);
	outside->place = place;
}

static void end(struct outside *outside, const char *source, struct problems *problems)
{
	_cleanup_text_ struct text others = {};

	if (outside->n > 1)
		text_add(&others, "; so do those of %u more", outside->n - 1);
	if (outside->n)
		problems_warn(problems, source, outside->place,
			      "%s lies outside of /%s, to which the programs are attached: they "
			      "see none of its sockets%s",
			      text_string(&outside->first), outside->top, text_string(&others));
	text_release(&outside->first);
}

void outside_tell(const struct model *model, const char *attached, struct problems *problems)
{
	char root[PATH_MAX];
	struct outside outside = begin(attached, root);

	for (size_t i = 0; i < model->n_workloads; i++) {
		const struct model_workload *workload = &model->workloads[i];

		if (workload->cgroup)
			look_at(&outside, workload->name_space, workload->name, workload->cgroup,
				workload->place);
	}
	end(&outside, model->source, problems);
}

/* Of "cgroup /shop/web, 10.1.0.7" the path; NULL: it is not known by that, or memory is out. */
static char *cgroup_of(const char *how)
{
	const char *path = how + strlen("cgroup ");

	if (strncmp(how, "cgroup /", strlen("cgroup /")))
		return NULL;
	return strndup(path, strcspn(path, ","));
}

void outside_tell_loaded(const struct policy_set *set, const char *attached,
			 struct problems *problems)
{
	uint32_t n = policy_set_is_empty(set) ? 0 : policy_head(set)->n_workloads;
	char root[PATH_MAX];
	struct outside outside = begin(attached, root);

	for (uint32_t i = 1; i < n; i++) {
		const struct sst_policy_workload *workload = policy_workload(set, i);
		const struct sst_policy_identity *identity =
			policy_identity(set, workload->identity);
		_cleanup_free_ char *cgroup = cgroup_of(policy_text(set, workload->how));

		if (cgroup)
			look_at(&outside, policy_text(set, identity->name_space),
				policy_text(set, workload->name), cgroup, (struct place){});
	}
	end(&outside, "sidestep", problems);
}
