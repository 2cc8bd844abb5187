#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# 1,000 services with 10,000 endpoints, and how long a change takes from the API server to a call.
# Figures are printed; what is asserted is so generous that something must be broken.

load ../e2e/harness
load control-plane
load agent

CHANGES=${CHANGES:-100}

services() { # COUNT
	jq -nc --argjson count "$1" 'range($count) | {path: "/api/v1/namespaces/shop/services",
		object: {metadata: {name: "s\(.)"}, spec: {ports: [{port: 80}]}}}'
}

slices() { # COUNT, of 10 endpoints each
	jq -nc --argjson count "$1" 'range($count) as $i |
		{path: "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
		object: {metadata: {name: "s\($i)", labels: {"kubernetes.io/service-name": "s\($i)"}},
		addressType: "IPv4", ports: [{name: "", port: 8080}],
		endpoints: [range(10) | {addresses: ["10.\(100 + ($i / 250 | floor)).\($i % 250).\(. + 1)"],
			nodeName: "n\(.)", conditions: {ready: true, serving: true, terminating: false}}]}}'
}

milliseconds() {
	echo $(((${EPOCHREALTIME/./} - BEGAN) / 1000))
}

tell() {
	echo "# $*" >&3
}

@test "1,000 services and 10,000 endpoints" {
	local i

	namespace shop
	node n1 z1 | apply
	BEGAN=${EPOCHREALTIME/./}
	services 1000 | many
	slices 1000 | many
	tell "written to the API server in $(milliseconds) ms"

	BEGAN=${EPOCHREALTIME/./}
	agent_start
	tell "an agent that begins with nothing: all in force after $(milliseconds) ms"
	wait_until 30 all_are_there
	tell "memory: $(rss) KiB"

	{
		service web "clusterIP: 10.96.0.10" "ports: [ { port: 80 } ]"
		slice web-1 web "$(endpoint 10.77.0.4)"
	} | apply
	wait_until 15 eval 'in_force | grep -qxF "web 80/TCP 10.96.0.10:80 -> 10.77.0.4:8080"'
	serve a
	serve b
	pod_bg client "$TOOLS/flips" 10.96.0.10:80
	FLIPS=$PID
	wait_until 10 has_flipped 1
	: >"$CP/audit.log"
	for ((i = 1; i <= CHANGES; i++)); do
		slice web-1 web "$(endpoint "10.77.0.$((4 + i % 2))")" | apply
		wait_until 10 has_flipped $((i + 1)) || fail "change $i did not arrive"
	done
	latencies
	tell "from a slice's change to the first call that follows it, $CHANGES times:" \
		"$(value '"p50 \(.p50) ms, p99 \(.p99) ms, max \(.max) ms since the server had the request;"')" \
		"$(value '"p50 \(.since.p50) ms, p99 \(.since.p99) ms since it had written it"')"
	check '.p50 < 1000 and .p99 < 5000'
	reaches sidestep_kubernetes_lists_total 1 resource=endpointslices

	# an agent that finds all of it in force
	finish "$DAEMON"
	BEGAN=${EPOCHREALTIME/./}
	agent_start
	tell "an agent that finds all in force: after $(milliseconds) ms"
	all_are_there
}

all_are_there() {
	sidestep status -o json | jq -e '.services >= 1001 and .endpoints >= 10000' >/dev/null
}

rss() {
	awk '$1 == "VmRSS:" { print $2 }' "/proc/$DAEMON/status"
}

has_flipped() { # TIMES
	(($(grep -vc '^ready' "${OUT[$FLIPS]}") >= $1))
}

# Of each change: from when the server had the request, and from when it had answered it.
latencies() {
	output=$(jq -n --rawfile flips "${OUT[$FLIPS]}" '
		def seconds: (.[:19] + "Z" | fromdate) + ("0" + .[19:-1] | tonumber);
		def at($share): sort | .[(length - 1) * $share | floor] * 100000 | round / 100;
		[inputs | select(.verb == "patch" and .objectRef.resource == "endpointslices")] as $asked |
		[$flips | split("\n")[] | select(test("^[0-9]")) | split(" ")[0] | tonumber][1:] as $seen |
		[range($seen | length) | $seen[.] - ($asked[.].requestReceivedTimestamp | seconds)] as $all |
		[range($seen | length) | $seen[.] - ($asked[.].stageTimestamp | seconds)] as $since |
		{p50: $all | at(0.5), p99: $all | at(0.99), max: $all | at(1),
		since: {p50: $since | at(0.5), p99: $since | at(0.99)}}' "$CP/audit.log")
	echo "$output"
}
