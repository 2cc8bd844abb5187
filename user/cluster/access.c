/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/access.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/kubeconfig.h"
#include "cluster/secret.h"
#include "core/cleanup.h"
#include "core/clock.h"
#include "core/text.h"

#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"
#define SCHEME          "https://"

#define TOKEN_AGE_NS 60000000000ULL

/* ---- the server ------------------------------------------------------------------------- */

/* Host and port, or only the host; IPv6 in brackets. */
static bool is_authority(const char *text, size_t length)
{
	const char *end = text + length, *close = memchr(text, ']', length);
	const char *host_end = close ? close + 1 : memchr(text, ':', length) ?: end;
	unsigned long port = 0;

	if (!length || host_end == text || (*text == '[') != !!close)
		return false;
	if (host_end == end)
		return true;
	for (const char *c = host_end + 1; c < end; c++) {
		if (!isdigit((unsigned char)*c) || port > UINT16_MAX)
			return false;
		port = 10 * port + *c - '0';
	}
	return *host_end == ':' && port >= 1 && port <= UINT16_MAX;
}

static bool is_server(const char *server)
{
	const char *authority = server + strlen(SCHEME);

	if (strncmp(server, SCHEME, strlen(SCHEME)))
		return false;
	for (const char *c = server; *c; c++)
		if (*c <= ' ' || *c > '~' || strchr("@?#\\\"'<>", *c))
			return false;
	return is_authority(authority, strcspn(authority, "/"));
}

/* source is where it is from. The value is no secret: who is in it ("user@") is refused. */
static int check_server(struct access *access, const char *source, struct problems *problems)
{
	char *server = access->server;

	if (!is_server(server)) {
		problems_add(problems, source, (struct place){ 0 },
			     "server: expected https://HOST:PORT%s",
			     strncmp(server, "http://", 7) ? ""
							   : ", TLS is always used and verified");
		return -EINVAL;
	}
	for (size_t n = strlen(server); server[n - 1] == '/'; n--)
		server[n - 1] = '\0';
	return 0;
}

/* ---- in a pod ----------------------------------------------------------------------------- */

static int refuse_file(const char *path, int err, struct problems *problems)
{
	problems_add(problems, path, (struct place){ 0 }, "the service account cannot be read: %s",
		     strerror(-err));
	return -EINVAL;
}

static int read_service_account(const char *folder, struct problems *problems,
				struct access *access)
{
	_cleanup_text_ struct text ca = {}, token_file = {};
	_cleanup_secret_ char *token = NULL;
	int r;

	text_add(&ca, "%s/ca.crt", folder);
	text_add(&token_file, "%s/token", folder);
	if (ca.error || token_file.error)
		return -ENOMEM;
	r = secret_read(ca.data, NULL, &access->ca);
	if (r)
		return refuse_file(ca.data, r, problems);
	r = secret_read(token_file.data, NULL, &token);
	if (r)
		return refuse_file(token_file.data, r, problems);
	access->token_file = TAKE_PTR(token_file.data);
	return 0;
}

static int read_pod(const struct access_options *options, struct problems *problems,
		    struct access *access)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	bool is_v6 = host && strchr(host, ':');
	_cleanup_text_ struct text server = {};

	if (!host || !*host || !port || !*port) {
		problems_add(problems, "Kubernetes", (struct place){ 0 },
			     "found neither a kubeconfig (--kubeconfig, or $KUBECONFIG) nor a pod "
			     "($KUBERNETES_SERVICE_HOST and $KUBERNETES_SERVICE_PORT)");
		return -EINVAL;
	}
	if (options->server)
		text_add_string(&server, options->server);
	else
		text_add(&server, SCHEME "%s%s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
			 port);
	if (server.error)
		return -ENOMEM;
	access->server = TAKE_PTR(server.data);
	return read_service_account(options->service_account ?: SERVICE_ACCOUNT, problems, access);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static int read_kubeconfig(const char *path, const struct access_options *options,
			   struct problems *problems, struct access *access)
{
	if (!options->kubeconfig && strchr(path, ':')) {
		problems_add(problems, "$KUBECONFIG", (struct place){ 0 },
			     "found several files (%s), they are not merged, expected one", path);
		return -EINVAL;
	}
	return kubeconfig_read(path, options->server, problems, access);
}

int access_find(const struct access_options *options, struct problems *problems, struct access *ret)
{
	const char *named = getenv("KUBECONFIG");
	const char *path = options->kubeconfig ?: named && *named ? named : NULL;
	const char *source = options->server ? "--server" : path ?: "$KUBERNETES_SERVICE_HOST";
	_cleanup_access_ struct access access = {};
	int r;

	if (path)
		r = read_kubeconfig(path, options, problems, &access);
	else
		r = read_pod(options, problems, &access);
	if (!r)
		r = check_server(&access, source, problems);
	if (r)
		return r;
	*ret = access;
	access = (struct access){};
	return 0;
}

void access_release(struct access *access)
{
	free(access->server);
	free(access->server_name);
	free(access->ca);
	free(access->certificate);
	secret_free(&access->key);
	secret_free(&access->token);
	free(access->token_file);
	*access = (struct access){};
}

/* ---- tokens ----------------------------------------------------------------------------------- */

static bool is_fresh(const struct access_token *token, const struct stat *now)
{
	const struct stat *then = &token->stat;

	return token->text && token->read_ns &&
	       clock_ns(CLOCK_MONOTONIC) - token->read_ns < TOKEN_AGE_NS &&
	       now->st_ino == then->st_ino && now->st_dev == then->st_dev &&
	       now->st_size == then->st_size && now->st_mtim.tv_sec == then->st_mtim.tv_sec &&
	       now->st_mtim.tv_nsec == then->st_mtim.tv_nsec;
}

static void read_token(const char *path, struct access_token *token)
{
	_cleanup_secret_ char *text = NULL;
	struct stat now;

	if (stat(path, &now) || is_fresh(token, &now))
		return;
	if (secret_read(path, &now, &text) || !secret_is_token(text))
		return;
	secret_free(&token->text);
	token->text = TAKE_PTR(text);
	token->stat = now;
	token->read_ns = clock_ns(CLOCK_MONOTONIC);
}

const char *access_token(const struct access *access, struct access_token *token)
{
	if (access->token_file)
		read_token(access->token_file, token);
	return token->text ?: access->token;
}

void access_token_doubt(struct access_token *token)
{
	token->read_ns = 0;
}

void access_token_release(struct access_token *token)
{
	secret_free(&token->text);
}
