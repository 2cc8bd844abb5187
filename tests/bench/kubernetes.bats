#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # run sets stderr
#
# What scripts/bench --kubernetes runs: the tests' control plane and agent, with more objects.

load ../e2e/harness
load ../kubernetes/control-plane
load ../kubernetes/agent

SERVICES=${BENCH_SERVICES:?}
ENDPOINTS=${BENCH_ENDPOINTS:?}
PODS=${BENCH_PODS:?}
CHANGES=${BENCH_CHANGES:?}

# cluster_tool ARGUMENTS: in the API server's namespace
cluster_tool() {
	API_SERVER=$API API_CA=$CP/ca.crt API_TOKEN=admin-token \
		nsenter --net="$CP_NETNS" "${TOOLS%/tools}/bench/cluster" "$@"
}

tell() {
	echo "# $*" >&3
}

seconds_since() { # MICROSECONDS
	awk -v us="$((${EPOCHREALTIME/./} - $1))" 'BEGIN { printf "%.1f", us / 1e6 }'
}

processor_seconds() {
	awk -v tick="$(getconf CLK_TCK)" '{ printf "%.2f", ($14 + $15) / tick }' "/proc/$DAEMON/stat"
}

has_endpoints() {
	(($(sidestep status -o json | jq .endpoints) == $1))
}

# tell_quantiles COLUMN WHAT: of the times of changes, counted from the request
tell_quantiles() {
	tell "a change is $2 after $(sort -g -k "$1,$1" "$BATS_TEST_TMPDIR/times" | awk -v c="$1" '
		{ v[NR] = $c }
		function at(part) { return v[int((NR - 1) * part) + 1] }
		END { printf "p50 %.1f ms, p90 %.1f, p99 %.1f, max %.1f", at(0.5), at(0.9), at(0.99), v[NR] }')"
}

@test "$SERVICES services, $ENDPOINTS endpoints, $PODS pods; and changes of one" {
	local begin

	cluster_tool fill "$SERVICES" "$ENDPOINTS" "$PODS" >&3
	begin=${EPOCHREALTIME/./}
	agent_start
	wait_until 60 has_endpoints "$ENDPOINTS" || fail "$(sidestep status)"
	tell "all in force after $(seconds_since "$begin") s, $(processor_seconds) of a processor"
	cluster_tool change "$CHANGES" "$PIN/abi6/meta" "$SERVICES" >"$BATS_TEST_TMPDIR/times"
	tell_quantiles 1 "in the kernel's maps"
	tell_quantiles 2 "answered by the API server"
	tell "$(awk '/^VmRSS|^VmHWM/ { printf "%s %d MB ", $1, $2 / 1024 }' "/proc/$DAEMON/status")"
	# each change made one endpoint unready
	(($(sidestep endpoints -o json | jq 'map(select(.state == "not-ready")) | length') > 0))
}
