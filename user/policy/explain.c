/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/explain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "policy/judge.h"
#include "policy/match.h"

/* ---- one direction ---------------------------------------------------------------- */

/* A rule with a named port has several bits; two of them in a row are one match. */
static int add_match(struct explain_direction *direction, const struct sst_policy_rule *rule,
		     enum explain_part part)
{
	struct explain_match *matches = direction->matches;
	size_t n = direction->n_matches;

	if (n && matches[n - 1].rule.id == rule->id)
		return 0;
	if (!(n & (n - 1))) { /* a power of two: it is full */
		matches = reallocarray(matches, n ? 2 * n : 1, sizeof(*matches));
		if (!matches)
			return -ENOMEM;
		direction->matches = matches;
	}
	matches[direction->n_matches++] = (struct explain_match){ *rule, part };
	return 0;
}

/* The part that a rule plays, given what was before it. *from is where it goes on. */
static enum explain_part part_of(const struct sst_policy_rule *rule, uint32_t bit,
				 uint32_t network_first, uint32_t decides, uint32_t *from)
{
	if (rule->shadow)
		return EXPLAIN_SHADOW;
	if (bit < *from)
		return EXPLAIN_TOO_LATE;
	if (rule->action == SST_ACTION_PASS) {
		*from = network_first;
		return EXPLAIN_PASSES;
	}
	*from = SST_POLICY_NO_BIT;
	return rule->id == decides ? EXPLAIN_DECIDES : EXPLAIN_TOO_LATE;
}

/* All rules that match, from the rows that sst_policy_decide() reads. */
static int list_matches(const struct policy_set *set, struct explain_direction *direction)
{
	const struct sst_policy_query *query = &direction->query;
	const struct sst_policy_head *head = policy_head(set);
	const struct sst_policy_direction *rules = &head->direction[query->direction];
	struct sst_policy_rows rows;
	uint32_t from = 0;
	int err = 0;

	if (!rules->row_blocks)
		return 0;
	if (sst_policy_rows_of(&set->memory, head, query, &rows))
		return -EINVAL;
	rows.mask = rules->masks + SST_MASK_ALL * rows.blocks;
	for (uint32_t bit = 0; !err; bit++) {
		const struct sst_policy_rule *rule;

		bit = policy_next_match(set, &rows, bit);
		if (bit == SST_POLICY_NO_BIT)
			break;
		rule = policy_rule_at(set, query->direction, bit);
		err = add_match(
			direction, rule,
			part_of(rule, bit, rules->network_first, direction->decision.rule, &from));
	}
	return err;
}

static int explain_direction(const struct policy_set *set, const struct explain *explain,
			     const struct explain_pair *pair, enum sst_direction direction,
			     struct explain_direction *ret)
{
	bool egress = direction == SST_EGRESS;
	const struct party *subject = egress ? &pair->source : &pair->destination;
	const struct party *peer = egress ? &pair->destination : &pair->source;

	ret->query = (struct sst_policy_query){ .subject = subject->identity,
						.peer = peer->identity,
						.peer_network = peer->network,
						.port = pair->port,
						.protocol = explain->protocol,
						.direction = direction };
	ret->undecided = policy_is_undecided(set, subject);
	if (ret->undecided) {
		ret->decision.denied = ret->decision.shadow_denied = explain->fail_closed;
		return 0;
	}
	ret->decision = policy_decide(set, &ret->query);
	return list_matches(set, ret);
}

static bool is_loopback(const struct sst_addr *address)
{
	if (address_family(address) == AF_INET)
		return ntohl(address->w[3]) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)address);
}

/* Without a name it is one of several that are alike: each has a loopback of its own. */
static bool is_self(const struct party *source, const struct party *destination)
{
	if (source->workload || destination->workload)
		return source->workload == destination->workload;
	return destination->has_address && is_loopback(&destination->address) &&
	       source->identity == destination->identity && source->identity != SST_IDENTITY_HOST;
}

static int explain_pair(const struct policy_set *set, const struct explain *explain,
			struct explain_pair *pair)
{
	pair->self = is_self(&pair->source, &pair->destination);
	if (pair->self)
		return 0;
	for (int i = 0; i < SST_DIRECTIONS; i++) {
		struct explain_direction *direction = &pair->directions[i];
		int err = explain_direction(set, explain, pair, i, direction);

		if (err)
			return err;
		pair->denied |= direction->decision.denied;
		pair->shadow_denied |= direction->decision.shadow_denied;
	}
	return 0;
}

/* ---- ports ------------------------------------------------------------------------ */

/* What was asked for: a number or a name. */
struct port {
	char name[SST_PORT_NAME_MAX]; /* "": by number */
	uint16_t number;
	uint8_t protocol; /* 0: not told */
};

static int parse_protocol(const char *text, uint8_t *ret)
{
	if (!strcasecmp(text, "TCP"))
		*ret = IPPROTO_TCP;
	else if (!strcasecmp(text, "UDP"))
		*ret = IPPROTO_UDP;
	else
		return -EINVAL;
	return 0;
}

/* "80", "http", either with "/TCP" or "/UDP" */
static int parse_port(const char *text, struct problems *problems, struct port *ret)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	struct port port = {};
	unsigned long number;
	char *end;

	if (!n || n >= sizeof(port.name) || (slash && parse_protocol(slash + 1, &port.protocol))) {
		problems_add(problems, text, (struct place){},
			     "expected PORT, PORT/TCP or PORT/UDP");
		return -EINVAL;
	}
	memcpy(port.name, text, n);
	number = strtoul(port.name, &end, 10);
	if (!*end && (number < 1 || number > 65535)) {
		problems_add(problems, text, (struct place){}, "expected a port from 1 to 65535");
		return -EINVAL;
	}
	if (!*end) {
		port.name[0] = '\0';
		port.number = number;
	}
	*ret = port;
	return 0;
}

/* The next number that is called so in "http=80/TCP,dns=53/UDP", at *rest; 0: none. */
static uint16_t next_number(const char **rest, const char *name, uint8_t protocol)
{
	const char *told = protocol_name(protocol);
	size_t n = strlen(name);

	while (**rest) {
		const char *at = *rest;
		unsigned long number;
		char *end;

		*rest += strcspn(at, ",");
		*rest += **rest == ',';
		if (strncmp(at, name, n) || at[n] != '=')
			continue;
		number = strtoul(at + n + 1, &end, 10);
		if (*end == '/' && !strncmp(end + 1, told, strlen(told)))
			return number;
	}
	return 0;
}

static const char *ports_of(const struct policy_set *set, const struct party *party)
{
	return policy_text(set, policy_identity(set, party->identity)->ports);
}

/* Of a name: the one that is told, or TCP where somebody calls a port of it so. */
static uint8_t protocol_of(const struct policy_set *set, const struct parties *parties,
			   const struct port *port)
{
	for (size_t i = 0; port->name[0] && !port->protocol && i < parties->n; i++) {
		const char *rest = ports_of(set, &parties->items[i]);

		if (next_number(&rest, port->name, IPPROTO_TCP))
			return IPPROTO_TCP;
	}
	return port->protocol ?: port->name[0] ? IPPROTO_UDP : IPPROTO_TCP;
}

/* ---- services ----------------------------------------------------------------------- */

static bool is_port_of(const struct port *port, const struct sst_service_info *info)
{
	if (port->protocol && port->protocol != info->protocol)
		return false;
	return port->name[0] ? !strcmp(port->name, info->port_name)
			     : htons(port->number) == info->port;
}

/* The first unit (a port in one family) of the service that has this port. */
static const struct state_service *find_service(const struct state *state, const char *name,
						size_t length, const struct port *port)
{
	for (size_t i = 0; i < state->n_services; i++) {
		const struct state_service *service = &state->services[i];

		if (!strncmp(service->info.name, name, length) && !service->info.name[length] &&
		    is_port_of(port, &service->info))
			return service;
	}
	return NULL;
}

static const struct state_frontend *
find_frontend(const struct state *state, const struct sst_addr *address, const struct port *port)
{
	for (size_t i = 0; i < state->n_frontends; i++) {
		const struct sst_frontend_key *key = &state->frontends[i].key;
		const struct state_service *service =
			state_service(state, state->frontends[i].service);

		if (address_compare(&key->address, address))
			continue;
		if (port->name[0] ? service && is_port_of(port, &service->info)
				  : key->port == htons(port->number) &&
					    key->protocol == (port->protocol ?: IPPROTO_TCP))
			return &state->frontends[i];
	}
	return NULL;
}

/* Its units of all families that have the same port. */
static bool is_unit_of(const struct state_service *service, const struct state *state, uint32_t id)
{
	const struct state_service *other = state_service(state, id);

	return other && !strcmp(other->info.name, service->info.name) &&
	       other->info.port == service->info.port &&
	       other->info.protocol == service->info.protocol;
}

/* ---- who is called -------------------------------------------------------------------- */

struct destinations {
	struct parties parties;
	struct port port;
	const struct state_service *service; /* NULL: none */
	bool one_family; /* by an address of the service: its endpoints are of one unit */
	bool loopback;   /* each network namespace has its own, and what is above is the node's */
	struct sst_addr address;
	uint16_t number; /* what is called there */
};

/* Who asks, and of these who lives in the node's own network namespace and who elsewhere. */
struct sources {
	struct parties all;
	struct parties here;
	struct parties elsewhere;
};

static void sources_release(struct sources *sources)
{
	parties_release(&sources->all);
	parties_release(&sources->here);
	parties_release(&sources->elsewhere);
}

/* By the network namespace that it is known by, else by an address that is not the node's; who has
 * neither is known by cgroup, and may live in any: it counts as one of the node's. */
static bool lives_elsewhere(const struct policy_set *set, const struct party *party)
{
	uint64_t netns = party->workload ? policy_workload_netns(set, party->workload) : 0;

	if (netns)
		return netns != policy_head(set)->host_netns;
	return party->identity != SST_IDENTITY_HOST && party->identity != SST_IDENTITY_PROBES &&
	       party->has_address &&
	       policy_locate(set, &party->address).identity != SST_IDENTITY_HOST;
}

static int find_sources(const struct policy_set *set, const char *text, struct problems *problems,
			struct sources *ret)
{
	const struct parties *all = &ret->all;
	int err = parties_find(set, text, problems, &ret->all);

	if (err == -ENOENT && !problems->count)
		problems_add(problems, text, (struct place){}, "no such workload or identity");
	for (size_t i = 0; i < all->n && !err; i++)
		err = parties_add(lives_elsewhere(set, &all->items[i]) ? &ret->elsewhere
								       : &ret->here,
				  &all->items[i]);
	return err;
}

/* "web:http": the service and its port. */
static int find_service_port(const struct state *state, const char *text, struct problems *problems,
			     struct destinations *ret)
{
	const char *colon = strrchr(text, ':');
	struct port port;

	if (!colon) {
		problems_add(problems, text, (struct place){},
			     "needs a port: PORT[/PROTOCOL] behind it");
		return -EINVAL;
	}
	if (parse_port(colon + 1, problems, &port))
		return -EINVAL;
	ret->service = find_service(state, text, colon - text, &port);
	if (!ret->service) {
		problems_add(problems, text, (struct place){}, "no service has this port");
		return -ENOENT;
	}
	return 0;
}

static int complain_of_destination(const struct state *state, const char *text,
				   struct problems *problems)
{
	for (size_t i = 0; i < state->n_services; i++)
		if (!strcmp(state->services[i].info.name, text)) {
			problems_add(problems, text, (struct place){},
				     "the service does not have this port");
			return -ENOENT;
		}
	problems_add(problems, text, (struct place){}, "no such workload, identity or service");
	return -ENOENT;
}

/* Adds who has the address, or has the socket there where several share it. */
static int add_called(const struct policy_set *set, const struct explain_question *question,
		      const struct sst_addr *address, uint16_t port, uint8_t protocol,
		      struct problems *problems, struct parties *parties)
{
	int err = parties_add_address(set, address, parties);
	struct party *party = err ? NULL : &parties->items[parties->n - 1];
	char text[ADDRESS_TEXT_MAX];
	uint32_t workload;

	if (err || party->identity != SST_IDENTITY_HOST || !question->listener)
		return err;
	workload = question->listener(set, address, port, protocol);
	if (!workload) {
		problems_add(problems, address_format(address, text), (struct place){},
			     "no workload listens there at port %u in this network namespace: "
			     "taken for the host itself",
			     port);
		return 0;
	}
	party->workload = workload;
	party->identity = policy_workload(set, workload)->identity;
	return 0;
}

/* A workload comes before a service of the same name, and somebody may have meant the latter. */
static void tell_namesake(const struct state *state, const char *text, const struct port *port,
			  struct problems *problems)
{
	const struct state_service *service = find_service(state, text, strlen(text), port);

	if (service)
		problems_add(problems, text, (struct place){},
			     "taken for the workload; the service of this name is '%s:%u'", text,
			     ntohs(service->info.port));
}

static int find_address(const struct policy_set *set, const struct state *state,
			const struct explain_question *question, const struct sources *sources,
			const struct sst_addr *address, struct problems *problems,
			struct destinations *ret)
{
	const struct state_frontend *frontend = find_frontend(state, address, &ret->port);

	ret->one_family = true;
	ret->address = *address;
	ret->number = frontend ? ntohs(frontend->key.port) : ret->port.number;
	ret->loopback = is_loopback(address) && ret->number && (!frontend || frontend->netns);
	if (frontend)
		ret->service = state_service(state, frontend->service);
	if (ret->service || (ret->loopback && !sources->here.n))
		return 0;
	if (ret->port.name[0]) /* who listens cannot be found by that */
		return parties_add_address(set, address, &ret->parties);
	return add_called(set, question, address, ret->port.number,
			  ret->port.protocol ?: IPPROTO_TCP, problems, &ret->parties);
}

static int find_destination(const struct policy_set *set, const struct state *state,
			    const struct explain_question *question, const struct sources *sources,
			    struct problems *problems, struct destinations *ret)
{
	const char *text = question->destination;
	struct sst_addr address;
	int err;

	if (!question->port)
		return find_service_port(state, text, problems, ret);
	err = parse_port(question->port, problems, &ret->port);
	if (err)
		return err;
	if (!address_parse(text, &address))
		return find_address(set, state, question, sources, &address, problems, ret);
	err = parties_find(set, text, problems, &ret->parties);
	if (!err)
		tell_namesake(state, text, &ret->port, problems);
	if (err != -ENOENT || problems->count)
		return err;
	ret->service = find_service(state, text, strlen(text), &ret->port);
	return ret->service ? 0 : complain_of_destination(state, text, problems);
}

/* ---- all pairs -------------------------------------------------------------------------- */

static int add_pair(const struct policy_set *set, const struct party *source,
		    const struct party *destination, uint32_t endpoint, uint16_t port,
		    struct explain *explain)
{
	struct explain_pair *pairs = explain->pairs, *pair;
	size_t n = explain->n_pairs;
	int err;

	if (n == EXPLAIN_PAIRS_MAX)
		return -E2BIG;
	if (!(n & (n - 1))) { /* a power of two: it is full */
		pairs = reallocarray(pairs, n ? 2 * n : 1, sizeof(*pairs));
		if (!pairs)
			return -ENOMEM;
		explain->pairs = pairs;
	}
	pair = &pairs[explain->n_pairs++];
	*pair = (struct explain_pair){
		.source = *source, .destination = *destination, .endpoint = endpoint, .port = port
	};
	err = explain_pair(set, explain, pair);
	explain->denied |= pair->denied;
	return err;
}

static int add_endpoint(const struct policy_set *set, const struct explain_question *question,
			const struct parties *sources, const struct state_endpoint *endpoint,
			struct problems *problems, struct explain *explain)
{
	_cleanup_parties_ struct parties called = {};
	int err = add_called(set, question, &endpoint->value.address, ntohs(endpoint->value.port),
			     explain->protocol, problems, &called);

	for (size_t i = 0; i < sources->n && !err; i++)
		err = add_pair(set, &sources->items[i], called.items, endpoint->id,
			       ntohs(endpoint->value.port), explain);
	return err;
}

static int explain_service(const struct policy_set *set, const struct state *state,
			   const struct explain_question *question, const struct parties *sources,
			   const struct destinations *to, struct problems *problems,
			   struct explain *explain)
{
	int err = 0;

	explain->service = to->service->id;
	explain->port = ntohs(to->service->info.port);
	explain->protocol = to->service->info.protocol;
	for (size_t i = 0; i < state->n_endpoints && !err; i++) {
		const struct state_endpoint *endpoint = &state->endpoints[i];
		uint32_t unit = endpoint->value.service;

		if (endpoint->value.state != SST_ENDPOINT_REMOVED &&
		    (to->one_family ? unit == to->service->id
				    : is_unit_of(to->service, state, unit)))
			err = add_endpoint(set, question, sources, endpoint, problems, explain);
	}
	return err;
}

/* At the number, or at each that the called gives the name. */
static int add_parties(const struct policy_set *set, const struct party *source,
		       const struct party *destination, const struct port *port,
		       struct explain *explain)
{
	const char *rest = ports_of(set, destination);
	uint16_t number;
	int err = 0;

	if (!port->name[0])
		return add_pair(set, source, destination, 0, port->number, explain);
	while (!err && (number = next_number(&rest, port->name, explain->protocol)))
		err = add_pair(set, source, destination, 0, number, explain);
	return err;
}

static int explain_parties(const struct policy_set *set, const struct parties *sources,
			   const struct destinations *to, struct explain *explain)
{
	int err = 0;

	explain->port = to->port.number;
	explain->protocol = protocol_of(set, &to->parties, &to->port);
	for (size_t i = 0; i < sources->n; i++)
		for (size_t j = 0; j < to->parties.n && !err; j++)
			err = add_parties(set, &sources->items[i], &to->parties.items[j], &to->port,
					  explain);
	return err;
}

/* Who lives elsewhere calls itself by a loopback address. */
static int explain_own(const struct policy_set *set, const struct parties *sources,
		       const struct destinations *to, struct problems *problems,
		       struct explain *explain)
{
	char address[ADDRESS_TEXT_MAX];
	int err = 0;

	if (!explain->port)
		explain->port = to->number;
	if (to->service)
		explain->protocol = to->service->info.protocol;
	else
		explain->protocol = to->port.protocol ?: IPPROTO_TCP;
	for (size_t i = 0; i < sources->n && !err; i++) {
		struct party self = sources->items[i];

		self.has_address = true;
		self.address = to->address;
		err = add_pair(set, &sources->items[i], &self, 0, to->number, explain);
	}
	if (sources->n)
		problems_add(problems, address_format(&to->address, address), (struct place){},
			     "each network namespace has its own: taken for the caller's%s%s%s",
			     to->service ? ", while service '" : "",
			     to->service ? to->service->info.name : "",
			     to->service ? "' is at the node's" : "");
	return err;
}

static int explain_from(const struct policy_set *set, const struct state *state,
			const struct explain_question *question, const struct parties *sources,
			const struct destinations *to, struct problems *problems,
			struct explain *explain)
{
	if (!sources->n)
		return 0;
	return to->service ? explain_service(set, state, question, sources, to, problems, explain)
			   : explain_parties(set, sources, to, explain);
}

static int explain_all(const struct policy_set *set, const struct state *state,
		       const struct explain_question *question, const struct sources *sources,
		       const struct destinations *to, struct problems *problems,
		       struct explain *explain)
{
	int err = explain_from(set, state, question, to->loopback ? &sources->here : &sources->all,
			       to, problems, explain);

	if (!err && to->loopback)
		err = explain_own(set, &sources->elsewhere, to, problems, explain);
	if (err == -E2BIG)
		problems_add(problems, question->destination, (struct place){},
			     "more than %d pairs, expected fewer", EXPLAIN_PAIRS_MAX);
	if (!err && !explain->n_pairs) {
		if (to->service)
			problems_add(problems, question->destination, (struct place){},
				     "the service has no endpoint");
		else
			problems_add(problems, question->port, (struct place){},
				     "no port of '%s' is called so", question->destination);
		return -ENOENT;
	}
	return err;
}

int policy_explain(const struct policy_set *set, const struct state *state,
		   const struct explain_question *question, struct problems *problems,
		   struct explain *ret)
{
	_cleanup_explain_ struct explain explain = { .fail_closed = state->config.fail_closed };
	_cleanup_(sources_release) struct sources sources = {};
	struct destinations to = {};
	int err = find_sources(set, question->source, problems, &sources);

	if (!err)
		err = find_destination(set, state, question, &sources, problems, &to);
	if (!err)
		err = explain_all(set, state, question, &sources, &to, problems, &explain);
	parties_release(&to.parties);
	if (err)
		return err;
	*ret = explain;
	explain = (struct explain){};
	return 0;
}

void explain_release(struct explain *explain)
{
	for (size_t i = 0; i < explain->n_pairs; i++)
		for (int j = 0; j < SST_DIRECTIONS; j++)
			free(explain->pairs[i].directions[j].matches);
	free(explain->pairs);
	memset(explain, 0, sizeof(*explain));
}
