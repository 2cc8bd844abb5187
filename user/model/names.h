/* SPDX-License-Identifier: Apache-2.0 */
/* What Kubernetes calls things by, so that a file of ours can be told there and back. */
#ifndef SIDESTEP_MODEL_NAMES_H
#define SIDESTEP_MODEL_NAMES_H

#include <stdbool.h>

/* Up to 63 characters A-Z a-z 0-9 - _ . between two letters or digits; before that may stand
 * a DNS name and a slash. */
bool name_is_label_key(const char *text);

/* The same without DNS name; may be empty. */
bool name_is_label_value(const char *text);

/* Up to 63 characters a-z 0-9 - between two letters or digits. */
bool name_is_namespace(const char *text);

/* Up to 15 characters a-z 0-9 -, with a letter; no hyphen at the ends or beside another. */
bool name_is_port(const char *text);

#endif
