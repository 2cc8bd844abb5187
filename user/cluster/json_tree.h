/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object of the API server as a tree, so that what reads manifests reads it, too. Strings
 * become scalars in quotes, everything else plain ones.
 */
#ifndef SIDESTEP_CLUSTER_JSON_TREE_H
#define SIDESTEP_CLUSTER_JSON_TREE_H

#include <jansson.h>

#include "source/yaml_tree.h"

/* What is taken of a mapping, or of each one in a list. An array of them ends with a NULL key. */
struct json_keep {
	const char *key;
	const struct json_keep *below; /* NULL: all of it */
};

/*
 * Loads the tree, whose source and problems are set; what is not among keep (NULL: all is)
 * is left out. 0; -EINVAL with problems: it is deeper or larger than any object should be;
 * -ENOMEM. To be released in any case.
 */
int json_tree_load(struct tree *tree, json_t *json, const struct json_keep *keep);

#endif
