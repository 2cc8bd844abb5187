#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# Which flows are shown and how, and the flow log: what it holds, how it rotates, and that
# nothing that goes wrong with it holds anybody up.

load policy

# Two callers, two services, one where nobody listens; what is denied to eve. TELEMETRY: more of the
# node's.
shop() { # [TELEMETRY]
	ns_make node
	config < <(
		workloads web db eve
		cat <<-END
			node: { splice: off, telemetry: { ${1:-edges: 1000} } }
			services:
			  - { name: front, address: 10.96.0.10, port: 80, endpoints: [ { address: 127.0.0.1, port: 8080 } ] }
			  - { name: store, address: 10.96.0.11, ports: [ { name: pg, port: 5432, target: 8081 } ], endpoints: [ { address: 127.0.0.1 } ] }
			  - { name: dead, address: 10.96.0.12, port: 80, endpoints: [ { address: 127.0.0.1, port: 8089 } ] }
			policies:
			  - { name: no-eve, subject: {}, ingress: [ { from: [ { labels: { app: web } }, { labels: { app: db } } ] } ] }
		END
	)
	as db pod_bg node "$TOOLS/echoserver" --name a --greet 127.0.0.1:8080
	as db pod_bg node "$TOOLS/echoserver" --mode "${MODE:-sink}" 127.0.0.1:8081
}

# What there is to tell of: 3 to front, 2 to store with 100,000 bytes each, 1 refused, 1 denied.
traffic() {
	as web call node --count 3 10.96.0.10:80
	check '.ok == 3'
	as web call node --count 2 --send 100000 10.96.0.11:5432
	check '.ok == 2'
	as web call node 10.96.0.12:80
	check '.errors == {ECONNREFUSED: 1}'
	as eve call node 10.96.0.10:80
	check '.errors == {EPERM: 1}'
}

# mount_small FOLDER OPTIONS: a tmpfs, which goes with the test.
mount_small() {
	MOUNTED=$1
	mkdir -p "$1"
	mount -t tmpfs -o "$2" tmpfs "$1"
}

teardown() {
	local status=0

	harness_teardown || status=1
	[[ -z ${MOUNTED:-} ]] || umount "$MOUNTED"
	return $status
}

# follow NAME OPTION...: in the background, its output to be had with followed NAME
declare -gA FOLLOWER
follow() {
	background "$SIDESTEP" flows --follow -o json "${OPTIONS[@]}" "${@:2}"
	FOLLOWER[$1]=$PID
}

# What NAME has seen is in $output, as one array.
followed() {
	output=$(jq -cs . "${OUT[${FOLLOWER[$1]}]}")
	echo "$1: $(jq -c '[.[] | [.event, .service]]' <<<"$output")"
}

all_follow() {
	[[ $(bpftool map dump pinned "$PIN"/abi*/interest -j) == *'"0x01"'* ]]
}

# lines_are FILE CONDITION: of its lines, as one array
lines_are() {
	[[ -s $1 ]] && jq -es "$2" "$1" >/dev/null
}

# ---- filters ------------------------------------------------------------------------

@test "each filter of flows --follow shows what it should, and nothing else" {
	shop
	daemon_start
	follow all
	follow source --source web
	follow eve --source app=eve
	follow network --destination 127.0.0.0/8 --port 5432
	follow service --service store/pg --service dead
	follow denied --verdict denied
	follow errors --errors
	follow large --min-bytes 90KiB
	follow opened --event open --protocol tcp
	follow udp --protocol udp
	follow nobody --source shop/
	wait_until 5 all_follow
	sleep 0.5
	traffic
	wait_until 5 lines_are "${OUT[${FOLLOWER[all]}]}" 'map(select(.event == "close")) | length == 5'
	sleep 0.5

	followed all
	check 'length == 12 and all(.[]; .version == 1 and .sample == 1)'
	check '[.[] | select(.event == "close") | .ending] == ["orderly", "orderly", "orderly", "orderly", "orderly"]'
	check '.[] | select(.event == "failed") | .failure == "refused" and .ending == null'
	check '[.[] | select(.event == "close")] | all(.[]; .edge > 0 and .connect_us > 0)'
	followed source
	check 'length == 11 and all(.[]; .source_identity.workload == "default/web")'
	followed eve
	check 'length == 1 and .[0].event == "denied"'
	followed network
	check 'length == 4 and all(.[]; .service == "store")'
	followed service
	check '([.[] | .service] | unique) == ["dead", "store"] and length == 5'
	followed denied
	check 'length == 1 and .[0].verdict == "denied" and .[0].rule != null'
	followed errors
	check '([.[] | .event] | sort) == ["denied", "failed"]'
	followed large
	check 'length == 2 and all(.[]; .event == "close" and .sent_bytes == 100000)'
	followed opened
	check 'length == 5 and all(.[]; .event == "open")'
	followed udp
	check 'length == 0'
	followed nobody
	check 'length == 0'
}

@test "flows lists what the filter takes, in the columns that are asked for" {
	MODE="echo" shop
	sidestep load -f "$CONF"
	as web pod_start node "$TOOLS/caller" --hold-ms 20000 10.96.0.10:80
	as web pod_start node "$TOOLS/crowd" --flows 1 --rounds 1 --hold 10.96.0.11:5432
	wait_until 5 two_live
	show flows --service front
	check 'length == 1 and .[0].service == "front"'
	show flows --source web --destination db
	check 'length == 2'
	show flows --source db
	check 'length == 0'
	show flows --port 8080
	check 'length == 1 and .[0].service == "front"'
	run -0 sidestep flows --service store --columns service,to,verdict
	[ "$output" = "SERVICE   TO          VERDICT
store/pg  default/db  allowed" ]
	run -0 sidestep flows
	[ "${#lines[@]}" -eq 3 ]
	# what policy says comes behind, and may be long
	for line in "${lines[@]}"; do
		line=${line:0:$(index_of FROM "${lines[0]}")}
		((${#line} <= 120)) || fail "${#line} columns: $line"
	done
}

# index_of WORD TEXT: how much is before it
index_of() {
	local before=${2%%"$1"*}

	echo "${#before}"
}

two_live() {
	show flows
	check 'length == 2' >/dev/null
}

@test "flows by the thousand are listed each once, whoever else lists them" {
	local n=6000 first others=() # more than the ring of listings holds

	MODE="echo" shop
	sidestep load -f "$CONF"
	as web pod_bg node "$TOOLS/crowd" --flows $n --rounds 1 --hold 10.96.0.11:5432
	show flows
	check --argjson n $n 'length == $n and (map(.flow) | unique | length == $n)'
	value -c 'map([.flow, .edge, .sent_bytes]) | sort' >"$BATS_TEST_TMPDIR/first"
	# somebody has the ring and does not let go
	background flock "$PIN"/abi* sleep 60
	others+=("$PID")
	wait_until 5 listing_is_claimed
	show flows
	value -c 'map([.flow, .edge, .sent_bytes]) | sort' >"$BATS_TEST_TMPDIR/claimed"
	cmp "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/claimed"
	finish "${others[0]}"
	# several at once, one of which may be killed in the middle
	for _ in 1 2 3 4; do
		background "$SIDESTEP" flows "${OPTIONS[@]}" -o json
		others+=("$PID")
	done
	kill -KILL "${others[1]}" || :
	for first in "${others[@]:2}"; do
		await_end "$first" >/dev/null
		check --argjson n $n 'length == $n and (map(.flow) | unique | length == $n)'
	done
	show flows
	check --argjson n $n 'length == $n'
}

listing_is_claimed() {
	! flock -n "$PIN"/abi* true
}

@test "a filter that is wrong is refused with what is right" {
	local pair words

	for pair in "--port 0:a port from 1 to 65535" "--verdict maybe:allowed or denied" \
		"--min-bytes 1.5M:a number of bytes" "--source a/b/c:a workload like shop/db" \
		"--columns flow,nme:unknown column 'nme', expected some of: time, event, flow" \
		"--event open:--event needs --follow" "--slower 5:a time, like 500us"; do
		read -ra words <<<"${pair%%:*}"
		try sidestep flows "${words[@]}"
		[ "$status" -eq 2 ]
		[[ $stderr == *"${pair#*:}"* ]] || fail "$pair: $stderr"
	done
	try sidestep services --source web
	[ "$status" -eq 2 ]
}

@test "colour is for terminals, and NO_COLOR is heard" {
	require_command script
	shop
	sidestep load -f "$CONF"
	run -0 script -qec "$SIDESTEP flows --pin $PIN" /dev/null
	[[ $output == *$'\e[1m'* ]]
	NO_COLOR=1 run -0 script -qec "$SIDESTEP flows --pin $PIN" /dev/null
	[[ $output == *FLOW* && $output != *$'\e'* ]]
	run -0 sidestep flows
	[[ $output == *FLOW* && $output != *$'\e'* ]]
}

@test "flows --follow in columns" {
	shop
	daemon_start
	background "$SIDESTEP" flows --follow "${OPTIONS[@]}" --columns event,service,from,ending
	local pid=$PID
	wait_until 5 all_follow
	sleep 0.3
	traffic
	wait_until 5 grep -q denied "${OUT[$pid]}"
	finish "$pid"
	[[ ${output%%$'\n'*} == "EVENT   SERVICE         FROM              ENDING" ]]
	[[ $output == *$'\nclose   store/pg        default/web       orderly'* ]]
	[[ $output == *$'\nfailed  dead/80         default/web       refused'* ]]
	[[ $output != *$'\e'* ]]
}

@test "a daemon hangs up on who asks for what it does not know" {
	shop
	daemon_start
	require_command python3
	run -0 timeout 5 python3 - "$BATS_TEST_TMPDIR/socket" <<-'END'
		import socket, sys
		for ask in (b'{"command":"follow","filter":{"colour":["red"]}}\n', b'{}\n', b'x\n'):
		    s = socket.socket(socket.AF_UNIX)
		    s.connect(sys.argv[1])
		    s.send(ask)
		    print(s.makefile().read().strip())
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		try:
		    s.sendall(b'x' * 100000)
		    print(s.makefile().read().strip())
		except OSError:
		    print()
	END
	[ "${lines[0]}" = "filter: there is no 'colour'" ]
	[ "${lines[1]}" = "unknown request" ]
	[ "${lines[2]}" = "unknown request" ]
	daemon_answers
}

# ---- the flow log ---------------------------------------------------------------------

@test "the flow log holds every event, and a replay reads it" {
	local log=$BATS_TEST_TMPDIR/flows.log

	shop "flow-log: { file: $log }"
	daemon_start
	traffic
	wait_until 5 lines_are "$log" 'length == 12'
	[ "$(stat -c %a "$log")" = 600 ]
	lines_are "$log" '(map(select(.event == "close")) | length == 5) and all(.[]; .version == 1 and .sample == 1 and .flow != null)'
	stats_fresh
	[ "$(metric sidestep_flow_log_lines_total)" -eq "$(wc -l <"$log")" ]
	[ "$(metric sidestep_flow_log_lost_total)" -eq 0 ]
	run -0 "$SIDESTEP" policy replay -f "$CONF" --flows "$log"

	# what the last moments told of is there when the daemon has ended
	as web call node --count 100 10.96.0.10:80
	finish "$DAEMON"
	lines_are "$log" 'map(select(.event == "close" and .service == "front")) | length == 103'
}

@test "the flow log's filter and sample, and that they change with the configuration" {
	local log=$BATS_TEST_TMPDIR/flows.log

	shop "flow-log: { file: $log, only: { errors: true } }"
	daemon_start
	traffic
	wait_until 5 lines_are "$log" 'length == 2'
	sleep 0.3
	lines_are "$log" '([.[] | .event] | sort) == ["denied", "failed"]'

	sed -i "s|only: { errors: true }|sample: 4, only: { service: [front, store/pg], event: [open, close] }|" "$CONF"
	"$SIDESTEP" check -f "$CONF"
	kill -HUP "$DAEMON"
	sleep 0.5
	as web call node --count 400 10.96.0.10:80
	sleep 0.5
	# whoever opened has closed
	lines_are "$log" '.[2:] | all(.[]; .sample == 4 and .service == "front")
		and ([.[] | select(.event == "open").flow] | sort) == ([.[] | select(.event == "close").flow] | sort)'
	within "$(wc -l <"$log")" 202 120

	sed -i "s|flow-log: .*|edges: 1000 } }|" "$CONF"
	"$SIDESTEP" check -f "$CONF"
	kill -HUP "$DAEMON"
	wait_until 5 nobody_follows
}

nobody_follows() {
	! all_follow
}

@test "the flow log rotates, and no line is lost" {
	local dir=$BATS_TEST_TMPDIR/logs

	mkdir "$dir"
	shop "flow-log: { file: $dir/flows, size: 64KiB, keep: 40 }"
	daemon_start
	for _ in {1..6}; do
		as web call node --count 100 10.96.0.10:80
		check '.ok == 100'
		sleep 0.2
	done
	wait_until 5 all_closed "$dir" 600
	[ "$(find "$dir" -type f | wc -l)" -gt 5 ]
	[ -z "$(find "$dir" -type f -size +64k)" ]
	[ ! -e "$dir/flows.next" ]
	run -1 grep -hvE '"event":"(open|close)"' "$dir"/*
}

all_closed() {
	[ "$(cat "$1"/flows* | grep -c '"event":"close"')" -eq "$2" ]
}

@test "a full disk drops lines, is told once, and the log goes on" {
	local dir=$BATS_TEST_TMPDIR/small

	mkdir "$dir"
	mount_small "$dir" size=64k
	shop "flow-log: { file: $dir/flows, size: 1MiB }"
	daemon_start
	as web call node --count 300 10.96.0.10:80
	check '.ok == 300'
	sleep 0.5
	wait_until 5 closed_of_front 300
	daemon_answers
	[ "$(grep -c 'flow log.*No space' "${OUT[$DAEMON]}.err")" -eq 1 ]
	# whole lines, as many as there are not lost
	jq -c . "$dir/flows" >/dev/null
	stats_fresh
	local written lost
	written=$(metric sidestep_flow_log_lines_total)
	lost=$(metric sidestep_flow_log_lost_total)
	[ "$lost" -gt 0 ]
	[ $((written + lost)) -eq 600 ]

	cp "$dir/flows" "$BATS_TEST_TMPDIR/before"
	: >"$dir/flows"
	as web call node --count 3 10.96.0.10:80
	wait_until 5 lines_are "$dir/flows" 'map(select(.event == "close")) | length == 3'
	# the log tells of its gaps itself
	cat "$BATS_TEST_TMPDIR/before" "$dir/flows" >"$BATS_TEST_TMPDIR/both"
	lines_are "$BATS_TEST_TMPDIR/both" "[.[] | select(.event == \"lost\").count] | add == $lost"
	wait_until 15 grep -q 'is written again' "${OUT[$DAEMON]}.err"
	run -0 "$SIDESTEP" policy replay -f "$CONF" --flows "$dir/flows"
}

closed_of_front() {
	show services
	check --argjson n "$1" '.[] | select(.service == "front").counters.closed == $n' >/dev/null
}

@test "a folder that is not there, or takes nothing: told, and the daemon serves" {
	local dir=$BATS_TEST_TMPDIR/ro

	shop "flow-log: { file: $BATS_TEST_TMPDIR/none/flows }"
	daemon_start
	wait_until 5 grep -q 'flow log .*No such file' "${OUT[$DAEMON]}.err"
	as web call node --count 20 10.96.0.10:80
	check '.ok == 20'
	mkdir "$BATS_TEST_TMPDIR/none"
	wait_until 15 grep -q 'is written again' "${OUT[$DAEMON]}.err"
	as web call node --count 1 10.96.0.10:80
	wait_until 5 lines_are "$BATS_TEST_TMPDIR/none/flows" '.[0].event == "lost" and .[0].count == 40 and length == 3'

	mkdir "$dir"
	mount_small "$dir" ro
	sed -i "s|/none/flows|/ro/flows|" "$CONF"
	kill -HUP "$DAEMON"
	wait_until 5 grep -q 'flow log .*Read-only' "${OUT[$DAEMON]}.err"
	as web call node --count 20 10.96.0.10:80
	check '.ok == 20'
	finish "$DAEMON"
	[ "$status" -eq 0 ]
}

@test "stdout as the log, and a reader of it that never reads" {
	local fifo=$BATS_TEST_TMPDIR/fifo before

	shop "flow-log: { file: \"-\" }"
	daemon_start
	as web call node --count 3 10.96.0.10:80
	wait_until 5 grep -q '"event":"close"' "${OUT[$DAEMON]}"
	finish "$DAEMON"

	mkfifo "$fifo"
	exec 7<>"$fifo"
	background sh -c 'exec >"$0" 7>&- && exec "$@"' "$fifo" "$SIDESTEP" run "${OPTIONS[@]}" -f "$CONF"
	DAEMON=$PID
	wait_until 20 daemon_answers
	before=$(awk '/VmRSS/ { print $2 }' "/proc/$DAEMON/status")
	as web call node --count 6000 --threads 2 10.96.0.10:80
	check '.ok == 6000'
	wait_until 10 lost_lines
	daemon_answers
	# what waits for it is bounded
	within "$(awk '/VmRSS/ { print $2 }' "/proc/$DAEMON/status")" "$before" 20000
	finish "$DAEMON"
	[ "$status" -eq 0 ]
	exec 7>&-
}

lost_lines() {
	stats_fresh
	[ "$(metric sidestep_flow_log_lost_total)" -gt 0 ]
}

@test "a follower that never reads loses lines, and is told how many" {
	local fifo=$BATS_TEST_TMPDIR/fifo

	shop
	daemon_start
	mkfifo "$fifo"
	exec 7<>"$fifo"
	background sh -c 'exec >"$0" 7>&- && exec "$@"' "$fifo" "$SIDESTEP" flows --follow -o json "${OPTIONS[@]}"
	wait_until 5 all_follow
	as web call node --count 4000 --threads 2 10.96.0.10:80
	check '.ok == 4000'
	wait_until 10 lost_to_followers
	daemon_answers
	timeout 2 cat <&7 >"$BATS_TEST_TMPDIR/read" || :
	as web call node --count 1 10.96.0.10:80
	timeout 2 cat <&7 >>"$BATS_TEST_TMPDIR/read" || :
	# nothing is unaccounted for: two lines a call, here or counted
	jq -es '(map(select(.event == "lost").count) | add) + (map(select(.event != "lost")) | length) == 8002' \
		"$BATS_TEST_TMPDIR/read"
	exec 7>&-
}

lost_to_followers() {
	stats_fresh
	[ "$(metric sidestep_follow_lost_total)" -gt 0 ]
}

# ---- how many ---------------------------------------------------------------------------

@test "a class of events has a rate, and what is beyond it is counted" {
	shop "events: 50, flow-log: { file: $BATS_TEST_TMPDIR/flows }"
	daemon_start
	as web call node --count 3000 10.96.0.10:80
	as web call node 10.96.0.12:80
	wait_until 5 closed_of_front 3000
	stats_fresh
	[ "$(metric sidestep_event_limited_total reason=open)" -gt 1000 ]
	# one class does not take from another
	[ "$(metric sidestep_event_total reason=failed)" -ge 1 ]
	[ $(($(metric sidestep_event_total reason=open) + $(metric sidestep_event_limited_total reason=open) +
		$(metric sidestep_event_withheld_total reason=open))) -eq "$(metric sidestep_connections_opened_total)" ]
	[ "$(grep -c '"event":"open"' "$BATS_TEST_TMPDIR/flows")" -eq "$(metric sidestep_event_total reason=open)" ]
}
