/* SPDX-License-Identifier: Apache-2.0 */
/* What doctor found: the host, the checks, and what follows. */
#ifndef SIDESTEP_MODEL_SURVEY_H
#define SIDESTEP_MODEL_SURVEY_H

#include "core/problems.h"
#include "model/checks.h"

/* X(SYMBOL, name) */
#define HOST_ROWS(X)                    \
	X(KERNEL, "kernel")             \
	X(ARCHITECTURE, "architecture") \
	X(CAPABILITIES, "capabilities") \
	X(CGROUP, "cgroup2")            \
	X(BPFFS, "bpffs")               \
	X(BTF, "btf")                   \
	X(LOCKDOWN, "lockdown")         \
	X(LSM, "lsm")                   \
	X(KUBE_PROXY, "kube-proxy")

#define X(symbol, name) HOST_##symbol,
enum host_row { HOST_ROWS(X) HOST_MAX };
#undef X

struct host_fact {
	char value[256];
	char remedy[256]; /* empty: it is as it should be */
};

struct survey {
	char release[65];
	struct host_fact host[HOST_MAX];
	bool loaded;              /* the checks were tried */
	struct problems problems; /* why not, or what could not be cleaned up */
	struct checks checks;
	struct feature_verdict features[SST_FEATURE_MAX];
	uint64_t took_ns;
};

/* Whether everything works that services need. */
bool survey_is_sound(const struct survey *survey);

void survey_release(struct survey *survey);
#define _cleanup_survey_ __attribute__((cleanup(survey_release)))

#endif
