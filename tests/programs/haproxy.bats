#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # SPLICED: common.bash reads it
#
# haproxy between a client and a Go server. With "option splice-auto" it reads with
# splice(2): where the kernel gives no means to see that, "on" is not for its services.

load common

services() {
	service front 10.96.0.10 80 "$(ip4 proxy)" 8080
	service back 10.96.0.11 80 "$(ip4 a)" 8080
}

haproxy_start() { # http|tcp [OPTION...]
	cat >"$DIR/haproxy.cfg" <<-END
		global
			maxconn 1000
		defaults
			mode $1
			timeout connect 10s
			timeout client 60s
			timeout server 60s
		$(printf '\t%s\n' "${@:2}")
		frontend front
			bind :8080
			default_backend back
		backend back
			server back 10.96.0.11:80
	END
	pod_start proxy haproxy -db -f "$DIR/haproxy.cfg"
	listens proxy 8080 || fail "$(cat "${OUT[$PID]}.err")"
}

http() {
	proxied haproxy_start http
}

tcp() {
	proxied haproxy_start tcp
}

spliced_http() {
	proxied haproxy_start http "option splice-auto"
}

spliced_tcp() {
	proxied haproxy_start tcp "option splice-request" "option splice-response"
}

@test "haproxy: HTTP" {
	ns_bridge client proxy a
	SPLICED=(front back)
	play http off auto on
}

@test "haproxy: TCP" {
	ns_bridge client proxy a
	SPLICED=(front back)
	play tcp off auto on
}

@test "haproxy: HTTP with option splice-auto" {
	ns_bridge client proxy a
	play spliced_http off auto
}

@test "haproxy: TCP, splice both ways" {
	ns_bridge client proxy a
	play spliced_tcp off auto
}
