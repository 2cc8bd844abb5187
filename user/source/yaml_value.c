/* SPDX-License-Identifier: Apache-2.0 */
/* The values that several parts of the schema have: addresses, paths, ports, labels. */
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "model/names.h"
#include "source/yaml.h"
#include "source/yaml_schema.h"

#define PATH_LENGTH_MAX 4095

const struct tree_word yaml_splice_words[] = {
	{ "off", SST_SPLICE_OFF },
	{ "auto", SST_SPLICE_AUTO },
	{ "on", SST_SPLICE_ON },
	{ NULL },
};

/* ---- lists ----------------------------------------------------------------------- */

void *yaml_grow(struct tree *tree, void *array, size_t used, size_t more, size_t size)
{
	size_t room = 1;
	void *grown;

	if (!more)
		return array;
	/* powers of two: most times it has the size already and is not copied */
	while (room < used + more)
		room *= 2;
	grown = reallocarray(array, room, size);
	if (!grown) {
		tree->no_memory = true;
		return array;
	}
	return grown;
}

size_t yaml_count(struct tree *tree, const yaml_node_t *node, const char *what, size_t max)
{
	size_t n = tree_count(node);

	if (node && n >= 1 && n <= max)
		return n;
	if (node)
		tree_complain(tree, node, "found %zu %s, expected 1 to %zu", n, what, max);
	return 0;
}

/* ---- addresses ------------------------------------------------------------------- */

struct sst_addr yaml_read_address(struct tree *tree, const yaml_node_t *node)
{
	const char *text = tree_text(tree, node, "an IPv4 or IPv6 address");
	struct sst_addr address = { 0 };

	if (!text || !address_parse(text, &address))
		return address;
	if (strchr(text, '%'))
		tree_expected(tree, node, "an IPv4 or IPv6 address without zone id");
	else
		tree_expected(tree, node, "an IPv4 or IPv6 address");
	return address;
}

struct sst_addr *yaml_read_addresses(struct tree *tree, yaml_node_t *node, size_t *ret_n)
{
	size_t n = yaml_count(tree, node, "addresses", YAML_ADDRESSES_MAX);
	struct sst_addr *addresses = tree_array(tree, n, sizeof(*addresses));

	*ret_n = addresses ? n : 0;
	for (size_t i = 0; i < *ret_n; i++)
		addresses[i] = yaml_read_address(tree, tree_item(tree, node, i));
	return addresses;
}

struct model_cidr yaml_read_cidr(struct tree *tree, const yaml_node_t *node)
{
	static const char expected[] = "an address, or a network like 10.0.0.0/8";
	const char *text = tree_text(tree, node, expected);
	struct model_cidr cidr = { .place = node ? tree_place(tree, node) : (struct place){ 0 } };
	char buf[ADDRESS_TEXT_MAX];
	struct sst_addr masked;

	if (!text)
		return cidr;
	if (address_parse_prefix(text, &cidr.address, &cidr.bits)) {
		tree_expected(tree, node, "%s%s", expected,
			      strchr(text, '%') ? " without zone id" : "");
		return cidr;
	}
	masked = address_mask(&cidr.address, cidr.bits);
	if (tree->stored) /* the server has taken it, and means this */
		cidr.address = masked;
	else if (address_compare(&masked, &cidr.address))
		tree_expected(tree, node, "%s, without bits behind the prefix",
			      address_prefix_format(&masked, cidr.bits, buf));
	return cidr;
}

struct model_cidr *yaml_read_cidrs(struct tree *tree, yaml_node_t *node, const char *what,
				   size_t max, size_t *ret_n)
{
	size_t n = tree_list(tree, node, what) ? yaml_count(tree, node, what, max) : 0;
	struct model_cidr *cidrs = tree_array(tree, n, sizeof(*cidrs));

	*ret_n = cidrs ? n : 0;
	for (size_t i = 0; i < *ret_n; i++)
		cidrs[i] = yaml_read_cidr(tree, tree_item(tree, node, i));
	return cidrs;
}

/* ---- paths ----------------------------------------------------------------------- */

/* "", "." and ".." in a path are other spellings of another path. */
static bool is_proper_name(const char *name)
{
	size_t length = strcspn(name, "/");

	return length <= NAME_MAX && (length > 2 || (length && strspn(name, ".") < length));
}

/* Absolute, printable and in one spelling only: paths are compared as texts. */
static bool is_path(const char *path)
{
	if (*path != '/' || strlen(path) > PATH_LENGTH_MAX)
		return false;
	for (; *path; path++) {
		if (*path < ' ' || *path > '~')
			return false;
		if (*path == '/' && !is_proper_name(path + 1))
			return false;
	}
	return true;
}

static size_t count_levels(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* As a shell shows it, with the mount point: a cgroup that nobody would ever be in. */
static bool is_mounted_path(const char *path)
{
	static const char mount[] = "/sys/fs/cgroup";

	return !strncmp(path, mount, strlen(mount)) &&
	       (path[strlen(mount)] == '/' || !path[strlen(mount)]);
}

char *yaml_read_cgroup(struct tree *tree, const yaml_node_t *node)
{
	static const char expected[] =
		"a path below the cgroup2 root, like /system.slice/x.service";
	const char *path = tree_text(tree, node, expected);

	if (!path)
		return NULL;
	if (!is_path(path))
		tree_expected(tree, node, "%s", expected);
	else if (is_mounted_path(path))
		tree_expected(tree, node, "%s: without what it is mounted at, as in %s", expected,
			      "/proc/PID/cgroup");
	else if (count_levels(path) > SST_PATH_LEVELS)
		tree_expected(tree, node, "at most %d names in a path", SST_PATH_LEVELS);
	else
		return tree_copy(tree, path);
	return NULL;
}

char *yaml_read_netns(struct tree *tree, const yaml_node_t *node)
{
	static const char expected[] = "a network namespace's name, as `ip netns` has it, "
				       "or an absolute path, like /proc/123/ns/net";
	const char *text = tree_text(tree, node, expected);
	bool is_name = text && !strchr(text, '/');

	if (!text)
		return NULL;
	if (is_name && is_proper_name(text))
		return tree_name(tree, node, "a network namespace's name", 1, NAME_MAX);
	if (!is_name && is_path(text))
		return tree_copy(tree, text);
	tree_expected(tree, node, "%s", expected);
	return NULL;
}

/* ---- names and ports --------------------------------------------------------------- */

/* A copy of what is valid. what is "a label's key", rule tells what one is. */
static char *read_valid(struct tree *tree, const yaml_node_t *node, bool (*is_valid)(const char *),
			const char *what, const char *rule)
{
	const char *text = tree_text(tree, node, what);

	if (!text)
		return NULL;
	if (is_valid(text))
		return tree_copy(tree, text);
	tree_expected(tree, node, "%s (%s)", what, rule);
	return NULL;
}

char *yaml_read_namespace(struct tree *tree, const yaml_node_t *node)
{
	if (!node)
		return tree_copy(tree, MODEL_DEFAULT_NAMESPACE);
	return read_valid(tree, node, name_is_namespace, "a namespace",
			  "1 to 63 characters of a-z 0-9 -, no hyphen at its ends");
}

char *yaml_read_port_name(struct tree *tree, const yaml_node_t *node)
{
	return read_valid(tree, node, name_is_port, "a port's name",
			  "1 to 15 characters of a-z 0-9 -, with a letter, "
			  "no hyphen at its ends or beside another");
}

uint16_t yaml_read_port(struct tree *tree, const yaml_node_t *node, uint16_t fallback)
{
	return tree_number(tree, node, "a port", 1, UINT16_MAX, fallback);
}

bool yaml_parse_port(const char **s, uint16_t *ret)
{
	size_t length = strspn(*s, "0123456789");
	unsigned port = 0;

	if (!length || length > 5 || **s == '0')
		return false;
	for (size_t i = 0; i < length; i++)
		port = 10 * port + (*s)[i] - '0';
	if (port > UINT16_MAX)
		return false;
	*s += length;
	*ret = port;
	return true;
}

bool yaml_refuse_sctp(struct tree *tree, const yaml_node_t *node, const char *protocol)
{
	if (strcmp(protocol, "SCTP"))
		return false;
	tree_complain(tree, node, "SCTP is not decided by Sidestep, expected TCP or UDP");
	return true;
}

uint8_t yaml_read_protocol(struct tree *tree, const yaml_node_t *node)
{
	static const struct tree_word words[] = {
		{ "TCP", IPPROTO_TCP },
		{ "UDP", IPPROTO_UDP },
		{ NULL },
	};
	const char *text = tree_text(tree, node, "TCP or UDP");

	if (!text || yaml_refuse_sctp(tree, node, text))
		return IPPROTO_TCP;
	return tree_word(tree, node, words, IPPROTO_TCP);
}

/* ---- labels ---------------------------------------------------------------------- */

static char *read_key(struct tree *tree, const yaml_node_t *node)
{
	return read_valid(tree, node, name_is_label_key, "a label's key",
			  "1 to 63 characters of A-Z a-z 0-9 - _ . between letters or "
			  "digits, perhaps behind a DNS name and a slash");
}

static char *read_value(struct tree *tree, const yaml_node_t *node)
{
	return read_valid(tree, node, name_is_label_value, "a label's value",
			  "0 to 63 characters of A-Z a-z 0-9 - _ . "
			  "between letters or digits");
}

/* How many labels there are. */
static size_t count_labels(struct tree *tree, const yaml_node_t *node)
{
	size_t n;

	if (!node)
		return 0;
	if (node->type != YAML_MAPPING_NODE) {
		tree_expected(tree, node, "a mapping (labels)");
		return 0;
	}
	n = tree_pairs(node);
	if (n <= YAML_LABELS_MAX)
		return n;
	tree_complain(tree, node, "found %zu labels, expected at most %d", n, YAML_LABELS_MAX);
	return 0;
}

void yaml_read_labels(struct tree *tree, const yaml_node_t *node, struct model_labels *labels)
{
	size_t n = count_labels(tree, node);

	labels->items = tree_array(tree, n, sizeof(*labels->items));
	labels->n = labels->items ? n : 0;
	for (size_t i = 0; i < labels->n; i++) {
		yaml_node_t *key, *value;

		tree_pair(tree, node, i, &key, &value);
		labels->items[i] = (struct model_label){
			.key = read_key(tree, key),
			.value = read_value(tree, value),
		};
	}
}

/* Room for n more requirements. */
static bool grow_selector(struct tree *tree, struct model_selector *selector, size_t n)
{
	selector->requirements = yaml_grow(tree, selector->requirements, selector->n, n,
					   sizeof(*selector->requirements));
	return n && !tree->no_memory;
}

void yaml_read_match_labels(struct tree *tree, const yaml_node_t *node,
			    struct model_selector *selector)
{
	size_t n = count_labels(tree, node);

	if (!grow_selector(tree, selector, n))
		return;
	for (size_t i = 0; i < n && !tree->no_memory; i++) {
		struct model_requirement requirement = { .op = MODEL_IN };
		yaml_node_t *key, *value;

		tree_pair(tree, node, i, &key, &value);
		requirement.key = read_key(tree, key);
		requirement.values = tree_array(tree, 1, sizeof(*requirement.values));
		if (requirement.values)
			requirement.values[requirement.n_values++] = read_value(tree, value);
		selector->requirements[selector->n++] = requirement;
	}
}

static void read_values(struct tree *tree, const yaml_node_t *expression,
			struct model_requirement *requirement)
{
	yaml_node_t *list = tree_get(tree, expression, "values");
	size_t n = 0;

	if (requirement->op == MODEL_EXISTS || requirement->op == MODEL_DOES_NOT_EXIST) {
		if (tree_count(list))
			tree_complain(tree, list,
				      "found 'values' beside Exists or DoesNotExist, "
				      "expected none");
		return;
	}
	list = tree_need(tree, expression, "an expression with In or NotIn", "values");
	if (tree_list(tree, list, "values"))
		n = yaml_count(tree, list, "values", YAML_ENTRIES_MAX);
	requirement->values = tree_array(tree, n, sizeof(*requirement->values));
	requirement->n_values = requirement->values ? n : 0;
	for (size_t i = 0; i < requirement->n_values; i++)
		requirement->values[i] = read_value(tree, tree_item(tree, list, i));
}

static void read_expression(struct tree *tree, const yaml_node_t *node,
			    struct model_requirement *requirement)
{
	static const struct tree_key keys[] = { { "key" }, { "operator" }, { "values" }, { NULL } };
	static const struct tree_word operators[] = {
		{ "In", MODEL_IN },
		{ "NotIn", MODEL_NOT_IN },
		{ "Exists", MODEL_EXISTS },
		{ "DoesNotExist", MODEL_DOES_NOT_EXIST },
		{ NULL },
	};
	unsigned before = tree_problems(tree);

	if (!tree_mapping(tree, node, "an expression", keys))
		return;
	requirement->key = read_key(tree, tree_need(tree, node, "an expression", "key"));
	requirement->op = tree_word(tree, tree_need(tree, node, "an expression", "operator"),
				    operators, MODEL_IN);
	/* without an operator nobody can tell whether there should be values */
	if (tree_problems(tree) == before)
		read_values(tree, node, requirement);
}

void yaml_read_expressions(struct tree *tree, yaml_node_t *list, struct model_selector *selector)
{
	size_t n = tree_list(tree, list, "expressions") ? tree_count(list) : 0;

	if (n > YAML_LABELS_MAX)
		tree_complain(tree, list, "found %zu expressions, expected at most %d", n,
			      YAML_LABELS_MAX);
	else if (grow_selector(tree, selector, n))
		for (size_t i = 0; i < n; i++) {
			struct model_requirement requirement = { 0 };

			read_expression(tree, tree_item(tree, list, i), &requirement);
			selector->requirements[selector->n++] = requirement;
		}
}
