/* SPDX-License-Identifier: Apache-2.0 */
/* Ending sockets by the kernel's SOCK_DESTROY (sock_diag(7)), in their own namespace. */
#ifndef SIDESTEP_DATAPATH_DESTROY_H
#define SIDESTEP_DATAPATH_DESTROY_H

#include <stdbool.h>
#include <stddef.h>

#include "sidestep/abi.h"

/* Whether this kernel knows SOCK_DESTROY. */
bool destroy_supported(void);

/*
 * Ends the sockets that these records tell of, sorted or not; their programs see
 * ECONNABORTED. Returns how many were ended; the rest had gone already, or their
 * network namespace could not be entered.
 */
size_t destroy_sockets(const struct sst_record *records, size_t n);

#endif
