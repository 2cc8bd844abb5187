#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What kubernetes.bash runs: the tests' control plane and agent, with more objects.

load ../e2e/harness
load ../kubernetes/control-plane
load ../kubernetes/agent

SERVICES=${BENCH_SERVICES:?}
ENDPOINTS=${BENCH_ENDPOINTS:?}
PODS=${BENCH_PODS:?}
CHANGES=${BENCH_CHANGES:?}
ROUNDS=${BENCH_ROUNDS:?}

# cluster_tool ARGUMENTS: in the API server's namespace
cluster_tool() {
	API_SERVER=$API API_CA=$CP/ca.crt API_TOKEN=admin-token \
		nsenter --net="$CP_NETNS" "${TOOLS%/tools}/bench/cluster" "$@"
}

# take TEST BLOCK ROUND VALUE
take() {
	printf '{"sample":"kubernetes-%s","block":"%s","column":"%s","variant":"sidestep","round":%d,"value":%s}\n' \
		"$1" "$2" "${BENCH_COLUMN:?}" "$3" "$4" >>"${BENCH_SAMPLES:?}"
}

seconds_since() { # MICROSECONDS
	awk -v us="$((${EPOCHREALTIME/./} - $1))" 'BEGIN { printf "%.2f", us / 1e6 }'
}

processor_seconds() {
	awk -v tick="$(getconf CLK_TCK)" '{ printf "%.2f", ($14 + $15) / tick }' "/proc/$DAEMON/stat"
}

megabytes() { # VmRSS
	awk -v what="$1:" '$1 == what { printf "%.1f", $2 / 1024 }' "/proc/$DAEMON/status"
}

has_endpoints() {
	(($(sidestep status -o json | jq .endpoints) == $1))
}

# quantile COLUMN PART: of the times of changes
quantile() {
	sort -g -k "$1,$1" "$BATS_TEST_TMPDIR/times" |
		awk -v c="$1" -v part="$2" '{ v[NR] = $c } END { print v[int((NR - 1) * part) + 1] }'
}

measure_start() { # ROUND
	local begin=${EPOCHREALTIME/./}

	agent_start
	wait_until 60 has_endpoints "$ENDPOINTS" || fail "$(sidestep status)"
	take start "by the clock" "$1" "$(seconds_since "$begin")"
	take start "of a processor" "$1" "$(processor_seconds)"
}

measure_changes() { # ROUND
	cluster_tool change "$CHANGES" "$(echo "$PIN"/abi*/meta)" "$SERVICES" \
		$(($1 * CHANGES)) >"$BATS_TEST_TMPDIR/times"
	take change "in force, p50" "$1" "$(quantile 1 0.5)"
	take change "in force, p99" "$1" "$(quantile 1 0.99)"
	take change "the API server's answer, p50" "$1" "$(quantile 2 0.5)"
	take change "the API server's answer, p99" "$1" "$(quantile 2 0.99)"
}

@test "$SERVICES services, $ENDPOINTS endpoints, $PODS pods; and changes of one" {
	local round

	cluster_tool fill "$SERVICES" "$ENDPOINTS" "$PODS" >&3
	for ((round = 0; round < ROUNDS; round++)); do
		measure_start "$round"
		measure_changes "$round"
		take memory now "$round" "$(megabytes VmRSS)"
		take memory "at most" "$round" "$(megabytes VmHWM)"
		finish "$DAEMON"
		sidestep unload
		echo "# round $((round + 1)) of $ROUNDS" >&3
	done
}
