#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# Many flows, many connects, and what may happen to a socket just when it is adopted. No
# test asserts how fast something is. After each the books must balance: every connection
# that was opened has closed, every byte a program sent was counted once, by TCP or as
# spliced, and no map holds anything of a flow that has gone.

load harness

# ---- what the tests stand on ------------------------------------------------------------

# client and a on a bridge, service "web", the daemon
spliced() {
	ns_bridge client a
	web on | config
	daemon_start
	require_feature splice
	wait_until 10 test -s "$STATS"
}

# web SERVICE'S-MODE [NODE'S-MODE]
web() {
	spliced_web "$(ip4 a)" "$@"
}

echo_server() {
	pod_bg a "$TOOLS/echoserver" "$(ip4 a):8080"
	SERVER=$PID
}

# crowd_start OPTIONS...: a crowd in the client's namespace; sets CROWD.
crowd_start() {
	pod_start client "$TOOLS/crowd" "$@" 10.96.0.10:80
	CROWD=$PID
}

# crowd_hold OPTIONS...: the same, when all its flows have done their rounds.
crowd_hold() {
	crowd_start --hold "$@"
	wait_until 120 is_ready "$CROWD" || fail "no crowd: $(cat "${OUT[$CROWD]}.err")"
}

# crowd_end PID: must have found every byte right; adds to SENT and OPENED.
crowd_end() {
	finish "$1"
	[ "$status" -eq 0 ] || fail "crowd: $output $stderr"
	check '.ok and .opened == .closed and .sent == .received'
	SENT=$((${SENT:-0} + $(value .sent)))
	OPENED=$((${OPENED:-0} + $(value .opened)))
}

# Entries of a map.
entries() { # MAP
	bpftool -j map dump pinned "$PIN"/abi*/"$1" | jq length
}

# Pairs that have a place, and so are not in the map of the others.
places_taken() {
	bpftool -j map dump pinned "$PIN"/abi*/pair_places |
		jq '[.[] | select(.formatted.value.key != 0)] | length'
}

# crowd_shown: live flows by state in $output, { flows: 3, redirecting: 3 }: a whole list
# of thousands would be what a test that fails prints.
crowd_shown() {
	show flows
	output=$(value -c '{ flows: (map(.flow) | unique | length) } +
		(group_by(.splice_state) | map({ (.[0].splice_state): length }) | add // {})')
}

# No flow, no pair, no member.
nothing_left() {
	crowd_shown
	check '.flows == 0' >/dev/null &&
		[ "$(entries pairs)" -eq 0 ] && [ "$(entries spliced)" -eq 0 ] &&
		[ "$(places_taken)" -eq 0 ]
}

# all_gone [SECONDS]: what flows left behind goes with them; the service's counters are in
# $output.
all_gone() {
	wait_until "${1:-20}" nothing_left ||
		fail "left: $(entries pairs) pairs, $(places_taken) places of them," \
			"$(entries spliced) members, $output"
	show services
	check '.[0].counters | .active == 0 and .opened == .closed'
}

# What the crowds sent and got back is what was counted.
balance() {
	all_gone
	check --argjson sent "$SENT" --argjson opened "$OPENED" '.[0].counters
		| .opened == $opened
		  and .sent_bytes + .spliced_sent_bytes == $sent
		  and .received_bytes + .spliced_received_bytes == $sent'
}

# Whether all these live flows are spliced.
redirecting() { # COUNT
	crowd_shown
	check --argjson n "$1" '.flows == $n and .redirecting == $n' >/dev/null
}

released() { # COUNT
	crowd_shown
	check --argjson n "$1" '.flows == $n and .released == $n' >/dev/null
}

# ---- many -------------------------------------------------------------------------------

@test "10,000 live flows: adopted, listed, counted, gone" {
	spliced
	echo_server
	crowd_hold --flows 10000 --rounds 24 --pause-ms 3000
	# many reads of the iterator, while flows speak
	crowd_shown
	check '.flows == 10000'
	[ "$(places_taken)" -gt 0 ] && [ "$(entries pairs)" -gt 0 ]
	[ $(($(places_taken) + $(entries pairs))) -eq 10000 ]
	wait_until 120 redirecting 10000
	crowd_end "$CROWD"
	[ "$OPENED" -eq 10000 ]
	balance
}

@test "5,000 connects a second while others are adopted and counted" {
	local held short

	spliced
	echo_server
	crowd_hold --flows 200 --rounds 16 --pause-ms 200
	held=$CROWD
	crowd_start --flows 50 --rounds 30 --seconds 5
	short=$CROWD
	crowd_start --flows 300 --rounds 1 --seconds 5 --rate 5000
	for _ in {1..10}; do
		sidestep status >/dev/null # a sweep
		sleep 0.3
	done
	await_end "$CROWD"
	check '.ok'
	SENT=$(value .sent) OPENED=$(value .opened)
	await_end "$short"
	check '.ok'
	SENT=$((SENT + $(value .sent))) OPENED=$((OPENED + $(value .opened)))
	crowd_end "$held"
	balance
	check '.[0].counters.spliced_sent_bytes > 0'
}

# kernel_bytes: what the maps of flows take, which is given back when those have gone.
kernel_bytes() {
	local map

	for map in pairs spliced; do
		bpftool -j map show pinned "$PIN"/abi*/"$map" | jq .bytes_memlock
	done
}

@test "rounds of flows: no map grows" {
	local before

	spliced
	echo_server
	for round in {1..4}; do
		crowd_start --flows 1000 --rounds 20
		await_end "$CROWD"
		check '.ok and .opened == 1000'
		all_gone
		[[ $round == 1 ]] || [ "$(kernel_bytes)" == "$before" ]
		before=$(kernel_bytes)
	done
}

# ---- just when a socket is adopted ------------------------------------------------------

# SEED=N repeats a run's scripts.
@test "promotion races: closed, reset, killed, passed on, forked, changed meanwhile" {
	local seed=${SEED:-$SRANDOM} mine theirs

	spliced
	pod_bg a "$TOOLS/racer" server "$(ip4 a):8080"
	SERVER=$PID
	echo "seed $seed"
	try pod client "$TOOLS/racer" client --seed "$seed" --count 2000 10.96.0.10:80
	[ "$status" -eq 0 ] || fail "$output $stderr"
	mine=$output
	finish "$SERVER"
	[ "$status" -eq 0 ]
	theirs=$output
	all_gone
	# A message whose reader went away just then may be counted although send() failed.
	# What a reset overtook was sent and counted, but never read.
	check --argjson mine "$mine" --argjson theirs "$theirs" '.[0].counters
		| (.sent_bytes + .spliced_sent_bytes) as $sent
		| (.received_bytes + .spliced_received_bytes) as $received
		| .opened == 2000 and .spliced_sent_bytes > 0
		  and $sent >= $mine.sent and $sent <= $mine.sent + $mine.failed
		  and $received >= $mine.received and $received <= $theirs.sent + $theirs.failed'
}

# ---- what goes away under flows ---------------------------------------------------------

@test "processes killed under adopted flows: pairs and members vanish" {
	spliced
	echo_server
	crowd_hold --flows 500 --rounds 30 --pause-ms 100
	wait_until 20 redirecting 500
	kill -KILL "$CROWD"
	await_end "$CROWD"
	all_gone
	crowd_hold --flows 500 --rounds 30 --pause-ms 100
	wait_until 20 redirecting 500
	finish "$SERVER" KILL
	await_end "$CROWD"
	[ "$status" -eq 1 ] # every flow was reset
	check '.corrupt == 0 and .broken == 500'
	all_gone
}

@test "a namespace deleted under adopted flows" {
	spliced
	echo_server
	crowd_hold --flows 300 --rounds 30 --pause-ms 100
	wait_until 20 redirecting 300
	# its processes hold it: they do not notice
	ip netns del "${NS##*/}client"
	sleep 0.5
	redirecting 300
	# no path any more: spliced messages need none
	in_ns bridge ip link del "p${NODE[client]}"
	sleep 0.5
	redirecting 300
	runs "$CROWD"
	# A FIN that nobody hears is repeated for two minutes, and its socket keeps the
	# namespace: here it is tried once more.
	for pid in "$CROWD" "$SERVER"; do
		nsenter --net="/proc/$pid/ns/net" sysctl -qw net.ipv4.tcp_orphan_retries=1
	done
	kill -KILL "$CROWD"
	await_end "$CROWD"
	finish "$SERVER" KILL
	ip netns del "${NS##*/}a"
	all_gone 30
}

# ---- little memory ----------------------------------------------------------------------

# small_memory BYTES: a limit on whatever the test's pods take, sockets included where
# the kernel counts those (v2); sets MEMORY, the folder of the limit.
small_memory() {
	MEMORY=$CG
	if [[ -e $CG/memory.max ]]; then
		echo "$1" >"$CG/memory.max"
		return
	fi
	MEMORY=/sys/fs/cgroup/memory/${CG##*/}
	mkdir "$MEMORY" 2>/dev/null || skip_for memory-cgroup "no memory controller for cgroups"
	echo "$1" >"$MEMORY/memory.limit_in_bytes"
}

# pod_small NAMESPACE COMMAND...: a pod below that limit; sets PID.
pod_small() {
	local COMMAND

	pod_of "$1"
	# the shell's own variables
	background sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$MEMORY" "${COMMAND[@]}" "${@:2}"
}

teardown() {
	local status=0

	harness_teardown || status=1
	[[ ! ${MEMORY:-} || ! -e $MEMORY ]] || wait_until 5 rmdir "$MEMORY" || status=1
	return $status
}

@test "a small memory cgroup, small buffers, slow readers: spliced, bounded, nothing lost" {
	spliced
	small_memory $((64 << 20))
	pod_small a "$TOOLS/spliceload" server "$(ip4 a):8080" --reader epoll-et --nonblocking \
		--rcvbuf 2304
	SERVER=$PID
	wait_until 10 is_ready "$SERVER"
	pod_small client "$TOOLS/spliceload" client 10.96.0.10:80 --reader epoll-lt --nonblocking \
		--rcvbuf 2304 --connections 4 --rounds 200 --sizes 64,20000 --bulk 131072 \
		--phases pingpong,slow,both,burst,close --slow-reader-ms 1 --slow-bytes 1048576
	await_end "$PID"
	[ "$status" -eq 0 ] || fail "$output $stderr"
	check '.ok and .max_unread < 1000000'
	finish "$SERVER"
	[ "$status" -eq 0 ] || fail "$output $stderr"
	all_gone
	check '.[0].counters.spliced_sent_bytes > 0'
}

# In a member that is out of memory send() says EAGAIN without a wake-up, or ENOMEM.
@test "sockets whose memory a v1 cgroup limits stay TCP" {
	spliced
	small_memory $((64 << 20))
	[ -e "$MEMORY/memory.kmem.tcp.limit_in_bytes" ] ||
		skip_for memory-cgroup-v1 "the memory controller is on v2, which has no such limit"
	echo $((512 << 10)) >"$MEMORY/memory.kmem.tcp.limit_in_bytes"
	pod_small a "$TOOLS/spliceload" server "$(ip4 a):8080" --reader epoll-et --nonblocking
	SERVER=$PID
	wait_until 10 is_ready "$SERVER"
	try pod client "$TOOLS/spliceload" client 10.96.0.10:80 --reader epoll-et --nonblocking \
		--connections 4 --rounds 200 --sizes 64 --phases pingpong,slow,close \
		--slow-reader-ms 1 --slow-bytes 1048576 --stall-s 30
	[ "$status" -eq 0 ] || fail "$output $stderr"
	check .ok
	finish "$SERVER"
	[ "$status" -eq 0 ] || fail "$output $stderr"
	all_gone
	check '.[0].counters.spliced_sent_bytes == 0'
	stats_fresh
	[ "$(metric sidestep_splice_refused_total reason=memory)" -gt 0 ]
}

# ---- switching, restarting, removing ----------------------------------------------------

# One of the things an operator may do at any time.
event() { # NUMBER
	case $1 in
	0) web off | apply_config ;;
	1 | 2) web on | apply_config ;;
	3) web auto | apply_config ;;
	4) web on off | apply_config ;;
	5) web auto on | apply_config ;;
	6) sidestep load -f "$CONF" ;;
	7)
		finish "$DAEMON"
		daemon_start
		;;
	8)
		finish "$DAEMON" KILL
		daemon_start
		;;
	esac >/dev/null
}

@test "switched, upgraded, killed and restarted at random under traffic" {
	local seed=${SEED:-$SRANDOM} held short

	spliced
	echo_server
	echo "seed $seed"
	RANDOM=$((seed % 32768))
	crowd_hold --flows 100 --rounds 16 --pause-ms 50
	held=$CROWD
	crowd_start --flows 20 --rounds 300 --size 3000 --seconds 600
	short=$CROWD
	for _ in {1..12}; do
		event $((RANDOM % 9))
		sleep "0.$((RANDOM % 4))"
	done
	event 1
	crowd_end "$held"
	crowd_end "$short"
	balance
	check '.[0].counters.spliced_sent_bytes > 0'
}

@test "switched off: messages go by TCP at once, and their sockets are TCP's again" {
	local spliced how

	spliced
	echo_server
	for how in "off" "on off"; do
		crowd_hold --flows 50 --rounds 30 --pause-ms 50
		wait_until 10 redirecting 50
		# shellcheck disable=SC2086 # two words
		web $how | apply_config
		# a socket that is locked at the moment of one look is read by the next
		for _ in {1..5}; do
			show services
		done
		spliced=$(value '.[0].counters.spliced_sent_bytes')
		sleep 0.5
		show services
		check --argjson n "$spliced" '.[0].counters.spliced_sent_bytes == $n'
		wait_until 10 released 50
		[ "$(entries spliced)" -eq 0 ]
		crowd_end "$CROWD"
		balance
		web on | apply_config
	done
}

# A server that does not read, with spliced bytes before it on every flow.
server_rests() {
	crowd_hold --flows 20 --rounds 30 --pause-ms 50
	wait_until 10 redirecting 20
	kill -STOP "$SERVER"
	sleep 0.3
}

@test "unload waits for readers of spliced bytes" {
	local unload

	spliced
	echo_server
	server_rests
	finish "$DAEMON"
	background "$SIDESTEP" unload "${OPTIONS[@]}"
	unload=$PID
	sleep 1
	runs "$unload"
	[ -e "$PIN" ]
	kill -CONT "$SERVER"
	await_end "$unload"
	[ "$status" -eq 0 ]
	[ ! -e "$PIN" ]
	crowd_end "$CROWD"
}

@test "unload says in the end which flows hold it, and gives back what was in force" {
	local flow ends

	spliced
	echo_server
	server_rests
	finish "$DAEMON"
	show flows
	ends=$(value '.[].peer_flow')
	output=
	try sidestep unload
	[ "$status" -eq 1 ]
	[ "$(grep -c ' has not read what ' <<<"$stderr")" -eq 20 ]
	for flow in $ends; do
		grep -q "flow $flow: " <<<"$stderr" || fail "flow $flow is not named: $stderr"
	done
	kill -CONT "$SERVER"
	crowd_end "$CROWD"
	balance

	daemon_start
	server_rests
	finish "$DAEMON"
	background "$SIDESTEP" unload --force "${OPTIONS[@]}"
	await_end "$PID"
	[ "$status" -eq 0 ]
	[ ! -e "$PIN" ]
	# what is lost is lost: its flows wait for ever
	kill -KILL "$CROWD"
	await_end "$CROWD"
	kill -CONT "$SERVER"
}
