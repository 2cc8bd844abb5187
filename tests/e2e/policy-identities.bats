#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# Who is who: by cgroup, by network namespace, by address; the host and its probes; whoever
# nobody has told of; and the sockets by which a workload could get around the hooks.

load policy

# The server's policy, friend may call: for what comes before and after in the file
server_policy() {
	cat <<-END
		policies:
		  - name: server
		    subject: { app: server }
		    ingress: [ { name: friend, from: [ { labels: { app: friend } } ] } ]
	END
}

# ---- cgroups -----------------------------------------------------------------------

@test "processes on 127.0.0.1 in different cgroups are different identities" {
	ns_make node
	{ workloads friend foe server && server_policy; } | config
	daemon_start
	listen server
	for address in 127.0.0.1:8080 "[::1]:8080"; do
		for option in --count --udp "--udp --connected"; do
			# shellcheck disable=SC2086 # words
			allowed friend node ${option/--count/--count 1} "$address"
			# shellcheck disable=SC2086
			denied foe node ${option/--count/--count 1} "$address"
		done
	done

	# the accepting end knows the caller, too
	as server pod_bg node "$TOOLS/echoserver" 127.0.0.1:8081
	as friend pod_bg node "$TOOLS/crowd" --flows 1 --rounds 1 --hold 127.0.0.1:8081
	show flows
	check '[.[] | select(.role == "client")] | length == 1'
	check 'all(.[]; .source_identity.workload == "default/friend"
		and .destination_identity.workload == "default/server" and .verdict == "allowed")'
}

@test "descendants of a cgroup are the workload, and the deepest one wins" {
	ns_make node
	mkdir -p "$CG"/friend/{below/deeper,foe/below}
	{
		workloads friend server
		echo "  - { name: foe, labels: { app: foe }, cgroup: $(path_of friend/foe) }"
		server_policy
	} | load_config
	listen server
	allowed friend node 127.0.0.1:8080
	allowed friend/below node 127.0.0.1:8080
	allowed friend/below/deeper node 127.0.0.1:8080
	denied friend/foe node 127.0.0.1:8080
	denied friend/foe/below node 127.0.0.1:8080
	# made after the load
	mkdir "$CG"/friend/{late,foe/late}
	allowed friend/late node 127.0.0.1:8080
	denied friend/foe/late node 127.0.0.1:8080
}

@test "a cgroup of a known path is its workload from the moment it is made, without a daemon" {
	ns_make node
	{ workloads friend foe server && server_policy; } | config
	rmdir "$CG"/{friend,foe,server}
	sidestep load -f "$CONF"
	mkdir "$CG"/{friend,foe,server}
	listen server
	allowed friend node 127.0.0.1:8080
	denied foe node 127.0.0.1:8080
	# and made anew, with another id
	rmdir "$CG/foe" && mkdir "$CG/foe"
	denied foe node 127.0.0.1:8080
	rmdir "$CG/friend" && mkdir "$CG/friend"
	allowed friend node 127.0.0.1:8080
}

@test "a long name, and cgroups deeper than are looked at" {
	local long deep=friend i

	ns_make node
	long=$(printf 'x%.0s' {1..200})
	mkdir -p "$CG/$long"
	{
		workloads friend server
		echo "  - { name: long, labels: { app: friend }, cgroup: $(path_of "$long") }"
		server_policy
	} | load_config
	listen server
	allowed "$long" node 127.0.0.1:8080
	mkdir "$CG/${long%x}" "$CG/${long}x"
	denied "${long%x}" node 127.0.0.1:8080
	denied "${long}x" node 127.0.0.1:8080
	for i in {1..20}; do
		deep+=/$i
	done
	mkdir -p "$CG/$deep"
	allowed "$deep" node 127.0.0.1:8080
}

@test "by cgroup-id, by network namespace and by address" {
	ns_bridge friend foe wide server
	mkdir "$CG/numbered" "$CG/numbered/below"
	{
		cat <<-END
			workloads:
			  - { name: numbered, labels: { app: friend }, cgroup-id: $(stat -c %i "$CG/numbered") }
			  - { name: spaced, labels: { app: friend }, netns: ${NS##*/}friend, addresses: [ $(ip4 friend) ] }
			  - { name: foe, labels: { app: foe }, netns: $NS""foe }
			  - { name: placed, labels: { app: server }, addresses: [ $(ip4 server), "$(ip6 server)" ] }
		END
		server_policy
	} | load_config
	serve server
	# by cgroup-id, in a namespace nobody has told of, and below
	as numbered call wide "$(ip4 server):8080"
	check '.ok == 1'
	as numbered/below call wide "$(ip4 server):8080"
	check '.ok == 1'
	call friend "$(ip4 server):8080"
	check '.ok == 1'
	call foe "$(ip4 server):8080"
	check '.errors == { EPERM: 1 }'
	# the server's own namespace, found by its address
	call server "$(ip4 server):8080"
	check '.ok == 1'
	try sidestep identities -o json
	check 'any(.[]; .labels == "app=friend" and .workloads == 2)'
}

@test "a network namespace that a workload names is its own, whatever addresses are in it" {
	ns_bridge friend server
	{
		cat <<-END
			workloads:
			  - { name: named, labels: { app: friend }, netns: ${NS##*/}friend }
			  - { name: placed, labels: { app: foe }, addresses: [ $(ip4 friend) ] }
			  - { name: server, labels: { app: server }, addresses: [ $(ip4 server) ] }
		END
		server_policy
	} | load_config
	serve server
	call friend "$(ip4 server):8080"
	check '.ok == 1'
}

@test "the same labels share an identity, and numbers stay from set to set" {
	local before

	ns_make node
	mkdir "$CG"/{one,two,three}
	{
		cat <<-END
			workloads:
			  - { name: one, labels: { app: x, tier: y }, cgroup: $(path_of one) }
			  - { name: two, labels: { tier: y, app: x }, cgroup: $(path_of two) }
			  - { name: three, labels: { app: x }, cgroup: $(path_of three) }
		END
		server_policy
	} | load_config
	identity_of one
	before=$output
	identity_of two
	[ "$output" = "$before" ]
	identity_of three
	[ "$output" != "$before" ]
	{ workloads zero && sed -n '/^  -.*name: \(two\|three\)/p' "$CONF" && server_policy; } | apply_config
	identity_of two
	[ "$output" = "$before" ]
	# a number that is free now is not given to another one
	{ workloads zero other && server_policy; } | apply_config
	try sidestep identities -o json
	check --argjson before "$before" 'all(.[]; .id != $before)'
}

identity_of() {
	try sidestep workloads -o json
	output=$(value --arg name "$1" '.[] | select(.workload == $name or .name == $name).identity')
	[[ $output ]]
}

# Places in the tables move, and nobody takes another's.
@test "workloads that come and go change nothing for the others" {
	one_node first foe friend server < <(server_policy)
	listen server
	for others in "foe friend server" "new foe friend server" "friend server foe" "first foe friend server"; do
		denied foe node 127.0.0.1:8080
		denied foe node --udp 127.0.0.1:8080
		allowed friend node 127.0.0.1:8080
		allowed friend node --udp 127.0.0.1:8080
		# shellcheck disable=SC2086 # words
		{ workloads $others && server_policy; } | apply_config
	done
	denied foe node 127.0.0.1:8080
	allowed friend node 127.0.0.1:8080
}

# ---- the host ----------------------------------------------------------------------

# This "node" is namespace node: whoever loads there makes it the host's. Beside it a pod.
loaded_in_node() {
	ns_bridge node pod
	mkdir -p "$CG"/{probes,server}
	printf '#!/bin/sh\nexec nsenter --net=%s %s "$@"\n' "${NS}node" "$SIDESTEP" \
		>"$BATS_TEST_TMPDIR/sidestep"
	chmod +x "$BATS_TEST_TMPDIR/sidestep"
	SIDESTEP=$BATS_TEST_TMPDIR/sidestep
	host_file "$1" | load_config
	serve_as server pod
	serve_as server node 8081
}

host_file() { # SETTING [EXTRA POLICY]
	cat <<-END
		node: { policy: { host: $1, probes: $(path_of probes) } }
		workloads:
		  - { name: server, labels: { app: server }, cgroup: $(path_of server), addresses: [ $(ip4 pod) ] }
		policies:
		  - { name: server, subject: { app: server }, ingress: [] }
	END
	[[ ! ${2:-} ]] || echo "$2"
}

# host_verdicts HOST PROBES: each "allowed" or "denied", as a process of the node's namespace.
host_verdicts() {
	local address

	mkdir -p "$CG/anything"
	for address in "$(ip4 pod):8080" "$(ip4 node):8081"; do
		"$1" anything node "$address"
		"$1" anything node --udp "$address"
		"$2" probes node "$address"
		"$2" probes node --udp "$address"
	done
}

@test "the host reaches its workloads, by setting only its probes, or as policies say" {
	loaded_in_node allow
	mkdir "$CG/anything"
	allowed anything node --count 3 "$(ip4 pod):8080"
	rule host '.decided == 3'
	host_verdicts allowed allowed
	# nobody is the host but in its own namespace
	mkdir "$CG/stranger"
	as stranger call pod --timeout-ms 300 "$(ip4 node):8081"
	check '.ok == 0'

	host_file probes | apply_config
	host_verdicts denied allowed
	host_file policy | apply_config
	host_verdicts denied denied
	host_file policy '  - name: allow-host
    subject: { app: server }
    ingress: [ { name: host, from: [ { identity: host } ] } ]' | apply_config
	host_verdicts allowed denied
	host_file policy '  - name: allow-probes
    subject: { app: server }
    ingress: [ { name: probes, from: [ { identity: probes } ] } ]' | apply_config
	host_verdicts denied allowed
}

@test "the admin tier's deny is before the host's own traffic" {
	loaded_in_node allow
	host_verdicts allowed allowed
	host_file allow '  - name: no-host
    tier: admin
    priority: 1
    subject: { app: server }
    ingress: [ { name: host, from: [ { identity: host } ], action: deny } ]' | apply_config
	host_verdicts denied allowed
	rule no-host/host '.decided == 4'
	rule host '.decided > 0'
}

@test "a workload in the node's namespace does not send as the host" {
	loaded_in_node allow
	mkdir "$CG/foe"
	# a rule of networks leaves to the called end what the caller cannot know
	host_file allow '  - name: net
    subject: { app: server }
    ingress: [ { from: [ { network: 203.0.113.0/24 } ] } ]' |
		sed "/^policies:/i\\  - { name: foe, cgroup: $(path_of foe) }" | apply_config
	denied foe node --udp "$(ip4 pod):8080"
	denied foe node --udp --connected "$(ip4 pod):8080"
	as foe call node --timeout-ms 300 "$(ip4 pod):8080"
	check '.ok == 0'
	mkdir "$CG/anything"
	allowed anything node --udp "$(ip4 pod):8080"
}

@test "... and networks have their say about it where it arrives" {
	loaded_in_node allow
	mkdir "$CG/foe"
	host_file allow "  - name: net
    tier: admin
    priority: 1
    subject: { app: server }
    ingress: [ { name: node, from: [ { network: $(ip4 node)/32 } ], action: deny } ]" |
		sed "/^policies:/i\\  - { name: foe, labels: { app: foe }, cgroup: $(path_of foe) }
		s/ingress: \[\]/ingress: [ { from: [ { labels: { app: foe } } ] } ]/" | apply_config
	DENIED=ETIMEDOUT denied foe node --timeout-ms 300 --udp "$(ip4 pod):8080"
	DENIED=ETIMEDOUT denied foe node --timeout-ms 300 --udp --connected "$(ip4 pod):8080"
	rule net/node '.decided == 2'
}

@test "... nor to whom it cannot tell where it sends: that one's address is nobody's" {
	loaded_in_node allow
	mkdir "$CG/foe" "$CG/anything"
	host_file allow | sed "/^policies:/i\\  - { name: foe, cgroup: $(path_of foe) }
		s/, addresses: [^}]*//" | apply_config
	for option in --one-socket --connected; do
		allowed anything node --udp "$option" "$(ip4 pod):8080"
		allowed probes node --udp "$option" "$(ip4 pod):8080"
		DENIED=ETIMEDOUT denied foe node --timeout-ms 300 --udp "$option" "$(ip4 pod):8080"
	done
}

# ---- nobody knows who --------------------------------------------------------------

@test "unknown workloads: fail open and closed, counted" {
	local before

	ns_bridge stranger a
	unknown_file open | config
	daemon_start
	serve_as server a
	stats_fresh
	before=$(metric sidestep_policy_undecided_total reason=unknown-open)
	# to somebody without a policy: nothing is wrong with that one
	call stranger --count 3 "$(ip4 a):8080"
	check '.ok == 3'
	stats_fresh
	[ "$(metric sidestep_policy_undecided_total reason=unknown-open)" -eq $((before + 3)) ]

	unknown_file closed | apply_config
	before=$(metric sidestep_policy_undecided_total reason=unknown-closed)
	call stranger --count 3 "$(ip4 a):8080"
	check '.errors == { EPERM: 3 }'
	call stranger --count 3 --udp "$(ip4 a):8080"
	check '.errors == { EPERM: 3 }'
	stats_fresh
	[ "$(metric sidestep_policy_undecided_total reason=unknown-closed)" -eq $((before + 6)) ]
	# those who are known are not concerned
	allowed client stranger "$(ip4 a):8080"
}

unknown_file() {
	echo "node: { fail: $1 }"
	workloads client "server:$(addresses_of a)" other
	echo "policies: [ { name: other, subject: { app: other }, ingress: [] } ]"
}

# ---- ways around -------------------------------------------------------------------

@test "sockets that no hook sees are refused to a selected workload only" {
	ns_make node
	{
		workloads selected free
		echo "policies: [ { name: selected, subject: { app: selected }, egress: [] } ]"
	} | config
	daemon_start
	try as selected pod node "$TOOLS/sockets"
	echo "$output"
	check '.tcp == "ok" and .udp == "ok" and .unix == "ok"'
	check '.raw == "EPERM" and .raw6 == "EPERM" and .["udp-lite"] == "EPERM" and .["udp-lite6"] == "EPERM"'
	check '.sctp != "ok"'
	try as free pod node "$TOOLS/sockets"
	check '.raw == "ok" and .raw6 == "ok" and .["udp-lite"] != "EPERM"'
	try pod node "$TOOLS/sockets"
	check '.raw == "ok" and .raw6 == "ok"'
	stats_fresh
	[ "$(metric sidestep_policy_socket_total reason=raw)" -eq 2 ]
	[ "$(metric sidestep_policy_socket_total reason=udp-lite)" -eq 2 ]

	# without rules about it nothing is refused
	{
		workloads selected free
		echo "policies: [ { name: free, subject: { app: free }, egress: [] } ]"
	} | apply_config
	try as selected pod node "$TOOLS/sockets"
	check '.raw == "ok"'
}

@test "ways of connecting that go around one hook or another" {
	one_node friend foe server < <(server_policy)
	in_ns node sysctl -qw net.ipv4.tcp_fastopen=3
	as server pod_bg node "$TOOLS/echoserver" --name server --greet --fastopen 127.0.0.1:8080 "[::1]:8080"
	as server pod_bg node "$TOOLS/echoserver" --name server --udp 127.0.0.1:8080
	allowed friend node --fastopen --count 2 127.0.0.1:8080
	denied foe node --fastopen --count 2 127.0.0.1:8080
	# "any" is oneself to the kernel
	allowed friend node 0.0.0.0:8080
	denied foe node 0.0.0.0:8080
	denied foe node "[::]:8080"
	allowed friend node --udp 0.0.0.0:8080
	denied foe node --udp 0.0.0.0:8080
	allowed friend node --source-mapped 127.0.0.1:8080
	denied foe node --source-mapped 127.0.0.1:8080
	# connected for a moment, then sending to whom it likes
	denied foe node --udp --disconnect 127.0.0.1:8080
	# one socket, again and again
	denied foe node --udp --one-socket --count 5 127.0.0.1:8080
	allowed friend node --udp --one-socket --count 5 127.0.0.1:8080
}

@test "0.0.0.0 and :: are who listens on loopback" {
	local way

	ns_make node
	{
		workloads caller stranger server
		cat <<-END
			policies:
			  - name: caller
			    subject: { app: caller }
			    egress: [ { to: [ { labels: { app: server } } ] } ]
			  - name: stranger
			    subject: { app: stranger }
			    egress: [ { to: [ { identity: world } ] } ]
		END
	} | load_config
	listen server
	for way in 0.0.0.0:8080 "[::]:8080"; do
		allowed caller node "$way"
		allowed caller node --udp --connected "$way"
		denied stranger node "$way"
		denied stranger node --udp "$way"
		denied stranger node --udp --connected "$way"
	done
	denied stranger node --source-mapped 0.0.0.0:8080
}

# What a workload's namespace is told of by its address, and some of it by its cgroup
@test "who listens is asked, not whose address it is" {
	ns_bridge client pod
	{
		workloads client side "pod:$(addresses_of pod)"
		cat <<-END
			policies:
			  - { name: side, subject: { app: side }, ingress: [] }
			  - { name: pod, subject: { app: pod }, ingress: [ { from: [ { labels: { app: client } } ] } ] }
		END
	} | load_config
	serve_as pod pod 8080
	serve_as side pod 8081
	allowed client client "$(ip4 pod):8080"
	as client call client --timeout-ms 300 "$(ip4 pod):8081"
	check '.ok == 0 and .errors == { ETIMEDOUT: 1 }'
	rule side/isolated '.decided >= 1'
}

# What was decided is remembered, by all that it hangs on
@test "a port that changes hands takes nobody's permission along, TCP" {
	one_node friend server strict < <(
		server_policy
		echo "  - { name: strict, subject: { app: strict }, ingress: [] }"
	)
	as server pod_bg node "$TOOLS/echoserver" --name server --greet 127.0.0.1:8080
	allowed friend node --count 2 127.0.0.1:8080
	finish "$PID"
	as strict pod_bg node "$TOOLS/echoserver" --name strict --greet 127.0.0.1:8080
	denied friend node --count 2 127.0.0.1:8080
}

call_from() { # WORKLOAD NAMESPACE SOURCE TARGET: what connect() says
	as "$1" pod "$2" python3 - "$3" "$4" <<-'END'
		import errno, socket, sys
		s = socket.socket()
		s.settimeout(1)
		s.bind((sys.argv[1], 0))
		try:
		    s.connect((sys.argv[2], 8080))
		    print(s.recv(6).decode())
		except OSError as e:
		    print(errno.errorcode.get(e.errno, e))
	END
}

@test "what is allowed from one address is not from another, TCP" {
	require_command python3
	ns_bridge client server
	in_ns client ip address add 10.78.0.1/32 dev eth0
	in_ns server ip route add 10.78.0.0/16 dev eth0
	{
		workloads client "server:$(addresses_of server)"
		cat <<-END
			policies:
			  - name: server
			    subject: { app: server }
			    ingress: [ { from: [ { network: 10.78.0.0/16 } ] } ]
		END
	} | load_config
	serve_as server server
	for _ in 1 2; do
		[ "$(call_from client client 10.78.0.1 "$(ip4 server)")" = server ]
		[ "$(call_from client client "$(ip4 client)" "$(ip4 server)")" = EPERM ]
	done
}

# One that calls itself is no caller that stays
@test "a socket that calls itself leaves nothing behind" {
	require_command python3
	one_node friend foe server < <(server_policy)
	as friend pod node python3 - <<-'END'
		import socket
		s = socket.socket()
		s.bind(("127.0.0.1", 0))
		s.connect(s.getsockname())
		s.sendall(b"me")
		assert s.recv(2) == b"me"
	END
	[ "$(callers)" = "0 0" ]
}

# How many SYNs are under way, and how many of them are not where they are looked for first
callers() {
	bpftool -j map dump pinned "$PIN"/abi*/callers | jq -r '[.[].formatted.value] |
		"\([.[].key[] | select(. != 0)] | length) \(map(.elsewhere) | add)"'
}

# SYNs that nobody answers: there is a neighbour of that address, and no such machine
call_nobody() { # WORKLOAD NAMESPACE CALLS
	in_ns "$2" ip neigh replace 10.77.0.200 lladdr 02:00:00:00:00:c8 dev eth0
	cat >"$BATS_TEST_TMPDIR/nobody.py" <<-'END'
		import socket, sys, time
		sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
		for s in sockets:
		    s.setblocking(False)
		    s.connect_ex(("10.77.0.200", 8080))
		print("ready", flush=True)
		time.sleep(60)
	END
	as "$1" pod_bg "$2" python3 "$BATS_TEST_TMPDIR/nobody.py" "$3"
}

@test "callers are who they are, however many call" {
	require_command python3
	ns_bridge client pod
	{ workloads friend foe server && server_policy; } | load_config
	serve_as server pod
	allowed friend client --count 20 "$(ip4 pod):8080"
	call_nobody friend client 900
	read -r all elsewhere < <(callers)
	[ "$all" -eq 900 ]
	[ "$elsewhere" -gt 600 ]
	allowed friend client --count 20 "$(ip4 pod):8080"
	as foe call client --timeout-ms 300 "$(ip4 pod):8080"
	check '.ok == 0 and .errors == { ETIMEDOUT: 1 }'
	finish "$PID"
	[ "$(callers)" = "0 0" ]
}

mptcp() { # WORKLOAD: what connect() says
	as "$1" pod node python3 - <<-'END'
		import errno, socket
		s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
		s.settimeout(1)
		try:
		    s.connect(("127.0.0.1", 8080))
		    print(s.recv(6).decode())
		except OSError as e:
		    print(errno.errorcode.get(e.errno, e))
	END
}

@test "MPTCP is judged and told of as TCP is" {
	require_command python3
	[[ $(cat /proc/sys/net/mptcp/enabled) == 1 ]] || skip "no MPTCP here"
	one_node friend foe server < <(server_policy)
	listen server
	[ "$(mptcp friend)" = server ]
	[ "$(mptcp foe)" = EPERM ]
}
