/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that are taken or refused, and what was told of the latter. */
#ifndef SIDESTEP_TESTS_YAML_FIXTURE_H
#define SIDESTEP_TESTS_YAML_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/text.h"
#include "source/yaml.h"

#define UNUSED __attribute__((unused))

/* Long names, and what is told of names. */
#define TEN      "aaaaaaaaaa"
#define SIXTY    TEN TEN TEN TEN TEN TEN
#define NAME_127 SIXTY SIXTY "aaaaaaa"
#define NAME_EXPECTED(what, min, max) \
	"expected " what " (" min " to " max " characters of A-Z a-z 0-9 . _ / -)"

static inline int load(const char *text, struct problems *problems, struct model **ret)
{
	return yaml_load_text("t.yaml", text, strlen(text), NULL, problems, ret);
}

static inline struct model *load_valid(const char *text)
{
	_cleanup_problems_ struct problems problems = { 0 };
	struct model *model = NULL;
	int r = load(text, &problems, &model);

	if (problems.count)
		print_error("%s\n", problems.text[0]);
	assert_int_equal(r, 0);
	assert_int_equal(problems.count, 0);
	return model;
}

/* The problems a line each, without "t.yaml:"; the text is refused and yields no model. */
static inline struct text load_refused(const char *yaml)
{
	_cleanup_problems_ struct problems problems = { 0 };
	struct model *untouched = (void *)0x1, *model = untouched;
	struct text text = { 0 };

	assert_int_equal(load(yaml, &problems, &model), -EINVAL);
	assert_ptr_equal(model, untouched);
	for (unsigned i = 0; i < problems.count; i++) {
		assert_int_equal(strncmp(problems.text[i], "t.yaml:", 7), 0);
		text_add(&text, "%s%s", i ? "\n" : "", problems.text[i] + 7);
	}
	if (problems.more)
		text_add(&text, "\n+%u", problems.more);
	return text;
}

struct refusal {
	const char *yaml;
	const char *problems;
};

static inline void check_refusals(const struct refusal *refusals, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_text_ struct text text = load_refused(refusals[i].yaml);

		if (strcmp(text_string(&text), refusals[i].problems))
			print_error("for:\n%s\n", refusals[i].yaml);
		assert_string_equal(text_string(&text), refusals[i].problems);
	}
}

#define CHECK_REFUSALS(refusals) check_refusals(refusals, ARRAY_SIZE(refusals))

static inline void assert_address(const struct sst_addr *address, const char *expected)
{
	char text[ADDRESS_TEXT_MAX];

	assert_string_equal(address_format(address, text), expected);
}

#endif
