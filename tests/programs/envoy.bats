#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # SPLICED: common.bash reads it
#
# Envoy between a client and a Go server, by its HTTP connection manager and by its TCP
# proxy.

load common

services() {
	service front 10.96.0.10 80 "$(ip4 proxy)" 8080
	service back 10.96.0.11 80 "$(ip4 a)" 8080
}

http_filter() {
	cat <<-END
		name: envoy.filters.network.http_connection_manager
		typed_config:
		  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
		  stat_prefix: front
		  route_config:
		    virtual_hosts:
		      - name: all
		        domains: ["*"]
		        routes: [ { match: { prefix: "/" }, route: { cluster: back, timeout: 60s } } ]
		  http_filters:
		    - name: envoy.filters.http.router
		      typed_config:
		        "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
	END
}

tcp_filter() {
	cat <<-END
		name: envoy.filters.network.tcp_proxy
		typed_config:
		  "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
		  stat_prefix: front
		  cluster: back
	END
}

envoy_start() { # http|tcp
	cat >"$DIR/envoy.yaml" <<-END
		static_resources:
		  listeners:
		    - address: { socket_address: { address: 0.0.0.0, port_value: 8080 } }
		      filter_chains:
		        - filters:
		            -
		$("$1_filter" | sed 's/^/              /')
		  clusters:
		    - name: back
		      connect_timeout: 10s
		      load_assignment:
		        cluster_name: back
		        endpoints:
		          - lb_endpoints:
		              - endpoint:
		                  address:
		                    socket_address: { address: 10.96.0.11, port_value: 80 }
	END
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
