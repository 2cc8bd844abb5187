#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# The splice, whose promise is that an application cannot tell: every byte is
# checked, every kind of reader waits without a timeout, and each test makes sure
# that bytes really were spliced (or were not).

load harness

# spliced MODE: client and a on a bridge, service "web" with this mode, the daemon;
# keeps what the counters were.
spliced() {
	ns_bridge client a
	web "$1" | config
	daemon_start
	[[ $1 != on ]] || require_feature splice
	# loading has tried the splice on sockets of its own
	wait_until 10 test -s "$STATS"
	ADOPTED=$(adopted)
	SPLICED=$(metric sidestep_splice_message_total reason=spliced)
	STOPPED=$(metric sidestep_splice_flow_total reason=stopped)
	RELEASED=$(metric sidestep_splice_flow_total reason=released)
}

adopted() {
	metric sidestep_splice_flow_total reason=adopted
}

# web MODE
web() {
	spliced_web "$(ip4 a)" "$@"
}

# server READER [OPTIONS]: of spliceload, in a; sets SERVER
server() {
	pod_bg a "$TOOLS/spliceload" server "$(ip4 a):8080" --reader "$1" "${@:2}"
	SERVER=$PID
}

# client READER [OPTIONS]: must find every byte right
client() {
	try pod client "$TOOLS/spliceload" client 10.96.0.10:80 --reader "$1" "${@:2}"
	[ "$status" -eq 0 ] || fail "client: $output $stderr"
	check '.ok and .errors == 0'
}

# spliced_load READER PHASES [OPTIONS]: one connection that goes through these phases, but stays
# in the first, a pingpong, until it is spliced: the daemon may be late. Sets LOAD
spliced_load() {
	pod_start client "$TOOLS/spliceload" client 10.96.0.10:80 --reader "$1" --nonblocking \
		--one-connection --until-usr1 --phases "${@:2}"
	LOAD=$PID
	wait_until 20 redirecting
	kill -USR1 "$LOAD"
}

redirecting() {
	show flows
	check 'any(.[]; .splice_state == "redirecting" and .spliced_sent_bytes > 0
		and .spliced_received_bytes > 0)' >/dev/null
}

# it ended by itself, and found every byte right
load_is_content() {
	await_end "$LOAD"
	[ "$status" -eq 0 ] || fail "client: $output $stderr"
	check '.ok and .errors == 0'
}

# the server's word, after all clients have ended
server_is_content() {
	finish "$SERVER"
	[ "$status" -eq 0 ] || fail "server: $output $stderr"
	check '.ok and .errors == 0'
}

# counters_are FILTER
counters_are() {
	show services
	check ".[0].counters | $1"
}

both_ways_spliced() {
	counters_are '.spliced_sent_bytes > 0 and .spliced_received_bytes > 0'
}

nothing_spliced() {
	counters_are '.spliced_sent_bytes == 0 and .spliced_received_bytes == 0'
	stats_fresh
	[ "$(metric sidestep_splice_message_total reason=spliced)" -eq "$SPLICED" ]
	[ "$(adopted)" -eq "$ADOPTED" ]
}

# ---- who is adopted -------------------------------------------------------------

@test "splice: on adopts two event loops, and counts every byte once" {
	spliced on
	pod_bg a "$TOOLS/pair" server "$(ip4 a):8080"
	try pod client "$TOOLS/pair" client --sizes 64,1024 --rounds 2000 --warmup 0 10.96.0.10:80
	[ "$status" -eq 0 ]

	wait_until 5 all_closed
	both_ways_spliced
	# the client says 4 bytes before the requests
	counters_are '.sent_bytes + .spliced_sent_bytes == 2000 * (64 + 1024) + 2 * 4'
	counters_are '.received_bytes + .spliced_received_bytes == 2000 * (64 + 1024)'
	# the most of it: adoption takes a millisecond or so
	counters_are '.spliced_sent_bytes > .sent_bytes'
	stats_fresh
	[ "$(adopted)" -eq $((ADOPTED + 4)) ]
}

all_closed() {
	show services
	check '.[0].counters.active == 0' >/dev/null
}

@test "a live flow shows that it is spliced" {
	spliced on
	server epoll-et --nonblocking
	spliced_load epoll-et pingpong --sizes 64 --seconds 0
	kill -TERM "$LOAD"
	load_is_content
	server_is_content
}

@test "both ends on loopback, and over IPv6" {
	ns_make node
	config <<-END
		services:
		  - name: web
		    address: [10.96.0.10, "fd96::10"]
		    port: 80
		    target: 8080
		    splice: on
		    endpoints: [ { address: 127.0.0.1 }, { address: "::1" } ]
	END
	daemon_start
	require_feature splice
	# a server on "::", as most are
	pod_bg node "$TOOLS/spliceload" server "[::]:8080" --reader epoll-lt --nonblocking
	SERVER=$PID
	for address in 10.96.0.10 "[fd96::10]" "[::ffff:10.96.0.10]"; do
		try pod node "$TOOLS/spliceload" client "$address:80" --reader poll --nonblocking \
			--sizes 64,4096 --rounds 500
		[ "$status" -eq 0 ] || fail "$address: $stderr"
	done
	server_is_content
	show services
	check 'all(.[]; .counters.spliced_sent_bytes > 0 and .counters.spliced_received_bytes > 0)'
}

@test "blocking ends are never adopted, be it one of them" {
	spliced on
	server blocking
	client blocking --sizes 64 --rounds 500
	client epoll-et --nonblocking --sizes 64 --rounds 500
	finish "$SERVER"
	pod_bg a "$TOOLS/spliceload" server "$(ip4 a):8080" --reader epoll-et --nonblocking
	SERVER=$PID
	client blocking --sizes 64 --rounds 500
	client poll --sizes 64 --rounds 500 # MSG_DONTWAIT on a blocking socket
	server_is_content

	nothing_spliced
	[ "$(metric sidestep_splice_refused_total reason=blocking)" -gt 0 ]
}

@test "a refusal is the last word for both ends" {
	local load

	spliced on
	server blocking
	pod_start client "$TOOLS/spliceload" client 10.96.0.10:80 --reader blocking --sizes 64 \
		--phases pingpong --rounds 2000 --connections 4 --one-connection --seconds 0
	load=$PID
	# one end counts the reason, the other that its peer was refused; none waits on
	wait_until 20 both_ends_refused
	finish "$load"
	finish "$SERVER"
}

both_ends_refused() {
	[ "$(metric sidestep_splice_refused_total reason=peer)" -gt 0 ] &&
		[ "$(metric sidestep_splice_refused_total reason=blocking)" -gt 0 ] &&
		show flows && check 'length > 0 and all(.[]; .splice_state == "tcp")' >/dev/null
}

@test "splice: off leaves everything to TCP" {
	spliced off
	server epoll-et --nonblocking
	client epoll-et --nonblocking --sizes 64 --rounds 500
	server_is_content
	nothing_spliced
	[ "$(metric sidestep_splice_refused_total reason=off)" -gt 0 ]
}

@test "splice: auto adopts where the kernel passes the self-test, else tells why not" {
	spliced auto
	server epoll-et --nonblocking
	client epoll-et --nonblocking --sizes 64 --rounds 500
	server_is_content

	show status
	if check 'any(.features[]; .name == "splice-auto" and .enabled)' >/dev/null; then
		both_ways_spliced
	else
		check 'any(.features[]; .name == "splice-auto" and (.reason | length) > 0)'
		nothing_spliced
		[ "$(metric sidestep_splice_refused_total reason=kernel)" -gt 0 ]
	fi
}

@test "a stream in one direction stays TCP" {
	spliced on
	server epoll-et --nonblocking
	client epoll-et --nonblocking --sizes 65536 --phases up,up,up,up
	server_is_content
	nothing_spliced
}

# Membership cannot be undone, and a blocking member may see EAGAIN now and then when
# two threads use it: a known difference of such programs, so one thread here.
@test "an adopted socket that turns blocking goes back to TCP, for good" {
	local size

	spliced on
	server epoll-et --nonblocking
	for size in 64 4096; do
		spliced_load epoll-et pingpong,turn-blocking,up,pingpong,down \
			--sizes "$size" --rounds 500
		load_is_content
	done
	server_is_content
	both_ways_spliced
	stats_fresh
	[ "$(metric sidestep_splice_flow_total reason=stopped)" -eq $((STOPPED + 2)) ]
}

# ---- and back again --------------------------------------------------------------

# turned_stream [MODE]: a live connection, spliced first, that has turned into a stream; sets LOAD
turned_stream() {
	spliced "${1:-on}"
	[[ ${1:-on} == on ]] || require_feature splice-auto
	server epoll-et --nonblocking
	spliced_load epoll-et pingpong,slow --sizes 256 --rounds 100 --seconds 0 \
		--slow-reader-ms 0 --slow-bytes 4194304
	wait_until 20 released
}

released() {
	show flows
	check 'any(.[]; .splice_state == "released" and .spliced_sent_bytes > 0)' >/dev/null
}

ends_released() { # COUNT
	[ "$(metric sidestep_splice_flow_total reason=released)" -eq $((RELEASED + $1)) ]
}

stream_ends_well() {
	kill -TERM "$LOAD"
	load_is_content
	server_is_content
}

@test "a spliced connection that turns into a stream is a plain socket again" {
	local before

	turned_stream
	stats_fresh
	[ "$(metric sidestep_splice_refused_total reason=streaming)" -eq 1 ]
	wait_until 10 ends_released 2
	# in no sockhash, so no message passes the program any more
	[ "$(bpftool map dump pinned "$PIN"/abi*/spliced -j)" = "[]" ]
	before=$(metric sidestep_splice_message_total)
	sleep 0.5
	stats_fresh
	[ "$(metric sidestep_splice_message_total)" -eq "$before" ]
	stream_ends_well
}

@test "what an endpoint's connections turned into is remembered, and on insists" {
	turned_stream
	show endpoints
	check '.[0].learned | .kind == "streams" and .strikes == 1 and .left_alone_s > 0'
	stream_ends_well
	server epoll-et --nonblocking
	spliced_load epoll-et pingpong --sizes 64 --rounds 500
	load_is_content
	server_is_content
	stats_fresh
	[ "$(adopted)" -eq $((ADOPTED + 4)) ]
}

@test "with auto, an endpoint whose connections turned into streams is left alone for a while" {
	turned_stream auto
	client epoll-et --nonblocking --sizes 64 --rounds 500 --phases pingpong
	stream_ends_well
	stats_fresh
	[ "$(metric sidestep_splice_refused_total reason=learned)" -ge 2 ]
	[ "$(adopted)" -eq $((ADOPTED + 2)) ]
}

@test "what is switched off, or turns blocking, is a plain socket soon" {
	spliced on
	server epoll-et --nonblocking
	spliced_load epoll-et pingpong --sizes 64 --seconds 0
	web off | config
	wait_until 20 released
	stream_ends_well
	web on | config
	sleep 0.2
	server epoll-et --nonblocking
	spliced_load epoll-et pingpong,turn-blocking,pingpong --sizes 64 --rounds 500
	load_is_content
	server_is_content
	stats_fresh
	wait_until 10 ends_released 4
}

# ---- every byte, every reader ------------------------------------------------------

# all_sizes CLIENT'S SERVER'S
all_sizes() {
	spliced on
	server "$2" --nonblocking
	client "$1" --nonblocking --rounds 300 --bulk 2097152
	server_is_content
	both_ways_spliced
}

@test "pattern-checked, all sizes: poll" {
	all_sizes poll poll
}

@test "pattern-checked, all sizes: level-triggered epoll" {
	all_sizes epoll-lt epoll-lt
}

@test "pattern-checked, all sizes: edge-triggered epoll" {
	all_sizes epoll-et epoll-et
}

@test "pattern-checked, all sizes: unlike readers" {
	all_sizes epoll-et poll
}

@test "pattern-checked, all sizes: blocking readers, by TCP" {
	spliced on
	server blocking
	client blocking --bulk 2097152
	server_is_content
	nothing_spliced
}

@test "many connections at once, small receive buffers" {
	spliced on
	server epoll-et --nonblocking --rcvbuf 4096
	client epoll-et --nonblocking --rcvbuf 4096 --connections 8 --rounds 200 \
		--sizes 1,100,3000,20000 --bulk 524288
	server_is_content
	both_ways_spliced
}

# ---- adoption and its end, in the middle of traffic -----------------------------------

@test "adopted at random moments: hundreds of short connections" {
	spliced on
	server epoll-et --nonblocking
	client epoll-et --nonblocking --connections 4 --seconds 6 --sizes 16,700,9000 --rounds 40 \
		--bulk 262144
	check '.connections > 100'
	server_is_content
	both_ways_spliced
}

@test "adopted late: flows that waited for the daemon" {
	local load

	ns_bridge client a
	web on | load_config
	require_feature splice
	server epoll-lt --nonblocking
	pod_start client "$TOOLS/spliceload" client 10.96.0.10:80 --reader epoll-et --nonblocking \
		--one-connection --connections 4 --seconds 0 --bulk 262144
	load=$PID
	sleep 0.5
	counters_are '.spliced_sent_bytes == 0'
	daemon_start
	wait_until 10 redirecting
	sleep 0.5
	finish "$load"
	[ "$status" -eq 0 ] || fail "$output"
	server_is_content
	both_ways_spliced
}

@test "switched off and on under traffic: nothing is lost" {
	local load

	spliced on
	server epoll-et --nonblocking
	pod_start client "$TOOLS/spliceload" client 10.96.0.10:80 --reader poll --nonblocking \
		--connections 3 --seconds 0 --sizes 64,4096,65536 --rounds 200 --bulk 262144
	load=$PID
	wait_until 10 redirecting
	for _ in {1..10}; do
		web off | config
		sleep 0.1
		web on | config
		sleep 0.2
	done
	finish "$load"
	[ "$status" -eq 0 ] || fail "$output"
	server_is_content
	stats_fresh
	[ "$(metric sidestep_splice_flow_total reason=stopped)" -gt "$STOPPED" ]
}

@test "the daemon dies: spliced flows go on" {
	local load

	spliced on
	server epoll-et --nonblocking
	pod_start client "$TOOLS/spliceload" client 10.96.0.10:80 --reader epoll-et --nonblocking \
		--one-connection --seconds 0 --phases pingpong
	load=$PID
	wait_until 10 redirecting
	finish "$DAEMON" KILL
	sleep 0.5
	redirecting
	finish "$load"
	[ "$status" -eq 0 ] || fail "$output"
	server_is_content
}

@test "unload with live spliced flows loses nothing" {
	local load

	spliced on
	server epoll-et --nonblocking
	pod_start client "$TOOLS/spliceload" client 10.96.0.10:80 --reader epoll-et --nonblocking \
		--one-connection --connections 3 --seconds 0 --bulk 262144
	load=$PID
	wait_until 10 redirecting
	finish "$DAEMON"
	# refused while a reader has spliced bytes before it; the splice is off by then
	wait_until 20 sidestep unload
	[ ! -e "$PIN" ]
	sleep 1
	finish "$load"
	[ "$status" -eq 0 ] || fail "$output"
	check '.ok'
	server_is_content
}

# ---- ends ------------------------------------------------------------------------------

@test "half-close, either side first: the other's bytes all arrive" {
	spliced on
	server epoll-et --nonblocking
	client epoll-et --nonblocking --connections 2 --seconds 4 --sizes 100,5000,100000 \
		--rounds 150 --phases pingpong,half-close,half-close-back --bulk 524288
	server_is_content
	both_ways_spliced
}

@test "reset, by either side: right bytes, and no orderly end before the last one" {
	spliced on
	server epoll-lt --nonblocking
	client poll --nonblocking --connections 2 --seconds 4 --sizes 100,5000,100000 \
		--rounds 150 --phases pingpong,reset,reset-back --bulk 524288
	server_is_content
	both_ways_spliced
}

@test "a slow reader: what it has not read is bounded" {
	spliced on
	server epoll-et --nonblocking
	spliced_load epoll-et pingpong,slow --rounds 500 --sizes 65536 --slow-reader-ms 1
	load_is_content
	# TCP's own is 4 to 5 MB here; without a guard it would be all 48 MB
	check '.max_unread < 16000000'
	server_is_content
	both_ways_spliced
}

@test "a slow reader of small messages" {
	spliced on
	server poll --nonblocking
	spliced_load epoll-lt pingpong,slow --rounds 500 --sizes 1000 \
		--slow-reader-ms 1 --slow-bytes 25165824
	load_is_content
	check '.max_unread < 16000000'
	server_is_content
	both_ways_spliced
}
