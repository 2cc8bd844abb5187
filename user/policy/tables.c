/* SPDX-License-Identifier: Apache-2.0 */
/* The tables by which an address and a port find what they are: intervals, pages. */
#include "policy/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_PORTS  256
#define PAGES       (2 * 65536 / PAGE_PORTS)
#define CLASSES_MAX 65536 /* of ports: they are 16 bits wide */

/* ---- addresses ------------------------------------------------------------------------------ */

static bool continues(const struct sst_policy_interval *a, const struct sst_policy_interval *b)
{
	return a->identity == b->identity && a->workload == b->workload && a->network == b->network;
}

int policy_make_intervals(struct compile *compile)
{
	const struct space *space = &compile->address_space;
	const struct owner *owner = compile->owners;
	size_t n = 0;

	compile->intervals = calloc(space->n, sizeof(*compile->intervals));
	if (!compile->intervals)
		return -ENOMEM;
	for (size_t i = 0; i < space->n; i++) {
		struct sst_policy_interval interval = {
			.high = space->cuts[i] >> 64,
			.low = space->cuts[i],
			.network = compile->classes[SST_FIELD_NETWORK][i],
		};

		if (owner->range.last < space->cuts[i])
			owner++;
		interval.identity = owner->identity;
		interval.workload = owner->workload;
		if (!n || !continues(&compile->intervals[n - 1], &interval))
			compile->intervals[n++] = interval;
	}
	compile->n_intervals = n;
	if (n > SST_INTERVALS_MAX)
		return policy_refuse_size(compile, "intervals of addresses", n, SST_INTERVALS_MAX);
	return 0;
}

/* ---- ports ---------------------------------------------------------------------------------- */

static int add_page(struct compile *compile, struct dictionary *known, const uint16_t *page,
		    uint16_t *ret)
{
	size_t size = PAGE_PORTS * sizeof(*page);
	uint32_t number = compile->n_pages;
	int r = dictionary_add(known, page, size, &number);

	if (r == -ENOMEM)
		return r;
	if (!r)
		memcpy(compile->pages + compile->n_pages++ * PAGE_PORTS, page, size);
	*ret = number;
	return 0;
}

int policy_make_ports(struct compile *compile)
{
	_cleanup_dictionary_ struct dictionary known = { 0 };
	const struct space *space = &compile->port_space;
	size_t interval = 0;
	int r = 0;

	if (compile->rows[SST_FIELD_PORT].n > CLASSES_MAX)
		return policy_refuse_size(compile, "classes of ports",
					  compile->rows[SST_FIELD_PORT].n, CLASSES_MAX);
	compile->pages = calloc(PAGES * PAGE_PORTS, sizeof(*compile->pages));
	if (!compile->pages)
		return -ENOMEM;
	for (size_t i = 0; !r && i < PAGES; i++) {
		uint16_t page[PAGE_PORTS];

		for (size_t j = 0; j < PAGE_PORTS; j++) {
			if (interval + 1 < space->n &&
			    space->cuts[interval + 1] <= i * PAGE_PORTS + j)
				interval++;
			page[j] = compile->classes[SST_FIELD_PORT][interval];
		}
		r = add_page(compile, &known, page, &compile->page_of[i]);
	}
	return r;
}
