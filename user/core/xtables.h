/* SPDX-License-Identifier: Apache-2.0 */
/* A table of iptables as the kernel gives it away (IPT_SO_GET_ENTRIES), not of nf_tables. */
#ifndef SIDESTEP_CORE_XTABLES_H
#define SIDESTEP_CORE_XTABLES_H

#include <stdbool.h>
#include <stddef.h>

/* Whether it has a chain of this name that somebody has made. family: AF_INET, AF_INET6. */
bool xtables_has_chain(const void *entries, size_t size, int family, const char *name);

#endif
