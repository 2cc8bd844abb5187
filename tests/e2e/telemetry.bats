#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# What is counted and told: that it is exact, that every view agrees, and that
# nothing is lost from the sums whatever happens.

load harness

# Three services before one namespace: "web" greets, "sink" counts, "dead" refuses. Sets WEB,
# the process that greets.
nodes() {
	ns_make node
	pod_bg node "$TOOLS/echoserver" --name a --greet 127.0.0.1:8080
	WEB=$PID
	pod_bg node "$TOOLS/echoserver" --mode sink 127.0.0.1:8081
	config <<-END
		services:
		  - { name: web, address: 10.96.0.10, port: 80, endpoints: [ { address: 127.0.0.1, port: 8080 } ] }
		  - { name: sink, address: 10.96.0.11, port: 80, endpoints: [ { address: 127.0.0.1, port: 8081 } ] }
		  - { name: dead, address: 10.96.0.12, port: 80, endpoints: [ { address: 127.0.0.1, port: 8082 } ] }
	END
}

# counter SERVICE NAME, of a listing in $output
counter() {
	value --arg service "$1" --arg name "$2" \
		'.[] | select(.service == $service).counters[$name]'
}

# counters_are SERVICE FILTER: a condition on the service's counters
counters_are() {
	show services
	check --arg service "$1" ".[] | select(.service == \$service).counters | $2" >/dev/null
}

# The sum over all services, and over what went to none.
total() {
	metric "sidestep_connections_$1_total"
}

# events TYPE: sent, withheld, limited and lost ones
events() {
	echo $(($(metric sidestep_event_total "reason=$1") +
		$(metric sidestep_event_withheld_total "reason=$1") +
		$(metric sidestep_event_limited_total "reason=$1") +
		$(metric sidestep_event_lost_total "reason=$1")))
}

# ---- counters -------------------------------------------------------------------

@test "opened is closed plus active, live and after" {
	local held=() i

	nodes
	sidestep load -f "$CONF"
	call node --count 10 10.96.0.10:80
	for i in 1 2 3; do
		pod_start node "$TOOLS/caller" --hold-ms 20000 10.96.0.10:80
		held+=("$PID")
	done
	wait_until 5 counters_are web '.opened == 13 and .closed == 10 and .active == 3'
	for i in "${held[@]}"; do
		finish "$i"
	done
	wait_until 5 counters_are web '.opened == 13 and .closed == 13 and .active == 0'
	show endpoints
	check --argjson services "$(sidestep services -o json)" \
		'([.[].counters.opened] | add) == ([$services[].counters.opened] | add)'
}

@test "bytes of TCP are exact" {
	nodes
	sidestep load -f "$CONF"
	# the sink answers with "300000" and a newline
	call node --count 10 --send 300000 10.96.0.11:80
	check '.ok == 10'
	wait_until 5 counters_are sink '.closed == 10'
	counters_are sink '.sent_bytes + .spliced_sent_bytes == 3000000'
	counters_are sink '.received_bytes + .spliced_received_bytes == 70'
}

@test "a Fast Open connection is counted once, and its SYN's bytes with it" {
	local name direct

	ns_bridge client a
	for name in client a; do
		in_ns "$name" sysctl -qw net.ipv4.tcp_fastopen=3
		serve "$name" --fastopen
	done
	config <<-END
		services:
		  - { name: near, address: [10.96.0.10, "fd96::10"], port: 80, target: 8080,
		      endpoints: [ { address: $(ip4 client) }, { address: "$(ip6 client)" } ] }
		  - { name: far, address: [10.96.0.11, "fd96::11"], port: 80, target: 8080,
		      endpoints: [ { address: $(ip4 a) }, { address: "$(ip6 a)" } ] }
	END
	daemon_start
	call client --fastopen "$(ip4 a):8080" # to no service
	stats_fresh
	direct=$(metric sidestep_connections_opened_total service=none)
	[ "$direct" -ge 1 ]

	for name in 10.96.0.10:80 "[fd96::10]:80" 10.96.0.11:80 "[fd96::11]:80"; do
		call client --fastopen --count 20 "$name"
		# by now there is a cookie, and it is not of the service but of the endpoint
		check '.ok == 20 and .failed == 0 and .in_syn >= 19'
	done
	for name in near far; do
		wait_until 5 counters_are "$name" '.opened == 20 and .closed == 20
			and .sent_bytes + .spliced_sent_bytes == 20 * 11'
	done
	stats_fresh
	[ "$(metric sidestep_connections_opened_total service=none)" -eq "$direct" ]
	[ "$(total opened)" -eq $((direct + 80)) ]
	[ "$(events open)" -eq "$(total opened)" ]
}

@test "connections that fail are counted, and are no open ones" {
	nodes
	sidestep load -f "$CONF"
	call node --count 7 10.96.0.12:80
	check '.errors == {ECONNREFUSED: 7}'
	counters_are dead '.failed == 7 and .opened == 0 and .active == 0 and .refused == 0'
}

# "closed" is read before "opened": what opens between counts as active, so that under load
# it is an upper bound, and exact at rest.
@test "counters hold under load, at every moment" {
	local load opened=0 closed=0

	nodes
	sidestep load -f "$CONF"
	pod_start node "$TOOLS/caller" --until-signal --threads 4 --interval-ms 1 \
		--timeout-ms 60000 10.96.0.10:80
	load=$PID
	for _ in {1..5}; do
		for _ in {1..5}; do
			counters_are web ".opened == .closed + .active and .active >= 0
				and .opened >= $opened and .closed >= $closed"
			opened=$(counter web opened)
			closed=$(counter web closed)
		done
		kill -STOP "$WEB"
		wait_until 10 four_wait
		counters_are web '.active == 4'
		kill -CONT "$WEB"
	done
	finish "$load"
	check '.failed == 0'
	local ok
	ok=$(value .ok)
	wait_until 5 counters_are web '.active == 0'
	# a call that the signal interrupted may have been connected
	show services
	within "$(counter web opened)" "$ok" 4
}

# Without a server each of four callers comes to rest with one connection, once its last one
# has been closed.
four_wait() {
	in_ns node ss -Htn dst 127.0.0.1:8080 | awk '
		$1 == "ESTAB" { waiting++ }
		$1 == "FIN-WAIT-1" || $1 == "CLOSING" { leaving++ }
		END { exit !(waiting == 4 && !leaving) }'
}

# ---- flows ------------------------------------------------------------------------

@test "flows lists what is live, without the daemon" {
	local held

	nodes
	sidestep load -f "$CONF"
	pod_start node "$TOOLS/caller" --hold-ms 20000 --count 1 10.96.0.10:80
	held=$PID
	wait_until 5 counters_are web '.active == 1'

	show flows
	check '[.[] | select(.service == "web" and .role == "client")] | length == 1'
	check '.[] | select(.role == "client" and .service == "web")
		| .event == "live" and .protocol == "TCP"
		and .asked == {address: "10.96.0.10", port: 80}
		and .destination == {address: "127.0.0.1", port: 8080}
		and .source.address == "127.0.0.1" and .source.port > 0
		and .tcp_state == "established" and .duration_seconds > 0
		and .received_bytes + .spliced_received_bytes == 2 and .srtt_us > 0'
	# its other end is on this node: known, and not a second flow
	check 'length == 1 and .[0].peer_flow != null'
	run -0 sidestep flows
	[[ $output == *"web/80"*"127.0.0.1:8080"* ]]
	run -0 sidestep flows --columns asked,destination
	[[ $output == *"10.96.0.10:80"*"127.0.0.1:8080"* ]]

	finish "$held"
	wait_until 5 counters_are web '.active == 0'
	show flows
	check 'all(.[]; .tcp_state != "established")'
}

@test "flows --follow prints open, close and failed" {
	local follow

	nodes
	daemon_start
	background "$SIDESTEP" flows "${OPTIONS[@]}" --follow -o json
	follow=$PID
	sleep 0.5
	call node --count 2 --send 1000 10.96.0.11:80
	call node 10.96.0.12:80
	wait_until 10 grep -q '"failed"' "${OUT[$follow]}"
	sleep 0.5
	finish "$follow"

	check -s 'map(select(.service == "sink" and .event == "open")) | length == 2'
	check -s 'map(select(.service == "sink" and .event == "close")) | length == 2'
	check -s 'map(select(.service == "sink" and .event == "close")) | all(.[];
		.asked == {address: "10.96.0.11", port: 80}
		and .destination == {address: "127.0.0.1", port: 8081}
		and .sent_bytes + .spliced_sent_bytes == 1000
		and .received_bytes + .spliced_received_bytes == 5
		and .duration_seconds > 0 and .srtt_us > 0 and .retransmits == 0)'
	check -s 'map(select(.event == "failed")) | length == 1
		and .[0].service == "dead" and .[0].error == "ECONNREFUSED"'
	# every flow that closed had opened
	check -s '[.[] | select(.event == "close").flow] - [.[] | select(.event == "open").flow]
		== []'
}

@test "flows --follow as text" {
	local follow

	nodes
	daemon_start
	background "$SIDESTEP" flows "${OPTIONS[@]}" --follow
	follow=$PID
	sleep 0.5
	call node 10.96.0.10:80
	call node 10.96.0.12:80
	wait_until 10 grep -q failed "${OUT[$follow]}"
	finish "$follow"
	[[ $output == *" open "*"-> 10.96.0.10:80 -> 127.0.0.1:8080 service web/80"* ]]
	[[ $output == *" failed "*"service dead/80"*"error ECONNREFUSED"* ]]
}

@test "flows --follow says when the daemon ends" {
	local follow

	nodes
	daemon_start
	background "$SIDESTEP" flows "${OPTIONS[@]}" --follow
	follow=$PID
	sleep 0.5
	call node 10.96.0.10:80
	wait_until 10 grep -q open "${OUT[$follow]}"
	finish "$DAEMON"
	wait_until 5 none_runs "$follow"
	await_end "$follow"
	[ "$status" -eq 1 ]
	[[ $stderr == *"daemon has ended"* ]]
}

@test "flows --follow without a daemon says what is missing" {
	nodes
	sidestep load -f "$CONF"
	try sidestep flows --follow
	[ "$status" -eq 1 ]
	[ -n "$stderr" ]
}

@test "events are the maps' totals, followed or withheld" {
	nodes
	daemon_start
	call node --count 300 --threads 4 10.96.0.10:80
	background "$SIDESTEP" flows --follow "${OPTIONS[@]}"
	wait_until 5 followed
	call node --count 200 --threads 4 10.96.0.10:80
	call node --count 20 10.96.0.12:80
	call node --count 5 127.0.0.1:8080 # to no service
	wait_until 5 counters_are web '.active == 0'
	stats_fresh
	[ "$(total opened)" -ge 505 ]
	[ "$(events open)" -eq "$(total opened)" ]
	[ "$(events close)" -eq "$(total closed)" ]
	[ "$(events failed)" -eq "$(total failed)" ]
	[ "$(total failed)" -ge 20 ]
	[ "$(metric sidestep_event_withheld_total reason=open)" -ge 300 ]
	[ "$(metric sidestep_event_total reason=open)" -eq 205 ]
}

followed() {
	[[ $(bpftool map dump pinned "$PIN"/abi*/interest -j) == *'"0x01"'* ]]
}

@test "events that nobody reads are counted as lost, and the totals agree" {
	local records

	nodes
	daemon_start
	background "$SIDESTEP" flows --follow "${OPTIONS[@]}"
	wait_until 5 followed
	kill -STOP "$DAEMON"
	call node --count 1000 --threads 4 10.96.0.10:80
	# as many as fit, and some; each of these makes one and uses up no port
	records=$(($(bpftool map show pinned "$PIN"/abi*/events -j | jq .max_entries) / 224))
	call node --count $((records + 2000)) --threads 4 10.96.0.12:80
	kill -CONT "$DAEMON"
	wait_until 5 counters_are web '.active == 0'
	stats_fresh
	[ "$(metric sidestep_event_lost_total reason=failed)" -gt 0 ]
	[ "$(events open)" -eq "$(total opened)" ]
	[ "$(events close)" -eq "$(total closed)" ]
	[ "$(events failed)" -eq "$(total failed)" ]
}

# ---- the stats file -----------------------------------------------------------------

@test "promtool finds nothing wrong with the stats file" {
	require_command promtool
	nodes
	daemon_start
	call node --count 10 10.96.0.10:80
	stats_fresh
	run -0 promtool check metrics <"$STATS"
	[ -z "$output" ]
}

@test "the stats file is never seen half written" {
	local i

	nodes
	daemon_start
	wait_until 10 test -s "$STATS"
	for ((i = 0; i < 300; i++)); do
		# the first and the last family are there, and the last line is whole
		awk 'END { exit !(NR > 20 && $0 ~ /^[a-z_]+({.*})? [0-9.]+$/) }' "$STATS" ||
			fail "$(tail -3 "$STATS")"
		sleep 0.01
	done
}

@test "counters never go back, not even across a restart of the daemon" {
	local before after

	nodes
	daemon_start
	call node --count 10 10.96.0.10:80
	stats_fresh
	before=$(mktemp -p "$BATS_TEST_TMPDIR")
	after=$(mktemp -p "$BATS_TEST_TMPDIR")
	series "$STATS" >"$before"
	finish "$DAEMON" KILL
	daemon_start
	stats_fresh
	series "$STATS" >"$after"
	# every counter is still there, and not below what it was
	run -0 join -a1 -e missing -o 0,1.2,2.2 "$before" "$after"
	awk '$3 == "missing" || $3 + 0 < $2 + 0 { print; bad = 1 } END { exit bad }' <<<"$output"
}

# The counters of a stats file, sorted, but for those of the daemon's own work, which begin
# with it as any process's do.
series() {
	grep -E '^[a-z_]+_total' "$1" | LC_ALL=C sort |
		grep -Ev '^sidestep_(daemon_cpu_seconds|scrapes|flow_log_[a-z]+|follow_lost|[a-z_]+_failures)_total'
}

@test "the stats file says what the maps say" {
	local service

	nodes
	daemon_start
	call node --count 12 10.96.0.10:80
	call node --count 3 10.96.0.12:80
	wait_until 5 counters_are web '.active == 0'
	stats_fresh
	show services
	for service in web sink dead; do
		[ "$(metric sidestep_connections_opened_total service=$service)" -eq \
			"$(counter $service opened)" ]
		[ "$(metric sidestep_connections_failed_total service=$service)" -eq \
			"$(counter $service failed)" ]
	done
	[ "$(metric sidestep_connect_total reason=translated)" -ge 15 ]
}
