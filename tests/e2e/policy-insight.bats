#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # jq has variables too; run sets stderr
#
# What policy tells of itself: rules in shadow, events of what was denied, live flows, and
# explanations that must be what really happens.

load policy

# ---- shadow ------------------------------------------------------------------------

@test "a policy in shadow denies nothing and counts what it would" {
	one_node friend foe server <<-END
		policies:
		  - name: trial
		    mode: shadow
		    subject: { app: server }
		    ingress: [ { name: friend, from: [ { labels: { app: friend } } ], ports: [ 8080 ] } ]
	END
	listen server 8080
	allowed friend node --count 3 127.0.0.1:8080
	allowed foe node --count 5 127.0.0.1:8080
	allowed friend node --udp --count 2 127.0.0.1:8080
	rule trial/friend '.shadow == 3 and .would_deny == 0 and .would_allow == 0 and .decided == 0'
	rule trial/isolated '.shadow == 7 and .would_deny == 7 and .would_allow == 0 and .decided == 0'
	rule default/ingress '.decided == 10'
}

@test "a single rule in shadow beside those that are enforced" {
	one_node friend foe server <<-END
		policies:
		  - name: server
		    subject: { app: server }
		    ingress:
		      - { name: friend, from: [ { labels: { app: friend } } ] }
		      - { name: trial, from: [ { labels: { app: foe } } ], ports: [ 8080 ], mode: shadow }
		  - name: guard
		    tier: admin
		    priority: 1
		    subject: { app: server }
		    ingress: [ { name: deny, from: [ { labels: { app: friend } } ], ports: [ 8081 ], action: deny, mode: shadow } ]
	END
	listen server 8080 8081
	denied foe node --count 4 127.0.0.1:8080
	denied foe node --count 2 127.0.0.1:8081
	allowed friend node --count 3 127.0.0.1:8080
	allowed friend node --count 5 127.0.0.1:8081
	rule server/trial '.shadow == 4 and .would_allow == 4 and .would_deny == 0 and .decided == 0'
	rule guard/deny '.shadow == 5 and .would_deny == 5 and .would_allow == 0 and .decided == 0'
	rule server/friend '.decided == 8'
	rule server/isolated '.decided == 6'
}

# ---- events and live flows ---------------------------------------------------------

# follow: sets FOLLOW
follow() {
	background "$SIDESTEP" flows "${OPTIONS[@]}" --follow -o json
	FOLLOW=$PID
	# somebody follows as soon as a call of nobody's is told of
	wait_until 20 told_of_a_call
}

told_of_a_call() {
	call node --timeout-ms 200 127.0.0.1:1 >/dev/null
	grep -q '"failed"' "${OUT[$FOLLOW]}"
}

# told FILTER: sooner or later of such an event
told() {
	wait_until 10 has_event "$1" || fail "no such event: $1"$'\n'"$(cat "${OUT[$FOLLOW]}")"
}

has_event() {
	jq -se "any(.[]; $1)" "${OUT[$FOLLOW]}" >/dev/null
}

@test "flows --follow tells of what was denied, by which rule and whom" {
	ns_make node
	{
		workloads friend foe server
		cat <<-END
			policies:
			  - name: server
			    subject: { app: server }
			    ingress:
			      - { name: friend, from: [ { labels: { app: friend } } ] }
			      - { name: trial, from: [ { labels: { app: foe } } ], mode: shadow }
			  - name: out
			    tier: admin
			    priority: 1
			    subject: { app: foe }
			    egress: [ { name: no-8081, to: [ { labels: { app: server } } ], ports: [ 8081 ], action: deny } ]
		END
	} | config
	daemon_start
	listen server 8080 8081
	follow
	denied foe node 127.0.0.1:8080
	denied foe node --udp "[::1]:8080"
	denied foe node 127.0.0.1:8081
	allowed friend node 127.0.0.1:8080

	told '.event == "denied" and .protocol == "TCP" and .verdict == "denied"
		and .direction == "ingress" and .tier == "network" and .rule == "default/server/isolated"
		and .source_identity.workload == "default/foe" and .source_identity.labels == "app=foe"
		and .destination_identity.workload == "default/server" and .destination.port == 8080
		and .shadow_rule == "default/server/trial" and .shadow_verdict == "allowed"'
	told '.event == "denied" and .protocol == "UDP" and .destination.address == "::1"
		and .source_identity.workload == "default/foe" and .direction == "ingress"'
	told '.event == "denied" and .direction == "egress" and .tier == "admin"
		and (.rule | endswith("out/no-8081")) and .destination.port == 8081'
	told '.event == "close" and .verdict == "allowed" and .rule == "default/server/friend"
		and .source_identity.workload == "default/friend"
		and .destination_identity.workload == "default/server"'
	finish "$FOLLOW"
	# each once
	[ "$(jq -s '[.[] | select(.event == "denied")] | length' "${OUT[$FOLLOW]}")" -eq 3 ]
}

@test "a remote client's denial is told of, too" {
	ns_bridge near server
	{
		workloads "server:$(addresses_of server)"
		echo "policies: [ { name: server, subject: { app: server }, ingress: [] } ]"
	} | config
	daemon_start
	serve_as server server
	background "$SIDESTEP" flows "${OPTIONS[@]}" --follow -o json
	FOLLOW=$PID
	wait_until 20 told_of_near
	told '.event == "denied" and .role == "server" and .direction == "ingress"
		and .source.address == "'"$(ip4 near)"'" and .source_identity.labels == "world"
		and .destination.port == 8080 and .destination_identity.workload == "default/server"
		and .rule == "default/server/isolated"'
}

told_of_near() {
	in_ns near "$TOOLS/caller" --timeout-ms 100 "$(ip4 server):8080" >/dev/null || :
	grep -q '"denied"' "${OUT[$FOLLOW]}"
}

# ---- explain -----------------------------------------------------------------------

@test "explain says what really happens, for every pair" {
	local from to port protocol

	one_node w0 w1 "w2:, ports: { http: 8080, dns: 8081/UDP }" w3 <<-END
		node: { policy: { default: deny } }
		policies:
		  - name: top
		    tier: admin
		    priority: 3
		    subject: {}
		    ingress:
		      - { name: no, from: [ { labels: { app: w3 } } ], ports: [ 8081 ], action: deny }
		      - { name: pass, from: [ { labels: { app: w0 } } ], ports: [ 8080 ], action: pass }
		      - { name: yes, from: [ { labels: { app: w0 } } ] }
		  - name: two
		    subject: { app: w2 }
		    ingress: [ { name: named, from: [ { labels: {} } ], ports: [ http, { port: dns, protocol: UDP } ] } ]
		  - name: out
		    subject: { app: w1 }
		    egress: [ { name: two, to: [ { labels: { app: w2 } } ] } ]
		  - name: base
		    tier: baseline
		    subject: {}
		    ingress: [ { name: tcp, from: [ { namespaces: {} } ], ports: [ 8080 ] } ]
		    egress: [ { name: all, to: [ { namespaces: {} } ] } ]
	END
	# all four on loopback, each with ports of its own: the ports are in the policies
	for to in w0 w1 w2 w3; do
		in_address "$to"
		as "$to" pod_bg node "$TOOLS/echoserver" --name "$to" --greet "$ADDRESS:8080" "$ADDRESS:8081"
		as "$to" pod_bg node "$TOOLS/echoserver" --name "$to" --udp "$ADDRESS:8080" "$ADDRESS:8081"
	done
	PAIRS=0
	for from in w0 w1 w2 w3; do
		for to in w0 w1 w2 w3; do
			for port in 8080 8081; do
				for protocol in TCP UDP; do
					agrees "$from" "$to" "$port" "$protocol"
				done
			done
		done
	done
	[ "$PAIRS" -eq 64 ]
}

# 127/8 is one network for everybody, and each takes an address of it
in_address() {
	ADDRESS=127.0.1.$((${1#w} + 1))
}

agrees() { # FROM TO PORT PROTOCOL
	local verdict=allowed options=()

	explain "$1" "$2" "$3/$4"
	EXPLAINED=$(value .verdict)
	[[ $4 == TCP ]] || options=(--udp)
	in_address "$2"
	as "$1" call node "${options[@]}" "$ADDRESS:$3" >/dev/null
	check '.ok == 1 or .errors == { EPERM: 1 }'
	check '.ok == 1' >/dev/null || verdict=denied
	[[ $verdict == "$EXPLAINED" ]] ||
		fail "$1 -> $2 $3/$4: $verdict, but explained as $EXPLAINED"
	PAIRS=$((PAIRS + 1))
}
