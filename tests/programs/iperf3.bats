#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # SPLICED: common.bash reads it
#
# iperf3: streams in one direction, for which flows are left to TCP, whatever the mode.

load common

services() {
	service target 10.96.0.10 5201 "$(ip4 a)" 5201
}

streams() {
	local way

	pod_start a iperf3 -s
	listens a 5201
	for way in "" --reverse --bidir; do
		step "iperf3${way:+ $way}, 500 MB in each of 2 streams" client \
			iperf3 -c 10.96.0.10 --json -P 2 -n 500M $way >"$DIR/report"
		# who is slower has not sent all when the sum is reached
		jq -c '.error, [.start.test_start.bytes, (.end.streams | length),
			(.end.streams | map(.sender.bytes) | add) >= .start.test_start.bytes]' \
			"$DIR/report"
	done
	step "iperf3, writes of 200 bytes" client iperf3 -c 10.96.0.10 --json -n 5M -l 200 \
		>"$DIR/report"
	jq -c '.error, .end.sum_sent.bytes >= 5000000' "$DIR/report"
}

@test "iperf3" {
	ns_bridge client a
	play streams off auto on
}
