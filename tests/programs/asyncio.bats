#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # SPLICED: common.bash reads it
#
# Python's asyncio: streams and WebSocket, without a proxy.

load common

services() {
	service echo 10.96.0.10 80 "$(ip4 a)" 8080
}

streams() {
	pod_bg a python3 "$PROGRAMS/asyncio_pair.py" serve 8080
	step "both ways at once, half-close at the end" client \
		python3 "$PROGRAMS/asyncio_pair.py" call 10.96.0.10 80
}

websocket() {
	pod_bg a "$BUILT/venv/bin/python" "$PROGRAMS/asyncio_pair.py" serve-ws 8080
	step "messages of 1 byte to 100 KB" client \
		"$BUILT/venv/bin/python" "$PROGRAMS/asyncio_pair.py" call-ws ws://10.96.0.10
}

@test "Python asyncio: streams" {
	ns_bridge client a
	SPLICED=(echo)
	play streams off auto on
}

@test "Python asyncio: WebSocket" {
	ns_bridge client a
	SPLICED=(echo)
	play websocket off auto on
}
