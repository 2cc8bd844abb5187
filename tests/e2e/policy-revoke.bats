#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# Live revocation: flows that a changed policy does not allow any more are ended, and no
# others; whoever reads what came before still can.

load policy

# file RULE...: friend and foe, each allowed if it is named
file() {
	local name

	[[ ! ${SETTINGS:-} ]] || echo "node: { policy: { $SETTINGS } }"
	[[ ! ${SERVICES:-} ]] || echo "$SERVICES"
	workloads "friend:${FRIEND:-}" "foe:${FOE:-}" "server:${SERVER_MORE:-}"
	cat <<-END
		policies:
		  - name: server
		    subject: { app: server }
		    isolate: [ ingress ]
		    ingress:
	END
	for name; do
		echo "      - { name: $name, from: [ { labels: { app: $name } } ] }"
	done
}

# keep SERVER'S-NAMESPACE CLIENT NAMESPACE ADDRESS:PORT [OPTIONS]: one flow; sets SERVER, CLIENT
keep() {
	as server pod_bg "$1" "$TOOLS/keeper" --listen "$4" "${@:5}"
	SERVER=$PID
	as "$2" pod_bg "$3" "$TOOLS/keeper" "$4" "${@:5}"
	CLIENT=$PID
	wait_until 10 both_have_spoken
}

both_have_spoken() {
	[[ $(grep -c ready "${OUT[$SERVER]}") -eq 2 ]]
}

# ended PID FILTER: by itself
ended() {
	wait_until 10 none_runs "$1" || fail "goes on: $1"
	await_end "$1"
	check "$2"
}

# lives PID: goes on until it is told to end
lives() {
	runs "$1" || fail "ended: $(cat "${OUT[$1]}")"
	finish "$1"
	check '.kept'
}

# ---- TCP ---------------------------------------------------------------------------

@test "TCP: both ends are reset, what is unread stays readable, others go on" {
	local friend=() foe=()

	ns_make node
	file friend foe | load_config
	keep node friend node 127.0.0.1:8080 --unread
	friend=("$SERVER" "$CLIENT")
	keep node foe node 127.0.0.1:8081 --unread
	foe=("$SERVER" "$CLIENT")
	file friend | apply_config
	# one of the two is told ECONNABORTED, the other ECONNRESET; both have 1000 bytes
	ended "${foe[0]}" '(.kept | not) and (.end == "ECONNRESET" or .end == "ECONNABORTED")'
	ended "${foe[1]}" '(.kept | not) and (.end == "ECONNRESET" or .end == "ECONNABORTED")'
	runs "${friend[0]}" && runs "${friend[1]}"
	denied foe node 127.0.0.1:8080
	lives "${friend[1]}"
}

@test "TCP over IPv6, by service and across namespaces" {
	ns_bridge client a
	SERVICES="services: [ { name: web, address: \"fd96::10\", port: 80, target: 8080, endpoints: [ { address: \"$(ip6 a)\" } ] } ]"
	SERVER_MORE=$(addresses_of a)
	file foe | load_config
	as server pod_bg a "$TOOLS/keeper" --listen "[$(ip6 a)]:8080"
	SERVER=$PID
	as foe pod_bg client "$TOOLS/keeper" "[fd96::10]:80"
	CLIENT=$PID
	wait_until 10 both_have_spoken
	file friend | apply_config
	ended "$CLIENT" '.end != "EAGAIN"'
	ended "$SERVER" '.end != "EAGAIN"'
}

@test "unread bytes can be read after the end" {
	ns_make node
	file foe | load_config
	keep node foe node 127.0.0.1:8081 --unread
	file friend | apply_config
	ended "$SERVER" 'true'
	SEEN=$(value .bytes)
	ended "$CLIENT" 'true'
	# whose socket is destroyed reads first; a reset discards nothing that arrived on this kernel
	[ $((SEEN + $(value .bytes))) -ge 1000 ]
}

@test "revoke: off keeps them, and what is new is denied" {
	SETTINGS="revoke: off"
	ns_make node
	file friend foe | load_config
	keep node foe node 127.0.0.1:8081
	file friend | apply_config
	denied foe node 127.0.0.1:8081
	lives "$CLIENT"
	ended "$SERVER" '.end == "EOF"'
}

@test "what one apply could not end, the next one of the same file does" {
	local caps=(setpriv --inh-caps=-all "--bounding-set=-all,+bpf,+net_admin,+perfmon")

	require_command setpriv
	ns_make node
	file friend foe | load_config
	keep node foe node 127.0.0.1:8080
	file friend | config
	try "${caps[@]}" "$SIDESTEP" apply "${OPTIONS[@]}" -f "$CONF"
	[[ $stderr == *"could not be ended"* ]] || fail "$status: $output $stderr"
	runs "$CLIENT" || fail "ended: $(cat "${OUT[$CLIENT]}")"
	sidestep apply -f "$CONF"
	ended "$CLIENT" '.kept | not'
}

@test "a workload that disappears ends its flows, its host's allow or not" {
	ns_make node
	{
		workloads keeps gone server
		echo "policies: [ { name: server, subject: { app: server }, ingress: [ {} ] } ]"
	} | load_config
	keep node gone node 127.0.0.1:8080
	GONE=("$SERVER" "$CLIENT")
	keep node keeps node 127.0.0.1:8081
	{
		workloads keeps server
		echo "policies: [ { name: server, subject: { app: server }, ingress: [ {} ] } ]"
	} | apply_config
	ended "${GONE[0]}" '.kept | not'
	ended "${GONE[1]}" '.kept | not'
	lives "$CLIENT"
}

@test "a flow to one workload at the address of another stays" {
	ns_bridge client pod
	SERVER_MORE=$(addresses_of pod)
	{ file friend foe && echo "  - { name: side, subject: { app: side }, ingress: [ {} ] }"; } |
		sed "/^policies:/i\\  - { name: side, labels: { app: side }, cgroup: $(path_of side) }" >"$BATS_TEST_TMPDIR/side"
	mkdir -p "$CG/side"
	load_config <"$BATS_TEST_TMPDIR/side"
	as side pod_bg pod "$TOOLS/keeper" --listen "$(ip4 pod):8080"
	SERVER=$PID
	as friend pod_bg client "$TOOLS/keeper" "$(ip4 pod):8080"
	CLIENT=$PID
	wait_until 10 both_have_spoken
	sed '/name: foe, from/d' "$BATS_TEST_TMPDIR/side" | apply_config
	lives "$CLIENT"
}

@test "spliced flows end, too" {
	ns_bridge friend foe a
	SERVICES=$(spliced_web "$(ip4 a)" on)
	SERVER_MORE=$(addresses_of a) FRIEND=$(addresses_of friend) FOE=$(addresses_of foe)
	file friend foe | config
	daemon_start
	require_feature splice
	as server pod_bg a "$TOOLS/spliceload" server "$(ip4 a):8080" --reader epoll-et --nonblocking
	as foe spliced_client foe
	FOE_LOAD=$PID
	as friend spliced_client friend
	wait_until 20 redirecting 2
	file friend | apply_config
	wait_until 10 none_runs "$FOE_LOAD"
	wait_until 10 redirecting 1
	show flows
	check 'all(.[]; .source_identity.workload == "default/friend")'
	runs "$PID"
}

spliced_client() { # NAMESPACE
	pod_start "$1" "$TOOLS/spliceload" client 10.96.0.10:80 --reader epoll-et --nonblocking \
		--one-connection --phases pingpong --sizes 64 --seconds 0
}

redirecting() { # COUNT
	show flows
	check --argjson n "$1" '[.[] | select(.role == "client"
		and .splice_state == "redirecting")] | length == $n' >/dev/null
}

# ---- UDP ---------------------------------------------------------------------------

@test "UDP: connected sockets are ended, unconnected ones denied at the next datagram" {
	local foe

	ns_make node
	file friend foe | load_config
	keep node foe node 127.0.0.1:8081 --udp
	foe=("$SERVER" "$CLIENT")
	keep node friend node 127.0.0.1:8082 --udp
	as server pod_bg node "$TOOLS/echoserver" --udp --name server 127.0.0.1:8080
	as foe pod_start node "$TOOLS/caller" --udp --one-socket --until-signal --interval-ms 5 \
		--timeout-ms 2000 127.0.0.1:8080
	LOOP=$PID
	wait_until 10 has_called server/foe
	file friend | apply_config
	ended "${foe[1]}" '(.kept | not) and .end == "ECONNABORTED"'
	wait_until 10 has_called server/isolated
	finish "$LOOP"
	check '.ok > 0 and .errors == { EPERM: .failed }'
	lives "$CLIENT"
}

@test "UDP: a connect() that was denied does not hide what the socket is connected to" {
	require_command python3
	ns_bridge node pod
	SERVER_MORE=$(addresses_of pod)
	file friend foe | load_config
	serve_as server pod
	as foe pod_start node python3 -u -c '
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], 8080))
try:
    s.connect(("255.255.255.255", 8081))
except PermissionError:
    print("ready")
try:
    while True:
        s.send(b"x")
        time.sleep(0.01)
except OSError as e:
    print(e.errno)
' "$(ip4 pod)"
	wait_until 10 grep -q ready "${OUT[$PID]}"
	file friend | apply_config
	wait_until 10 none_runs "$PID"
}

has_called() { # RULE
	[ "$(decided "$1")" -gt 0 ]
}

# ---- from and to other nodes -------------------------------------------------------

@test "flows from and to other nodes" {
	ns_bridge near far server
	remote_file near far | load_config
	as server pod_bg server "$TOOLS/keeper" --listen "$(ip4 server):8080"
	FAR=("$PID")
	background nsenter --net="${NS}far" "$TOOLS/keeper" "$(ip4 server):8080"
	FAR+=("$PID")
	as server pod_bg server "$TOOLS/keeper" --listen "$(ip4 server):8081"
	background nsenter --net="${NS}near" "$TOOLS/keeper" "$(ip4 server):8081"
	NEAR=$PID
	background nsenter --net="${NS}far" "$TOOLS/keeper" --listen "$(ip4 far):9000"
	OUT_END=("$PID")
	wait_until 10 is_ready "$PID"
	as server pod_bg server "$TOOLS/keeper" "$(ip4 far):9000"
	OUT_END+=("$PID")
	wait_until 10 is_ready "$NEAR"
	wait_until 10 is_ready "${FAR[1]}"

	remote_file near | apply_config
	ended "${FAR[0]}" '.end == "ECONNABORTED"'
	ended "${FAR[1]}" '.end == "ECONNRESET"'
	ended "${OUT_END[1]}" '.end == "ECONNABORTED"'
	ended "${OUT_END[0]}" '.end == "ECONNRESET"'
	lives "$NEAR"
}

syn_received() {
	[[ $(in_ns server ss -Htn state syn-recv) ]]
}

# The SYN was let in by another set than the one in force when the handshake ends
@test "a policy that changes during a handshake ends the flow" {
	local mac

	require_command python3
	ns_bridge near far server
	remote_file near far | config
	daemon_start
	as server pod_bg server "$TOOLS/echoserver" --name server "$(ip4 server):8080"
	# what the server says goes nowhere for a while
	in_ns server ip neigh replace "$(ip4 far)" lladdr 02:00:00:00:00:c8 dev eth0
	background nsenter --net="${NS}far" python3 -c "if True:
		import socket
		try:
		    s = socket.create_connection(('$(ip4 server)', 8080), 20)
		    print('came', s.recv(1))
		except ConnectionResetError:
		    print('reset')"
	wait_until 10 syn_received
	remote_file near | apply_config
	mac=$(in_ns far ip -j link show eth0 | jq -r '.[0].address')
	in_ns server ip neigh replace "$(ip4 far)" lladdr "$mac" dev eth0
	await_end "$PID"
	[ "$output" = reset ]
	stats_fresh
	[ "$(metric sidestep_policy_flow_total reason=revoked)" -eq 1 ]
}

remote_file() { # NAMESPACE...: from and to which it may talk
	local name list=

	for name; do
		list+="{ network: $(ip4 "$name")/32 }, "
	done
	workloads "server:$(addresses_of server)"
	cat <<-END
		policies:
		  - { name: in, subject: { app: server }, ingress: [ { from: [ $list ] } ] }
		  - { name: out, subject: { app: server }, egress: [ { to: [ $list ] } ] }
	END
}

# ---- many --------------------------------------------------------------------------

@test "10,000 flows end, and none of those that are allowed" {
	local begun name pid many=()

	ns_bridge friend foe others server
	SERVER_MORE=$(addresses_of server) FRIEND=$(addresses_of friend) FOE=$(addresses_of foe)
	file friend foe | load_config
	in_ns server sysctl -qw net.core.somaxconn=4096
	as server pod_bg server "$TOOLS/echoserver" "$(ip4 server):8080"
	# of two network namespaces, of both some in a batch that is not full
	for name in foe others; do
		as foe pod_start "$name" "$TOOLS/crowd" --flows 5000 --rounds 1 --size 8 --hold "$(ip4 server):8080"
		many+=("$PID")
	done
	as friend pod_start friend "$TOOLS/crowd" --flows 500 --rounds 1 --size 8 --hold "$(ip4 server):8080"
	FEW=$PID
	wait_until 60 is_ready "${many[0]}" || fail "$(cat "${OUT[${many[0]}]}"*)"
	wait_until 60 is_ready "${many[1]}"
	wait_until 60 is_ready "$FEW"
	file friend | config
	begun=${EPOCHREALTIME/./}
	sidestep apply -f "$CONF"
	echo "# apply with 10,000 flows to end: $(((${EPOCHREALTIME/./} - begun) / 1000)) ms" >&3
	for pid in "${many[@]}"; do
		ended "$pid" '.broken == 5000 and .opened == 5000'
	done
	finish "$FEW"
	check '.ok and .broken == 0 and .opened == 500'
}
