#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# Captures: what is told of messages is held against what the programs sent and what
# the kernel counted; pcap files are read by the programs that people will read them with.

load harness

PCAP=    # the file that is written
SUMMARY= # what the capture said at its end

# spliced: client and a on a bridge, service "web" that splices, the daemon, a pair server;
# sets SERVER.
spliced() {
	PCAP=$BATS_TEST_TMPDIR/messages.pcap
	ns_bridge client a
	config <<-END
		services:
		  - name: web
		    address: 10.96.0.10
		    port: 80
		    target: 8080
		    splice: on
		    endpoints: [ { address: $(ip4 a) } ]
	END
	daemon_start
	require_feature splice
	pod_bg a "$TOOLS/pair" server "$(ip4 a):8080"
	SERVER=$PID
}

# calls [OPTIONS]: of a pair's client, to its end
calls() {
	try pod client "$TOOLS/pair" client --warmup 0 "$@" 10.96.0.10:80
	[ "$status" -eq 0 ] || fail "$stderr"
	wait_until 5 all_closed
}

all_closed() {
	show services
	check '.[0].counters.active == 0' >/dev/null
}

# endless_calls: in the background, until they are spliced; sets LOAD.
endless_calls() {
	pod_start client "$TOOLS/pair" client --sizes 64 --rounds 100000000 10.96.0.10:80
	LOAD=$PID
	wait_until 10 redirecting
}

redirecting() {
	show flows
	check 'any(.[]; .splice_state == "redirecting" and .spliced_sent_bytes > 0)' >/dev/null
}

# capture_start ARGUMENTS...: in the background, until it runs; sets CAPTURE.
capture_start() {
	background "$SIDESTEP" capture "${OPTIONS[@]}" "$@"
	CAPTURE=$PID
	wait_until 5 capturing || fail "no capture: $(cat "${OUT[$CAPTURE]}.err")"
}

capture_entry() { # FIELD
	bpftool -j map dump pinned "$PIN"/abi*/capture | jq ".[0].formatted.value.$1"
}

capturing() {
	[[ $(capture_entry deadline_ns) != 0 && $(capture_entry owner) == "$CAPTURE" ]]
}

# Ends it; sets output and SUMMARY.
capture_ended() {
	finish "$CAPTURE" >/dev/null
	[ "$status" -eq 0 ] || fail "$stderr"
	SUMMARY=$stderr
	echo "$SUMMARY"
}

# summary FIELD: messages, spliced, tcp or lost
summary() {
	local -A field=([messages]=1 [spliced]=3 [tcp]=6 [lost]=10)

	awk -v n="${field[$1]}" '/ messages lost: / { print $n }' <<<"$SUMMARY"
}

counters() { # FILTER
	show services
	value ".[0].counters | $1"
}

# No gap and no overlap: each direction's messages follow each other, from the first
# one that was captured to the last byte.
every_byte_once() { # MESSAGES BYTES-OF-THE-CLIENT BYTES-OF-THE-SERVER
	output=$1
	check -s --argjson client "$2" --argjson server "$3" 'group_by(.flow)[]
		| . as $messages | .[-1] as $last | .[0].role as $role
		| (if $role == "client" then $client else $server end) as $bytes
		| all(range(1; length); $messages[.].offset ==
			$messages[. - 1].offset + $messages[. - 1].bytes)
		and $last.offset + $last.bytes == $bytes'
}

# ---- what is told -------------------------------------------------------------------

@test "capture: each message of a service once, and as many bytes as were counted" {
	local messages sent received

	spliced
	capture_start web -o json
	calls --sizes 64 --rounds 3000
	sent=$(counters .spliced_sent_bytes)
	received=$(counters .spliced_received_bytes)
	capture_ended
	messages=$output

	[ "$(summary lost)" -eq 0 ]
	[ "$(summary messages)" -eq "$(wc -l <<<"$messages")" ]
	[ "$(summary spliced)" -eq $((sent + received)) ]
	check -s --argjson sent "$sent" --argjson received "$received" '
		map(select(.path == "spliced"))
		| ([.[] | select(.role == "client").bytes] | add) == $sent
		and ([.[] | select(.role == "server").bytes] | add) == $received'
	# the client says 4 bytes before its requests
	every_byte_once "$messages" $((3000 * 64 + 4)) $((3000 * 64))
	# before it is proven that the reader is awake, messages go by TCP
	check -s '.[0] | .path == "tcp" and (.reason | IN("unproven", "no-peer"))'
	check -s 'map(select(.path == "spliced")) | all(.[]; .reason == null)'
	check -s --arg a "$(ip4 a)" --arg client "$(ip4 client)" 'map(select(.role == "client"))
		| all(.[]; .sender.address == $client and .service == "web"
			and .receiver == {address: $a, port: 8080}
			and .asked == {address: "10.96.0.10", port: 80})'
	# an answer acknowledges all of the request
	check -s 'map(select(.role == "server")) | all(.[]; .acked == .offset + .bytes + 4)'
}

@test "capture: as text" {
	spliced
	capture_start web
	calls --sizes 1000 --rounds 3000
	capture_ended
	grep -qE "^[^ ]+Z $(ip4 client):[0-9]+ > $(ip4 a):8080 service web/80 flow [0-9]+ seq 2999004:3000004 ack 2999000 length 1000 spliced$" <<<"$output"
	grep -qE " service web/80 flow [0-9]+ seq [0-9]+:[0-9]+ ack [0-9]+ length 1000 tcp [a-z-]+$" <<<"$output"
	grep -qE '^[0-9]+ messages, .* 0 messages lost: ended by a signal$' <<<"$SUMMARY"
}

@test "capture: one flow, by the id of either end; it ends with the flow" {
	local id

	spliced
	endless_calls
	for id in flow peer_flow; do
		show flows
		id=$(value ".[0].$id")
		run -0 --separate-stderr sidestep capture "$id" --count 100 -o json
		check -s --arg id "$id" 'length == 100
			and all(.[]; .flow == $id or .peer_flow == $id)
			and ([.[].role] | unique) == ["client", "server"]'
	done
	capture_start "$id" --count 10000000 -w /dev/null
	finish "$LOAD"
	await_end "$CAPTURE"
	[ "$status" -eq 0 ]
	[[ $stderr == *": the flow has ended" ]]
}

@test "capture: not of other services" {
	spliced
	config <<-END
		services:
		  - { name: web, address: 10.96.0.10, port: 80, target: 8080, splice: on,
		      endpoints: [ { address: $(ip4 a) } ] }
		  - { name: other, address: 10.96.0.11, port: 80, target: 8080, splice: on,
		      endpoints: [ { address: $(ip4 a) } ] }
	END
	wait_until 10 sidestep services other
	capture_start other -o json
	calls --sizes 64 --rounds 200
	capture_ended
	[ "$(summary messages)" -eq 0 ]
}

# ---- pcap -----------------------------------------------------------------------------

# whole_for_tshark: nothing strange in any packet, all checksums right.
whole_for_tshark() {
	run -0 --separate-stderr tshark -o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE \
		-r "$PCAP" -Y "$1"
	[ ! "$output" ] || fail "$output"
}

# The sum of what tcpdump says.
lengths() {
	sed -E 's/.* length ([0-9]+).*/\1/' <<<"$output" | awk '{ sum += $1 } END { print sum }'
}

@test "capture -w: headers only, for the owner only, whole for tcpdump and tshark" {
	require_command tcpdump
	require_command tshark
	spliced
	install -m 644 /dev/null "$PCAP"
	capture_start web -w "$PCAP"
	calls --sizes 64,1024 --rounds 1000
	capture_ended

	[ "$(stat -c %a "$PCAP")" = 600 ]
	[ "$(stat -c %s "$PCAP")" -eq $((24 + $(summary messages) * (16 + 40))) ]
	run -1 grep -a abcd "$PCAP"
	run -0 --separate-stderr tcpdump -nr "$PCAP"
	[ "$(wc -l <<<"$output")" -eq "$(summary messages)" ]
	[ "$(lengths)" -eq $(($(summary spliced) + $(summary tcp))) ]
	whole_for_tshark 'tcp.analysis.flags || ip.checksum.status == 0 || _ws.malformed'
	# the path can be told
	run -0 --separate-stderr tcpdump -nr "$PCAP" 'ip[8] == 255'
	[ "$(lengths)" -eq "$(summary spliced)" ]
}

@test "capture --payload: the bytes that were sent, as many as asked for" {
	require_command tcpdump
	require_command tshark
	spliced
	capture_start web -w "$PCAP" --payload 200
	calls --sizes 26,300 --rounds 200
	capture_ended
	whole_for_tshark 'tcp.analysis.flags || tcp.checksum.status == 0 || _ws.malformed'
	run -0 --separate-stderr tshark -o tcp.check_checksum:TRUE -r "$PCAP" \
		-Y 'tcp.len == 26 && tcp.checksum.status == 1' -T fields -e tcp.payload
	[ "$(sort -u <<<"$output")" = "$(printf '%s' {a..z} | od -An -tx1 | tr -d ' \n')" ]
	[ "$(wc -l <<<"$output")" -gt 300 ]
	run -0 --separate-stderr tshark -r "$PCAP" -Y 'tcp.len == 300' -T fields -e frame.cap_len \
		-e tcp.payload
	# a message may begin at the end of a page, and is read no further then
	[ "$(grep -c ^240 <<<"$output")" -gt 300 ]
	[ "$(sort -u <<<"$output" | grep ^240 | cut -c 5-56)" = \
		"$(printf '%s' {a..z} | od -An -tx1 | tr -d ' \n')" ]
}

@test "capture -w: messages longer than a packet" {
	require_command tshark
	spliced
	capture_start web -w "$PCAP" --payload 32768
	calls --sizes 200000 --rounds 30
	capture_ended
	whole_for_tshark 'tcp.checksum.status == 0 || _ws.malformed'
	run -0 --separate-stderr tshark -r "$PCAP" -Y 'tcp.len == 65495' -T fields -e frame.len
	[ "$(sort -u <<<"$output")" = 65535 ]
	run -0 --separate-stderr tshark -r "$PCAP" -T fields -e tcp.len
	[ "$(awk '{ sum += $1 } END { print sum }' <<<"$output")" -eq \
		$(($(summary spliced) + $(summary tcp))) ]
}

@test "capture: on loopback, IPv4, IPv6 and v4-mapped" {
	local address

	require_command tshark
	PCAP=$BATS_TEST_TMPDIR/messages.pcap
	ns_make node
	config <<-END
		services:
		  - { name: four, address: 10.96.0.10, port: 80, target: 8080, splice: on,
		      endpoints: [ { address: 127.0.0.1 } ] }
		  - { name: six, address: "fd96::10", port: 80, target: 8080, splice: on,
		      endpoints: [ { address: "::1" } ] }
	END
	daemon_start
	require_feature splice
	pod_bg node "$TOOLS/pair" server "[::]:8080"
	for address in 10.96.0.10 "[::ffff:10.96.0.10]" "[fd96::10]"; do
		[[ $address == *fd96* ]] && set -- six ipv6 || set -- four ip
		capture_start "$1" -w "$PCAP" --payload 100
		try pod node "$TOOLS/pair" client --sizes 100 --rounds 3000 --warmup 0 "$address:80"
		[ "$status" -eq 0 ]
		capture_ended
		[ "$(summary spliced)" -gt 50000 ]
		[ "$(summary lost)" -eq 0 ]
		whole_for_tshark "!$2 || tcp.analysis.flags || tcp.checksum.status == 0"
		run -0 --separate-stderr tshark -o tcp.check_checksum:TRUE -r "$PCAP" \
			-Y "$2 && tcp.checksum.status == 1"
		[ "$(wc -l <<<"$output")" -gt 500 ]
	done
}

@test "capture -w -: to stdout; a reader that goes is no failure" {
	require_command tcpdump
	spliced
	endless_calls
	sidestep capture web --count 500 -w - 2>/dev/null | tcpdump -nr - >"$BATS_TEST_TMPDIR/read" \
		2>/dev/null
	[ "$(wc -l <"$BATS_TEST_TMPDIR/read")" -eq 500 ]
	try bash -c '"$@" | head -n 3' - "$SIDESTEP" capture "${OPTIONS[@]}" web
	[ "$status" -eq 0 ]
	[ "$(wc -l <<<"$output")" -eq 3 ]
	[[ $stderr != *annot* ]]
	[ "$(capture_entry deadline_ns)" -eq 0 ]
}

# ---- bounds ------------------------------------------------------------------------------

@test "capture: ends by number and by time" {
	spliced
	endless_calls
	try sidestep capture web --count 777
	[ "$status" -eq 0 ]
	[ "$(wc -l <<<"$output")" -eq 777 ]
	[[ $stderr == "777 messages, "*": its time or number is up" ]]
	SECONDS=0
	try sidestep capture web --seconds 2 --count 10000000 -w /dev/null
	[ "$status" -eq 0 ]
	within "$SECONDS" 2 1
	[[ $stderr == *": its time or number is up" ]]
	[ "$(capture_entry deadline_ns)" -eq 0 ]
}

@test "capture: what its reader misses is counted" {
	local lost passed

	spliced
	stats_fresh
	lost=$(metric sidestep_event_lost_total reason=message)
	passed=$(metric sidestep_splice_message_total)
	capture_start web --count 10000000 -w "$PCAP"
	kill -STOP "$CAPTURE"
	calls --sizes 1 --rounds 15000
	kill -CONT "$CAPTURE"
	capture_ended
	[ "$(summary lost)" -gt 0 ]
	# 2 MiB of 128 bytes each
	[ "$(summary messages)" -ge 16000 ]
	stats_fresh
	[ "$(metric sidestep_event_lost_total reason=message)" -eq $((lost + $(summary lost))) ]
	[ "$(metric sidestep_splice_message_total)" -eq \
		$((passed + $(summary messages) + $(summary lost))) ]
}

@test "capture: one at a time; a killed one is over in its time, or when the next begins" {
	spliced
	endless_calls
	echo untouched >"$PCAP"
	capture_start web --seconds 60 --count 10000000 -w "$BATS_TEST_TMPDIR/first.pcap"
	try sidestep capture web -w "$PCAP"
	[ "$status" -eq 1 ]
	[[ $stderr == *"process $CAPTURE captures already"* ]]
	[ "$(cat "$PCAP")" = untouched ]
	finish "$CAPTURE" KILL
	[ "$(capture_entry deadline_ns)" -gt 0 ]
	try sidestep capture web --count 10
	[ "$status" -eq 0 ]
	[ "$(wc -l <<<"$output")" -eq 10 ]

	capture_start web --seconds 5 --count 10000000 -w "$PCAP"
	finish "$CAPTURE" KILL
	[ "$(capture_entry deadline_ns)" -gt 0 ]
	wait_until 15 capture_is_over
}

capture_is_over() {
	[[ $(capture_entry deadline_ns) == 0 ]]
}

@test "capture: unload ends it" {
	spliced
	endless_calls
	capture_start web --count 10000000 -w /dev/null
	finish "$DAEMON"
	wait_until 20 sidestep unload
	await_end "$CAPTURE"
	[ "$status" -eq 0 ]
	[[ $stderr == *": the data plane was unloaded" ]]
	finish "$LOAD"
}

# ---- what it says no to ------------------------------------------------------------------

@test "capture: of what is not there, not TCP, or not spliced" {
	try sidestep capture web
	[ "$status" -eq 3 ]
	spliced
	for name in 12345 no-such; do
		try sidestep capture "$name"
		[ "$status" -eq 1 ]
		[[ $stderr == *"there is no live flow and no service '$name'"* ]]
	done
	try sidestep capture web --seconds 1
	[ "$status" -eq 0 ]
	[[ $stderr == *"service 'web' has no live flow yet"* ]]

	# an idle flow is never adopted
	finish "$SERVER"
	serve a
	pod_start client "$TOOLS/caller" --hold-ms 60000 10.96.0.10:80
	wait_until 10 has_flow
	show flows
	try sidestep capture "$(value '.[0].flow')" --seconds 1
	[ "$status" -eq 0 ]
	[[ $stderr == *"is not spliced: until it is, tcpdump sees all of it"* ]]
	[[ $stderr == *"0 messages, "* ]]
	try sidestep capture web --seconds 1
	[[ $stderr == *"0 of 1 live flows of service 'web' are spliced; tcpdump sees the others"* ]]
}

has_flow() {
	show flows
	check 'length == 1' >/dev/null
}

@test "capture: not of UDP" {
	local name

	ns_make node
	load_config <<-END
		services:
		  - { name: dns, address: 10.96.0.53, port: 53, protocol: UDP,
		      endpoints: [ { address: 127.0.0.1 } ] }
	END
	pod_bg node "$TOOLS/echoserver" -u 127.0.0.1:53
	pod_start node "$TOOLS/caller" -u --connected --one-socket --until-signal --interval-ms 20 \
		10.96.0.53:53
	wait_until 5 has_flow
	for name in dns "$(value '.[0].flow')"; do
		try sidestep capture "$name"
		[ "$status" -eq 1 ]
		[[ $stderr == *"'$name' is UDP: only TCP is spliced, tcpdump sees all of it"* ]] || fail "$stderr"
	done
}

@test "capture: a wrong command line" {
	local arguments

	while read -r -a arguments; do
		try "$SIDESTEP" capture "${arguments[@]}"
		[ "$status" -eq 2 ] || fail "${arguments[*]}: $stderr"
	done <<-END

		web --seconds 0
		web --seconds 3601
		web --seconds x
		web --count -1
		web --count 99999999999999999999
		web --payload 32769 -w x
		web --payload 10
		web -o json -w x
		web other
	END
	try "$SIDESTEP" capture web --seconds 1h
	[[ $stderr == *"--seconds is '1h', expected a number from 1 to 3600"* ]]
}
