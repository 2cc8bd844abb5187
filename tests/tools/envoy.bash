# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Configurations of Envoy, to be sourced.

# Passes on what comes, by its HTTP connection manager or by its TCP proxy.
envoy_yaml() { # http|tcp LISTEN PORT BACK PORT
	cat <<-END
		static_resources:
		  listeners:
		    - address: { socket_address: { address: $2, port_value: $3 } }
		      filter_chains:
		        - filters:
		            -
		$("envoy_$1" | sed 's/^/              /')
		  clusters:
		    - name: back
		      connect_timeout: 10s
		      load_assignment:
		        cluster_name: back
		        endpoints:
		          - lb_endpoints:
		              - endpoint: { address: { socket_address: { address: $4, port_value: $5 } } }
	END
}

envoy_http() {
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

envoy_tcp() {
	cat <<-END
		name: envoy.filters.network.tcp_proxy
		typed_config:
		  "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
		  stat_prefix: front
		  cluster: back
	END
}
