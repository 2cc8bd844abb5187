/* SPDX-License-Identifier: Apache-2.0 */
/* Kubeconfigs and service accounts, in a folder of its own for each test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/access.h"
#include "cluster/secret.h"
#include "core/cleanup.h"
#include "core/text.h"

#define CA  "-----BEGIN CERTIFICATE-----\nQ0E=\n-----END CERTIFICATE-----\n"
#define KEY "-----BEGIN EC PRIVATE KEY-----\nS0VZ\n-----END EC PRIVATE KEY-----\n"

#define CA64 "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClEwRT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
#define KEY64 \
	"LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0tClMwVloKLS0tLS1FTkQgRUMgUFJJVkFURSBLRVktLS0tLQo="

struct folder {
	char path[64];
	char config[80];
};

static void write_file(const struct folder *folder, const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder->path, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int make_folder(void **ret)
{
	struct folder *folder = calloc(1, sizeof(*folder));

	strcpy(folder->path, "/tmp/sidestep-access.XXXXXX");
	assert_non_null(mkdtemp(folder->path));
	snprintf(folder->config, sizeof(folder->config), "%s/config", folder->path);
	write_file(folder, "ca.crt", CA);
	write_file(folder, "tls.key", KEY);
	write_file(folder, "token", "  s3cret\n");
	unsetenv("KUBECONFIG");
	unsetenv("KUBERNETES_SERVICE_HOST");
	unsetenv("KUBERNETES_SERVICE_PORT");
	*ret = folder;
	return 0;
}

static int remove_folder(void **state)
{
	struct folder *folder = *state;
	DIR *dir = opendir(folder->path);
	struct dirent *entry;

	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	assert_int_equal(rmdir(folder->path), 0);
	free(folder);
	return 0;
}

/* A kubeconfig whose current context has these. */
static void write_config(const struct folder *folder, const char *cluster, const char *user)
{
	_cleanup_text_ struct text text = {};

	text_add(&text,
		 "apiVersion: v1\n"
		 "kind: Config\n"
		 "preferences: {}\n"
		 "clusters:\n"
		 "- {name: other, cluster: {server: 'https://other'}}\n"
		 "- name: c\n"
		 "  cluster: {%s}\n"
		 "users:\n"
		 "- {name: other, user: {exec: {command: aws}}}\n"
		 "- name: u\n"
		 "  user: {%s}\n"
		 "contexts:\n"
		 "- {name: other, context: {cluster: other, user: other}}\n"
		 "- {name: x, context: {cluster: c, user: u, namespace: n}}\n"
		 "current-context: x\n",
		 cluster, user);
	write_file(folder, "config", text_string(&text));
}

static void find(const struct folder *folder, const char *server, struct access *ret)
{
	const struct access_options options = { folder->config, server, folder->path };
	_cleanup_problems_ struct problems problems = {};
	int r = access_find(&options, &problems, ret);

	for (unsigned i = 0; i < problems.count; i++)
		print_error("%s\n", problems.text[i]);
	assert_int_equal(r, 0);
}

static void assert_told(int r, const struct problems *problems, const char *expected)
{
	assert_int_equal(r, -EINVAL);
	for (unsigned i = 0; i < problems->count; i++) {
		assert_null(strstr(problems->text[i], "s3cret"));
		if (strstr(problems->text[i], expected))
			return;
	}
	for (unsigned i = 0; i < problems->count; i++)
		print_error("%s\n", problems->text[i]);
	fail_msg("not told: %s", expected);
}

static void assert_refused_by(const struct access_options *options, const char *expected)
{
	_cleanup_problems_ struct problems problems = {};
	struct access access = { .server = "untouched" };
	int r = access_find(options, &problems, &access);

	assert_told(r, &problems, expected);
	assert_string_equal(access.server, "untouched");
	assert_null(access.token);
}

static void assert_refused(const struct folder *folder, const char *cluster, const char *user,
			   const char *expected)
{
	const struct access_options options = { .kubeconfig = folder->config };

	write_config(folder, cluster, user);
	assert_refused_by(&options, expected);
}

static void assert_refused_text(const struct folder *folder, const char *text, const char *expected)
{
	const struct access_options options = { .kubeconfig = folder->config };

	write_file(folder, "config", text);
	assert_refused_by(&options, expected);
}

#define SERVER "server: 'https://10.0.0.1:6443'"

/* ---- kubeconfig ------------------------------------------------------------------------ */

static void test_data(void **state)
{
	_cleanup_access_ struct access access = {};

	write_config(*state,
		     SERVER ", certificate-authority-data: " CA64
			    ", certificate-authority: /nowhere, tls-server-name: kubernetes",
		     "client-certificate-data: " CA64 ", client-key-data: " KEY64
		     ", token: s3cret");
	find(*state, NULL, &access);
	assert_string_equal(access.server, "https://10.0.0.1:6443");
	assert_string_equal(access.server_name, "kubernetes");
	assert_string_equal(access.ca, CA);
	assert_string_equal(access.certificate, CA);
	assert_string_equal(access.key, KEY);
	assert_string_equal(access.token, "s3cret");
	assert_null(access.token_file);
}

/* Relative to the kubeconfig, or absolute. */
static void test_files(void **state)
{
	struct folder *folder = *state;
	_cleanup_access_ struct access access = {};
	char user[200], token[100];

	snprintf(token, sizeof(token), "%s/token", folder->path);
	snprintf(user, sizeof(user),
		 "client-certificate: %s/ca.crt, client-key: tls.key, "
		 "tokenFile: token",
		 folder->path);
	write_config(folder, SERVER ", certificate-authority: ca.crt", user);
	find(folder, NULL, &access);
	assert_string_equal(access.ca, CA);
	assert_string_equal(access.certificate, CA);
	assert_string_equal(access.key, KEY);
	assert_string_equal(access.token_file, token);
}

/* Null and empty count as absent; what is not known of is not looked at. */
static void test_nothing_more(void **state)
{
	_cleanup_access_ struct access access = {};

	write_config(*state,
		     "server: 'https://api.example:443/k8s/c1//', certificate-authority-data: '', "
		     "insecure-skip-tls-verify: false, proxy-url: , disable-compression: true",
		     "token: null, exec: null, colour: blue");
	find(*state, NULL, &access);
	assert_string_equal(access.server, "https://api.example:443/k8s/c1");
	assert_null(access.server_name);
	assert_null(access.ca);
	assert_null(access.certificate);
	assert_null(access.key);
	assert_null(access.token);
	assert_null(access.token_file);
}

static void test_server_instead(void **state)
{
	_cleanup_access_ struct access access = {};
	const struct access_options options = {
		.kubeconfig = ((struct folder *)*state)->config,
		.server = "http://10.0.0.2",
	};

	write_config(*state, SERVER, "token: s3cret");
	find(*state, "https://[fd00::1]:6443", &access);
	assert_string_equal(access.server, "https://[fd00::1]:6443");
	assert_refused_by(&options, "--server: server: expected https://HOST:PORT, TLS is always");
}

static void test_environment(void **state)
{
	struct folder *folder = *state;
	const struct access_options options = {};
	_cleanup_problems_ struct problems problems = {};
	_cleanup_access_ struct access access = {};

	assert_refused_by(&options, "found neither a kubeconfig");
	write_config(folder, SERVER, "token: s3cret");
	setenv("KUBECONFIG", folder->config, 1);
	assert_int_equal(access_find(&options, &problems, &access), 0);
	assert_string_equal(access.token, "s3cret");
	setenv("KUBECONFIG", "/a:/b", 1);
	assert_refused_by(&options, "found several files (/a:/b), they are not merged");
	setenv("KUBECONFIG", "/nowhere", 1);
	assert_refused_by(&options, "/nowhere: cannot be read: No such file");
}

static void test_refused_servers(void **state)
{
	static const char *const servers[] = {
		"http://10.0.0.1",
		"10.0.0.1:6443",
		"https://",
		"https://:6443",
		"https://a:0",
		"https://a:65536",
		"https://a:b",
		"https://u:s3cret@a",
		"https://a?b",
		"https://a#b",
		"https://a b",
		"https://[::1",
		"https://fd00::1",
		"https://a:",
		"https://a\\\\b",
		"https://[::1]6443",
		"https://a:99999999999999999999",
	};
	char cluster[120];

	for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
		snprintf(cluster, sizeof(cluster), "server: \"%s\"", servers[i]);
		assert_refused(*state, cluster, "token: s3cret",
			       "server: expected https://HOST:PORT");
	}
	assert_refused(*state, "", "token: s3cret", ":7:12: found a cluster without 'server'");
	assert_refused(*state, "server: [a]", "token: s3cret",
		       "found a list, expected https://HOST:PORT");
}

/* With file, line and column, and a sentence. */
static void test_refused_ways(void **state)
{
	assert_refused(*state, SERVER ", proxy-url: 'http://p'", "",
		       "config:7:57: proxy-url: the API server is not asked by way of a proxy");
	assert_refused(*state, SERVER ", insecure-skip-tls-verify: true", "",
		       "config:7:72: insecure-skip-tls-verify: the server's certificate is always "
		       "verified");
	assert_refused(*state, SERVER, "exec: {command: aws}",
		       "config:11:16: exec: credential plugins are not run");
	assert_refused(*state, SERVER, "auth-provider: {name: gcp}",
		       "config:11:25: auth-provider: there are none any more");
	assert_refused(*state, SERVER, "username: a, password: s3cret",
		       "config:11:20: username: no API server takes passwords");
	assert_refused(*state, SERVER, "as: root", "config:11:14: as: acting as somebody else");
	assert_refused(*state, SERVER, "as-groups: [a]", "as-groups: acting as somebody else");
}

static void test_refused_values(void **state)
{
	assert_refused(*state, SERVER ", certificate-authority: no.crt", "",
		       "config:7:69: certificate-authority: ");
	assert_refused(*state, SERVER ", certificate-authority: no.crt", "",
		       "no.crt cannot be read: No such file");
	assert_refused(*state, SERVER ", certificate-authority: tls.key", "",
		       "certificate-authority: found no PEM, expected '-----BEGIN CERTIFICATE");
	assert_refused(*state, SERVER, "client-key-data: s3cret!",
		       "client-key-data: found what is not Base64");
	assert_refused(*state, SERVER, "client-key-data: czNjcmV0",
		       "client-key-data: found no PEM, expected '-----BEGIN");
	assert_refused(*state, SERVER, "client-key: tls.key",
		       "found client-key without client-certificate");
	assert_refused(*state, SERVER, "client-certificate: ca.crt",
		       "found client-certificate without client-key");
	assert_refused(*state, SERVER, "token: 's3cret\n\n   X-Header: a'",
		       "config:11:17: token: found blanks or control characters");
	assert_refused(*state, SERVER, "token: [s3cret]", "found a list, expected a token");
}

static void test_refused_files(void **state)
{
	assert_refused_text(*state, "", "found an empty file, expected a kubeconfig");
	assert_refused_text(*state, "[]", "found no mapping, expected a kubeconfig");
	assert_refused_text(*state, "token: 's3cret", "not valid YAML");
	assert_refused_text(*state, "clusters: []", "without 'current-context'");
	assert_refused_text(*state, "current-context: x", "found no 'x' among the contexts");
	assert_refused_text(*state, "{current-context: x, contexts: 1}",
			    "expected a list of contexts");
	assert_refused_text(*state, "{current-context: x, contexts: [{name: x}]}",
			    "found none in contexts 'x', expected a mapping 'context'");
	assert_refused_text(*state, "{current-context: x, contexts: [{name: x, context: {}}]}",
			    "found a context without 'cluster'");
	assert_refused_text(*state,
			    "{current-context: x, contexts: [{name: x, context: {cluster: c, "
			    "user: u}}], users: [{name: v}]}",
			    "found no 'u' among the users");
}

/* Whoever may write it says whom root obeys. */
static void test_refused_writers(void **state)
{
	struct folder *folder = *state;

	if (geteuid() != 0)
		skip();
	write_config(folder, SERVER, "");
	assert_int_equal(chmod(folder->config, 0620), 0);
	assert_refused_by(&(struct access_options){ folder->config },
			  "config: found a file that others may write");
	assert_int_equal(chmod(folder->config, 0600), 0);
	assert_int_equal(chown(folder->config, 1, 0), 0);
	assert_refused_by(&(struct access_options){ folder->config },
			  "config: found a file of user 1");
}

/* ---- in a pod ---------------------------------------------------------------------------- */

static void assert_pod(const struct folder *folder, const char *host, const char *server,
		       const char *expected)
{
	const struct access_options options = {
		.server = server,
		.service_account = folder->path,
	};
	_cleanup_problems_ struct problems problems = {};
	_cleanup_access_ struct access access = {};

	setenv("KUBERNETES_SERVICE_HOST", host, 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_int_equal(access_find(&options, &problems, &access), 0);
	assert_string_equal(access.server, expected);
	assert_string_equal(access.ca, CA);
	assert_null(access.token);
	assert_string_equal(strrchr(access.token_file, '/'), "/token");
}

static void test_pod(void **state)
{
	assert_pod(*state, "10.96.0.1", NULL, "https://10.96.0.1:443");
	assert_pod(*state, "fd00::1", NULL, "https://[fd00::1]:443");
	assert_pod(*state, "10.96.0.1", "https://192.0.2.1:6443", "https://192.0.2.1:6443");
}

static void test_refused_pods(void **state)
{
	struct folder *folder = *state;
	struct access_options options = { .service_account = folder->path };
	char path[100];

	setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1);
	assert_refused_by(&options, "found neither a kubeconfig");
	setenv("KUBERNETES_SERVICE_PORT", "x", 1);
	assert_refused_by(&options, "$KUBERNETES_SERVICE_HOST: server: expected");
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	snprintf(path, sizeof(path), "%s/token", folder->path);
	unlink(path);
	assert_refused_by(&options, "/token: the service account cannot be read: No such file");
	options.service_account = "/nowhere";
	assert_refused_by(&options, "/nowhere/ca.crt: the service account cannot be read");
}

/* ---- tokens --------------------------------------------------------------------------------- */

static void replace_token(const struct folder *folder, const char *text)
{
	char from[100], to[100];

	write_file(folder, "next", text);
	snprintf(from, sizeof(from), "%s/next", folder->path);
	snprintf(to, sizeof(to), "%s/token", folder->path);
	assert_int_equal(rename(from, to), 0);
}

static void test_token_rotates(void **state)
{
	struct folder *folder = *state;
	_cleanup_(access_token_release) struct access_token token = {};
	_cleanup_access_ struct access access = {};
	char path[100];

	write_config(folder, SERVER, "tokenFile: token, token: another");
	find(folder, NULL, &access);
	assert_string_equal(access_token(&access, &token), "s3cret");
	replace_token(folder, "second");
	assert_string_equal(access_token(&access, &token), "second");
	/* what is none, or gone, does not take its place */
	replace_token(folder, "a b");
	assert_string_equal(access_token(&access, &token), "second");
	replace_token(folder, "\n");
	assert_string_equal(access_token(&access, &token), "second");
	snprintf(path, sizeof(path), "%s/token", folder->path);
	unlink(path);
	assert_string_equal(access_token(&access, &token), "second");
}

/* A file that looks as before is read again when its content is in doubt, or old. */
static void test_token_doubted(void **state)
{
	struct folder *folder = *state;
	_cleanup_(access_token_release) struct access_token token = {};
	_cleanup_access_ struct access access = {};

	write_config(folder, SERVER, "tokenFile: token");
	find(folder, NULL, &access);
	assert_string_equal(access_token(&access, &token), "s3cret");
	strcpy(token.text, "stale");
	assert_string_equal(access_token(&access, &token), "stale");
	access_token_doubt(&token);
	assert_string_equal(access_token(&access, &token), "s3cret");
	strcpy(token.text, "stale");
	token.read_ns -= 61000000000ULL;
	assert_string_equal(access_token(&access, &token), "s3cret");
}

static void test_no_token(void **state)
{
	_cleanup_(access_token_release) struct access_token token = {};
	const struct access none = {}, constant = { .token = "s3cret" },
			    missing = { .token_file = "/nowhere", .token = "s3cret" };

	(void)state;
	assert_null(access_token(&none, &token));
	assert_string_equal(access_token(&constant, &token), "s3cret");
	assert_string_equal(access_token(&missing, &token), "s3cret");
}

/* ---- Base64 and files ------------------------------------------------------------------------- */

static void test_base64(void **state)
{
	static const struct {
		const char *base64, *text;
	} good[] = {
		{ "", "" },
		{ "YQ==", "a" },
		{ "YWI=", "ab" },
		{ "YWJj", "abc" },
		{ "YWJjZA==", "abcd" },
		{ "YW\nJj\r\nZA==\n", "abcd" },
		{ "/+/+", "\xff\xef\xfe" },
	};
	static const char *const bad[] = {
		"Y",        "YQ",   "YQ=",  "YQ===", "Y===", "====",
		"YQ==YQ==", "YQ=a", "YW J", "YW-_",  "AAAA",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_secret_ char *text = NULL;

		assert_int_equal(secret_decode(good[i].base64, &text), 0);
		assert_string_equal(text, good[i].text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *text = NULL;

		assert_int_equal(secret_decode(bad[i], &text), -EINVAL);
		assert_null(text);
	}
}

static void test_secret_files(void **state)
{
	struct folder *folder = *state;
	_cleanup_free_ char *large = malloc(SECRET_SIZE_MAX + 2);
	_cleanup_secret_ char *text = NULL;
	char *none = NULL;

	memset(large, 'x', SECRET_SIZE_MAX + 1);
	large[SECRET_SIZE_MAX + 1] = '\0';
	write_file(folder, "config", large);
	assert_int_equal(secret_read(folder->config, NULL, &none), -EFBIG);
	write_file(folder, "config", large + 1);
	assert_int_equal(secret_read(folder->config, NULL, &text), 0);
	assert_int_equal(strlen(text), SECRET_SIZE_MAX);
	assert_int_equal(secret_read(folder->path, NULL, &none), -EISDIR);
	assert_int_equal(secret_read("/proc/self/cmdline", NULL, &none), -EINVAL); /* it has NULs */
	assert_null(none);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		TEST(test_data),          TEST(test_files),
		TEST(test_nothing_more),  TEST(test_server_instead),
		TEST(test_environment),   TEST(test_refused_servers),
		TEST(test_refused_ways),  TEST(test_refused_values),
		TEST(test_refused_files), TEST(test_refused_writers),
		TEST(test_pod),           TEST(test_refused_pods),
		TEST(test_token_rotates), TEST(test_token_doubted),
		TEST(test_no_token),      TEST(test_base64),
		TEST(test_secret_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
