#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# Who calls whom: that every connection and byte is on its edge, exactly, whatever happens to
# the daemon meanwhile, and that what leaves the map of edges is not lost.

load policy

# A server that echoes, one that greets, nobody at a third address. CONFIG: more of the file.
nodes() { # [SPLICE [CONFIG]]
	ns_make node
	mkdir -p "$CG/server" "$CG/alice" "$CG/bob"
	as server pod_bg node "$TOOLS/echoserver" 127.0.0.1:8080 127.0.0.1:8090
	as server pod_bg node "$TOOLS/echoserver" --name s --greet 127.0.0.1:8081
	config <<-END
		node: { splice: ${1:-off}${2:-} }
		services:
		  - { name: echo, address: 10.96.0.10, port: 80, endpoints: [ { address: 127.0.0.1, port: 8080 } ] }
		  - { name: greet, address: 10.96.0.11, port: 80, endpoints: [ { address: 127.0.0.1, port: 8081 } ] }
		  - { name: dead, address: 10.96.0.12, port: 80, endpoints: [ { address: 127.0.0.1, port: 8082 } ] }
	END
}

# edge FILTER: the one edge to which it applies, as JSON in $output.
edge() {
	show edges
	output=$(jq -c "[.[] | select($1)] | if length == 1 then .[0] else \"\(length) edges\" end" <<<"$output")
	echo "$output"
}

# edges_are FILTER CONDITION
edge_is() {
	edge "$1"
	check "$2" >/dev/null
}

# from NAME [SERVICE]: a filter
from() {
	echo "(.source.name | endswith(\"/$1\")) and .service.name == $([[ -z ${2:-} ]] && echo null || echo "\"$2\"")"
}

@test "a connection is on the edge of its caller, its service and its port" {
	nodes
	sidestep load -f "$CONF"
	as alice call node --count 5 10.96.0.11:80
	as bob call node --count 3 10.96.0.11:80
	as bob call node --count 2 127.0.0.1:8081
	wait_until 5 edge_is "$(from alice greet)" '.active == 0'
	edge "$(from alice greet)"
	check '.opened == 5 and .closed.orderly == 5 and .port == 8081 and .protocol == "TCP"
		and .reporter == "source" and .verdict == "allowed" and .rule == null
		and .sent_bytes == 0 and .received_bytes == 10
		and .connect_us.count == 5 and .rtt_us.count == 5 and .duration_ms.count == 5'
	wait_until 5 edge_is "$(from bob greet)" '.opened == 3 and .active == 0'
	wait_until 5 edge_is "$(from bob)" \
		'.opened == 2 and .closed.orderly == 2'
	run -0 sidestep edges
	[[ $output == *"/alice"*"greet/80"* ]]
}

@test "why a connect() failed, and who reset" {
	nodes
	sidestep load -f "$CONF"
	as alice call node --count 4 10.96.0.12:80
	edge "$(from alice dead)"
	check '.opened == 0 and .failed == {refused: 4, "timed-out": 0, unreachable: 0, abandoned: 0, other: 0}'
	# nobody answers, and the caller goes before the kernel gives up
	in_ns node ip link add nobody type veth peer name silent
	in_ns node ip addr add 10.77.0.1/24 dev nobody
	in_ns node ip link set nobody up && in_ns node ip link set silent up
	in_ns node ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:01 dev nobody
	as bob call node --count 1 --timeout-ms 200 10.77.0.2:80
	edge "$(from bob)"
	check '.failed.abandoned == 1'

	play exchange:1 client:close server:eof server:close
	play exchange:1 client:reset
	play exchange:1 server:reset
	# what is closed with unread bytes is reset
	play client:send:10 wait:50 server:close
	play exchange:1 client:send:5 wait:50 server:reset
	# whoever has sent all it had may still reset, or be reset
	play exchange:1 client:shutdown server:eof server:send:10 wait:50 client:close
	play exchange:1 client:shutdown server:eof client:reset
	play exchange:1 client:shutdown server:eof server:reset
	play exchange:1 client:shutdown server:eof server:shutdown client:eof client:close
	play exchange:1 server:shutdown client:eof client:reset
	wait_until 5 edge_is "$(from alice dead)" '.opened == 10 and .active == 0'
	edge "$(from alice dead)"
	check '.closed == {orderly: 2, "reset-by-client": 4, "reset-by-server": 4, "timed-out": 0, ended: 0}'
}

# play STEP...: between alice and a server that is there just for that.
play() {
	as alice pod node "$TOOLS/steps" 10.96.0.12:80 127.0.0.1:8082 "$@"
}

@test "every connection and byte of a thousand flows, while the daemon is killed and upgraded" {
	local name direct

	nodes on
	daemon_start
	for name in alice bob; do
		as $name pod_start node "$TOOLS/crowd" --vary --flows 400 --rounds 40 --size 4000 \
			--seconds 8 10.96.0.10:80
		printf -v "$name" %s "$PID"
	done
	as alice pod_start node "$TOOLS/crowd" --vary --flows 200 --rounds 40 --size 4000 \
		--seconds 8 127.0.0.1:8090
	direct=$PID
	for _ in 1 2 3; do
		sleep 1
		finish "$DAEMON" KILL
		sidestep load -f "$CONF"
		daemon_start
	done
	for name in alice bob; do
		await_end "${!name}"
		check '.ok and .broken == 0 and .opened == .closed and .opened > 400'
		reconciles "$(from $name echo)"
	done
	await_end "$direct"
	check '.ok and .opened > 200'
	reconciles "$(from alice)"
	show edges
	check '[.[] | .spliced_sent_bytes] | add > 0' # else it proves less than it says
}

# What the crowd in $output says of itself is what the edge says.
reconciles() { # FILTER
	local said=$output

	wait_until 10 edge_is "$1" '.active == 0'
	edge "$1"
	check --argjson said "$said" '.opened == $said.opened
		and .closed.orderly == $said.closed
		and .sent_bytes + .spliced_sent_bytes == $said.sent
		and .received_bytes + .spliced_received_bytes == $said.received
		and .duration_ms.count == .opened and .connect_us.count == .opened'
}

@test "a cgroup whose name is no text is told nevertheless" {
	local name=$'caf\xe9 "'

	nodes
	mkdir "$CG/$name"
	sidestep load -f "$CONF"
	as "$name" call node --count 2 10.96.0.11:80
	edge '.source.name | contains("caf? ")'
	check '.opened == 2'
	run -0 sidestep edges
	[[ $output == *"caf? "* ]]
}

@test "bytes of a live flow count while it runs" {
	nodes
	sidestep load -f "$CONF"
	as alice pod_bg node "$TOOLS/crowd" --flows 1 --rounds 1 --size 1000 --hold 10.96.0.10:80
	edge "$(from alice echo)"
	check '.active == 1 and .sent_bytes == 1000 and .received_bytes == 1000 and .rtt_us.count >= 1'
}

@test "datagrams and their bytes, both ways, connected and not, to a service and not" {
	local address

	ns_bridge client server
	mkdir -p "$CG/alice" "$CG/bob" "$CG/carol" "$CG/server"
	as server pod_bg server "$TOOLS/echoserver" --udp --name server "$(ip4 server):8080" "[$(ip6 server)]:8080"
	config <<-END
		services:
		  - { name: dns, address: [10.96.0.10, "fd96::10"], port: 53, target: 8080, protocol: UDP,
		      endpoints: [ { address: $(ip4 server) }, { address: "$(ip6 server)" } ] }
	END
	daemon_start
	# "server datagram" comes back; what is asked is told by the server's own count
	for address in 10.96.0.10:53 "[fd96::10]:53"; do
		as alice call client --udp --one-socket --count 6 "$address"
		check '.ok == 6'
		as alice call client --udp --connected --count 2 "$address"
		check '.ok == 2'
	done
	as bob call client --udp --count 5 "$(ip4 server):8080"
	check '.ok == 5'
	# of each family one
	show edges
	check '[.[] | select(.source.name | endswith("/alice"))] | length == 2 and all(.[];
		.protocol == "UDP" and .port == 8080 and .service.name == "dns"
		and .udp_sent_datagrams == 8 and .udp_received_datagrams == 8
		and .udp_connected == 2 and .udp_sent_bytes > 0 and .udp_received_bytes > 0
		and .opened == 0 and .reporter == "source")'
	check '[.[] | select(.source.name | endswith("/bob"))] | length == 1 and
		(.[0] | .service == null and .udp_sent_datagrams == 5 and .udp_received_datagrams == 5)'
	# by one end only
	check '[.[].udp_sent_datagrams] | add == 21'

	# from another node, as which the bridge may stand: by the called end
	try in_ns client "$TOOLS/caller" --udp --count 3 "$(ip4 server):8080"
	check '.ok == 3'
	show edges
	check '[.[] | select(.reporter == "destination")] | length == 1 and
		(.[0] | .port == 8080 and (.destination.name | endswith("/server"))
		and .udp_sent_datagrams == 3 and .udp_received_datagrams == 3)'
}

@test "bytes of datagrams are those of their payload" {
	ns_bridge client server
	mkdir -p "$CG/alice" "$CG/server"
	as server pod_bg server "$TOOLS/echoserver" --udp --name me "$(ip4 server):8080"
	config <<<"services: []"
	sidestep load -f "$CONF"
	as alice pod client bash -c "
		exec 5<>/dev/udp/$(ip4 server)/8080
		for size in 1 100 1400; do
			head -c \$size /dev/zero | dd bs=9000 iflag=fullblock status=none >&5
		done
		sleep 0.5"
	edge '.source.name | endswith("/alice")'
	# "me " stands before what comes back
	check '.udp_sent_bytes == 1501 and .udp_sent_datagrams == 3
		and .udp_received_bytes == 1510 and .udp_received_datagrams == 3'
}

@test "no more edges than the budget, and nothing is lost beyond it" {
	local name

	nodes off ", telemetry: { edges: 2 }"
	sidestep load -f "$CONF"
	for name in a b c d; do
		mkdir -p "$CG/$name"
		as $name call node --count 3 10.96.0.11:80
	done
	wait_until 5 edge_is '.folded' '.active == 0'
	edge .folded
	check '.opened == 6 and .service.name == "greet" and .source.name == "other"'
	show edges
	check 'length == 3 and ([.[].opened] | add) == 12 and ([.[].received_bytes] | add) == 24'
	stats=$(bpftool map dump pinned "$PIN"/abi*/edge_ids -j | jq length)
	[ "$stats" -eq 2 ]
	show status
	check '.maps[] | select(.name == "edge_ids") | .entries == 2 and .capacity == 2'
}

@test "without a budget there are no edges, and services count all the same" {
	nodes off ", telemetry: { edges: 0 }"
	sidestep load -f "$CONF"
	as alice call node --count 3 10.96.0.11:80
	show edges
	check 'length == 0'
	show services
	check '.[] | select(.service == "greet").counters.opened == 3'
}

@test "idle edges leave, their totals stay, and their place is free" {
	nodes off ", telemetry: { edges: 2, edge-ttl: 1 }"
	daemon_start
	as alice call node --count 3 10.96.0.11:80
	as bob pod_bg node "$TOOLS/crowd" --flows 1 --rounds 1 --size 100 --hold 10.96.0.10:80
	held=$PID
	# a connection keeps its edge
	wait_until 20 edge_is .folded '.opened == 3 and .received_bytes == 6 and .rtt_us.count == 3'
	edge "$(from bob echo)"
	check '.active == 1'
	finish "$DAEMON" KILL
	as alice call node --count 2 10.96.0.11:80
	edge "$(from alice greet)"
	check '.opened == 2'
	daemon_start
	wait_until 20 edge_is .folded '.opened == 5 and .received_bytes == 10'
	finish "$held"
	wait_until 20 no_edges
	show edges
	check '([.[].opened] | add) == 6 and ([.[].sent_bytes] | add) == 100'
	[ "$(metric sidestep_edge_total)" -eq 0 ]
}

no_edges() {
	show edges
	check 'all(.[]; .folded)' >/dev/null
}

@test "16,000 new edges: each is told as itself from the start, none is lost, other never goes back" {
	local before=0

	nodes off ", telemetry: { edges: 60000 }"
	sidestep load -f "$CONF"
	# each port is an edge; nobody listens there, nor calls from there, and so itself
	in_ns node sysctl -qw net.ipv4.ip_local_port_range="40000 65000"
	as alice pod_start node bash -c 'for port in {20000..35999}; do
		: </dev/tcp/127.0.0.1/$port; done 2>/dev/null; :'
	while runs "$PID"; do
		other_goes_on
	done
	await_end "$PID"
	other_goes_on
	[[ $(wc -l <<<"$output") -gt 8000 ]] # else it proves little
	[[ $(awk 'NR > 1 { sum += $8 } END { print sum }' <<<"$output") -eq 16000 ]]
}

# There may be some: the kernel has not always memory for so many at once.
other_goes_on() {
	local other

	run -0 sidestep edges
	other=$(awk '$1 == "other" { print $8 }' <<<"$output")
	((${other:-0} >= before)) || fail "goes back from $before to ${other:-0}"
	before=${other:-0}
}

@test "expiry goes on where a daemon was killed: the key has gone" {
	local map

	ns_bridge client server
	mkdir -p "$CG/alice" "$CG/server"
	as server pod_bg server "$TOOLS/echoserver" --udp --name s "$(ip4 server):8080"
	config <<<"node: { telemetry: { edges: 1 } }"
	sidestep load -f "$CONF"
	mkfifo "$BATS_TEST_TMPDIR/go"
	as alice pod_start client bash -c "
		exec 5<>/dev/udp/$(ip4 server)/8080 6<>$BATS_TEST_TMPDIR/go
		for i in 1 2 3 4; do
			printf %0100d \$i >&5
			read -u 6
		done"
	wait_until 5 sent_is 100
	# step 1 by hand, which is all that was done
	map=$(echo "$PIN"/abi*/edge_ids)
	# shellcheck disable=SC2046 # words they are
	bpftool map delete pinned "$map" key hex $(bpftool map dump pinned "$map" -j |
		jq -r '.[0].key[] | ltrimstr("0x")')
	daemon_start
	stats_fresh
	echo >"$BATS_TEST_TMPDIR/go"
	wait_until 5 sent_is 200
	stats_fresh
	echo >"$BATS_TEST_TMPDIR/go"
	wait_until 5 sent_is 300
	edge '.source.name | endswith("/alice")' # there is room for it again
	check '.udp_sent_bytes == 200'
	edge .folded
	check '.udp_sent_bytes == 100'
}

sent_is() { # BYTES: by UDP, on all edges
	show edges
	check --argjson n "$1" '([.[].udp_sent_bytes] | add) == $n' >/dev/null
}

@test "expiry goes on where a daemon was killed: the edge was added, its id stays" {
	local name

	nodes off ", telemetry: { edge-ttl: 1 }"
	sidestep load -f "$CONF"
	as alice call node --count 3 10.96.0.11:80
	wait_until 5 edge_is "$(from alice greet)" '.active == 0 and .opened == 3'
	keep edges
	keep edge_info
	daemon_start
	wait_until 20 edge_is .folded '.opened == 3'
	finish "$DAEMON" KILL
	# as if it had come no further, and then others of the service expire before
	put_back edges
	put_back edge_info
	show edges
	check '([.[].opened] | add) == 3'
	for name in more{1..12}; do # in an order of the kernel's
		mkdir -p "$CG/$name"
		as "$name" call node --count 2 10.96.0.11:80
	done
	sleep 1.2 # the first turn takes all
	daemon_start
	wait_until 20 no_edges
	stats_fresh
	edge .folded
	check '.opened == 27'
	keep edges 0
}

# keep MAP [NUMBER]: its elements, one unless told, for put_back; not that of "other"
keep() {
	bpftool map dump pinned "$PIN"/abi*/"$1" -j | jq 'map(select(.key[3] == "0x00"))' \
		>"$BATS_TEST_TMPDIR/$1"
	[ "$(jq length "$BATS_TEST_TMPDIR/$1")" -eq "${2:-1}" ]
}

# Of a map per CPU all get what the first one has: what is in it counts no more.
put_back() { # MAP
	# shellcheck disable=SC2046 # words they are
	bpftool map update pinned "$PIN"/abi*/"$1" $(jq -r '.[0] | (.values[0].value // .value) as $v |
		"key hex \(.key | map(ltrimstr("0x")) | join(" ")) value hex \($v | map(ltrimstr("0x")) | join(" "))"' \
		"$BATS_TEST_TMPDIR/$1")
}

@test "what policy denied has edges of its own, by rule" {
	ns_make node
	config <<-END
		$(workloads friend foe db)
		policies:
		  - name: db
		    subject: { app: db }
		    ingress: [ { from: [ { labels: { app: friend } } ] } ]
	END
	serve_db
	sidestep load -f "$CONF"
	allowed friend node --count 2 127.0.0.1:8080
	denied foe node --count 3 127.0.0.1:8080
	wait_until 5 edge_is '.source.workload == "default/friend"' '.active == 0'
	edge '.source.workload == "default/friend"'
	check '.opened == 2 and .destination.workload == "default/db" and .verdict == "allowed"'
	edge '.source.workload == "default/foe"'
	check '.denied == 3 and .opened == 0 and .verdict == "denied"
		and (.rule | startswith("default/db")) and .destination.workload == "default/db"'
}

serve_db() {
	as db pod_bg node "$TOOLS/echoserver" --name db --greet 127.0.0.1:8080
}
