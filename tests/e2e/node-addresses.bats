#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# Node ports follow the node's addresses, which nobody writes into a file. The node is namespace
# `node`, where the daemon runs.

load harness

# manifests [OBJECTS]: a service with a node port, and more
manifests() {
	cat <<-END
		${1:-}
		---
		apiVersion: v1
		kind: Service
		metadata: { name: web, namespace: shop }
		spec:
		  type: NodePort
		  clusterIPs: [ 10.96.0.10, "fd96::10" ]
		  ports: [ { port: 80, nodePort: 30080, targetPort: 8080 } ]
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: { name: web-4, namespace: shop, labels: { kubernetes.io/service-name: web } }
		addressType: IPv4
		ports: [ { name: "", port: 8080, protocol: TCP } ]
		endpoints: [ { addresses: [ $(ip4 a) ] } ]
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: { name: web-6, namespace: shop, labels: { kubernetes.io/service-name: web } }
		addressType: IPv6
		ports: [ { name: "", port: 8080, protocol: TCP } ]
		endpoints: [ { addresses: [ "$(ip6 a)" ] } ]
	END
}

daemon_on_node() {
	background nsenter --net="${NS}node" "$SIDESTEP" run "${OPTIONS[@]}" -f "$CONF"
	DAEMON=$PID
	wait_until 20 daemon_answers || fail "no daemon: $(cat "${OUT[$DAEMON]}.err")"
	stats_fresh
}

start() {
	ns_bridge node client a
	serve a
	# ways to them, so that a call that is not translated is refused there
	in_ns client ip route add 10.88.0.0/16 via "$(ip4 node)"
	in_ns client ip route add fd88::/16 via "$(ip6 node)"
	manifests "$@" | config
	daemon_on_node
}

is_served() { # ADDRESS
	local output

	output=$(pod client "$TOOLS/caller" "$1") && check '.names == {a: 1}' >/dev/null
}

is_refused() { # ADDRESS
	local output

	output=$(pod client "$TOOLS/caller" "$1") || :
	check '.errors == {ECONNREFUSED: 1}' >/dev/null
}

@test "an address that comes is served at once, and no more when it has gone" {
	start
	in_ns node ip address add 10.88.0.1/32 dev lo
	wait_until 2 is_served 10.88.0.1:30080
	in_ns node ip address add fd88::1/128 dev lo
	wait_until 2 is_served "[fd88::1]:30080"
	is_served "$(ip4 node):30080"

	in_ns node ip address del 10.88.0.1/32 dev lo
	in_ns node ip address del fd88::1/128 dev lo
	wait_until 2 gone
	is_served "$(ip4 node):30080"
	show services shop/web
	check '[.[].addresses[].address | select(startswith("10.88.") or startswith("fd88:"))] == []'
}

gone() {
	local output

	output=$(sidestep services -o json) &&
		check 'all(.[].addresses[]; .address != "10.88.0.1" and .address != "fd88::1")' >/dev/null
}

@test "addresses that the node's object tells are those" {
	start "{ apiVersion: v1, kind: Node, metadata: { name: $(hostname) }, status: { addresses: [ { type: InternalIP, address: 10.88.0.7 } ] } }"
	in_ns node ip address add 10.88.0.7/32 dev lo
	in_ns node ip address add 10.88.0.1/32 dev lo
	is_served 10.88.0.7:30080
	sleep 0.3
	is_refused 10.88.0.1:30080
}

@test "a file that is broken meanwhile: told once, and followed when it is mended" {
	start
	mv "$CONF" "$CONF.good"
	echo "services: nonsense" | config
	wait_until 5 grep -q "is refused" "${OUT[$DAEMON]}.err"
	in_ns node ip address add 10.88.0.1/32 dev lo
	wait_until 5 refused_again
	stats_fresh
	stats_fresh
	(($(grep -c "is refused" "${OUT[$DAEMON]}.err") == 2))
	is_served "$(ip4 node):30080"
	is_refused 10.88.0.1:30080
	mv "$CONF.good" "$CONF"
	wait_until 5 is_served 10.88.0.1:30080
}

refused_again() {
	(($(grep -c "is refused" "${OUT[$DAEMON]}.err") > 1))
}
