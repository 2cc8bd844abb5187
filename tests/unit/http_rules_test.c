/* SPDX-License-Identifier: Apache-2.0 */
/* Where the page may listen, and who may ask. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/http_rules.h"

#define UNUSED __attribute__((unused))

#define TOKEN "0123456789abcdef"

/* ---- addresses -------------------------------------------------------------- */

static void assert_address(const char *text, const char *expected, bool loopback)
{
	_cleanup_problems_ struct problems problems = {};
	struct http_address address;
	char buf[ADDRESS_TEXT_MAX];

	assert_int_equal(http_address_parse(text, "--web", &problems, &address), 0);
	assert_int_equal(problems.count, 0);
	assert_string_equal(address_port_format(&address.address, htons(address.port), buf),
			    expected);
	assert_int_equal(address.loopback, loopback);
}

static void test_addresses(void **unused UNUSED)
{
	assert_address("127.0.0.1:9470", "127.0.0.1:9470", true);
	assert_address("127.3.2.1:1", "127.3.2.1:1", true);
	assert_address("[::1]:9470", "[::1]:9470", true);
	assert_address("127.0.0.1:0", "127.0.0.1:0", true);
	assert_address(":9470", "[::]:9470", false);
	assert_address("0.0.0.0:9470", "0.0.0.0:9470", false);
	assert_address("[::]:9470", "[::]:9470", false);
	assert_address("[::2]:9470", "[::2]:9470", false);
	assert_address("10.0.0.1:65535", "10.0.0.1:65535", false);
}

static void test_wrong_addresses(void **unused UNUSED)
{
	static const char *const wrong[] = {
		"",
		"9470",
		":",
		"127.0.0.1",
		"127.0.0.1:",
		"127.0.0.1:65536",
		"127.0.0.1:-1",
		"127.0.0.1:+1",
		"127.0.0.1: 1",
		"127.0.0.1:1x",
		"localhost:9470",
		"::1:9470",
		"[::1]",
		"[::1:9470",
		"[::1]9470",
		"[127.0.0.1]:9470",
		"[]:9470",
		"127.0.0.1:00000001",
		"[::1]:9470:1",
		"1.2.3:9470",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_problems_ struct problems problems = {};
		struct http_address address = { .port = 7 };

		assert_int_equal(http_address_parse(wrong[i], "--web", &problems, &address),
				 -EINVAL);
		assert_int_equal(address.port, 7);
		assert_int_equal(problems.count, 1);
		assert_memory_equal(problems.text[0], "--web: found '", 14);
	}
}

/* A name that leads here by a stranger's DNS is not ours, whatever it looks like. */
static void test_hosts(void **unused UNUSED)
{
	static const char *const ours[] = { "localhost", "localhost:9470", "LOCALHOST:1",
					    "127.0.0.1", "127.9.9.9:80",   "[::1]",
					    "[::1]:9470" };
	static const char *const others[] = { "",
					      "example.org",
					      "localhost.example.org",
					      "127.0.0.1.example.org",
					      "localhost:x",
					      "localhost:99999",
					      "10.0.0.1:9470",
					      "0.0.0.0:9470",
					      "[::]",
					      "[::1",
					      "::1",
					      ":9470",
					      "localhost, example.org" };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (!http_host_is_loopback(ours[i]))
			fail_msg("'%s' is ours", ours[i]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (http_host_is_loopback(others[i]))
			fail_msg("'%s' is not ours", others[i]);
}

/* ---- tokens ----------------------------------------------------------------- */

static int read_token(const char *content, mode_t mode, struct problems *problems,
		      struct http_token *ret)
{
	char path[] = "/tmp/sidestep-token.XXXXXX";
	_cleanup_close_ int fd = mkstemp(path);
	int err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	assert_int_equal(fchmod(fd, mode), 0);
	err = http_token_read(path, problems, ret);
	unlink(path);
	return err;
}

static void assert_refused(const char *content, mode_t mode, const char *why)
{
	_cleanup_problems_ struct problems problems = {};
	struct http_token token = { "before" };

	assert_int_equal(read_token(content, mode, &problems, &token), -EINVAL);
	assert_string_equal(token.text, "before");
	assert_int_equal(problems.count, 1);
	assert_non_null(strstr(problems.text[0], why));
	/* a token that is only written wrongly is a secret nevertheless */
	if (strlen(content) > 3)
		assert_null(strstr(problems.text[0], content));
}

static void test_token_file(void **unused UNUSED)
{
	char longest[HTTP_TOKEN_MAX + 2] = {};
	struct problems problems = {};
	struct http_token token;

	assert_int_equal(read_token(TOKEN "\n", 0600, &problems, &token), 0);
	assert_string_equal(token.text, TOKEN);
	assert_int_equal(read_token(TOKEN, 0640, &problems, &token), 0);
	assert_string_equal(token.text, TOKEN);
	memset(longest, 'a', HTTP_TOKEN_MAX);
	assert_int_equal(read_token(longest, 0600, &problems, &token), 0);
	longest[HTTP_TOKEN_MAX] = 'a';
	assert_refused(longest, 0600, "expected one line of 16 to 128");
	assert_refused("", 0600, "expected one line");
	assert_refused("\n", 0600, "expected one line");
	assert_refused("0123456789abcde", 0600, "expected one line");
	assert_refused(TOKEN " ", 0600, "expected one line");
	assert_refused(TOKEN "\n\n", 0600, "expected one line");
	assert_refused(TOKEN "\r\n", 0600, "expected one line");
	assert_refused("0123456789abcde;", 0600, "expected one line");
	assert_refused(TOKEN, 0644, "everybody may read it");
	assert_int_equal(http_token_read("/nonexistent", &problems, &token), -ENOENT);
	problems_release(&problems);
}

static void test_token_equals(void **unused UNUSED)
{
	const struct http_token token = { TOKEN };
	char longer[HTTP_TOKEN_MAX * 2] = TOKEN;

	assert_true(http_token_equals(&token, TOKEN, 16));
	assert_false(http_token_equals(&token, TOKEN, 15));
	assert_false(http_token_equals(&token, TOKEN "0", 17));
	assert_false(http_token_equals(&token, "0123456789abcdeF", 16));
	assert_false(http_token_equals(&token, "", 0));
	/* nor with NULs behind it, as the token itself has them */
	assert_false(http_token_equals(&token, longer, sizeof(longer)));
	assert_false(http_token_equals(&(struct http_token){}, "", 0));
}

static void test_token_in_headers(void **unused UNUSED)
{
	const struct http_token token = { TOKEN };

	assert_true(http_token_in_cookies(&token, "n", "n=" TOKEN));
	assert_true(http_token_in_cookies(&token, "n", "a=b; n=" TOKEN "; c=d"));
	assert_true(http_token_in_cookies(&token, "n", "n=wrong;n=" TOKEN));
	assert_false(http_token_in_cookies(&token, "n", "nn=" TOKEN));
	assert_false(http_token_in_cookies(&token, "n", "xn=" TOKEN));
	assert_false(http_token_in_cookies(&token, "n", "n=" TOKEN "x"));
	assert_false(http_token_in_cookies(&token, "n", "n"));
	assert_false(http_token_in_cookies(&token, "n", "n=; ;;"));
	assert_false(http_token_in_cookies(&token, "n", ""));
	assert_true(http_token_in_authorization(&token, "Bearer " TOKEN));
	assert_true(http_token_in_authorization(&token, "bearer " TOKEN));
	assert_false(http_token_in_authorization(&token, "Bearer"));
	assert_false(http_token_in_authorization(&token, "Basic " TOKEN));
	assert_false(http_token_in_authorization(&token, TOKEN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),    cmocka_unit_test(test_wrong_addresses),
		cmocka_unit_test(test_hosts),        cmocka_unit_test(test_token_file),
		cmocka_unit_test(test_token_equals), cmocka_unit_test(test_token_in_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
