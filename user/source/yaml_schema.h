/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the schema share: yaml.c and its yaml_*.c. */
#ifndef SIDESTEP_SOURCE_YAML_SCHEMA_H
#define SIDESTEP_SOURCE_YAML_SCHEMA_H

#include "core/cleanup.h"
#include "kube/object.h"
#include "model/model.h"
#include "source/yaml_tree.h"

struct reader {
	struct tree *tree; /* of the file that is read */
	struct problems *problems;
	unsigned n_before; /* problems that were there when reading began */
	struct model *model;
	/*
	 * Owns the services, workloads, namespaces and policies that have problems of
	 * their own. They are kept from model_validate(), which would complain of what is
	 * only missing.
	 */
	struct model *scraps;
	struct kube_objects objects; /* of manifests: what services are made of at the end */
	size_t n_endpoints;          /* so far, of YAML_ENDPOINTS_MAX */
	struct place configuration;  /* of the one document of ours, when there was one */
};

/*
 * Room for `more` elements behind the `used` ones of a list that an earlier one has begun.
 * Returns the array, which may have moved; without memory the old one, with no_memory set.
 */
void *yaml_grow(struct tree *tree, void *array, size_t used, size_t more, size_t size);

/* Room for so many more in a list of the model, or of the scraps; false without memory. */
#define YAML_RESERVE(reader, list, more)                                                 \
	({                                                                               \
		struct model *_owners[] = { (reader)->model, (reader)->scraps };         \
		for (size_t _i = 0; _i < ARRAY_SIZE(_owners); _i++)                      \
			_owners[_i]->list = yaml_grow((reader)->tree, _owners[_i]->list, \
						      _owners[_i]->n_##list, more,       \
						      sizeof(*_owners[_i]->list));       \
		!(reader)->tree->no_memory;                                              \
	})

/* Where YAML_RESERVE() has made room. */
#define YAML_KEEP(reader, list, item, sound)                                         \
	({                                                                           \
		struct model *_owner = (sound) ? (reader)->model : (reader)->scraps; \
		_owner->list[_owner->n_##list++] = (item);                           \
	})

/* How many items to read of a list that has to have some, but not more than max. */
size_t yaml_count(struct tree *tree, const yaml_node_t *node, const char *what, size_t max);

/* ---- values (yaml_value.c) ------------------------------------------------------- */

extern const struct tree_word yaml_splice_words[];

/* An IPv4 or IPv6 address; zeros after a complaint. */
struct sst_addr yaml_read_address(struct tree *tree, const yaml_node_t *node);

/* An array (the caller's) of *ret_n from one address or a list; NULL when there is none. */
struct sst_addr *yaml_read_addresses(struct tree *tree, yaml_node_t *node, size_t *ret_n);

/* An address or a network like 10.0.0.0/8; bits behind the prefix are refused. */
struct model_cidr yaml_read_cidr(struct tree *tree, const yaml_node_t *node);

/* A list of them, an array (the caller's) of *ret_n; NULL when there is none. */
struct model_cidr *yaml_read_cidrs(struct tree *tree, yaml_node_t *node, const char *what,
				   size_t max, size_t *ret_n);

/* Copies (the caller's), NULL after a complaint. */
char *yaml_read_cgroup(struct tree *tree, const yaml_node_t *node);
char *yaml_read_netns(struct tree *tree, const yaml_node_t *node);
char *yaml_read_port_name(struct tree *tree, const yaml_node_t *node);

/* "default" when node is NULL. */
char *yaml_read_namespace(struct tree *tree, const yaml_node_t *node);

uint16_t yaml_read_port(struct tree *tree, const yaml_node_t *node, uint16_t fallback);

/* The number of a port at *s, which is moved behind it. */
bool yaml_parse_port(const char **s, uint16_t *ret);

/* TCP or UDP; TCP when node is NULL. SCTP is refused with a sentence. */
uint8_t yaml_read_protocol(struct tree *tree, const yaml_node_t *node);
bool yaml_refuse_sctp(struct tree *tree, const yaml_node_t *node, const char *protocol);

void yaml_read_labels(struct tree *tree, const yaml_node_t *node, struct model_labels *labels);

/* Both add to the selector: labels that must be there, and what Kubernetes calls
 * matchExpressions. */
void yaml_read_match_labels(struct tree *tree, const yaml_node_t *node,
			    struct model_selector *selector);
void yaml_read_expressions(struct tree *tree, yaml_node_t *list, struct model_selector *selector);

/* ---- parts of a file --------------------------------------------------------------- */

void yaml_read_node(struct tree *tree, const yaml_node_t *node, struct model_node *ret);
void yaml_read_flow_log(struct tree *tree, const yaml_node_t *node, struct model_flow_log *ret);
void yaml_read_services(struct reader *reader, yaml_node_t *list);
void yaml_read_namespaces(struct reader *reader, yaml_node_t *list);
void yaml_read_workloads(struct reader *reader, yaml_node_t *list);
void yaml_read_policies(struct reader *reader, yaml_node_t *list);

#endif
