/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of model_validate(): those of services, and the whole. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/divisor.h"
#include "core/seen.h"
#include "model/validate.h"

static unsigned count_problems(const struct check *check)
{
	return check->problems->count + check->problems->more;
}

const char *check_where(struct place place, char buf[WHERE_MAX])
{
	buf[0] = '\0';
	if (place.line && place.file)
		snprintf(buf, WHERE_MAX, " at %s:%u", place.file, place.line);
	else if (place.line)
		snprintf(buf, WHERE_MAX, " at line %u", place.line);
	return buf;
}

static const char *family_name(int family)
{
	return family == AF_INET ? "IPv4" : "IPv6";
}

void check_reachable(struct check *check, const char *whose, const struct sst_addr *address,
		     struct place place)
{
	const char *why = address_unreachable(address);
	char text[ADDRESS_TEXT_MAX];

	if (why)
		complain(check, place, "%s %s is %s, expected a unicast address", whose,
			 address_format(address, text), why);
}

/* ---- services ------------------------------------------------------------ */

static int check_addresses(struct check *check, const struct model_service *service)
{
	_cleanup_seen_ struct seen seen = { 0 };
	char text[ADDRESS_TEXT_MAX];
	struct seen_first first;

	for (size_t i = 0; i < service->n_addresses; i++) {
		const struct sst_addr *address = &service->addresses[i];
		struct place place = service->address_places[i];
		int r = seen_add(&seen, address, sizeof(*address), (struct seen_first){ place },
				 &first);

		if (r == -ENOMEM)
			return r;
		if (r == -EEXIST)
			complain(check, place, "address %s is listed twice in service '%s'",
				 address_format(address, text), service->name);
		else
			check_reachable(check, "service address", address, place);
	}
	return 0;
}

static int check_port_name(struct check *check, const struct model_service *service,
			   const struct model_port *port, struct seen *names)
{
	struct seen_first first, who = { port->place, port };
	char at[WHERE_MAX];
	int r;

	if (!*port->name) {
		if (service->n_ports > 1)
			complain(check, port->place,
				 "port %u of service '%s' has no name, "
				 "expected names when there are several ports",
				 port->port, service->name);
		return 0;
	}
	r = seen_add(names, port->name, strlen(port->name), who, &first);
	if (r == -EEXIST)
		complain(check, port->place,
			 "port name '%s' is used twice in service '%s', first%s", port->name,
			 service->name, check_where(first.place, at));
	return r == -ENOMEM ? r : 0;
}

static int check_port_number(struct check *check, const struct model_service *service,
			     const struct model_port *port, struct seen *numbers)
{
	uint16_t key[] = { port->port, port->protocol };
	struct seen_first first, who = { port->place, port };
	char at[WHERE_MAX];
	int r = seen_add(numbers, key, sizeof(key), who, &first);

	if (r == -EEXIST)
		complain(check, port->place, "port %u/%s is listed twice in service '%s', first%s",
			 port->port, protocol_name(port->protocol), service->name,
			 check_where(first.place, at));
	return r == -ENOMEM ? r : 0;
}

static int check_ports(struct check *check, const struct model_service *service)
{
	_cleanup_seen_ struct seen names = { 0 };
	_cleanup_seen_ struct seen numbers = { 0 };
	int r = 0;

	for (size_t i = 0; !r && i < service->n_ports; i++) {
		r = check_port_name(check, service, &service->ports[i], &names);
		if (!r)
			r = check_port_number(check, service, &service->ports[i], &numbers);
	}
	return r;
}

/* is_own: by an address of the node. */
static int check_frontend(struct check *check, const struct model_service *service,
			  const struct model_port *port, const struct model_front *front,
			  bool is_own)
{
	struct sst_frontend_key key = { front->address, htons(front->port), port->protocol, 0 };
	struct seen_first first, who = { service->place, service };
	char text[ADDRESS_TEXT_MAX], at[WHERE_MAX];
	const struct model_service *other;
	int r = seen_add(&check->seen[SEEN_FRONTENDS], &key, sizeof(key), who, &first);

	if (r != -EEXIST)
		return r;
	other = first.owner;
	address_port_format(&front->address, key.port, text);
	/* Within one service the repeated address or port has been told already. */
	if (other != service)
		complain(check, front->place,
			 "%s/%s of service '%s' is already served by service '%s'%s", text,
			 protocol_name(port->protocol), service->name, other->name,
			 check_where(other->place, at));
	else if (is_own)
		complain(check, front->place,
			 "node port %s/%s of service '%s' is already another port of it", text,
			 protocol_name(port->protocol), service->name);
	return 0;
}

static int check_frontends(struct check *check, const struct model_service *service)
{
	struct model_front front;
	int r = 0;

	for (size_t i = 0; !r && i < model_fronts(service); i++)
		for (size_t j = 0; !r && j < service->n_ports; j++)
			if (model_front(service, &service->ports[j], i, &front))
				r = check_frontend(check, service, &service->ports[j], &front,
						   i >= service->n_addresses);
	return r;
}

static int check_endpoint(struct check *check, const struct model_service *service,
			  const struct model_port *port, const struct model_endpoint *endpoint,
			  struct seen *seen)
{
	struct sst_frontend_key key = { endpoint->address, htons(endpoint->port) };
	struct seen_first first, who = { endpoint->place, endpoint };
	int family = address_family(&endpoint->address);
	char text[ADDRESS_TEXT_MAX], at[WHERE_MAX];
	int r = seen_add(seen, &key, sizeof(key), who, &first);

	if (r == -ENOMEM)
		return r;
	if (r == -EEXIST) {
		complain(check, endpoint->place,
			 "endpoint %s is listed twice for port %u/%s of service '%s', first%s",
			 address_port_format(&key.address, key.port, text), port->port,
			 protocol_name(port->protocol), service->name,
			 check_where(first.place, at));
		return 0;
	}
	check_reachable(check, "endpoint", &endpoint->address, endpoint->place);
	if (!model_serves(service, port, family))
		complain(check, endpoint->place,
			 "endpoint %s is %s, but service '%s' has no such address",
			 address_format(&endpoint->address, text), family_name(family),
			 service->name);
	return 0;
}

static int check_endpoints(struct check *check, const struct model_service *service,
			   const struct model_port *port)
{
	_cleanup_seen_ struct seen seen = { 0 };
	int r = 0;

	for (size_t i = 0; !r && i < port->n_endpoints; i++)
		r = check_endpoint(check, service, port, &port->endpoints[i], &seen);
	return r;
}

/* Slots for the usable endpoints of one family: that is what one schedule holds. */
static uint64_t count_slots(const struct model_port *port, int family)
{
	uint32_t divisor = 0;
	uint64_t sum = 0;

	for (size_t i = 0; i < port->n_endpoints; i++) {
		const struct model_endpoint *endpoint = &port->endpoints[i];

		if (!endpoint->ready || endpoint->draining ||
		    address_family(&endpoint->address) != family)
			continue;
		sum += endpoint->weight;
		divisor = greatest_common_divisor(endpoint->weight, divisor);
	}
	return divisor ? sum / divisor : 0;
}

static void check_schedule(struct check *check, const struct model_service *service,
			   const struct model_port *port, int family)
{
	uint64_t slots = count_slots(port, family);

	if (slots > MODEL_SCHEDULE_MAX)
		complain(check, port->place,
			 "the weights behind port %u/%s of service '%s' add up to %llu turns "
			 "(%s, common divisor taken out), expected at most %d",
			 port->port, protocol_name(port->protocol), service->name,
			 (unsigned long long)slots, family_name(family), MODEL_SCHEDULE_MAX);
}

static int check_port(struct check *check, const struct model_service *service,
		      const struct model_port *port)
{
	int r = check_endpoints(check, service, port);

	if (r)
		return r;
	check_schedule(check, service, port, AF_INET);
	check_schedule(check, service, port, AF_INET6);
	return 0;
}

/*
 * The ports of a service mostly share their endpoints, and so their faults: the
 * first port that has any speaks for the rest.
 */
static int check_backends(struct check *check, const struct model_service *service)
{
	unsigned before = count_problems(check);
	int r = 0;

	for (size_t i = 0; !r && i < service->n_ports && count_problems(check) == before; i++)
		r = check_port(check, service, &service->ports[i]);
	return r;
}

static int check_service_name(struct check *check, const struct model_service *service)
{
	struct seen_first first, who = { service->place, service };
	char at[WHERE_MAX];
	int r = seen_add(&check->seen[SEEN_SERVICE_NAMES], service->name, strlen(service->name),
			 who, &first);

	if (r == -EEXIST)
		complain(check, service->place, "service name '%s' is used twice, first%s",
			 service->name, check_where(first.place, at));
	return r == -ENOMEM ? r : 0;
}

static int check_service(struct check *check, const struct model_service *service)
{
	static int (*const rules[])(struct check *, const struct model_service *) = {
		check_service_name, check_addresses, check_ports, check_frontends, check_backends,
	};
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(rules); i++)
		r = rules[i](check, service);
	return r;
}

/* ---- all ----------------------------------------------------------------- */

static void release_check(struct check *check)
{
	for (size_t i = 0; i < ARRAY_SIZE(check->seen); i++)
		seen_release(&check->seen[i]);
}

int model_validate(const struct model *model, struct problems *problems)
{
	__attribute__((cleanup(release_check))) struct check check = {
		.model = model,
		.problems = problems,
	};
	unsigned before = count_problems(&check);
	int r = check_node(&check);

	for (size_t i = 0; !r && i < model->n_namespaces; i++)
		r = check_namespace(&check, &model->namespaces[i]);
	for (size_t i = 0; !r && i < model->n_workloads; i++)
		r = check_workload(&check, &model->workloads[i]);
	for (size_t i = 0; !r && i < model->n_services; i++)
		r = check_service(&check, &model->services[i]);
	for (size_t i = 0; !r && i < model->n_policies; i++)
		r = check_policy(&check, &model->policies[i]);
	if (r)
		return r;
	return count_problems(&check) == before ? 0 : -EINVAL;
}
