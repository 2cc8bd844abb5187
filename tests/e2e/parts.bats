#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # run sets output
#
# Services that change by themselves, without a look at all the others: see plan/known.h.

load harness

@test "services change one by one, at once, and after another process has changed them" {
	load_config <<<"services: []"
	# ends with a look at the whole: nothing is to be done
	run "$REPO/build/tests/bench/changes" "$PIN" 30 2 30
	echo "$output"
	((status == 0))
}
