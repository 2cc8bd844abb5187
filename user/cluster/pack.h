/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trimmed objects as bytes: that is how many of them are kept in little memory, and how one is
 * compared with what it was before. One function a kind does both ways. Places are left out.
 */
#ifndef SIDESTEP_CLUSTER_PACK_H
#define SIDESTEP_CLUSTER_PACK_H

#include "kube/object.h"
#include "kube/pod.h"
#include "model/model.h"

struct packed {
	size_t size;
	unsigned char bytes[];
};

/* One way or the other. */
struct pack {
	const struct packed *from; /* NULL: an object is written, else it is read from there */
	unsigned char *bytes;      /* that were written so far */
	size_t size;
	size_t room;
	size_t at;      /* where reading is */
	bool no_memory; /* sticky; an object that was read is to be released all the same */
};

void pack_service(struct pack *pack, struct kube_service *service);
void pack_slice(struct pack *pack, struct kube_slice *slice);
void pack_slice_owner(struct pack *pack, struct kube_slice *slice); /* the beginning only */
void pack_node(struct pack *pack, struct kube_node *node);
void pack_pod(struct pack *pack, struct kube_pod *pod);
void pack_namespace(struct pack *pack, struct model_namespace *namespace);
void pack_policy(struct pack *pack, struct model_policy *policy);

/* Parts, for pack_*.c. What is read is zero before. */
void pack_number(struct pack *pack, uint64_t *number);
void pack_text(struct pack *pack, char **text); /* may be NULL */
void pack_address(struct pack *pack, struct sst_addr *address);
void pack_labels(struct pack *pack, struct model_labels *labels);

/* A field of any type of integers. */
#define PACK(pack, field)                    \
	({                                   \
		uint64_t _number = field;    \
		pack_number(pack, &_number); \
		field = _number;             \
	})

/* The number of items of an array, which is made when it is read, and is called n_ARRAY. */
#define PACK_ARRAY(pack, owner, array)                                         \
	({                                                                     \
		PACK(pack, (owner)->n_##array);                                \
		pack_make(pack, (void **)&(owner)->array, &(owner)->n_##array, \
			  sizeof(*(owner)->array));                            \
	})
void pack_make(struct pack *pack, void **array, size_t *n, size_t size);

/* What was written, or NULL when memory ran out. */
struct packed *pack_finish(struct pack *pack);

bool packed_equal(const struct packed *a, const struct packed *b); /* both may be NULL */

#endif
