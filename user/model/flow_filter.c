/* SPDX-License-Identifier: Apache-2.0 */
#include "model/flow_filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"

static const struct {
	const char *name;
	const char *expected;
} keys[] = {
#define X(symbol, name, value) { name, value },
	FLOW_KEYS(X)
#undef X
};

int flow_key_parse(const char *name, enum flow_key *ret)
{
	for (enum flow_key key = 0; key < FLOW_KEY_MAX; key++)
		if (!strcmp(name, keys[key].name)) {
			*ret = key;
			return 0;
		}
	return -EINVAL;
}

const char *flow_key_name(enum flow_key key)
{
	return keys[key].name;
}

const char *flow_key_expected(enum flow_key key)
{
	return keys[key].expected;
}

/* ---- values ------------------------------------------------------------------------ */

struct unit {
	const char *name;
	uint64_t factor;
};

/* A number and a unit of the list, which ends with NULL. */
static int parse_quantity(const char *text, const struct unit *units, uint64_t *ret)
{
	size_t length = strspn(text, "0123456789");
	uint64_t number = 0;

	if (!length || length > 19) /* as many always fit */
		return -EINVAL;
	for (size_t i = 0; i < length; i++)
		number = 10 * number + text[i] - '0';
	for (; units->name; units++)
		if (!strcmp(text + length, units->name))
			return __builtin_mul_overflow(number, units->factor, ret) ? -EINVAL : 0;
	return -EINVAL;
}

int flow_bytes_parse(const char *text, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "B", 1 },
		{ "K", 1ull << 10 },
		{ "M", 1ull << 20 },
		{ "G", 1ull << 30 },
		{ "KiB", 1ull << 10 },
		{ "MiB", 1ull << 20 },
		{ "GiB", 1ull << 30 },
		{ NULL },
	};
	uint64_t bytes;
	int err = parse_quantity(text, units, &bytes);

	if (!err)
		*ret = bytes;
	return err;
}

static int parse_time(const char *text, struct flow_term *term)
{
	static const struct unit units[] = {
		{ "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { NULL }
	};

	return parse_quantity(text, units, &term->number);
}

static int parse_port(const char *text, struct flow_term *term)
{
	static const struct unit units[] = { { "", 1 }, { NULL } };
	int err = parse_quantity(text, units, &term->number);

	return err ?: term->number >= 1 && term->number <= UINT16_MAX ? 0 : -EINVAL;
}

struct word {
	const char *name;
	uint64_t value;
};

static int parse_word(const char *text, const struct word *words, struct flow_term *term)
{
	for (; words->name; words++)
		if (!strcmp(text, words->name)) {
			term->number = words->value;
			return 0;
		}
	return -EINVAL;
}

static const struct word protocols[] = {
	{ "tcp", IPPROTO_TCP },
	{ "TCP", IPPROTO_TCP },
	{ "udp", IPPROTO_UDP },
	{ "UDP", IPPROTO_UDP },
	{ NULL },
};
static const struct word verdicts[] = { { "allowed", false }, { "denied", true }, { NULL } };
static const struct word events[] = {
	{ "open", SST_RECORD_OPEN },
	{ "close", SST_RECORD_CLOSE },
	{ "failed", SST_RECORD_FAILED },
	{ "denied", SST_RECORD_DENIED },
	{ NULL },
};
static const struct word yes[] = { { "true", true }, { NULL } };

static int set_name(char **ret, const char *text, size_t n)
{
	*ret = strndup(text, n);
	return *ret ? 0 : -ENOMEM;
}

/* "shop/db", "db" */
static int parse_workload(const char *text, struct flow_term *term)
{
	const char *slash = strchr(text, '/');
	const char *name = slash ? slash + 1 : text;
	int err = 0;

	term->kind = FLOW_TERM_WORKLOAD;
	if (!*name || slash == text || strchr(name, '/'))
		return -EINVAL;
	if (slash)
		err = set_name(&term->scope, text, slash - text);
	return err ?: set_name(&term->name, name, strlen(name));
}

static int parse_namespace(const char *text, size_t n, struct flow_term *term)
{
	term->kind = FLOW_TERM_NAMESPACE;
	if (!n || memchr(text, '/', n))
		return -EINVAL;
	return set_name(&term->name, text, n);
}

/* Each label has a key. */
static int parse_labels(const char *text, struct flow_term *term)
{
	term->kind = FLOW_TERM_LABELS;
	for (const char *label = text; label; label = strchr(label, ',')) {
		label += label != text;
		if (!strcspn(label, "=,") || label[strcspn(label, "=,")] != '=')
			return -EINVAL;
	}
	return set_name(&term->name, text, strlen(text));
}

static int parse_who(const char *text, struct flow_term *term)
{
	size_t length = strlen(text);

	if (!address_parse_prefix(text, &term->address, &term->bits)) {
		term->kind = FLOW_TERM_NETWORK;
		term->address = address_mask(&term->address, term->bits);
		return 0;
	}
	if (strchr(text, '='))
		return parse_labels(text, term);
	if (length && text[length - 1] == '/')
		return parse_namespace(text, length - 1, term);
	return parse_workload(text, term);
}

/* "web", "web/http", "web/80"; a service's name may have slashes itself. */
static int parse_service(const char *text, struct flow_term *term)
{
	term->kind = FLOW_TERM_SERVICE;
	return *text ? set_name(&term->name, text, strlen(text)) : -EINVAL;
}

static int parse_term(enum flow_key key, const char *value, struct flow_term *term)
{
	switch (key) {
	case FLOW_KEY_SOURCE:
	case FLOW_KEY_DESTINATION:
		return parse_who(value, term);
	case FLOW_KEY_NAMESPACE:
		return parse_namespace(value, strlen(value), term);
	case FLOW_KEY_WORKLOAD:
		return parse_workload(value, term);
	case FLOW_KEY_SERVICE:
		return parse_service(value, term);
	case FLOW_KEY_PORT:
		return parse_port(value, term);
	case FLOW_KEY_PROTOCOL:
		return parse_word(value, protocols, term);
	case FLOW_KEY_VERDICT:
		return parse_word(value, verdicts, term);
	case FLOW_KEY_EVENT:
		return parse_word(value, events, term);
	case FLOW_KEY_ERRORS:
		return parse_word(value, yes, term);
	case FLOW_KEY_MIN_BYTES:
		return flow_bytes_parse(value, &term->number);
	case FLOW_KEY_SLOWER:
		return parse_time(value, term);
	case FLOW_KEY_MAX:
		break;
	}
	return -EINVAL;
}

static void release_term(struct flow_term *term)
{
	free(term->name);
	free(term->scope);
	free(term->value);
}

int flow_filter_add(struct flow_filter *filter, enum flow_key key, const char *value)
{
	struct flow_term term = { .key = key };
	int err;

	if (filter->n == FLOW_TERMS_MAX)
		return -E2BIG;
	err = parse_term(key, value, &term) ?: set_name(&term.value, value, strlen(value));
	if (err) {
		release_term(&term);
		return err;
	}
	filter->terms[filter->n++] = term;
	filter->keys |= 1u << key;
	return 0;
}

void flow_filter_release(struct flow_filter *filter)
{
	for (size_t i = 0; i < filter->n; i++)
		release_term(&filter->terms[i]);
	filter->n = 0;
	filter->keys = 0;
}

/* ---- who ----------------------------------------------------------------------------- */

/* An end of a flow. */
struct end {
	const struct sst_addr *address;
	uint32_t identity; /* ids */
	uint32_t workload;
};

static struct end end_of(const struct sst_record *record, enum sst_role role)
{
	const struct sst_judgement *judgement = &record->judgement;

	if (record->role == role)
		return (struct end){ &record->local, judgement->identity, judgement->workload };
	return (struct end){ &record->remote, judgement->peer_identity, judgement->peer_workload };
}

/* What an end's ids stand for; NULL where nothing tells. */
struct names {
	const char *name_space;
	const char *labels; /* a reserved identity's name */
	const char *workload;
	bool reserved;
};

static struct names names_of(const struct policy_set *set, const struct end *end)
{
	const struct sst_policy_workload *workload = policy_workload_by_id(set, end->workload);
	const struct sst_policy_identity *identity =
		end->workload && workload ? policy_identity(set, workload->identity)
					  : policy_identity_by_id(set, end->identity);
	struct names names = {};

	if (!identity)
		return names;
	names.name_space = policy_text(set, identity->name_space);
	names.labels = policy_text(set, identity->labels);
	names.reserved = identity->id < SST_IDENTITY_RESERVED;
	if (end->workload && workload)
		names.workload = policy_text(set, workload->name);
	return names;
}

/* Is "key=value" of length n one of the labels "a=b,key=value"? */
static bool has_label(const char *labels, const char *wanted, size_t n)
{
	for (const char *label = labels; label; label = strchr(label, ',')) {
		label += *label == ',';
		if (!strncmp(label, wanted, n) && (!label[n] || label[n] == ','))
			return true;
	}
	return false;
}

static bool has_labels(const char *labels, const char *wanted)
{
	for (const char *label = wanted; label; label = strchr(label, ',')) {
		label += *label == ',';
		if (!has_label(labels, label, strcspn(label, ",")))
			return false;
	}
	return true;
}

static bool is_workload(const struct flow_term *term, const struct names *names)
{
	if (names->reserved && !names->workload)
		return !term->scope && names->labels && !strcmp(names->labels, term->name);
	return names->workload && !strcmp(names->workload, term->name) &&
	       (!term->scope || !strcmp(names->name_space, term->scope));
}

static bool is_end(const struct flow_term *term, const struct end *end,
		   const struct policy_set *set)
{
	struct names names;

	if (term->kind == FLOW_TERM_NETWORK) {
		struct sst_addr masked = address_mask(end->address, term->bits);

		return !address_compare(&masked, &term->address);
	}
	if (policy_set_is_empty(set))
		return false;
	names = names_of(set, end);
	switch (term->kind) {
	case FLOW_TERM_WORKLOAD:
		return is_workload(term, &names);
	case FLOW_TERM_NAMESPACE:
		return names.name_space && !strcmp(names.name_space, term->name);
	default:
		return names.labels && !names.reserved && has_labels(names.labels, term->name);
	}
}

/* ---- what ---------------------------------------------------------------------------- */

/* Its name alone, or with the name or the number of the port. */
static bool is_service(const struct flow_term *term, const struct state_service *service)
{
	size_t length;
	const char *port;
	char number[8];

	if (!service)
		return false;
	length = strnlen(service->info.name, SST_NAME_MAX);
	if (strncmp(term->name, service->info.name, length))
		return false;
	if (!term->name[length])
		return true;
	if (term->name[length] != '/')
		return false;
	port = term->name + length + 1;
	snprintf(number, sizeof(number), "%u", ntohs(service->info.port));
	return !strcmp(port, number) ||
	       (*port && !strncmp(port, service->info.port_name, SST_PORT_NAME_MAX));
}

/* That was asked for, or that of the endpoint. */
static bool is_port(const struct flow_term *term, const struct sst_record *record)
{
	__be16 port = record->role == SST_ROLE_SERVER ? record->local_port : record->remote_port;

	return ntohs(port) == term->number || ntohs(record->asked_port) == term->number;
}

static bool is_denied(const struct sst_record *record)
{
	const struct sst_judgement *judgement = &record->judgement;

	return record->type == SST_RECORD_DENIED || judgement->denied[0] || judgement->denied[1];
}

bool flow_is_error(const struct sst_record *record)
{
	return record->type == SST_RECORD_FAILED || record->error || is_denied(record) ||
	       (record->type == SST_RECORD_CLOSE && record->ending != SST_ENDING_ORDERLY);
}

static uint64_t bytes_of(const struct sst_record *record)
{
	return record->sent_bytes + record->received_bytes + record->spliced_sent_bytes +
	       record->spliced_received_bytes;
}

/* A connect() that failed took as long as the flow was there. */
static uint64_t connect_us(const struct sst_record *record)
{
	if (record->type != SST_RECORD_FAILED)
		return record->connect_us;
	return record->opened_ns && record->time_ns > record->opened_ns
		       ? (record->time_ns - record->opened_ns) / 1000
		       : 0;
}

static bool holds(const struct flow_term *term, const struct sst_record *record,
		  const struct state *state)
{
	struct end source = end_of(record, SST_ROLE_CLIENT);
	struct end destination = end_of(record, SST_ROLE_SERVER);

	switch (term->key) {
	case FLOW_KEY_SOURCE:
		return is_end(term, &source, &state->policy);
	case FLOW_KEY_DESTINATION:
		return is_end(term, &destination, &state->policy);
	case FLOW_KEY_NAMESPACE:
	case FLOW_KEY_WORKLOAD:
		return is_end(term, &source, &state->policy) ||
		       is_end(term, &destination, &state->policy);
	case FLOW_KEY_SERVICE:
		return record->service && is_service(term, state_service(state, record->service));
	case FLOW_KEY_PORT:
		return is_port(term, record);
	case FLOW_KEY_PROTOCOL:
		return record->protocol == term->number;
	case FLOW_KEY_VERDICT:
		return is_denied(record) == term->number;
	case FLOW_KEY_EVENT:
		return record->type == term->number;
	case FLOW_KEY_ERRORS:
		return flow_is_error(record);
	case FLOW_KEY_MIN_BYTES:
		return bytes_of(record) >= term->number;
	case FLOW_KEY_SLOWER:
		return connect_us(record) > term->number;
	case FLOW_KEY_MAX:
		break;
	}
	return false;
}

bool flow_filter_takes(const struct flow_filter *filter, const struct sst_record *record,
		       const struct state *state)
{
	uint32_t held = 0;

	for (size_t i = 0; i < filter->n; i++) {
		const struct flow_term *term = &filter->terms[i];

		if (!(held & 1u << term->key) && holds(term, record, state))
			held |= 1u << term->key;
	}
	return held == filter->keys;
}
