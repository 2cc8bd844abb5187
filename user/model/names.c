/* SPDX-License-Identifier: Apache-2.0 */
#include "model/names.h"

#include <stddef.h>
#include <string.h>

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

#define LABEL_MAX 63 /* of a label's value, of one part of a DNS name */
#define DNS_MAX   253
#define PORT_MAX  15

/* Are these n characters among the allowed ones, the first and the last among the ends? */
static bool is_made_of(const char *text, size_t n, const char *allowed, const char *ends)
{
	if (!n || !strchr(ends, text[0]) || !strchr(ends, text[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!strchr(allowed, text[i]))
			return false;
	return true;
}

static bool is_label(const char *text)
{
	size_t n = strlen(text);

	return n <= LABEL_MAX && is_made_of(text, n, LOWER UPPER DIGITS "-_.", LOWER UPPER DIGITS);
}

static bool is_dns_part(const char *text, size_t n)
{
	return n <= LABEL_MAX && is_made_of(text, n, LOWER DIGITS "-", LOWER DIGITS);
}

static bool is_dns_name(const char *text, size_t n)
{
	const char *end = text + n;

	if (n > DNS_MAX)
		return false;
	for (;;) {
		const char *dot = memchr(text, '.', end - text);

		if (!dot)
			return is_dns_part(text, end - text);
		if (!is_dns_part(text, dot - text))
			return false;
		text = dot + 1;
	}
}

bool name_is_label_key(const char *text)
{
	const char *slash = strchr(text, '/');

	if (!slash)
		return is_label(text);
	return is_dns_name(text, slash - text) && is_label(slash + 1);
}

bool name_is_label_value(const char *text)
{
	return !*text || is_label(text);
}

bool name_is_namespace(const char *text)
{
	return is_dns_part(text, strlen(text));
}

bool name_is_port(const char *text)
{
	size_t n = strlen(text);

	return n <= PORT_MAX && is_made_of(text, n, LOWER DIGITS "-", LOWER DIGITS) &&
	       strpbrk(text, LOWER) && !strstr(text, "--");
}
