/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/surroundings.h"

#include <string.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "daemon/log.h"
#include "datapath/kube_proxy.h"
#include "datapath/listener.h"
#include "datapath/locate.h"
#include "export/json.h"

/* Both looks cost milliseconds where there are thousands of services. */
#define LOOK_NS 30000000000ULL

static void look_for_kube_proxy(const struct surroundings_view *view, struct text *wrong,
				struct metrics_daemon *self)
{
	kube_proxy_look(&self->kube_proxy);
	self->unserved = kube_proxy_unserved(&self->kube_proxy, view->exposed);
	self->kube_proxy_differs =
		kube_proxy_judge(view->stated, &self->kube_proxy, view->exposed, wrong);
}

static void look_for_shadows(const struct surroundings_view *view, struct problems *warnings,
			     struct metrics_daemon *self)
{
	_cleanup_shadow_sockets_ struct shadow_sockets sockets = {};
	_cleanup_model_host_ struct model_host host = {};

	if (!locate_self(&host) && !listener_list(&sockets))
		shadow_find(view->state, &host, &sockets, warnings, &self->shadowed);
}

static const char *message(const struct problems *problems, unsigned i)
{
	return problems->text[i] + problems->parts[i].message;
}

static void log_new(const struct problems *warnings, const struct problems *before)
{
	for (unsigned i = 0; i < warnings->count; i++)
		if (!problems_have(before, warnings->text[i]))
			log_line("warning: %s", message(warnings, i));
	if (warnings->more && !before->more)
		log_line("warning: ... and %u more of the kind", warnings->more);
}

bool surroundings_look(struct surroundings *surroundings, const struct surroundings_view *view,
		       struct metrics_daemon *self)
{
	uint64_t time = clock_ns(CLOCK_MONOTONIC);
	struct problems warnings = {};

	if (surroundings->looked_ns && time - surroundings->looked_ns < LOOK_NS)
		return false;
	surroundings->looked_ns = time;
	text_release(&surroundings->kube_proxy);
	look_for_kube_proxy(view, &surroundings->kube_proxy, self);
	if (surroundings->kube_proxy.length)
		problems_warn(&warnings, "sidestep", (struct place){}, "%s",
			      text_string(&surroundings->kube_proxy));
	look_for_shadows(view, &warnings, self);
	log_new(&warnings, &surroundings->warnings);
	problems_release(&surroundings->warnings);
	surroundings->warnings = warnings;
	return true;
}

void surroundings_expect(struct surroundings *surroundings)
{
	surroundings->looked_ns = 0;
}

json_t *surroundings_json(const struct surroundings *surroundings)
{
	const struct problems *warnings = &surroundings->warnings;
	json_t *array = json_array();

	for (unsigned i = 0; i < warnings->count; i++)
		json_add(&array, json_string(message(warnings, i)));
	return array;
}

void surroundings_release(struct surroundings *surroundings)
{
	problems_release(&surroundings->warnings);
	text_release(&surroundings->kube_proxy);
}
