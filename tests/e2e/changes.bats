#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
# shellcheck disable=SC2030,SC2031 # what a test changes is for itself alone
#
# Policies that come, change and go: what is in force is one set, whole, whoever loads,
# upgrades or is killed, and it follows the host.

load harness

# pods: a client and a server on a bridge; the server listens on four ports.
pods() {
	local port

	ns_bridge client server
	for port in 8080 8081 8082 8083; do
		pod_bg server "$TOOLS/echoserver" --name "$port" --greet "$(ip4 server):$port" \
			"[$(ip6 server)]:$port"
	done
}

# policy PORTS [SETTINGS]: the server is open to the client on these ports.
policy() {
	cat <<-END
		node: { policy: { ${2:-} } }
		workloads:
		  - { name: client, labels: { app: client }, netns: ${NS##*/}client }
		  - { name: server, labels: { app: server }, netns: ${NS##*/}server,
		      addresses: [$(ip4 server)] }
		policies:
		  - name: server
		    subject: { app: server }
		    ingress: [ { name: ports, from: [ { labels: { app: client } } ], ports: [$1] } ]
	END
}

allowed() { # PORT
	call client "$(ip4 server):$1"
	check '.ok == 1'
}

denied() { # PORT
	call client "$(ip4 server):$1"
	check '.errors == { EPERM: 1 }'
}

# The kernel's id of the set in force.
set_id() {
	bpftool -j map show pinned "$PIN"/abi*/policy_set | jq -e .id
}

attached() {
	find "$PIN" -name "sst_$1*" | wc -l
}

# runs_what_is_pinned PROGRAM: each of its links runs the program that was loaded last.
runs_what_is_pinned() {
	local link id

	id=$(bpftool -j prog show pinned "$PIN"/abi*/"program_$1" | jq .id)
	for link in "$PIN"/abi*/"$1"*; do
		[[ $(bpftool -j link show pinned "$link" | jq .prog_id) == "$id" ]]
	done
}

# ---- what is attached ---------------------------------------------------------------

@test "hooks are attached only while a policy needs them" {
	pods
	config <<<'services: []'
	sidestep load -f "$CONF"
	[ "$(attached socket) $(attached lookup)" = "0 0" ]

	policy 8080 | apply_config
	[ "$(attached socket) $(attached lookup)" = "1 0" ]
	allowed 8080
	denied 8081

	# the host's own namespace, the client's and the server's
	policy 8080 "remote: answer" | apply_config
	[ "$(attached socket) $(attached lookup)" = "1 3" ]
	sidestep load -f "$CONF"
	runs_what_is_pinned sst_ingress
	runs_what_is_pinned sst_egress
	runs_what_is_pinned sst_socket
	runs_what_is_pinned sst_lookup
	denied 8081

	apply_config <<<'services: []'
	[ "$(attached socket) $(attached lookup)" = "0 0" ]
	run ! set_id
	[ "$(bpftool -j map dump pinned "$PIN"/abi*/rule_stats)" = "[]" ]
	allowed 8081

	# they go with the rest
	policy 8080 "remote: answer" | apply_config
	sidestep unload
	[ ! -e "$PIN" ]
	allowed 8081
}

@test "what has not changed is not flipped" {
	local before

	pods
	policy 8080 | load_config
	before=$(set_id)
	run -0 sidestep apply -f "$CONF"
	[ "$output" = "no difference" ]
	[ "$(set_id)" = "$before" ]
	policy 8081 | config
	run -0 sidestep apply -f "$CONF"
	[ "$output" = "~ policy default/server: 1 rule changed" ]
	[ "$(set_id)" != "$before" ]
}

# services NUMBER: of ten endpoints each.
services() {
	local i j

	echo "services:"
	for ((i = 1; i <= $1; i++)); do
		printf '  - { name: s%d, address: 10.96.0.%d, port: 80, endpoints: [' "$i" "$i"
		for ((j = 1; j <= 10; j++)); do
			printf ' { address: 10.1.%d.%d },' "$i" "$j"
		done
		echo " ] }"
	done
}

# Elements of the maps that a new service is in.
elements() {
	local map

	for map in endpoints endpoint_stats service_stats service_info cursors services frontends; do
		echo "$map $(bpftool -j map dump pinned "$(echo "$PIN"/abi*/$map)" | jq length)"
	done
}

# refused AT ERROR: an apply of which batch number AT is refused half way with this number.
refused() {
	try env REFUSE_AT="$1" REFUSE_WITH="$2" LD_PRELOAD="${TOOLS%/tools}/faults/refuse.so" \
		"$SIDESTEP" apply "${OPTIONS[@]}" -f "$CONF"
}

@test "a batch that is refused half way is undone, and all before it" {
	local before batch

	require_command bpftool
	services 5 | load_config
	before=$(elements)
	services 50 | config
	for batch in 1 2 3 4 5 6 7; do # statistics twice, endpoints, names, cursors, services, addresses
		refused "$batch" 1
		[[ $status == 1 && $stderr == *"refused a change, all is as it was"* ]] || fail "$stderr"
		[[ $(elements) == "$before" ]] || fail "batch $batch: $(diff <(echo "$before") <(elements))"
	done
	refused 3 12 # for want of memory: it goes on where it was
	[[ $status == 0 ]] || fail "$stderr"
	[[ $(elements) != "$before" ]]
	run -0 sidestep apply -f "$CONF"
	[ "$output" = "no difference" ]
	[[ $(sidestep status -o json | jq .endpoints) == 500 ]]
}

@test "three capabilities are enough, and what they cannot see is told" {
	local caps=(setpriv --inh-caps=-all "--bounding-set=-all,+bpf,+net_admin,+perfmon")

	require_command setpriv
	pods
	policy 8080 | config
	try "${caps[@]}" "$SIDESTEP" load "${OPTIONS[@]}" -f "$CONF"
	[ "$status" -eq 0 ]
	[[ $stderr == *"CAP_SYS_ADMIN is missing"* ]]
	try "${caps[@]}" "$SIDESTEP" apply "${OPTIONS[@]}" -f "$CONF"
	[[ $output == "no difference" ]]
	# nobody can tell who calls, but whom
	denied 8080
	sidestep apply -f "$CONF"
	allowed 8080
}

# ---- flips ------------------------------------------------------------------------------

# hammer PORT: calls without a pause until `hammered`.
hammer() {
	pod_start client "$TOOLS/caller" --until-signal --interval-ms 1 "$(ip4 server):$1"
	HAMMERS[$1]=$PID
}

# hammered PORT FILTER: how it went.
hammered() {
	finish "${HAMMERS[$1]}"
	check ".ok + .failed > 50 and ($2)"
}

@test "a flip leaves nothing undecided" {
	declare -A HAMMERS=()
	pods
	policy "8080, 8082" | load_config
	hammer 8082
	hammer 8083
	for _ in {1..50}; do
		policy "8081, 8082" | apply_config
		policy "8080, 8082" | apply_config
	done
	hammered 8082 '.failed == 0'
	hammered 8083 '.errors.EPERM == .failed and .ok == 0'
	allowed 8080
	denied 8081
}

@test "nothing opens while the data plane is upgraded, or an upgrade or apply is killed" {
	declare -A HAMMERS=()
	local moment

	pods
	policy "8080, 8082" | load_config
	hammer 8082
	hammer 8083
	sidestep load -f "$CONF"
	for moment in 0.005 0.01 0.02 0.03 0.05 0.1 0.2 0.3; do
		background "$SIDESTEP" load "${OPTIONS[@]}" -f "$CONF"
		sleep "$moment"
		finish "$PID" KILL
		policy "8081, 8082" | config
		background "$SIDESTEP" apply "${OPTIONS[@]}" -f "$CONF"
		sleep "$moment"
		finish "$PID" KILL
		policy "8080, 8082" | config
	done
	sidestep apply -f "$CONF"
	hammered 8082 '.failed == 0'
	hammered 8083 '.errors.EPERM == .failed and .ok == 0'
	allowed 8080
	denied 8081
	sidestep unload
	[ ! -e "$PIN" ]
}

@test "a set whose pin was not moved yet is found, and replaced" {
	local folder

	pods
	policy 8080 | load_config
	folder=$(echo "$PIN"/abi*)
	mv "$folder/policy_set" "$folder/policy_set-next"
	run -0 sidestep apply -f "$CONF"
	[ "$output" = "no difference" ]
	policy 8081 | apply_config
	[ -e "$folder/policy_set" ]
	[ ! -e "$folder/policy_set-next" ]
	allowed 8081
	denied 8080
}

# ---- revocation ----------------------------------------------------------------------------

# flows_are COUNT
flows_are() {
	show flows
	check --argjson n "$1" "length == \$n"
}

# echo_on PORT...: a server for a crowd, which wants no greeting.
echo_on() {
	local port

	for port; do
		pod_bg server "$TOOLS/echoserver" "$(ip4 server):$port"
	done
}

# crowd PORT FLOWS: keeps them.
crowd() {
	pod_bg client "$TOOLS/crowd" --flows "$2" --rounds 1 --hold "$(ip4 server):$1"
}

@test "flows that a changed policy denies are ended" {
	local many

	pods
	echo_on 7000 7001
	policy "7000, 7001" | load_config
	crowd 7000 300
	many=$PID
	crowd 7001 20
	wait_until 5 flows_are 320
	policy 7001 "revoke: off" | apply_config
	flows_are 320
	policy 7001 | apply_config
	wait_until 5 flows_are 20
	finish "$many"
	check '.broken == 300'
	finish "$PID"
	check '.broken == 0'
}

@test "flows of a workload that has gone are ended" {
	pods
	echo_on 7000
	policy 7000 | load_config
	crowd 7000 20
	wait_until 5 flows_are 20
	policy 7000 | grep -v "name: client" | apply_config
	wait_until 5 flows_are 0
	finish "$PID"
	check '.broken == 20'
}

# ---- the host ----------------------------------------------------------------------------------

# restart_client: its namespace goes, another one gets its name.
restart_client() {
	ip netns del "${NS##*/}client"
	ns_make client
	in_ns bridge ip link add "again" type veth peer name eth0 netns "${NS##*/}client"
	in_ns bridge ip link set "again" master br0 up
	in_ns client ip address add "$(ip4 client)/24" dev eth0
	in_ns client ip link set eth0 up
	wait_until 5 has_carrier client
}

@test "the daemon follows a workload into another namespace" {
	pods
	policy 8080 | config
	daemon_start
	allowed 8080
	denied 8081
	restart_client
	wait_until 10 allowed 8080
	denied 8081
}

@test "a namespace that is not there is told of, and followed once it is" {
	pods
	ip netns del "${NS##*/}client"
	policy 8080 | config
	daemon_start
	grep -q "workload default/client: there is no network namespace ${NS##*/}client" \
		"${OUT[$DAEMON]}.err"
	ns_make client # restart_client removes it again
	restart_client
	wait_until 10 allowed 8080
}

@test "a workload known by its address is found in the namespace that has it" {
	pods
	policy 8080 | sed "s/netns: [^ ,]*client/addresses: [$(ip4 client)]/" | load_config
	allowed 8080
	denied 8081
	# by an address that nothing tells of
	call client "[$(ip6 server)]:8080"
	check '.ok == 1'
}

@test "the daemon follows the node's own addresses" {
	local before

	pods
	policy 8080 | config
	background nsenter --net="${NS}bridge" "$SIDESTEP" run "${OPTIONS[@]}" -f "$CONF"
	DAEMON=$PID
	wait_until 20 daemon_answers
	before=$(set_id)
	in_ns bridge ip address add 10.77.0.99/24 dev br0
	wait_until 15 set_is_another "$before"
}

set_is_another() { # ID
	[[ $(set_id) != "$1" ]]
}
