/* SPDX-License-Identifier: Apache-2.0 */
#include "model/kube_proxy.h"

const char *kube_proxy_mode_name(enum kube_proxy_mode mode)
{
	static const char *const names[] = {
#define X(symbol, name) [KUBE_PROXY_##symbol] = name,
		KUBE_PROXY_MODES(X)
#undef X
	};

	return names[mode];
}

bool kube_proxy_is_there(const struct kube_proxy_sight *sight)
{
	for (int i = 0; i < KUBE_PROXY_MODE_MAX; i++)
		if (sight->rules[i])
			return true;
	return false;
}

void kube_proxy_describe(const struct kube_proxy_sight *sight, struct text *out)
{
	const char *separator = "";

	for (int i = 0; i < KUBE_PROXY_MODE_MAX; i++)
		if (sight->rules[i]) {
			text_add(out, "%s%s", separator, kube_proxy_mode_name(i));
			separator = ", ";
		}
	if (!*separator)
		text_add(out, sight->unseen ? "not known" : "none");
}

size_t kube_proxy_unserved(const struct kube_proxy_sight *sight, size_t exposed)
{
	return sight->unseen || kube_proxy_is_there(sight) ? 0 : exposed;
}

static void tell_unserved(size_t n, struct text *out)
{
	text_add(out,
		 "nobody on this node serves callers from outside of it at the node ports and "
		 "external addresses of %zu service%s",
		 n, n == 1 ? "" : "s");
}

/* Rules stay when kube-proxy goes, and lead to endpoints of then. */
static void tell_left(const struct kube_proxy_sight *sight, struct text *out)
{
	text_add(out, "node.kube-proxy is 'replaced', and there are rules of kube-proxy (");
	kube_proxy_describe(sight, out);
	text_add(out, "): it runs all the same, or has left them behind ('kube-proxy --cleanup' "
		      "takes them away)");
}

bool kube_proxy_judge(enum kube_proxy_stated stated, const struct kube_proxy_sight *sight,
		      size_t exposed, struct text *out)
{
	size_t unserved = kube_proxy_unserved(sight, exposed);

	if (kube_proxy_is_there(sight)) {
		if (stated == KUBE_PROXY_REPLACED)
			tell_left(sight, out);
		return stated == KUBE_PROXY_REPLACED;
	}
	if (sight->unseen)
		return false;
	if (stated == KUBE_PROXY_BESIDE) {
		text_add(out, "node.kube-proxy is 'beside', and there are no rules of kube-proxy "
			      "in this network namespace");
		if (unserved)
			text_add(out, ": ");
	}
	if (unserved)
		tell_unserved(unserved, out);
	return unserved || stated == KUBE_PROXY_BESIDE;
}
