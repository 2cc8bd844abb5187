/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster as a file that Sidestep reads, a question as a sentence. */
#ifndef TESTS_ORACLE_NATIVE_H
#define TESTS_ORACLE_NATIVE_H

#include "core/text.h"
#include "oracle/cluster.h"

void native_print(const struct cluster *cluster, struct text *out);

/* "ingress of shop/w1 from 10.0.0.7, port 80/TCP" */
void native_print_query(const struct cluster *cluster, const struct query *query, struct text *out);

#endif
