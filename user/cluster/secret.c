/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

void secret_free(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

/* ---- files ----------------------------------------------------------------------------- */

/* Room for all that is taken, from the beginning: no copy is left where it grew. */
int secret_read(const char *path, struct stat *about, char **ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_secret_ char *text = NULL;
	size_t size = 0;
	ssize_t n;

	if (fd < 0 || (about && fstat(fd, about)))
		return -errno;
	text = calloc(1, SECRET_SIZE_MAX + 2);
	if (!text)
		return -ENOMEM;
	while ((n = read(fd, text + size, SECRET_SIZE_MAX + 1 - size)) > 0)
		size += n;
	if (n < 0)
		return -errno;
	if (size > SECRET_SIZE_MAX)
		return -EFBIG;
	if (strlen(text) != size) {
		explicit_bzero(text, size);
		return -EINVAL;
	}
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

/* ---- Base64 ---------------------------------------------------------------------------- */

static int digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? at - digits : -EINVAL;
}

/* Four digits of six bits are three bytes; "=" stands for what is missing of the last four. */
int secret_decode(const char *base64, char **ret)
{
	_cleanup_secret_ char *text = calloc(1, strlen(base64) / 4 * 3 + 4);
	unsigned bits = 0, n = 0, missing = 0;
	char *end = text;

	if (!text)
		return -ENOMEM;
	for (; *base64; base64++) {
		if (strchr("\r\n", *base64))
			continue;
		missing += *base64 == '=';
		if (*base64 == '=' ? missing > 2 || n % 4 < 2 : missing || digit(*base64) < 0)
			return -EINVAL;
		bits = bits << 6 | (*base64 == '=' ? 0 : digit(*base64));
		if (++n % 4)
			continue;
		for (unsigned i = 0; i < 3 - missing; i++)
			*end++ = bits >> (16 - 8 * i);
	}
	if (n % 4 || strlen(text) != (size_t)(end - text)) {
		explicit_bzero(text, end - text);
		return -EINVAL;
	}
	*ret = TAKE_PTR(text);
	return 0;
}

/* ---- tokens ----------------------------------------------------------------------------- */

bool secret_is_token(char *text)
{
	size_t length;
	char *begin = text;

	while (isspace((unsigned char)*begin))
		begin++;
	length = strlen(begin);
	while (length && isspace((unsigned char)begin[length - 1]))
		length--;
	for (size_t i = 0; i < length; i++)
		if (begin[i] <= ' ' || begin[i] > '~')
			return false;
	memmove(text, begin, length);
	explicit_bzero(text + length, strlen(text + length));
	return length;
}
