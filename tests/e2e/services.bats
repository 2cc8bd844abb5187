#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# Service addresses: which endpoint a call reaches, what the application sees of
# it, and what becomes of calls and connections when endpoints come and go.

load harness

# nodes: namespaces client, a and b, with servers a and b.
nodes() {
	ns_bridge client a b
	serve a "$@"
	serve b "$@"
}

# web KEYS...: service "web" with endpoints a and b, and these keys (lines) beside.
web() {
	cat <<-END
		services:
		  - name: web
		    address: [10.96.0.10, "fd96::10"]
		    port: 80
		    target: 8080
		    $(printf '%s\n    ' "$@")
		    endpoints:
		      - { address: $(ip4 a)${A:+, $A} }
		      - { address: $(ip4 b)${B:+, $B} }
		      - { address: "$(ip6 a)"${A:+, $A} }
		      - { address: "$(ip6 b)"${B:+, $B} }
	END
}

# web_without ENDPOINT KEYS...
web_without() {
	web "${@:2}" | grep -v -e "address: $(ip4 "$1")[ ,]" -e "address: \"$(ip6 "$1")\""
}

# active_is ENDPOINT COUNT: connections over IPv4
active_is() {
	show endpoints
	check --arg address "$(ip4 "$1")" --argjson count "$2" '
		map(select(.endpoint.address == $address).counters.active) | add == $count' \
		>/dev/null
}

udp_connected_is() { # COUNT
	show services
	check --argjson count "$1" 'map(.counters.udp_connected) | add == $count' >/dev/null
}

any_active() {
	show services
	check 'any(.[]; .counters.active > 0)' >/dev/null
}

# ---- addresses ------------------------------------------------------------------

@test "TCP over IPv4: reached at the service's address, and told it by getpeername" {
	nodes
	web | load_config

	call client --count 20 10.96.0.10:80
	check '.ok == 20 and .failed == 0'
	check '.peer == "10.96.0.10:80"'
}

@test "TCP over IPv6" {
	nodes
	web | load_config

	call client --count 20 "[fd96::10]:80"
	check '.ok == 20 and .failed == 0'
	check '.peer == "[fd96::10]:80"'
}

@test "TCP from an IPv6 socket to a v4-mapped service address" {
	nodes
	web "balance: round-robin" | load_config

	call client --count 20 --source-mapped 10.96.0.10:80
	check '.names == {a: 10, b: 10}'
	check '.peer == "[::ffff:10.96.0.10]:80"'
	# the same service as for IPv4 sockets, with one turn for both
	call client --count 1 10.96.0.10:80
	call client --count 1 --source-mapped 10.96.0.10:80
	show services
	check 'map(select(.family == "ipv4"))[0].counters.opened == 22'
}

@test "UDP, unconnected: answers come from the service's address" {
	nodes -u
	web "protocol: UDP" "balance: round-robin" | load_config

	call client -u --count 20 10.96.0.10:80
	check '.names == {a: 10, b: 10} and .from == "10.96.0.10:80"'
	call client -u --count 20 "[fd96::10]:80"
	check '.names == {a: 10, b: 10} and .from == "[fd96::10]:80"'
	call client -u --count 20 --source-mapped 10.96.0.10:80
	check '.names == {a: 10, b: 10} and .from == "[::ffff:10.96.0.10]:80"'

	show services
	check 'map(.counters.udp_datagrams) | add == 60'
	check 'all(.[]; .counters.opened == 0)'
}

@test "UDP, unconnected: a socket stays with its endpoint while that takes calls" {
	local talk

	nodes -u
	B="ready: false" web "protocol: UDP" | load_config
	pod_start client "$TOOLS/caller" -u --one-socket --until-signal --interval-ms 5 10.96.0.10:80
	talk=$PID
	sleep 0.3
	web "protocol: UDP" "balance: round-robin" | apply_config
	sleep 0.3
	finish "$talk"
	check '.ok > 20 and (.names | keys) == ["a"] and .from == "10.96.0.10:80"'

	# and moves when it takes none
	B="ready: false" web "protocol: UDP" | apply_config
	pod_start client "$TOOLS/caller" -u --one-socket --until-signal --interval-ms 5 10.96.0.10:80
	talk=$PID
	sleep 0.3
	A="draining: true" web "protocol: UDP" | apply_config
	sleep 0.3
	finish "$talk"
	check '.failed == 0 and .names.a > 0 and .names.b > 20 and .from == "10.96.0.10:80"'
}

@test "UDP, connected: one endpoint a socket" {
	nodes -u
	web "protocol: UDP" "balance: round-robin" | load_config

	call client -u --connected --count 10 10.96.0.10:80
	check '.names == {a: 5, b: 5}'
	check '.from == "10.96.0.10:80" and .peer == "10.96.0.10:80"'
	call client -u --connected --one-socket --count 10 "[fd96::10]:80"
	check '.ok == 10 and (.names | length) == 1'
	check '.from == "[fd96::10]:80" and .peer == "[fd96::10]:80"'

	show services
	check 'map(.counters.udp_connected) | add == 11'
}

@test "TCP and UDP on one port are two services" {
	nodes
	serve a -u
	config <<-END
		services:
		  - name: dns
		    address: 10.96.0.10
		    ports:
		      - { name: tcp, port: 53, target: 8080 }
		      - { name: udp, port: 53, target: 8080, protocol: UDP }
		    endpoints: [ { address: $(ip4 a) } ]
	END
	sidestep load -f "$CONF"

	call client 10.96.0.10:53
	check '.names == {a: 1}'
	call client -u 10.96.0.10:53
	check '.names == {a: 1} and .from == "10.96.0.10:53"'
	show services dns
	check '[.[].protocol] | sort == ["TCP", "UDP"]'
}

@test "what is no service is left alone" {
	nodes
	web | load_config

	call client --count 3 "$(ip4 b):8080"
	check '.names == {b: 3}'
	check --arg peer "$(ip4 b):8080" '.peer == $peer'
	# another port of the service's address leads nowhere
	call client 10.96.0.10:81
	check '.errors == {ENETUNREACH: 1}'
}

@test "an endpoint's own port wins over the service's target" {
	nodes
	pod_bg b "$TOOLS/echoserver" --name other --greet "$(ip4 b):9999"
	B="port: 9999" web "balance: round-robin" | load_config

	call client --count 4 10.96.0.10:80
	check '.names == {a: 2, other: 2}'
}

# ---- balancing --------------------------------------------------------------------

@test "round robin takes exact turns" {
	nodes
	web "balance: round-robin" | load_config

	call client --count 64 10.96.0.10:80
	check '.names == {a: 32, b: 32}'
	check '.sequence as $s | all(range(62); $s[.] == $s[. + 2])'
}

@test "weighted round robin takes exact turns, spread evenly" {
	nodes
	A="weight: 300" B="weight: 100" web "balance: round-robin" | load_config

	call client --count 64 10.96.0.10:80
	check '.names == {a: 48, b: 16}'
	check '.sequence as $s | all(range(60); $s[.] == $s[. + 4])'
}

# Bounds are five standard deviations: a false alarm in two million runs.

@test "random balancing is even" {
	nodes
	web | load_config

	call client --count 2000 10.96.0.10:80
	check '.ok == 2000'
	within "$(value .names.a)" 1000 112
}

@test "weighted random balancing keeps the proportion" {
	nodes
	A="weight: 3" web "balance: random" | load_config

	call client --count 2000 10.96.0.10:80
	check '.ok == 2000'
	within "$(value .names.a)" 1500 97
}

@test "affinity keeps a namespace at its endpoint until the timeout" {
	local first

	ns_bridge client other a b
	serve a
	serve b
	web "balance: round-robin" "affinity: 1" | load_config

	call client --count 20 10.96.0.10:80
	check '.ok == 20 and (.names | length) == 1'
	first=$(value '.names | keys[0]')
	# another namespace is another client: it has the next turn
	call other --count 20 10.96.0.10:80
	check --arg first "$first" '.ok == 20 and (.names | length) == 1 and .names[$first] == null'
	# after the timeout the turn goes on: to the first again, as it happens, so take two
	sleep 1.2
	call other --count 20 10.96.0.10:80
	check --arg first "$first" '.names == {($first): 20}'
	call client --count 20 10.96.0.10:80
	check --arg first "$first" '.ok == 20 and (.names | length) == 1 and .names[$first] == null'
}

@test "affinity lets go of an endpoint that no longer takes calls" {
	local first

	nodes
	web "affinity: 1h" | load_config
	call client --count 5 10.96.0.10:80
	first=$(value '.names | keys[0]')

	if [[ $first == a ]]; then A="draining: true"; else B="draining: true"; fi
	web "affinity: 1h" | apply_config
	call client --count 5 10.96.0.10:80
	check --arg first "$first" '.ok == 5 and (.names | length) == 1 and .names[$first] == null'
}

# ---- endpoints come and go -----------------------------------------------------------

@test "without a usable endpoint connect() is refused, and counted" {
	nodes
	A="ready: false" B="draining: true" web | load_config
	require_feature set-retval

	call client --count 3 10.96.0.10:80
	check '.errors == {ECONNREFUSED: 3}'
	call client --count 2 --source-mapped 10.96.0.10:80
	check '.errors == {ECONNREFUSED: 2}'
	call client --count 4 "[fd96::10]:80"
	check '.errors == {ECONNREFUSED: 4}'
	show services
	check 'map({(.family): .counters.refused}) | add == {ipv4: 5, ipv6: 4}'
	check 'all(.[]; .counters.opened == 0 and .slots == 0)'
}

@test "without a usable endpoint a datagram is refused, and counted" {
	nodes -u
	A="ready: false" B="ready: false" web "protocol: UDP" | load_config
	require_feature set-retval

	call client -u --count 3 10.96.0.10:80
	check '.errors == {ECONNREFUSED: 3}'
	call client -u --connected --count 2 "[fd96::10]:80"
	check '.errors == {ECONNREFUSED: 2}'
	show services
	check 'map({(.family): .counters.refused}) | add == {ipv4: 3, ipv6: 2}'
}

@test "a draining endpoint keeps its connections and gets no new one" {
	local held

	nodes
	B="ready: false" web | load_config
	pod_start client "$TOOLS/caller" --hold-ms 20000 10.96.0.10:80
	held=$PID
	wait_until 5 active_is a 1

	A="draining: true" web | apply_config
	call client --count 20 10.96.0.10:80
	check '.names == {b: 20}'
	show endpoints
	check --arg a "$(ip4 a)" 'any(.[]; .endpoint.address == $a and .state == "draining"
		and .counters.active == 1)'
	finish "$held"
	check '.ok == 1 and .names == {a: 1}'

	# and takes calls again when it is put back
	web "balance: round-robin" | apply_config
	call client --count 20 10.96.0.10:80
	check '.names == {a: 10, b: 10}'
}

@test "endpoints are taken out and put back under load, no call fails" {
	local load

	nodes
	web | load_config
	pod_start client "$TOOLS/caller" --until-signal --threads 4 --interval-ms 1 10.96.0.10:80
	load=$PID
	for _ in {1..15}; do
		web_without b | apply_config
		web | apply_config
		web_without a | apply_config
		A="weight: 7" B="draining: true" web "balance: round-robin" | apply_config
	done
	finish "$load"
	[ "$status" -eq 0 ]
	check '.ok > 100 and .failed == 0 and .names.a > 0 and .names.b > 0'
}

@test "an endpoint's counters go with it only when its last connection has ended" {
	local held

	nodes
	B="ready: false" web | load_config
	pod_start client "$TOOLS/caller" --hold-ms 20000 10.96.0.10:80
	held=$PID
	wait_until 5 active_is a 1

	web_without a | apply_config
	show endpoints
	check --arg a "$(ip4 a)" 'any(.[]; .endpoint.address == $a and .state == "removed")'
	finish "$held"
	check '.ok == 1'
	wait_until 5 active_is a 0
	# the service keeps them
	show services
	check 'map(select(.family == "ipv4"))[0].counters | .opened == 1 and .closed == 1'
	# the next apply sweeps up
	web_without a | apply_config
	show endpoints
	check --arg a "$(ip4 a)" 'all(.[]; .endpoint.address != $a)'
}

@test "a connected UDP socket is freed from an endpoint that goes" {
	local resolver

	nodes -u
	B="ready: false" web "protocol: UDP" | load_config
	require_feature sock-destroy
	# asks again and again by one socket, makes a new one only when that fails
	pod_start client "$TOOLS/caller" -u --connected --one-socket --until-signal \
		--interval-ms 20 10.96.0.10:80
	resolver=$PID
	sleep 0.5

	web_without a "protocol: UDP" | apply_config
	sleep 0.5
	finish "$resolver"
	check '.names.a > 0 and .names.b > 0'
	# told by an error at once, not by answers that stay out
	check '.failed >= 1 and .errors.ETIMEDOUT == null'
}

@test "a UDP socket that was connected for a moment only is left alone" {
	local connected free

	nodes -u
	B="ready: false" web "protocol: UDP" | load_config
	require_feature sock-destroy
	# asks on by the same socket, but of nobody in particular
	pod_start client "$TOOLS/caller" -u --disconnect --one-socket --until-signal \
		--interval-ms 20 10.96.0.10:80
	free=$PID
	pod_start client "$TOOLS/caller" -u --connected --one-socket --until-signal \
		--interval-ms 20 10.96.0.10:80
	connected=$PID
	wait_until 5 udp_connected_is 2
	sleep 0.3

	# the second one only
	show flows
	check 'length == 1 and .[0].protocol == "UDP" and .[0].service == "web"'
	web_without a "protocol: UDP" | apply_config
	sleep 0.5
	finish "$connected"
	check '.failed >= 1 and .names.b > 0'
	finish "$free"
	check '.failed == 0 and .names.a > 5 and .names.b > 5'
}

@test "on-remove: keep leaves TCP connections of a removed endpoint alone" {
	local held

	nodes
	B="ready: false" web "on-remove: keep" | load_config
	pod_start client "$TOOLS/caller" --hold-ms 1500 10.96.0.10:80
	held=$PID
	wait_until 5 active_is a 1
	web_without a "on-remove: keep" | apply_config
	await_end "$held"
	check '.ok == 1 and .failed == 0'
}

@test "on-remove: reset ends them, and those only" {
	local doomed spared

	nodes
	web "on-remove: reset" "balance: round-robin" | load_config
	require_feature sock-destroy
	pod_start client "$TOOLS/caller" --hold-ms 3000 --count 1 10.96.0.10:80
	doomed=$PID
	wait_until 5 active_is a 1
	pod_start client "$TOOLS/caller" --hold-ms 3000 --count 1 10.96.0.10:80
	spared=$PID
	wait_until 5 active_is b 1

	web_without a "on-remove: reset" | apply_config
	await_end "$doomed"
	check '.ok == 0 and .failed == 1'
	check '.errors | has("ECONNABORTED") or has("ECONNRESET")'
	await_end "$spared"
	check '.ok == 1 and .names == {b: 1}'
}

@test "a service that goes leaves its connections" {
	local held

	nodes
	web | load_config
	pod_start client "$TOOLS/caller" --hold-ms 1500 10.96.0.10:80
	held=$PID
	wait_until 5 any_active
	apply_config <<<"services: []"
	call client 10.96.0.10:80
	check '.errors == {ENETUNREACH: 1}'
	await_end "$held"
	check '.ok == 1'
}
