#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # SPLICED: common.bash reads it
#
# Go: net/http with keep-alive and sendfile(2), proxies, gRPC. All its sockets are
# non-blocking. A proxy by io.Copy reads with splice(2): where the kernel gives no
# means to see that, "on" is not for its services.

load common

services() {
	service front 10.96.0.10 80 "$(ip4 proxy)" 8080
	service back 10.96.0.11 80 "$(ip4 a)" 8080
}

web() {
	[[ -e $DATA/file ]] || random_file "$DATA/file" 20000000
	pod_bg a "$BUILT/gohttp" serve :8080 "$DATA/file"
}

direct() {
	web
	step "net/http: answers and uploads" client "$BUILT/gohttp" client http://10.96.0.11
}

proxied() { # copy|buffer
	web
	pod_bg proxy "$BUILT/gohttp" "$1" :8080 10.96.0.11:80
	step "net/http by the proxy" client "$BUILT/gohttp" client http://10.96.0.10
}

by_copy() {
	proxied copy
}

by_buffer() {
	proxied buffer
}

# The interoperability test of gRPC's authors, case by case.
grpc() {
	local name

	pod_start a "$BUILT/grpc/server" --port 8080
	listens a 8080
	for name in empty_unary large_unary client_streaming server_streaming ping_pong \
		empty_stream timeout_on_sleeping_server cancel_after_begin \
		cancel_after_first_response status_code_and_message; do
		step "gRPC: $name" client "$BUILT/grpc/client" --server_host 10.96.0.11 \
			--server_port 80 --test_case "$name"
	done
	step "gRPC: 400 calls on one channel" client "$BUILT/grpc/client" --server_host 10.96.0.11 \
		--server_port 80 --test_case rpc_soak --soak_iterations 400 \
		--soak_max_failures 0 --soak_overall_timeout_seconds 50 \
		--soak_per_iteration_max_acceptable_latency_ms 20000
}

@test "Go: net/http" {
	ns_bridge client a proxy
	SPLICED=(back)
	play direct off auto on
}

@test "Go: a proxy with a buffer" {
	ns_bridge client a proxy
	SPLICED=(front back)
	play by_buffer off auto on
}

@test "Go: a proxy by io.Copy" {
	ns_bridge client a proxy
	play by_copy off auto
}

@test "Go: gRPC" {
	ns_bridge client a proxy
	SPLICED=(back)
	play grpc off auto on
}
