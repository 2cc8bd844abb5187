#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# Services and EndpointSlices as manifests, called through real sockets. The node is namespace
# `node`, where sidestep is loaded from; client, a and b are pods.

load harness

# cluster [OPTIONS OF SERVERS]
cluster() {
	ns_bridge node client a b
	serve a "$@"
	serve b "$@"
}

# From the node's own namespace, whose addresses and loopback are those of NodePorts.
on_node() {
	in_ns node "$SIDESTEP" "$1" "${OPTIONS[@]}" -f "$CONF"
}

load_on_node() {
	config
	on_node load
}

apply_on_node() {
	config
	on_node apply
}

# service SPEC...: service shop/web with a cluster IP of each family
service() {
	cat <<-END
		---
		apiVersion: v1
		kind: Service
		metadata: { name: web, namespace: shop }
		spec:
		  clusterIPs: [ 10.96.0.10, "fd96::10" ]
		  ports: [ { port: 80, nodePort: 30080, targetPort: http } ]
		  $(printf '%s\n  ' "$@")
	END
}

# slice ENDPOINT...: one of its slices, of IPv4
slice() {
	cat <<-END
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: { name: web-4, namespace: shop, labels: { kubernetes.io/service-name: web } }
		addressType: IPv4
		ports: [ { name: "", port: ${PORT:-8080}, protocol: ${PROTOCOL:-TCP} } ]
		endpoints: [ $(printf '%s, ' "$@") ]
	END
}

slice6() {
	slice "$@" | sed 's/addressType: IPv4/addressType: IPv6/'
}

# endpoint POD [KEYS]
endpoint() {
	echo "{ addresses: [ $(ip4 "$1") ]${2:+, $2} }"
}

endpoint6() {
	echo "{ addresses: [ \"$(ip6 "$1")\" ]${2:+, $2} }"
}

ending="conditions: { ready: false, serving: true, terminating: true }"
ended="conditions: { ready: false, serving: false, terminating: true }"

# ---- addresses ------------------------------------------------------------------

@test "a ClusterIP leads to the endpoints of its family" {
	cluster
	{
		service
		slice "$(endpoint a)"
		slice "$(endpoint b)"
		slice6 "$(endpoint6 b)"
	} | load_on_node

	call client --count 40 10.96.0.10:80
	check '.ok == 40 and (.names | keys) == ["a", "b"] and .peer == "10.96.0.10:80"'
	call client --count 4 "[fd96::10]:80"
	check '.names == {b: 4} and .peer == "[fd96::10]:80"'
	call client --count 4 --source-mapped 10.96.0.10:80
	check '.ok == 4 and .peer == "[::ffff:10.96.0.10]:80"'
	show services shop/web
	check 'all(.[]; .service == "shop/web")'
}

@test "a NodePort is at the node's addresses, for the node and for pods" {
	cluster
	{
		service "type: NodePort"
		slice "$(endpoint a)"
		slice6 "$(endpoint6 b)"
	} | load_on_node

	for caller in node client; do
		call "$caller" --count 3 "$(ip4 node):30080"
		check '.names == {a: 3}'
		call "$caller" --count 3 "[$(ip6 node)]:30080"
		check '.names == {b: 3}'
	done
	# of other nodes they are not ours
	call client "$(ip4 a):30080"
	check '.errors == {ECONNREFUSED: 1}'
}

@test "a NodePort is at the node's 127.0.0.1, and a pod's own is the pod's" {
	cluster
	{
		service "type: NodePort"
		slice "$(endpoint a)"
	} | load_on_node

	call node --count 3 127.0.0.1:30080
	check '.names == {a: 3} and .peer == "127.0.0.1:30080"'
	call client 127.0.0.1:30080
	check '.errors == {ECONNREFUSED: 1}'
	pod_bg client "$TOOLS/echoserver" --name own --greet 127.0.0.1:30080
	call client --count 3 127.0.0.1:30080
	check '.names == {own: 3}'
	# as with kube-proxy
	call node "[::1]:30080"
	check '.errors == {ECONNREFUSED: 1}'
}

@test "external addresses" {
	cluster
	{
		service "externalIPs: [ 203.0.113.1 ]"
		slice "$(endpoint a)"
	} | load_on_node

	call client --count 3 203.0.113.1:80
	check '.names == {a: 3} and .peer == "203.0.113.1:80"'
}

# ---- ports ----------------------------------------------------------------------

@test "several ports, by the names that the slices give them" {
	cluster
	pod_bg a "$TOOLS/echoserver" --name metrics --greet "$(ip4 a):9100"
	{
		service | sed 's/  ports: .*/  ports:\n    - { name: http, port: 80, targetPort: web }\n    - { name: metrics, port: 81, targetPort: prom }/'
		slice "$(endpoint a)" |
			sed 's/^ports: .*/ports: [ { name: metrics, port: 9100 }, { name: http, port: 8080 } ]/'
	} | load_on_node

	call client --count 3 10.96.0.10:80
	check '.names == {a: 3}'
	call client --count 3 10.96.0.10:81
	check '.names == {metrics: 3}'
}

@test "UDP, at the ClusterIP and at the NodePort" {
	cluster -u
	{
		service "type: NodePort" | sed 's/port: 80,/port: 80, protocol: UDP,/'
		PROTOCOL=UDP slice "$(endpoint a)" "$(endpoint b)"
	} | load_on_node

	call client -u --count 40 10.96.0.10:80
	check '(.names | keys) == ["a", "b"] and .from == "10.96.0.10:80"'
	call client -u --connected --count 10 10.96.0.10:80
	check '.ok == 10 and .from == "10.96.0.10:80"'
	call client -u --count 10 "$(ip4 node):30080"
	check --arg from "$(ip4 node):30080" '.ok == 10 and .from == $from'
	call node -u --count 10 127.0.0.1:30080
	check '.ok == 10 and .from == "127.0.0.1:30080"'
	# somebody else's loopback
	pod_bg client "$TOOLS/echoserver" -u --name own --greet 127.0.0.1:30080
	call client -u --count 3 127.0.0.1:30080
	check '.names == {own: 3}'
}

# ---- endpoints --------------------------------------------------------------------

@test "a service without endpoints refuses at once" {
	cluster
	service "type: NodePort" | load_on_node

	call client 10.96.0.10:80
	check '.errors == {ECONNREFUSED: 1}'
	call client "[fd96::10]:80"
	check '.errors == {ECONNREFUSED: 1}'
	call node 127.0.0.1:30080
	check '.errors == {ECONNREFUSED: 1}'
	show services shop/web
	check 'map(.counters.refused) | add == 3'
}

@test "endpoints that end are used when nothing else is left" {
	local held

	cluster
	{
		service
		slice "$(endpoint a)" "$(endpoint b "$ending")"
	} | load_on_node
	call client --count 20 10.96.0.10:80
	check '.names == {a: 20}'

	# whoever is connected stays so
	pod_start client "$TOOLS/caller" --hold-ms 1500 10.96.0.10:80
	held=$PID
	wait_until 5 any_active
	{
		service
		slice "$(endpoint a "$ended")" "$(endpoint b "$ending")"
	} | apply_on_node
	call client --count 20 10.96.0.10:80
	check '.names == {b: 20}'
	await_end "$held"
	check '.ok == 1 and .names == {a: 1}'

	{
		service
		slice "$(endpoint a "$ended")" "$(endpoint b "$ended")"
	} | apply_on_node
	call client 10.96.0.10:80
	check '.errors == {ECONNREFUSED: 1}'
}

any_active() {
	show services
	check 'any(.[]; .counters.active > 0)' >/dev/null
}

@test "endpoints move between slices without a failed call" {
	local calls

	cluster
	{
		service
		slice "$(endpoint a)"
	} | load_on_node
	pod_start client "$TOOLS/caller" --until-signal 10.96.0.10:80
	calls=$PID
	for ((i = 0; i < 10; i++)); do
		{
			service
			slice "$(endpoint a)" "$(endpoint b)"
			slice "$(endpoint a)"
		} | apply_on_node
		{
			slice "$(endpoint b)"
			service
		} | apply_on_node
	done
	finish "$calls"
	check '.ok > 20 and .failed == 0 and .names.a > 0 and .names.b > 0'
}

@test "sessionAffinity: a client stays with its endpoint, at whatever address" {
	cluster
	{
		service "type: NodePort" "sessionAffinity: ClientIP" \
			"sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } }"
		slice "$(endpoint a)" "$(endpoint b)"
	} | load_on_node

	call client --count 20 10.96.0.10:80
	check '.ok == 20 and (.names | length) == 1'
	chosen=$(value '.names | keys[0]')
	call client --count 20 "$(ip4 node):30080"
	check --arg chosen "$chosen" '.names == {($chosen): 20}'
	show services shop/web
	check 'all(.[]; .affinity_seconds == 60)'
}

# ---- where ------------------------------------------------------------------------

@test "internalTrafficPolicy Local: the ClusterIP stays on the node, the NodePort does not" {
	cluster
	{
		echo "node: { name: n1 }"
		service "type: NodePort" "internalTrafficPolicy: Local"
		slice "$(endpoint a "nodeName: n1")" "$(endpoint b "nodeName: n2")"
	} | load_on_node
	call client --count 20 10.96.0.10:80
	check '.names == {a: 20}'
	call client --count 40 "$(ip4 node):30080"
	check '.ok == 40 and (.names | keys) == ["a", "b"]'

	{
		echo "node: { name: n3 }"
		service "type: NodePort" "internalTrafficPolicy: Local"
		slice "$(endpoint a "nodeName: n1")" "$(endpoint b "nodeName: n2")"
	} | apply_on_node
	call client 10.96.0.10:80
	check '.errors == {ECONNREFUSED: 1}'
}

@test "topology hints: the node's own zone, as long as all endpoints have hints" {
	cluster
	zoned() { # ENDPOINT...
		echo "node: { name: n1 }"
		echo "---"
		echo "{ apiVersion: v1, kind: Node, metadata: { name: n1,"
		echo "  labels: { topology.kubernetes.io/zone: z1 } } }"
		service "trafficDistribution: PreferSameZone"
		slice "$@"
	}
	zoned "$(endpoint a "hints: { forZones: [ { name: z1 } ] }")" \
		"$(endpoint b "hints: { forZones: [ { name: z2 } ] }")" | load_on_node
	call client --count 20 10.96.0.10:80
	check '.names == {a: 20}'

	zoned "$(endpoint a "hints: { forZones: [ { name: z1 } ] }")" "$(endpoint b)" | apply_on_node
	call client --count 40 10.96.0.10:80
	check '.ok == 40 and (.names | keys) == ["a", "b"]'
}
