/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API server is, and how we are let in: from a kubeconfig, or from what kubelet gives
 * to a pod. The formats are those of client-go.
 *
 * Secrets in it are never told in a problem or a log.
 */
#ifndef SIDESTEP_CLUSTER_ACCESS_H
#define SIDESTEP_CLUSTER_ACCESS_H

#include "core/problems.h"

struct access {
	char *server;      /* "https://10.96.0.1:443", without a slash at its end */
	char *server_name; /* whom the certificate is for, NULL: as in server */
	char *ca;          /* PEM, NULL: the system's */
	char *certificate; /* PEM, of the client, with its key; NULL: none */
	char *key;
	char *token;      /* NULL: none, or in token_file */
	char *token_file; /* read anew as it rotates; NULL: none */
};

struct access_options {
	const char *kubeconfig; /* NULL: $KUBECONFIG, or in a pod what is there */
	const char *server;     /* instead of what is found; NULL: as found */
};

/* 0; -EINVAL with problems; or -errno. On failure *ret is untouched. */
int access_find(const struct access_options *options, struct problems *problems,
		struct access *ret);

/* Wipes what is secret. */
void access_release(struct access *access);
#define _cleanup_access_ __attribute__((cleanup(access_release)))

#endif
