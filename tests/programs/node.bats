#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # SPLICED: common.bash reads it
#
# Node.js: an HTTP server and its client.

load common

services() {
	service web 10.96.0.10 80 "$(ip4 a)" 8080
}

calls() {
	pod_bg a node "$PROGRAMS/node.js" serve 8080
	step "answers, and uploads that are echoed" client \
		node "$PROGRAMS/node.js" call 10.96.0.10 80
}

@test "Node.js" {
	ns_bridge client a
	SPLICED=(web)
	play calls off auto on
}
