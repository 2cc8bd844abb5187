#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# What the agent makes of the Services and EndpointSlices of a real API server, by table: what
# was written there, and then what is in force. How that is called through real sockets is in
# tests/e2e/kube-services.bats; here it is a few.

load ../e2e/harness
load control-plane
load agent

# An agent, and a place for objects
cluster() {
	namespace shop
	namespace marks
	node n1 z1 | apply
	agent_start "$@"
}

WEB="clusterIP: 10.96.0.10"
PORT="ports: [ { port: 80 } ]"

# ---- addresses ------------------------------------------------------------------------------

@test "cluster IPs: one family, the other, both, and no endpoints" {
	cluster
	{
		service four "clusterIP: 10.96.0.4" "$PORT"
		slice four-1 four "$(endpoint 10.1.0.1)" "$(endpoint 10.1.0.2)"
		service six "clusterIP: fd96::6" "ipFamilies: [ IPv6 ]" "$PORT"
		TYPE=IPv6 slice six-1 six "$(endpoint fd01::1)"
		service dual "clusterIP: 10.96.0.5" "clusterIPs: [ 10.96.0.5, \"fd96::5\" ]" "ipFamilyPolicy: RequireDualStack" "$PORT"
		slice dual-4 dual "$(endpoint 10.1.0.3)"
		TYPE=IPv6 slice dual-6 dual "$(endpoint fd01::3)"
		service none "clusterIP: 10.96.0.7" "$PORT"
	} | apply
	comes_to <<-END
		dual 80/TCP 10.96.0.5:80 -> 10.1.0.3:8080
		dual 80/TCP [fd96::5]:80 -> [fd01::3]:8080
		four 80/TCP 10.96.0.4:80 -> 10.1.0.1:8080 10.1.0.2:8080
		none 80/TCP 10.96.0.7:80 ->
		six 80/TCP [fd96::6]:80 -> [fd01::1]:8080
	END
	call client 10.96.0.7:80
	check '.errors == {ECONNREFUSED: 1}'
}

@test "nothing to translate: headless, ExternalName, another proxy's" {
	cluster
	{
		service web "$WEB" "$PORT"
		slice web-1 web "$(endpoint 10.1.0.1)"
		service headless "clusterIP: None" "$PORT"
		slice headless-1 headless "$(endpoint 10.1.0.1)"
		service external "type: ExternalName" "externalName: example.org"
		LABELS="service.kubernetes.io/service-proxy-name: other" service theirs "clusterIP: 10.96.0.8" "$PORT"
		LABELS="service.kubernetes.io/service-proxy-name: other" slice theirs-1 theirs "$(endpoint 10.1.0.1)"
	} | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.1.0.1:8080"
	stays
	# and the other way round
	{
		LABELS="service.kubernetes.io/service-proxy-name: other" service web "$WEB" "$PORT"
		service theirs "clusterIP: 10.96.0.8" "$PORT"
		slice theirs-1 theirs "$(endpoint 10.1.0.1)"
	} | apply
	comes_to <<<"theirs 80/TCP 10.96.0.8:80 -> 10.1.0.1:8080"
}

@test "external IPs, and what a load balancer has; not where it is a proxy" {
	cluster
	{
		service web "$WEB" "$PORT" "externalIPs: [ 203.0.113.1, 203.0.113.2 ]"
		slice web-1 web "$(endpoint 10.1.0.1)"
		service lb "clusterIP: 10.96.0.11" "$PORT" "type: LoadBalancer" "allocateLoadBalancerNodePorts: false"
		echo "status: { loadBalancer: { ingress: [ { ip: 203.0.113.9 }, { hostname: lb.example.org } ] } }"
		slice lb-1 lb "$(endpoint 10.1.0.2)"
		service proxied "clusterIP: 10.96.0.12" "$PORT" "type: LoadBalancer" "allocateLoadBalancerNodePorts: false"
		echo "status: { loadBalancer: { ingress: [ { ip: 203.0.113.8, ipMode: Proxy } ] } }"
		slice proxied-1 proxied "$(endpoint 10.1.0.3)"
	} | apply
	comes_to <<-END
		lb 80/TCP 10.96.0.11:80 203.0.113.9:80 -> 10.1.0.2:8080
		proxied 80/TCP 10.96.0.12:80 -> 10.1.0.3:8080
		web 80/TCP 10.96.0.10:80 203.0.113.1:80 203.0.113.2:80 -> 10.1.0.1:8080
	END
}

@test "node ports: at the node's addresses and its loopback, in each family that the service has" {
	cluster
	{
		service web "$WEB" "clusterIPs: [ 10.96.0.10, \"fd96::10\" ]" "ipFamilyPolicy: RequireDualStack" \
			"type: NodePort" "ports: [ { port: 80, nodePort: 30080 } ]"
		slice web-4 web "$(endpoint "$(ip4 a)")"
		TYPE=IPv6 slice web-6 web "$(endpoint "$(ip6 a)")"
	} | apply
	comes_to <<-END
		web 80/TCP 10.77.0.2:30080 10.96.0.10:80 127.0.0.1:30080 -> 10.77.0.4:8080
		web 80/TCP [fd77::2]:30080 [fd96::10]:80 -> [fd77::4]:8080
	END
	serve a
	call client --count 3 "$(ip4 node):30080"
	check '.names == {a: 3}'
	call node --count 3 127.0.0.1:30080
	check '.names == {a: 3}'
}

# ---- ports ------------------------------------------------------------------------------------

@test "several ports, by name and number, TCP and UDP; SCTP is counted" {
	cluster
	{
		service web "$WEB" "ports:" \
			"  - { name: http, port: 80, targetPort: web }" \
			"  - { name: metrics, port: 9090, targetPort: 9100 }" \
			"  - { name: dns, port: 53, protocol: UDP, targetPort: 5353 }" \
			"  - { name: dns-tcp, port: 53, protocol: TCP, targetPort: 5353 }" \
			"  - { name: signal, port: 99, protocol: SCTP }"
		PORTS='{ name: http, port: 8080 }, { name: metrics, port: 9100 },
			{ name: dns, port: 5353, protocol: UDP }, { name: dns-tcp, port: 5353 },
			{ name: signal, port: 99, protocol: SCTP }' slice web-1 web "$(endpoint 10.1.0.1)"
		# pods of another version have their port elsewhere
		PORTS='{ name: http, port: 8081 }' slice web-2 web "$(endpoint 10.1.0.2)"
	} | apply
	comes_to <<-END
		web dns/UDP 10.96.0.10:53 -> 10.1.0.1:5353
		web dns-tcp/TCP 10.96.0.10:53 -> 10.1.0.1:5353
		web http/TCP 10.96.0.10:80 -> 10.1.0.1:8080 10.1.0.2:8081
		web metrics/TCP 10.96.0.10:9090 -> 10.1.0.1:9100
	END
	reaches sidestep_kubernetes_sctp_ports 1
}

# ---- endpoints --------------------------------------------------------------------------------

@test "which endpoints: ready ones, else those that end and still serve, else none" {
	local ready="conditions: { ready: true }"
	local unready="conditions: { ready: false, serving: false }"
	local ending="conditions: { ready: false, serving: true, terminating: true }"
	local ended="conditions: { ready: false, serving: false, terminating: true }"

	cluster
	service web "$WEB" "$PORT" | apply
	row "10.1.0.1:8080 10.1.0.2:8080" "$ready" "$ready"
	row "10.1.0.1:8080" "$ready" "$unready"
	row "10.1.0.1:8080" "$ready" "$ending"
	row "10.1.0.1:8080" "$ending" "$unready"
	row "10.1.0.1:8080 10.1.0.2:8080" "$ending" "$ending"
	row "" "$ended" "$unready"
	row "10.1.0.2:8080" "$ended" "$ready"
}

# row IN-FORCE CONDITIONS...: of 10.1.0.1 and 10.1.0.2
row() {
	slice web-1 web "$(endpoint 10.1.0.1 "$2")" "$(endpoint 10.1.0.2 "$3")" | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> $1"
}

@test "slices: many, twice the same, managed by others, of no service, of names" {
	cluster
	{
		service web "$WEB" "$PORT"
		slice web-1 web "$(endpoint 10.1.0.1)" "$(endpoint 10.1.0.2)"
		slice web-2 web "$(endpoint 10.1.0.2)" "$(endpoint 10.1.0.3)"
		LABELS="endpointslice.kubernetes.io/managed-by: somebody" slice web-3 web "$(endpoint 10.1.0.4)"
		slice other-1 other "$(endpoint 10.1.0.5)"
		TYPE=FQDN slice web-4 web "$(endpoint pod.example.org)"
	} | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080 10.1.0.4:8080"
	delete EndpointSlice shop/web-2
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.1.0.1:8080 10.1.0.2:8080 10.1.0.4:8080"
	# the service comes after its slices
	service other "clusterIP: 10.96.0.12" "$PORT" | apply
	comes_to <<-END
		other 80/TCP 10.96.0.12:80 -> 10.1.0.5:8080
		web 80/TCP 10.96.0.10:80 -> 10.1.0.1:8080 10.1.0.2:8080 10.1.0.4:8080
	END
}

@test "endpoints move between slices without a failed call" {
	local calls i

	cluster
	serve a
	serve b
	{
		service web "$WEB" "$PORT"
		slice web-1 web "$(endpoint "$(ip4 a)")"
	} | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.77.0.4:8080"
	pod_start client "$TOOLS/caller" --until-signal 10.96.0.10:80
	calls=$PID
	for ((i = 0; i < 5; i++)); do
		slice web-2 web "$(endpoint "$(ip4 a)")" "$(endpoint "$(ip4 b)")" | apply
		delete EndpointSlice shop/web-1
		comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.77.0.4:8080 10.77.0.5:8080"
		slice web-1 web "$(endpoint "$(ip4 a)")" | apply
		delete EndpointSlice shop/web-2
		comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.77.0.4:8080"
	done
	finish "$calls"
	check '.ok > 20 and .failed == 0 and .names.a > 0 and .names.b > 0'
}

@test "publishNotReadyAddresses: ready as the slices say, also while they end" {
	cluster
	{
		service web "$WEB" "$PORT" "publishNotReadyAddresses: true"
		slice web-1 web "$(endpoint 10.1.0.1)" \
			"$(endpoint 10.1.0.2 "conditions: { ready: true, serving: false, terminating: true }")"
	} | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.1.0.1:8080 10.1.0.2:8080"
}

# ---- where ------------------------------------------------------------------------------------

@test "traffic policies: Local is this node's" {
	cluster
	{
		service inner "clusterIP: 10.96.0.11" "internalTrafficPolicy: Local" "$PORT"
		slice inner-1 inner "$(endpoint 10.1.0.1 "nodeName: n1")" "$(endpoint 10.1.0.2 "nodeName: n2")"
		service nowhere "clusterIP: 10.96.0.12" "internalTrafficPolicy: Local" "$PORT"
		slice nowhere-1 nowhere "$(endpoint 10.1.0.2 "nodeName: n2")"
		service outer "clusterIP: 10.96.0.13" "externalTrafficPolicy: Local" "type: NodePort" \
			"ports: [ { port: 80, nodePort: 30080 } ]"
		slice outer-1 outer "$(endpoint 10.1.0.1 "nodeName: n1")" "$(endpoint 10.1.0.2 "nodeName: n2")"
	} | apply
	# from inside all are as near as by the cluster IP
	comes_to <<-END
		inner 80/TCP 10.96.0.11:80 -> 10.1.0.1:8080
		nowhere 80/TCP 10.96.0.12:80 ->
		outer 80/TCP 10.77.0.2:30080 10.96.0.13:80 127.0.0.1:30080 -> 10.1.0.1:8080 10.1.0.2:8080
	END
}

@test "hints: the node's zone, the node itself; all of them or none; the node may move" {
	local z1="hints: { forZones: [ { name: z1 } ] }" z2="hints: { forZones: [ { name: z2 } ] }"

	cluster
	{
		service close "clusterIP: 10.96.0.11" "trafficDistribution: PreferSameZone" "$PORT"
		slice close-1 close "$(endpoint 10.1.0.1 "$z1")" "$(endpoint 10.1.0.2 "$z2")"
		service some "clusterIP: 10.96.0.12" "trafficDistribution: PreferClose" "$PORT"
		slice some-1 some "$(endpoint 10.1.0.1 "$z1")" "$(endpoint 10.1.0.2)"
		service same "clusterIP: 10.96.0.13" "trafficDistribution: PreferSameNode" "$PORT"
		slice same-1 same "$(endpoint 10.1.0.1 "hints: { forNodes: [ { name: n2 } ], forZones: [ { name: z1 } ] }")" \
			"$(endpoint 10.1.0.2 "hints: { forNodes: [ { name: n1 } ], forZones: [ { name: z1 } ] }")"
	} | apply
	comes_to <<-END
		close 80/TCP 10.96.0.11:80 -> 10.1.0.1:8080
		same 80/TCP 10.96.0.13:80 -> 10.1.0.2:8080
		some 80/TCP 10.96.0.12:80 -> 10.1.0.1:8080 10.1.0.2:8080
	END
	node n1 z2 | apply
	comes_to <<-END
		close 80/TCP 10.96.0.11:80 -> 10.1.0.2:8080
		same 80/TCP 10.96.0.13:80 -> 10.1.0.2:8080
		some 80/TCP 10.96.0.12:80 -> 10.1.0.1:8080 10.1.0.2:8080
	END
}

# ---- how ----------------------------------------------------------------------------------------

@test "session affinity, and its timeout" {
	cluster
	{
		service web "$WEB" "$PORT" "sessionAffinity: ClientIP"
		slice web-1 web "$(endpoint 10.1.0.1)"
	} | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.1.0.1:8080 for 10800 s"
	service web "$WEB" "$PORT" "sessionAffinity: ClientIP" \
		"sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } }" | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.1.0.1:8080 for 60 s"
	service web "$WEB" "$PORT" "sessionAffinity: None" | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.1.0.1:8080"
}

@test "a service changes its type, its port, its address" {
	cluster
	{
		service web "$WEB" "$PORT"
		slice web-1 web "$(endpoint 10.1.0.1)"
	} | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.1.0.1:8080"
	service web "$WEB" "type: NodePort" "ports: [ { port: 81, nodePort: 30081 } ]" | apply
	comes_to <<<"web 81/TCP 10.77.0.2:30081 10.96.0.10:81 127.0.0.1:30081 -> 10.1.0.1:8080"
	delete Service shop/web
	comes_to <<<""
	service web "clusterIP: 10.96.0.20" "$PORT" | apply
	comes_to <<<"web 80/TCP 10.96.0.20:80 -> 10.1.0.1:8080"
	delete EndpointSlice shop/web-1
	comes_to <<<"web 80/TCP 10.96.0.20:80 ->"
}

@test "an external IP of two services is the first one's, which is told; then the other's" {
	cluster
	{
		service one "clusterIP: 10.96.0.11" "$PORT" "externalIPs: [ 203.0.113.1 ]"
		slice one-1 one "$(endpoint 10.1.0.1)"
		service two "clusterIP: 10.96.0.12" "$PORT" "externalIPs: [ 203.0.113.1, 203.0.113.2 ]"
		slice two-1 two "$(endpoint 10.1.0.2)"
	} | apply
	comes_to <<-END
		one 80/TCP 10.96.0.11:80 203.0.113.1:80 -> 10.1.0.1:8080
		two 80/TCP 10.96.0.12:80 203.0.113.2:80 -> 10.1.0.2:8080
	END
	saying "203.0.113.1"
	reaches sidestep_kubernetes_colliding_addresses 1
	delete Service shop/one
	comes_to <<<"two 80/TCP 10.96.0.12:80 203.0.113.1:80 203.0.113.2:80 -> 10.1.0.2:8080"
	reaches sidestep_kubernetes_colliding_addresses 0
}

# ---- beside files -----------------------------------------------------------------------------

@test "what files serve is theirs: their names, whatever becomes of an object that is called so, and their addresses" {
	config <<-END
		services:
		  - { name: shop/web, address: 198.51.100.1, ports: [ { port: 80 } ], endpoints: [ { address: 10.1.0.9, port: 8080 } ] }
		  - { name: shop/mine, address: 198.51.100.2, ports: [ { port: 80 } ], endpoints: [ { address: 10.1.0.9, port: 8080 } ] }
	END
	cluster -f "$CONF"
	{
		service web "$WEB" "$PORT"
		slice web-1 web "$(endpoint 10.1.0.1)"
		service other "clusterIP: 10.96.0.11" "$PORT" "externalIPs: [ 198.51.100.2 ]"
		slice other-1 other "$(endpoint 10.1.0.2)"
	} | apply
	comes_to <<-END
		web 80/TCP 198.51.100.1:80 -> 10.1.0.9:8080
		mine 80/TCP 198.51.100.2:80 -> 10.1.0.9:8080
		other 80/TCP 10.96.0.11:80 -> 10.1.0.2:8080
	END
	stays
	slice web-1 web "$(endpoint 10.1.0.3)" | apply
	stays
	delete Service shop/web
	stays
	metric_is sidestep_kubernetes_changes_total 0 result=failed
}

@test "a node's name is in lower case, and one that the cluster does not have is told" {
	namespace shop
	agent_start --node-name N1
	saying "the cluster has no node n1"
	node n1 z1 | apply
	saying "the cluster has a node n1"
	service web "type: NodePort" "$WEB" "ports: [ { port: 80, nodePort: 30080 } ]" | apply
	comes_to <<<"web 80/TCP 10.77.0.2:30080 10.96.0.10:80 127.0.0.1:30080 ->"
}

@test "what somebody else applies does not stay" {
	cluster
	{
		service web "$WEB" "$PORT"
		slice web-1 web "$(endpoint 10.1.0.1)"
	} | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.1.0.1:8080"
	config <<-END
		services:
		  - { name: shop/mine, address: 198.51.100.2, ports: [ { port: 80 } ], endpoints: [ { address: 10.1.0.9, port: 8080 } ] }
	END
	sidestep apply -f "$CONF"
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.1.0.1:8080"
	saying "somebody else has changed what is in force"
	sleep 6
	[[ $(said | grep -c "somebody else") == 1 ]] || fail "said again: $(said)"
}
