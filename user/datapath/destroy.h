/* SPDX-License-Identifier: Apache-2.0 */
/* Ending sockets, in their own network namespace. */
#ifndef SIDESTEP_DATAPATH_DESTROY_H
#define SIDESTEP_DATAPATH_DESTROY_H

#include <stddef.h>

#include "datapath/datapath.h"
#include "sidestep/abi.h"

/*
 * Ends the sockets that these records tell of; their programs see ECONNABORTED. By
 * sock_diag, and those it cannot find by bpf_sock_destroy() in a walk. Sockets that
 * have gone already, and those of a network namespace that cannot be entered, are
 * passed over. Returns 0, or -ENOMEM with nothing done.
 */
int destroy_sockets(struct datapath *datapath, const struct sst_record *records, size_t n);

#endif
