#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# Senders of datagrams to another network namespace of this node, of whom no address is told:
# the datagram bears nothing of who sent it. The server lets friend in.

load policy

# The server has no address either, unless MORE gives it some: connect() and sendmsg() cannot
# tell then who is called, and all is decided on arrival.
senders_file() { # WORKLOADS [MORE]
	cat <<-END
		node: { policy: { remote: drop } }
		$(workloads "server:${2:-}")
		$1
		policies:
		  - name: server
		    subject: { app: server }
		    ingress: [ { name: friend, from: [ { labels: { app: friend } } ] } ]
	END
}

# Silence: it was sent, and did not arrive.
unheard() { # NAME NAMESPACE ARGUMENTS...
	DENIED=ETIMEDOUT denied "$1" "$2" --timeout-ms 300 "${@:3}"
}

# every_way VERDICT NAME NAMESPACE: both families, connected and not, one datagram and more
every_way() {
	local option address

	for address in "$(ip4 server):8080" "[$(ip6 server)]:8080"; do
		for option in --one-socket --connected --disconnect; do
			"$@" --udp --count 2 "$option" "$address"
		done
	done
	"$@" --udp --source-mapped "$(ip4 server):8080"
}

# from_port NAME NAMESPACE PORT: asks the server from there, and tells whether it was answered.
from_port() {
	as "$1" pod "$2" python3 - "$(ip4 server)" "$3" "${4:-}" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.bind((sys.argv[3], int(sys.argv[2])))
		s.settimeout(0.3)
		s.sendto(b"x", (sys.argv[1], 8080))
		try:
		    s.recv(100)
		    print("answered")
		except TimeoutError:
		    print("silence")
	END
}

flow_total() { # REASON
	stats_fresh
	metric sidestep_policy_flow_total "reason=$1"
}

@test "a datagram's sender is known by its cgroup alone, its neighbours are not it" {
	ns_bridge client server
	mkdir "$CG/friend" "$CG/foe" "$CG/nobody"
	senders_file "$(workloads friend foe | tail -n +2)" | config
	daemon_start
	serve_as server server
	every_way allowed friend client
	# once for each socket, on arrival
	rule server/friend '.decided == 11'
	every_way unheard foe client
	every_way unheard nobody client
	every_way allowed friend client
	[ "$(flow_total datagram-dropped)" -eq 26 ]
	[ "$(flow_total sender-lost)" -eq 0 ]
}

@test "... by its network namespace alone" {
	ns_bridge friend foe nobody server
	mkdir "$CG/any"
	senders_file "  - { name: friend, labels: { app: friend }, netns: ${NS##*/}friend }
  - { name: foe, labels: { app: foe }, netns: ${NS##*/}foe }" | load_config
	serve_as server server
	every_way allowed any friend
	every_way unheard any foe
	every_way unheard any nobody
	rule server/friend '.decided == 11'
}

@test "... and what was decided where it was sent is not decided again" {
	ns_bridge client server
	senders_file "$(workloads friend foe | tail -n +2)" "$(addresses_of server)" | load_config
	serve_as server server
	every_way allowed friend client
	rule server/friend '.decided == 11'
	every_way denied foe client
	rule server/friend '.decided == 11'
}

@test "a port that changes hands takes nobody's permission along" {
	require_command python3
	ns_bridge client server
	senders_file "$(workloads friend foe | tail -n +2)" | load_config
	serve_as server server
	[ "$(from_port friend client 4000)" = answered ]
	[ "$(from_port foe client 4000)" = silence ]
	[ "$(from_port foe client 4001)" = silence ]
	[ "$(from_port friend client 4001)" = answered ]
	[ "$(from_port friend client 4000)" = answered ]
}

@test "who forges a sender's address and port from another node is not it" {
	require_command python3
	ns_bridge client server far
	senders_file "$(workloads friend foe | tail -n +2)" | config
	daemon_start
	serve_as server server
	in_ns far ip address add "$(ip4 client)/32" dev lo
	in_ns far sysctl -qw net.ipv4.conf.eth0.arp_announce=2
	forge 4000
	[ "$(flow_total datagram-dropped)" -eq 1 ]
	[ "$(from_port friend client 4000)" = answered ]
	forge 4001
	[ "$(flow_total datagram-dropped)" -eq 2 ]
	# the server remembers friend, but friend has sent nothing for a second
	sleep 1.1
	forge 4000
	[ "$(flow_total datagram-dropped)" -eq 3 ]
	[ "$(flow_total sender-lost)" -eq 1 ]
	[ "$(from_port friend client 4000)" = answered ]
}

# forge PORT: a datagram of client's, from far, which no hook sees
forge() {
	in_ns far python3 - "$(ip4 client)" "$1" "$(ip4 server)" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.bind((sys.argv[1], int(sys.argv[2])))
		s.sendto(b"x", (sys.argv[3], 8080))
	END
}

@test "what a changed set says of a sender holds from its next datagram on" {
	ns_bridge client server
	senders_file "$(workloads friend foe | tail -n +2)" | load_config
	serve_as server server
	as foe pod_start client "$TOOLS/caller" --udp --connected --one-socket --until-signal \
		--interval-ms 20 --timeout-ms 100 "$(ip4 server):8080"
	CALLER=$PID
	sleep 0.3
	senders_file "$(workloads friend foe | tail -n +2 | sed 's/app: foe/app: friend/')" | apply_config
	sleep 0.3
	senders_file "$(workloads friend foe | tail -n +2)" | apply_config
	sleep 0.3
	finish "$CALLER"
	check '.ok > 3 and .failed > 3'
	unheard foe client --udp "$(ip4 server):8080"
}

@test "without the hook that tells, a sender is its address: nobody, and kept out" {
	require_command python3
	ns_bridge client server
	senders_file "$(workloads friend | tail -n +2)" | load_config
	serve_as server server
	[ "$(from_port friend client 4000)" = answered ]
	allowed friend client --udp "$(ip4 server):8080"
	rm "$PIN"/abi*/sst_egress
	unheard friend client --udp "$(ip4 server):8080"
	sleep 1
	# who was let in is not found again, either
	[ "$(from_port friend client 4000)" = silence ]
}
