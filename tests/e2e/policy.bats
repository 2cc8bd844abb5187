#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# Policy at connect() and sendmsg(): what each tier says, and that a refused call is told so
# at once. Every denial has its counterpart that is allowed.

load policy

# One service of TCP and UDP, both families, with these endpoints
service() { # NAME ADDRESS ENDPOINT...
	local endpoint list=

	for endpoint in "${@:3}"; do
		list+="{ address: \"$endpoint\" },"
	done
	cat <<-END
		  - name: $1
		    address: "$2"
		    balance: round-robin
		    ports: [ { name: t, port: 80, target: 8080 }, { name: u, port: 80, target: 8080, protocol: UDP } ]
		    endpoints: [ $list ]
	END
}

# ---- TCP and UDP, families, services -----------------------------------------------

# friend may call, foe may not
friend_and_foe() {
	ns_bridge friend foe a
	{
		echo "services:"
		service web 10.96.0.10 "$(ip4 a)"
		service web6 fd96::10 "$(ip6 a)"
		workloads "friend:$(addresses_of friend)" "foe:$(addresses_of foe)" \
			"server:$(addresses_of a)"
		cat <<-END
			policies:
			  - name: server
			    subject: { app: server }
			    ingress:
			      - name: friend
			        from: [ { labels: { app: friend } } ]
			        ports: [ 8080, { port: 8080, protocol: UDP } ]
		END
		cat
	} | config
}

# Every way to call it, as options of caller
every_way() { # COMMAND...
	local way n=0
	local ways=("10.96.0.10:80" "[fd96::10]:80" "$(ip4 a):8080" "[$(ip6 a)]:8080")

	for way in "${ways[@]}"; do
		"$@" --count 2 "$way"
		"$@" --count 2 --udp "$way"
		"$@" --count 2 --udp --connected "$way"
		((n += 6))
		[[ $way != \[* ]] || continue
		"$@" --count 2 --source-mapped "$way"
		"$@" --count 2 --udp --source-mapped "$way"
		"$@" --count 2 --udp --connected --source-mapped "$way"
		((n += 6))
	done
	CALLS=$n
}

@test "TCP and UDP, both families, v4-mapped, by service and direct" {
	friend_and_foe </dev/null
	sidestep load -f "$CONF"
	serve_as server a
	every_way allowed friend friend
	every_way denied foe foe
	# each call of a socket of its own is decided once: no more, no less
	rule server/friend ".decided == $CALLS"
	rule server/isolated ".decided == $CALLS"
	rule default/egress ".decided == 2 * $CALLS"
}

@test "a denied call fails at once, by setting with ECONNREFUSED" {
	friend_and_foe <<< ""
	sidestep load -f "$CONF"
	serve_as server a
	denied foe foe --count 10 10.96.0.10:80
	check '.quickest_failure_ms < 50'
	denied foe foe --count 10 --udp "$(ip4 a):8080"
	check '.quickest_failure_ms < 50'

	{ cat "$CONF" && echo "node: { policy: { denied: refused } }"; } | apply_config
	DENIED=ECONNREFUSED every_way denied foe foe
	check '.quickest_failure_ms < 50'
	allowed friend friend 10.96.0.10:80
}

@test "nothing that was denied reaches the server, not one packet" {
	friend_and_foe </dev/null
	sidestep load -f "$CONF"
	# nobody listens: what comes is answered with a reset, and counted
	denied foe foe --count 20 "$(ip4 a):8080"
	denied foe foe --count 20 --udp "$(ip4 a):8080"
	[ "$(packets_in a Tcp InSegs)" -eq 0 ]
	[ "$(packets_in a Udp NoPorts)" -eq 0 ]
	DENIED=ECONNREFUSED denied friend friend --count 20 "$(ip4 a):8080"
	[ "$(packets_in a Tcp InSegs)" -eq 20 ]
}

packets_in() { # NAMESPACE PROTOCOL FIELD
	in_ns "$1" cat /proc/net/snmp | awk -v p="$2:" -v f="$3" '
		$1 != p { next }
		!n { for (i = 2; i <= NF; i++) if ($i == f) n = i; next }
		{ print $n }'
}

@test "of a service's endpoints, the one that was chosen is decided on" {
	ns_bridge client a b
	{
		echo "services:"
		service web 10.96.0.10 "$(ip4 a)" "$(ip4 b)"
		workloads client "open:$(addresses_of a)" "shut:$(addresses_of b)"
		cat <<-END
			policies:
			  - { name: shut, subject: { app: shut }, ingress: [] }
		END
	} | load_config
	serve_as open a
	serve_as shut b
	as client call client --count 20 10.96.0.10:80
	check '.ok == 10 and .names == { open: 10 } and .errors == { EPERM: 10 }'
	as client call client --count 20 --udp 10.96.0.10:80
	check '.ok == 10 and .names == { open: 10 } and .errors == { EPERM: 10 }'
	show services
	check '[.[].counters | .denied, .opened] | add == 20 + 10'
	explain client web:80
	check '[.pairs[].verdict] | sort == [ "allowed", "denied" ]'
}

# ---- tiers -------------------------------------------------------------------------

@test "no policy selects it: the node's default, allow and deny" {
	one_node client server < <(echo "node: { policy: { default: allow } }")
	listen server 8080
	allowed client node 127.0.0.1:8080

	{ workloads client server && echo "node: { policy: { default: deny } }"; } | apply_config
	denied client node 127.0.0.1:8080
	denied client node --udp 127.0.0.1:8080
	rule default/egress '.decided == 2 and .action == "deny"'
	# itself it reaches
	allowed server node 127.0.0.1:8080
}

@test "network tier: ingress, egress, and the union of policies" {
	one_node one two server other <<-END
		policies:
		  - name: first
		    subject: { app: server }
		    ingress: [ { from: [ { labels: { app: one } } ] } ]
		  - name: second
		    subject: { app: server }
		    ingress: [ { name: two, from: [ { labels: { app: two } } ], ports: [ 8081 ] } ]
		  - name: two-out
		    subject: { app: two }
		    egress: [ { to: [ { labels: { app: server } } ] } ]
	END
	listen server 8080 8081
	listen other 9090
	allowed one node 127.0.0.1:8080
	allowed one node 127.0.0.1:8081
	denied two node 127.0.0.1:8080
	allowed two node 127.0.0.1:8081
	denied other node 127.0.0.1:8080
	# egress isolates two and nobody else
	denied two node 127.0.0.1:9090
	allowed one node 127.0.0.1:9090
	allowed server node 127.0.0.1:9090
	rule second/two '.decided == 1'
	rule two-out/isolated '.decided == 1'
}

@test "admin tier: deny, allow and pass, in the order of priorities" {
	one_node good bad odd server <<-END
		policies:
		  - name: early
		    tier: admin
		    priority: 1
		    subject: { app: server }
		    ingress:
		      - { name: pass-odd, from: [ { labels: { app: odd } } ], action: pass }
		      - { name: allow-good, from: [ { labels: { app: good } } ], ports: [ 8080 ] }
		  - name: late
		    tier: admin
		    priority: 2
		    subject: {}
		    ingress:
		      - { name: deny-all, from: [ { namespaces: {} } ], action: deny, ports: [ 8080, 8081 ] }
		  - name: network
		    subject: { app: server }
		    ingress: [ { name: bad-and-odd, from: [ { labels: { app: bad } }, { labels: { app: odd } } ] } ]
	END
	listen server 8080 8081 8082
	allowed good node 127.0.0.1:8080 # accept beats what the network tier isolates
	denied good node 127.0.0.1:8081  # of another port: deny-all
	denied good node 127.0.0.1:8082  # of no admin rule: isolated
	denied bad node 127.0.0.1:8080   # deny beats what the network tier allows
	allowed bad node 127.0.0.1:8082
	allowed odd node 127.0.0.1:8080 # pass goes past the deny behind it
	allowed odd node 127.0.0.1:8081
	rule early/allow-good '.decided == 1'
	rule late/deny-all '.decided == 2'
	rule network/bad-and-odd '.decided == 3'
	rule network/isolated '.decided == 1'
}

@test "pass without a policy behind it goes on to the baseline" {
	one_node client other server <<-END
		policies:
		  - name: admin
		    tier: admin
		    priority: 5
		    subject: { app: server }
		    ingress: [ { name: pass, from: [ { labels: { app: client } } ], action: pass },
		               { name: allow, from: [ { labels: { app: other } } ] } ]
		  - name: base
		    tier: baseline
		    subject: { app: server }
		    ingress: [ { name: deny, from: [ { namespaces: {} } ], action: deny } ]
	END
	listen server 8080
	denied client node 127.0.0.1:8080
	allowed other node 127.0.0.1:8080
	rule base/deny '.decided == 1'
	rule admin/pass '.decided == 0'
	rule admin/allow '.decided == 1'
}

@test "baseline tier: behind the network tier, before the default" {
	one_node client other server free < <(baseline && cat <<-END
		  - name: selected
		    subject: { app: server }
		    ingress: [ { name: other, from: [ { labels: { app: other } } ] } ]
	END
	)
	listen server 8080
	listen free 8090
	denied client node 127.0.0.1:8080 # selected: the baseline has no say
	allowed other node 127.0.0.1:8080
	denied client node 127.0.0.1:8090 # port of no rule: the default
	rule default/ingress '.decided == 1'

	{ workloads client other server free && baseline; } | apply_config
	allowed client node 127.0.0.1:8080
	denied other node 127.0.0.1:8080
	rule base/client '.decided == 1'
	rule base/nobody '.decided == 1'
}

# The client may, nobody else
baseline() {
	cat <<-END
		node: { policy: { default: deny } }
		policies:
		  - name: base
		    tier: baseline
		    subject: {}
		    ingress:
		      - { name: client, from: [ { labels: { app: client } } ], ports: [ 8080 ] }
		      - { name: nobody, from: [ { namespaces: {} } ], ports: [ 8080 ], action: deny }
		    egress: [ { name: out, to: [ { namespaces: {} } ] } ]
	END
}

@test "ports: numbers, ranges, protocols, and by name in both directions" {
	one_node client "server:, ports: { http: 8080, dns: 8053/UDP }" "twin:, ports: { http: 8090 }" <<-END
		policies:
		  - name: in
		    subject: { app: server }
		    ingress:
		      - { name: range, from: [ { labels: { app: client } } ], ports: [ "8000-8002" ] }
		      - { name: udp, from: [ { labels: { app: client } } ], ports: [ { port: dns, protocol: UDP } ] }
		      - { name: named, from: [ { labels: { app: client } } ], ports: [ http ] }
		  - name: out
		    subject: { app: client }
		    egress: [ { name: http, to: [ { labels: { app: twin } } ], ports: [ http ] },
		              { name: server, to: [ { labels: { app: server } } ] } ]
	END
	listen server 7999 8000 8002 8003 8053 8080
	listen twin 8081 8090
	for port in 8000 8002 8080; do
		allowed client node "127.0.0.1:$port"
		denied client node --udp "127.0.0.1:$port"
	done
	for port in 7999 8003 8053; do
		denied client node "127.0.0.1:$port"
	done
	allowed client node --udp "[::1]:8053"
	# twin's "http" is another number than server's
	allowed client node 127.0.0.1:8090
	denied client node 127.0.0.1:8081
	rule out/http '.decided == 1'
	rule in/named '.decided == 1'
	rule in/range '.decided == 2'
	rule in/udp '.decided == 1'
}

@test "expressions and namespaces select by labels" {
	ns_make node
	mkdir "$CG"/{red,blue,none,server}
	load_config <<-END
		namespaces:
		  - { name: shop, labels: { team: a } }
		  - { name: bank, labels: { team: b } }
		workloads:
		  - { name: red, namespace: shop, labels: { color: red }, cgroup: $(path_of red) }
		  - { name: blue, namespace: bank, labels: { color: blue }, cgroup: $(path_of blue) }
		  - { name: none, namespace: bank, cgroup: $(path_of none) }
		  - { name: server, namespace: shop, labels: { app: server }, cgroup: $(path_of server) }
		policies:
		  - name: in
		    namespace: shop
		    subject: { app: server }
		    ingress:
		      - { name: own, from: [ { labels: { color: red } } ], ports: [ 8001 ] }
		      - { name: team, from: [ { namespaces: { team: b } } ], ports: [ 8002 ] }
		      - name: both
		        from:
		          - namespaces: { team: b }
		            expressions: [ { key: color, operator: Exists } ]
		        ports: [ 8003 ]
		      - name: by-name
		        from:
		          - namespaces: { kubernetes.io/metadata.name: bank }
		            expressions: [ { key: color, operator: NotIn, values: [ blue, red ] } ]
		        ports: [ 8004 ]
	END
	listen server 8001 8002 8003 8004
	verdicts red 8001
	verdicts blue 8002 8003
	verdicts none 8002 8004
}

# verdicts NAME PORT...: these and no other of the server's are allowed
verdicts() {
	local port

	for port in 8001 8002 8003 8004; do
		if [[ " ${*:2} " == *" $port "* ]]; then
			allowed "$1" node "127.0.0.1:$port"
		else
			denied "$1" node "127.0.0.1:$port"
		fi
	done
}

# ---- bad input ---------------------------------------------------------------------

@test "what is refused leaves the set that is in force" {
	one_node client server <<-END
		policies: [ { name: in, subject: { app: server }, ingress: [] } ]
	END
	listen server 8080
	denied client node 127.0.0.1:8080
	refused 'no-such-action' <<-END
		policies: [ { name: in, tier: admin, priority: 1, subject: {}, ingress: [ { action: no-such-action } ] } ]
	END
	refused 'SCTP' <<-END
		policies: [ { name: in, subject: {}, ingress: [ { ports: [ { port: 1, protocol: SCTP } ] } ] } ]
	END
	refused 'except' <<-END
		policies: [ { name: in, subject: {}, ingress: [ { from: [ { network: 10.0.0.0/8, except: [ 11.0.0.0/8 ] } ] } ] } ]
	END
	refused 'from' <<-END
		policies: [ { name: in, subject: {}, ingress: [ { from: [] } ] } ]
	END
	refused 'in quotes' <<-END
		---
		apiVersion: networking.k8s.io/v1
		kind: NetworkPolicy
		metadata: { name: in }
		spec: { podSelector: {}, ingress: [ { ports: [ { port: "8080" } ] } ] }
	END
	rule in/isolated '.decided == 6'
}

# refused WORD <<FILE: with the file's name and line, the word, and no change
refused() {
	{ workloads client server && cat; } | config
	try sidestep apply -f "$CONF"
	[ "$status" -ne 0 ] || fail "was accepted: $(cat "$CONF")"
	[[ $stderr =~ sidestep.yaml:[0-9]+:[0-9]+ ]] || fail "no place: $stderr"
	[[ $stderr == *"$1"* ]] || fail "no '$1': $stderr"
	denied client node 127.0.0.1:8080
}

@test "more rules than fit are refused before anything changes" {
	local generation

	one_node client server <<-END
		policies: [ { name: in, subject: { app: server }, ingress: [] } ]
	END
	listen server 8080
	show status
	generation=$(value .generation)
	too_many | config
	try sidestep apply -f "$CONF"
	[ "$status" -ne 0 ]
	[[ $stderr == *rules* ]] || fail "$stderr"
	denied client node 127.0.0.1:8080
	show status
	check --argjson generation "$generation" '.generation == $generation'
}

# 66,000 rules of one direction, 16 blocks of 4,096 bits are the most
too_many() {
	workloads client server
	echo "policies:"
	awk 'BEGIN {
		for (p = 0; p < 66; p++) {
			printf "  - { name: p%d, tier: admin, priority: %d, subject: {}, ingress: [", p, p
			for (i = 0; i < 1000; i++)
				printf "%s{ ports: [ %d ] }", i ? ", " : "", i % 60000 + 1
			print "] }"
		}
	}'
}

@test "a named port to more addresses than fit is refused before anything changes" {
	one_node client server <<-END
		policies: [ { name: in, subject: { app: server }, ingress: [] } ]
	END
	listen server 8080
	too_scattered | config
	try sidestep apply -f "$CONF"
	[ "$status" -eq 4 ]
	[[ $stderr =~ sidestep.yaml:[0-9]+:[0-9]+:\ the\ networks\ of\ rule\ \'r4194\'\ of\ policy\ \'p\'\ need\ 1000\ .*\'http\',\ there\ is\ room\ for\ 304$ ]] ||
		fail "$stderr"
	denied client node 127.0.0.1:8080
}

# 1,000 workloads with a port of this name, 5,000 networks that hold all of them
too_scattered() {
	awk 'BEGIN {
		print "workloads:"
		for (i = 0; i < 1000; i++)
			printf "  - { name: w%d, addresses: [ 10.0.%d.%d ], ports: { http: 80 } }\n",
				i, i / 100, 2 * (i % 100)
		print "policies:"
		print "  - name: p"
		print "    subject: {}"
		print "    egress:"
		for (i = 0; i < 5000; i++)
			printf "      - { name: r%d, to: [ { network: 10.0.0.0/8, except: [ 10.9.%d.%d ] } ], ports: [ http ] }\n",
				i, i / 250, i % 250
	}'
}
