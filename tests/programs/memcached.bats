#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # SPLICED: common.bash reads it
#
# memcached, an event loop in each of its threads.

load common

services() {
	service cache 10.96.0.10 11211 "$(ip4 a)" 11211
}

calls() {
	pod_start a memcached -u nobody -l 0.0.0.0 -p 11211 -U 0 -t 2 -m 256
	listens a 11211
	step "sets, gets, deletes, every answer checked" client \
		python3 "$PROGRAMS/memcached_client.py" 10.96.0.10 11211
}

@test "memcached" {
	ns_bridge client a
	SPLICED=(cache)
	play calls off auto on
}
