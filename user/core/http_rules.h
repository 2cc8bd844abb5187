/* SPDX-License-Identifier: Apache-2.0 */
/* What a web server on a node decides by: where it may listen, who may ask. No sockets. */
#ifndef SIDESTEP_CORE_HTTP_RULES_H
#define SIDESTEP_CORE_HTTP_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/problems.h"
#include "sidestep/abi.h"

struct http_address {
	struct sst_addr address;
	uint16_t port; /* 0: any that is free */
	bool loopback; /* nobody else can reach it */
};

/*
 * "127.0.0.1:9470", "[::1]:9470"; ":9470" is every address of the node. Returns -EINVAL with
 * what is wrong in problems, which call the option `option`.
 */
int http_address_parse(const char *text, const char *option, struct problems *problems,
		       struct http_address *ret);

#define HTTP_TOKEN_MIN 16
#define HTTP_TOKEN_MAX 128

struct http_token {
	char text[HTTP_TOKEN_MAX + 1]; /* "": none is asked for */
};

/*
 * The one line of a file. Returns -EINVAL, or -errno of reading it, with what is wrong in
 * problems: there too a file that everybody may read.
 */
int http_token_read(const char *path, struct problems *problems, struct http_token *ret);

/* The time it takes does not tell how much of a guess of n bytes is right. */
bool http_token_equals(const struct http_token *token, const char *guess, size_t n);

/* The token among the cookies that a browser sends, "a=1; NAME=TOKEN". */
bool http_token_in_cookies(const struct http_token *token, const char *name, const char *cookies);

/* "Bearer TOKEN" */
bool http_token_in_authorization(const struct http_token *token, const char *authorization);

/*
 * Whether a Host: header is one by which a loopback address is called, "localhost" or
 * 127.0.0.1, at any port (of a tunnel): a name that a stranger's DNS leads here is not.
 */
bool http_host_is_loopback(const char *host);

#endif
