#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
# SPDX-License-Identifier: Apache-2.0
#
# The ground the other tests stand on: the harness and the test programs, without
# Sidestep. What fails here is no fault of the data plane.

load harness

# ---- programs ------------------------------------------------------------------

@test "caller reaches echoserver by TCP, v4 and v6, across the bridge" {
	ns_bridge client a
	serve a

	call client --count 70 "$(ip4 a):8080"
	check '.ok == 70 and .failed == 0 and .names == {a: 70}'
	check '.sequence == [range(64) | "a"]'
	check --arg peer "$(ip4 a):8080" '.peer == $peer'

	call client --count 5 --threads 3 "[$(ip6 a)]:8080"
	check '.ok == 5 and .failed == 0'
	check --arg peer "[$(ip6 a)]:8080" '.peer == $peer'
}

@test "caller reaches echoserver by UDP, connected and not" {
	ns_bridge client a
	serve a -u

	call client -u --count 3 "$(ip4 a):8080"
	check --arg from "$(ip4 a):8080" '.ok == 3 and .names == {a: 3} and .from == $from'
	call client -u --count 3 --one-socket "[$(ip6 a)]:8080"
	check --arg from "[$(ip6 a)]:8080" '.ok == 3 and .from == $from'
	call client -u --count 3 --connected --one-socket "$(ip4 a):8080"
	check --arg peer "$(ip4 a):8080" '.ok == 3 and .peer == $peer and .from == $peer'
}

@test "caller puts bytes in the SYN, once it has a cookie" {
	ns_bridge client a
	in_ns client sysctl -qw net.ipv4.tcp_fastopen=3
	in_ns a sysctl -qw net.ipv4.tcp_fastopen=3
	serve a --fastopen

	call client --fastopen "$(ip4 a):8080"
	check '.ok == 1 and .in_syn == 0'
	call client --fastopen --count 5 "$(ip4 a):8080"
	check '.ok == 5 and .in_syn == 5 and .names == {a: 5}'
	# a server that takes none
	call a --fastopen --count 2 "$(ip4 client):8080"
	check '.errors == {ECONNREFUSED: 2}'
	serve client
	call a --fastopen --count 2 "$(ip4 client):8080"
	check '.ok == 2 and .in_syn == 0'
}

@test "caller disconnects a UDP socket and goes on with it" {
	ns_bridge client a
	serve a -u

	call client -u --disconnect --one-socket --count 3 "$(ip4 a):8080"
	check --arg from "$(ip4 a):8080" '.ok == 3 and .from == $from'
}

@test "v4-mapped addresses, TCP and UDP" {
	ns_make node
	pod_bg node "$TOOLS/echoserver" --name m --greet "[::]:8080"
	pod_bg node "$TOOLS/echoserver" --name m -u 127.0.0.1:8080

	call node --source-mapped 127.0.0.1:8080
	check '.ok == 1 and .peer == "[::ffff:127.0.0.1]:8080"'
	call node --source-mapped -u 127.0.0.1:8080
	check '.ok == 1 and .from == "[::ffff:127.0.0.1]:8080"'
}

@test "a thread a connection serves as the event loop does" {
	ns_make node
	pod_bg node "$TOOLS/echoserver" --name t --greet --blocking 127.0.0.1:8080

	call node --count 20 --threads 4 --hold-ms 10 127.0.0.1:8080
	check '.ok == 20 and .failed == 0'
}

@test "a sink answers with the count of what it read" {
	ns_make node
	pod_bg node "$TOOLS/echoserver" --mode sink 127.0.0.1:8080
	pod_bg node "$TOOLS/echoserver" --mode sink --blocking 127.0.0.1:8081

	call node --count 2 --send 300000 127.0.0.1:8080
	check '.names == {"300000": 2}'
	call node --send 1 127.0.0.1:8081
	check '.names == {"1": 1}'
}

@test "failures are told by name" {
	ns_make node

	call node --count 3 127.0.0.1:8080
	[ "$status" -eq 1 ]
	check '.ok == 0 and .failed == 3 and .errors == {ECONNREFUSED: 3}'
	call node -u --connected 127.0.0.1:8080
	check '.errors == {ECONNREFUSED: 1}'
	# no default route: a service address that nobody translates goes nowhere
	call node 10.96.0.10:80
	check '.errors == {ENETUNREACH: 1}'
	# a server that never answers
	pod_bg node "$TOOLS/echoserver" --mode sink 127.0.0.1:8080
	call node --timeout-ms 200 127.0.0.1:8080
	check '.errors == {ETIMEDOUT: 1}'
}

@test "a held connection is proved to work, and its end is heard" {
	ns_make node
	pod_bg node "$TOOLS/echoserver" --greet 127.0.0.1:8080
	local server=$PID

	call node --hold-ms 50 127.0.0.1:8080
	check '.ok == 1'
	pod_start node "$TOOLS/caller" --hold-ms 20000 127.0.0.1:8080
	sleep 0.3
	finish "$server"
	await_end "$PID"
	check '.ok == 0 and .failed == 1'
}

@test "caller loops until a signal" {
	ns_make node
	pod_bg node "$TOOLS/echoserver" --greet 127.0.0.1:8080
	pod_start node "$TOOLS/caller" --until-signal --threads 2 --interval-ms 1 127.0.0.1:8080
	sleep 0.5
	finish "$PID"
	[ "$status" -eq 0 ]
	check '.ok > 10 and .failed == 0'
}

@test "pair measures round trips" {
	ns_make node
	pod_bg node "$TOOLS/pair" server 127.0.0.1:8080

	try pod node "$TOOLS/pair" client --sizes 1,65536,1048576 --rounds 50 --warmup 5 \
		127.0.0.1:8080
	[ "$status" -eq 0 ]
	check '[.[].size] == [1, 65536, 1048576]'
	check 'all(.[]; .rounds == 50 and .median_ns > 0 and .p99_ns >= .median_ns)'
}

# ---- spliceload ------------------------------------------------------------------

@test "spliceload: every kind of reader, every phase, over plain TCP" {
	local reader flags

	ns_make node
	for reader in blocking poll epoll-lt epoll-et; do
		flags=(--nonblocking)
		[[ $reader != blocking ]] || flags=()
		try pod node "$TOOLS/spliceload" pair 127.0.0.1:8080 --reader "$reader" \
			--bulk 1048576 "${flags[@]}"
		[ "$status" -eq 0 ] || fail "$reader: $stderr"
		check '.ok and .errors == 0 and .bytes > 1048576 and .rounds > 0'
	done
}

@test "spliceload: two processes, unlike readers" {
	ns_bridge client a
	pod_bg a "$TOOLS/spliceload" server "$(ip4 a):8080" --reader blocking
	local server=$PID

	try pod client "$TOOLS/spliceload" client "$(ip4 a):8080" --reader epoll-et --nonblocking \
		--sizes 1,1000,65536 --connections 3
	[ "$status" -eq 0 ] || fail "$stderr"
	check '.ok and .connections == 36'
	finish "$server"
	[ "$status" -eq 0 ]
	check '.ok and .connections == 36'
}

@test "spliceload: one wrong byte is found, by either end" {
	local server

	ns_make node
	try pod node "$TOOLS/spliceload" pair 127.0.0.1:8080 --corrupt 123456 --sizes 4096
	[ "$status" -eq 1 ]
	check '.ok == false and .errors > 0'
	[[ $stderr == *"server, blocking reader"*"wrong byte at offset 123456:"* ]]

	pod_bg node "$TOOLS/spliceload" server 127.0.0.1:8081 --corrupt 0
	server=$PID
	try pod node "$TOOLS/spliceload" client 127.0.0.1:8081 --reader poll
	[ "$status" -eq 1 ]
	[[ $stderr == *"client, poll reader, phase pingpong"*"wrong byte at offset 0:"* ]]
	finish "$server"
	[ "$status" -eq 1 ]
}

@test "spliceload: a byte that never comes is a stall, told with its phase" {
	ns_make node
	pod_bg node "$TOOLS/echoserver" --mode sink 127.0.0.1:8080

	try pod node "$TOOLS/spliceload" client 127.0.0.1:8080 --stall-s 1
	[ "$status" -eq 3 ]
	check '.ok == false and .stall == "pingpong"'
	[[ $stderr == *"phase pingpong, size 1: stall"* ]]
}

@test "spliceload: a slow reader bounds what a sender is ahead" {
	ns_make node
	try pod node "$TOOLS/spliceload" pair 127.0.0.1:8080 --reader epoll-lt --nonblocking \
		--phases pingpong,slow --sizes 65536 --slow-reader-ms 1
	[ "$status" -eq 0 ]
	check '.ok and .max_unread > 65536 and .max_unread < 16000000'
}

@test "spliceload: runs on one connection until a signal" {
	ns_make node
	pod_start node "$TOOLS/spliceload" pair 127.0.0.1:8080 --reader poll --nonblocking \
		--one-connection --seconds 0
	sleep 0.5
	finish "$PID"
	[ "$status" -eq 0 ]
	check '.ok and .connections == 1'
}

# ---- harness ---------------------------------------------------------------------

@test "the cgroup v2 root is found, and pods live in the test's part of it" {
	[ -e "$(cgroup2_root)/cgroup.controllers" ]
	ns_make node
	run -0 pod node cat /proc/self/cgroup
	[[ $output == *"0::/"*"sidestep-test-$ID"* ]]
	run -0 run_in_cg cat /proc/self/cgroup
	[[ $output == *"0::/"*"sidestep-test-$ID"* ]]
	run -0 pod node ip -brief link
	[[ $output != *eth0* ]]
}

@test "tear-down leaves nothing behind" {
	ns_bridge client a
	serve a
	pod_start client sleep 1000
	pod_start client "$TOOLS/caller" --until-signal "$(ip4 a):8080"
	local pids=("${PIDS[@]}")

	harness_teardown
	none_runs "${pids[@]}"
	[ ! -e "$CG" ]
	[ ! -e "$PIN" ]
	run -0 ip netns list
	[[ $output != *"sst-$ID-"* ]]
	mkdir "$CG" # for the real one
}

@test "tear-down tells of what does not end" {
	local stubborn

	# deaf to TERM: ignored signals are inherited
	background bash -c 'trap "" TERM; echo ready; exec sleep 1000'
	stubborn=$PID
	wait_until 5 is_ready "$stubborn"
	run stop_processes
	[ "$status" -eq 1 ]
	[[ $output == *"had to be killed: sleep 1000"* ]]
	wait_until 5 none_runs "$stubborn"
	unset "PIDS[$stubborn]"
}

@test "a skip is a failure in CI, but for what the machine lacks" {
	CI=true MACHINE_CANNOT=other run skip_for some "reason"
	[ "$status" -eq 1 ]
	[[ $output == *"skipped in CI: some: reason"* ]]
	CI=true MACHINE_CANNOT="other some" run skip_for some "reason"
	[ "$status" -eq 0 ]
}
