#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# The whole contract of a stream socket, tried between two ends without Sidestep and
# with all connections spliced: programs must see the same, but for what
# tests/semantics/differences lists.

load harness

SEMANTICS=$REPO/build/tests/semantics/semantics
CONTRACT=$REPO/tests/semantics

# start [MODE]: the endpoint of service "loopback" is on loopback, that of "across" in far.
start() {
	ns_bridge near far
	config <<-END
		services:
		  - name: loopback
		    address: [10.96.0.10, "fd96::10"]
		    port: 80
		    target: 8080
		    splice: ${1:-on}
		    endpoints: [ { address: 127.0.0.1 }, { address: "::1" } ]
		  - name: across
		    address: [10.96.0.20, "fd96::20"]
		    port: 80
		    target: 8080
		    splice: ${1:-on}
		    endpoints: [ { address: $(ip4 far) }, { address: "$(ip6 far)" } ]
	END
	daemon_start
	require_feature splice
	show status
	AUTO=$(value '.features[] | select(.name == "splice-auto") | if .enabled then "on" else "off" end')
}

# seen FILE COMMAND...: what the program has seen
seen() {
	"${@:2}" --jobs 16 >"$1" || fail "$2 ended with $?"
}

# compared [DIFFERENCES]
compared() {
	try awk -v kernel="$(uname -r)" -v auto="$AUTO" -f "$CONTRACT/compare.awk" \
		"${1:-$CONTRACT/differences}" "$BATS_TEST_TMPDIR/reference" "$BATS_TEST_TMPDIR/seen"
	echo "$output"
	[ "$status" -eq 0 ]
}

# equal SERVICE ENDPOINT LISTEN [OPTIONS]: all spliced, and by the endpoint's address
# outside of Sidestep
equal() {
	seen "$BATS_TEST_TMPDIR/reference" in_ns near "$SEMANTICS" --listen "$3" --connect "$2" \
		"${@:4}"
	seen "$BATS_TEST_TMPDIR/seen" pod near "$SEMANTICS" --listen "$3" --connect "$1" \
		--spliced "${@:4}"
	compared
}

across() {
	equal "$@" --listener-netns "${NS}far"
}

@test "the same on loopback: v4" {
	local reason

	start
	equal 10.96.0.10:80 127.0.0.1:8080 127.0.0.1:8080
	# those that had to stay TCP were refused for what they had asked for
	stats_fresh
	for reason in blocking inq lowat peek-off timestamps zerocopy; do
		echo "refused: $reason"
		[ "$(metric sidestep_splice_refused_total "reason=$reason")" -gt 0 ]
	done
}

@test "the same on loopback: v6" {
	start
	equal "[fd96::10]:80" "[::1]:8080" "[::1]:8080" --reverse
}

@test "the same on loopback: v4-mapped" {
	start
	equal "[::ffff:10.96.0.10]:80" "[::ffff:127.0.0.1]:8080" "[::]:8080"
}

@test "the same across namespaces: v4" {
	start
	across 10.96.0.20:80 "$(ip4 far):8080" "$(ip4 far):8080" --reverse
}

@test "the same across namespaces: v6" {
	start
	across "[fd96::20]:80" "[$(ip6 far)]:8080" "[$(ip6 far)]:8080"
}

@test "the same across namespaces: v4-mapped" {
	start
	across "[::ffff:10.96.0.20]:80" "[::ffff:$(ip4 far)]:8080" "[::]:8080" --reverse
}

@test "a reader that sleeps through its adoption is woken" {
	local adopted

	start
	stats_fresh
	adopted=$(metric sidestep_splice_flow_total reason=adopted)
	kill -STOP "$DAEMON"
	try pod near "$SEMANTICS" --listen 127.0.0.1:8080 --connect 10.96.0.10:80 \
		--spliced --stages racing --only sleeper-adopted --daemon "$DAEMON"
	echo "$output$stderr"
	[ "$status" -eq 0 ]
	[[ $output == *"recv: 10"*"conversation: yes"*"outcome: done" ]]
	stats_fresh
	[ "$(metric sidestep_splice_flow_total reason=adopted)" -eq $((adopted + 2)) ]
}

@test "splice: off leaves no difference at all" {
	start off
	seen "$BATS_TEST_TMPDIR/reference" in_ns near "$SEMANTICS" --listen 127.0.0.1:8080 \
		--connect 127.0.0.1:8080
	seen "$BATS_TEST_TMPDIR/seen" pod near "$SEMANTICS" --listen 127.0.0.1:8080 \
		--connect 10.96.0.10:80
	echo "# none" >"$BATS_TEST_TMPDIR/none"
	compared "$BATS_TEST_TMPDIR/none"
}

@test "the documentation tells of each difference, and of no other" {
	diff <(sed -nE 's/^([a-z0-9-]+) +\|.*/\1/p' "$CONTRACT/differences" | sort -u) \
		<(sed -nE 's/^\|.*\| ([^|]+) \|$/\1/p' "$REPO/docs/differences.md" |
			grep -oE '`[a-z0-9-]+`' | tr -d '\`' | sort -u)
}
