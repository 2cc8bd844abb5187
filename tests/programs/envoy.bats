#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # SPLICED: common.bash reads it
#
# Envoy between a client and a Go server, by its HTTP connection manager and by its TCP
# proxy.

load common
load ../tools/envoy

services() {
	service front 10.96.0.10 80 "$(ip4 proxy)" 8080
	service back 10.96.0.11 80 "$(ip4 a)" 8080
}

envoy_start() { # http|tcp
	envoy_yaml "$1" 0.0.0.0 8080 10.96.0.11 80 >"$DIR/envoy.yaml"
	pod_start proxy "$("$REPO/scripts/fetch" envoy)" \
		-c "$DIR/envoy.yaml" --concurrency 1 --disable-hot-restart -l warning
	listens proxy 8080 || fail "$(cat "${OUT[$PID]}.err")"
}

http() {
	proxied envoy_start http
}

tcp() {
	proxied envoy_start tcp
}

@test "Envoy: HTTP" {
	ns_bridge client proxy a
	SPLICED=(front back)
	play http off auto on
}

@test "Envoy: TCP" {
	ns_bridge client proxy a
	SPLICED=(front back)
	play tcp off auto on
}
