/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a failing case small: leaves out part after part of the cluster as long as the
 * question still fails, until no part can be missed, or a minute has passed.
 */
#ifndef TESTS_ORACLE_SHRINK_H
#define TESTS_ORACLE_SHRINK_H

#include "oracle/cluster.h"

/* Does it (still) fail? */
typedef bool (*shrink_fails)(const struct cluster *cluster, const struct query *query, void *arg);

/* Changes both; the query because workloads get other numbers. */
void shrink(struct cluster *cluster, struct query *query, shrink_fails fails, void *arg);

#endif
