/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API server is, and how we are let in: from a kubeconfig, or from what kubelet gives
 * to a pod. The formats are those of client-go.
 *
 * Secrets in it are never told in a problem or a log.
 */
#ifndef SIDESTEP_CLUSTER_ACCESS_H
#define SIDESTEP_CLUSTER_ACCESS_H

#include <stdint.h>
#include <sys/stat.h>

#include "core/problems.h"

struct access {
	char *server;      /* "https://10.96.0.1:443", without a slash at its end */
	char *server_name; /* whom the certificate is for, NULL: as in server */
	char *ca;          /* PEM, NULL: the system's */
	char *certificate; /* PEM, of the client, with its key; NULL: none */
	char *key;
	char *token;      /* NULL: none, or in token_file, which goes before it */
	char *token_file; /* read anew as it rotates; NULL: none */
};

struct access_options {
	const char *kubeconfig;      /* NULL: $KUBECONFIG, or in a pod what is there */
	const char *server;          /* instead of what is found; NULL: as found */
	const char *service_account; /* where kubelet puts it; NULL: as it always does */
};

/*
 * 0; -EINVAL with problems; or -errno. On failure *ret is untouched. The CA and the client's
 * certificate are read now and never again.
 */
int access_find(const struct access_options *options, struct problems *problems,
		struct access *ret);

/* Wipes what is secret. */
void access_release(struct access *access);
#define _cleanup_access_ __attribute__((cleanup(access_release)))

/* The token as it was read last. Starts as { 0 }. */
struct access_token {
	char *text;
	struct stat stat; /* of its file then */
	uint64_t read_ns; /* CLOCK_MONOTONIC; 0: it has to be read */
};

/*
 * The token to say now, NULL: none. The file is read again when it is another one, or a minute
 * has gone by; while it cannot be read, the last one stands.
 */
const char *access_token(const struct access *access, struct access_token *token);

/* The server did not take it. */
void access_token_doubt(struct access_token *token);

void access_token_release(struct access_token *token);

#endif
