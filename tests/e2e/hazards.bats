#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# What goes wrong with a naive splice, one hazard a test: the order of sends and reads
# that meets it, step by step. Each fails when the rule against it is taken out of the
# kernel half: tests/mutants says which, scripts/mutants tries.

load harness

# node NAME...: a namespace each with service "web" at its loopback; the daemon.
node() {
	node_with on "$@"
}

# node_with MODE NAME...
node_with() {
	ns_make "${@:2}"
	web "$1" | config
	daemon_start
	require_feature splice
}

# web MODE
web() {
	spliced_web 127.0.0.1 "$@"
}

# steps STEP...: both ends of one connection in namespace "node"; must all succeed.
steps() {
	steps_at node 10.96.0.10:80 127.0.0.1:8080 "$@"
}

# steps_at NAMESPACE ARGUMENT...
steps_at() {
	try pod "$1" "$TOOLS/steps" "${@:2}"
	[ "$status" -eq 0 ] || fail "$stderr"
}

# steps_start NAMESPACE ARGUMENT...: the same in the background, until the first
# "pause"; sets PID.
steps_start() {
	pod_start "$1" "$TOOLS/steps" "${@:2}"
	paused "$PID" 1
}

# paused PID TIMES
paused() {
	wait_until 15 pauses_or_ends "$1" "$2"
	[[ $(pauses "$1") == "$2" ]] || fail "did not come to pause $2: $(cat "${OUT[$1]}.err")"
}

pauses() {
	grep -cx paused "${OUT[$1]}" || :
}

pauses_or_ends() {
	[[ $(pauses "$1") == "$2" ]] || ! runs "$1"
}

# resume PID
resume() {
	kill -USR1 "$1"
}

# finished PID: goes on to its end, which must be good.
finished() {
	resume "$1"
	await_end "$1"
	[ "$status" -eq 0 ] || fail "$stderr"
}

# Nominations wait until the daemon goes on.
daemon_sleeps() {
	kill -STOP "$DAEMON"
}

# daemon_decides: goes on, and no nominated end waits any more.
daemon_decides() {
	wait_until 5 states_are 'length > 0 and all(. == "nominated")'
	kill -CONT "$DAEMON"
	wait_until 10 states_are 'length > 0 and all(. != "nominated" and . != "adopting")'
}

# states_are FILTER: of all live ends of service "web"
states_are() {
	show flows
	check "[.[].splice_state] | $1" >/dev/null
}

# counter GROUP NAME: of enum sst_counter, at this moment (the stats file comes later)
counter() {
	local index

	index=$(awk -v row=", $1, \"$2\"" '
		/#define SST_COUNTERS/ { inside = 1 }
		inside && /X\(/ { if (index($0, row)) { print n + 0; exit } n++ }' \
		"$REPO/include/sidestep/abi.h")
	[[ $index ]] || fail "no counter $1 $2"
	bpftool -j map lookup pinned "$PIN"/abi*/counters key $((index & 255)) $((index >> 8)) 0 0 |
		jq '[.formatted.values[].value] | add'
}

# hex NUMBER: as eight words, the lowest byte first
hex() {
	printf '%016x\n' "$1" | fold -w 2 | tac
}

# ---- order and bounds --------------------------------------------------------------

@test "hazard: what goes past TCP does not overtake what went by TCP" {
	node node
	# the server reads all but the last message, which went by TCP, and takes its turn
	steps adopted client:until-tcp:16777216 server:catch-up:1000 server:send:1 client:recv:1 \
		client:send:100 server:catch-up:0
}

@test "hazard: a reader that does not read is not fed without bound" {
	node node
	# round trips first: a flow that never gained would be let go as a stream before long
	steps adopted exchange:200 client:until-tcp:200000 server:catch-up:0 \
		server:until-tcp:200000 client:catch-up:0 client:fill:67108864 server:catch-up:0
}

@test "hazard: a send() after one's own shutdown is refused" {
	node node
	# once the reader has seen the end and answered, nothing but the rule stands against it
	steps adopted client:shutdown server:eof server:send:5:spliced client:recv:5 client:refused:32
	steps adopted server:shutdown client:eof client:send:5:spliced server:recv:5 server:refused:32
}

# ---- who is nominated ------------------------------------------------------------------

# repeat TIMES STEP...: sets REPEATED
repeat() {
	local i

	REPEATED=()
	for ((i = 0; i < $1; i++)); do
		REPEATED+=("${@:2}")
	done
}

@test "hazard: a short connection" {
	node node
	steps exchange:4 wait:100 exchange:2 wait:100 client:send:1:tcp server:recv:1 \
		server:send:1:tcp
}

@test "hazard: a stream that is answered now and then" {
	local REPEATED nominated

	node node
	nominated=$(counter splice_flow nominated)
	repeat 8 client:send:1000
	repeat 20 "${REPEATED[@]}" server:catch-up:0 server:send:1 client:recv:1
	steps "${REPEATED[@]}" wait:100 "${REPEATED[@]}" client:send:1:tcp server:send:1:tcp
	[ "$(counter splice_flow nominated)" -eq "$nominated" ]
}

@test "no hazard: large answers to small requests, on a link of small packets" {
	local REPEATED nominated

	node node
	in_ns node ip link set lo mtu 1500
	nominated=$(counter splice_flow nominated)
	repeat 12 client:send:100 server:recv:100 server:send:20000 client:recv:20000
	steps "${REPEATED[@]}" wait:100
	[ "$(counter splice_flow nominated)" -eq $((nominated + 2)) ]
}

@test "hazard: a stream that becomes request/response" {
	local REPEATED

	node node
	repeat 300 client:send:1000 server:recv:1000
	steps "${REPEATED[@]}" exchange:300 wait:100 exchange:4 client:send:1:tcp server:send:1:tcp
}

@test "hazard: a stream whose reader is behind, message by message" {
	local REPEATED messages

	node node
	# the reader takes ten at once, and never says anything
	repeat 10 client:send:4000
	messages=("${REPEATED[@]}")
	repeat 200 "${messages[@]}" server:recv:40000
	steps adopted "${REPEATED[@]}" client:send:4000:tcp server:recv:4000
	[ "$(counter splice_refused streaming)" -eq 1 ]
	# after one by TCP all go so until it does
	steps adopted client:until-tcp:200000 server:catch-up:0 client:send:4000:tcp
	[ "$(counter splice_refused streaming)" -eq 1 ]
}

@test "hazard: a stream of few large messages, of which a few are too many" {
	local REPEATED

	node node
	# much credit; after the first message by TCP all go so, since the reader says nothing
	repeat 80 client:send:60000 server:recv:60000
	steps adopted exchange:200 client:until-tcp:200000 server:catch-up:0 "${REPEATED[@]}"
	[ "$(counter splice_refused streaming)" -eq 1 ]
	# to a reader that says something now and then
	repeat 4 "${REPEATED[@]:0:40}" server:send:1 client:recv:1
	steps adopted exchange:200 client:until-tcp:16777216 server:catch-up:0 "${REPEATED[@]}"
	[ "$(counter splice_refused streaming)" -eq 1 ]
}

# As of a kernel whose self-test fails auto adopts nothing: there it says something only with
# tests/mutants/base-auto.
@test "hazard: an endpoint whose connections turned into streams" {
	local id until

	until=$(($(boot_ns) + 600 * 10 ** 9))
	node_with auto node
	for id in {0..7}; do
		# shellcheck disable=SC2046 # eight words each
		bpftool map update pinned "$PIN"/abi*/habits key hex "0$id" 00 00 00 \
			value hex $(hex "$until") $(hex 1)
	done
	steps exchange:32 wait:300 exchange:8 both:send:1:tcp both:recv:1
}

boot_ns() {
	awk '{ printf "%.0f\n", $1 * 1e9 }' /proc/uptime
}

@test "hazard: a cgroup where somebody reads by splice(2)" {
	local refused

	node node
	refused=$(counter splice_refused splice-reader)
	# shellcheck disable=SC2046 # eight words each
	bpftool map update pinned "$PIN"/abi*/splicers key hex $(hex "$(stat -c %i "$CG")") \
		value hex $(hex "$(boot_ns)")
	steps exchange:32 wait:300 exchange:8 both:send:1:tcp both:recv:1
	[ "$(counter splice_refused splice-reader)" -eq $((refused + 2)) ]
}

# ---- the right peer ------------------------------------------------------------------

# The server's memory is given to another connection, whose ends are blocking.
@test "hazard: a peer that has closed is not looked at" {
	local absent stopped

	node node
	absent=$(counter splice_message no-peer)
	stopped=$(counter splice_flow stopped)
	steps_at node --connections 50 10.96.0.10:80 127.0.0.1:8080 adopted server:close wait:300 \
		others:300 client:send:1
	[ "$(counter splice_message no-peer)" -eq $((absent + 50)) ]
	[ "$(counter splice_flow stopped)" -eq "$stopped" ]
}

@test "hazard: addresses alike in two network namespaces" {
	local x y

	node x y
	# from 127.0.0.1:5555 to 127.0.0.1:8080, twice
	steps_start x --source-port 5555 10.96.0.10:80 127.0.0.1:8080 adopted pause \
		client:send:100:spliced server:send:200:spliced pause server:recv:100 client:recv:200
	x=$PID
	steps_start y --source-port 5555 10.96.0.10:80 127.0.0.1:8080 adopted pause \
		client:send:300:spliced server:send:400:spliced pause server:recv:300 client:recv:400
	y=$PID
	resume "$x"
	resume "$y"
	paused "$x" 2
	paused "$y" 2
	finished "$x"
	finished "$y"
}

@test "hazard: v4-mapped addresses, of the server's end, the client's, and both" {
	node node
	steps_at node 10.96.0.10:80 "[::]:8080" adopted both:send:10:spliced both:recv:10
	steps_at node "[::ffff:10.96.0.10]:80" 127.0.0.1:8080 adopted both:send:10:spliced \
		both:recv:10
	steps_at node "[::ffff:10.96.0.10]:80" "[::]:8080" adopted both:send:10:spliced both:recv:10
}

# ---- readers that sleep in a recv() of before ------------------------------------------
#
# Blocking ends are not adopted, so here all goes by TCP. Built so that they are
# adopted (tests/mutants/base-blocking), these tests meet the rules behind that one.

@test "hazard: a reader asleep since before its socket was adopted" {
	node node
	daemon_sleeps
	# another thread of the server takes its turn meanwhile
	steps_start node 10.96.0.10:80 127.0.0.1:8080 server:blocking exchange:32 \
		server:sleep:1 pause server:send:1 client:recv:1 client:send:1 server:woken
	daemon_decides
	finished "$PID"
}

# MSG_WAITALL makes certain what a plain recv() meets by chance: the reader sleeps on
# in TCP's own recv() although it has read all that came by TCP.
@test "hazard: a reader asleep since a message by TCP" {
	node node
	daemon_sleeps
	steps_start node 10.96.0.10:80 127.0.0.1:8080 server:blocking exchange:32 \
		server:sleep:300:waitall client:send:100 pause server:send:1 client:recv:1 \
		client:send:50 wait:20 client:send:50 wait:20 client:send:100 server:woken
	daemon_decides
	finished "$PID"
}

# After a send() that TCP had no room for the kernel does not ask about the next one.
@test "hazard: a reader asleep since a message by TCP that nobody was asked about" {
	node node
	steps adopted exchange:200 client:fill:67108864 server:catch-up:0 server:send:1 \
		client:recv:1 server:blocking server:sleep:300:waitall client:send:100 wait:300 \
		client:send:200 server:woken
}

# ---- sockets that asked for what only TCP gives ------------------------------------------

# not_adopted REASON ARGUMENT...: its first steps lead to a nomination
not_adopted() {
	local before

	before=$(counter splice_refused "$1")
	daemon_sleeps
	steps_start node "${@:2}"
	daemon_decides
	states_are 'all(. == "tcp")' || fail "$1: $output"
	finished "$PID"
	[ "$(counter splice_refused "$1")" -gt "$before" ] || fail "$1: not the reason"
}

# asked_for OPTION [REASON]: by either end
asked_for() {
	local end

	node node
	for end in client server; do
		not_adopted "${2:-$1}" 10.96.0.10:80 127.0.0.1:8080 exchange:32 "$end:set:$1" pause
	done
}

@test "hazard: SO_RCVLOWAT" {
	asked_for lowat
}

@test "hazard: SO_ZEROCOPY" {
	asked_for zerocopy
}

@test "hazard: TCP_INQ" {
	asked_for inq
}

@test "hazard: SO_PEEK_OFF" {
	asked_for peek-off
}

@test "hazard: SO_TIMESTAMP" {
	asked_for timestamp timestamps
}

@test "hazard: SO_TIMESTAMPING" {
	asked_for timestamping timestamps
}

@test "hazard: TCP_REPAIR" {
	asked_for repair
}

@test "hazard: a blocking end, be it one of them" {
	local end

	node node
	for end in client server; do
		not_adopted blocking 10.96.0.10:80 127.0.0.1:8080 "$end:blocking" exchange:32 pause \
			exchange:32
	done
}

@test "hazard: SO_RCVLOWAT after adoption" {
	node node
	steps adopted server:set:lowat client:send:10:tcp server:recv:10
}

@test "hazard: SO_ZEROCOPY after adoption, of the sender's end" {
	node node
	steps adopted client:set:zerocopy client:send:10:tcp server:recv:10
}

@test "hazard: blocking after adoption, for good" {
	node node
	steps adopted server:blocking client:send:10:tcp server:recv:10 server:nonblocking \
		exchange:2 client:send:10:tcp server:send:10:tcp server:recv:10 client:recv:10
}

@test "hazard: MPTCP" {
	node node
	[[ $(in_ns node sysctl -n net.mptcp.enabled 2>/dev/null) == 1 ]] ||
		skip_for mptcp "not in this kernel"
	daemon_sleeps
	steps_start node --mptcp 10.96.0.10:80 127.0.0.1:8080 exchange:32 pause exchange:32
	daemon_decides
	states_are 'all(. == "tcp")'
	finished "$PID"
}

# ---- switching off -----------------------------------------------------------------------

@test "hazard: switched off with bytes unread" {
	node node
	steps_start node 10.96.0.10:80 127.0.0.1:8080 adopted client:send:1000:spliced pause \
		server:catch-up:0 exchange:2 both:send:10:tcp both:recv:10
	web off | config
	wait_until 10 states_are 'length > 0 and all(. == "sticky" or . == "released")'
	finished "$PID"
}

@test "hazard: let go with bytes unread" {
	node node
	# the release of both ends must wait for the reader
	steps adopted client:send:1000:spliced server:set:lowat client:send:10:tcp wait:1500 \
		server:catch-up:0
}

@test "hazard: let go with a message on its way" {
	node node
	steps_start node 10.96.0.10:80 127.0.0.1:8080 adopted pause exchange:500 pause \
		exchange:8 both:send:10:tcp both:recv:10
	resume "$PID"
	sleep 0.1
	web off | config
	wait_until 10 states_are 'length > 0 and all(. == "released")'
	paused "$PID" 2
	finished "$PID"
}

@test "hazard: switched off, and no walk has come yet" {
	local value

	node node
	steps_start node 10.96.0.10:80 127.0.0.1:8080 adopted pause client:send:10:tcp server:recv:10 \
		server:send:10:tcp client:recv:10
	daemon_sleeps
	# the first byte of struct sst_config: SST_SPLICE_OFF
	read -ra value < <(bpftool -j map lookup pinned "$PIN"/abi*/config key 0 0 0 0 |
		jq -r '.value | join(" ")')
	bpftool map update pinned "$PIN"/abi*/config key 0 0 0 0 value hex 01 "${value[@]:1}"
	finished "$PID"
}

@test "hazard: unloaded with bytes unread" {
	node node
	steps_start node 10.96.0.10:80 127.0.0.1:8080 adopted client:send:1000:spliced pause \
		server:catch-up:0 pause exchange:2
	finish "$DAEMON"
	run ! sidestep unload
	resume "$PID"
	paused "$PID" 2
	wait_until 20 sidestep unload
	finished "$PID"
}

# The reader's end is no longer in the sockhash, as in the instant when it closes.
@test "hazard: a redirect that fails" {
	local server

	node node
	steps_start node 10.96.0.10:80 127.0.0.1:8080 adopted pause client:send:10:tcp \
		server:recv:10
	show flows
	server=$(value '.[0].peer_flow')
	# shellcheck disable=SC2046 # eight words
	bpftool map delete pinned "$PIN"/abi*/spliced key hex $(hex "$server")
	finished "$PID"
}

# ---- two walks at once -------------------------------------------------------------------

# walk HOOK [TIMES]: this iterator, by a process of its own
walk() {
	local i walks=()

	for ((i = 0; i < ${2:-1}; i++)); do
		walks+=("$PIN"/abi*/"$1")
	done
	cat "${walks[@]}" >/dev/null
}

@test "hazard: two walks adopt at the same time" {
	local adopted walks=() round _

	node node
	adopted=$(counter splice_flow adopted)
	daemon_sleeps
	for round in {1..8}; do
		steps_start node --connections 200 10.96.0.10:80 127.0.0.1:8080 exchange:32 pause
		# more than processors, so that two of them run side by side on a busy machine
		for _ in {1..4}; do
			walk sst_adopt & walks+=($!)
		done
		wait "${walks[@]}"
		walks=()
		finished "$PID"
	done
	kill -CONT "$DAEMON"
	[ "$(counter splice_flow adopted)" -eq $((adopted + round * 200 * 2)) ]
}

@test "hazard: two walks count at the same time" {
	local REPEATED walks=() round _

	node node
	daemon_sleeps
	repeat 10 exchange:4 pause
	steps_start node --connections 500 10.96.0.10:80 127.0.0.1:8080 "${REPEATED[@]}"
	for round in {1..10}; do
		paused "$PID" "$round"
		for _ in {1..4}; do
			walk sst_sweep 2 & walks+=($!)
		done
		wait "${walks[@]}"
		walks=()
		resume "$PID"
	done
	await_end "$PID"
	[ "$status" -eq 0 ] || fail "$stderr"
	show services
	check '.[0].counters | .sent_bytes + .spliced_sent_bytes == 500 * 10 * 4'
	check '.[0].counters | .received_bytes + .spliced_received_bytes == 500 * 10 * 4'
}
