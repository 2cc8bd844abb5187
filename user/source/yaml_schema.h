/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the schema share: yaml.c and yaml_service.c. */
#ifndef SIDESTEP_SOURCE_YAML_SCHEMA_H
#define SIDESTEP_SOURCE_YAML_SCHEMA_H

#include "model/model.h"
#include "source/yaml_tree.h"

struct reader {
	struct tree *tree; /* of the file that is read */
	struct problems *problems;
	unsigned n_before; /* problems that were there when reading began */
	struct model *model;
	/*
	 * Owns the services and workloads that have problems of their own. They are
	 * kept from model_validate(), which would complain of what is only missing.
	 */
	struct model *scraps;
	size_t n_endpoints;         /* so far, of YAML_ENDPOINTS_MAX */
	struct place configuration; /* of the one document of ours, when there was one */
};

extern const struct tree_word yaml_splice_words[];

/* An IPv4 or IPv6 address; zeros after a complaint. */
struct sst_addr yaml_read_address(struct tree *tree, const yaml_node_t *node);

/* An array (the caller's) of *ret_n from one address or a list; NULL when there is none. */
struct sst_addr *yaml_read_addresses(struct tree *tree, yaml_node_t *node, size_t *ret_n);

/* How many items to read of a list that has to have some, but not more than max. */
size_t yaml_count(struct tree *tree, const yaml_node_t *node, const char *what, size_t max);

void yaml_read_services(struct reader *reader, yaml_node_t *list);

#endif
