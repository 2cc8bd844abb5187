#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Kubernetes: the agent of a node in a large cluster, with a real etcd and API server
#
# The cluster and the measuring are in kubernetes.bats, since both are those of the tests. Needs a
# Go or what scripts/kubernetes-tools has built, bats, curl, jq and openssl.
set -euo pipefail
# shellcheck source=tests/bench/common.bash
source "${BASH_SOURCE[0]%/*}/common.bash"

export BENCH_SERVICES=5000 BENCH_ENDPOINTS=50000 BENCH_PODS=20000 BENCH_CHANGES=150
[[ ! $QUICK ]] || export BENCH_SERVICES=500 BENCH_ENDPOINTS=5000 BENCH_PODS=2000 BENCH_CHANGES=40
export BENCH_COLUMN=$BENCH_ENDPOINTS # as the samples call it

# declare_figures TEST UNIT TITLE BLOCK...
declare_figures() {
	declare_test "$1" 7 "$2" less "$3" "$(list sidestep)" "$(list "${@:4}")" \
		"$(list "$BENCH_COLUMN")" '{"ratios": false}'
}

declare_all() {
	declare_figures kubernetes-start s "A cluster, by endpoints: an agent that starts, until all is in force" \
		"by the clock" "of a processor"
	declare_figures kubernetes-change ms "A cluster, by endpoints: one endpoint becomes unready, or ready" \
		"in force, p50" "in force, p99" "the API server's answer, p50" "the API server's answer, p99"
	declare_figures kubernetes-memory MB "A cluster, by endpoints: memory of the agent" "now" "at most"
	note kubernetes-change "from the request to the API server on; $BENCH_SERVICES services, \
$BENCH_PODS pods on 500 nodes; etcd and the API server have the same CPUs"
}

measure() {
	local reason

	bats --formatter tap "$REPO/tests/bench/kubernetes.bats" 2>&1 | tee "$TMP/tap" |
		sed -n 's/^# /kubernetes.bash: /p' >&2
	((PIPESTATUS[0] == 0)) || die "the cluster could not be measured"
	reason=$(sed -n 's/^ok .*# skip //p' "$TMP/tap")
	[[ ! $reason ]] && return
	skip kubernetes-start "" "$reason"
	skip kubernetes-change "" "$reason"
	skip kubernetes-memory "" "$reason"
}

main() {
	need_root
	need_commands bats jq
	[[ -x $SIDESTEP && -x $BUILD/tests/bench/cluster ]] || die "not built yet: make all tools"
	bench_begin
	declare_all
	measure
}

main
