#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# Never a wrong answer: while sets replace each other, while the daemon comes and goes, and
# when what decides is missing.

load policy

FLIPS=${FLIPS:-1000}

# Two sets: "ever" is allowed and "never" denied by both, "odd" and "even" by turns. Some other
# rules stand before and behind, so that bits, classes and blocks are different ones.
set_of() { # odd|even
	local i n=1

	[[ $1 == odd ]] || n=40
	echo "node: { fail: ${FAIL:-closed} }"
	workloads ever never odd even server filler
	cat <<-END
		policies:
		  - name: server
		    subject: { app: server }
		    ingress:
		      - { name: ever, from: [ { labels: { app: ever } } ], ports: [ 8080, { port: 8080, protocol: UDP } ] }
		      - { name: turn, from: [ { labels: { app: $1 } } ] }
	END
	for ((i = 0; i < n; i++)); do
		echo "  - { name: filler$i, tier: admin, priority: $i, subject: { app: filler }," \
			"ingress: [ { from: [ { network: 192.0.2.$i/32 } ], ports: [ $((i + 1)) ], action: deny } ] }"
	done
}

# Both files, the first in force, the server there
two_sets() {
	ns_make node
	set_of odd >"$CONF.odd"
	set_of even >"$CONF.even"
	cp "$CONF.odd" "$CONF"
	sidestep load -f "$CONF"
	as server pod_bg node "$TOOLS/echoserver" --greet --name server 127.0.0.1:8080 "[::1]:8080"
	as server pod_bg node "$TOOLS/echoserver" --udp --name server 127.0.0.1:8080 "[::1]:8080"
}

# hammer: connects and datagrams by all of them, until reckon()
hammer() {
	local who

	declare -gA HAMMER=() # pids
	for who in ever never odd even; do
		hammer_as "$who" tcp 127.0.0.1:8080
	done
	hammer_as ever udp 127.0.0.1:8080 --udp
	hammer_as never udp 127.0.0.1:8080 --udp
	hammer_as ever v6 "[::1]:8080"
	hammer_as never v6 "[::1]:8080"
	hammer_as never connected 127.0.0.1:8080 --udp --connected
	hammer_as ever connected 127.0.0.1:8080 --udp --connected
}

hammer_as() { # NAME KIND ADDRESS [OPTIONS]
	as "$1" pod_start node "$TOOLS/caller" --until-signal --interval-ms 1 --timeout-ms 5000 \
		"${@:4}" "$3"
	HAMMER[$1-$2]=$PID
}

# reckon [TURNS]: what they have seen; with TURNS those by turns must have seen both answers
reckon() {
	local who

	for who in "${!HAMMER[@]}"; do
		finish "${HAMMER[$who]}" >/dev/null
		echo "# $who: $(value -c '{ ok, failed, errors }')"
		case $who in
		ever-*) check '.failed == 0 and .ok > 20' ;;
		never-*) check '.ok == 0 and .failed > 20 and .errors == { EPERM: .failed }' ;;
		*) # one that is open while the set turns against it is ended
			check '(.errors | keys) - [ "EPERM", "ECONNABORTED", "ECONNRESET", "ENOTCONN", "EOF" ] == []'
			[[ ! ${1:-} ]] || check '.ok > 0 and .errors.EPERM > 0'
			;;
		esac
	done
	HAMMER=()
}

@test "1,000 flips between two sets: not one wrong answer" {
	local i

	two_sets
	hammer
	for ((i = 0; i < FLIPS; i += 2)); do
		sidestep apply -f "$CONF.even" >/dev/null
		sidestep apply -f "$CONF.odd" >/dev/null
	done
	reckon turns
	show status
	check --argjson n "$FLIPS" '.generation == $n + 1'
}

@test "the daemon down, killed, started again, and an upgrade: not one wrong answer" {
	local i

	two_sets
	hammer
	for i in 1 2; do
		daemon_start
		finish "$DAEMON" # by TERM
		daemon_start
		kill -KILL "$DAEMON"
		await_end "$DAEMON" >/dev/null
		# programs anew onto the maps that are there
		sidestep load -f "$CONF" >/dev/null
	done
	show status
	check '.loads >= 3'
	reckon
}

@test "reload by the daemon, again and again" {
	local i

	two_sets
	daemon_start
	hammer
	for i in {1..10}; do
		cp "$CONF.even" "$CONF.new" && mv "$CONF.new" "$CONF"
		sidestep apply -f "$CONF" >/dev/null
		cp "$CONF.odd" "$CONF.new" && mv "$CONF.new" "$CONF"
		sidestep apply -f "$CONF" >/dev/null
	done
	reckon turns
}

# ---- what decides is missing -------------------------------------------------------

# The one pin of map policy
map_of() {
	echo "$PIN"/*/"$1"
}

remove_set() {
	bpftool map delete pinned "$(map_of policy)" key 0 0 0 0
}

@test "the set gone from its map: fail closed refuses, open allows, counted" {
	two_sets
	daemon_start
	allowed ever node 127.0.0.1:8080
	stats_fresh
	[ "$(metric sidestep_policy_undecided_total reason=set-closed)" -eq 0 ]
	remove_set
	denied ever node --count 3 127.0.0.1:8080
	denied never node --count 3 --udp 127.0.0.1:8080
	stats_fresh
	[ "$(metric sidestep_policy_undecided_total reason=set-closed)" -eq 6 ]
	try as ever pod node "$TOOLS/sockets"
	check '.tcp == "ok" and .raw == "EPERM" and .["udp-lite"] == "EPERM"'
	[ "$(metric sidestep_policy_undecided_total reason=set-open)" -eq 0 ]

	# the next apply puts one there
	sidestep apply -f "$CONF.even"
	allowed ever node 127.0.0.1:8080
	denied never node 127.0.0.1:8080
}

@test "... and with fail: open" {
	FAIL=open two_sets
	daemon_start
	denied never node 127.0.0.1:8080
	remove_set
	allowed never node --count 3 127.0.0.1:8080
	stats_fresh
	[ "$(metric sidestep_policy_undecided_total reason=set-open)" -ge 3 ]
	[ "$(metric sidestep_policy_undecided_total reason=set-closed)" -eq 0 ]
}

@test "workloads and policies leave the file: everything is allowed again, nothing is left" {
	two_sets
	denied never node 127.0.0.1:8080
	echo "services: []" | apply_config
	allowed never node 127.0.0.1:8080
	try "$SIDESTEP" policy stats --pin "$PIN" -o json
	check 'length == 0' || check '. == []'
	bpftool -j map dump pinned "$(map_of policy)" | jq -e 'length == 0' ||
		fail "a set is left"
}
