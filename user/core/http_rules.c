/* SPDX-License-Identifier: Apache-2.0 */
#include "core/http_rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/address.h"
#include "core/cleanup.h"

/* What stands in a URL and in a cookie as it is. */
#define TOKEN_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

/* ---- addresses -------------------------------------------------------------------- */

static bool is_loopback(const struct sst_addr *address)
{
	const struct sst_addr v6 = { .w = { 0, 0, 0, htonl(1) } };

	if (address_family(address) == AF_INET)
		return ntohl(address->w[3]) >> 24 == 127;
	return !address_compare(address, &v6);
}

/* Splits "HOST:PORT" and "[HOST]:PORT"; *ret_port is NULL without one. */
static int split_host(const char *text, char host[static ADDRESS_TEXT_MAX], const char **ret_port)
{
	const char *end = *text == '[' ? strchr(text, ']') : strchrnul(text, ':');
	size_t n;

	if (!end)
		return -EINVAL;
	text += *text == '[';
	n = end - text;
	end += *end == ']';
	if (n >= ADDRESS_TEXT_MAX || (*end && *end != ':'))
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	*ret_port = *end ? end + 1 : NULL;
	return 0;
}

static bool parse_port(const char *text, uint16_t *ret)
{
	unsigned long port;

	if (!text || !*text || strlen(text) > 5 || text[strspn(text, "0123456789")])
		return false;
	port = strtoul(text, NULL, 10);
	*ret = port;
	return port <= UINT16_MAX;
}

/* Brackets are for IPv6, and IPv6 is in brackets. */
static bool parse_host(const char *text, const char *host, struct sst_addr *ret)
{
	if (*text == ':') {
		*ret = (struct sst_addr){};
		return true;
	}
	return !address_parse(host, ret) && (*text == '[') == !!strchr(host, ':');
}

int http_address_parse(const char *text, const char *option, struct problems *problems,
		       struct http_address *ret)
{
	char host[ADDRESS_TEXT_MAX];
	struct http_address address;
	const char *port;

	if (split_host(text, host, &port) || !parse_host(text, host, &address.address) ||
	    !parse_port(port, &address.port)) {
		problems_add(problems, option, (struct place){ 0 },
			     "found '%s', expected an address and a port, as 127.0.0.1:9470, "
			     "[::1]:9470 or :9470",
			     text);
		return -EINVAL;
	}
	address.loopback = is_loopback(&address.address);
	*ret = address;
	return 0;
}

bool http_host_is_loopback(const char *host)
{
	char name[ADDRESS_TEXT_MAX];
	struct sst_addr address;
	const char *port;
	uint16_t number;

	if (split_host(host, name, &port) || (port && !parse_port(port, &number)))
		return false;
	return !strcasecmp(name, "localhost") ||
	       (*name && !address_parse(name, &address) && is_loopback(&address));
}

/* ---- tokens ----------------------------------------------------------------------- */

static int check_token(const char *path, const char *text, size_t n, struct problems *problems)
{
	if (n >= HTTP_TOKEN_MIN && n <= HTTP_TOKEN_MAX && strspn(text, TOKEN_CHARACTERS) == n)
		return 0;
	/* never what was found */
	problems_add(problems, path, (struct place){ 0 },
		     "expected one line of %d to %d letters, digits and -._~, as 'openssl rand "
		     "-hex 16' makes one",
		     HTTP_TOKEN_MIN, HTTP_TOKEN_MAX);
	return -EINVAL;
}

static int check_mode(const char *path, int fd, struct problems *problems)
{
	struct stat is;

	if (fstat(fd, &is))
		return -errno;
	if (!(is.st_mode & S_IROTH))
		return 0;
	problems_add(problems, path, (struct place){ 0 },
		     "everybody may read it, expected mode 0600");
	return -EINVAL;
}

int http_token_read(const char *path, struct problems *problems, struct http_token *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buf[HTTP_TOKEN_MAX + 3]; /* a newline, one byte too many, a NUL */
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	int err = n < 0 ? -errno : 0;

	if (err) {
		problems_add(problems, path, (struct place){ 0 }, "%s", strerror(-err));
		return err;
	}
	n -= n && buf[n - 1] == '\n';
	buf[n] = '\0';
	err = check_mode(path, fd, problems) ?: check_token(path, buf, n, problems);
	if (!err) {
		*ret = (struct http_token){};
		memcpy(ret->text, buf, n);
	}
	explicit_bzero(buf, sizeof(buf));
	return err;
}

bool http_token_equals(const struct http_token *token, const char *guess, size_t n)
{
	char padded[sizeof(token->text)] = {};
	volatile unsigned char difference = 0;

	memcpy(padded, guess, n < sizeof(padded) ? n : sizeof(padded));
	for (size_t i = 0; i < sizeof(padded); i++)
		difference |= (i < n ? padded[i] : 0) ^ token->text[i];
	return !difference && n < sizeof(padded) && n;
}

bool http_token_in_cookies(const struct http_token *token, const char *name, const char *cookies)
{
	size_t n = strlen(name);

	while (*cookies) {
		const char *end = strchrnul(cookies, ';');

		if (!strncmp(cookies, name, n) && cookies[n] == '=' &&
		    http_token_equals(token, cookies + n + 1, end - cookies - n - 1))
			return true;
		cookies = end + (*end == ';');
		cookies += strspn(cookies, " ");
	}
	return false;
}

bool http_token_in_authorization(const struct http_token *token, const char *authorization)
{
	static const char scheme[] = "Bearer ";
	size_t n = strlen(scheme);

	if (strncasecmp(authorization, scheme, n))
		return false;
	authorization += n;
	return http_token_equals(token, authorization, strlen(authorization));
}
