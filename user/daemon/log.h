/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's messages: one line each on stderr, for a journal or a terminal. */
#ifndef SIDESTEP_DAEMON_LOG_H
#define SIDESTEP_DAEMON_LOG_H

#include "core/problems.h"

void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_problems(const struct problems *problems);

/* Those that were not there before; then *before is what problems was, which is emptied. */
void log_new_problems(struct problems *problems, struct problems *before);

#endif
