#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# Clients and servers that are not on this node: programs outside of the test's cgroup, to
# which no hook is attached, reached over veth. Their address is all that is known of them.

load policy

# from_afar NAMESPACE ARGUMENTS...: a caller that is no workload of this node; sets output
from_afar() {
	try in_ns "$1" "$TOOLS/caller" --timeout-ms "${TIMEOUT:-3000}" "${@:2}"
	echo "$output"
	echo "$stderr"
}

gets_in() {
	from_afar "$@"
	check '.failed == 0 and .ok > 0'
}

# Silence, and nothing else. The wait is what this costs.
kept_out() {
	TIMEOUT=300 from_afar "$@"
	check '.ok == 0 and .errors == { ETIMEDOUT: .failed }'
}

answered() {
	TIMEOUT=5000 from_afar "$@"
	check '.ok == 0 and .errors == { ECONNREFUSED: .failed }'
}

# near and far are remote; the server lets near's address in, and far's network but for far.
remote_file() { # SETTINGS
	cat <<-END
		node: { policy: { $1 } }
		$(workloads "server:$(addresses_of server), netns: ${NS##*/}server" other)
		policies:
		  - name: server
		    subject: { app: server }
		    ingress:
		      - name: near
		        from: [ { network: $(ip4 near)/32 }, { network: "$(ip6 near)/128" } ]
		      - name: all-but-far
		        from: [ { network: 10.77.0.0/16, except: [ $(ip4 far)/32, $(ip4 near)/32 ] } ]
	END
}

remote_node() { # SETTINGS
	ns_bridge near far server
	remote_file "$1" | config
	daemon_start
	serve_as server server
}

@test "remote clients: SYNs and datagrams that are denied are dropped in silence" {
	remote_node "remote: drop"
	for address in "$(ip4 server)" "[$(ip6 server)]"; do
		gets_in near "$address:8080"
		gets_in near --udp "$address:8080"
		gets_in near --udp --one-socket --count 5 "$address:8080"
		kept_out far "$address:8080"
		kept_out far --udp --connected "$address:8080"
	done
	gets_in near --source-mapped "$(ip4 server):8080"
	kept_out far --source-mapped "$(ip4 server):8080"
	# an established connection is asked about once
	rule server/near '.decided == 7'
	stats_fresh
	[ "$(metric sidestep_policy_flow_total reason=datagram-dropped)" -eq 2 ]
	[ "$(metric sidestep_policy_flow_total reason=syn-dropped)" -ge 3 ]
}

@test "remote: answer tells denied clients when they try again" {
	remote_node "remote: answer"
	for address in "$(ip4 server)" "[$(ip6 server)]"; do
		answered far "$address:8080"
		gets_in near "$address:8080"
	done
	# the first datagram is lost, the second one is answered
	from_afar far --udp --connected --one-socket --timeout-ms 200 --count 1 "$(ip4 server):8080"
	check '.errors == { ETIMEDOUT: 1 }'
	wait_until 10 port_unreachable
	gets_in near --udp "$(ip4 server):8080"
	stats_fresh
	[ "$(metric sidestep_policy_flow_total reason=answered)" -ge 3 ]

	# answers end with the denial
	remote_file "remote: answer" | sed 's/, except: .*/ } ]/' | apply_config
	gets_in far "$(ip4 server):8080"
}

port_unreachable() {
	from_afar far --udp --connected --timeout-ms 200 "$(ip4 server):8080" >/dev/null
	check '.errors == { ECONNREFUSED: 1 }' >/dev/null
}

# A SYN with so many destination headers before it, or the fragment header of a whole packet
syn_with() { # NAMESPACE HEADERS
	in_ns "$1" python3 - "$(ip6 "$1")" "$(ip6 server)" "$2" <<-'END'
		import socket, struct, sys
		source, target = (socket.inet_pton(socket.AF_INET6, a) for a in sys.argv[1:3])
		kinds = [44] if sys.argv[3] == "fragment" else [60] * int(sys.argv[3])

		def syn(checksum):
		    return struct.pack("!HHIIBBHHH", 4000, 8080, 1, 0, 0x50, 2, 1000, checksum, 0)

		words = struct.unpack("!30H", source + target + struct.pack("!IHBB", 20, 0, 0, 6) + syn(0))
		total = sum(words)
		total = (total & 0xffff) + (total >> 16)
		total = (total & 0xffff) + (total >> 16)
		data, following = syn(~total & 0xffff), 6
		for kind in kinds:
		    data = bytes([following, 0, 0 if kind == 44 else 1, 0 if kind == 44 else 4, 0, 0, 0, 0]) + data
		    following = kind
		s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
		s.sendto(struct.pack("!IHBB", 6 << 28, len(data), following, 64) + source + target + data,
			 (sys.argv[2], 0))
	END
}

flow_total() { # REASON
	stats_fresh
	metric sidestep_policy_flow_total "reason=$1"
}

@test "IPv6 headers before the SYN do not get it in" {
	require_command python3
	remote_node "remote: drop"
	gets_in near "[$(ip6 server)]:8080"
	kept_out far "[$(ip6 server)]:8080"
	BEFORE=$(flow_total syn-dropped)
	syn_with far 1
	syn_with far 6
	syn_with far fragment
	[ "$(flow_total syn-dropped)" -eq $((BEFORE + 3)) ]
	[ "$(flow_total unreadable)" -eq 0 ]
	syn_with far 7
	[ "$(flow_total unreadable)" -eq 1 ]
}

@test "networks with exceptions are about the source address that comes" {
	ns_bridge near far server
	in_ns near ip address add 10.78.0.1/32 dev eth0
	in_ns near ip address add 10.78.1.1/32 dev eth0
	in_ns server ip route add 10.78.0.0/16 dev eth0
	{
		workloads "server:$(addresses_of server)"
		cat <<-END
			policies:
			  - name: server
			    subject: { app: server }
			    ingress:
			      - name: net
			        from: [ { network: 10.78.0.0/16, except: [ 10.78.1.0/24 ] } ]
		END
	} | load_config
	serve_as server server
	in_ns near ip route replace "$(ip4 server)/32" dev eth0 src 10.78.0.1
	gets_in near "$(ip4 server):8080"
	gets_in near --udp "$(ip4 server):8080"
	in_ns near ip route replace "$(ip4 server)/32" dev eth0 src 10.78.1.1
	kept_out near "$(ip4 server):8080"
	kept_out near --udp "$(ip4 server):8080"
	kept_out far "$(ip4 server):8080"
}

@test "world, nodes, and workloads of other nodes, by address" {
	ns_bridge near far peer server
	{
		echo "node: { policy: { nodes: [ $(ip4 peer)/32 ] } }"
		workloads "server:$(addresses_of server)"
		cat <<-END
			  - { name: near, labels: { app: near }, addresses: [ $(ip4 near) ], remote: true }
			policies:
			  - name: server
			    subject: { app: server }
			    ingress:
			      - { name: near, from: [ { labels: { app: near } } ], ports: [ 8080 ] }
			      - { name: nodes, from: [ { identity: nodes } ], ports: [ 8081 ] }
			      - { name: world, from: [ { identity: world } ], ports: [ 8082 ] }
		END
	} | load_config
	for port in 8080 8081 8082; do
		serve_as server server "$port"
	done
	only_port near 8080
	only_port peer 8081
	only_port far 8082
}

only_port() { # NAMESPACE PORT
	local port

	for port in 8080 8081 8082; do
		if [[ $port == "$2" ]]; then
			gets_in "$1" "$(ip4 server):$port"
		else
			kept_out "$1" "$(ip4 server):$port"
		fi
	done
}

@test "to others: egress of a workload, and replies in both directions" {
	ns_bridge client far
	{
		workloads client
		cat <<-END
			policies:
			  - name: client
			    subject: { app: client }
			    isolate: [ ingress, egress ]
			    egress: [ { name: out, to: [ { network: $(ip4 far)/32 }, { network: "$(ip6 far)/128" } ], ports: [ 8080, { port: 8080, protocol: UDP } ] } ]
		END
	} | load_config
	for option in --greet --udp; do
		background nsenter --net="${NS}far" "$TOOLS/echoserver" $option --name far \
			"$(ip4 far):8080" "[$(ip6 far)]:8080" "$(ip4 far):8081"
		wait_until 10 is_ready "$PID"
	done
	# nobody may call the client, but what it is answered passes
	for address in "$(ip4 far)" "[$(ip6 far)]"; do
		allowed client client --count 3 "$address:8080"
		allowed client client --count 3 --udp "$address:8080"
		allowed client client --count 3 --udp --one-socket "$address:8080"
		allowed client client --udp --connected "$address:8080"
	done
	denied client client "$(ip4 far):8081"
	denied client client --udp "$(ip4 far):8081"
	denied client client "$(ip4 client):8080"
	as client pod_bg client "$TOOLS/echoserver" --udp --name client "$(ip4 client):9000"
	kept_out far --udp "$(ip4 client):9000"
	rule client/out '.decided == 16'
}

@test "a UDP server's answers pass, and it may not begin by itself" {
	ns_bridge near server
	{
		workloads "server:$(addresses_of server)"
		cat <<-END
			policies:
			  - name: server
			    subject: { app: server }
			    isolate: [ ingress, egress ]
			    ingress: [ { name: near, from: [ { network: $(ip4 near)/32 } ] } ]
		END
	} | load_config
	serve_as server server
	gets_in near --udp --count 3 "$(ip4 server):8080"
	gets_in near --udp --count 3 --one-socket "$(ip4 server):8080"
	rule server/near '.decided == 4'
	denied server server --udp "$(ip4 near):8080"
	denied server server "$(ip4 near):8080"
}

@test "whoever comes is asked about while there is a policy for somebody here" {
	ns_bridge near server
	workloads "server:$(addresses_of server)" | load_config
	serve_as server server
	gets_in near "$(ip4 server):8080"
	{
		workloads "server:$(addresses_of server)"
		echo "policies: [ { name: server, subject: { app: server }, ingress: [] } ]"
	} | apply_config
	kept_out near "$(ip4 server):8080"
	workloads "server:$(addresses_of server)" | apply_config
	gets_in near "$(ip4 server):8080"
}
